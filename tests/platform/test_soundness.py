"""A torn page of an SQLite file: found at the start, and told for what it is when it is met."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from trimtab.kernel.errors import Unavailable
from trimtab.platform import soundness
from trimtab.platform.database import Database

ROWS = 2000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two tables and an index, all of many pages."""
    made = tmp_path / "t #1.sqlite"
    with closing(sqlite3.connect(made)) as raw, raw:
        raw.execute("PRAGMA journal_mode=WAL")
        for name in ("one", "two"):
            raw.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, word TEXT, fill BLOB)")
            raw.executemany(
                f"INSERT INTO {name} (word, fill) VALUES (?, ?)",
                [(f"{n:08d}", os.urandom(100)) for n in range(ROWS)],
            )
        raw.execute("CREATE INDEX by_word ON two (word)")
    return made


def tear(path: Path, name: str) -> None:
    """Overwrite the second half of the root page of a table or an index."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        page = raw.execute(query, (name,)).fetchone()[0]
        size = raw.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size + size // 2)
        file.write(random.Random(1).randbytes(size // 2))


def test_a_whole_file_is_whole_and_stays_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    assert soundness.look(path, max_seconds=30) == soundness.Look(None, ())
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert soundness.look(tmp_path / "t.sqlite", max_seconds=30).damage is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["one", "two", "by_word"])
def test_a_torn_page_is_found(path: Path, name: str) -> None:
    tear(path, name)
    seen = soundness.look(path, max_seconds=30)
    assert seen.damage is not None
    assert seen.damage.startswith(f"table {'two' if name == 'by_word' else name}: ")


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"somebody's notes" * 1000])
def test_a_file_that_is_none_of_sqlites(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.sqlite").write_bytes(content)
    seen = soundness.look(tmp_path / "t.sqlite", max_seconds=30)
    assert (seen.damage is None) == (content == b"")  # an empty one is a new one


def test_a_torn_first_page(path: Path) -> None:
    tear(path, "one")
    with path.open("r+b") as file:
        file.write(os.urandom(2048))
    assert soundness.look(path, max_seconds=30).damage is not None


def test_what_there_is_no_time_for_is_named(path: Path) -> None:
    seen = soundness.look(path, max_seconds=0, last=["one"])
    assert (seen.damage, seen.unseen) == (None, ("two", "one"))


def ask(database: Database, query: str) -> None:
    with database.read() as connection:
        connection.execute(sa.text(query)).all()


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("one", "SELECT * FROM one"),
        ("by_word", "SELECT word FROM two WHERE word > '00000100'"),
    ],
)
def test_damage_that_is_met_stops_all_writing(path: Path, name: str, query: str) -> None:
    database = Database(f"sqlite:///{path}")
    assert database.state() == "connected"
    tear(path, name)
    database.engine.dispose()  # or the pages would come from memory
    with pytest.raises(Unavailable, match="damaged") as met:
        ask(database, query)
    assert "docs/operations.md" in (met.value.remedy or "")
    assert (database.state(), database.healthy()) == ("damaged", False)
    with pytest.raises(Unavailable, match="writing has stopped") as refused, database.write():
        raise AssertionError("it began to write")
    assert refused.value.remedy == met.value.remedy
    ask(database, "SELECT count(*) FROM sqlite_schema")  # what can be read is read
    database.close()


def test_damage_that_is_met_while_writing_leaves_nothing(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    tear(path, "by_word")
    database.engine.dispose()
    with pytest.raises(Unavailable, match="damaged"), database.write() as connection:
        connection.execute(sa.text("INSERT INTO one (word) VALUES ('before')"))
        for n in range(200):
            connection.execute(
                sa.text("INSERT INTO two (word) VALUES (:word)"), {"word": f"{n * 10:08d}x"}
            )
    assert database.state() == "damaged"
    with database.read() as connection:
        found = connection.execute(sa.text("SELECT count(*) FROM one")).scalar_one()
    assert found == ROWS
    database.close()


def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_bytes(b"these are somebody's notes" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        Database(f"sqlite:///{path}")


def test_words_of_a_caller_are_no_damage(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    with pytest.raises(sa.exc.OperationalError, match="malformed JSON"):
        ask(database, "SELECT json('{database disk image is malformed')")
    assert database.state() == "connected"
    database.close()
