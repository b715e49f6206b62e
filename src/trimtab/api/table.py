"""The table of routes: every address, what it demands, and whose things it touches.

Read off the routes of an application, so that it cannot say anything else than they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute

from trimtab.identity.demands import OPEN, Reach, RouteDemand

WHY_OPEN = {
    "GET /health": "load balancers ask it, and it tells nothing of anybody",
    "GET /health/live": "asked by whoever restarts what hangs, tells nothing of anybody",
    "GET /health/ready": "load balancers ask it, and it tells nothing of anybody",
    "GET /metrics": "scraped from inside the network; no label names a tenant",
    "GET /docs": "describes the interface, tells nothing of anybody",
    "GET /redoc": "the same, to be read from top to bottom",
    "GET /docs/errors": "says what a code means, to whoever was refused with it",
    "POST /api/v1/tokens": "takes the credential itself, in the body",
    "POST /api/v1/tokens/exchange": "takes the credential itself, in a header",
    "POST /api/v1/connections/{connection}/messages": "takes what a registry has signed with the "
    "secret of its connection, and only wakes a look at that registry",
    "POST /api/v1/password": "takes the present password, and changes that of whoever sends it",
    "GET /.well-known/jwks.json": "public keys, for whoever verifies a token",
    "GET /account": "demands a session, of whoever, and shows nobody else's",
    "POST /account/sessions/{session}/end": "ends a session of whoever sends it, and no other",
    "POST /account/log-out-everywhere": "ends all sessions of whoever sends it",
    "POST /account/password": "takes the present password, and changes that of whoever sends it",
    "GET /login": "the form that takes the credential",
    "POST /login": "takes the credential itself, in the form",
    "POST /logout": "ends the session of the cookie that comes with it, and nobody else's",
    "GET /static/interface/{name}": "a file that everybody gets with the program",
    "GET /static/{name}": "a file that everybody gets with the program",
}
"""Every route that is open to everybody, and why it is. What is not here is not open."""


@dataclass(frozen=True)
class Entry:
    """A route as one method asks it. `permission` is None where the route says nothing, which
    no route may."""

    method: str
    path: str
    permission: str | None
    reach: Reach
    route: APIRoute

    @property
    def name(self) -> str:
        """How it is called in tables and tests."""
        return f"{self.method} {self.path}"

    @property
    def open(self) -> bool:
        """Whether anybody may ask."""
        return self.permission == OPEN

    @property
    def page(self) -> bool:
        """Whether it is one of the pages: it knows sessions, and no credentials."""
        return self.route.endpoint.__module__.startswith("trimtab.web.")

    @property
    def secret(self) -> bool:
        """Whether it gives out what is not for everybody's eyes who may look: the bytes of
        models, and the routing table with the digests of keys."""
        return self.permission in ("artifacts:download", "routing:read")


def table_of(routes: Iterable[Any]) -> list[Entry]:
    """Every route below `routes`, each method on a line of its own, in the order of names."""
    found = [
        Entry(method, route.path, demand.permission, demand.reaches(method), route)
        if (demand := demand_of(route)) is not None
        else Entry(method, route.path, None, Reach.NOBODYS, route)
        for route in _flat(routes)
        for method in route.methods or ()
    ]
    return sorted(found, key=lambda entry: (entry.path, entry.method))


def demand_of(route: APIRoute) -> RouteDemand | None:
    """What a route demands, or None where it says nothing."""
    for call in _calls(route):
        if isinstance(call, RouteDemand):
            return call
        if getattr(call, "__name__", "") == "open_to_all":
            return RouteDemand(OPEN, Reach.NOBODYS)
    return None


def _flat(routes: Iterable[Any]) -> Iterator[APIRoute]:
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if isinstance(route, APIRoute):
            yield route
        elif inner is not None and hasattr(inner, "routes"):
            yield from _flat(inner.routes)


def _calls(route: APIRoute) -> Iterator[object]:
    """Everything that a route depends on."""
    waiting = list(route.dependant.dependencies)
    while waiting:
        dependency = waiting.pop(0)
        yield dependency.call
        waiting.extend(dependency.dependencies)
