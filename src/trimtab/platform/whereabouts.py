"""Whether the records of an installation lie where the settings say, asked before anything would
make empty ones there: of those everything is true, and nothing is left of what was."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from trimtab.kernel.errors import IntegrityFailed, NotFound
from trimtab.platform.settings_model import Settings

_ELSEWHERE = "if they are on PostgreSQL, set DATABASE_URL to that database"


def demand_records(settings: Settings) -> None:
    """Make sure that there are records, for who only looks at them.

    Raises:
        NotFound: the file that holds them is not there, or is empty.
    """
    if (file := _without_records(settings)) is not None:
        raise NotFound(
            f"there are no records at {file}",
            remedy=f"set TRIMTAB_HOME to the data folder (`make up` has ./var); {_ELSEWHERE}",
        )


def demand_no_others(settings: Settings) -> None:
    """Make sure, before a first start makes records, that this home never had any.

    Raises:
        IntegrityFailed: heads of a ledger were published here, and there are no records.
    """
    file, heads = _without_records(settings), settings.home / "heads"
    if file is not None and any(heads.glob("*.note")):
        raise IntegrityFailed(
            f"heads of a ledger were published in {heads}, and there are no records at {file}",
            remedy=f"{_ELSEWHERE}; if they are lost, restore a backup",
        )


def _without_records(settings: Settings) -> Path | None:
    """The file of SQLite that should hold the records and does not; None where it does, or where
    a server has them, which says so by itself."""
    url = sa.make_url(settings.database())
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    file = Path(url.database)
    return None if file.exists() and _has_tables(file) else file


def _has_tables(file: Path) -> bool:
    try:
        address = f"file:{quote(str(file.resolve()))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            query = "SELECT 1 FROM sqlite_master LIMIT 1"
            return connection.execute(query).fetchone() is not None
    except sqlite3.Error:
        return True  # what is wrong with it is found out by who opens it
