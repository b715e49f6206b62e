"""The application that answers HTTP: routers, limits, errors, and where pages are mounted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab import __version__
from trimtab.api import (
    approvals,
    audit,
    codes,
    description,
    gateways,
    identity,
    kill_switches,
    models,
    monitoring,
    operations,
    problems,
    refusals,
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
    codes.router,
    models.router,
    gateways.router,
    approvals.router,
    rollouts.router,
    monitoring.router,
    remediation.router,
    kill_switches.router,
    audit.router,
    identity.router,
)

MAX_UPLOAD_BYTES = 1 << 30
"""Largest form with files, which is spooled to disk; artifacts have a tighter limit in the
policy."""

MAX_DOCUMENT_BYTES = 1 << 26
"""Largest body of any other kind: it is held in memory."""


def create_app(parts: Parts, loop: Loop, routers: Sequence[APIRouter] = ROUTERS) -> FastAPI:
    """The application over `parts`, which answers what `routers` say."""
    app = FastAPI(
        title="Trimtab",
        version=__version__,
        description="One control plane for production models.",
        redirect_slashes=False,
        docs_url=None,  # the pages have their own: these would load scripts from other hosts
        redoc_url=None,
    )
    app.state.parts = parts
    app.state.loop = loop
    problems.install(app)
    for router in routers:
        app.include_router(router)
    description.install(app, ROUTERS, parts.policies)
    app.add_middleware(Contained)  # the innermost: what goes out of it is always an answer
    app.add_middleware(BodyLimit, metrics=parts.metrics)
    app.add_middleware(Observed, parts=parts)  # the outermost: every answer has an id
    return app


class Contained:
    """Answers a fault of ours where it happens.

    Starlette's own answer to what nobody expected is followed by the exception itself, upon
    which the server cuts the connection: the caller's next request, which may be to write,
    would be reset without its fault. And the answer would be neither measured nor named.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer in its place if it fails before it has answered."""
        begun = False

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise  # half an answer must not look like a whole one: the connection ends
            answer = await problems.unexpected(Request(scope, receive), error)
            await answer(scope, receive, send)


class Observed:
    """Gives every request an id, measures it by its route's template, and notes refusals.

    Plain ASGI: Starlette's `middleware("http")` runs each request in a task of its own and
    copies every message, which costs more than all the rest of the way in.
    """

    def __init__(self, app: ASGIApp, parts: Parts):
        self._app = app
        self._parts = parts

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
                await self._answered(scope, message["status"], time.perf_counter() - started)
            await send(message)

        with request_context(request_id):
            await self._app(scope, receive, observed)

    async def _answered(self, scope: Scope, status: int, seconds: float) -> None:
        metrics = self._parts.metrics
        labels = refusals.method_of(scope), refusals.route_of(scope), str(status)
        metrics.http_seconds.labels(*labels).observe(seconds)
        why = refusals.refused(scope)
        if why is not None and status >= 400:
            metrics.requests_refused.labels(why.code).inc()
        found = refusals.on_record(scope, status)
        if found is not None:
            self._parts.refusals.note(found)
            if self._parts.settings.lockstep:  # the same calls are to write the same ledger
                await to_thread.run_sync(self._parts.refusals.flush)


class BodyLimit:
    """Refuses bodies above a size, whatever their headers say, before anything reads them."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what arrives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        form = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        most = MAX_UPLOAD_BYTES if form else MAX_DOCUMENT_BYTES
        stated = headers.get(b"content-length", b"0")
        fits = stated.isdigit() and int(stated) <= most
        if fits and not await self._too_large(scope, receive, send, most):
            return
        self._metrics.requests_refused.labels("too_large").inc()
        answer = problems.problem(
            413, "too_large", f"a body has at most {most} bytes here", field="body"
        )
        await answer(scope, receive, send)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send, most: int) -> bool:
        """Whether more than `most` bytes came, and nothing was answered yet."""
        seen, begun = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > most else message

        async def told(message: Message) -> None:
            nonlocal begun
            if begun or seen <= most:  # what is made of half a body is no answer
                begun = True
                await send(message)

        await self._app(scope, counted, told)
        return seen > most and not begun
