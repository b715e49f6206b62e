"""The real application on SQLite under a stepped clock, with a model whose rows are made here."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from tests.databases import database_for
from tests.registering import registered, registration
from tests.serving import administered

from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import PermitId, new_id
from trimtab.observations.batches import labels_batch
from trimtab.platform.settings import Settings
from trimtab.registry import deployment_store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployed, Deployment, begun
from trimtab.registry.model import Feature, Lifecycle
from trimtab.workflows.parts import ENVIRONMENT

FIRST = datetime(2015, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MODEL = "parcels"
ROWS = 600
PASSWORD = "correct-horse-battery-staple-2015"


@dataclass(frozen=True)
class Sent:
    """Rows that were made: their ids, and a label of each."""

    ids: list[str]
    labels: list[int]


class Instants:
    """What is to happen at a certain instant of a job."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._fatal = ""
        self._between: tuple[str, Callable[[], None]] | None = None
        self._here = threading.local()

    def hook(self, instant: str) -> None:
        """The engine's own; called in the thread of the job."""
        when, _, job = instant.partition(":")
        self._here.job = job if when == "before" else None
        if instant == self._fatal:
            self._fatal = ""
            self.failed.append(instant)
            raise RuntimeError("as if it had been killed")

    def fail_once(self, instant: str) -> None:
        """The job fails at this instant, and is tried again."""
        self._fatal = instant

    def between(self, job: str, act: Callable[[], None]) -> None:
        """Between what a job reads and what it writes, once."""
        self._between = (job, act)

    def begins(self, _connection: sa.Connection, options: dict[str, Any]) -> None:
        """A transaction is about to begin."""
        writes = options.get("trimtab_write")
        job = getattr(self._here, "job", None)
        if writes and self._between is not None and self._between[0] == job:
            _, act = self._between
            self._between = None
            act()


