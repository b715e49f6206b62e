"""What we rely on of the database: asserted when it is opened, kept when the disk fails."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from trimtab.kernel.errors import Conflict, InvalidInput, Unavailable
from trimtab.platform.database import (
    Database,
    Json,
    Kind,
    Moment,
    decision_table,
    metadata,
    plain_table,
)

PLAIN = plain_table(
    "test_database_rows",
    Kind.OBSERVATION,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("fill", sa.LargeBinary),
    sa.Column("at", Moment),
    sa.Column("facts", Json),
    sa.Column("name", sa.String(20)),
    sa.CheckConstraint("n >= 0", name="positive"),
)


@pytest.fixture
def opened(either_database: Database) -> Database:
    return either_database


def put(database: Database, n: int, fill: bytes = b"") -> None:
    with database.write() as connection:
        connection.execute(PLAIN.insert(), {"n": n, "fill": fill})


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(PLAIN)).scalar_one()


@pytest.mark.sqlite_only("its pragmas")
def test_every_connection_is_durable(database: Database) -> None:
    with ThreadPoolExecutor(12) as pool:
        barrier = threading.Barrier(12)

        def ask(_: int) -> tuple[Any, ...]:
            with database.read() as connection:
                barrier.wait()
                names = ("journal_mode", "synchronous", "foreign_keys")
                return tuple(
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names
                )

        assert set(pool.map(ask, range(12))) == {("wal", 2, 1)}


def test_a_file_is_opened_with_its_folder(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/folder/t.sqlite")
    assert database.is_sqlite
    assert database.healthy()
    database.close()


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "oracle://h/d"],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Database(url)
    assert refused.value.field == "DATABASE_URL"
    assert refused.value.remedy


@pytest.mark.parametrize("url", ["file::memory:?uri=true"])
def test_memory_by_another_name(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((Unavailable, InvalidInput)):
        Database(f"sqlite:///{url}")


def test_a_place_without_wal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without shared memory SQLite falls back to another journal, and says nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unavailable, match="wal") as refused:
        Database("sqlite:///file:t.sqlite?vfs=unix-none&uri=true")
    assert "WAL" in (refused.value.remedy or "")


def test_readers_then_writers_in_eight_threads_never_meet_a_busy_snapshot(
    opened: Database,
) -> None:
    put(opened, 0)

    def read_then_write(_: int) -> None:
        for _ in range(25):
            with opened.write() as connection:
                row = connection.execute(sa.select(PLAIN.c.id, PLAIN.c.n).with_for_update()).one()
                connection.execute(PLAIN.update().where(PLAIN.c.id == row.id).values(n=row.n + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_then_write, range(8)))
    with opened.read() as connection:
        assert connection.execute(sa.select(PLAIN.c.n)).scalar_one() == 200


def test_a_reading_transaction_sees_one_moment(database: Database) -> None:
    put(database, 1)
    with database.read() as connection:
        query = sa.select(sa.func.count()).select_from(PLAIN)
        assert connection.execute(query).scalar_one() == 1
        put(database, 2)
        assert connection.execute(query).scalar_one() == 1
    assert count(database) == 2


def test_an_exception_leaves_nothing(opened: Database) -> None:
    with pytest.raises(ZeroDivisionError), opened.write() as connection:
        connection.execute(PLAIN.insert(), {"n": 1})
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), opened.write() as connection:
        connection.execute(PLAIN.insert(), {"n": 1})
        raise KeyboardInterrupt
    assert count(opened) == 0


def test_a_constraint_is_a_conflict_and_leaves_nothing(opened: Database) -> None:
    with pytest.raises(Conflict), opened.write() as connection:
        connection.execute(PLAIN.insert(), {"n": 1})
        connection.execute(PLAIN.insert(), {"n": -1})
    assert count(opened) == 0
    assert opened.healthy()


@pytest.fixture
def cramped(database: Database) -> Iterator[dict[str, int]]:
    """The database on a disk with room for so many pages; SQLite itself says when it is full."""
    room = {"pages": 0}
    put(database, 0)

    def limit(connection: Any, *_: Any) -> None:
        if room["pages"]:
            connection.execute(f"PRAGMA max_page_count={room['pages']}").close()

    sa.event.listen(database.engine, "checkout", limit)
    with database.read() as connection:
        room["pages"] = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 2
    yield room
    sa.event.remove(database.engine, "checkout", limit)


@pytest.mark.sqlite_only("how much room a file has is told to SQLite itself")
def test_a_full_disk_refuses_whole_writes_and_heals_by_itself(
    database: Database, cramped: dict[str, int]
) -> None:
    for _ in range(3):
        with pytest.raises(Unavailable, match="full") as refused, database.write() as connection:
            connection.execute(PLAIN.insert(), {"n": 1})
            connection.execute(PLAIN.insert(), {"n": 2, "fill": b"x" * 100_000})
        assert "nothing was written" in (refused.value.remedy or "")
    assert count(database) == 1
    assert database.healthy(), "full is not broken"
    cramped["pages"] = 1_000_000
    put(database, 3, b"x" * 100_000)
    assert count(database) == 2


BROKEN = """
import json, os, resource, sys
import sqlalchemy as sa
from trimtab.kernel.errors import Unavailable
from trimtab.platform.database import Database

