"""The inventory as people need it: what other registries hold, now or as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trimtab.audit.work import Reading
from trimtab.inventory import connection_store, service, store
from trimtab.inventory.connection_store import State
from trimtab.inventory.model import Connection, Entry, Placement, Sync
from trimtab.inventory.store import Filter, Tally
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotFound
from trimtab.workflows import messages
from trimtab.workflows.connections import visible, visible_record
from trimtab.workflows.parts import Parts

_MOST_REVISIONS = 500


@dataclass(frozen=True)
class ConnectionView:
    """A connection, how reading it goes, and what it has brought.

    `lag` is for how long the registry was not seen in full; None: nobody asks for it to be, as
    of a connection that is paused. `limit` is how long that may be. `messages` is where its
    registry may send them.
    """

    connection: Connection
    state: State
    last: Sync | None
    lag: timedelta | None
    limit: timedelta
    tally: Tally
    messages: str = ""

    @property
    def lagging(self) -> bool:
        """Whether what is on record is older than it may be."""
        return self.lag is not None and self.lag > self.limit


@dataclass(frozen=True)
class Move:
    """What happened to a version, as far as it was seen: `at` is when.

    `before` None: it was seen for the first time. `fields` are those that changed; `what` is
    `added`, `moved`, `changed`, `inspected`, `removed` or `returned`.
    """

    at: datetime
    number: int
    what: str
    before: Placement | None
    after: Placement
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RecordView:
    """A record, as it stands or stood, and the connection that it came by."""

    entry: Entry
    connection: Connection
    moment: datetime | None


def connections(
    reading: Reading,
    parts: Parts,
    actor: Actor,
    *,
    removed: bool = False,
    after: str = "",
    limit: int = 1000,
) -> list[ConnectionView]:
    """The connections that are the actor's to see, oldest first; or those that were removed."""
    found = connection_store.connections(
        reading, tenant=actor.tenant, removed=removed, after=after, limit=limit
    )
    return [_view(reading, parts, connection) for connection in found]


def connection(reading: Reading, parts: Parts, actor: Actor, connection_id: str) -> ConnectionView:
    """One connection.

    Raises:
        NotFound: there is none of the actor's.
    """
    return _view(reading, parts, visible(reading, actor, connection_id))


def lag_of(found: Connection, state: State, now: datetime) -> timedelta | None:
    """For how long a registry was not seen in full; None where nobody reads it."""
    return None if found.paused else now - (state.seen_at or found.created_at)


def inventory(
    reading: Reading,
    actor: Actor,
    wanted: Filter,
    *,
    moment: datetime | None = None,
    after: tuple[str, int, str] | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Records by model, newest version first, as they stand, or stood at `moment`."""
    return store.listed(
        reading, wanted, tenant=actor.tenant, moment=moment, after=after, limit=limit
    )


def tally(
    reading: Reading, actor: Actor, wanted: Filter, *, moment: datetime | None = None
) -> Tally:
    """Counts of what `inventory` lists."""
    return store.tally(reading, wanted, tenant=actor.tenant, moment=moment)


def record(
    reading: Reading, actor: Actor, record_id: str, *, moment: datetime | None = None
) -> RecordView:
    """One record, as it stands, or stood at `moment`.

    Raises:
        NotFound: there is none of the actor's, or it was not known then.
    """
    head = visible_record(reading, actor, record_id)
    entry = store.at(reading, head.id, moment)
    found = connection_store.get(reading, head.connection)
    if entry is None:
        since = store.first_seen(reading, head.id)
        raise NotFound(
            f"this version was not known then: it was seen first at {since:%Y-%m-%d %H:%M} UTC",
            field="as_of",
            remedy="ask for a later moment; what was before, its registry alone can tell",
        )
    return RecordView(entry, found, moment)


def history(reading: Reading, actor: Actor, record_id: str) -> list[Move]:
    """What happened to a version, newest first, so many moves at most as `_MOST_REVISIONS` says.

    Raises:
        NotFound: there is none of the actor's.
    """
    head = visible_record(reading, actor, record_id)
    found = store.revisions(reading, head.id, limit=_MOST_REVISIONS + 1)
    older = [*found[1:], None]
    return [_move(before, entry) for before, entry in zip(older, found, strict=True)][
        :_MOST_REVISIONS
    ]


def syncs(
    reading: Reading,
    actor: Actor,
    connection_id: str,
    *,
    before: str | None = None,
    limit: int = 100,
) -> list[Sync]:
    """Cycles of reading a registry, newest first.

    Raises:
        NotFound: there is no such connection of the actor's.
    """
    found = visible(reading, actor, connection_id)
    return connection_store.syncs(reading, found.id, before=before, limit=limit)


def place_of(entry: Entry) -> tuple[str, int, str]:
    """Where the next page of `inventory` goes on."""
    return store.stored_name(entry.record.model), entry.record.version, entry.id


def _view(reading: Reading, parts: Parts, found: Connection) -> ConnectionView:
    state = connection_store.state(reading, found.id)
    last: Sequence[Sync] = connection_store.syncs(reading, found.id, limit=1)
    return ConnectionView(
        found,
        state,
        last[0] if last else None,
        lag_of(found, state, reading.now),
        timedelta(minutes=parts.settings.sync_lag_minutes),
        store.tally(reading, Filter(connection=found.id)),
        messages.address(parts.settings, found.id),
    )


def _move(before: Entry | None, after: Entry) -> Move:
    now = Placement.of(after.record)
    if before is None:
        return Move(after.since, after.number, "added", None, now, ())
    was = Placement.of(before.record)
    fields = tuple(service.changed_fields(before.record, after.record))
    if before.removed != after.removed:
        what = "removed" if after.removed else "returned"
    elif was != now:
        what = "moved"
    elif before.inspection != after.inspection and after.inspection is not None:
        what = "inspected"
    else:
        what = "changed" if fields else "judged anew"
    return Move(after.since, after.number, what, was, now, fields)
