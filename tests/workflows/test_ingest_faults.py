"""Cycles that are killed, doubled, or kept from reading; and what people are told of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.databases import database_for
from tests.workflows import read_and_die, read_much
from tests.workflows.registry import FIRST, FLEET, Plane, Registry, opened, settings_at

from trimtab.app import Application
from trimtab.integrations import inbox
from trimtab.inventory.model import Connection, Health, Scope, SyncPhase
from trimtab.kernel.errors import Unavailable
from trimtab.platform.outbound import NoAnswer
from trimtab.workflows import connections, reading
from trimtab.workflows.ingest import Ingest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with opened(tmp_path / "home") as plane:
        yield plane


@pytest.fixture
def registry() -> Registry:
    registry = Registry(page=60)
    for number in range(1, 121):
        registry.put("churn", number)
    return registry


class Broken(Exception):
    """A fault of the program."""


def broken_at(number: int, error: BaseException) -> Any:
    def breaks(what: str, which: Any) -> None:
        if what == "details" and which[1] == number:
            raise error

    return breaks


def test_a_cycle_that_breaks_off_is_ended_and_goes_on(plane: Plane, registry: Registry) -> None:
    registry.hook = broken_at(75, Broken())
    with pytest.raises(Broken):
        plane.cycle(registry)
    [sync] = plane.syncs()
    assert (sync.phase, sync.counts.added) == (SyncPhase.FAILED, 60)
    assert "it broke off" in sync.reason
    assert plane.now().health is Health.FAILING
    due_at = plane.state().due_at
    assert due_at is not None
    assert (due_at - FIRST).total_seconds() == 900
    registry.hook = lambda _what, _which: None
    registry.asked.clear()
    again = plane.cycle(registry)
    assert (again.counts.added, again.counts.unchanged) == (60, 60)
    assert len(registry.read_in_detail()) == 60
    assert sorted(number for _, number in plane.records()) == list(range(1, 121))
    assert len(plane.told("record.added")) == 120


@pytest.mark.slow
def test_a_process_that_is_killed_has_lost_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with opened(home) as plane:
        connection = plane.connection
    program = [sys.executable, str(Path(read_and_die.__file__)), str(home), "75"]
    told = {**os.environ, **database_for(home), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(program, env=told, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    with opened_again(home, connection) as plane:
        assert [sync.phase for sync in plane.syncs()] == [SyncPhase.RUNNING]
        assert len(plane.records()) == 50
        registry = read_and_die.filled()
        sync = plane.cycle(registry)
        assert (sync.phase, sync.counts.added, sync.counts.unchanged) == ("succeeded", 70, 50)
        assert [number for _, number in registry.read_in_detail()] == list(range(51, 121))
        assert sorted(number for _, number in plane.records()) == list(range(1, 121))
        killed = plane.syncs()[1]
        assert (killed.phase, killed.reason) == ("failed", "it was interrupted, and begun anew")
        assert len(plane.told("record.added")) == 120


@contextmanager
def opened_again(home: Path, connection: Connection) -> Iterator[Plane]:
    application = Application(settings_at(home))
    yield Plane(application.parts, connection, application)
    application.parts.records.database.close()


def test_two_cycles_at_once_come_to_one_end(plane: Plane, registry: Registry) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def waits(what: str, which: Any) -> None:
        if what == "details" and which[1] == 75:
            begun.set()
            assert go_on.wait(30)

    registry.hook = waits
    ended: list[Any] = []

    def read() -> None:
        ended.append(plane.cycle(registry))

    first = threading.Thread(target=read)
    first.start()
    assert begun.wait(30)
    other = read_and_die.filled()
    second = plane.cycle(other)
    go_on.set()
    first.join(60)
    [overtaken] = ended
    assert (overtaken.phase, second.phase) == (SyncPhase.FAILED, SyncPhase.SUCCEEDED)
    assert overtaken.reason == "it was interrupted, and begun anew"
    assert ("churn", 120) not in registry.read_in_detail(), "it reads no further"
    assert plane.state().progress["sync"] == second.id
    assert plane.now().health is Health.HEALTHY
    assert len(plane.told("record.added")) == len(plane.records()) == 120
    assert [sync.phase for sync in plane.syncs()] == [SyncPhase.SUCCEEDED, SyncPhase.FAILED]


def test_many_cycles_at_once_raise_nothing(plane: Plane, registry: Registry) -> None:
    errors, ended = list[BaseException](), list[Any]()

    def read() -> None:
        try:
            ended.append(plane.cycle(read_and_die.filled()))
        except BaseException as error:  # noqa: BLE001  # the test tells it
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert len(ended) == 4
    plane.cycle(registry)
    assert len(plane.records()) == len(plane.told("record.added")) == 120
    assert all(sync.ended for sync in plane.syncs())


def test_who_pauses_meanwhile_stops_nothing(plane: Plane, registry: Registry) -> None:
    def pauses(what: str, _which: Any) -> None:
        if what == "probe":
            connections.pause(plane.parts, FLEET, plane.connection.id, True, reason="a test")

    registry.hook = pauses
    assert plane.cycle(registry).phase is SyncPhase.SUCCEEDED
    assert plane.now().paused
    assert plane.now().identity == "mira"


def test_one_that_fails_leaves_the_others_alone(plane: Plane, registry: Registry) -> None:
    other = plane.connect("other")

    def down(_what: str, _which: Any) -> None:
        raise NoAnswer("nobody answers at https://registry.example")

    registry.hook = down
    plane.cycle(registry)
    assert plane.cycle(Registry(), connection=other).phase is SyncPhase.SUCCEEDED
    assert [plane.now(one).health for one in (plane.connection, other)] == ["failing", "healthy"]
    assert plane.now().health_reason == "nobody answers at https://registry.example"
    [told] = [one for one in plane.told("connection.health_changed") if one["after"] == "failing"]
    assert told["why"] == "nobody answers at https://registry.example"
    registry.hook = lambda _what, _which: None
    plane.step(15)
    plane.cycle(registry)
    assert (plane.now().health, plane.now().health_reason) == (Health.HEALTHY, "")


def test_one_question_without_an_answer_fails_the_cycle(plane: Plane, registry: Registry) -> None:
    """Where nobody answers, it is not asked for one version after the other."""
    plane.cycle(registry)
    registry.hidden = set(registry.held)

    def down(what: str, _which: Any) -> None:
        if what == "version":
            raise NoAnswer("nobody answers")

    registry.hook = down
    assert plane.cycle(registry).phase is SyncPhase.FAILED
    assert registry.count("version") == 1


def messages(plane: Plane) -> list[str]:
    with plane.parts.records.look() as found:
        return [str(row["text"]) for row in inbox.newest(found)]


def sweep(plane: Plane) -> int:
    """What the loop does about lag; how many it was found of."""
    with plane.parts.records.look() as found:
        lagging = reading.lagging(plane.parts, found)
    for connection, _ in lagging:
        reading.note_lag(plane.parts, connection)
    return len(lagging)


def test_lag_is_told_once(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    plane.step(60)
    sweep(plane)
    assert (plane.now().health, messages(plane)) == (Health.HEALTHY, [])
    for _ in range(3):
        plane.step(1)
        sweep(plane)
    assert plane.now().health is Health.LAGGING
    [text] = messages(plane)
    assert text == "registry lags: it was not read in full for 61 minutes; 60 are allowed"
    plane.cycle(registry)
    assert plane.now().health is Health.HEALTHY
    sweep(plane)
    assert len(messages(plane)) == 1


def test_a_registry_that_fails_for_long_is_told_of_too(plane: Plane, registry: Registry) -> None:
    """It is the commonest reason to lag."""
    plane.cycle(registry)

    def down(_what: str, _which: Any) -> None:
        raise Unavailable("nobody answers")

    registry.hook = down
    for _ in range(10):
        plane.step(15)
        plane.cycle(registry)
        sweep(plane)
    assert plane.now().health is Health.FAILING
    assert len(messages(plane)) == 1
    assert sweep(plane) == 0, "it is told once, and looked for no more"
    registry.hook = lambda _what, _which: None
    plane.cycle(registry)
    registry.hook = down
    for _ in range(10):
        plane.step(15)
        plane.cycle(registry)
        sweep(plane)
    assert len(messages(plane)) == 2


def test_a_turn_of_a_paused_one_reads_nothing(plane: Plane) -> None:
    connections.pause(plane.parts, FLEET, plane.connection.id, True, reason="a test")
    reading.turn(plane.parts, plane.connection.id)
    assert not plane.syncs()


def test_a_wish_that_nobody_reads_any_more_is_due_at_last(plane: Plane) -> None:
    """A cycle that never came to its end holds the next one off for so long, and no longer."""
    ingest = Ingest(plane.parts)
    ingest._begin(plane.connection.id, None, FLEET, "it was due")
    with plane.parts.records.begin(FLEET, reason="now") as work:
        connections.ask(work, FLEET, plane.connection.id, Scope.FULL, reason="now")
    due_at = plane.state().due_at
    assert due_at is not None
    assert (due_at - FIRST).total_seconds() == 7200
    plane.step(121)
    with plane.parts.records.look() as found:
        assert [one for one, _ in reading.due(plane.parts, found)] == [plane.connection.id]


@pytest.mark.slow
def test_a_large_registry_with_one_bad_item_is_never_held_whole(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with opened(home):
        pass
    done = subprocess.run(
        [sys.executable, str(Path(read_much.__file__)), str(home), "2000"],
        env={**os.environ, **database_for(home), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    grown, told = map(int, done.stdout.splitlines()[-1].split())
    assert told > 30
    assert grown < told / 2, f"{grown} MiB more for {told} MiB"
