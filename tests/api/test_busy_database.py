"""What a caller is told while PostgreSQL is busy or away, and that nothing is left of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests import databases
from tests.serving import administered

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.platform.postgresql import WRITERS
from trimtab.platform.settings import Settings

pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-battery-staple-2015"
TENANTS = "/api/v1/tenants"
POOL = 2


@pytest.fixture
def address(postgresql: Callable[[], str]) -> str:
    return postgresql()


@pytest.fixture
def application(address: str, tmp_path: Path) -> Iterator[Application]:
    """A control plane on PostgreSQL that is soon out of patience; its loops do not run."""
    settings: dict[str, Any] = {
        "TRIMTAB_HOME": tmp_path / "home",
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
        "DATABASE_URL": address,
        "DATABASE_POOL_SIZE": POOL,
        "DATABASE_POOL_TIMEOUT_SECONDS": 1,
        "DATABASE_LOCK_TIMEOUT_SECONDS": 2.0,
    }
    made = Application(Settings(**settings))
    made.first_start()
    yield made
    made.parts.records.database.close()


@pytest.fixture
def client(application: Application) -> Iterator[httpx.Client]:
    with administered(application, PASSWORD) as client:
        yield client


def add(client: httpx.Client, name: str) -> httpx.Response:
    return client.post(TENANTS, json={"id": name, "name": name.upper(), "reason": "a test"})


def demand_busy(answer: httpx.Response, said: str) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert said in answer.json()["detail"]
    assert answer.json()["remedy"]


def entries(application: Application) -> int:
    with application.parts.records.look() as reading:
        return ledger.size(reading.connection)


def test_when_every_connection_is_taken(application: Application, client: httpx.Client) -> None:
    before = entries(application)
    with ExitStack() as held:
        for _ in range(POOL * 5):
            held.enter_context(application.parts.records.look())
        demand_busy(client.get(TENANTS), "every connection")
        demand_busy(add(client, "aa"), "every connection")
    assert add(client, "aa").status_code == 201
    assert entries(application) == before + 1


def test_when_somebody_else_keeps_writing(
    application: Application, client: httpx.Client, address: str
) -> None:
    before = entries(application)
    with psycopg.connect(address) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
        demand_busy(add(client, "aa"), "lock timeout")
        assert client.get(TENANTS).json()["items"] == [], "reading goes on"
    assert add(client, "aa").status_code == 201
    assert entries(application) == before + 1


def test_when_the_server_lets_nobody_in(
    application: Application, client: httpx.Client, address: str
) -> None:
    before = entries(application)
    databases.server().allow(address, False)
    try:
        demand_busy(add(client, "aa"), "the database could not take this now")
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["components"]["database"] == "unreachable"
    finally:
        databases.server().allow(address, True)
    assert add(client, "aa").status_code == 201
    assert client.get("/health").json()["components"]["database"] == "connected"
    assert entries(application) == before + 1
