"""Slow and endless callers, over real sockets, against the server as it is configured."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from tests.serving import serving

from trimtab.api import patience, problems
from trimtab.api.patience import Pace, Patience
from trimtab.demo.processes import free_port
from trimtab.worker import configuration

pytestmark = pytest.mark.slow

PACE = Pace(grace_seconds=0.5, least_bytes_per_second=1000.0)

Open = Callable[[bytes], socket.socket]


def application() -> FastAPI:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/endless")
    def endless() -> Response:
        return StreamingResponse(b"x" * 65536 for _ in range(100_000))

    problems.install(app)
    return app


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """A function that connects, sends some bytes, and gives the socket."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)  # a test has no ten seconds
    monkeypatch.setattr(patience, "TAKING_SECONDS", 0.5)
    port = free_port()
    config = configuration(application(), host="127.0.0.1", port=port)
    assert isinstance(config.app, Patience)
    config.app = Patience(config.app._app, PACE)
    sockets: list[socket.socket] = []

    def connect(content: bytes) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", port), timeout=5)
        sockets.append(made)
        made.sendall(content)
        return made

    with serving(config):
        yield connect
        for made in sockets:
            made.close()


def until_closed(connection: socket.socket) -> bytes:
    """Everything that comes until the other side closes; a time-out fails the test."""
    found = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return found
        if not chunk:
            return found
        found += chunk


HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


def test_a_body_at_an_honest_pace_is_read(opened: Open) -> None:
    connection = opened(HEAD + b"Content-Length: 4000\r\nConnection: close\r\n\r\n")
    for _ in range(20):  # in twice the time of grace, which the bytes have paid for
        time.sleep(0.05)
        connection.sendall(b"x" * 200)
    assert b'{"bytes":4000}' in until_closed(connection)


@pytest.mark.parametrize("content", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b"])
def test_headers_that_do_not_come_are_not_waited_for(opened: Open, content: bytes) -> None:
    connection = opened(content)
    assert until_closed(connection) == b""


def test_headers_that_drip_are_not_waited_for(opened: Open) -> None:
    connection = opened(b"GET / HTTP/1.1\r\nHost: x\r\n")
    started = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as it happens
        while time.monotonic() - started < 4:
            connection.sendall(b"X-A: b\r\n")
            time.sleep(0.1)
    assert time.monotonic() - started < 3


def test_headers_without_end_are_cut(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 60.0)
    connection = opened(b"GET / HTTP/1.1\r\nHost: x\r\n")
    with contextlib.suppress(OSError):
        for _ in range(20):
            connection.sendall(b"X-A: " + b"b" * 8000 + b"\r\n")
    assert until_closed(connection) == b""


@pytest.mark.parametrize("sent", [b"", b"x" * 100])
def test_a_body_that_stalls_is_told_so(opened: Open, sent: bytes) -> None:
    connection = opened(HEAD + b"Content-Length: 4000\r\n\r\n" + sent)
    answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too_slow"' in answer
    assert b'"remedy":' in answer


def test_a_body_that_drips_is_told_so(opened: Open) -> None:
    connection = opened(HEAD + b"Content-Length: 4000\r\n\r\n")
    connection.settimeout(0.1)
    started, answer = time.monotonic(), b""
    while not answer and time.monotonic() - started < 4:
        connection.sendall(b"x")
        try:
            answer = connection.recv(65536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_content_length_that_promises_more_is_a_stall(opened: Open) -> None:
    connection = opened(HEAD + b"Content-Length: 11\r\n\r\n0123456789")
    assert until_closed(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "lie",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e3\r\n",
    ],
)
def test_headers_that_contradict_each_other_are_refused(opened: Open, lie: bytes) -> None:
    connection = opened(HEAD + lie + b"\r\n01234GET / HTTP/1.1\r\n\r\n")
    answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_an_answer_that_nobody_takes_is_given_up(opened: Open) -> None:
    connection = opened(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(2)
    taken = 0
    with pytest.raises(ConnectionResetError):
        while chunk := connection.recv(1 << 20):
            taken += len(chunk)
            assert taken < 1 << 26
        raise ConnectionResetError  # an orderly end in the middle is one as well
    assert taken < 1 << 26


def test_an_answer_that_is_taken_goes_on(opened: Open) -> None:
    connection = opened(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    started, taken = time.monotonic(), 0
    while time.monotonic() - started < 1.5:
        taken += len(connection.recv(1 << 20))
        time.sleep(0.005)
    assert taken > 1 << 20


def test_a_kept_connection_asks_again(opened: Open) -> None:
    request: Any = HEAD + b"Content-Length: 1\r\n\r\nx"
    connection = opened(request)
    for _ in range(3):
        assert b'{"bytes":1}' in connection.recv(65536)
        time.sleep(0.3)
        connection.sendall(request)
    assert b'{"bytes":1}' in connection.recv(65536)
