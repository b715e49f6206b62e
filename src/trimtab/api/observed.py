"""What is seen of every request: its ids, how long it took, and whether it was refused."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from logging import DEBUG, INFO

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab.api import refusals
from trimtab.platform import tracing
from trimtab.platform.logs import heard, logger, request_context, usable_request_id
from trimtab.platform.tracing import SpanId
from trimtab.workflows.parts import Parts

log = logger(__name__)

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Observed:
    """Gives every request its ids, measures it by its route's template, and notes refusals.

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
        request_id, parent = _request_id(scope), _parent(scope)
        span = tracing.fresh() if parent is None else parent.child()
        began, started, status = self._parts.real_clock.now(), time.perf_counter(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
                await self._answered(scope, status, time.perf_counter() - started)
            await send(message)

        with request_context(request_id), tracing.inside(span):
            try:
                await self._app(scope, receive, observed)
            finally:
                self._followed(scope, span, parent, began, status)

    async def _answered(self, scope: Scope, status: int, seconds: float) -> None:
        metrics = self._parts.metrics
        method, route = refusals.method_of(scope), refusals.route_of(scope)
        metrics.http_seconds.labels(method, route, str(status)).observe(seconds)
        why = refusals.refused(scope)
        level = DEBUG if method in _READS and status < 400 else INFO
        if heard(level):
            ms = round(1000 * seconds, 1)
            log.log(level, "request", method=method, route=route, status=status, ms=ms)
        if why is not None and status >= 400:
            metrics.requests_refused.labels(why.code).inc()
        found = refusals.on_record(scope, status)
        if found is not None:
            self._parts.refusals.note(found)
            if self._parts.settings.lockstep:  # the same calls are to write the same ledger
                await to_thread.run_sync(self._parts.refusals.flush)

    def _followed(
        self, scope: Scope, span: SpanId, parent: SpanId | None, began: datetime, status: int
    ) -> None:
        if self._parts.following is not None:
            method, route = refusals.method_of(scope), refusals.route_of(scope)
            self._parts.following.request(span, parent, began, method, route, status)


def _request_id(scope: Scope) -> str:
    """The caller's id for this request if it has the form of one, else a fresh one."""
    given = _only(scope, b"x-request-id")
    return given if given is not None and usable_request_id(given) else secrets.token_hex(16)


def _parent(scope: Scope) -> SpanId | None:
    given = _only(scope, b"traceparent")
    return None if given is None else tracing.parse_traceparent(given)


def _only(scope: Scope, name: bytes) -> str | None:
    """A header that stands there once; which of two counts is not ours to guess."""
    found = [value for header, value in scope["headers"] if header == name]
    return found[0].decode("latin-1") if len(found) == 1 else None
