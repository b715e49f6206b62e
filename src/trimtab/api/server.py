"""The application that answers HTTP: routers, limits, errors, and where pages are mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab import __version__
from trimtab.api import (
    approvals,
    audit,
    codes,
    compliance,
    connections,
    credentials,
    description,
    gateways,
    identity,
    inventory,
    kill_switches,
    models,
    monitoring,
    operations,
    problems,
    remediation,
    rollouts,
    serving,
)
from trimtab.api.fairness import Fairness, Limits
from trimtab.api.observed import Observed
from trimtab.api.outside import NoSecretsInAddresses, SignedBodies
from trimtab.api.shared_looks import SharedLooks
from trimtab.platform.metrics import Metrics
from trimtab.workflows.drift_check import DriftChecks
from trimtab.workflows.judging import Judge
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
    connections.router,
    inventory.router,
    compliance.router,
    audit.router,
    identity.router,
    credentials.router,
    credentials.published,
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
        lifespan=_lifespan,
    )
    app.state.parts = parts
    app.state.loop = loop
    app.state.looks = SharedLooks(parts.records)
    app.state.drift_checks = DriftChecks(parts)
    app.state.judge = Judge(parts)
    problems.install(app)
    for router in routers:
        app.include_router(router)
    description.install(app, ROUTERS, parts.policies)
    app.add_middleware(Contained)  # the innermost: what goes out of it is always an answer
    app.add_middleware(SignedBodies)
    app.add_middleware(NoSecretsInAddresses)
    app.add_middleware(Fairness, limits=Limits.of(parts.settings), metrics=parts.metrics)
    app.add_middleware(BodyLimit, metrics=parts.metrics)
    app.add_middleware(Observed, parts=parts)  # the outermost: every answer has an id
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.looks.close()


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
