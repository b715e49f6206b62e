"""Whether an SQLite file is whole: the pages of its tables and indexes, before they are used.

SQLite looks at a page when it needs it, so a page that a disk has torn may be met weeks
after the start, by one list of one page, while everything else goes on being written.
The look opens the file for reading only: a log (`-wal`) that does not belong to it stays
beside it, and is not copied into it for ever.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

REMEDY = (
    "stop the process, keep the files as they are, and restore a backup: see the section on "
    "a damaged database in docs/operations.md"
)

_STEPS = 1000  # of SQLite's machine, between two looks at the clock
_BUSY_SECONDS = 30.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class Look:
    """What was found: the damage, if any, and the tables that there was no time for."""

    damage: str | None
    unseen: tuple[str, ...]


def look(path: Path, *, max_seconds: float, last: Collection[str] = ()) -> Look:
    """Look at every table with its indexes, until the first damage or until time is up.

    Args:
        path: The file. One that is not there is whole.
        max_seconds: By the wall clock. A machine that holds the file in memory looks at
            about 250 MiB in a second; from a disk it is the disk's pace.
        last: Tables to leave for the end, if time is short.

    Raises:
        OSError, sqlite3.OperationalError: the file cannot be opened.
    """
    if not path.exists():
        return Look(None, ())
    deadline = time.monotonic() + max_seconds
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as connection:
        try:
            return _look(connection, deadline, last)
        except sqlite3.DatabaseError as error:
            if not damaged(error):
                raise
            return Look(str(error), ())


def damaged(error: BaseException | None) -> bool:
    """Whether SQLite says with this error that the file is not what it wrote."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def _look(connection: sqlite3.Connection, deadline: float, last: Collection[str]) -> Look:
    names = [
        str(name)
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    ]
    names.sort(key=lambda name: (name in last, name))
    # Only now, for what was not looked at is told by its name.
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    for place, name in enumerate(names):
        if time.monotonic() > deadline:
            return Look(None, tuple(names[place:]))
        try:
            found = _quick_check(connection, name)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return Look(None, tuple(names[place:]))
        if found != "ok":
            return Look(f"table {name}: {found}", ())
    return Look(None, ())


def _quick_check(connection: sqlite3.Connection, name: str) -> str:
    """`ok`, or the first thing that is wrong with a table or one of its indexes."""
    quoted = name.replace("'", "''")
    try:
        (found,) = connection.execute(f"PRAGMA quick_check('{quoted}')").fetchone()
    except sqlite3.DatabaseError as error:
        if not damaged(error):
            raise
        return str(error)
    return str(found).splitlines()[-1]
