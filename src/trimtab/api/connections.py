"""Connections to other registries: made, read, paused, told that something happened there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may, open_to_all, whose
from trimtab.api.paging import Pages, whole
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Reading, Work
from trimtab.inventory.model import Auth, Connection, Scope, Sync
from trimtab.kernel.events import plain
from trimtab.sdk import shapes
from trimtab.workflows import connections, inventoried, linting, messages, removing
from trimtab.workflows.connections import Asked, Changes
from trimtab.workflows.inventoried import ConnectionView
from trimtab.workflows.parts import Parts

router = strict.router("/api/v1/connections", tag="inventory")

_MESSAGE = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
"""What a message is, for the description: its signature is over the very bytes."""

Reader = Annotated[Actor, may("inventory:read", reach=Reach.OWN)]
Maker = Annotated[Actor, may("connections:manage", reach=Reach.ADDED)]
Manager = Annotated[Actor, may("connections:manage", reach=Reach.OWN)]
Syncer = Annotated[Actor, may("inventory:sync", reach=Reach.OWN)]


@router.post("", status_code=201, summary="Connect a registry")
def connect(
    body: shapes.NewConnection, actor: Maker, parts: PartsOf, repeat: Repeats
) -> shapes.ConnectionShape:
    """Read somebody's registry from now on. Nothing is ever written to it; its first cycle
    begins at once, and `progress` and `last_sync` say how far it is."""
    asked = Asked(
        kind=body.kind,
        url=body.url,
        tenant=whose(actor, body),
        name=body.name or "",
        auth=Auth(body.auth.kind, body.auth.secrets),
        networks=body.networks,
        tag_map=body.tag_map,
        webhook=body.webhook,
    )
    told: list[shapes.ConnectionShape] = []

    def tell(work: Work, made: Connection) -> None:
        told.append(repeat.keep(work, _shown(work, parts, actor, made.id)))

    connections.connect(parts, actor, asked, reason=body.reason, then=tell)
    return told[-1]


@router.get("", summary="Connections")
def list_connections(
    actor: Reader,
    parts: PartsOf,
    pages: Pages,
    removed: Annotated[bool, Query(description="those that were removed")] = False,
) -> shapes.Page[shapes.ConnectionShape]:
    """Registries that are read, oldest connection first, each with its health and its lag."""
    after = pages.place(actor) or ""
    with parts.records.look() as reading:
        found = inventoried.connections(
            reading, parts, actor, removed=removed, after=after, limit=pages.limit
        )
    return shapes.Page(
        items=[_connection(view) for view in found],
        next=pages.page(actor, found, lambda view: view.connection.id),
    )


@router.get("/{connection}", summary="One connection")
def get_connection(connection: str, actor: Reader, parts: PartsOf) -> shapes.ConnectionShape:
    """A registry that is read, and how reading it goes."""
    with parts.records.look() as reading:
        return _shown(reading, parts, actor, connection)


@router.patch("/{connection}", summary="Change a connection")
def change(
    connection: str, body: shapes.ConnectionChange, actor: Manager, parts: PartsOf
) -> shapes.ConnectionShape:
    """Another way to tell who asks, other networks, another tag map or another secret of its
    messages; the next cycle, which begins soon, goes by it."""
    auth = None if body.auth is None else Auth(body.auth.kind, body.auth.secrets)
    wanted = Changes(auth, body.networks, body.tag_map, body.webhook)
    told: list[shapes.ConnectionShape] = []

    def tell(work: Work, made: Connection) -> None:
        told.append(_shown(work, parts, actor, made.id))

    connections.change(parts, actor, connection, wanted, reason=body.reason, then=tell)
    return told[-1]


@router.delete("/{connection}", summary="Read a registry no more, for good")
def remove(
    connection: str,
    actor: Manager,
    parts: PartsOf,
    reason: Annotated[shapes.Reason, Query()],
) -> shapes.ConnectionShape:
    """What is on record of it stays in the history and counts no more, the first versions of it
    at once, the others soon. Safe to repeat. It cannot be undone: connect the registry anew."""
    told: list[shapes.ConnectionShape] = []

    def tell(work: Work, made: Connection) -> None:
        told.append(_shown(work, parts, actor, made.id))

    removing.remove(parts, actor, connection, reason=reason, then=tell)
    return told[-1]


@router.post("/{connection}/pause", summary="Read a registry no more")
def pause(
    connection: str, body: shapes.Because, actor: Manager, parts: PartsOf
) -> shapes.ConnectionShape:
    """What is on record stays, and grows old."""
    return _paused(parts, actor, connection, True, body.reason)


@router.post("/{connection}/resume", summary="Read a registry again")
def resume(
    connection: str, body: shapes.Because, actor: Manager, parts: PartsOf
) -> shapes.ConnectionShape:
    """From now on it is read as before."""
    return _paused(parts, actor, connection, False, body.reason)


@router.post("/{connection}/sync", status_code=202, summary="Read a registry now")
def sync(
    connection: str, body: shapes.NewSync, actor: Syncer, parts: PartsOf
) -> shapes.ConnectionShape:
    """Begin a cycle as soon as there is somebody to do it. Safe to repeat."""
    scope = Scope(body.scope)
    with parts.records.begin(actor, reason=body.reason) as work:
        connections.ask(work, actor, connection, scope, reason=body.reason)
        return _shown(work, parts, actor, connection)


@router.get("/{connection}/syncs", summary="Cycles of reading a registry")
def list_syncs(
    connection: str, actor: Reader, parts: PartsOf, pages: Pages
) -> shapes.Page[shapes.SyncShape]:
    """When it was read, as whom, and what came of it; newest first."""
    place = pages.place(actor)
    with parts.records.look() as reading:
        found = inventoried.syncs(reading, actor, connection, before=place, limit=pages.limit)
    return shapes.Page(
        items=[_sync(one) for one in found], next=pages.page(actor, found, lambda one: one.id)
    )


@router.get("/{connection}/lint", summary="How tags are named")
def lint(
    connection: str, actor: Reader, parts: PartsOf, pages: Pages
) -> shapes.Page[shapes.LintShape]:
    """Tags that are named or written in several ways, those on most versions first."""
    with parts.records.look() as reading:
        own = connections.visible(reading, actor, connection)
        found = linting.of_connection(reading, actor, own)
    shown = shapes.LintShape.model_validate
    return whole(pages, actor, found, lambda one: f"{one.kind}/{one.field}/{one.sentence}", shown)


@router.post(
    "/{connection}/messages",
    status_code=202,
    summary="Told by a registry",
    dependencies=[Depends(open_to_all)],
    openapi_extra=_MESSAGE,
)
async def take_message(connection: str, request: Request) -> shapes.MessageTaken:
    """A message of the registry that something happened there, with the signature that it was
    sent with; what happened is then read from the registry itself. Each is taken once."""
    parts: Parts = request.app.state.parts
    return await messages.taken_from(parts, connection, request.headers, request.stream())


def _paused(
    parts: Parts, actor: Actor, connection: str, paused: bool, reason: str
) -> shapes.ConnectionShape:
    told: list[shapes.ConnectionShape] = []

    def tell(work: Work, made: Connection) -> None:
        told.append(_shown(work, parts, actor, made.id))

    connections.pause(parts, actor, connection, paused, reason=reason, then=tell)
    return told[-1]


def _shown(reading: Reading, parts: Parts, actor: Actor, connection: str) -> shapes.ConnectionShape:
    return _connection(inventoried.connection(reading, parts, actor, connection))


def _connection(view: ConnectionView) -> shapes.ConnectionShape:
    own: dict[str, Any] = {**vars(view.connection)}
    return shapes.ConnectionShape.model_validate(
        {
            **own,
            "mode": view.connection.mode.value,
            "health": view.connection.health.value,
            "auth": view.connection.auth.kind,
            "seen_at": view.state.seen_at,
            "due_at": None if view.connection.paused else view.state.due_at,
            "lag_seconds": None if view.lag is None else view.lag.total_seconds(),
            "lagging": view.lagging,
            "progress": dict(view.state.progress),
            "last_sync": None if view.last is None else _sync(view.last),
            "tally": asdict(view.tally),
            "webhook": {
                "url": view.messages,
                "events": list(messages.EVENTS),
                "known": view.connection.webhook is not None,
            },
        }
    )


def _sync(sync: Sync) -> shapes.SyncShape:
    return shapes.SyncShape.model_validate(
        {**vars(sync), "scope": sync.scope.value, "phase": sync.phase.value}
        | {"counts": plain(sync.counts), "failures": plain(sync.failures)}
    )
