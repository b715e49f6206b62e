"""The ledger as outbox: at least once, once by key, and never past an entry."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.audit import ledger
from trimtab.audit.reactions import Reaction, dispatch
from trimtab.audit.tables import CURSORS
from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.events import Note
from trimtab.platform.database import Database

SOMEBODY = system("test")


@dataclass(frozen=True)
class Rang(Note):
    """A bell rang."""

    kind: ClassVar[str] = "bell.rang"


@dataclass(frozen=True)
class Fell(Note):
    """A leaf fell."""

    kind: ClassVar[str] = "leaf.fell"


HEAR = Reaction("hear", ("bell.rang",), "listen")
SWEEP = Reaction("sweep", ("leaf.fell", "tree.fell"), "sweep_up")
BOTH = Reaction("both", ("bell.rang", "leaf.fell"), "look_round")


@dataclass
class Queue:
    """Remembers every hand-over; dies at the ones it is told to."""

    dies_at: int | None = None
    calls: list[tuple[str, str, int]] = field(default_factory=list)

    def enqueue(self, job_name: str, key: str, args: dict[str, Any]) -> bool:
        if self.dies_at is not None and len(self.calls) >= self.dies_at:
            raise KeyboardInterrupt
        self.calls.append((job_name, key, args["sequence"]))
        return True

    @property
    def effects(self) -> set[str]:
        """What a durable engine would have run: one for each key."""
        return {key for _, key, _ in self.calls}


@pytest.fixture
def records(either_database: Database, clock: SteppedClock) -> Records:
    return Records(either_database, clock)


def happen(records: Records, *events: type[Note]) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        for event in events:
            work.record(event(subject="x", tenant=None))


def cursors(records: Records) -> dict[str, int]:
    with records.look() as reading:
        return {row["name"]: row["sequence"] for row in reading.rows(sa.select(CURSORS))}


@contextmanager
def counted(database: Database) -> Iterator[Counter[str]]:
    """Counts transactions and statements by their first word."""
    seen: Counter[str] = Counter()

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        seen[statement.split()[0]] += 1

    def begun(_c: Any) -> None:
        seen["transactions"] += 1

    sa.event.listen(database.engine, "before_cursor_execute", note)
    sa.event.listen(database.engine, "begin", begun)
    yield seen
    sa.event.remove(database.engine, "before_cursor_execute", note)
    sa.event.remove(database.engine, "begin", begun)


def test_an_entry_that_is_not_wanted_is_no_job_and_is_passed(records: Records) -> None:
    happen(records, Rang, Rang, Rang)
    second = replace(HEAR, wanted=lambda entry: entry.sequence == 2)
    queue = Queue()
    dispatch(records.database, queue, [second])
    assert [sequence for _, _, sequence in queue.calls] == [2]
    assert cursors(records) == {"hear": 3}
    assert dispatch(records.database, queue, [second]) == 0


def test_each_entry_of_its_kinds_is_handed_over_once_in_order(records: Records) -> None:
    happen(records, Rang, Fell, Rang)
    queue = Queue()
    assert dispatch(records.database, queue, [HEAR, SWEEP]) == 3
    assert [(job, sequence) for job, _, sequence in queue.calls] == [
        ("listen", 1),
        ("listen", 3),
        ("sweep_up", 2),
    ]
    with records.look() as reading:
        (first, *_) = ledger.entries(reading.connection)
    assert queue.calls[0][1] == f"hear:{first.key}"
    assert first.key.startswith("1:")
    assert dispatch(records.database, queue, [HEAR, SWEEP]) == 0
    assert len(queue.calls) == 3


def test_two_reactions_to_one_entry_have_two_keys(records: Records) -> None:
    happen(records, Rang)
    queue = Queue()
    dispatch(records.database, queue, [HEAR, BOTH])
    assert len(queue.effects) == 2


@pytest.mark.parametrize("dies_at", range(7))
def test_killed_between_hand_over_and_cursor_nothing_is_lost(
    records: Records, dies_at: int
) -> None:
    happen(records, Rang, Fell, Rang, Fell)
    whole = Queue()
    reactions = [HEAR, SWEEP, BOTH]
    queue = Queue(dies_at=dies_at)
    with pytest.raises(KeyboardInterrupt):
        dispatch(records.database, queue, reactions)
    assert cursors(records) == {}, "a cursor went ahead of a hand-over"
    queue.dies_at = None
    dispatch(records.database, queue, reactions)
    with records.database.write() as connection:
        connection.execute(CURSORS.delete())
    dispatch(records.database, whole, reactions)
    assert queue.effects == whole.effects
    assert len(queue.effects) == 8


def test_a_batch_that_is_full_leaves_the_rest_for_the_next_pass(records: Records) -> None:
    happen(records, *[Rang, Fell] * 5)
    queue = Queue()
    passes = []
    while handed := dispatch(records.database, queue, [HEAR], batch=2):
        passes.append(handed)
    assert passes == [2, 2, 1]
    assert [sequence for *_, sequence in queue.calls] == [1, 3, 5, 7, 9]


def test_a_pass_writes_all_its_cursors_at_once(records: Records) -> None:
    happen(records, Rang, Fell)
    with counted(records.database) as seen:
        dispatch(records.database, Queue(), [HEAR, SWEEP, BOTH])
    assert (seen["transactions"], seen["INSERT"], seen["UPDATE"]) == (2, 1, 0)
    assert cursors(records) == {"hear": 2, "sweep": 2, "both": 2}


def test_an_idle_pass_is_one_read(records: Records) -> None:
    happen(records, Rang)
    dispatch(records.database, Queue(), [HEAR, SWEEP])
    happen(records, Rang)
    dispatch(records.database, Queue(), [HEAR, SWEEP])
    with counted(records.database) as seen:
        assert dispatch(records.database, Queue(), [HEAR, SWEEP]) == 0
    assert seen["transactions"] == 1
    assert set(seen) <= {"transactions", "SELECT", "BEGIN"}
    assert cursors(records) == {"hear": 2}, "what did not occur has nothing to remember"


def test_a_lagging_cursor_skips_nothing(records: Records) -> None:
    happen(records, Rang, Rang, Rang)
    dispatch(records.database, Queue(), [HEAR, SWEEP])
    happen(records, Fell)
    queue = Queue()
    assert dispatch(records.database, queue, [HEAR, SWEEP]) == 1
    assert queue.calls[0][2] == 4


def test_a_pass_that_was_overtaken_does_not_pull_the_cursor_back(records: Records) -> None:
    happen(records, Rang)

    class Slow(Queue):
        def enqueue(self, job_name: str, key: str, args: dict[str, Any]) -> bool:
            happen(records, Rang, Rang)
            dispatch(records.database, Queue(), [HEAR])
            return super().enqueue(job_name, key, args)

    dispatch(records.database, Slow(), [HEAR])
    assert cursors(records) == {"hear": 3}


def test_a_reaction_added_later_sees_all_of_history(records: Records) -> None:
    happen(records, Rang, Fell)
    dispatch(records.database, Queue(), [HEAR])
    queue = Queue()
    assert dispatch(records.database, queue, [HEAR, SWEEP]) == 1


def test_no_reactions_no_work(records: Records) -> None:
    assert dispatch(records.database, Queue(), []) == 0


def test_many_dispatchers_at_once_while_others_write(records: Records) -> None:
    queue, done = Queue(), threading.Event()

    def write() -> None:
        for _ in range(20):
            happen(records, Rang, Fell)

    def spin() -> None:
        while not done.is_set():
            dispatch(records.database, queue, [HEAR, SWEEP], batch=3)

    with ThreadPoolExecutor(6) as pool:
        spinners = [pool.submit(spin) for _ in range(3)]
        writers = [pool.submit(write) for _ in range(3)]
        for writer in writers:
            writer.exception()
        done.set()
    for thread in writers + spinners:
        thread.result()
    while dispatch(records.database, queue, [HEAR, SWEEP]):
        pass
    assert len(queue.effects) == 120
    assert {sequence for *_, sequence in queue.calls} == set(range(1, 121))


def test_a_restored_backup_swallows_no_reaction(records: Records) -> None:
    """Other entries under the same numbers have other keys."""
    happen(records, Rang)
    with records.look() as reading:
        (entry,) = ledger.entries(reading.connection)
    happen(records, Rang)
    with records.look() as reading:
        _, second = ledger.entries(reading.connection)
    assert entry.key.split(":")[1] != second.key.split(":")[1]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.sampled_from(["rang", "fell", "look", "die"]), max_size=14))
def test_whatever_the_order_nothing_is_lost_and_no_cursor_goes_back(
    database: Database, clock: SteppedClock, steps: list[str]
) -> None:
    records = Records(database, clock)
    with records.look() as reading:
        before = ledger.size(reading.connection)
    dispatch(database, Queue(), [HEAR, SWEEP])
    queue, expected, sequence = Queue(), set(), before
    last: dict[str, int] = cursors(records)
    for step in [*steps, "look"]:
        if step in ("rang", "fell"):
            sequence += 1
            happen(records, Rang if step == "rang" else Fell)
            expected.add(sequence)
        else:
            queue.dies_at = len(queue.calls) + 1 if step == "die" else None
            with suppress(KeyboardInterrupt):
                dispatch(database, queue, [HEAR, SWEEP], batch=2)
        now = cursors(records)
        assert all(now[name] >= at for name, at in last.items())
        last = now
    queue.dies_at = None
    while dispatch(database, queue, [HEAR, SWEEP], batch=2):
        pass
    assert {s for *_, s in queue.calls} == expected
