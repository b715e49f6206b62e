"""Which digests the records name; whatever they do not name, no decision is about."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from trimtab.platform.database import metadata


def digests(connection: Connection) -> set[str]:
    """Every digest in any column for one, of any table.

    That is more than the digests of blobs, and on purpose: a room that begins to keep
    another blob is heard without being asked, as long as it names the column for it.
    """
    found: set[str] = set()
    for table in metadata.sorted_tables:
        for column in table.columns:
            if is_digest(column.name):
                query = sa.select(column).where(column.is_not(None)).distinct()
                found.update(connection.execute(query).scalars())
    return found


def is_digest(name: str) -> bool:
    """Whether a column of this name holds digests."""
    return name == "digest" or name.endswith("_digest")
