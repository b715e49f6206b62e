"""The application that answers HTTP: routers, limits, errors, and where pages are mounted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterator

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab import __version__
from trimtab.api import (
    approvals,
    audit,
    gateways,
    identity,
    models,
    monitoring,
    operations,
    problems,
    remediation,
    rollouts,
    serving,
)
from trimtab.api.access import May
from trimtab.platform.logs import request_context
from trimtab.workflows.loop import Loop
from trimtab.workflows.parts import Parts

ROUTERS: tuple[APIRouter, ...] = (
    operations.router,
    models.router,
    serving.router,
    gateways.router,
    approvals.router,
    rollouts.router,
    monitoring.router,
    remediation.router,
    audit.router,
    identity.router,
)

MAX_BODY_BYTES = 1 << 30
"""Largest request that is read at all; artifacts have a tighter limit in the policy."""

Next = Callable[[Request], Awaitable[Response]]


def create_app(parts: Parts, loop: Loop) -> FastAPI:
    """The application over `parts`."""
    app = FastAPI(
        title="Trimtab",
        version=__version__,
        description="One control plane for production models.",
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.state.loop = loop
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.middleware("http")(_observed)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    return app


def declared(app: FastAPI) -> Iterator[tuple[APIRoute, str | None]]:
    """Every route of the interface with the permission it demands; None if it names none."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            yield route, _permission(route)


def _permission(route: APIRoute) -> str | None:
    waiting = list(route.dependant.dependencies)
    while waiting:
        dependency = waiting.pop()
        if isinstance(dependency.call, May):
            return dependency.call.permission
        if getattr(dependency.call, "__name__", "") == "open_to_all":
            return "open"
        waiting.extend(dependency.dependencies)
    return None


async def _observed(request: Request, call_next: Next) -> Response:
    """Give every request an id, and measure it by its route's template."""
    request_id = uuid.uuid4().hex
    started = time.perf_counter()
    with request_context(request_id):
        response = await call_next(request)
    response.headers["X-Request-Id"] = request_id
    route = request.scope.get("route")
    template = getattr(route, "path", "unmatched")
    request.app.state.parts.metrics.http_seconds.labels(
        request.method, template, str(response.status_code)
    ).observe(time.perf_counter() - started)
    return response


class BodyLimit:
    """Refuses bodies above a size, whatever their headers say, before anything reads them."""

    def __init__(self, app: ASGIApp, max_bytes: int):
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what arrives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self._max_bytes:
            answer = problems.problem(413, "too_large", "this body is larger than is accepted")
            await answer(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                return {"type": "http.disconnect"}
            return message

        await self._app(scope, counted, send)
