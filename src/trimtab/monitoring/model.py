"""A window: a stretch of one model's predictions, looked at once for its input and once, when
the labels are in, for its output; and again when rows come late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.kernel.errors import InvalidMove
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId, WindowId
from trimtab.kernel.verdict import Verdict


class Phase(StrEnum):
    """Where a window stands."""

    SCHEDULED = "scheduled"
    """Its time is not over, or nobody has looked yet."""
    CLOSED = "closed"
    """Its input was looked at; labels are waited for."""
    SETTLED = "settled"
    """Its output was judged; late rows may revise that."""


MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.SCHEDULED: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset({Phase.SETTLED}),
    Phase.SETTLED: frozenset({Phase.SETTLED}),
}


@dataclass(frozen=True)
class Drift:
    """What the look at the input found: its verdict, why, and the features as JSON objects."""

    verdict: Verdict
    reason: str
    features: list[dict[str, Any]]
    reference: str
    """Digest of the reference data; empty when there was none."""


@dataclass(frozen=True)
class Performance:
    """What the look at the output found: its verdict, why, tallies and judgements as JSON
    objects. `labels` are rows with a label."""

    verdict: Verdict
    reason: str
    labels: int
    sides: list[dict[str, Any]]
    judgements: list[dict[str, Any]]


@dataclass(frozen=True)
class Window:
    """Predictions of `model` made in [start, end), of one tenant or of all (None).

    `due_at` is when something is to be done with it next; only the fleet's window has one,
    and takes its tenants' with it.
    """

    id: WindowId
    model: str
    tenant: TenantId | None
    start: datetime
    end: datetime
    phase: Phase
    due_at: datetime | None
    rows: int = 0
    drift: Drift | None = None
    performance: Performance | None = None
    skipped: tuple[str, ...] = ()
    """Tenants with too few rows for a window of their own."""
    policy_digest: str = ""
    closed_at: datetime | None = None
    settled_at: datetime | None = None
    revisions: int = 0
    """How often late rows have changed what was found."""
    revision: int = 0

    def scheduled(self) -> WindowScheduled:
        """The event that says it will be looked at."""
        return WindowScheduled(
            subject=self.id, tenant=self.tenant, model=self.model, start=self.start, end=self.end
        )

    def close(
        self,
        drift: Drift,
        *,
        rows: int,
        at: datetime,
        label_wait: timedelta,
        policy_digest: str,
        skipped: tuple[str, ...] = (),
    ) -> tuple[Window, WindowClosed]:
        """The input was looked at.

        Raises:
            InvalidMove: it was closed before, or its time is not over.
        """
        self._demand(Phase.CLOSED)
        if at < self.end:
            raise InvalidMove(
                f"window {self.id} is not over before {self.end}", remedy="close it then"
            )
        closed = replace(
            self,
            phase=Phase.CLOSED,
            due_at=self.end + label_wait if self.tenant is None else None,
            rows=rows,
            drift=drift,
            skipped=skipped,
            policy_digest=policy_digest,
            closed_at=at,
        )
        event = WindowClosed(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            window=self.id,
            start=self.start,
            end=self.end,
            rows=rows,
            verdict=drift.verdict.value,
            reason=drift.reason,
            drift=[summary(feature) for feature in drift.features],
            skipped=list(skipped),
            reference=drift.reference,
            policy_digest=policy_digest,
        )
        return closed, event

    def settle(
        self, performance: Performance, *, at: datetime, policy_digest: str
    ) -> tuple[Window, WindowSettled]:
        """The output was judged.

        Raises:
            InvalidMove: its input was not looked at, or it was settled before.
        """
        if self.phase is Phase.SETTLED:
            raise self._refusal(Phase.SETTLED)
        self._demand(Phase.SETTLED)
        settled = replace(
            self,
            phase=Phase.SETTLED,
            due_at=None,
            performance=performance,
            policy_digest=policy_digest,
            settled_at=at,
        )
        return settled, WindowSettled(**settled._outcome(performance))

    def revise(
        self,
        drift: Drift | None,
        performance: Performance | None,
        *,
        rows: int,
        skipped: tuple[str, ...],
        policy_digest: str,
    ) -> tuple[Window, WindowRevised]:
        """Late rows have changed what is known of it.

        Args:
            drift: What is found in the input now.
            performance: What is found in the output now; None as long as it is not settled.
            rows: How many there are now.
            skipped: Tenants with too few rows now.
            policy_digest: Of the policy that it was judged by this time.

        Raises:
            InvalidMove: its input was never looked at, or it would lose its outcome.
        """
        settled = self.phase is Phase.SETTLED
        if self.phase is Phase.SCHEDULED or (performance is not None) != settled:
            raise self._refusal(self.phase)
        revised = replace(
            self,
            rows=rows,
            drift=drift,
            skipped=skipped,
            performance=performance,
            policy_digest=policy_digest,
            revisions=self.revisions + 1,
        )
        return revised, _revised(self, revised)

    def _outcome(self, performance: Performance) -> dict[str, Any]:
        return {
            "subject": self.id,
            "tenant": self.tenant,
            "model": self.model,
            "window": self.id,
            "start": self.start,
            "end": self.end,
            "rows": self.rows,
            "labels": performance.labels,
            "verdict": performance.verdict.value,
            "reason": performance.reason,
            "performance": performance.judgements,
            "policy_digest": self.policy_digest,
        }

    def _demand(self, to: Phase) -> None:
        if to not in MOVES[self.phase]:
            raise self._refusal(to)

    def _refusal(self, to: Phase) -> InvalidMove:
        return InvalidMove(
            f"window {self.id} is {self.phase.value} and cannot become {to.value}",
            remedy="read it again",
        )


def summary(feature: dict[str, Any]) -> dict[str, Any]:
    """A feature of a look as timelines and charts want it: without its votes."""
    measures = feature["measures"]
    return {
        "feature": feature["feature"],
        "drift_type": feature["drift_type"],
        "psi": measures["psi"],
        "ks_d": measures["ks_d"],
        "wasserstein_scaled": measures["wasserstein_scaled"],
        "category_mass": measures["category_mass"],
        "null_rate": feature["null_rate_current"],
        "moved": feature["moved"],
        "severity": feature["severity"],
        "confirmed": feature["confirmed"],
        "structural": [finding["finding"] for finding in feature["structural"]],
        "insufficient": feature["insufficient"],
    }


@dataclass(frozen=True)
class WindowScheduled(Event):
    """A stretch of time will be looked at."""

    kind: ClassVar[str] = "window.scheduled"

    model: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class WindowClosed(Event):
    """The input of a window was compared with what the model was trained on."""

    kind: ClassVar[str] = "window.closed"

    model: str
    window: str
    start: datetime
    end: datetime
    rows: int
    verdict: str
    reason: str
    drift: list[dict[str, Any]]
    skipped: list[str]
    reference: str
    policy_digest: str


@dataclass(frozen=True)
class WindowSettled(Event):
    """The output of a window was judged by the labels that are in."""

    kind: ClassVar[str] = "window.settled"

    model: str
    window: str
    start: datetime
    end: datetime
    rows: int
    labels: int
    verdict: str
    reason: str
    performance: list[dict[str, Any]]
    policy_digest: str


@dataclass(frozen=True)
class WindowRevised(Event):
    """Rows came late, and the window was judged again: what was found before, and now."""

    kind: ClassVar[str] = "window.revised"

    model: str
    window: str
    start: datetime
    end: datetime
    revision: int
    rows_before: int
    rows: int
    labels_before: int
    labels: int
    drift_verdict_before: str | None
    drift_verdict: str | None
    drift: list[dict[str, Any]]
    verdict_before: str | None
    verdict: str | None
    reason: str
    performance: list[dict[str, Any]]
    policy_digest: str


def _revised(before: Window, now: Window) -> WindowRevised:
    then, performance = before.performance, now.performance
    reasons = [found.reason for found in (now.drift, performance) if found is not None]
    return WindowRevised(
        subject=now.id,
        tenant=now.tenant,
        model=now.model,
        window=now.id,
        start=now.start,
        end=now.end,
        revision=now.revisions,
        rows_before=before.rows,
        rows=now.rows,
        labels_before=0 if then is None else then.labels,
        labels=0 if performance is None else performance.labels,
        drift_verdict_before=None if before.drift is None else before.drift.verdict.value,
        drift_verdict=None if now.drift is None else now.drift.verdict.value,
        drift=[] if now.drift is None else [summary(f) for f in now.drift.features],
        verdict_before=None if then is None else then.verdict.value,
        verdict=None if performance is None else performance.verdict.value,
        reason="; ".join(reasons),
        performance=[] if performance is None else performance.judgements,
        policy_digest=now.policy_digest,
    )
