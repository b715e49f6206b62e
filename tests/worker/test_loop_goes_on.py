"""The thread that makes the passes outlives whatever a pass may raise."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trimtab.app import Application
from trimtab.platform.settings import Settings
from trimtab.worker import PAUSE_SECONDS, Worker


def renamed(application: Application, old: str, new: str) -> None:
    with application.parts.records.database.write() as connection:
        connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))


def loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "loop"]


def test_a_pass_that_fails_for_a_reason_nobody_thought_of_is_not_the_last(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"TRIMTAB_HOME": tmp_path / "home"}
    application = Application(Settings(**settings))
    worker = Worker(application)
    renamed(application, "cursors", "elsewhere")  # every pass now raises what is no error of ours
    worker.start()
    try:
        time.sleep(3 * PAUSE_SECONDS)
        assert loops()
        renamed(application, "elsewhere", "cursors")
        time.sleep(3 * PAUSE_SECONDS)
        assert loops()
    finally:
        worker.stop()
        application.parts.records.database.close()
    assert not loops()
