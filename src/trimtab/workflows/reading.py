"""When other registries are read: turns of the job engine, lag, and what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from trimtab.audit.work import Reading
from trimtab.integrations import inbox
from trimtab.inventory import connection_store
from trimtab.inventory.model import Health
from trimtab.kernel.clock import iso
from trimtab.workflows import registries
from trimtab.workflows.ingest import INGEST, Ingest
from trimtab.workflows.inspecting import Inspector
from trimtab.workflows.inventoried import lag_of
from trimtab.workflows.parts import Parts

_TEAM = "platform"


def due(parts: Parts, reading: Reading) -> Sequence[tuple[str, str]]:
    """Connections that are to be read by now; of one tenant half as many at a time as there are
    places, so that its slow registries hold up nobody else's."""
    most = max(1, parts.settings.jobs_at_once // 2)
    found, taken = list[tuple[str, str]](), Counter[str | None]()
    for one in connection_store.running(reading, reading.now):
        taken[one.tenant] += 1
    for connection_id, at in connection_store.due(reading, reading.now):
        tenant = connection_store.get(reading, connection_id).tenant
        if tenant is None or taken[tenant] < most:
            taken[tenant] += 1
            found.append((connection_id, iso(at)))
    return found


def turn(parts: Parts, connection_id: str) -> None:
    """Read one registry, as much of it as is due."""
    with parts.records.look() as reading:
        if connection_store.get(reading, connection_id).paused:
            return
    cycle = Ingest(parts, stopping=parts.leaving.is_set)
    cycle.cycle(connection_id, lambda connection: registries.open_registry(parts, connection))


def inspect(parts: Parts, connection_id: str) -> None:
    """Look into files that nobody has looked into, until the connection is removed."""

    def stopping() -> bool:
        with parts.records.look() as reading:
            gone = connection_store.get(reading, connection_id).removed_at is not None
        return gone or parts.leaving.is_set()

    if stopping():
        return
    inspector = Inspector(parts, stopping=stopping)
    inspector.inspect(connection_id, lambda connection: registries.open_registry(parts, connection))


def lagging(parts: Parts, reading: Reading) -> Sequence[tuple[str, str]]:
    """Connections whose records have grown older than they may be, and of which nobody was told
    since they were seen in full."""
    limit = timedelta(minutes=parts.settings.sync_lag_minutes)
    found = connection_store.behind(reading, reading.now - limit)
    messages = {connection: _message(reading, connection) for connection in found}
    sent = inbox.sent(reading, list(messages.values()))
    return [(one, reading.moment) for one, message in messages.items() if message not in sent]


def note_lag(parts: Parts, connection_id: str) -> None:
    """Say that a registry was not seen in full for too long, to whoever runs the platform."""
    limit = timedelta(minutes=parts.settings.sync_lag_minutes)
    with parts.records.begin(INGEST, reason="it lags") as work:
        connection = connection_store.get(work, connection_id)
        state = connection_store.state(work, connection_id)
        lag = lag_of(connection, state, work.now)
        if lag is None or lag <= limit:
            return
        why = f"it was not read in full for {lag.total_seconds() / 60:.0f} minutes"
        if connection.health is not Health.FAILING:  # which says more
            moved = connection.felt(Health.LAGGING, why)
            if moved is not None:
                connection_store.save(work, *moved)
        text = f"{connection.name} lags: {why}; {limit.total_seconds() / 60:.0f} are allowed"
        inbox.send(
            work,
            _message(work, connection_id),
            team=_TEAM,
            text=text,
            tenant=connection.tenant,
        )


def _message(reading: Reading, connection_id: str) -> str:
    """The message about this lag, and not about the one before or after it."""
    seen_at = connection_store.state(reading, connection_id).seen_at
    return f"lag-{connection_id}-{'never' if seen_at is None else iso(seen_at)}"
