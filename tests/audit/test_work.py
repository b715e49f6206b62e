"""Writing is auditing: nothing changes without its entry, and nothing is half-written."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import sqlalchemy as sa

from trimtab.audit import ledger
from trimtab.audit.tables import ENTRIES, HEADS, PAYLOADS
from trimtab.audit.work import Early, Reading, Records, Wanted
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict
from trimtab.kernel.events import Note
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Database, Kind, decision_table, plain_table

THINGS = decision_table("test_things", sa.Column("name", sa.String(40), unique=True))
KEPT = plain_table("test_kept", Kind.OBSERVATION, sa.Column("id", sa.String(9), primary_key=True))
FACTS = plain_table("test_facts", Kind.OBSERVATION, sa.Column("value", sa.Integer))
SOMEBODY = system("test")


@dataclass(frozen=True)
class ThingNamed(Note):
    """A thing has a name."""

    kind: ClassVar[str] = "thing.named"

    name: str = ""


def named(name: str, tenant: str | None = None) -> ThingNamed:
    return ThingNamed(subject="thing", tenant=TenantId(tenant) if tenant else None, name=name)


@pytest.fixture
def records(either_database: Database, clock: SteppedClock) -> Records:
    return Records(either_database, clock)


def count(records: Records, table: sa.Table) -> int:
    with records.look() as reading:
        return reading.connection.execute(
            sa.select(sa.func.count()).select_from(table)
        ).scalar_one()


def test_a_decision_and_its_entry_are_written_together(records: Records) -> None:
    with records.begin(SOMEBODY, reason="because") as work:
        work.create(THINGS, {"id": "a", "name": "first"}, because=named("first", "aa"))
    with records.look() as reading:
        (entry,) = ledger.entries(reading.connection)
    assert (entry.sequence, entry.tenant, entry.tenant_sequence) == (1, "aa", 1)
    assert (entry.kind, entry.reason, entry.data) == ("thing.named", "because", {"name": "first"})
    assert entry.at == records.clock.now()


def test_nothing_is_left_of_a_work_that_fails(records: Records) -> None:
    with pytest.raises(ZeroDivisionError), records.begin(SOMEBODY, reason="r") as work:
        work.create(THINGS, {"id": "a", "name": "first"}, because=named("first"))
        _ = 1 / 0
    assert (count(records, THINGS), count(records, ENTRIES), count(records, PAYLOADS)) == (0, 0, 0)


def test_a_writer_who_did_not_see_the_newest_loses(records: Records) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        work.create(THINGS, {"id": "a", "name": "first"}, because=named("first"))
        work.replace(THINGS, {"id": "a", "name": "second", "revision": 1}, because=named("2"))
    with pytest.raises(Conflict), records.begin(SOMEBODY, reason="r") as work:
        work.replace(THINGS, {"id": "a", "name": "third", "revision": 1}, because=named("3"))
    with records.look() as reading:
        row = reading.row(sa.select(THINGS))
    assert row is not None
    assert (row["name"], row["revision"]) == ("second", 2)
    assert count(records, ENTRIES) == 2


def test_a_constraint_of_the_database_is_a_conflict(records: Records) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        work.create(THINGS, {"id": "a", "name": "same"}, because=named("same"))
    with pytest.raises(Conflict), records.begin(SOMEBODY, reason="r") as work:
        work.create(THINGS, {"id": "b", "name": "same"}, because=named("same"))
    assert count(records, ENTRIES) == 1


def test_decisions_cannot_be_written_without_an_event(records: Records) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        with pytest.raises(TypeError):
            work.append(THINGS, [{"id": "a", "revision": 1, "name": "x"}])
        with pytest.raises(TypeError):
            work.execute(sa.update(THINGS).values(name="x"))
        with pytest.raises(TypeError):
            work.create(FACTS, {"value": 1}, because=named("x"))
        with pytest.raises(TypeError):
            work.append(ENTRIES, [{"sequence": 9}])
        work.append(FACTS, [{"value": 1}])
    assert count(records, FACTS) == 1


@pytest.mark.parametrize("each", [25, pytest.param(1000, marks=pytest.mark.chaos)])
def test_many_writers_leave_one_gap_free_history(records: Records, each: int) -> None:
    def write(writer: int) -> None:
        for i in range(each):
            with records.begin(SOMEBODY, reason="r") as work:
                row = {"id": f"{writer}-{i}", "name": f"{writer}-{i}"}
                work.create(THINGS, row, because=named("x", f"t{writer % 3}"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with records.look() as reading:
        entries = ledger.entries(reading.connection, limit=16 * each)
        assert ledger.size(reading.connection) == 16 * each
        assert ledger.tree(reading.connection).root() == naive_root([e.leaf for e in entries])
    assert [e.sequence for e in entries] == list(range(1, 16 * each + 1))
    for tenant in ("t0", "t1", "t2"):
        own = [e.tenant_sequence for e in entries if e.tenant == tenant]
        assert own == list(range(1, len(own) + 1))


def test_a_reader_never_meets_a_gap_while_others_write(records: Records) -> None:
    done = threading.Event()
    gaps: list[list[int]] = []

    def read() -> None:
        while not done.is_set():
            with records.look() as reading:
                seen = [e.sequence for e in ledger.entries(reading.connection, limit=1000)]
            if seen != list(range(1, len(seen) + 1)):
                gaps.append(seen)

    def write(writer: int) -> None:
        for i in range(30):
            with records.begin(SOMEBODY, reason="r") as work:
                row = {"id": f"{writer}-{i}", "name": f"{writer}-{i}"}
                work.create(THINGS, row, because=named("x"))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert gaps == []


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(ENTRIES).values(actor="usr_somebodyelse"),
        sa.delete(ENTRIES),
        sa.delete(PAYLOADS),
        sa.update(PAYLOADS).values(body=b"{}"),
        sa.text("UPDATE ledger_size SET size = size - 1"),
        sa.text("DELETE FROM ledger_size"),
        sa.text("DELETE FROM ledger_mentions"),
    ],
    ids=lambda s: " ".join(str(s).split()[:3]),
)
def test_the_database_itself_refuses_to_change_history(
    records: Records, statement: sa.Executable
) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        work.create(THINGS, {"id": "a", "name": "first"}, because=named("first"))
    with pytest.raises(Conflict, match="append-only"), records.database.write() as connection:
        connection.execute(statement)


def test_retention_may_blank_a_payload_and_the_header_stays(records: Records) -> None:
    with records.begin(SOMEBODY, reason="r") as work:
        work.create(THINGS, {"id": "a", "name": "first"}, because=named("first"))
    with records.database.write() as connection:
        connection.execute(sa.update(PAYLOADS).values(body=None, salt=None))
    with records.look() as reading:
        (entry,) = ledger.entries(reading.connection)
    assert (entry.kind, entry.data, entry.reason) == ("thing.named", None, None)


def test_every_id_that_an_event_speaks_of_leads_to_its_entry(records: Records) -> None:
    speaking = named("inc-2015-07-01-001")
    with records.begin(SOMEBODY, reason="r") as work:
        work.record(speaking)
        work.record(named("nothing"))
    with records.look() as reading:
        found = ledger.entries(reading.connection, ref="inc-2015-07-01-001")
    assert [e.sequence for e in found] == [1]


def test_only_where_nobody_writes_is_what_was_found_kept(records: Records) -> None:
    def names(reading: Reading, ids: Sequence[str]) -> dict[str, str]:
        asked.append(list(ids))
        rows = reading.rows(sa.select(THINGS).where(THINGS.c.id.in_(ids)))
        return {row["id"]: row["name"] for row in rows}

    asked: list[list[str]] = []
    with records.begin(SOMEBODY, reason="because") as work:
        assert work.get(names, "a") is None
        work.create(THINGS, {"id": "a", "name": "first"}, because=named("first"))
        assert work.get(names, "a") == "first"
    asked.clear()
    with records.look() as look:
        look.fetch([Wanted(names, one) for one in ("a", "b", "a", "c")])
        assert [look.get(names, one) for one in ("a", "b", "c", "d")] == ["first", None, None, None]
        assert look.get(names, "d") is None
    assert asked == [["a", "b", "c", "c"], ["d"]], "as many as some power of two"


def test_what_is_brought_is_there_once_and_goes_with_its_work(records: Records) -> None:
    def bring(early: Early) -> None:
        brought.append(early.bring(KEPT, {"id": "a"}))

    brought: list[bool] = []
    with pytest.raises(ZeroDivisionError), records.begin(SOMEBODY, reason="r", before=bring):
        raise ZeroDivisionError
    for _ in range(2):
        with records.begin(SOMEBODY, reason="r", before=bring):
            pass
    assert brought == [True, True, False]
    assert count(records, KEPT) == 1


def test_no_decision_is_brought(records: Records) -> None:
    def bring(early: Early) -> None:
        early.bring(THINGS, {"id": "a", "revision": 1, "name": "first"})

    with pytest.raises(TypeError), records.begin(SOMEBODY, reason="r", before=bring):
        pass
    assert count(records, THINGS) == 0


def test_the_heads_table_is_frozen_too(records: Records) -> None:
    with records.database.write() as connection:
        connection.execute(HEADS.insert(), {"size": 1, "note": "n"})
    with pytest.raises(Conflict), records.database.write() as connection:
        connection.execute(sa.delete(HEADS))


def naive_root(leaves: list[bytes]) -> bytes:
    import hashlib

    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    pair = naive_root(leaves[:split]) + naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + pair).digest()