database = Database(f"sqlite:///{sys.argv[1]}")

def put(size):
    try:
        with database.write() as connection:
            connection.execute(sa.text("INSERT INTO t VALUES (:x)"), {"x": "x" * size})
    except Unavailable as error:
        return error.message
    return "written"

with database.write() as connection:
    connection.execute(sa.text("CREATE TABLE t (x TEXT)"))
said = {"before": [put(10), put(10)]}
size = os.path.getsize(sys.argv[1] + "-wal")
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
said["broken"] = put(200_000)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
said["after"] = [put(10), put(10)]
said["healthy"] = database.healthy()
with database.read() as connection:
    said["rows"] = connection.execute(sa.text("SELECT count(*) FROM t")).scalar_one()
print(json.dumps(said))
"""


def test_after_an_input_output_error_nothing_more_is_written(tmp_path: Path) -> None:
    """A write that the kernel refuses: what the disk then holds is not known."""
    path = tmp_path / "t.sqlite"
    child = subprocess.run(
        [sys.executable, "-c", BROKEN, str(path)], capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout.splitlines()[-1])
    assert said["before"] == ["written", "written"]
    assert "disk I/O error" in said["broken"]
    assert all("writing has stopped" in message for message in said["after"])
    assert (said["healthy"], said["rows"]) == (False, 2)
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("SELECT count(*) FROM t").fetchone() == (2,)
    raw.close()


KILLED = """
import os, sys
import sqlalchemy as sa
from trimtab.platform.database import Database

database = Database(f"sqlite:///{sys.argv[1]}")
with database.write() as connection:
    connection.execute(sa.text("CREATE TABLE t (x TEXT)"))
for n in range(20):
    with database.write() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES ('x')"))
    print(n, flush=True)
with database.write() as connection:
    connection.execute(sa.text("INSERT INTO t VALUES ('half')"))
    os.kill(os.getpid(), 9)
