"""Load on an installation whose processes are killed, and whose database is bounced, meanwhile.

Two kinds of load: batches of predictions, each under an id of its own, sent until they are
acknowledged; and signals of drift, each of which opens one incident, about which somebody then
asks for one message. At the end everything acknowledged is there, once.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import httpx
import pyarrow as pa
import sqlalchemy as sa
from tests.apart import Installation
from tests.bounced import WAYS, Server
from tests.registering import registered
from tests.worker.test_signals import drift

from trimtab.integrations.inbox import MESSAGES
from trimtab.kernel.actor import system
from trimtab.kernel.errors import Conflict, TrimtabError, Unavailable
from trimtab.registry.model import Feature
from trimtab.sdk import shapes

ROWS = 20
WORKERS = ("one", "two")
HARMS = ("worker", "serve", *WAYS)
"""A worker or the server is killed, or the database is stopped."""

COMMANDS = {"serve": ("serve", "--no-work"), **dict.fromkeys(WORKERS, ("work",))}
"""What every supervisor knows: by which command something is started anew."""

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
TRANSPORT = (httpx.TransportError, Unavailable)


@dataclass
class Fire:
    """A campaign: what was acknowledged, and what was done to the processes meanwhile."""

    installation: Installation
    server: Server
    chance: random.Random
    acknowledged: list[str] = field(default_factory=list)
    """Ids of batches."""
    signals: list[str] = field(default_factory=list)
    """Models of which a signal was written."""
    asked: dict[str, str] = field(default_factory=dict)
    """Incident by remediation."""
    done: Counter[str] = field(default_factory=Counter)
    healthy_after: list[float] = field(default_factory=list)
    """Seconds from the start of a bounced database until all is well."""
    faults: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _key: str = ""

    def begin(self) -> None:
        """Start the processes, and add what the load needs."""
        self.installation.serve()
        for name in WORKERS:
            self.installation.work(name)
        with self.installation.admin() as admin:
            account = shapes.NewAccount(name="gateway", roles=["gateway"])
            self._key = admin.identity.add_account(account).key
        with self.installation.records() as records, records.begin(system("test"), reason="x") as w:
            registered(w, "observed", features=(Feature("longitude", "numeric"),))

    def harms(self, seconds: float) -> Iterator[str]:
        """Faults drawn by lot for so long, each after a while in which there is none."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.faults:
            self._calm(self.chance.uniform(1.0, 4.0))
            yield self.chance.choice(("worker", *HARMS))

    def each_harm(self) -> Iterator[str]:
        """Every kind of fault once, in an order drawn by lot."""
        for harm in self.chance.sample(HARMS, len(HARMS)):
            self._calm(1.0)
            yield harm

    def _calm(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > over)

    def burn(self, harms: Iterator[str]) -> None:
        """Load, and meanwhile these faults; then load alone until all is well."""
        loads = [self._batches, self._batches, self._incidents]
        threads = [threading.Thread(target=self._loud, args=(load,)) for load in loads]
        for thread in threads:
            thread.start()
        for harm in harms:
            self._harm(harm)
        self.until(self.well)
        self._over.set()
        self.until(lambda: not any(thread.is_alive() for thread in threads))

    def until(self, done: Callable[[], object]) -> float:
        """Wait until `done()`, and see to it meanwhile that whatever ended is started anew.

        By this thread alone: a child is told to end when the thread that started it does.
        """

        def tended() -> object:
            for name, command in COMMANDS.items():
                if self.installation.processes[name].poll() is not None:
                    self.installation.start(name, *command)
            return done()

        return self.installation.until(tended)

    def _loud(self, load: Callable[[], None]) -> None:
        try:
            load()
        except Exception as error:  # noqa: BLE001 - a thread's fault is the campaign's
            self.faults.append(f"{load.__name__}: {error!r}")

    def well(self) -> bool:
        """Whether whoever asks for the health is told that nothing is wrong."""
        try:
            return httpx.get(f"{self.installation.url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _harm(self, act: str) -> None:
        self.done[act] += 1
        if act == "worker":
            self.installation.kill(self.chance.choice(WORKERS))
        elif act == "serve":
            self.installation.kill("serve")
        else:
            self.server.stop(act)
            time.sleep(self.chance.uniform(0.0, 2.0))
            self.server.start()
            self.healthy_after.append(self.until(self.well))

    def _batches(self) -> None:
        with httpx.Client(base_url=self.installation.url, timeout=10) as client:
            while not self._over.wait(0.02):
                batch = uuid.uuid4().hex
                body = predictions(uuid.UUID(batch).int)  # once: another try is of the same
                self._until_taken(partial(self._sent, client, batch, body))
                self.acknowledged.append(batch)

    def _sent(self, client: httpx.Client, batch: str, body: bytes) -> None:
        headers = {**ARROW, "X-Api-Key": self._key, "Idempotency-Key": batch}
        answer = client.post("/api/v1/predictions", content=body, headers=headers)
        if answer.status_code == 503:
            assert "Retry-After" in answer.headers, answer.text
            raise Unavailable("later")
        assert answer.status_code == 202, answer.text

    def _incidents(self) -> None:
        number = 0
        while not self._over.wait(0.2):
            number += 1
            model = f"m{number}"
            self._until_taken(partial(self.signal, model))
            self.signals.append(model)
            self._until_taken(partial(self._ask, model))

    def signal(self, model: str) -> None:
        """One transaction; one whose outcome is not known has made the model, or has not."""
        with self.installation.records() as records:
            try:
                with records.begin(system("watch"), reason="a window") as work:
                    registered(work, model, tier=2)
                    work.record(drift(model, None, "longitude"))
            except Conflict:
                return  # an earlier try was written, though nobody heard of it

    def _ask(self, model: str) -> None:
        with self.installation.admin() as admin:
            found = [i for i in admin.monitoring.incidents() if i.model == model]
            if not found:
                raise Unavailable("not yet")
            (incident,) = found
            known = [r for r in admin.remediation.list() if r.incident == incident.id]
            if not known:
                known = [admin.remediation.execute(incident.id, "notify_team", reason="a test")]
            self.asked[known[0].id] = incident.id

    def _until_taken(self, act: Callable[[], None]) -> None:
        """Try until it is acknowledged; nobody gives up because of an outage."""
        while True:
            try:
                act()
            except TRANSPORT:
                time.sleep(0.1)
            except TrimtabError as error:
                raise AssertionError(f"refused: {error.message}") from error
            else:
                return

    def settled(self) -> bool:
        """Whether nothing is left to do."""
        with self.installation.engine() as connection:
            sent = connection.execute(sa.select(sa.func.count()).select_from(MESSAGES)).scalar_one()
        return not self.installation.unfinished() and sent >= len(self.asked)


def predictions(seed: int) -> bytes:
    """A batch of predictions as a gateway ships it."""
    now = datetime.now(UTC)
    first = int(now.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62
    batch = pa.record_batch(
        {
            "prediction_id": [str(uuid.UUID(int=first | (seed + n) % 2**60)) for n in range(ROWS)],
            "row": pa.array([0] * ROWS, pa.int32()),
            "model": ["observed"] * ROWS,
            "version": ["1.0.0"] * ROWS,
            "digest": ["sha256:" + "0" * 64] * ROWS,
            "tenant": pa.array([None] * ROWS, pa.string()),
            "endpoint": ["gate-1"] * ROWS,
            "deployment": ["stable"] * ROWS,
            "at": pa.array([now] * ROWS, pa.timestamp("us", "UTC")),
            "latency_ms": pa.array([1.5] * ROWS, pa.float64()),
            "in.longitude": pa.array([1.0] * ROWS, pa.float64()),
            "out.score": pa.array([0.5] * ROWS, pa.float64()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
