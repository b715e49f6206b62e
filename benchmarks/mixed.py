"""A company's day on PostgreSQL: resolutions, votes and predictions, alone and all at once.

1,000 models and 100 tenants. One process answers endpoints, another people and gateways, a third
does the work; the database and the callers share the machine with them. The floors are a bare
application with one route that answers a constant, a commit of one row by the driver, and the
same bytes in one table of it.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import sqlalchemy as sa

from benchmarks.floor import Figure, Goal
from benchmarks.ingest import ARROW, ROWS, batches
from benchmarks.load import exchange, get, open_loop, post, quantile_ms
from benchmarks.processes import Server, control_plane, free_port, postgresql, server, working
from benchmarks.resolve import requests
from benchmarks.seeding import SEEDER, House, furnish
from trimtab.approvals import service as approvals
from trimtab.approvals.model import Approval, Target
from trimtab.audit.work import Records
from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.kernel.clock import SystemClock
from trimtab.platform.database import Database
from trimtab.policies.loader import load_preset
from trimtab.registry import store as registry
from trimtab.workflows.parts import ENVIRONMENT

RESOLUTIONS_PER_SECOND = 500.0
VOTES_PER_SECOND = 50.0
PREDICTIONS_PER_SECOND = 55_000.0
"""Offered while the others ask, a tenth above what has to be acknowledged."""
SIGNER = "signer@example.org"


@dataclass(frozen=True)
class Company:
    """What is asked of the control plane, and by whom."""

    house: House
    password: str
    pending: tuple[Approval, ...]


def measure(*, tiny: bool) -> list[Figure]:
    """Each load alone, then all at once."""
    models, tenants, seconds, runs = (20, 5, 0.5, 1) if tiny else (1000, 100, 4.0, 3)
    votes = int(VOTES_PER_SECOND * seconds) * runs * 2 + 20
    with tempfile.TemporaryDirectory() as folder, postgresql() as url:
        company = furnished(Path(folder), url, models, tenants, votes)
        port = free_port()
        bare = ["uvicorn", "benchmarks.bare:app", "--port", str(port), "--log-level", "error"]
        with (
            working(Path(folder), url),
            answering(Path(folder), url) as ours,
            answering(Path(folder), url) as other,
            server(bare, port, "/constant") as floor,
        ):
            load = Load(ours, other, company, 0.1 if tiny else 1.0)
            asyncio.run(load.resolutions(1.0))  # connections, prepared statements, imports
            alone = load.alone(seconds, runs)
            together = [asyncio.run(load.together(seconds)) for _ in range(runs)]
            constant = [
                quantile_ms(
                    asyncio.run(
                        open_loop(
                            floor.port, lambda _: get("/constant"), RESOLUTIONS_PER_SECOND, seconds
                        )
                    ),
                    0.95,
                )
                for _ in range(runs)
            ]
            grown = load.grown()
        commits = [_commits_ms(url, 1.0 if tiny else 2.0) for _ in range(runs)]
        stored = [_stored(url, load.bodies) for _ in range(runs)]
    return [
        *_figures("alone", alone, constant, commits, stored),
        *_figures("all at once", together, constant, commits, stored),
        Figure("memory of what took the predictions in", "MiB more", [grown]),
    ]


@dataclass(frozen=True)
class Round:
    """What one round gave: latencies in ms, and rows a second."""

    resolve_p95: float
    vote_p95: float
    rows: float


def _figures(
    how: str,
    rounds: list[Round],
    constant: list[float],
    commits: list[float],
    stored: list[float],
) -> list[Figure]:
    return [
        Figure(
            f"{how}: resolve at {RESOLUTIONS_PER_SECOND:g}/s, p95",
            "ms",
            [r.resolve_p95 for r in rounds],
            constant,
            "a constant from a bare FastAPI route",
            Goal(20.0),
        ),
        Figure(
            f"{how}: votes at {VOTES_PER_SECOND:g}/s, p95",
            "ms",
            [r.vote_p95 for r in rounds],
            commits,
            "a commit of one row by the driver",
            Goal(80.0),
        ),
        Figure(
            f"{how}: predictions, {ROWS:,} rows each",
            "rows/s",
            [r.rows for r in rounds],
            stored,
            "the same bytes by the driver",
            Goal(50_000.0, at_least=True),
        ),
    ]


class Load:
    """The callers."""

    def __init__(self, endpoints: Server, others: Server, company: Company, share: float):
        """`endpoints` answers those alone; `share` is that of the rates of a whole company."""
        self._endpoints = endpoints
        self._others = others
        self._share = share
        self._wanted = requests(company.house)
        self._votes = iter(self._ballots(company))
        self._gateway = company.house.gateway
        minute = timedelta(minutes=1)  # what was just served, as gateways ship it
        self.bodies = list(batches(4, datetime.now(UTC) - minute, minute))
        self._before = 0.0

    def _ballots(self, company: Company) -> list[bytes]:
        who = {"email": SIGNER, "password": company.password}
        answer = httpx.post(f"http://127.0.0.1:{self._others.port}/api/v1/tokens", json=who)
        token = answer.raise_for_status().json()["access_token"]
        headers = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        return [
            post(
                f"/api/v1/approvals/{one.id}/votes",
                json.dumps(
                    {"approve": True, "digest": one.target.digest, "reason": "a benchmark"}
                ).encode(),
                headers,
            )
            for one in company.pending
        ]

    async def resolutions(self, seconds: float) -> float:
        """p95 in ms."""
        wanted = self._wanted
        latencies = await open_loop(
            self._endpoints.port,
            lambda number: wanted[number % len(wanted)],
            RESOLUTIONS_PER_SECOND * self._share,
            seconds,
        )
        return quantile_ms(latencies, 0.95)

    async def votes(self, seconds: float) -> float:
        """p95 in ms."""
        latencies = await open_loop(
            self._others.port,
            lambda _: next(self._votes),
            VOTES_PER_SECOND * self._share,
            seconds,
        )
        return quantile_ms(latencies, 0.95)

    async def predictions(self, seconds: float, offered: float = math.inf) -> float:
        """Rows a second that one gateway gets acknowledged, of so many that it offers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._others.port)
        began, sent = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            await asyncio.sleep(max(0.0, began + sent * ROWS / offered - time.perf_counter()))
            headers = f"X-Api-Key: {self._gateway}\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n"
            body = self.bodies[sent % len(self.bodies)]
            if not await exchange(
                reader, writer, post("/api/v1/predictions", body, headers + ARROW)
            ):
                raise SystemExit("a gateway was refused")
            sent += 1
        writer.close()
        self._before = self._before or self._resident()
        return sent * ROWS / (time.perf_counter() - began)

    def alone(self, seconds: float, runs: int) -> list[Round]:
        """One load after the other; predictions last, for they leave work behind."""
        loads = (self.resolutions, self.votes, self.predictions)
        rounds = [[asyncio.run(load(seconds)) for _ in range(runs)] for load in loads]
        return [Round(*each) for each in zip(*rounds, strict=True)]

    async def together(self, seconds: float) -> Round:
        """All of them at once, predictions as fast as they have to be taken in."""
        return Round(
            *await asyncio.gather(
                self.resolutions(seconds),
                self.votes(seconds),
                self.predictions(seconds, PREDICTIONS_PER_SECOND * self._share),
            )
        )

    def grown(self) -> float:
        """MiB that the server has become larger since the first round."""
        return self._resident() - self._before

    def _resident(self) -> float:
        for line in Path(f"/proc/{self._others.pid}/status").read_text("ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise LookupError("no process has this id")


def answering(home: Path, url: str) -> AbstractContextManager[Server]:
    """A process that answers, and leaves the work to others."""
    return control_plane(home, "--no-work", more={"DATABASE_URL": url})


def furnished(home: Path, url: str, models: int, tenants: int, votes: int) -> Company:
    """A house on PostgreSQL, with somebody who signs and what waits for it."""
    house = furnish(home, models=models, tenants=tenants, dedicated=10, url=url)
    password = secrets.token_urlsafe(16)
    demands = load_preset("standard").tier(2).approvals
    with _opened(url) as database:
        records = Records(database, SystemClock())
        with records.begin(SEEDER, reason="benchmark") as work:
            identity.add_person(
                work,
                email=SIGNER,
                name="Signer",
                roles=("ml_lead",),
                password_hash=hash_password(password),
            )
        pending: list[Approval] = []
        while len(pending) < votes:
            with records.begin(SEEDER, reason="benchmark") as work:
                model = house.models[len(pending) % len(house.models)]
                version = registry.find_version(work, model, "1.0.0")
                assert version is not None
                target = Target(
                    model=model,
                    version_id=version.id,
                    version=version.version,
                    digest=version.digest,
                    tenant=None,
                    environment=ENVIRONMENT,
                    max_percent=100.0,
                    checks_digest=f"sha256:{len(pending):064x}",
                    policy_digest="sha256:" + "0" * 64,
                )
                pending.append(
                    approvals.request(
                        work, target, comment="", contributors=(), criteria=(), demands=demands
                    )
                )
        with database.write() as connection:  # as the server does by itself within a minute
            connection.exec_driver_sql("ANALYZE")
    return Company(house, password, tuple(pending))


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@contextmanager
def _driver(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS floor (id text, body bytea)"))
        connection.execute(sa.text("ALTER TABLE floor ALTER body SET STORAGE EXTERNAL"))
        connection.commit()
        yield connection
    engine.dispose()


def _commits_ms(url: str, seconds: float) -> float:
    """The 95th percentile of a commit of one row."""
    taken, end = [], time.perf_counter() + seconds
    with _driver(url) as connection:
        while (began := time.perf_counter()) < end:
            connection.execute(sa.text("INSERT INTO floor VALUES (:id, NULL)"), {"id": "x"})
            connection.commit()
            taken.append(time.perf_counter() - began)
    return quantile_ms(taken, 0.95)


def _stored(url: str, bodies: list[bytes]) -> float:
    """Rows a second, the bodies of batches alone, one a transaction."""
    began = time.perf_counter()
    with _driver(url) as connection:
        for body in bodies * 3:
            connection.execute(sa.text("INSERT INTO floor VALUES ('x', :body)"), {"body": body})
            connection.commit()
    return len(bodies) * 3 * ROWS / (time.perf_counter() - began)