@dataclass
class House:
    """A control plane in this process, and the gateway and the feed that send to it."""

    application: Application
    client: httpx.Client
    admin: dict[str, str]
    gateway: dict[str, str]
    feed: dict[str, str]
    instants: Instants
    numbers: Iterator[int] = field(default_factory=itertools.count)
    column: str | None = "in.weight_kg"
    """What gateways call the only feature; None where it does not come."""

    @property
    def now(self) -> datetime:
        return self.application.parts.clock.now()

    def step_to(self, moment: datetime) -> None:
        """Move the clock, and wait until everything that became due has been done."""
        clock = self.application.parts.clock
        assert isinstance(clock, SteppedClock)
        clock.step_to(moment)
        self.settle()

    def settle(self) -> None:
        assert self.application.loop.settle(60)
        assert list(self.application.parts.engine.failed()) == []

    def rows(self, day: int, rows: int = ROWS, *, flagged: int = 0, hour: int = 12) -> Sent:
        """Rows of a day; `flagged` of the negative ones are flagged."""
        when = FIRST + day * DAY + timedelta(hours=hour)
        stamp = int(when.timestamp() * 1000)
        first = next(self.numbers) * 1_000_000
        ids = [
            str(uuid.UUID(int=(stamp << 80) | (7 << 76) | (2 << 62) | (first + n)))
            for n in range(rows)
        ]
        positive = [int(n >= rows - 60) for n in range(rows)]
        self._scores = [0.9 if n < flagged or positive[n] else 0.1 for n in range(rows)]
        return Sent(ids, positive)

    def body(self, sent: Sent, *, factor: float = 1.0) -> bytes:
        """Predictions as a gateway ships them."""
        rows = len(sent.ids)
        at = [datetime.fromtimestamp((uuid.UUID(i).int >> 80) / 1000, UTC) for i in sent.ids]
        rng = np.random.default_rng(uuid.UUID(sent.ids[0]).int % 2**32)
        batch = pa.record_batch(
            {
                "prediction_id": sent.ids,
                "row": pa.array([0] * rows, pa.int32()),
                "model": [MODEL] * rows,
                "version": ["1.0.0"] * rows,
                "digest": ["sha256:" + "0" * 64] * rows,
                "tenant": pa.array([None] * rows, pa.string()),
                "endpoint": ["gate-1"] * rows,
                "deployment": ["stable"] * rows,
                "at": pa.array(at, pa.timestamp("us", "UTC")),
                "latency_ms": pa.array([1.5] * rows, pa.float64()),
                **({self.column: rng.gamma(3.0, 2.0, rows) * factor} if self.column else {}),
                "out.score": pa.array(self._scores, pa.float64()),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())

    def predict(self, sent: Sent, *, batch: str | None = None, factor: float = 1.0) -> None:
        """Ship predictions, under an id of their own or the one given."""
        self._post("/api/v1/predictions", self.gateway, self.body(sent, factor=factor), batch)

    def label(self, sent: Sent, *, batch: str | None = None) -> None:
        """Send the labels of predictions."""
        body = labels_batch(sent.ids, [0] * len(sent.ids), sent.labels)
        self._post(f"/api/v1/labels?model={MODEL}", self.feed, body, batch)

    def _post(self, address: str, key: dict[str, str], body: bytes, batch: str | None) -> None:
        headers = {
            **key,
            "Content-Type": "application/vnd.apache.arrow.stream",
            "Idempotency-Key": batch or f"batch-{next(self.numbers)}",
        }
        answer = self.client.post(address, content=body, headers=headers)
        assert answer.status_code == 202, answer.text

    def day(self, day: int, *, flagged: int = 0, labels: bool = True) -> Sent:
        """A whole day whose rows and labels come in time."""
        self.step_to(FIRST + day * DAY + timedelta(hours=12))
        sent = self.rows(day, flagged=flagged)
        self.predict(sent)
        if labels:
            self.label(sent)
        return sent

    def windows(self) -> list[dict[str, Any]]:
        """The windows that were looked at, as the interface shows them."""
        answer = self.client.get(f"/api/v1/monitoring/models/{MODEL}/windows", headers=self.admin)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def entries(self, *kinds: str) -> Sequence[Entry]:
        with self.application.parts.records.look() as reading:
            return ledger.entries(reading.connection, kinds=kinds, limit=2000)

    def metric(self, line: str) -> float:
        """The value of a line of the metrics; 0 where it is not there."""
        text = self.client.get("/metrics").text
        found = [x.rpartition(" ")[2] for x in text.splitlines() if x.startswith(line + " ")]
        return float(found[0]) if found else 0.0


@contextmanager
def opened(home: Path, **more: str) -> Iterator[House]:
    """A house with one model in service, at noon of its first day; `more` are settings."""
    settings: dict[str, Any] = {
        **more,
        "TRIMTAB_HOME": home,
        **database_for(home),
        "TRIMTAB_CLOCK": f"stepped:{(FIRST + timedelta(hours=12)).isoformat()}",
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
    }
    instants = Instants()
    application = Application(Settings(**settings), hook=instants.hook)
    engine = application.parts.records.database.engine
    sa.event.listen(engine, "set_connection_execution_options", instants.begins)
    application.first_start()
    gateway, feed = _account(application, "gateway"), _account(application, "feed")
    _deploy(application)
    application.start()
    try:
        with administered(application, PASSWORD) as client:
            admin = {"Authorization": client.headers.pop("Authorization")}
            yield House(application, client, admin, gateway, feed, instants)
    finally:
        application.stop(10)


def _account(application: Application, role: str) -> dict[str, str]:
    with application.parts.records.begin(system("test"), reason="the cast") as work:
        owner = people.people(work)[0].id
        account = identity.add_account(work, name=role, owner=owner, roles=(role,), tenant=None)
        _, text = identity.issue_key(work, account)
    return {"X-Api-Key": text}


def _deploy(application: Application) -> None:
    """A registered version that is stable, as if it had gone all the way."""
    parts = application.parts
    sink = BytesIO()
    weights = np.random.default_rng(1).gamma(3.0, 2.0, 5000)
    pq.write_table(pa.table({"weight_kg": weights, "late": np.zeros(5000, int)}), sink)
    blob = parts.blobs.put(BytesIO(sink.getvalue()), max_bytes=1 << 20)
    with parts.records.begin(system("test"), reason="a model in service") as work:
        registered(work, MODEL, tier=1, features=(Feature("weight_kg", "numeric"),))
        version = registry.register_version(work, registration(MODEL, "1.0.0", blob.digest))
        for step in (Lifecycle.STAGING, Lifecycle.REJECTED):  # or its checks would begin
            registry.move_version(work, version.id, step, why="it has no bytes")
        stable = Deployed(
            id=new_id("dep"),
            model=MODEL,
            tenant=None,
            environment=ENVIRONMENT,
            version="1.0.0",
            digest=version.digest,
            state=Deployment.STABLE,
            percent=100.0,
            salt="",
            permit=PermitId("per_none"),
            since=work.now,
        )
        deployment_store.begin(work, stable, begun(stable, "a test"))
