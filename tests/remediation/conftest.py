"""A model with two versions that were released one after the other, and a gate to ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.registering import registered, registration

from trimtab.artifacts.keys import key_id
from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import ApprovalId, Digest, IncidentId, TenantId
from trimtab.platform.database import Database
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.registry import service as registry
from trimtab.registry.model import Feature, Lifecycle
from trimtab.remediation import endings, gate, service, store
from trimtab.remediation.causes import Cause
from trimtab.remediation.gate_process import GateProcess
from trimtab.remediation.guards import Answer
from trimtab.remediation.model import Remediation

PERSON = Actor("per_x", ActorKind.PERSON, None, frozenset(), "on call", "per_x")
REPAIR = system("repair")
INCIDENT = IncidentId("inc-2015-03-01-001")
POLICY = load_preset("standard")
LEASE = timedelta(minutes=10)
ROLLBACK = {
    "from_version": "1.1.0",
    "from_digest": "sha256:" + "b" * 64,
    "to_version": "1.0.0",
    "to_digest": "sha256:" + "a" * 64,
}
NOTIFY = {"team": "flight-models", "summary": "false positives rose to 30 %"}


@dataclass
class House:
    """The records, the gate in this process, and the verbs with their usual arguments."""

    records: Records
    clock: SteppedClock
    database: Database
    key: Ed25519PrivateKey

    person: ClassVar[Actor] = PERSON
    repair: ClassVar[Actor] = REPAIR
    rollback: ClassVar[dict[str, str]] = ROLLBACK
    notify: ClassVar[dict[str, str]] = NOTIFY

    @property
    def trusted(self) -> dict[str, Any]:
        return {key_id(self.key.public_key()): self.key.public_key()}

    def propose(self, actor: Actor = REPAIR, **changes: Any) -> Remediation:
        wanted: dict[str, Any] = {
            "incident": INCIDENT,
            "model": "air-time",
            "tenant": None,
            "environment": "production",
            "action": ActionName.ROLLBACK_MODEL,
            "args": ROLLBACK,
            "cause": Cause.BAD_RELEASE,
            "confidence": 0.97,
            "policy_digest": POLICY.digest,
            "patience": LEASE,
        } | changes
        with self.records.begin(actor, reason="the version is at fault") as work:
            return service.propose(work, **wanted)

    def ask(self, remediation: Remediation) -> Answer:
        """What the gate says, through the same function that its process runs."""
        line = json.dumps({"nonce": "n", "remediation": remediation.id}).encode() + b"\n"
        told = gate.answer(line, self.database, gate.policies_in(None), self.key)
        assert "error" not in told, told
        shown = json.loads(canonical({k: v for k, v in told.items() if k != "permit"}))
        permit = told["permit"]
        return Answer(remediation.id, permit is not None, told["reason"], permit, shown)

    def decided(self, remediation: Remediation) -> Remediation:
        answer = self.ask(remediation)
        with self.records.begin(REPAIR, reason="the gate answered") as work:
            return service.record_decision(work, answer, trusted=self.trusted)

    def started(self, remediation: Remediation) -> Remediation:
        with self.records.begin(REPAIR, reason="carry it out") as work:
            return service.start(work, remediation.id, trusted=self.trusted, lease=LEASE)

    def run(self, **changes: Any) -> Remediation:
        """Propose, permit and start."""
        return self.started(self.decided(self.propose(**changes)))

    def settle(self, remediation: Remediation) -> Remediation:
        """Abort what runs, so that its target is free again."""
        ended: Remediation = self.do(endings.abort, remediation.id, actor=PERSON)
        return ended

    def refusals(self, remediation: Remediation) -> set[str]:
        """Names of the checks with which the gate says no."""
        answer = self.ask(remediation)
        said_no = {check["name"] for check in answer.shown["checks"] if not check["passed"]}
        assert answer.permitted is (not said_no)
        return said_no

    def kinds(self) -> list[str]:
        with self.records.look() as reading:
            return [entry.kind for entry in ledger.entries(reading.connection, limit=1000)]

    def do(self, verb: Callable[..., Any], *args: Any, actor: Actor = REPAIR, **named: Any) -> Any:
        with self.records.begin(actor, reason="because") as work:
            return verb(work, *args, **named)

    def get(self, remediation: Remediation) -> Remediation:
        with self.records.look() as reading:
            return store.get(reading, remediation.id)

    def step(self, minutes: float) -> datetime:
        return self.clock.step_to(self.clock.now() + timedelta(minutes=minutes))


@pytest.fixture
def house(records: Records, clock: SteppedClock, database: Database) -> House:
    """Version 1.1.0 is stable in production for the fleet, 1.0.0 is kept warm."""
    return _built(records, clock, database)


@pytest.fixture
def either_house(either_database: Database, clock: SteppedClock) -> House:
    """The same on both databases."""
    return _built(Records(either_database, clock), clock, either_database)


def _built(records: Records, clock: SteppedClock, database: Database) -> House:
    built = House(records, clock, database, Ed25519PrivateKey.generate())
    _model(records)
    for number, letter in (("1.0.0", "a"), ("1.1.0", "b")):
        _released(records, number, letter)
        clock.step_to(clock.now() + timedelta(days=1))
    return built


@pytest.fixture
def tier_one(house: House) -> House:
    """The same, but the model is of the highest risk."""
    with house.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE models SET tier = 1")
    return house


@pytest.fixture
def process(database: Database, tmp_path: Path) -> Iterator[GateProcess]:
    """A real gate beside us, over the same database file."""
    running = GateProcess(
        key=tmp_path / "gate.pem",
        database=database.url.render_as_string(hide_password=False),
        seconds=30,
    )
    yield running
    running.stop()


def _model(records: Records) -> None:
    with records.begin(PERSON, reason="register") as work:
        features = (Feature("distance_miles", "numeric"),)
        registered(work, "air-time", owner="flight-models", features=features)


def _released(records: Records, number: str, letter: str, tenant: TenantId | None = None) -> None:
    digest = Digest("sha256:" + letter * 64)
    with records.begin(PERSON, reason="release") as work:
        version = registry.register_version(
            work, registration("air-time", number, digest, tenant=tenant)
        )
        for state in (Lifecycle.STAGING, Lifecycle.APPROVED):
            version = registry.move_version(work, version.id, state, why="approved")
        for verb in ("canary", "promote"):
            permit = registry.issue_permit(
                work,
                version,
                environment="production",
                max_percent=100.0,
                approval=ApprovalId("apr_1"),
                policy_digest=POLICY.digest,
                lifetime=timedelta(hours=1),
                key=Ed25519PrivateKey.generate(),
            )
            if verb == "canary":
                registry.set_canary(
                    work,
                    version,
                    environment="production",
                    percent=10.0,
                    permit=permit,
                    salt="s",
                    why="first step",
                )
            else:
                registry.promote_canary(
                    work, version, environment="production", permit=permit, why="healthy"
                )


@pytest.fixture
def proposal(house: House) -> Remediation:
    """A rollback that waits for the gate."""
    return house.propose()


@pytest.fixture
def permitted(house: House, proposal: Remediation) -> Remediation:
    """A rollback with a permit that nobody has used."""
    return house.decided(proposal)
