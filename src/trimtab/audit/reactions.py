"""The ledger is the outbox: a reaction is a name and a cursor.

For every entry of a kind that a reaction waits for, its job is handed to the durable
engine under the key `reaction:sequence:entry-hash`. The cursor moves after the hand-over,
so delivery is at least once; the key makes the effect once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from trimtab.audit import ledger
from trimtab.audit.tables import CURSORS
from trimtab.platform.database import Database


@dataclass(frozen=True)
class Reaction:
    """Run `job` for every entry of one of `kinds`. The name never changes once released."""

    name: str
    kinds: tuple[str, ...]
    job: str


class Enqueue(Protocol):
    """The one thing that is needed of the durable engine."""

    def enqueue(self, job_name: str, key: str, args: dict[str, Any]) -> bool:
        """Hand over a job under a key; the same key again is a no-op."""
        ...


def dispatch(
    database: Database, engine: Enqueue, reactions: Sequence[Reaction], *, batch: int = 500
) -> int:
    """Hand over what has happened since each reaction last looked; return how much.

    Safe to repeat, to be killed at any instant, and to run twice at once.
    """
    handed = 0
    for reaction in reactions:
        handed += _dispatch_one(database, engine, reaction, batch)
    return handed


def _dispatch_one(database: Database, engine: Enqueue, reaction: Reaction, batch: int) -> int:
    with database.read() as connection:
        cursor = connection.execute(
            sa.select(CURSORS.c.sequence).where(CURSORS.c.name == reaction.name)
        ).scalar()
        newest = ledger.size(connection)
        if cursor is not None and cursor >= newest:
            return 0
        waiting = ledger.entries(connection, after=cursor or 0, kinds=reaction.kinds, limit=batch)
    for entry in waiting:
        engine.enqueue(reaction.job, f"{reaction.name}:{entry.key}", {"sequence": entry.sequence})
    reached = waiting[-1].sequence if len(waiting) == batch else newest
    with database.write() as connection:
        if cursor is None:
            connection.execute(CURSORS.insert(), {"name": reaction.name, "sequence": reached})
        else:
            connection.execute(
                CURSORS.update()
                .where(CURSORS.c.name == reaction.name, CURSORS.c.sequence < reached)
                .values(sequence=reached)
            )
    return len(waiting)
