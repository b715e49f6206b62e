"""What a death costs those who wait: of a worker in the middle of its jobs, of the database.

One process answers HTTP and two work, on a PostgreSQL with its defaults; a supervisor starts
anew whatever ended. These are the processes and the load of the campaigns under `tests/chaos`.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from tests.apart import Installation
from tests.bounced import WAYS, own_server
from tests.chaos.fire import WORKERS, Fire

from benchmarks.floor import Figure, Goal
from trimtab.incidents import store as incidents
from trimtab.platform import executors
from trimtab.platform.durable_dbos import DbosSettings

SIGNALS = 10
"""So many are written at once: then whoever dies has begun something."""
DOWN_SECONDS = 1.0
BEGINNING_SECONDS = 5.0

_HELD = sa.text(
    "SELECT executor_id, workflow_uuid FROM dbos.workflow_status WHERE status = 'PENDING'"
)
_LEFT = sa.text(
    "SELECT count(*) FROM dbos.workflow_status"
    " WHERE workflow_uuid = ANY(:ids) AND status IN ('ENQUEUED', 'PENDING')"
)


def measure(*, tiny: bool) -> list[Figure]:
    """Workers are killed, one at a time; then the database is ended in every way."""
    deaths, bounces = (1, 1) if tiny else (20, 3)
    with _burning() as fire:
        numbers = itertools.count()
        taken_over = [_worker_killed(fire, numbers) for _ in range(deaths)]
        ways = [way for _ in range(bounces) for way in WAYS]
        bounced = [_bounced(fire, way, f"after-{number}") for number, way in enumerate(ways)]
    lease = DbosSettings.lease_seconds
    return [
        Figure(
            "a worker is killed: its jobs are done by another after",
            "s",
            taken_over,
            [lease],
            "the lease, which has to run out first",
        ),
        Figure("the same, 95th percentile", "s", [_p95(taken_over)], goal=Goal(15.0)),
        Figure(
            "the database starts again: all is well after",
            "s",
            [one.well for one in bounced],
            [one.answered for one in bounced],
            "the driver's first answer",
        ),
        Figure(
            "the same, 95th percentile", "s", [_p95([o.well for o in bounced])], goal=Goal(10.0)
        ),
        Figure("a signal written then has its incident after", "s", [one.acted for one in bounced]),
    ]


def _worker_killed(fire: Fire, numbers: Iterator[int]) -> float:
    """Seconds from the death of a worker until the last job that it had begun is done."""
    installation = fire.installation
    while True:
        fire.until(lambda: len(_alive(installation)) == len(WORKERS))
        for _ in range(SIGNALS):
            fire.signal(f"m{next(numbers)}")
        if (busy := _busy(installation)) is None:
            continue  # all was done before anybody looked
        name, executor = busy
        installation.kill(name)
        killed = time.perf_counter()
        if begun := _held(installation).get(executor, []):
            fire.until(lambda begun=begun: not _left(installation, begun))  # type: ignore[misc]
            return time.perf_counter() - killed


@dataclass(frozen=True)
class Bounced:
    """Seconds since a database that was ended began to start."""

    answered: float
    """Until the driver has an answer."""
    well: float
    """Until `/health` says that nothing is wrong."""
    acted: float
    """Until a worker has done what was asked of it then."""


def _bounced(fire: Fire, way: str, model: str) -> Bounced:
    """The database is ended in this way, and started again."""
    fire.until(fire.well)
    fire.server.stop(way)
    time.sleep(DOWN_SECONDS)
    began = time.perf_counter()
    fire.server.start()
    _held(fire.installation)
    answered = time.perf_counter()
    fire.until(fire.well)
    well = time.perf_counter()
    fire.signal(model)
    fire.until(lambda: _incident_of(fire.installation, model))
    return Bounced(answered - began, well - began, time.perf_counter() - began)


def _incident_of(installation: Installation, model: str) -> bool:
    with installation.records() as records, records.look() as reading:
        return bool(incidents.listed(reading, model=model))


@contextmanager
def _burning() -> Iterator[Fire]:
    """The processes of an installation, until the end of the block."""
    with (
        tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as data,
        tempfile.TemporaryDirectory() as folder,
        own_server(Path(data)) as server,
    ):
        installation = Installation(Path(folder) / "home", server.database("recovery"))
        try:
            fire = Fire(installation, server, random.Random(7))
            fire.begin()
            yield fire
        finally:
            installation.close()


def _busy(installation: Installation) -> tuple[str, str] | None:
    """A worker that has just begun something: its name, and what the database knows it by."""
    deadline = time.perf_counter() + BEGINNING_SECONDS
    while time.perf_counter() < deadline:
        held = _held(installation)
        for name, executor in _alive(installation).items():
            if executor in held:
                return name, executor
    return None


def _alive(installation: Installation) -> dict[str, str]:
    """What the database knows each worker by that it takes for alive."""
    with installation.engine() as connection:
        found = {one.process: one.id for one in executors.living(connection)}
    processes = {name: installation.processes[name].pid for name in WORKERS}
    return {name: found[pid] for name, pid in processes.items() if pid in found}


def _held(installation: Installation) -> dict[str, list[str]]:
    """The jobs that have been begun and are not done, by whom."""
    found: dict[str, list[str]] = {}
    with installation.engine() as connection:
        for executor, job in connection.execute(_HELD):
            found.setdefault(executor, []).append(job)
    return found


def _left(installation: Installation, jobs: list[str]) -> int:
    """How many of these are not done."""
    with installation.engine() as connection:
        left: int = connection.execute(_LEFT, {"ids": jobs}).scalar_one()
    return left


def _p95(seconds: Sequence[float]) -> float:
    return float(np.quantile(seconds, 0.95))
