"""A real control plane in a process of its own, which dies at an instant and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import httpx
from tests import databases
from tests.databases import database_for
from tests.patience import PATIENCE_SECONDS

import trimtab
from trimtab.demo.processes import free_port
from trimtab.kernel.clock import iso

SCRIPT = Path(__file__).parent / "serve_with_hook.py"
PASSWORD = "correct-horse-battery-staple-2015"
ORIGIN = "http://plane.example"
KILLED = -signal.SIGKILL


@dataclass
class Plane:
    """One home folder, and at most one process over it."""

    home: Path
    policy: Path
    now: datetime
    """Domain time: where a process that is started anew begins."""
    port: int = field(default_factory=free_port)
    origin: str = ORIGIN
    """Where it says that it is; forms are taken from there alone."""
    fatal: tuple[str, ...] = ()
    """Instants at which it dies; see `serve_with_hook.py`."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def instants(self) -> Path:
        """A folder with what happened to every process over this home."""
        return self.home.with_name(self.home.name + ".instants")

    @property
    def passed(self) -> list[str]:
        """Every instant of every process over this home, in order."""
        path = self.instants / "passed"
        return path.read_text("ascii").splitlines() if path.exists() else []

    @property
    def deaths(self) -> list[str]:
        """Instants at which processes have died, in order."""
        path = self.instants / "deaths"
        return path.read_text("ascii").splitlines() if path.exists() else []

    @property
    def log(self) -> Path:
        return self.home.with_name(self.home.name + ".log")

    def begin(self) -> subprocess.Popen[bytes]:
        """Start a process; it may not live long."""
        self.instants.mkdir(exist_ok=True)
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(Path(trimtab.__file__).parents[1]),
            "TRIMTAB_HOME": str(self.home),
            **database_for(self.home),
            "TRIMTAB_PORT": str(self.port),
            "TRIMTAB_ORIGIN": self.origin,
            "TRIMTAB_POLICY": str(self.policy),
            "TRIMTAB_CLOCK": f"stepped:{iso(self.now)}",
            "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
            "LOG_LEVEL": "WARNING",
        }
        leash = [sys.executable, "-m", "trimtab.demo.leash", str(os.getpid())]
        command = [*leash, sys.executable, str(SCRIPT), str(self.instants)]
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*command, *self.fatal],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self) -> None:
        """Start a process and wait until it answers. One that dies before that is replaced."""
        process = self.begin()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._demand_killed(process)
                process = self.begin()
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(f"no answer:\n{self.said()}")

    def revive(self) -> bool:
        """If the process was killed, start another one; whether that was so."""
        assert self.process is not None
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            return False
        self._demand_killed(self.process)
        self.start()
        return True

    def _demand_killed(self, process: subprocess.Popen[bytes]) -> None:
        assert process.returncode == KILLED, f"ended with {process.returncode}:\n{self.said()}"

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """Ask it to stop, and wait for that."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)

    def copied(self, home: Path) -> Plane:
        """The same home elsewhere, as a kill at this instant would leave it; not running.

        It has the same port, so that whoever spoke to this one can speak to it, once this
        one has ended.
        """
        running = self.process is not None and self.process.poll() is None
        if running:
            assert self.process is not None
            self.process.send_signal(signal.SIGSTOP)
        try:
            shutil.copytree(self.home, home)
            databases.copied(self.home, home, in_use=True)
        finally:
            if running:
                assert self.process is not None
                self.process.send_signal(signal.SIGCONT)
        return replace(self, home=home, fatal=(), process=None)

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-4000:]
