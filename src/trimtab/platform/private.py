"""Files of SQLite for their owner only, whatever the folder and the mask of the process allow.

SQLite gives `-wal` and `-shm` the mode of the database, and makes a database with what the
mask leaves of 0644. So the file is made before SQLite sees it, with the mode it shall have.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import sqlalchemy as sa

from trimtab.platform.logs import logger

log = logger(__name__)

_OTHERS = 0o077


def owner_only(address: sa.URL) -> None:
    """Make the file of a database if it is not there; let nobody but its owner read it.

    What cannot be made or changed is left to SQLite, which says so in its own words.
    """
    name = address.database
    if not name or name.startswith("file:"):
        return
    database = Path(name)
    with contextlib.suppress(OSError):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(database, flags, 0o600))
    for path in (database, Path(f"{name}-wal"), Path(f"{name}-shm")):
        with contextlib.suppress(OSError):
            mode = path.stat().st_mode & 0o7777
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS)
                log.warning("others could read this file; now they cannot", path=str(path))
