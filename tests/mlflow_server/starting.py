"""A real MLflow server for tests, in the environment that `make mlflow` makes.

    with mlflow_server(3, folder) as server:
        fill(server)
        known = oracle(server)

One folder is one server's: what it keeps stays there when it ends, and is there again for the
next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import eventually

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WHERE = "TRIMTAB_TEST_MLFLOW"
ENVIRONMENTS = Path(os.environ.get(WHERE, ROOT))
ADMIN = ("admin", "a long password of the administrator")
END_SECONDS = 20


_started: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Server:
    """A server that runs: which major version of MLflow, where, and where it keeps things."""

    major: int
    url: str
    folder: Path
    pid: int

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.folder / "mlflow.db"


def environment(major: int) -> Path:
    """The folder of the virtual environment with MLflow."""
    found = ENVIRONMENTS / f".venv-mlflow{major}"
    if not (found / "bin" / "mlflow").exists():
        raise RuntimeError(f"there is no MLflow in {found}: run `make mlflow`, or set {WHERE}")
    return found


@contextmanager
def mlflow_server(major: int, folder: Path, *, accounts: bool = False) -> Iterator[Server]:
    """A server of its own, with one process that answers; with `accounts` it asks who one is,
    and knows `ADMIN`."""
    server = start(major, folder, accounts=accounts)
    try:
        yield server
    finally:
        end(server.pid)


def start(major: int, folder: Path, *, accounts: bool = False) -> Server:
    """Start a server, and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            _command(major, folder, port, accounts),
            env=_environment(major, folder, accounts),
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    _started[process.pid] = process
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError("MLflow ended: " + (folder / "server.log").read_text()[-2000:])
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        eventually(answers)
    except BaseException:
        end(process.pid)
        raise
    return Server(major, url, folder, process.pid)


def end(pid: int) -> None:
    """End a server that was started here, with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)

    try:
        eventually(lambda: _is_gone(pid), END_SECONDS)
    except AssertionError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    ours = _started.pop(pid, None)
    if ours is not None:
        ours.wait()


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; another one than that which started it may ask."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return told.rpartition(")")[2].split()[0] == "Z"


@contextmanager
def shared(major: int, base: Path, *, accounts: bool = False) -> Iterator[Server]:
    """The one filled server of this version for all processes of a test run, which share `base`:
    the first to come starts it, the last to go ends it."""
    folder = base / f"mlflow{major}{'-accounts' if accounts else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "users.json"
    with _locked(folder):
        known: dict[str, Any] = {"users": 0}
        if state.exists():
            known = json.loads(state.read_text())
        if not known["users"]:
            server = start(major, folder, accounts=accounts)
            known = {"users": 0, "url": server.url, "pid": server.pid}
            state.write_text(json.dumps(known))
            if not (folder / "filled").exists():
                fill(server)
                (folder / "filled").touch()
        known["users"] += 1
        state.write_text(json.dumps(known))
    try:
        yield Server(major, known["url"], folder, known["pid"])
    finally:
        with _locked(folder):
            known = json.loads(state.read_text())
            known["users"] -= 1
            if not known["users"]:
                end(known["pid"])
            state.write_text(json.dumps(known))


def fill(server: Server) -> dict[str, Any]:
    """Register models of many kinds with the official client; what it tells of them."""
    return dict(json.loads(run_client(server, HERE / "fill.py")))


def oracle(server: Server) -> dict[str, Any]:
    """Everything that is registered, as the official client has it."""
    return dict(json.loads(run_client(server, HERE / "oracle.py")))


def run_client(server: Server, script: Path, *arguments: str) -> str:
    """What a script prints on its last line, run where the official client is."""
    python = environment(server.major) / "bin" / "python"
    done = subprocess.run(
        [str(python), "-W", "ignore", str(script), server.url, *arguments],
        env=_environment(server.major, server.folder, accounts=True),
        capture_output=True,
        text=True,
        timeout=600,
        cwd=server.folder,
    )
    if done.returncode:
        raise RuntimeError(f"{script.name}: {done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _command(major: int, folder: Path, port: int, accounts: bool) -> list[str]:
    return [
        str(environment(major) / "bin" / "mlflow"),
        "server",
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
        "--serve-artifacts",
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *(("--app-name", "basic-auth") if accounts else ()),
    ]


def _environment(major: int, folder: Path, accounts: bool) -> Mapping[str, str]:
    settings = {
        "PATH": f"{environment(major)}/bin:{os.environ['PATH']}",
        "HOME": str(folder),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    if major == 2:
        settings["PYTHONPATH"] = str(HERE / "older")
    if accounts:
        settings |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(_accounts(folder)),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests alone",
            "MLFLOW_TRACKING_USERNAME": ADMIN[0],
            "MLFLOW_TRACKING_PASSWORD": ADMIN[1],
        }
    return settings


def _accounts(folder: Path) -> Path:
    path = folder / "accounts.ini"
    path.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/accounts.db\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "grant_default_workspace_access = true\n"
    )
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
