"""In lockstep only a step of the clock lets work be done, and always in the same order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.kernel.actor import system
from trimtab.kernel.events import Note
from trimtab.platform.settings import Settings
from trimtab.registry import routing
from trimtab.worker import PAUSE_SECONDS, Worker
from trimtab.workflows import release
from trimtab.workflows.jobs import Role, reaction, served_by
from trimtab.workflows.loop import Loop, Program
from trimtab.workflows.parts import Parts

pytestmark = pytest.mark.slow

START = datetime(2015, 3, 1, tzinfo=UTC)
FANS = 8


@dataclass(frozen=True)
class Happened(Note):
    """Something of which more follows."""

    kind: ClassVar[str] = "test.happened"


def fan_out(parts: Parts, entry: ledger.Entry) -> None:
    """Each first entry is answered by one more, after a moment of work."""
    if "/" in entry.subject:
        return
    time.sleep(0.002 * (FANS - int(entry.subject)))
    with parts.records.begin(system("test"), reason="after", cause=entry.sequence) as work:
        work.record(Happened(subject=f"{entry.subject}/", tenant=None))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Application]:
    settings: dict[str, Any] = {
        "TRIMTAB_HOME": tmp_path / "home",
        **database_for(tmp_path / "home"),
        "TRIMTAB_CLOCK": f"lockstep:{START.isoformat()}",
    }
    application = Application(Settings(**settings))
    reacting, job = reaction(
        application.parts, "test.fan", (Happened.kind,), fan_out, queue=Role.WATCH
    )
    application.loop = Loop(application.parts, Program([reacting], [job], []), served_by(Role))
    application.loop.register()
    application.start()
    yield application
    application.stop(PATIENCE_SECONDS)


def happen(house: Application) -> None:
    with house.parts.records.begin(system("test"), reason="before") as work:
        for number in range(FANS):
            work.record(Happened(subject=str(number), tenant=None))


def subjects(house: Application) -> list[str]:
    with house.parts.records.look() as reading:
        found = ledger.entries(reading.connection, kinds=(Happened.kind,))
    return [entry.subject for entry in found]


def test_what_follows_is_written_in_the_order_of_what_came_before(house: Application) -> None:
    happen(house)
    assert house.loop.settle(PATIENCE_SECONDS)
    assert subjects(house)[FANS:] == [f"{number}/" for number in range(FANS)]


def test_nothing_is_done_between_two_steps(house: Application) -> None:
    worker = Worker(house)
    worker.start()
    try:
        happen(house)
        time.sleep(3 * PAUSE_SECONDS)
        assert len(subjects(house)) == FANS
        assert house.loop.settle(PATIENCE_SECONDS)
        assert len(subjects(house)) == 2 * FANS
    finally:
        worker.stop()


def test_no_pass_is_made_before_the_gateways_serve_what_is_recorded(house: Application) -> None:
    happen(house)
    epoch, _ = release.publish_routing(house.parts)
    report(house, epoch - 1)
    assert not house.loop.settle(0.5)
    assert len(subjects(house)) == FANS
    report(house, epoch)
    assert house.loop.settle(PATIENCE_SECONDS)
    assert len(subjects(house)) == 2 * FANS


def report(house: Application, epoch: int) -> None:
    seen_at = house.parts.real_clock.now()
    with house.parts.records.begin(system("test"), reason="a report") as work:
        routing.note_report(work, "gateway", epoch, {}, seen_at)
