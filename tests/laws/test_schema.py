"""The migrated database is the one that the source speaks of, on both databases."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.audit.tables import SIZE, WHOLE
from trimtab.platform import migrate
from trimtab.platform.database import Database, metadata

HINT = "run scripts/write_first_schema.py"


def migrated(url: str) -> Database:
    database = Database(url)
    migrate.upgrade(database)
    return database


def created(url: str) -> Database:
    database = Database(url)
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
    return database


def sqlite_schema(database: Database) -> set[tuple[str, str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql NOT NULL"
    with database.read() as connection:
        rows = connection.execute(sa.text(query)).tuples().all()
    database.close()
    return {(name, " ".join(text.split())) for name, text in rows if "test_" not in name}


def postgresql_schema(database: Database) -> set[tuple[object, ...]]:
    queries = (
        "SELECT table_name, column_name, data_type, is_nullable, character_maximum_length, "
        "collation_name "
        "FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT event_object_table, trigger_name, event_manipulation, action_condition "
        "FROM information_schema.triggers",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) "
        "FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    )
    with database.read() as connection:
        rows = [tuple(row) for q in queries for row in connection.execute(sa.text(q))]
    database.close()
    return {row for row in rows if not str(row[0]).startswith(("alembic", "test_"))}


def test_sqlite_is_migrated_to_what_the_source_says(tmp_path: Path) -> None:
    ours = sqlite_schema(migrated(f"sqlite:///{tmp_path}/a.sqlite"))
    assert ours == sqlite_schema(created(f"sqlite:///{tmp_path}/b.sqlite")), HINT


def test_postgresql_is_migrated_to_what_the_source_says(postgresql: Callable[[], str]) -> None:
    ours = postgresql_schema(migrated(postgresql()))
    assert ours == postgresql_schema(created(postgresql())), HINT


def test_migrating_again_finds_nothing_to_do(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.sqlite")
    assert migrate.upgrade(database) == ["0001"]
    assert migrate.upgrade(database) == []
    database.close()


def test_what_a_start_takes_for_the_newest_is_what_the_migrations_lead_to() -> None:
    """Else a database of the former release would be taken for one of this."""
    assert ScriptDirectory(str(migrate.FOLDER)).get_heads() == [migrate.NEWEST]
