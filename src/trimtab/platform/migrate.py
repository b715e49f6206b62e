"""Bringing a database to the newest schema: all of it or nothing, by one process at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from trimtab.kernel.errors import Unavailable
from trimtab.platform.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"

NEWEST = "0001"
"""The revision that `migrations` leads to. Most starts find it in the database, and then neither
load Alembic, which takes longer than all the rest of them, nor wait for the lock of writers."""

_VERSION = "alembic_version"


def upgrade(database: Database) -> list[str]:
    """Run what is missing, in one transaction; return the revisions that were run.

    Safe to repeat, to be killed at any instant, and to be started by several at once: the
    second waits for the lock of writers, then finds nothing to do.

    Raises:
        Unavailable: the database is of a newer release than this program, or another
            migration takes longer than a lock is waited for.
    """
    if _revisions(database) == [NEWEST]:
        return []
    from alembic import command  # see NEWEST
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with database.write() as connection:
        if not database.is_sqlite:
            # However long it takes: half a schema is none.
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        before = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in scripts.walk_revisions()}
        if before is not None and before not in known:
            raise Unavailable(
                f"the database is at revision {before}, which this release does not know",
                remedy="run the release that wrote it, or a newer one",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    newer = list(scripts.iterate_revisions("head", before or "base"))
    return [script.revision for script in reversed(newer) if script.revision != before]


def _revisions(database: Database) -> list[str]:
    """What the database says that it is at; nothing where it has no schema yet."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table(_VERSION):
            return []
        query = sa.text(f"SELECT version_num FROM {_VERSION}")
        return list(connection.execute(query).scalars())


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    return config
