"""A job that failed for good is no calm: the first page names what was left undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS

from trimtab.app import Application
from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.kernel.actor import system
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.settings import Settings
from trimtab.web import home
from trimtab.web.session import Visitor


def test_what_was_left_undone_is_named_and_never_calm(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **database_for(tmp_path / "home"),
        "TRIMTAB_HOME": tmp_path / "home",
    }
    application = Application(Settings(**settings))
    parts = application.parts
    parts.engine.register(Job("repair.lost", _fail, "repair", max_attempts=1))
    with parts.records.begin(system("test"), reason="hired") as work:
        ada = identity.add_person(
            work,
            email="ada@example.org",
            name="Ada",
            roles=("auditor",),
            password_hash=hash_password("correct-horse-battery-staple"),
        )
    visitor = Visitor(ada.actor(), frozenset(ada.roles), "")
    with parts.records.look() as reading:
        assert home.read(reading, parts, visitor, None).calm, "the engine does not run yet"
    application.start()
    try:
        for number in range(2):
            parts.engine.enqueue("repair.lost", f"lost-{number}", {})
        assert parts.engine.wait_idle(PATIENCE_SECONDS)
        with parts.records.look() as reading:
            shown = home.read(reading, parts, visitor, None)
    finally:
        application.stop(PATIENCE_SECONDS)
    assert shown.set_aside == (("repair.lost", 2),)
    assert not shown.calm


def _fail(_args: JobArgs) -> None:
    raise RuntimeError("for good")
