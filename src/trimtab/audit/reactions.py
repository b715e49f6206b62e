"""The ledger is the outbox: a reaction is a name and a cursor.

For every entry of a kind that a reaction waits for, its job is handed to the durable
engine under the key `reaction:sequence:entry-hash`. The cursor moves after the hand-over,
so delivery is at least once; the key makes the effect once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.tables import CURSORS, ENTRIES
from trimtab.platform.database import Database


def each(_: Entry) -> bool:
    """No entry is passed."""
    return True


@dataclass(frozen=True)
class Reaction:
    """Run `job` for every entry of one of `kinds` that is wanted. The name never changes once
    released."""

    name: str
    kinds: tuple[str, ...]
    job: str
    wanted: Callable[[Entry], bool] = each
    """Spares a job, which costs many times what this does. Where an entry does not say what it
    takes to know, it is wanted: the job looks at the records."""


class Enqueue(Protocol):
    """The one thing that is needed of the durable engine."""

    def enqueue(self, job_name: str, key: str, args: dict[str, Any]) -> bool:
        """Hand over a job under a key; the same key again is a no-op."""
        ...


def dispatch(
    database: Database, engine: Enqueue, reactions: Sequence[Reaction], *, batch: int = 500
) -> int:
    """Hand over what has happened since each reaction last looked; return how much that was.

    Safe to repeat, to be killed at any instant, and to run twice at once. All cursors that
    move are written in one transaction, after the last hand-over; the cursor of a reaction
    whose kinds did not occur stays where it is, so a pass with nothing to do reads once
    and writes nothing.

    Args:
        database: Holds the ledger and the cursors.
        engine: Takes the jobs.
        reactions: With distinct names.
        batch: Most entries for each reaction in one pass.
    """
    with database.read() as connection:
        newest = ledger.size(connection)
        waiting = {
            reaction: ledger.entries(connection, after=cursor, kinds=reaction.kinds, limit=batch)
            for reaction, cursor in _behind(connection, reactions)
        }
    reached = {}
    for reaction, entries in waiting.items():
        for entry in entries:
            if reaction.wanted(entry):
                key = f"{reaction.name}:{entry.key}"
                engine.enqueue(reaction.job, key, {"sequence": entry.sequence})
        reached[reaction.name] = entries[-1].sequence if len(entries) == batch else newest
    if reached:
        with database.write() as connection:
            _advance(connection, reached)
    return sum(len(entries) for entries in waiting.values())


def _behind(connection: Connection, reactions: Sequence[Reaction]) -> list[tuple[Reaction, int]]:
    """The reactions that have something to do, each with its cursor: one query for all."""
    if not reactions:
        return []
    by_name = {reaction.name: reaction for reaction in reactions}
    found = connection.execute(_looks(tuple(reactions))).all()
    return [(by_name[row.name], row.cursor) for row in found]


@cache
def _looks(reactions: tuple[Reaction, ...]) -> sa.CompoundSelect[Any]:
    """Name and cursor of those behind; built once, since an idle process asks all day."""
    looks = [
        sa.select(sa.literal(reaction.name).label("name"), cursor.label("cursor")).where(
            sa.exists().where(ENTRIES.c.kind.in_(reaction.kinds), ENTRIES.c.sequence > cursor)
        )
        for reaction in reactions
        for cursor in [_cursor(reaction.name)]
    ]
    return sa.union_all(*looks)


def _cursor(name: str) -> sa.ColumnElement[int]:
    kept = sa.select(CURSORS.c.sequence).where(CURSORS.c.name == name).scalar_subquery()
    return sa.func.coalesce(kept, 0)


def _advance(connection: Connection, reached: dict[str, int]) -> None:
    """Move cursors forward, never back: another pass may have come further meanwhile."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    fresh = insert(CURSORS).values(
        [{"name": name, "sequence": sequence} for name, sequence in sorted(reached.items())]
    )
    connection.execute(
        fresh.on_conflict_do_update(
            index_elements=[CURSORS.c.name],
            set_={"sequence": fresh.excluded.sequence},
            where=CURSORS.c.sequence < fresh.excluded.sequence,
        )
    )
