"""People, a feed and a gateway around a control plane that may die under them at any moment.

Everybody goes on as they would in life: what got no answer is sent again, the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from tests.chaos.candidates import Candidate
from tests.chaos.gateway import Gateway, Shipment
from tests.chaos.plane import PASSWORD, Plane

from trimtab.demo.cast import SIGNERS, Cast, assemble
from trimtab.demo.data import Traffic
from trimtab.demo.processes import ControlPlane, Process
from trimtab.kernel.errors import Unavailable
from trimtab.kernel.ids import Digest
from trimtab.platform.blobs import BlobStore
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

T = TypeVar("T")
BLOB_BYTES = 1 << 26
TOKENS_FOR = 900.0
"""Seconds after which everybody logs in again; tokens live twice as long."""


@dataclass
class Troupe:
    """Everybody's credentials, from one play to the next."""

    cast: Cast
    since: float

    def renewed(self, url: str) -> Troupe:
        """Log everybody in again, if it is time."""
        if time.monotonic() - self.since < TOKENS_FOR:
            return self
        known = self.cast.passwords

        def again(email: str) -> Client:
            with Client(url) as nobody:
                return Client(url, token=nobody.identity.log_in(email, known[email]))

        names = {role: f"{name.split()[0].lower()}@example.org" for role, name in SIGNERS.items()}
        self.cast.close()
        cast = Cast(
            admin=again("admin@localhost"),
            scientist=again("dana@example.org"),
            signers={role: again(email) for role, email in names.items()},
            on_call=again("omar@example.org"),
            auditor=again("aud@example.org"),
            feed=Client(url, key=self.cast.feed._wire._http.headers["X-Api-Key"]),
            gateway_key=self.cast.gateway_key,
            endpoint_keys=self.cast.endpoint_keys,
            passwords=known,
        )
        return Troupe(cast, time.monotonic())


def first_troupe(plane: Plane) -> Troupe:
    """Add everybody to a control plane that has just been started."""
    assert plane.process is not None
    process = Process("control plane", plane.process, plane.log)
    control = ControlPlane(process, plane.url, plane.home, PASSWORD)
    return Troupe(assemble(control, ()), time.monotonic())


@dataclass
class Stage:
    """A play under way."""

    plane: Plane
    cast: Cast
    gateway: Gateway
    shipped: dict[str, int] = field(default_factory=dict)
    """Rows of every batch of predictions that was acknowledged."""

    def do(self, act: Callable[[], T]) -> T:
        """Get an answer, and start the control plane again as often as it takes."""
        while True:
            try:
                return act()
            except Unavailable:
                if not self.plane.revive():
                    raise

    def step(self, to: datetime) -> None:
        """Move the clock, and wait for what became due."""
        self.plane.now = to
        shape = self.do(lambda: self.cast.admin.clock.step(to))
        assert shape.failed_jobs == 0, self.plane.said()

    def settle(self) -> None:
        """Wait for what has been begun."""
        self.step(self.plane.now)

    def register(self, model: shapes.NewModel) -> None:
        """Register a model."""
        self.do(lambda: self.cast.scientist.models.register(model))

    def hand_in(self, model: str, candidate: Candidate) -> None:
        """Hand a version in, and wait for its checks."""
        files = {
            "artifact": candidate.artifact,
            "reference": candidate.reference,
            "holdout": candidate.holdout,
        }
        self.do(lambda: self.cast.scientist.models.upload(model, candidate.facts, **files))
        self.settle()

    def sign(self, version: str) -> None:
        """Everybody who has to sign for a version does."""
        waiting = self.do(lambda: list(self.cast.scientist.approvals.list(phase="pending")))
        for approval in (a for a in waiting if a.target.version == version):
            for step in approval.steps:
                self.do(lambda a=approval, s=step: self._vote(a, s.role))  # type: ignore[misc]
        self.settle()

    def _vote(self, approval: shapes.ApprovalShape, role: str) -> None:
        self.cast.signers[role].approvals.vote(
            approval.id, approve=True, digest=approval.target.digest, reason="the checks pass"
        )

    def traffic(self, model: str, traffic: Traffic, day: datetime) -> None:
        """A day's predictions and their outcomes arrive, at six in the evening."""
        self.label(model, self.predictions(model, traffic, day))
        self.settle()

    def predictions(self, model: str, traffic: Traffic, day: datetime) -> list[Shipment]:
        """A day's predictions arrive, at six in the evening; their outcomes are kept back."""
        evening = timedelta(hours=18)
        self.step(day + evening)
        return self._ship(self.gateway.answer(model, traffic, day, evening, self._artifact))

    def late(self, model: str, traffic: Traffic, day: datetime) -> None:
        """Predictions of the night of a day, and their outcomes, arrive only now."""
        night, length = day + timedelta(hours=18), timedelta(hours=5)
        answered = self.gateway.answer(model, traffic, night, length, self._artifact)
        renamed = [replace(shipment, id=f"{shipment.id}-late") for shipment in answered]
        self.label(model, self._ship(renamed))
        self.settle()

    def _ship(self, answered: list[Shipment]) -> list[Shipment]:
        for shipment in answered:
            self.do(lambda s=shipment: self.gateway.ship(s))  # type: ignore[misc]
            self.shipped[shipment.id] = shipment.rows
        return answered

    def label(self, model: str, answered: Sequence[Shipment]) -> None:
        """The outcomes of predictions arrive."""
        for shipment in answered:
            self.do(
                lambda s=shipment: self.cast.feed.send_labels(model, s.id, s.labels)  # type: ignore[misc]
            )

    def _artifact(self, digest: str) -> bytes:
        return BlobStore(self.plane.home / "blobs").read_verified(
            Digest(digest), max_bytes=BLOB_BYTES
        )


@contextmanager
def staged(plane: Plane, troupe: Troupe, shipped: dict[str, int]) -> Iterator[Stage]:
    """A stage whose gateway follows the control plane, which already runs."""
    gateway = Gateway(
        lambda: plane.url, troupe.cast.gateway_key, plane.home / "keys", plane.home / "empty"
    )
    gateway.open()
    try:
        yield Stage(plane, troupe.cast, gateway, dict(shipped))
    finally:
        gateway.close()
        plane.kill()
