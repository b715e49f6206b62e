"""Starting a real control plane and a real gateway, and ending them again."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from trimtab.kernel.errors import Unavailable
from trimtab.kernel.ports import demand_free

STARTING_SECONDS = 60.0
STOPPING_SECONDS = 10.0

_CONSONANTS = "bcdfghjkmnpqrstvwxz"


@dataclass
class Process:
    """A process of ours, with its log."""

    name: str
    handle: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End it in peace, by force if it does not listen; and whatever it has left behind."""
        if self.handle.poll() is None:
            self.handle.terminate()
        try:
            self.handle.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            self.handle.kill()
            self.handle.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.handle.pid, signal.SIGKILL)

    def demand_alive(self) -> None:
        """Make sure that it still runs.

        Raises:
            Unavailable: it has ended; the end of its log is in the message.
        """
        if self.handle.poll() is not None:
            tail = self.log.read_text("utf-8", "replace")[-2000:]
            raise Unavailable(
                f"the {self.name} ended with {self.handle.returncode}:\n{tail}",
                remedy=f"`--home FOLDER` keeps all of it, in {self.log.name}",
            )


@dataclass(frozen=True)
class ControlPlane:
    """Where the control plane is, and how its first administrator logs in."""

    process: Process
    url: str
    home: Path
    admin_password: str


def new_password() -> str:
    """A password to read out: about 84 bits, without vowels and digits, so that neither a
    well-known word nor a run of figures is in it, either of which would be refused."""
    return "-".join("".join(secrets.choice(_CONSONANTS) for _ in range(5)) for _ in range(4))


def start_control_plane(
    home: Path,
    clock: str,
    *,
    port: int | None,
    lockstep: bool = False,
    more: Mapping[str, str] | None = None,
) -> ControlPlane:
    """Start a control plane whose clock is stepped, on an empty folder.

    In `lockstep` nothing happens between two steps, and the same calls write the same record.
    Its records are in a file in the folder, unless `more`, which are further settings, say where.

    Raises:
        Unavailable: it does not come up.
    """
    chosen = port or free_port()
    demand_free("127.0.0.1", chosen, remedy="leave --port out, or name another one")
    password = new_password()
    environment = {
        **_clean_environment(),
        "TRIMTAB_HOME": str(home),
        "TRIMTAB_PORT": str(chosen),
        "TRIMTAB_CLOCK": f"{'lockstep' if lockstep else 'stepped'}:{clock}",
        "TRIMTAB_ADMIN_PASSWORD": password,
        "LOG_LEVEL": "WARNING",
        **(more or {}),
    }
    process = _start("control plane", [sys.executable, "-m", "trimtab", "serve"], environment, home)
    url = f"http://127.0.0.1:{chosen}"
    _wait(process, f"{url}/health")
    return ControlPlane(process, url, home, password)


def start_gateway(control: ControlPlane, key: str, *, name: str = "gateway") -> tuple[Process, str]:
    """Start a gateway of that control plane; return it and its address.

    Raises:
        Unavailable: it does not come up.
    """
    port = free_port()
    state = control.home / name
    keys = control.home / "keys"
    environment = {**_clean_environment(), "TRIMTAB_GATEWAY_API_KEY": key}
    arguments = [
        *(sys.executable, "-m", "trimtab.gateway"),
        *("--control", control.url),
        *("--state", str(state)),
        *("--routing-keys", str(keys / "permits.pub.pem")),
        *("--artifact-keys", str(keys / "artifacts.pub.pem")),
        *("--name", name),
        *("--port", str(port)),
        *("--poll-seconds", "0.1"),
        *("--report-seconds", "2"),
        *("--flush-seconds", "0.1"),
        *("--backoff-max-seconds", "1"),
    ]
    process = _start("gateway", arguments, environment, control.home)
    url = f"http://127.0.0.1:{port}"
    _wait(process, f"{url}/v2/health/live")
    return process, url


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _start(name: str, arguments: list[str], environment: dict[str, str], folder: Path) -> Process:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as sink:
        handle = subprocess.Popen(
            [sys.executable, "-m", "trimtab.demo.leash", str(os.getpid()), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is ours to hear; we end it in order
        )
    return Process(name, handle, log)


def _wait(process: Process, url: str) -> None:
    """Until it answers; one that does not, or that nobody waits for any more, is ended."""
    try:
        _until_it_answers(process, url)
    except BaseException:
        process.stop()
        raise


def _until_it_answers(process: Process, url: str) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    with httpx.Client(timeout=2) as asking:  # one for all attempts: to make it takes far longer
        while time.monotonic() < deadline:
            process.demand_alive()
            try:
                if asking.get(url).status_code < 500:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
    raise Unavailable(f"the {process.name} does not answer at {url}")


def _clean_environment() -> dict[str, str]:
    """Ours without settings that somebody may have exported."""
    foreign = ("TRIMTAB_", "DATABASE_", "REDIS_", "S3_", "MLFLOW_", "VAULT_", "JWT_", "DRIFT_")
    return {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
