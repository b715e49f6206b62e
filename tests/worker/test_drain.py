"""Told to end under load: it says so first, ends in time, and keeps all that it acknowledged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.databases import database_for, opened_at
from tests.patience import PATIENCE_SECONDS
from tests.workflows.house import FIRST, PASSWORD, House, Sent, opened

from trimtab.demo.processes import free_port
from trimtab.observations.store import PREDICTIONS
from trimtab.platform.database import Database

pytestmark = pytest.mark.slow

SENDERS = 4
ROWS = 50
NOTICE_SECONDS = 2
LONGEST_SECONDS = 30.0
"""What is promised; a machine in use has more of the patience, and is told apart below."""


class Load:
    """Threads that send batches until nobody takes them, and what was acknowledged."""

    def __init__(self, house: House, address: str):
        self._house = house
        self._address = address
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        with httpx.Client(base_url=self._address, timeout=PATIENCE_SECONDS) as client:
            while True:
                stamp = int((FIRST + timedelta(hours=12)).timestamp() * 1000)
                ids = [
                    str(
                        uuid.UUID(
                            int=(stamp << 80) | (7 << 76) | (2 << 62) | uuid.uuid4().int >> 66
                        )
                    )
                    for _ in range(ROWS)
                ]
                batch = f"load-{uuid.uuid4()}"
                headers = {
                    **self._house.gateway,
                    "Content-Type": "application/vnd.apache.arrow.stream",
                    "Idempotency-Key": batch,
                }
                self._house._scores = [0.1] * ROWS
                body = self._house.body(Sent(ids, [0] * ROWS))
                try:
                    answer = client.post("/api/v1/predictions", content=body, headers=headers)
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    self.acknowledged.append(batch)
                else:
                    self.refused.append(answer.status_code)


def test_it_leaves_under_load_and_loses_nothing(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with opened(home) as house:
        pass  # the keys and the model are there; another process goes on
    address = f"http://127.0.0.1:{port}"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "TRIMTAB_HOME": str(home),
        **database_for(home),
        "TRIMTAB_CLOCK": f"stepped:{(FIRST + timedelta(hours=13)).isoformat()}",
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
        "TRIMTAB_DRAIN_NOTICE_SECONDS": str(NOTICE_SECONDS),
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-c", "from trimtab.cli import main; main()", "serve"]
    with (
        subprocess.Popen(
            [*command, "--port", str(port)],
            env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        ) as process,
        httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as probe,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("interface:"):
                assert process.poll() is None
            assert probe.get("/health/ready").json() == {"status": "ready"}
            with Load(house, address) as load:
                while len(load.acknowledged) < 5 * SENDERS:
                    time.sleep(0.01)
                before = len(load.acknowledged)
                process.send_signal(signal.SIGTERM)
                told = time.monotonic()
                _says_that_it_leaves(probe)
            assert process.wait(PATIENCE_SECONDS) == 0
            took = time.monotonic() - told
        finally:
            process.kill()
    assert took < LONGEST_SECONDS
    assert len(load.acknowledged) > before, "nothing was taken during the notice"
    assert load.refused == []
    database = Database(opened_at(home))
    with database.read() as connection:
        found = connection.execute(sa.select(PREDICTIONS.c.id, PREDICTIONS.c.rows)).all()
    database.close()
    stored = {row.id: row.rows for row in found}
    assert all(stored.get(batch) == ROWS for batch in load.acknowledged)


def _says_that_it_leaves(probe: httpx.Client) -> None:
    """Asked anew, as a load balancer does: a connection of its own each time."""
    while True:
        answer = httpx.get(f"{probe.base_url}/health/ready", timeout=PATIENCE_SECONDS)
        if answer.status_code == 503:
            assert answer.json() == {"status": "leaving"}
            alive = httpx.get(f"{probe.base_url}/health/live", timeout=PATIENCE_SECONDS)
            assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
            return
