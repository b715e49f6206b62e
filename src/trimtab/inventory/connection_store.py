"""Rows of connections, of cycles of reading, and of when the next one is due."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.inventory.model import (
    Auth,
    Connection,
    ConnectionCreated,
    Counts,
    Failure,
    Health,
    Mode,
    Scope,
    Sync,
    SyncPhase,
    SyncStarted,
)
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event, plain
from trimtab.kernel.ids import TenantId, new_id
from trimtab.platform.database import Json, Kind, Moment, decision_table, plain_table

CONNECTIONS = decision_table(
    "connections",
    sa.Column("tenant", sa.String(80)),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("mode", sa.String(10), nullable=False),
    sa.Column("auth", Json, nullable=False),
    sa.Column("networks", Json, nullable=False),
    sa.Column("tag_map", Json),
    sa.Column("webhook", sa.String(200)),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("health", sa.String(10), nullable=False),
    sa.Column("health_reason", sa.Text, nullable=False),
    sa.Column("server", sa.Text, nullable=False),
    sa.Column("identity", sa.Text, nullable=False),
    sa.Column("may_write", sa.Boolean),
    sa.Column("warnings", Json, nullable=False),
    sa.Column("created_by", sa.String(80), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("removed_at", Moment),
    sa.Index(
        "uq_connections_name",
        sa.text("coalesce(tenant, '')"),
        sa.column("name"),
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    ),
)

SYNCS = decision_table(
    "syncs",
    sa.Column("connection", sa.String(80), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("scope", sa.String(10), nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("phase", sa.String(10), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("identity", sa.Text, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("counts", Json, nullable=False),
    sa.Column("failures", Json, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_syncs_connection", "connection", "id"),
    sa.Index("ix_syncs_phase", "phase"),
)

STATES = plain_table(
    "sync_states",
    Kind.CURSOR,
    sa.Column("connection", sa.String(80), primary_key=True),
    sa.Column("due_at", Moment, index=True),
    sa.Column("full_at", Moment, nullable=False),
    sa.Column("seen_at", Moment),
    sa.Column("vanished_at", Moment),
    sa.Column("asked", Json, nullable=False),
    sa.Column("progress", Json, nullable=False),
)


@dataclass(frozen=True)
class State:
    """When a connection is read next, and how far the present cycle is.

    `due_at` None: not by itself. `full_at`: the first cycle from then on reads everything.
    `seen_at`: when the last cycle began that saw all of the registry. `vanished_at`: when it was
    first seen to have hardly anything any more, while nobody has confirmed it. `asked` is what
    somebody wants read sooner:
    `{"scope": ..., "model": ..., "by": ..., "reason": ..., "id": ...}`;
    `taken` where a cycle has begun to read it, `behind` what that one was for, where somebody
    has asked since.
    """

    connection: str
    due_at: datetime | None
    full_at: datetime
    seen_at: datetime | None
    asked: Mapping[str, Any]
    progress: Mapping[str, Any]
    vanished_at: datetime | None = None


def add(work: Work, connection: Connection, because: ConnectionCreated) -> Connection:
    """Keep a new connection.

    Raises:
        Conflict: its tenant has one of this name.
    """
    work.create(CONNECTIONS, _connection_row(connection), because=because)
    return dataclasses.replace(connection, revision=1)


def save(work: Work, connection: Connection, because: Event) -> Connection:
    """Keep a moved connection over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(CONNECTIONS, _connection_row(connection), because=because)
    return dataclasses.replace(connection, revision=connection.revision + 1)


