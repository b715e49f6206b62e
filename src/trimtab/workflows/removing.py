"""A connection that is removed: nobody reads its registry any more, and what it brought counts no
more. All of it is kept as it was, for whoever looks at the past."""

from __future__ import annotations

from trimtab.audit.work import Reading, Work
from trimtab.identity.reach import demand_say
from trimtab.inventory import connection_store, lineage_store, service, sighting_store, store
from trimtab.inventory.model import Connection, SyncPhase
from trimtab.inventory.store import Filter
from trimtab.kernel.actor import Actor, system
from trimtab.workflows.connections import visible
from trimtab.workflows.parts import Parts, Then, nothing_more

_TOGETHER = 100
"""Records that are put away in one transaction; others who write wait for so many."""
_WHY = "its connection was removed"


def remove(
    parts: Parts,
    actor: Actor,
    connection_id: str,
    *,
    reason: str,
    then: Then[Connection] = nothing_more,
) -> Connection:
    """Read a registry no more for good. Its cycle, if one is under way, has ended with this; its
    first records count no more at once, the others soon. Safe to repeat.

    Raises:
        NotFound: there is no such connection of the actor's.
    """
    with parts.records.begin(actor, reason=reason) as work:
        connection = visible(work, actor, connection_id)
        demand_say(actor, connection.tenant)
        if connection.removed_at is None:
            connection = connection_store.save(work, *connection.remove(work.now))
            _end_cycles(work, connection)
            _put_away(work, connection.id)
        then(work, connection)
        return connection


def due(reading: Reading) -> list[tuple[str, str]]:
    """Removed connections with records that count still."""
    waiting = list[tuple[str, str]]()
    for connection in connection_store.every(reading, removed=True):
        left = store.listed(reading, Filter(connection=connection.id), limit=1)
        if left:
            waiting.append((connection.id, left[0].id))
    return waiting


def turn(parts: Parts, connection_id: str) -> None:
    """Put away what is left of a removed connection."""
    some = True
    while some:
        with parts.records.begin(system("ingest"), reason=_WHY) as work:
            some = _put_away(work, connection_id)


def _end_cycles(work: Work, connection: Connection) -> None:
    for sync in connection_store.syncs(work, connection.id, phase=SyncPhase.RUNNING):
        ended = sync.end(SyncPhase.FAILED, work.now, sync.counts, sync.failures, _WHY)
        connection_store.save_sync(work, *ended)
    connection_store.move_state(work, connection.id, due_at=None, asked={}, progress={})


def _put_away(work: Work, connection: str) -> bool:
    """Let some records count no more; whether there may be others."""
    found = store.listed(work, Filter(connection=connection), limit=_TOGETHER)
    for entry in found:
        service.disconnect(work, entry)
        sighting_store.forget(work, entry.id)
        lineage_store.end_all(work, entry.id)
    return len(found) == _TOGETHER
