"""A line to a real server that can be bad, and that remembers what went over it.

    with Proxy(server.url) as proxy:
        proxy.rule = lambda request: Status(500) if request.number == 3 else None
        ... ask proxy.url ...
        proxy.requests

The first fault that `rule` gives for a request is done to it; without one it goes through.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.mlflow_server.serving import Handler, Serving


@dataclass(frozen=True)
class Request:
    """What came: `number` counts from 1 over all of them, `tried` those of the same kind."""

    number: int
    tried: int
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Slow:
    """Wait so long, then answer as ever."""

    seconds: float


@dataclass(frozen=True)
class Status:
    """Answer with a status of its own."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"error_code": "INTERNAL_ERROR", "message": "no"}'


@dataclass(frozen=True)
class Reset:
    """Cut the connection before there is an answer."""


@dataclass(frozen=True)
class Truncated:
    """Cut the connection in the middle of the body."""


@dataclass(frozen=True)
class Changed:
    """Answer with the real body, changed: broken JSON, half a page."""

    change: Callable[[bytes], bytes]


Fault = Slow | Status | Reset | Truncated | Changed

GARBLED = Changed(lambda body: body[: len(body) // 2] + b"}}]")
HALF = Changed(lambda body: body[: len(body) // 2])


def each_item(change: Callable[[dict[str, Any]], Any]) -> Changed:
    """Answer with the real page, in which the first item is changed."""

    def changed(body: bytes) -> bytes:
        answer = json.loads(body)
        for value in answer.values():
            if isinstance(value, list) and value:
                value[0] = change(value[0])
        return json.dumps(answer).encode()

    return Changed(changed)


class Proxy(Serving):
    """A server on a port of its own that hands on to another one.

    Args:
        upstream: The address of the real server.
        rewrite: Makes the path there out of the path here.
    """

    def __init__(self, upstream: str, *, rewrite: Callable[[str], str] = lambda path: path):
        self._upstream = urlsplit(upstream)
        self._rewrite = rewrite
        self._lock = threading.Lock()
        self._tries: dict[str, int] = {}
        self.requests: list[Request] = []
        self.rule: Callable[[Request], Fault | None] = lambda _request: None
        super().__init__(_handler(self))

    def remember(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Request:
        """Note a request."""
        parts = urlsplit(target)
        with self._lock:
            kind = f"{method} {target} {body!r}"
            self._tries[kind] = self._tries.get(kind, 0) + 1
            request = Request(
                len(self.requests) + 1,
                self._tries[kind],
                method,
                parts.path,
                parse_qs(parts.query, keep_blank_values=True),
                headers,
                body,
            )
            self.requests.append(request)
        return request

    def forward(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Any:
        """The real answer: status, headers, body."""
        host, port = self._upstream.hostname or "", self._upstream.port
        connection = http.client.HTTPConnection(host, port, timeout=120)
        sent = {k: v for k, v in headers.items() if k.lower() not in ("host", "connection")}
        connection.request(method, self._rewrite(target), body or None, sent)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def found(self, request: Request, target: str, fault: Fault | None) -> Any:
        """What is answered: status, headers, body."""
        if isinstance(fault, Slow):
            time.sleep(fault.seconds)
        if isinstance(fault, Status):
            return fault.status, dict(fault.headers), fault.body
        status, headers, answer = self.forward(
            request.method, target, request.headers, request.body
        )
        return status, headers, fault.change(answer) if isinstance(fault, Changed) else answer


def _handler(proxy: Proxy) -> type[Handler]:
    class Bad(Handler):
        def answered(self, body: bytes) -> None:
            request = proxy.remember(self.command, self.path, dict(self.headers), body)
            fault = proxy.rule(request)
            if isinstance(fault, Reset):
                reset(self.connection)
                self.close_connection = True
                return
            status, headers, answer = proxy.found(request, self.path, fault)
            cut = isinstance(fault, Truncated)
            left = {"content-length", "transfer-encoding", "connection", "date", "server"}
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in left:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer[: len(answer) // 2] if cut else answer)
            if cut:
                self.close_connection = True

    return Bad


def reset(connection: socket.socket) -> None:
    """End a connection as a crash does, not in good order."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