def get(reading: Reading, connection_id: str) -> Connection:
    """The connection with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(CONNECTIONS, connection_id)
    if row is None:
        raise NotFound("there is no such connection", field="connection")
    return _connection(row)


def connections(
    reading: Reading,
    *,
    tenant: TenantId | None = None,
    removed: bool | None = False,
    after: str = "",
    limit: int = 1000,
) -> list[Connection]:
    """Connections in the order in which they were made, behind `after`; of one tenant, or all.
    `removed` ones only where these are asked for; None: whether or not they are."""
    query = sa.select(CONNECTIONS).where(CONNECTIONS.c.id > after)
    if removed is not None:
        gone = CONNECTIONS.c.removed_at.is_not(None)
        query = query.where(gone if removed else ~gone)
    if tenant is not None:
        query = query.where(CONNECTIONS.c.tenant == tenant)
    rows = reading.rows(query.order_by(CONNECTIONS.c.id).limit(limit))
    return [_connection(row) for row in rows]


def every(
    reading: Reading, *, tenant: TenantId | None = None, removed: bool | None = False
) -> Iterator[Connection]:
    """The same, however many there are."""
    after = ""
    while page := connections(reading, tenant=tenant, removed=removed, after=after):
        yield from page
        after = page[-1].id


def add_sync(work: Work, sync: Sync, because: SyncStarted) -> Sync:
    """Keep a cycle that begins."""
    work.create(SYNCS, _sync_row(sync), because=because)
    return dataclasses.replace(sync, revision=1)


def save_sync(work: Work, sync: Sync, because: Event) -> Sync:
    """Keep a cycle that has ended over the revision it was computed from."""
    work.replace(SYNCS, _sync_row(sync), because=because)
    return dataclasses.replace(sync, revision=sync.revision + 1)


def sync(reading: Reading, sync_id: str) -> Sync:
    """One cycle.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(SYNCS, sync_id)
    if row is None:
        raise NotFound("there is no such sync", field="sync")
    return _sync(row)


def syncs(
    reading: Reading,
    connection: str,
    *,
    before: str | None = None,
    limit: int = 100,
    phase: SyncPhase | None = None,
) -> list[Sync]:
    """Cycles of a connection, newest first, those before `before`."""
    query = sa.select(SYNCS).where(SYNCS.c.connection == connection)
    if before is not None:
        query = query.where(SYNCS.c.id < before)
    if phase is not None:
        query = query.where(SYNCS.c.phase == phase.value)
    rows = reading.rows(query.order_by(SYNCS.c.id.desc()).limit(limit))
    return [_sync(row) for row in rows]


def state(reading: Reading, connection: str) -> State:
    """When a connection is read next, and how far it is.

    Raises:
        NotFound: there is no such connection.
    """
    row = reading.row(sa.select(STATES).where(STATES.c.connection == connection))
    if row is None:
        raise NotFound("there is no such connection", field="connection")
    return State(**row)


def begin_state(work: Work, fresh: State) -> None:
    """Begin to count for a new connection."""
    work.append(STATES, [vars(fresh)])


def move_state(work: Work, connection: str, **values: Any) -> None:
    """Write some of what `State` has."""
    work.execute(STATES.update().where(STATES.c.connection == connection).values(**values))


def ask(work: Work, connection: str, wish: Mapping[str, Any]) -> None:
    """Have a registry read as soon as may be: at once, or when the cycle under way has ended,
    which would otherwise never come to its end where somebody asks again and again. With what
    is asked for already it is one wish, for as much as both."""
    reads = bool(syncs(work, connection, phase=SyncPhase.RUNNING, limit=1))
    held = state(work, connection)
    before, due_at = held.asked, work.now
    if reads and held.due_at is not None and held.due_at > work.now:
        due_at = held.due_at
    if reads and before.get("taken"):  # what is read now may be older than this wish
        asked = {**wish, "behind": dict(before)}
    else:
        asked = merged(before, wish)
    move_state(work, connection, asked={**asked, "id": new_id("wsh")}, due_at=due_at)


def take(work: Work, connection: str) -> Mapping[str, Any]:
    """The wish that a cycle which begins is to fulfil; it stays until the cycle has ended."""
    asked = state(work, connection).asked
    behind = asked.get("behind")
    if behind:  # that cycle never came to its end
        asked = merged(behind, asked)
    if asked:
        asked = {**_wish(asked), "id": asked.get("id"), "taken": True}
        move_state(work, connection, asked=asked)
    return asked


def fulfilled(work: Work, connection: str, taken: Mapping[str, Any]) -> bool:
    """Strike out the wish that a cycle has fulfilled; whether there is another one."""
    asked = state(work, connection).asked
    left = {} if _same(asked, taken) else {k: v for k, v in asked.items() if k != "behind"}
    move_state(work, connection, asked=left)
    return bool(left)


def put_back(work: Work, connection: str, taken: Mapping[str, Any]) -> bool:
    """Leave the wish of a cycle that failed for the next one; whether there is another one. Of
    a model that cannot be read by itself it is for all that has changed, so that no model
    holds up the others."""
    asked = state(work, connection).asked
    other = not _same(asked, taken)
    left = _wish(taken) if taken else {}
    if left and left["scope"] == Scope.MODEL.value:
        left |= {"scope": Scope.CHANGES.value, "model": None}
    left = merged(left, asked) if other and asked else left
    move_state(work, connection, asked={**left, "id": asked["id"]} if asked else {})
    return other and bool(asked)


