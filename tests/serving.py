"""A server in a thread of the test, for as long as it is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from trimtab.app import ADMINISTRATOR, Application
from trimtab.demo.processes import free_port
from trimtab.worker import configuration


@contextmanager
def serving(config: uvicorn.Config) -> Iterator[None]:
    """The server that `config` describes, from when it listens until it has stopped."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def administered(application: Application, password: str) -> Iterator[httpx.Client]:
    """A connection to `application`, as its administrator."""
    port = free_port()
    with (
        serving(configuration(application.http(), host="127.0.0.1", port=port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        who = {"email": ADMINISTRATOR, "password": password}
        token = client.post("/api/v1/tokens", json=who).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
