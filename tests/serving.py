"""A server in a thread of the test, for as long as it is needed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from trimtab.app import ADMINISTRATOR, Application
from trimtab.worker import configuration


@contextmanager
def serving(config: uvicorn.Config, listener: socket.socket | None = None) -> Iterator[None]:
    """The server that `config` describes, from when it listens until it has stopped.

    Args:
        config: How it serves.
        listener: A socket that is bound already: a free port could be taken by somebody else
            until the server asks for it.
    """
    server = uvicorn.Server(config)
    sockets = None if listener is None else [listener]
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def administered(application: Application, password: str) -> Iterator[httpx.Client]:
    """A connection to `application`, as its administrator."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with (
        serving(configuration(application.http(), host="127.0.0.1", port=port), listener),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        who = {"email": ADMINISTRATOR, "password": password}
        token = client.post("/api/v1/tokens", json=who).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
