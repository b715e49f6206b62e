"""The gateway as the process that is run: its settings, its end, and its violent end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.patience import PATIENCE_SECONDS

from trimtab.gateway.settings import ENVIRONMENT, documented, read_settings
from trimtab.kernel.errors import InvalidInput

REPOSITORY = Path(__file__).parents[2]
BODY = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [0, 0, 0]}]}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Process:
    """`python -m trimtab.gateway` with the key of the control plane in its environment."""

    def __init__(self, kit: Any, log: Path):
        self.port = free_port()
        settings = kit.settings
        flags = {
            "control": settings.control,
            "state": settings.state,
            "port": self.port,
            "routing-keys": settings.routing_keys[0],
            "artifact-keys": settings.artifact_keys[0],
            "poll-seconds": 0.05,
            "flush-seconds": 60,
        }
        arguments = [part for name, v in flags.items() for part in (f"--{name}", str(v))]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT)},
            "PYTHONPATH": str(REPOSITORY / "src"),
            ENVIRONMENT + "API_KEY": "ak_gateway.secret-of-this-gateway",
        }
        self.log = log
        with log.open("wb") as out:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "trimtab.gateway", *arguments],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False)

    def ready(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert self.popen.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if self.http.get("/v2/health/ready").status_code == 200:
                    return
            time.sleep(0.05)

    def close(self) -> None:
        self.http.close()
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


@pytest.fixture
def start(kit: Any, tmp_path: Path) -> Iterator[Any]:
    """Start gateway processes; they are ended after the test."""
    with contextlib.ExitStack() as stack:
        count = iter(range(10))

        def begin() -> Process:
            process = Process(kit, tmp_path / f"gateway-{next(count)}.log")
            stack.callback(process.close)
            process.ready()
            return process

        yield begin


@pytest.mark.slow
def test_killed_and_started_again_without_a_control_plane(kit: Any, start: Any) -> None:
    kit.world.route(kit.a_table(("delay", kit.stable(10.0))))
    process = start()
    headers = kit.credential("ak_fleet")
    assert process.http.post("/v2/models/delay/infer", json=BODY, headers=headers).is_success
    process.popen.send_signal(signal.SIGKILL)
    process.popen.wait()
    kit.world.stop()
    again = start()
    answer = again.http.post("/v2/models/delay/infer", json=BODY, headers=headers)
    assert answer.json()["parameters"]["version"] == "1.0.0"
    assert again.http.get("/v2/health", headers=headers).json()["unreachable"]
    said = again.log.read_text()
    assert f"listening on http://127.0.0.1:{again.port}" in said
    assert said.count("no routing table: ") == 1, "once, not at every look"


@pytest.mark.slow
def test_told_to_stop_it_ships_what_waits_and_ends_cleanly(kit: Any, start: Any) -> None:
    kit.world.route(kit.a_table(("delay", kit.stable(10.0))))
    process = start()
    headers = kit.credential("ak_fleet")
    for _ in range(5):
        assert process.http.post("/v2/models/delay/infer", json=BODY, headers=headers).is_success
    process.http.close()
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(30) == 0
    assert kit.world.rows().num_rows == 5
    text = process.log.read_text()
    assert "POST" not in text  # no access log
    for secret in ("secret-of-this-gateway", headers["X-Api-Key"]):
        assert secret not in text


def test_it_does_not_start_without_what_it_needs(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "trimtab.gateway", "--control", "http://127.0.0.1:1"],
        env={"PYTHONPATH": str(REPOSITORY / "src"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 2
    assert "state is not set" in found.stderr
    assert "TRIMTAB_GATEWAY_STATE" in found.stderr


REQUIRED = [
    *("--control", "https://control.example", "--state", "s"),
    *("--routing-keys", "a.pem,b.pem", "--artifact-keys", "c.pem"),
]


def test_flags_win_over_the_environment_and_that_over_defaults() -> None:
    environment = {"TRIMTAB_GATEWAY_PORT": "1", "TRIMTAB_GATEWAY_THREADS": "3"}
    found = read_settings([*REQUIRED, "--port", "2"], environment)
    assert (found.port, found.threads, found.workers) == (2, 3, 2)
    assert found.routing_keys == (Path("a.pem"), Path("b.pem"))


def test_the_key_for_the_control_plane_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("ak_1.secret\n")
    found = read_settings([*REQUIRED, "--api-key-file", str(file)], {})
    assert found.api_key == "ak_1.secret"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "flags",
    [
        ("--poll-seconds", "0"),
        ("--poll-seconds", "nan"),
        ("--poll-seconds", "inf"),
        ("--batch-rows", "0"),
        ("--batch-rows", "x"),
        ("--shed", "some"),
        ("--allow-plain-http", "yes"),
        ("--control", "http://control.example"),
        ("--control", "ftp://control.example"),
        ("--control", "https://user:password@control.example"),
        ("--routing-keys", ""),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(flags: tuple[str, str]) -> None:
    with pytest.raises(InvalidInput) as error:
        read_settings([*REQUIRED, *flags], {})
    assert error.value.field == flags[0].removeprefix("--").replace("-", "_")


def test_every_setting_stands_in_the_reference() -> None:
    page = (REPOSITORY / "docs/reference/gateway.md").read_text()
    for name, meaning in documented().items():
        assert f"| `{name}` | {meaning} |" in page


def test_it_stands_on_the_lower_floors_only() -> None:
    """No server, web framework or database comes with the serving process."""
    code = "import sys, trimtab.gateway.__main__; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(REPOSITORY / "src"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(found.stdout.split())
    rooms = {name.split(".")[1] for name in loaded if name.startswith("trimtab.")}
    assert rooms == {"kernel", "artifacts", "sdk", "gateway"}
    assert not loaded & {"fastapi", "starlette", "sqlalchemy", "onnx", "pydantic", "model_signing"}
