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
_LOCK = 7_141_592_653  # of PostgreSQL's advisory locks: ours for migrations


def upgrade(database: Database) -> list[str]:
    """Run what is missing, in one transaction; return the revisions that were run.

    Safe to repeat, to be killed at any instant, and to be started by several at once: the
    second waits, then finds nothing to do.

    Raises:
        Unavailable: the database is of a newer release than this program.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
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
