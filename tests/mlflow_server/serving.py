"""What servers of these tests have in common: a port of their own, and peace about callers that
go away."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Handler(BaseHTTPRequestHandler):
    """One connection; `answered` says what becomes of a request, whatever its method."""

    protocol_version = "HTTP/1.1"

    def answered(self, body: bytes) -> None:
        """Answer the request with this body."""
        raise NotImplementedError

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.answered(body)
        except OSError:
            self.close_connection = True  # whoever asked has had enough

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is said."""


class Serving:
    """A server that listens for as long as it is entered."""

    def __init__(self, handler: type[Handler]):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
