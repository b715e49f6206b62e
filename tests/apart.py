"""An installation on PostgreSQL whose processes are apart: real ones, each by its own command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from tests.patience import PATIENCE_SECONDS

import trimtab
from trimtab.app import ADMINISTRATOR
from trimtab.audit.work import Records
from trimtab.demo.processes import free_port
from trimtab.kernel.clock import SystemClock
from trimtab.platform import executors
from trimtab.platform.database import Database
from trimtab.sdk.client import Client

PASSWORD = "correct-horse-battery-staple-2015"
_KNOWN = sa.text(f"SELECT to_regclass('{executors.EXECUTORS.name}')")
"""The table that the living are in; nothing before there is a schema."""


@dataclass
class Installation:
    """A database and a folder of keys and artifacts, and the processes over them."""

    home: Path
    database: str
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _engine: sa.Engine | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """`trimtab ARGUMENTS`, known here as `name`; ends with this test, however that ends."""
        self.home.mkdir(exist_ok=True)
        with self.log(name).open("ab") as sink:
            self.processes[name] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "trimtab.demo.leash", str(os.getpid())),
                    *(sys.executable, "-m", "trimtab", *arguments),
                ],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                start_new_session=True,
            )
        return self.processes[name]

    def environment(self) -> dict[str, str]:
        """What every process of this installation is told."""
        return {
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(trimtab.__file__).parents[1]),
            "TRIMTAB_HOME": str(self.home),
            "TRIMTAB_PORT": str(self.port),
            "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
            "DATABASE_URL": self.database,
            "LOG_LEVEL": "WARNING",
            **self.settings,
        }

    def serve(self, name: str = "serve", *arguments: str) -> None:
        """A process that answers HTTP and leaves the work to others, once it answers."""
        self.start(name, "serve", "--no-work", *arguments)
        self.until(self.answers, name)

    def work(self, name: str, *roles: str) -> None:
        """A process that works, once the database knows it."""
        before = self.executors()
        self.start(name, "work", *(part for role in roles for part in ("--role", role)))
        self.until(lambda: self.executors() > before, name)

    def log(self, name: str) -> Path:
        return self.home.with_name(f"{self.home.name}.{name}.log")

    def said(self, name: str) -> str:
        return self.log(name).read_text("utf-8", errors="replace")

    def answers(self) -> bool:
        try:
            httpx.get(f"{self.url}/health", timeout=5)
        except httpx.TransportError:
            return False
        return True

    def health(self) -> dict[str, str]:
        found: dict[str, str] = httpx.get(f"{self.url}/health", timeout=30).json()["components"]
        return found

    def executors(self) -> int:
        """How many processes the database takes for alive; none before there is a schema."""
        with self.engine() as connection:
            if connection.execute(_KNOWN).scalar() is None:
                return 0
            return len(executors.living(connection))

    def unfinished(self) -> int:
        """How many jobs wait or run."""
        query = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
        with self.engine() as connection:
            found: int = connection.execute(sa.text(query)).scalar_one()
        return found

    @contextmanager
    def engine(self) -> Iterator[sa.Connection]:
        """A transaction on the database, beside everything that the product does with it."""
        if self._engine is None:  # once: it asks the server who it is before it is of use
            address = sa.make_url(self.database).set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(address, poolclass=sa.NullPool)
        with self._engine.begin() as connection:
            yield connection

    def records(self) -> Opened:
        return Opened(self.database)

    def until(self, done: Callable[[], Any], name: str = "", seconds: float = 0) -> float:
        """Wait until `done()`, and return how long that took; `name` must live meanwhile."""
        began = time.monotonic()
        while not done():
            if name and self.processes[name].poll() is not None:
                raise AssertionError(f"{name} ended:\n{self.said(name)}")
            assert time.monotonic() - began < (seconds or PATIENCE_SECONDS), self._logs()
            time.sleep(0.05)
        return time.monotonic() - began

    def _logs(self) -> str:
        return "\n".join(f"{name}:\n{self.said(name)[-3000:]}" for name in self.processes)

    def admin(self) -> Client:
        with Client(self.url) as nobody:
            token = nobody.identity.log_in(ADMINISTRATOR, PASSWORD)
        return Client(self.url, token=token)

    def kill(self, name: str) -> None:
        """As a power cut would, with everything that it has started."""
        self.signal(name, signal.SIGKILL)
        self.processes[name].wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        os.killpg(self.processes[name].pid, number)

    def end(self, name: str) -> int:
        """Ask it to stop, and wait for that; its exit code."""
        self.processes[name].terminate()
        return self.processes[name].wait(PATIENCE_SECONDS)

    def close(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is None:
                self.signal(name, signal.SIGCONT)
                self.kill(name)


class Opened:
    """The records of an installation, for as long as they are looked at."""

    def __init__(self, database: str):
        self._database = Database(database, pool_size=1)

    def __enter__(self) -> Records:
        return Records(self._database, SystemClock())

    def __exit__(self, *_: object) -> None:
        self._database.close()
