"""A line to a PostgreSQL server that is cut at the very instant of a commit."""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

_COMMIT = b"COMMIT\0"  # and no isolation level that is READ COMMITTED
_BYTES = 1 << 16


class Cut(StrEnum):
    """What is done to the next commit that comes along."""

    BEFORE = "before"
    """The line is cut, and the server never hears of it."""
    AFTER = "after"
    """The server commits and says so; the line is cut before anybody hears that."""
    HELD = "held"
    """The line is cut on our side alone; the server hears of it when it is let go."""


class Line:
    """A TCP port that leads to the server at `address`, whose socket is a file.

    It is passed through as it is, until `cut` is set; that is done once.
    """

    def __init__(self, address: str):
        self._url = sa.make_url(address)
        self._upstream = str(Path(str(self._url.query["host"])) / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.cut: Cut | None = None
        self.cuts = 0
        self.let_go = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """The address of the same database, by this line."""
        port = self._listener.getsockname()[1]
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        url = self._url.set(host="127.0.0.1", port=port, query=plain)
        return url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Take no more connections."""
        self.let_go.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(self._upstream)
            threading.Thread(target=self._there, args=(ours, theirs), daemon=True).start()
            threading.Thread(target=self._back, args=(ours, theirs), daemon=True).start()

    def _there(self, ours: socket.socket, theirs: socket.socket) -> None:
        """What we say to the server."""
        with contextlib.suppress(OSError):
            while said := ours.recv(_BYTES):
                if self.cut is not None and _COMMIT in said:
                    self._cut_now(said, ours, theirs)
                    return
                theirs.sendall(said)
        _end(ours, theirs)

    def _back(self, ours: socket.socket, theirs: socket.socket) -> None:
        """What the server says to us."""
        with contextlib.suppress(OSError):
            while said := theirs.recv(_BYTES):
                if self.cut is Cut.AFTER and _COMMIT in said:
                    self.cut = None
                    break
                ours.sendall(said)
            _end(ours, theirs)

    def _cut_now(self, said: bytes, ours: socket.socket, theirs: socket.socket) -> None:
        self.cuts += 1
        if self.cut is Cut.BEFORE:
            self.cut = None
            _end(ours, theirs)
        elif self.cut is Cut.AFTER:
            theirs.sendall(said)
        else:
            self.cut = None
            _end(ours)
            self.let_go.wait()
            theirs.sendall(said)
            _end(theirs)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
