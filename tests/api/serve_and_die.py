"""The control plane as it is, which is killed between a commit and the answer that tells of it.

    serve_and_die.py FOLDER KIND

Everything is `trimtab.app` and `trimtab.worker`; only the database's own event is listened
to. The first transaction that writes an entry of KIND is committed, and then the process
ends itself with SIGKILL; that it did stands in FOLDER, so that the next one lives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trimtab.app import Application
from trimtab.platform.logs import configure_logs
from trimtab.platform.settings import load_settings
from trimtab.worker import run

_NEWEST = "SELECT kind FROM ledger_entries ORDER BY sequence DESC LIMIT 1"


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    settings = load_settings(env_file=None)
    configure_logs(settings.log_level)
    application = Application(settings)
    died = folder / "died"

    def commits(connection: sa.Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        if died.exists() or driver.execute(_NEWEST).fetchone() != (kind,):
            return
        driver.execute("COMMIT")
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(application.parts.records.database.engine, "commit", commits)
    run(application)


if __name__ == "__main__":
    main()
