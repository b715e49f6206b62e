"""Connections: which registries are read, how old is what we know, and as whom do we ask?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from trimtab.audit.work import Reading
from trimtab.identity.demands import Reach
from trimtab.identity.reach import owns
from trimtab.inventory import connection_store
from trimtab.inventory.model import Connection, Health, Scope, Sync, SyncPhase
from trimtab.kernel.errors import InvalidInput
from trimtab.web import words
from trimtab.web.inventory import Looking
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, sending
from trimtab.web.versions import checked_reason
from trimtab.web.words import Status, Tone
from trimtab.workflows import connections, inventoried, linting, messages, removing
from trimtab.workflows.connections import Changes, visible
from trimtab.workflows.inventoried import ConnectionView
from trimtab.workflows.parts import Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 30
_FAILURES = 20

Why = Annotated[str, Form(max_length=2000)]
Syncing = Annotated[Visitor, sending("inventory:sync", reach=Reach.OWN)]
Managing = Annotated[Visitor, sending("connections:manage", reach=Reach.OWN)]

_PAUSED = Status("paused", "dash", Tone.PLAIN)
_REMOVED = Status("removed", "cross", Tone.PLAIN)
_HEALTH = {
    Health.NEW: Status("not read yet", "ring", Tone.PLAIN),
    Health.HEALTHY: Status("healthy", "disc", Tone.GOOD),
    Health.LAGGING: Status("lagging", "half", Tone.WAIT),
    Health.FAILING: Status("failing", "triangle", Tone.BAD),
}
_PHASES = {
    SyncPhase.RUNNING: Status("running", "half", Tone.MOVE),
    SyncPhase.SUCCEEDED: Status("succeeded", "disc", Tone.GOOD),
    SyncPhase.PARTIAL: Status("partial", "half", Tone.WAIT),
    SyncPhase.FAILED: Status("failed", "cross", Tone.BAD),
}
_WRITES = {
    True: Status("could write", "triangle", Tone.WAIT),
    False: Status("read only", "disc", Tone.GOOD),
    None: Status("cannot be told", "half", Tone.WAIT),
}


@dataclass(frozen=True)
class Shown:
    """A connection as it is shown: with its states as words and shapes."""

    view: ConnectionView
    health: Status
    writes: Status
    last: Status | None


@dataclass(frozen=True)
class Connections:
    """Every registry that is read, and those that were, the last of them first."""

    rows: tuple[Shown, ...]
    removed: tuple[Connection, ...]
    now: datetime


@dataclass(frozen=True)
class Cycle:
    """One cycle of reading, as a row."""

    sync: Sync
    phase: Status

    @property
    def took(self) -> str:
        """How long it took."""
        if self.sync.ended_at is None:
            return "still running"
        seconds = (self.sync.ended_at - self.sync.started_at).total_seconds()
        return f"{seconds:.0f} s" if seconds < 120 else words.span(timedelta(seconds=seconds))

    @property
    def failures(self) -> int:
        """Failures that are listed."""
        return min(len(self.sync.failures), _FAILURES)


@dataclass(frozen=True)
class ConnectionPage:
    """One registry: how reading it goes, and what came of each cycle."""

    shown: Shown
    cycles: tuple[Cycle, ...]
    older: str | None
    why_not: str | None
    """Why whoever looks cannot have it read now."""
    events: tuple[str, ...]
    """What its registry is to tell."""
    manages: bool
    """Whether whoever looks may change it."""
    now: datetime

    @property
    def snippet(self) -> str:
        """What tells MLflow so, with its own client."""
        lines = "".join(f'        "{event}",\n' for event in self.events)
        return (
            "mlflow.MlflowClient().create_webhook(\n"
            '    name="trimtab",\n'
            f'    url="{self.shown.view.messages}",\n'
            f"    events=[\n{lines}    ],\n"
            '    secret="the same secret",\n'
            ")"
        )


@dataclass(frozen=True)
class Naming:
    """How the tags of a registry are named and written, what is on most versions first."""

    connection: Connection
    lints: tuple[linting.Line, ...]
    now: datetime


@router.get("/connections")
def connection_list(request: Request, parts: PartsOf, visitor: Looking) -> Response:
    """Every registry that is read, those that need somebody first."""
    with parts.records.look() as reading:
        views = inventoried.connections(reading, parts, visitor.actor)
        gone = connection_store.every(reading, tenant=visitor.tenant, removed=True)
        removed = sorted(gone, key=lambda one: one.removed_at or one.created_at, reverse=True)
        rows = tuple(map(shown, sorted(views, key=_urgency)))
        found = Connections(rows, tuple(removed), reading.now)
    return page(
        request, "connections.html", found, title="Connections", active="inventory", visitor=visitor
    )


@router.get("/connections/{connection}")
def connection_page(
    request: Request,
    parts: PartsOf,
    visitor: Looking,
    connection: str,
    before: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """One registry, and what came of reading it."""
    with parts.records.look() as reading:
        found = read(reading, parts, visitor, connection, before or None)
    title = found.shown.view.connection.name
    return page(request, "connection.html", found, title=title, active="inventory", visitor=visitor)


@router.get("/connections/{connection}/naming")
def naming_page(request: Request, parts: PartsOf, visitor: Looking, connection: str) -> Response:
    """How the tags of a registry are named; for this each of its records is read."""
    with parts.records.look() as reading:
        found = visible(reading, visitor.actor, connection)
        named = Naming(
            found, tuple(linting.of_connection(reading, visitor.actor, found)), reading.now
        )
    title = f"Tags of {found.name}"
    return page(request, "naming.html", named, title=title, active="inventory", visitor=visitor)


@router.post("/connections/{connection}/sync")
def sync(
    parts: PartsOf,
    visitor: Syncing,
    connection: str,
    scope: Annotated[str, Form(max_length=20)] = "changes",
    reason: Why = "",
) -> Response:
    """Have a registry read as soon as there is somebody to do it."""
    if scope not in (Scope.CHANGES, Scope.FULL):
        raise InvalidInput("say what is to be read: changes, or everything", field="scope")
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        connections.ask(work, visitor.actor, connection, Scope(scope), reason=reason.strip())
    return see_other(words.path("connections", connection) + "?done=asked")


@router.post("/connections/{connection}/messages")
def hear(
    parts: PartsOf,
    visitor: Managing,
    connection: str,
    secret: Annotated[str, Form(max_length=200)] = "",
    reason: Why = "",
) -> Response:
    """Believe the messages of a registry that are signed with this secret."""
    wanted = Changes(webhook=secret.strip())
    connections.change(parts, visitor.actor, connection, wanted, reason=checked_reason(reason))
    return see_other(words.path("connections", connection) + "?done=heard#messages")


@router.post("/connections/{connection}/remove")
def remove(parts: PartsOf, visitor: Managing, connection: str, reason: Why = "") -> Response:
    """Read a registry no more, for good."""
    removing.remove(parts, visitor.actor, connection, reason=checked_reason(reason))
    return see_other(words.path("connections", connection) + "?done=removed")


def read(
    reading: Reading, parts: Parts, visitor: Visitor, connection_id: str, before: str | None
) -> ConnectionPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such connection of theirs.
    """
    view = inventoried.connection(reading, parts, visitor.actor, connection_id)
    found = inventoried.syncs(reading, visitor.actor, connection_id, before=before, limit=_PAGE + 1)
    listed = found[:_PAGE]
    older = words.path("connections", connection_id)
    there = view.connection.removed_at is None
    own = owns(visitor.actor, view.connection.tenant)
    why_not = None
    if not visitor.may("inventory:sync"):
        why_not = "your roles have no registry read"
    elif view.connection.paused:
        why_not = "it is paused, and is read again when somebody lets it run on"
    return ConnectionPage(
        shown=shown(view),
        cycles=tuple(Cycle(one, _PHASES[one.phase]) for one in listed),
        older=f"{older}?before={listed[-1].id}" if len(found) > _PAGE else None,
        why_not=why_not,
        events=messages.EVENTS,
        manages=there and own and visitor.may("connections:manage"),
        now=reading.now,
    )


def shown(view: ConnectionView) -> Shown:
    """A connection with its states in words."""
    return Shown(
        view,
        health_of(view),
        _WRITES[view.connection.may_write],
        None if view.last is None else _PHASES[view.last.phase],
    )


def health_of(view: ConnectionView) -> Status:
    """How reading goes, as of this moment: what is older than it may be is lagging, whatever was
    noted last."""
    connection = view.connection
    if connection.removed_at is not None:
        return _REMOVED
    if connection.paused:
        return _PAUSED
    if view.lagging and connection.health is not Health.FAILING:
        return _HEALTH[Health.LAGGING]
    return _HEALTH[connection.health]


def troubled(views: Sequence[ConnectionView]) -> tuple[Shown, ...]:
    """Connections that need somebody: failing, or lagging."""
    found = [shown(view) for view in sorted(views, key=_urgency)]
    return tuple(one for one in found if one.health.word in ("failing", "lagging"))


def _urgency(view: ConnectionView) -> tuple[int, str]:
    connection = view.connection
    order = ("failing", "lagging", "not read yet", "healthy", "paused", "removed")
    word = health_of(view).word
    if word == "paused" and connection.health is Health.FAILING:
        word = "failing"  # it was never read, and nobody tries again
    return order.index(word), connection.name
