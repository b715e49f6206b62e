"""Reads a registry, in a process that its test kills: home, number of the version to die at."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.workflows.registry import Registry

from trimtab.app import Application
from trimtab.inventory import connection_store
from trimtab.inventory.model import Connection
from trimtab.platform.settings import Settings
from trimtab.workflows.ingest import Ingest

VERSIONS = 120


def filled() -> Registry:
    """The registry that this process reads, and the next one."""
    registry = Registry(page=80)
    for number in range(1, VERSIONS + 1):
        registry.put("churn", number)
    return registry


def opened_there(home: Path) -> tuple[Application, Connection]:
    """The control plane of a home that another process has made, and its one connection."""
    told: dict[str, Any] = {"TRIMTAB_HOME": home}
    if "DATABASE_URL" in os.environ:
        told["DATABASE_URL"] = os.environ["DATABASE_URL"]
    application = Application(Settings(**told))
    with application.parts.records.look() as reading:
        [connection] = connection_store.connections(reading)
    return application, connection


def main() -> None:
    """Read until the version at which this process dies."""
    last = int(sys.argv[2])
    application, connection = opened_there(Path(sys.argv[1]))
    registry = filled()

    def dies(what: str, which: Any) -> None:
        if what == "details" and which[1] == last:
            os.kill(os.getpid(), signal.SIGKILL)

    registry.hook = dies
    Ingest(application.parts).cycle(connection.id, lambda _connection: registry)


if __name__ == "__main__":
    main()
