"""From an entry back to where its story began, as the ledger alone tells it.

An entry names its cause. What a sweep writes has none: it takes up a thing that is under way
(an incident, a remedy, a rollout, a window), and belongs to the story in which that thing
came up. So does what was seen in a window. All of it stands in the ledger, so that every
process comes to the same beginning, today and years later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.tables import ENTRIES, MENTIONS

MOST_HOPS = 1000
"""Entries that are gone back over; a story is shorter."""

_EPISODE = re.compile(r"(?:win|rem|ret|rol|apr|apm|dia|chk)_[0-9a-z]{16}\Z|inc-\d{4}-\d{2}-\d{2}-")
"""Ids of what comes up, takes its course and is over; people, models and watches stay."""


def beginning(connection: Connection, entry: Entry) -> Entry:
    """The entry that the story of `entry` begins with; itself, if it does."""
    return [entry, *_back(connection, entry)][-1]


def before(connection: Connection, entry: Entry) -> Entry | None:
    """The entry that `entry` goes back to, one step; None where it begins a story."""
    first = begun_with(connection, entry.subject)
    if first is not None and first.sequence < entry.sequence:
        return first
    if entry.cause is not None:
        return numbered(connection, entry.cause)
    window = (entry.data or {}).get("window")
    first = begun_with(connection, window) if isinstance(window, str) else None
    return first if first is not None and first.sequence < entry.sequence else None


def begun_with(connection: Connection, subject: str) -> Entry | None:
    """The first entry about an episode; None where there is none, or where it is no episode."""
    if not _EPISODE.match(subject):
        return None
    first = sa.select(sa.func.min(ENTRIES.c.sequence)).where(
        ENTRIES.c.sequence == MENTIONS.c.sequence,
        MENTIONS.c.ref == subject,
        ENTRIES.c.subject == subject,
    )
    number = connection.execute(first).scalar_one()
    return None if number is None else numbered(connection, int(number))


def numbered(connection: Connection, sequence: int) -> Entry | None:
    """The entry of this number, if there is one."""
    found = ledger.entries(connection, after=sequence - 1, before=sequence + 1, limit=1)
    return found[0] if found else None


def _back(connection: Connection, entry: Entry) -> Iterator[Entry]:
    at: Entry | None = entry
    for _ in range(MOST_HOPS):
        assert at is not None
        at = before(connection, at)
        if at is None:
            return
        yield at
