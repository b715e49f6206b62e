"""A registry with one model, where versions are approved and permits issued in a line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.registering import registered, registration

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.ids import ApprovalId, Digest, TenantId
from trimtab.platform.database import Database
from trimtab.registry import deployment_store, service, store
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Lifecycle, Version
from trimtab.registry.permits import Permit
from trimtab.registry.registration import Registration

SOMEBODY = system("test")
MODEL, PLACE = "delays", "production"


def digest_of(text: str) -> Digest:
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


class House:
    """The verbs of the registry, each in a work of its own."""

    def __init__(self, records: Records, clock: SteppedClock):
        self.records = records
        self.clock = clock
        self.key = Ed25519PrivateKey.generate()

    def work(self) -> Any:
        return self.records.begin(SOMEBODY, reason="r")

    def model(self, name: str = MODEL) -> None:
        with self.work() as work:
            registered(work, name)

    def registration(self, version: str, **changes: Any) -> Registration:
        base = registration(
            MODEL,
            version,
            digest_of(version),
            size_bytes=3,
            reference_digest=digest_of("reference"),
            holdout_digest=digest_of("holdout"),
            binding="{}",
            signature="s",
            signer="k",
        )
        return replace(base, **changes)

    def register(self, version: str, **changes: Any) -> Version:
        with self.work() as work:
            return service.register_version(work, self.registration(version, **changes))

    def approved(self, version: str, **changes: Any) -> Version:
        made = self.register(version, **changes)
        for to in (Lifecycle.STAGING, Lifecycle.APPROVED):
            made = self.moved(made, to)
        return made

    def moved(self, version: Version, to: Lifecycle) -> Version:
        with self.work() as work:
            return service.move_version(work, version.id, to, why="a test says so")

    def permit(self, version: Version, percent: float = 100.0, **changes: Any) -> Permit:
        given: dict[str, Any] = {"environment": PLACE, "lifetime": timedelta(hours=1)} | changes
        with self.work() as work:
            return service.issue_permit(
                work,
                store.version_by_id(work, version.id),
                max_percent=percent,
                approval=ApprovalId("apr_1"),
                policy_digest=digest_of("policy"),
                key=self.key,
                **given,
            )

    def canary(
        self, version: Version, percent: float, permit: Permit | None = None, place: str = PLACE
    ) -> Deployed:
        leave = permit or self.permit(version, percent, environment=place)
        with self.work() as work:
            return service.set_canary(
                work,
                version,
                environment=place,
                percent=percent,
                permit=leave,
                salt="salt",
                why="step",
            )

    def promote(self, version: Version, permit: Permit | None = None) -> Deployed:
        leave = permit or self.permit(version)
        with self.work() as work:
            return service.promote_canary(
                work, version, environment=PLACE, permit=leave, why="passed"
            )

    def stable(self, text: str, **changes: Any) -> Version:
        """A fresh version that became stable the usual way."""
        version = self.approved(text, **changes)
        self.canary(version, 10)
        self.promote(version)
        return version

    def withdraw(self, version: Version) -> Deployed | None:
        with self.work() as work:
            return service.withdraw_canary(
                work, version.model, version.tenant, PLACE, version=version.version, why="harm"
            )

    def roll_back(self, permit: Permit, tenant: TenantId | None = None) -> Deployed:
        with self.work() as work:
            return service.roll_back_stable(work, MODEL, tenant, PLACE, permit=permit, why="harm")

    def target(self, tenant: TenantId | None = None) -> str | None:
        with self.records.look() as reading:
            found = service.rollback_target(reading, MODEL, tenant, PLACE)
            return None if found is None else found.version

    def in_place(self, state: Deployment, tenant: TenantId | None = None) -> Deployed | None:
        with self.records.look() as reading:
            return deployment_store.in_place(reading, MODEL, tenant, PLACE, state)

    def exposure(self) -> dict[tuple[TenantId | None, str], float]:
        """Share of each (tenant, version) that carries traffic."""
        with self.records.look() as reading:
            placed = deployment_store.carrying(reading, PLACE)
        return {(d.tenant, d.version): d.percent for d in placed}

    def kinds(self) -> list[str]:
        with self.records.look() as reading:
            return [e.kind for e in ledger.entries(reading.connection, limit=100_000)]


@pytest.fixture
def house(records: Records, clock: SteppedClock) -> House:
    made = House(records, clock)
    made.model()
    return made


@pytest.fixture
def fresh_house(new_database: Callable[[], Database]) -> Callable[[], House]:
    """Makes a house of its own for each call: what a property needs for each example."""

    def build() -> House:
        clock = SteppedClock(datetime(2015, 3, 1, tzinfo=UTC))
        made = House(Records(new_database(), clock), clock)
        made.model()
        return made

    return build