def merged(before: Mapping[str, Any], wish: Mapping[str, Any]) -> dict[str, Any]:
    """One wish for as much as both are for."""
    if not before:
        return dict(wish)
    full, behind = Scope.FULL.value, before.get("behind")
    first = before["scope"] == full and wish["scope"] != full
    found = _wish(before if first else wish)
    same = all(before[name] == wish[name] for name in ("scope", "model"))
    if not same and found["scope"] != full:
        found |= {"scope": Scope.CHANGES.value, "model": None}
    return found | ({"behind": behind} if behind else {})


def _wish(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asked[name] for name in ("scope", "model", "by", "reason")}


def _same(asked: Mapping[str, Any], taken: Mapping[str, Any]) -> bool:
    return asked.get("id") == taken.get("id")


def due(reading: Reading, now: datetime) -> list[tuple[str, datetime]]:
    """Connections that are to be read by now, each with when it was due."""
    query = (
        sa.select(STATES.c.connection, STATES.c.due_at)
        .join(CONNECTIONS, CONNECTIONS.c.id == STATES.c.connection)
        .where(STATES.c.due_at <= now, ~CONNECTIONS.c.paused)
        .order_by(STATES.c.due_at, STATES.c.connection)
    )
    return [(str(row["connection"]), row["due_at"]) for row in reading.rows(query)]


def running(reading: Reading, now: datetime) -> list[Connection]:
    """Connections that are read at this moment; one whose reader has died for long is not."""
    query = (
        sa.select(CONNECTIONS)
        .join(SYNCS, SYNCS.c.connection == CONNECTIONS.c.id)
        .join(STATES, STATES.c.connection == CONNECTIONS.c.id)
        .where(SYNCS.c.phase == SyncPhase.RUNNING.value, STATES.c.due_at > now)
        .order_by(CONNECTIONS.c.id)
    )
    return [_connection(row) for row in reading.rows(query)]


def behind(reading: Reading, before: datetime) -> list[str]:
    """Connections that are not paused and were last seen in full before `before`, or never,
    though they are older than that; without those that are known to lag."""
    query = (
        sa.select(STATES.c.connection)
        .join(CONNECTIONS, CONNECTIONS.c.id == STATES.c.connection)
        .where(
            sa.func.coalesce(STATES.c.seen_at, CONNECTIONS.c.created_at) < before,
            ~CONNECTIONS.c.paused,
            CONNECTIONS.c.health != Health.LAGGING.value,
        )
        .order_by(STATES.c.connection)
    )
    return [str(row["connection"]) for row in reading.rows(query)]


def _connection_row(connection: Connection) -> dict[str, Any]:
    row = {f.name: getattr(connection, f.name) for f in dataclasses.fields(connection)}
    return row | {
        "mode": connection.mode.value,
        "health": connection.health.value,
        "auth": {"kind": connection.auth.kind, "secrets": dict(connection.auth.secrets)},
        "networks": list(connection.networks),
        "warnings": list(connection.warnings),
        "tag_map": None if connection.tag_map is None else dict(connection.tag_map),
    }


def _connection(row: sa.RowMapping) -> Connection:
    return Connection(
        **{
            **row,
            "mode": Mode(row["mode"]),
            "health": Health(row["health"]),
            "auth": Auth(**row["auth"]),
            "networks": tuple(row["networks"]),
            "warnings": tuple(row["warnings"]),
        }
    )


def _sync_row(sync: Sync) -> dict[str, Any]:
    row = {f.name: getattr(sync, f.name) for f in dataclasses.fields(sync)}
    return row | {
        "scope": sync.scope.value,
        "phase": sync.phase.value,
        "counts": plain(sync.counts),
        "failures": plain(sync.failures),
    }


def _sync(row: sa.RowMapping) -> Sync:
    failures: Sequence[Mapping[str, Any]] = row["failures"]
    return Sync(
        **{
            **row,
            "scope": Scope(row["scope"]),
            "phase": SyncPhase(row["phase"]),
            "counts": Counts(**row["counts"]),
            "failures": tuple(Failure(**failure) for failure in failures),
        }
    )
