"""The thread that makes the passes outlives whatever a pass may raise."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.databases import database_for

from trimtab import worker as worker_module
from trimtab.app import Application
from trimtab.identity.passwords import hash_password
from trimtab.identity.service import add_person
from trimtab.kernel.actor import system
from trimtab.platform.settings import Settings
from trimtab.worker import Worker

PAUSE_SECONDS = 0.2


def renamed(application: Application, old: str, new: str) -> None:
    with application.parts.records.database.write() as connection:
        connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))


def heads(application: Application) -> list[Path]:
    return sorted((application.settings.home / "heads").iterdir())


def loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "loop"]


def test_a_pass_that_fails_for_a_reason_nobody_thought_of_is_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEAD_SECONDS", 0.0)
    monkeypatch.setattr(worker_module, "PAUSE_SECONDS", PAUSE_SECONDS)
    settings: dict[str, Any] = {
        **database_for(tmp_path / "home"),
        "TRIMTAB_HOME": tmp_path / "home",
    }
    application = Application(Settings(**settings))
    worker = Worker(application)
    renamed(application, "cursors", "elsewhere")  # every pass now raises what is no error of ours
    before = heads(application)
    with application.parts.records.begin(system("test"), reason="hired") as work:
        add_person(
            work,
            email="ada@example.org",
            name="Ada",
            roles=("auditor",),
            password_hash=hash_password("correct-horse-battery-staple"),
        )
    worker.start()
    try:
        time.sleep(3 * PAUSE_SECONDS)
        assert loops()
        assert len(heads(application)) == len(before) + 1, "heads are signed all the same"
        renamed(application, "elsewhere", "cursors")
        time.sleep(3 * PAUSE_SECONDS)
        assert loops()
    finally:
        worker.stop()
        application.parts.records.database.close()
    assert not loops()
