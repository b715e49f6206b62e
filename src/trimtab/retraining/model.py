"""A retraining: from a trigger to a challenger that is submitted, or to the reason why not.

A challenger never reaches traffic from here. The best that can happen to it is to be
submitted as a version, which is checked and approved like any other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.kernel.errors import InvalidMove
from trimtab.kernel.ids import Digest, IncidentId, RetrainingId, TenantId, VersionId
from trimtab.registry.model import TrainingTrigger, checked_version, version_key
from trimtab.retraining import events


class Phase(StrEnum):
    """Where a retraining stands."""

    REQUESTED = "requested"
    """Asked for; the data have not been looked at."""
    REFUSED = "refused"
    DATA_CHECKED = "data_checked"
    """The data are fit to learn from."""
    TRAINED = "trained"
    """There is a challenger."""
    JUDGED = "judged"
    """The challenger was compared with the champion."""
    SUBMITTED = "submitted"
    KEPT = "kept"
    FAILED = "failed"


MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.REQUESTED: frozenset({Phase.REFUSED, Phase.DATA_CHECKED, Phase.FAILED}),
    Phase.REFUSED: frozenset(),
    Phase.DATA_CHECKED: frozenset({Phase.DATA_CHECKED, Phase.TRAINED, Phase.FAILED}),
    Phase.TRAINED: frozenset({Phase.JUDGED, Phase.KEPT, Phase.FAILED}),
    Phase.JUDGED: frozenset({Phase.SUBMITTED, Phase.KEPT, Phase.FAILED}),
    Phase.SUBMITTED: frozenset(),
    Phase.KEPT: frozenset(),
    Phase.FAILED: frozenset(),
}
SETTLED = frozenset(phase for phase, exits in MOVES.items() if not exits)


class Decision(StrEnum):
    """What a comparison says about the challenger."""

    PROMOTE = "promote"
    KEEP = "keep"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Retraining:
    """One run for one model and tenant (None: the fleet).

    The data are the labelled rows from `data_from` on and before `data_until`.
    `metrics` were measured by the training itself; only `comparison` says whether the
    challenger is better. `deadline` is when the run ends by itself; None once settled.
    """

    id: RetrainingId
    model: str
    tenant: TenantId | None
    trigger: TrainingTrigger
    incident: IncidentId | None
    champion: str
    champion_digest: Digest
    proposed_version: str
    policy_digest: str
    data_from: datetime
    data_until: datetime
    phase: Phase
    requested_at: datetime
    attempts: int = 0
    data_digest: Digest | None = None
    rows: int | None = None
    data_report: dict[str, Any] | None = None
    challenger_digest: Digest | None = None
    cutoff: float | None = None
    metrics: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None
    version_id: VersionId | None = None
    reason: str | None = None
    settled_at: datetime | None = None
    due_at: datetime | None = None
    revision: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing can move it any more."""
        return self.phase in SETTLED

    def refuse(
        self, reason: str, report: dict[str, Any] | None, at: datetime
    ) -> tuple[Retraining, events.Refused]:
        """Training would not help, or harm."""
        self._demand(Phase.REFUSED)
        event = events.Refused(**self._about(), reason=reason, data_report=report)
        return replace(self._ended(Phase.REFUSED, reason, at), data_report=report), event

    def accept_data(
        self, digest: Digest, rows: int, report: dict[str, Any], deadline: datetime
    ) -> tuple[Retraining, events.DataChecked]:
        """The data are fit to learn from."""
        self._demand(Phase.DATA_CHECKED)
        if self.phase is not Phase.REQUESTED:
            raise self._refusal("have its data checked")
        event = events.DataChecked(
            **self._about(), data_digest=digest, rows=rows, data_report=report
        )
        moved = replace(
            self,
            phase=Phase.DATA_CHECKED,
            data_digest=digest,
            rows=rows,
            data_report=report,
            due_at=deadline,
        )
        return moved, event

    def try_again(self, reason: str, deadline: datetime) -> tuple[Retraining, events.AttemptFailed]:
        """One attempt came to nothing; the next may."""
        if self.phase is not Phase.DATA_CHECKED:
            raise self._refusal("be tried again")
        attempts = self.attempts + 1
        event = events.AttemptFailed(**self._about(), attempt=attempts, reason=reason)
        return replace(self, attempts=attempts, reason=reason, due_at=deadline), event

    def receive(
        self, digest: Digest, cutoff: float, metrics: dict[str, Any], deadline: datetime
    ) -> tuple[Retraining, events.Trained]:
        """There is a challenger."""
        self._demand(Phase.TRAINED)
        attempts = self.attempts + 1
        event = events.Trained(
            **self._about(), challenger_digest=digest, metrics=metrics, attempt=attempts
        )
        moved = replace(
            self,
            phase=Phase.TRAINED,
            attempts=attempts,
            challenger_digest=digest,
            cutoff=cutoff,
            metrics=metrics,
            reason=None,
            due_at=deadline,
        )
        return moved, event

    def judge(
        self, decision: Decision, reason: str, comparison: dict[str, Any], deadline: datetime
    ) -> tuple[Retraining, events.Judged]:
        """The comparison is on record."""
        self._demand(Phase.JUDGED)
        assert self.challenger_digest is not None
        event = events.Judged(
            **self._about(),
            champion=self.champion,
            challenger_digest=self.challenger_digest,
            decision=decision.value,
            reason=reason,
            comparison=comparison,
        )
        moved = replace(
            self, phase=Phase.JUDGED, comparison=comparison, reason=reason, due_at=deadline
        )
        return moved, event

    def submit(
        self, version_id: VersionId, version: str, at: datetime
    ) -> tuple[Retraining, events.Submitted]:
        """The challenger goes the way of every version.

        Raises:
            InvalidMove: not judged, or judged as not to be promoted.
        """
        self._demand(Phase.SUBMITTED)
        if self.comparison is None or self.comparison.get("decision") != Decision.PROMOTE.value:
            raise self._refusal("be submitted: the comparison does not say so")
        assert self.challenger_digest is not None
        event = events.Submitted(
            **self._about(),
            champion=self.champion,
            version=version,
            version_id=version_id,
            challenger_digest=self.challenger_digest,
        )
        ended = self._ended(Phase.SUBMITTED, self.reason, at)
        return replace(ended, version_id=version_id, proposed_version=version), event

    def keep(self, reason: str, at: datetime) -> tuple[Retraining, events.Kept]:
        """The champion stays."""
        self._demand(Phase.KEPT)
        assert self.challenger_digest is not None
        event = events.Kept(
            **self._about(),
            champion=self.champion,
            challenger_digest=self.challenger_digest,
            reason=reason,
        )
        return self._ended(Phase.KEPT, reason, at), event

    def fail(self, reason: str, at: datetime) -> tuple[Retraining, events.Failed]:
        """There will be no challenger from this run."""
        self._demand(Phase.FAILED)
        event = events.Failed(
            **self._about(), before=self.phase.value, attempts=self.attempts, reason=reason
        )
        return self._ended(Phase.FAILED, reason, at), event

    def _ended(self, phase: Phase, reason: str | None, at: datetime) -> Retraining:
        return replace(self, phase=phase, reason=reason, settled_at=at, due_at=None)

    def _about(self) -> dict[str, Any]:
        return {"subject": self.id, "tenant": self.tenant, "model": self.model}

    def _demand(self, to: Phase) -> None:
        if to not in MOVES[self.phase]:
            raise self._refusal(f"become {to.value}")

    def _refusal(self, what: str) -> InvalidMove:
        possible = ", ".join(sorted(MOVES[self.phase])) or "nothing: it is settled"
        return InvalidMove(
            f"retraining {self.id} is {self.phase.value} and cannot {what}",
            remedy=f"possible from here: {possible}",
        )


def next_minor(champion: str, taken: Collection[str]) -> str:
    """The first free `MAJOR.MINOR.0` above the champion's; numbers are never used twice.

    Raises:
        InvalidInput: the champion's is no version.
    """
    major, minor, _patch = version_key(checked_version(champion, field="champion"))
    while (number := f"{major}.{minor + 1}.0") in taken:
        minor += 1
    return number
