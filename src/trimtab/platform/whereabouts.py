"""Whether the records of an installation lie where the settings say, asked before anything would
make empty ones there: of those everything is true, and nothing is left of what was. And where its
control plane is asked."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from trimtab.kernel.errors import IntegrityFailed, NotFound
from trimtab.platform.logs import logger
from trimtab.platform.settings_model import Settings

log = logger(__name__)

_SERVED = "served"
_ELSEWHERE = "if they are on PostgreSQL, set DATABASE_URL to that database"


def demand_records(settings: Settings) -> None:
    """Make sure that there are records, for who only looks at them.

    Raises:
        NotFound: the file that holds them is not there, or is empty.
    """
    file = records_file(settings)
    if file is not None and not (_has_bytes(file) and _has_tables(file)):
        raise NotFound(
            f"there are no records at {file}",
            remedy=f"set TRIMTAB_HOME to the data folder (`make up` has ./var); {_ELSEWHERE}",
        )


def demand_no_others(settings: Settings) -> None:
    """Make sure, before a first start makes records, that this home never had any.

    Raises:
        IntegrityFailed: heads of a ledger were published here, and there are no records.
    """
    file, heads = records_file(settings), settings.home / "heads"
    # One without tables may be what is left of a log that was taken away: the heads tell that.
    if file is not None and not _has_bytes(file) and any(heads.glob("*.note")):
        raise IntegrityFailed(
            f"heads of a ledger were published in {heads}, and there are no records at {file}",
            remedy=f"{_ELSEWHERE}; if they are lost, restore a backup",
        )


def note_served(settings: Settings) -> None:
    """Leave in the data folder where its control plane is asked, for commands in other terminals:
    they know nothing of a port that was given to `serve`. Where there is no room for it, a control
    plane does without."""
    fresh = settings.home / f"{_SERVED}.{os.getpid()}"  # another one may start at the same time
    try:
        fresh.write_text(settings.public_origin(), "utf-8")
        fresh.replace(settings.home / _SERVED)
    except OSError as error:
        log.warning("where this is asked could not be noted", why=str(error))


def served_at(settings: Settings) -> str:
    """Where the control plane of this data folder is asked: as the settings say, or, where they
    leave it open, where the last one that was started here has noted."""
    port = Settings.model_fields["port"].default
    file = settings.home / _SERVED
    if settings.origin is not None or settings.port != port:
        return settings.public_origin()
    try:
        noted = file.read_text("utf-8", errors="replace").strip()
    except OSError:  # nothing was noted, or not for whoever asks
        return settings.public_origin()
    return noted if noted.startswith(("http://", "https://")) else settings.public_origin()


def records_file(settings: Settings) -> Path | None:
    """The file of SQLite that is to hold the records; None where a server has them, which says by
    itself what is not there."""
    url = sa.make_url(settings.database())
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _has_bytes(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _has_tables(file: Path) -> bool:
    try:
        address = f"file:{quote(str(file.resolve()))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            query = "SELECT 1 FROM sqlite_master LIMIT 1"
            return connection.execute(query).fetchone() is not None
    except sqlite3.Error:
        return True  # what is wrong with it is found out by who opens it
