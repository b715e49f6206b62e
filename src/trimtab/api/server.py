"""The application that answers HTTP: routers, limits, errors, and where pages are mounted."""

from __future__ import annotations

import time
import uuid

from fastapi import APIRouter, FastAPI
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
from trimtab.platform.logs import request_context
from trimtab.platform.metrics import Metrics
from trimtab.workflows.loop import Loop
from trimtab.workflows.parts import Parts

ROUTERS: tuple[APIRouter, ...] = (
    serving.router,  # first, for they are tried in turn, and endpoints ask most
    operations.router,
    models.router,
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
    app.add_middleware(Observed, metrics=parts.metrics)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    return app


class Observed:
    """Gives every request an id, and measures it by its route's template.

    Plain ASGI: Starlette's `middleware("http")` runs each request in a task of its own and
    copies every message, which costs more than all the rest of the way in.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._seconds = metrics.http_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the head of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        started = time.perf_counter()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
                template = getattr(scope.get("route"), "path", "unmatched")
                self._seconds.labels(scope["method"], template, str(message["status"])).observe(
                    time.perf_counter() - started
                )
            await send(message)

        with request_context(request_id):
            await self._app(scope, receive, observed)


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
