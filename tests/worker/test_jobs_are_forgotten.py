"""Finished jobs do not stay for ever, those that failed do, and fresh ones are not touched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.databases import address_for, behind_our_back, database_for
from tests.patience import PATIENCE_SECONDS

from trimtab.app import Application
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.settings import Settings
from trimtab.worker import Worker
from trimtab.workflows.jobs import Role

HOUR_MS = 3_600_000


def test_the_worker_forgets_jobs_that_were_done_long_ago(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **database_for(tmp_path / "home"),
        "TRIMTAB_HOME": tmp_path / "home",
        "TRIMTAB_JOBS_KEEP_HOURS": 2,
    }
    application = Application(Settings(**settings))
    engine = application.parts.engine
    engine.register(Job("note", lambda _args: None, Role.WATCH, max_attempts=1))
    engine.register(Job("fail", _fail, Role.WATCH, max_attempts=1))
    application.start()
    for number in range(1, 31):
        engine.enqueue("note", f"old-{number}", {})
    engine.enqueue("fail", "failed", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    _age(tmp_path / "home", 3 * HOUR_MS)
    engine.enqueue("note", "fresh", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    worker = Worker(application)
    worker.start()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while engine.counts().done > 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (engine.counts().done, engine.counts().failed) == (1, 1)
        assert not engine.enqueue("note", "fresh", {})
        assert engine.enqueue("note", "old-1", {})
    finally:
        worker.stop()
        application.stop(PATIENCE_SECONDS)


def _fail(_args: JobArgs) -> None:
    raise RuntimeError("for good")


def _age(home: Path, milliseconds: int) -> None:
    """As if everything had happened so long ago."""
    server = address_for(home)
    table = "workflow_status" if server is None else "dbos.workflow_status"
    with behind_our_back(server or f"sqlite:///{home / 'jobs.sqlite'}") as jobs:
        jobs.exec_driver_sql(f"UPDATE {table} SET completed_at = completed_at - {milliseconds}")
