"""A control plane whose loop the test turns, the people who sign, and a gateway that reports."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from tests import databases
from tests.workflows.handing_in import FACTS, MODEL, NAMES, good_files, hand_in, register

from trimtab.app import Application
from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval, Phase
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.identity import standing
from trimtab.identity import store as people
from trimtab.identity.model import Person, PersonAdded
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock, iso
from trimtab.kernel.ids import PersonId, TenantId, new_id
from trimtab.observations import store as observations
from trimtab.observations.batches import labels_batch, parse_labels, parse_predictions
from trimtab.platform.settings import Settings
from trimtab.policies.loader import load_preset, load_text
from trimtab.policies.risk import RiskFacts
from trimtab.registry import deployment_store, routing, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Lifecycle, Version
from trimtab.rollouts import store as rollout_store
from trimtab.rollouts.model import Rollout
from trimtab.workflows import release
from trimtab.workflows.parts import ENVIRONMENT

OWN = "own"
"""The name of the policy: that of the default one, word for word."""

FIRST = datetime(2015, 3, 1, tzinfo=UTC)

ROLES = ("peer_reviewer", "ml_engineer", "ml_lead", "business_owner")


@dataclasses.dataclass
class Plane:
    """A control plane in this process, and everybody who has to do with a release."""

    application: Application
    policy: Path
    people: dict[str, Person] = dataclasses.field(default_factory=dict)
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    hours: int = 13
    silent: bool = False

    @property
    def now(self) -> datetime:
        return self.application.parts.clock.now()

    def settle(self, *, after: timedelta = timedelta(0)) -> None:
        """Step the clock, and do everything that is due, a gateway's reports included."""
        clock = self.application.parts.clock
        assert isinstance(clock, SteppedClock)
        clock.step_to(clock.now() + after)
        done = threading.Event()
        gateway = threading.Thread(target=self._serve, args=(done,))
        gateway.start()
        try:
            assert self.application.loop.settle(60)
        finally:
            done.set()
            gateway.join()
        assert list(self.application.parts.engine.failed()) == []

    def _serve(self, done: threading.Event) -> None:
        """The one gateway applies each table as it comes, unless it is silent."""
        parts = self.application.parts
        while not done.is_set():
            epoch, _ = release.publish_routing(parts)
            report: dict[str, object] = {"epoch": epoch, "refused": []}
            seen = parts.real_clock.now() - timedelta(hours=1 if self.silent else 0)
            with parts.records.begin(system("gateway"), reason="a report") as work:
                routing.note_report(work, "gate", epoch, report, seen)
            done.wait(0.05)

    def register(self, *, facts: RiskFacts = FACTS) -> None:
        register(self.application, NAMES, facts=facts)

    def hand_in(self, number: str, **changes: Any) -> Version:
        """A good version, of bytes of its own."""
        artifact, reference, holdout = good_files()
        model = onnx.load_from_string(artifact)
        model.doc_string = number
        files = model.SerializeToString(), reference, holdout
        return hand_in(self.application, *files, version=number, **changes)

    def version(self, number: str) -> Version:
        with self.application.parts.records.look() as reading:
            found = store.find_version(reading, MODEL, number)
        assert found is not None
        return found

    def requests(self, number: str) -> list[Approval]:
        with self.application.parts.records.look() as reading:
            return approval_store.of_version(reading, self.version(number).id)

    def vote(self, asked: Approval, *, approve: bool = True) -> None:
        """Everybody who has to, says yes; or the first of them no."""
        for step in asked.steps if approve else asked.steps[:1]:
            person = self.people[step.role]
            with self.application.parts.records.begin(person.actor(), reason="I looked") as work:
                roles = frozenset({step.role})
                digest = asked.target.digest
                approvals.decide(work, asked.id, roles, approve=approve, digest=digest)

    def sign(self, number: str) -> None:
        """Sign what waits for a version."""
        (waiting,) = [a for a in self.requests(number) if a.phase is Phase.PENDING]
        self.vote(waiting)
        self.settle()

    def depart(self, role: str) -> None:
        """Who signs in this role is here no more."""
        with self.application.parts.records.begin(system("test"), reason="left") as work:
            standing.disable_person(work, self.people[role].id)

    def change_policy(self, old: str = "", new: str = "") -> None:
        """The policy is another one: a byte more, or `old` replaced by `new`."""
        policies = self.application.parts.policies
        assert isinstance(policies, dict)
        text = self.policy.read_text("utf-8")
        assert old in text
        self.policy.write_text(text.replace(old, new) + "#", "utf-8")
        policies[OWN] = load_text(self.policy.read_text("utf-8"))  # as after a restart

    def quarantine(self, number: str) -> None:
        """Its bytes are no longer what was signed."""
        with self.application.parts.records.begin(system("test"), reason="damaged") as work:
            version = self.version(number)
            registry.move_version(work, version.id, Lifecycle.QUARANTINED, why="damaged")

    def rollout(self, number: str) -> Rollout:
        with self.application.parts.records.look() as reading:
            found = [r for r in rollout_store.of_model(reading, MODEL) if r.version == number]
        return found[0]

    def stable(self, tenant: TenantId | None = None) -> Deployed | None:
        with self.application.parts.records.look() as reading:
            return deployment_store.in_place(reading, MODEL, tenant, ENVIRONMENT, Deployment.STABLE)

    def placed(self, number: str) -> Deployed:
        """The newest deployment of a version."""
        with self.application.parts.records.look() as reading:
            found = [d for d in deployment_store.history(reading, MODEL) if d.version == number]
        return found[-1]

    def hasten(self) -> None:
        """Releases of tier 2 and 3 take one step of an hour, instead of three of half a day."""
        self.change_policy("steps_percent: [10, 25, 50, 100]", "steps_percent: [50, 100]")
        self.change_policy("min_hold_hours: 4", "min_hold_hours: 1")
        self.change_policy("min_hold_hours: 12", "min_hold_hours: 1")
        self.hours = 2

    def release(self, number: str) -> None:
        """From nothing to stable, with everything that it takes."""
        self.hand_in(number)
        self.settle()
        self.sign(number)
        for _ in range(12):
            if self.rollout(number).settled:
                return
            self.day()
        raise AssertionError(self.rollout(number))

    def day(self) -> None:
        """Hours in which everything that is served does well, until the next look."""
        parts = self.application.parts
        with parts.records.look() as reading:
            placed = deployment_store.carrying(reading, ENVIRONMENT, model=MODEL)
        for deployed in placed:
            self.outcomes(deployed)
        self.settle(after=timedelta(hours=self.hours))

    def outcomes(self, deployed: Deployed, rows: int = 1200) -> None:
        """Rows that a version answered, and what became of them: a canary is the better one."""
        stamp = int(self.now.timestamp() * 1000)
        first = next(self.numbers) * 1_000_000
        marks = (7 << 76) | (2 << 62)
        ids = [str(uuid.UUID(int=(stamp << 80) | marks | (first + n))) for n in range(rows)]
        labels = [int(n % 10 == 0) for n in range(rows)]
        one_in = 34 if deployed.state is Deployment.STABLE else 340
        scores = [0.9 if late or n % one_in == 1 else 0.1 for n, late in enumerate(labels)]
        batch = pa.record_batch(
            {
                "prediction_id": ids,
                "row": pa.array([0] * rows, pa.int32()),
                "model": [MODEL] * rows,
                "version": [deployed.version] * rows,
                "digest": [deployed.digest] * rows,
                "tenant": pa.array([None] * rows, pa.string()),
                "endpoint": ["till-1"] * rows,
                "deployment": [deployed.state.value] * rows,
                "at": pa.array([self.now] * rows, pa.timestamp("us", "UTC")),
                "latency_ms": pa.array([1.5] * rows, pa.float64()),
                **{f"in.{name}": np.random.default_rng(first).normal(size=rows) for name in NAMES},
                "out.score": pa.array(scores, pa.float64()),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        predictions = parse_predictions(bytes(sink.getvalue()))
        known = parse_labels(MODEL, labels_batch(ids, [0] * rows, labels))
        records, gateway = self.application.parts.records, system("gateway")
        for one in (
            observations.Delivery(observations.PREDICTIONS, f"p-{first}", predictions),
            observations.Delivery(observations.LABELS, f"l-{first}", known),
        ):
            with records.begin(gateway, reason="shipped", before=one.bring) as work:
                one.keep(work)

    def entries(self, *kinds: str) -> list[Entry]:
        with self.application.parts.records.look() as reading:
            return list(ledger.entries(reading.connection, kinds=kinds, limit=5000))


@dataclasses.dataclass(frozen=True)
class Told:
    """A story that was told once, in a home that is copied for whoever goes on with it."""

    home: Path
    now: datetime
    people: dict[str, Person]
    told: int
    """How many batches have gone out."""
    hours: int
    silent: bool


def told(home: Path, story: Callable[[Plane], object]) -> Told:
    """Tell a story from the beginning; the process that told it has ended."""
    with opened(home) as plane:
        story(plane)
        now, batches = plane.now, next(plane.numbers)
    return Told(home, now, plane.people, batches, plane.hours, plane.silent)


@contextmanager
def going_on(story: Told, home: Path) -> Iterator[Plane]:
    """A control plane that was started on a copy of where a story has come to."""
    home.parent.mkdir(exist_ok=True)
    shutil.copytree(story.home, home)
    databases.copied(story.home, home, in_use=False)
    policy = _policy_beside(home)
    shutil.copy(_policy_beside(story.home), policy)
    plane = Plane(_application(home, story.now), policy)
    plane.people.update(story.people)
    plane.numbers, plane.hours = itertools.count(story.told), story.hours
    plane.silent = story.silent
    with _started(plane):
        yield plane


@contextmanager
def opened(home: Path) -> Iterator[Plane]:
    """A control plane under a policy of its own, and people for every role that signs."""
    policy = _policy_beside(home)
    policy.write_text(load_preset("standard").text.replace("name: standard", f"name: {OWN}"))
    plane = Plane(_application(home, FIRST), policy)
    for role in ROLES:
        with plane.application.parts.records.begin(system("test"), reason="the cast") as work:
            person = Person(
                id=PersonId(new_id("usr")),
                email=f"{role}@example.org",
                name=role,
                tenant=None,
                roles=(role,),
                password_hash="",  # nobody logs in here
                disabled=False,
                created_at=work.now,
            )
            event = PersonAdded(subject=person.id, tenant=None, name=role, roles=[role])
            people.add(work, person, event)
            plane.people[role] = person
    with _started(plane):
        yield plane


def _policy_beside(home: Path) -> Path:
    return home.parent / f"{OWN}.yaml"


def _application(home: Path, now: datetime) -> Application:
    settings: dict[str, Any] = {
        "TRIMTAB_HOME": home,
        **databases.database_for(home),
        "TRIMTAB_CLOCK": f"stepped:{iso(now)}",
        "TRIMTAB_POLICY": str(_policy_beside(home)),
    }
    return Application(Settings(**settings))


@contextmanager
def _started(plane: Plane) -> Iterator[None]:
    plane.application.start()
    try:
        yield
    finally:
        plane.application.stop(20)
