"""The loop goes on when something was entered, and what stands still is no work for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS

from trimtab import worker
from trimtab.app import Application
from trimtab.audit.reactions import Reaction
from trimtab.audit.work import Reading
from trimtab.identity.model import PersonAdded
from trimtab.identity.passwords import hash_password
from trimtab.identity.service import add_person
from trimtab.kernel.actor import system
from trimtab.kernel.clock import begin_of
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.durable_dbos import DbosEngine
from trimtab.platform.settings import Settings
from trimtab.workflows.jobs import Role, served_by
from trimtab.workflows.loop import Loop, Program, Sweep

NEVER = 3600.0

Run = Callable[[Program], Application]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Run]:
    """An application with a program of the test's own, its engine at work."""
    started = []

    def start(program: Program) -> Application:
        settings: dict[str, Any] = {
            **database_for(tmp_path / "home"),
            "TRIMTAB_HOME": tmp_path / "home",
        }
        application = Application(Settings(**settings))
        application.loop = Loop(application.parts, program, served_by(Role))
        application.loop.register()
        application.start()
        started.append(application)
        return application

    yield start
    for application in started:
        application.stop(PATIENCE_SECONDS)


def test_an_entry_wakes_the_loop(running: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE_SECONDS", NEVER)
    seen: list[str] = []
    job = Job("greet", lambda args: seen.append(args.key), Role.RELEASE, max_attempts=1)
    reaction = Reaction("greet", (PersonAdded.kind,), "greet")
    application = running(Program((reaction,), (job,), ()))
    going = worker.Worker(application)
    going.start()
    try:
        for number in range(3):
            with application.parts.records.begin(system("test"), reason="hired") as work:
                add_person(
                    work,
                    email=f"p{number}@example.org",
                    name="A person",
                    roles=("auditor",),
                    password_hash=hash_password("correct-horse-battery-staple"),
                )
            end = time.monotonic() + PATIENCE_SECONDS
            while len(seen) <= number and time.monotonic() < end:
                time.sleep(0.01)
            assert len(seen) == number + 1
    finally:
        going.stop()


Asked = list[str]
"""Keys under which the engine was asked to take a job."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    keys: Asked = []
    enqueue = DbosEngine.enqueue

    def counted(engine: DbosEngine, job: str, key: str, args: Any) -> bool:
        keys.append(key)
        return enqueue(engine, job, key, args)

    monkeypatch.setattr(DbosEngine, "enqueue", counted)
    return keys


def test_what_stays_due_is_handed_over_once_and_again_when_it_moves(
    running: Run, asked: Asked
) -> None:
    ran: list[str] = []
    mark = ["first"]

    def due(_reading: Reading) -> list[tuple[str, str]]:
        return [("row", mark[0])]

    look = Job("look", lambda args: ran.append(args.key), Role.RELEASE, max_attempts=1)
    application = running(Program((), (), (Sweep(look, due),)))
    passes = [application.loop.turn() for _ in range(5)]
    assert application.parts.engine.wait_idle(PATIENCE_SECONDS)  # else both may run at once
    mark[0] = "second"
    passes += [application.loop.turn() for _ in range(5)]
    assert passes == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert asked == ["look:row:first", "look:row:second"]
    assert application.parts.engine.wait_idle(PATIENCE_SECONDS)
    assert ran == asked


def test_by_the_machines_time_what_stays_due_gets_one_turn_a_minute(
    running: Run, asked: Asked
) -> None:
    def due(reading: Reading) -> list[tuple[str, str]]:
        return [("row", reading.moment)]

    def fail(_args: JobArgs) -> None:
        raise RuntimeError("for good")

    application = running(
        Program((), (), (Sweep(Job("look", fail, Role.RELEASE, max_attempts=1), due),))
    )
    engine = application.parts.engine
    begun = begin_of(application.parts.clock.now(), timedelta(minutes=1))
    for _ in range(20):
        application.loop.turn()
        assert engine.wait_idle(PATIENCE_SECONDS)
    minutes = (application.parts.clock.now() - begun) // timedelta(minutes=1)
    assert len(asked) == len(engine.failed()) <= 1 + minutes
