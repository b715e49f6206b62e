"""Bringing a database to the newest schema: all of it or nothing, by one process at a time."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from trimtab.kernel.errors import Unavailable
from trimtab.platform.database import Database

FOLDER = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> list[str]:
    """Run what is missing, in one transaction; return the revisions that were run.

    Safe to repeat, to be killed at any instant, and to be started by several at once: the
    second waits for the lock of writers, then finds nothing to do.

    Raises:
        Unavailable: the database is of a newer release than this program, or another
            migration takes longer than a lock is waited for.
    """
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


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    return config
