"""A fault of ours ends the request, not the connection, and is counted and told like any other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import structlog
import uvicorn
from fastapi import Depends
from fastapi.responses import StreamingResponse

from trimtab.api import strict
from trimtab.api.access import open_to_all
from trimtab.api.server import create_app
from trimtab.audit.work import Records
from trimtab.kernel.clock import SystemClock
from trimtab.platform.metrics import Metrics
from trimtab.platform.settings import Settings
from trimtab.workflows.loop import Loop
from trimtab.workflows.parts import Parts


class Bare:
    """What an application needs that asks for nothing but to fail."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.policies: dict[str, Any] = {}
        self.settings = Settings()
        self.real_clock = SystemClock()
        self.following = None
        self.records = cast(Records, None)  # nothing is looked at


@pytest.fixture(scope="module")
def parts() -> Bare:
    return Bare()


@pytest.fixture(scope="module")
def url(parts: Bare) -> Iterator[str]:
    """A server of which one address fails, and one fails halfway through its answer."""
    app = create_app(cast(Parts, parts), cast(Loop, None))
    router = strict.router("/api/v1", tag="faults")

    @router.get("/fault", dependencies=[Depends(open_to_all)])
    def fault() -> None:
        raise ZeroDivisionError("a secret of the house")

    @router.get("/half", dependencies=[Depends(open_to_all)])
    def half() -> StreamingResponse:
        def chunks() -> Iterator[bytes]:
            yield b"x" * 100_000
            raise ZeroDivisionError

        return StreamingResponse(chunks())

    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    with structlog.testing.capture_logs():  # to show a traceback well takes seconds
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_after_a_fault_the_connection_serves_on(url: str, refuses: Any) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        streams = set()
        for _ in range(3):
            answer = client.get("/api/v1/fault")
            refuses(answer, 500, "internal")
            assert "secret" not in answer.text
            streams.add(answer.extensions["network_stream"])
        again = client.get("/metrics")
    assert again.status_code == 200
    assert streams == {again.extensions["network_stream"]}
    assert answer.headers["x-request-id"]


def test_a_fault_is_counted(url: str) -> None:
    httpx.get(url + "/api/v1/fault", timeout=30)
    text = httpx.get(url + "/metrics", timeout=30).text
    assert any("/fault" in line and 'status="500"' in line for line in text.splitlines())


def test_half_an_answer_is_not_taken_for_a_whole_one(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url + "/api/v1/half", timeout=30)
