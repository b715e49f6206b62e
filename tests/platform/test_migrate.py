"""Migrations that are cut short, repeated, or come to a database of a newer release."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.databases import CHOICES, SQLITE
from tests.laws.test_schema import postgresql_schema, sqlite_schema

from trimtab.audit.tables import SIZE
from trimtab.kernel.errors import Unavailable
from trimtab.platform import migrate
from trimtab.platform.database import Database

DIES = Path(__file__).with_name("migrate_and_die.py")
WHERE = (
    ("CREATE TABLE alembic_version", 1),
    ("CREATE TABLE", 25),
    ("CREATE TRIGGER", 2),
    ("INSERT INTO alembic_version", 1),
    ("COMMIT", 1),
)
"""Instants of a migration: from before its first statement to after its last."""


@pytest.fixture(params=CHOICES)
def new_address(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """The address of a new, empty database with this name, on both databases."""
    if request.param == SQLITE:
        return lambda name: f"sqlite:///{tmp_path / name}.sqlite"
    create: Callable[[], str] = request.getfixturevalue("postgresql")
    return lambda _name: create()


@contextmanager
def opened(address: str) -> Iterator[Database]:
    database = Database(address)
    try:
        yield database
    finally:
        database.close()


def migrated(address: str) -> tuple[list[list[str]], set[tuple[object, ...]], list[object]]:
    """What two starts, one after the other, have run, and what is there then."""
    with opened(address) as database:
        runs = [migrate.upgrade(database), migrate.upgrade(database)]
        with database.read() as connection:
            sizes: list[object] = [tuple(row) for row in connection.execute(sa.select(SIZE))]
        schema = sqlite_schema if database.is_sqlite else postgresql_schema
        return runs, {*schema(database)}, sizes


def process(address: str, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command over that database, in a process of its own."""
    environment = {**os.environ, "TRIMTAB_HOME": str(home), "DATABASE_URL": address}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_what_was_killed_in_the_middle_is_migrated_whole_by_the_next_start(
    new_address: Callable[[str], str], tmp_path: Path
) -> None:
    undisturbed = migrated(new_address("whole"))
    assert undisturbed[0] == [[migrate.NEWEST], []]
    for number, (fragment, time) in enumerate(WHERE):
        address = new_address(f"killed{number}")
        killed = process(address, tmp_path, str(DIES), fragment, str(time))
        assert killed.returncode == -signal.SIGKILL, (fragment, killed.stderr)
        with opened(address) as database, database.read() as connection:
            assert not sa.inspect(connection).get_table_names(), fragment
        assert migrated(address) == undisturbed, fragment


@pytest.mark.slow
def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(
    new_address: Callable[[str], str], tmp_path: Path
) -> None:
    address = new_address("newer")
    _runs, schema, _sizes = migrated(address)
    with opened(address) as database, database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    said = process(address, tmp_path, "-m", "trimtab", "migrate")
    assert said.returncode != 0
    assert "the database is at revision 9999, which this release does not know" in said.stderr
    assert "run the release that wrote it, or a newer one" in said.stderr
    assert "Traceback" not in said.stderr
    with opened(address) as database:
        with pytest.raises(Unavailable, match="9999"):
            migrate.upgrade(database)
        assert (sqlite_schema if database.is_sqlite else postgresql_schema)(database) == schema
