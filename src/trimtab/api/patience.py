"""How long this server waits for a caller, so that slow ones cannot use it up.

Two places: a connection whose request line and headers do not arrive in time, or grow
without end, is cut before there is a request; a body has to keep a least pace, and an
answer has to be taken, or the request ends.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import TimerHandle, Transport
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trimtab.api import problems

HEAD_SECONDS = 10.0
"""For the request line and all headers of one request, from the first byte waited for."""

HEAD_BYTES = 64 << 10
"""Most bytes of request line and headers together."""

TAKING_SECONDS = 30.0
"""For a caller to take what is waiting for it; a pause of a slow network, not a habit."""


@dataclass(frozen=True)
class Pace:
    """What is asked of a caller that sends a body."""

    grace_seconds: float = 20.0
    """Real time for waiting, once for the whole of it."""
    least_bytes_per_second: float = 4096.0
    """Each byte that has arrived buys time for the rest at this pace."""


class Patience:
    """Ends requests whose bodies arrive too slowly, with a word to the caller."""

    def __init__(self, app: ASGIApp, pace: Pace | None = None):
        self._app = app
        self._pace = pace or Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a time limit on every wait for its caller."""
        if scope["type"] == "http":
            await _Exchange(self._pace, receive, send).run(self._app, scope)
        else:
            await self._app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, pace: Pace, receive: Receive, send: Send):
        self._pace = pace
        self._receive = receive
        self._send = send
        self._waited = 0.0  # on the caller; what this server takes is not the caller's fault
        self._seen = 0
        self._whole = False
        self._stalled = False
        self._answered = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._arriving, self._leaving)
        except ClientDisconnect:
            if not self._stalled:
                raise
        if self._stalled and not self._answered:
            answer = problems.problem(
                408, "too_slow", "the body of this request came too slowly", field="body"
            )
            answer.headers["Connection"] = "close"
            await answer(scope, self._receive, self._send)

    async def _arriving(self) -> Message:
        if self._whole:
            return await self._receive()  # what comes now is the caller's leaving
        pace = self._pace
        bought = pace.grace_seconds + self._seen / pace.least_bytes_per_second
        began = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), bought - self._waited)
        except TimeoutError:
            self._stalled = True
            return {"type": "http.disconnect"}
        self._waited += time.monotonic() - began
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    async def _leaving(self, message: Message) -> None:
        if self._stalled and not self._answered:
            return  # what is made of half a body is not sent; `run` says why
        self._answered = True
        await self._send(message)


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    answer = problems.problem(503, "unavailable", "too many ask at once", remedy=_LATER)
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


_LATER = "try again after the seconds that Retry-After says"


class PatientConnection(HttpToolsProtocol):
    """A connection that is cut when its headers do not come or do not end, and when what
    is sent to it is not taken."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._served = self.app
        self._most = self.limit_concurrency
        self.limit_concurrency = None  # what uvicorn says of a crowd is no problem document

    _timer: TimerHandle | None = None
    _taking: TimerHandle | None = None
    _head_bytes = 0
    _reading_head = True

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as above
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._cut)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._rest()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and count those that belong to headers."""
        if self._reading_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._reading_head and self._head_bytes > HEAD_BYTES:
            self._cut()

    def on_message_begin(self) -> None:
        """A request line has begun: the time for its headers runs from here."""
        self._rest()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._cut)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are whole; what follows is watched as a body."""
        self._rest()
        self._reading_head = False
        self.app = _crowded if self._full() else self._served
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next bytes are those of another request."""
        self._reading_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say that this was no HTTP, and end the connection."""
        document = problems.problem(400, "invalid_input", msg, field="request")
        head = [b"HTTP/1.1 400 Bad Request\r\n", b"connection: close\r\n"]
        head += [name + b": " + value + b"\r\n" for name, value in document.raw_headers]
        self.transport.write(b"".join([*head, b"\r\n", bytes(document.body)]))
        self.transport.close()

    def _full(self) -> bool:
        """Whether more is asked at once than is answered."""
        most = self._most
        return most is not None and max(len(self.connections), len(self.tasks)) >= most

    def pause_writing(self) -> None:
        """What was sent is not taken: the time for that runs from here."""
        super().pause_writing()
        self._taken()
        self._taking = self.loop.call_later(TAKING_SECONDS, self._cut)

    def resume_writing(self) -> None:
        """It was taken."""
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self) -> None:
        self._rest()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