"""


def test_killed_in_the_middle_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, timeout=60
    )
    assert child.returncode == -9
    acknowledged = len(child.stdout.split())
    database = Database(f"sqlite:///{path}")
    with database.read() as connection:
        rows = connection.execute(sa.text("SELECT x FROM t")).scalars().all()
    assert rows == ["x"] * acknowledged
    database.close()


def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_bytes(b"these are somebody's notes" * 100)
    before = path.read_bytes()
    with pytest.raises((Unavailable, sa.exc.DatabaseError)):
        Database(f"sqlite:///{path}")
    assert path.read_bytes() == before


moments = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001  # the time zones are drawn beside it
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)


@given(moments, moments)
def test_moments_come_back_and_sort_as_text(one: datetime, other: datetime) -> None:
    dialect = sqlite.dialect()
    kept = [Moment().process_bind_param(m, dialect) for m in (one, other)]
    assert [Moment().process_result_value(k, dialect) for k in kept] == [one, other]
    assert (kept[0] < kept[1]) == (one < other)


def test_moments_and_facts_come_back_from_both_databases(opened: Database) -> None:
    at = datetime(2015, 7, 1, 12, 30, 1, 5, tzinfo=timezone(timedelta(hours=2)))
    facts = {"b": {}, "a": [1, 2.5, None, "é", 1e22, -0.0, 1 << 70, "\0"]}
    with opened.write() as connection:
        connection.execute(PLAIN.insert(), {"n": 1, "at": at, "facts": facts})
        connection.execute(PLAIN.insert(), {"n": 2, "at": None, "facts": None})
    with opened.read() as connection:
        rows = connection.execute(sa.select(PLAIN.c.at, PLAIN.c.facts).order_by(PLAIN.c.n)).all()
        nulls = connection.execute(sa.select(PLAIN.c.n).where(PLAIN.c.facts.is_(None))).scalars()
        assert list(nulls) == [2]
    assert [tuple(row) for row in rows] == [(at, facts), (None, None)]
    assert json.dumps(rows[0].facts) == json.dumps(facts), "to the letter: it may be hashed"
    assert rows[0].at.tzinfo == UTC


def test_text_is_ordered_alike_by_both_databases(opened: Database) -> None:
    names = ["a", "B", "A", "é", "_", "a-b", "a_b", "aB", "z", "Z", "ß", "\U0001f600", "\uffee"]
    with opened.write() as connection:
        rows = [{"n": n, "name": name} for n, name in enumerate(names)]
        connection.execute(PLAIN.insert(), rows)
    with opened.read() as connection:
        found = connection.execute(sa.select(PLAIN.c.name).order_by(PLAIN.c.name)).scalars().all()
        after = sa.select(PLAIN.c.name).where(PLAIN.c.name > "Z").order_by(PLAIN.c.name)
        assert list(connection.execute(after).scalars()) == sorted(n for n in names if n > "Z")
        if not opened.is_sqlite:  # the server of the tests has no other language
            asked = "SELECT collation_name FROM information_schema.columns WHERE table_name = :t"
            told = connection.execute(sa.text(asked), {"t": PLAIN.name}).scalars()
            assert set(told) == {"C", None}
    assert found == sorted(names)


def test_tables_say_what_they_hold() -> None:
    with pytest.raises(ValueError, match="decision_table"):
        plain_table("test_database_wrong", Kind.DECISION)
    assert "test_database_wrong" not in metadata.tables
    made = decision_table("test_database_decisions")
    assert made.info["kind"] is Kind.DECISION
    assert set(made.c.keys()) == {"id", "revision"}


def test_a_crowd_waits_for_a_connection_and_is_told_when_none_comes(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'crowd.sqlite'}", pool_timeout_seconds=0.2)
    with ExitStack() as held:
        with pytest.raises(Unavailable, match="every connection") as refused:
            for _ in range(1000):
                held.enter_context(database.read())
        assert refused.value.remedy is not None
        opened = database.engine.pool.checkedout()  # type: ignore[attr-defined]
    assert opened > 40, "fewer than the threads that answer requests"
    assert database.engine.pool.checkedin() == opened  # type: ignore[attr-defined]
    database.close()


def test_a_file_that_is_gone_or_replaced_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "trimtab.sqlite"
    database = Database(f"sqlite:///{path}")
    assert database.healthy()
    path.rename(tmp_path / "aside")
    assert database.state() == "gone"
    path.write_bytes((tmp_path / "aside").read_bytes())
    assert database.state() == "gone", "another file of the same name is not the one that is open"
    path.unlink()
    (tmp_path / "aside").rename(path)
    assert database.healthy()
    database.close()
