"""Everybody outside: people who sign and operate, gateways that serve, and what comes of it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from tests.simulation.plane import Plane
from tests.workflows.handing_in import MODEL, NAMES

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval, Phase
from trimtab.audit import ledger
from trimtab.identity import store as people
from trimtab.identity.model import Person
from trimtab.kernel.actor import system
from trimtab.kernel.errors import NotFound
from trimtab.monitoring.late import What
from trimtab.observations.batches import Parsed, labels_batch, parse_labels, parse_predictions
from trimtab.registry import deployment_store, routing
from trimtab.registry.deployments import Deployed
from trimtab.rollouts import store as rollout_store
from trimtab.rollouts.model import Rollout
from trimtab.sdk.routing import RoutingTable
from trimtab.workflows import late, release
from trimtab.workflows.parts import ENVIRONMENT

__all__ = ["MODEL", "ROLES", "TENANT", "World"]

TENANT = "shop"
ROLES = ("peer_reviewer", "ml_engineer", "ml_lead", "business_owner")
ROWS = 700
GATEWAY = system("gateway")


class World:
    """What is outside of a control plane; everything it does goes through the services."""

    def __init__(self, plane: Plane, *, first: int = 1):
        self.plane = plane
        self.numbers = itertools.count(first)
        self.gateways = {"gate-1": 0}
        self.refusing: set[str] = set()

    # --- looking -----------------------------------------------------------------------

    def asked(self) -> list[Approval]:
        """Requests that wait, oldest first."""
        with self.plane.parts.records.look() as reading:
            found = approval_store.listed(reading, phase=Phase.PENDING)
        return sorted(found, key=lambda a: (a.requested_at, a.id))

    def people(self) -> list[Person]:
        """Everybody, by address."""
        with self.plane.parts.records.look() as reading:
            return people.people(reading)

    def rollouts(self) -> list[Rollout]:
        """All rollouts, newest first."""
        with self.plane.parts.records.look() as reading:
            return rollout_store.of_model(reading, MODEL)

    def open_rollouts(self) -> list[Rollout]:
        """Those that are not settled."""
        return [r for r in self.rollouts() if not r.settled]

    def carrying(self) -> list[Deployed]:
        """What carries traffic."""
        with self.plane.parts.records.look() as reading:
            return deployment_store.carrying(reading, ENVIRONMENT, model=MODEL)

    # --- time and work -----------------------------------------------------------------

    def step(self, length: timedelta) -> None:
        """Time goes on, for the domain and for the machine."""
        plane = self.plane
        plane.clock.step_to(plane.clock.now() + length)
        plane.real_clock.step_to(plane.real_clock.now() + timedelta(seconds=1))

    def settle(self, *, until: tuple[str, ...] = (), most: int = 400) -> None:
        """Do everything there is to do now, with gateways that follow; or until there is a new
        entry of one of these kinds."""
        known = self.noted(*until)
        for _ in range(most):
            for name in self.gateways:
                self.report(name)
            handed = self.plane.loop.turn()
            runnable = self.plane.engine.runnable()
            if not handed and not runnable and self.followed():
                return
            if runnable:
                self.plane.engine.run(runnable[0])
            if until and self.noted(*until) > known:
                return
        raise AssertionError("it does not come to rest")

    def noted(self, *kinds: str) -> int:
        """The last entry of any of these kinds; 0 if there is none."""
        with self.plane.parts.records.look() as reading:
            found = ledger.entries(reading.connection, kinds=kinds, newest_first=True, limit=1)
        return found[0].sequence if found and kinds else 0

    def followed(self) -> bool:
        """Whether every gateway has the newest table."""
        epoch, _ = release.publish_routing(self.plane.parts)
        return all(known >= epoch for known in self.gateways.values())

    # --- gateways ----------------------------------------------------------------------

    def report(self, name: str, *, lag: bool = False) -> RoutingTable | None:
        """A gateway fetches the table, unless it lags, and says what it serves."""
        parts = self.plane.parts
        epoch, _sealed = release.publish_routing(parts)
        if not lag:
            self.gateways[name] = epoch
        report: dict[str, object] = {
            "epoch": self.gateways[name],
            "refused": sorted(self.refusing),
        }
        with parts.records.begin(GATEWAY, reason="a report") as work:
            routing.note_report(work, name, self.gateways[name], report, parts.real_clock.now())
        return None

    # --- people ------------------------------------------------------------------------

    def sign(self, approval_id: str) -> None:
        """Everybody who has to, says yes."""
        for person in self.people():
            with self.plane.parts.records.look() as reading:
                approval = approval_store.get(reading, approval_id)
            if any(step.role in person.roles for step in approval.open_steps()):
                self.vote(approval, person, approve=True)

    def vote(self, approval: Approval, person: Person, *, approve: bool) -> None:
        """A person says yes or no, in whatever roles they hold."""
        with self.plane.parts.records.begin(person.actor(), reason="I looked") as work:
            approvals.decide(
                work,
                approval.id,
                frozenset(str(role) for role in person.roles),
                approve=approve,
                digest=approval.target.digest,
            )

    # --- predictions and labels ----------------------------------------------------------

    def outcomes(self, *, good: bool, rows: int = ROWS) -> None:
        """Rows that everything answered that carries traffic, and their labels."""
        for deployed in self.carrying():
            canary = deployed.state.value == "canary"
            one_in = 340 if canary and good else (3 if canary else 34)
            predictions, labels = self.batches(deployed, rows, one_in=one_in)
            self.send(What.PREDICTIONS, f"p-{next(self.numbers)}", predictions)
            self.send(What.LABELS, f"l-{next(self.numbers)}", labels)

    def send(self, what: What, batch_id: str, batch: Parsed) -> bool:
        """Ship a batch; whether it was a repeated one."""
        try:
            return late.keep(self.plane.parts, GATEWAY, what, batch_id, batch).duplicate
        except NotFound:
            return False

    def batches(
        self, deployed: Deployed, rows: int, *, one_in: int, shift: float = 0.0
    ) -> tuple[Parsed, Parsed]:
        """Predictions of a deployment, one in `one_in` of the negatives flagged, and labels."""
        now = self.plane.clock.now()
        first = next(self.numbers) * 1_000_000
        stamp = int(now.timestamp() * 1000)
        marks = (7 << 76) | (2 << 62)
        ids = [str(uuid.UUID(int=(stamp << 80) | marks | (first + n))) for n in range(rows)]
        labels = [int(n % 10 == 0) for n in range(rows)]
        flagged = [bool(late) or n % one_in == 1 for n, late in enumerate(labels)]
        scores = np.where(flagged, 0.9, 0.1)
        batch = pa.record_batch(self._columns(deployed, ids, scores, shift, first))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        predictions = parse_predictions(bytes(sink.getvalue()))
        return predictions, parse_labels(MODEL, labels_batch(ids, [0] * rows, labels))

    def _columns(
        self, deployed: Deployed, ids: Sequence[str], scores: Any, shift: float, seed: int
    ) -> dict[str, Any]:
        rows = len(ids)
        rng = np.random.default_rng(seed)
        return {
            "prediction_id": ids,
            "row": pa.array([0] * rows, pa.int32()),
            "model": [MODEL] * rows,
            "version": [deployed.version] * rows,
            "digest": [deployed.digest] * rows,
            "tenant": pa.array([deployed.tenant] * rows, pa.string()),
            "endpoint": ["till-1"] * rows,
            "deployment": [deployed.state.value] * rows,
            "at": pa.array([self.plane.clock.now()] * rows, pa.timestamp("us", "UTC")),
            "latency_ms": pa.array([1.5] * rows, pa.float64()),
            **{f"in.{name}": rng.normal(size=rows) + shift for name in NAMES},
            "out.score": pa.array(scores, pa.float64()),
        }
