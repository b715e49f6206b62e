"""A rollout: what is wanted, what has been seen, and the moves between them.

Intend, act, observe: a move writes down the share that is *intended*; the serving layer is
changed after that; the share that gateways then report is *observed*. Nothing is judged,
and nothing grows, before what was intended has been observed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.kernel.errors import InvalidMove
from trimtab.kernel.events import Event
from trimtab.kernel.ids import ApprovalId, Digest, RolloutId, TenantId


class Phase(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    """It is looked at, and moves on, back or nowhere, as the evidence obliges."""
    HELD = "held"
    """A person has frozen it; automation may take it back on harm, never forward."""
    PROMOTING = "promoting"
    """The last step is intended; it has not been observed yet."""
    ROLLING_BACK = "rolling_back"
    """No traffic is intended; some may still be observed."""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


SETTLED = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK})

MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.RUNNING: frozenset({Phase.RUNNING, Phase.HELD, Phase.PROMOTING, Phase.ROLLING_BACK}),
    Phase.HELD: frozenset({Phase.RUNNING, Phase.PROMOTING, Phase.ROLLING_BACK}),
    Phase.PROMOTING: frozenset({Phase.PROMOTED, Phase.ROLLING_BACK}),
    Phase.ROLLING_BACK: frozenset({Phase.ROLLED_BACK}),
    Phase.PROMOTED: frozenset(),
    Phase.ROLLED_BACK: frozenset(),
}


@dataclass(frozen=True)
class Rollout:
    """A version on its way to become stable in one place.

    `steps` are shares in percent, ascending; `step` counts from 0. `looks_undecided` are
    the looks on this step that could not tell. `due_at` is when to look next; None once
    it is settled.
    """

    id: RolloutId
    model: str
    tenant: TenantId | None
    environment: str
    version_id: str
    version: str
    digest: Digest
    active_version: str | None
    approval: ApprovalId
    policy_digest: str
    steps: tuple[float, ...]
    step: int
    intended_percent: float
    observed_percent: float
    phase: Phase
    looks_undecided: int
    started_at: datetime
    step_since: datetime
    due_at: datetime | None
    last_analysis: dict[str, Any] | None
    outcome_reason: str | None
    revision: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing can move it any more."""
        return self.phase in SETTLED

    @property
    def observed(self) -> bool:
        """Whether the world has what was intended."""
        return self.intended_percent == self.observed_percent

    @property
    def last_step(self) -> bool:
        """Whether the next step forward is the promotion."""
        return self.step + 2 >= len(self.steps)

    @property
    def may_have_promoted(self) -> bool:
        """Whether it has come to its last step: only then is what is stable its own."""
        return self.step == len(self.steps) - 1

    def see(
        self, percent: float, at: datetime, next_look: datetime
    ) -> tuple[Rollout, StepObserved]:
        """The share that gateways report. Reaching what was intended settles what is ending.

        Raises:
            InvalidMove: settled long since.
        """
        if self.settled:
            raise self._refusal("be observed")
        reached = percent == self.intended_percent
        phase, due = self.phase, self.due_at
        if reached:
            phase = {
                Phase.PROMOTING: Phase.PROMOTED,
                Phase.ROLLING_BACK: Phase.ROLLED_BACK,
            }.get(self.phase, self.phase)
            due = None if phase in SETTLED else next_look
        event = StepObserved(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            intended_percent=self.intended_percent,
            observed_percent=percent,
            phase=phase.value,
        )
        since = at if reached else self.step_since
        seen = replace(self, observed_percent=percent, phase=phase, step_since=since, due_at=due)
        return seen, event

    def step_forward(self, analysis: dict[str, Any]) -> tuple[Rollout, StepIntended]:
        """The next share is intended; on the last step, promotion.

        Raises:
            InvalidMove: not running, or the present step has not been observed.
        """
        if self.phase is not Phase.RUNNING or not self.observed:
            raise self._refusal("step forward")
        step = min(self.step + 1, len(self.steps) - 1)  # a single step is the last one too
        phase = Phase.PROMOTING if step == len(self.steps) - 1 else Phase.RUNNING
        moved = replace(
            self,
            step=step,
            intended_percent=self.steps[step],
            phase=phase,
            looks_undecided=0,
            last_analysis=analysis,
        )
        return moved, moved._intended(self.intended_percent, analysis)

    def wait(self, analysis: dict[str, Any], next_look: datetime) -> tuple[Rollout, Judged]:
        """Nothing moves; the look that could not tell is counted."""
        if self.phase not in (Phase.RUNNING, Phase.HELD):
            raise self._refusal("be judged")
        undecided = self.looks_undecided + (analysis["verdict"] != "pass")
        event = Judged(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            verdict=analysis["verdict"],
            reason=analysis["reason"],
            looks_undecided=undecided,
            analysis=analysis,
        )
        waited = replace(self, looks_undecided=undecided, due_at=next_look, last_analysis=analysis)
        return waited, event

    def roll_back(self, why: str, analysis: dict[str, Any] | None) -> tuple[Rollout, RolledBack]:
        """No traffic is intended any more. A held rollout goes back too: holding never
        keeps harm in place."""
        self._demand(Phase.ROLLING_BACK)
        moved = replace(
            self,
            intended_percent=0.0,
            phase=Phase.ROLLING_BACK,
            last_analysis=analysis or self.last_analysis,
            outcome_reason=why,
        )
        event = RolledBack(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            digest=self.digest,
            percent=self.observed_percent,
            reason=why,
            analysis=analysis,
        )
        return moved, event

    def hold(self, why: str) -> tuple[Rollout, Held]:
        """A person freezes it where it stands."""
        self._demand(Phase.HELD)
        event = Held(
            subject=self.id, tenant=self.tenant, model=self.model, version=self.version, why=why
        )
        return replace(self, phase=Phase.HELD), event

    def resume(self, why: str, next_look: datetime) -> tuple[Rollout, Resumed]:
        """A person lets it run on.

        Raises:
            InvalidMove: nobody holds it.
        """
        if self.phase is not Phase.HELD:
            raise self._refusal("resume")
        event = Resumed(
            subject=self.id, tenant=self.tenant, model=self.model, version=self.version, why=why
        )
        return replace(self, phase=Phase.RUNNING, due_at=next_look), event

    def abort(self, why: str) -> tuple[Rollout, Aborted]:
        """A person takes it back; no traffic is intended any more."""
        self._demand(Phase.ROLLING_BACK)
        event = Aborted(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            percent=self.observed_percent,
            why=why,
        )
        moved = replace(
            self, phase=Phase.ROLLING_BACK, intended_percent=0.0, outcome_reason=f"aborted: {why}"
        )
        return moved, event

    def overtake(self, why: str) -> tuple[Rollout, Overtaken]:
        """Its version is stable there by another way: all the traffic is intended, and whoever
        holds it holds nothing any more.

        Raises:
            InvalidMove: it goes back, or is settled.
        """
        if self.phase is not Phase.PROMOTING:
            self._demand(Phase.PROMOTING)
        moved = replace(
            self,
            intended_percent=self.steps[-1],
            phase=Phase.PROMOTING,
            outcome_reason=why,
        )
        event = Overtaken(
            subject=self.id, tenant=self.tenant, model=self.model, version=self.version, why=why
        )
        return moved, event

    def _intended(self, before: float, analysis: dict[str, Any] | None) -> StepIntended:
        return StepIntended(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            version=self.version,
            digest=self.digest,
            before_percent=before,
            intended_percent=self.intended_percent,
            analysis=analysis,
        )

    def _demand(self, to: Phase) -> None:
        if to not in MOVES[self.phase]:
            raise self._refusal(f"become {to.value}")

    def _refusal(self, what: str) -> InvalidMove:
        possible = ", ".join(sorted(MOVES[self.phase])) or "nothing: it is settled"
        return InvalidMove(
            f"rollout {self.id} is {self.phase.value} and cannot {what}",
            remedy=f"possible from here: {possible}",
        )


def next_look(at: datetime, look_interval_minutes: float) -> datetime:
    """When to look again."""
    return at + timedelta(minutes=look_interval_minutes)


@dataclass(frozen=True)
class Started(Event):
    """A rollout began; its first share is intended."""

    kind: ClassVar[str] = "rollout.started"

    model: str
    version: str
    version_id: str
    digest: str
    approval: str
    active_version: str | None
    steps: list[float]
    policy_digest: str


@dataclass(frozen=True)
class StepIntended(Event):
    """More exposure is wanted, because of this analysis."""

    kind: ClassVar[str] = "rollout.step_intended"

    model: str
    version: str
    digest: str
    before_percent: float
    intended_percent: float
    analysis: dict[str, Any] | None


@dataclass(frozen=True)
class StepObserved(Event):
    """What gateways report that they serve."""

    kind: ClassVar[str] = "rollout.step_observed"

    model: str
    version: str
    intended_percent: float
    observed_percent: float
    phase: str


@dataclass(frozen=True)
class Judged(Event):
    """A look at the evidence that moved nothing."""

    kind: ClassVar[str] = "rollout.judged"

    model: str
    version: str
    verdict: str
    reason: str
    looks_undecided: int
    analysis: dict[str, Any]


@dataclass(frozen=True)
class RolledBack(Event):
    """A rollout was taken back; no traffic is intended any more."""

    kind: ClassVar[str] = "rollout.rolled_back"

    model: str
    version: str
    digest: str
    percent: float
    reason: str
    analysis: dict[str, Any] | None


@dataclass(frozen=True)
class Held(Event):
    """A person froze a rollout."""

    kind: ClassVar[str] = "rollout.held"

    model: str
    version: str
    why: str


@dataclass(frozen=True)
class Resumed(Event):
    """A person let a held rollout run on."""

    kind: ClassVar[str] = "rollout.resumed"

    model: str
    version: str
    why: str


@dataclass(frozen=True)
class Overtaken(Event):
    """The version of a rollout became stable by another way; nothing is left to release."""

    kind: ClassVar[str] = "rollout.overtaken"

    model: str
    version: str
    why: str


@dataclass(frozen=True)
class Aborted(Event):
    """A person took a rollout back."""

    kind: ClassVar[str] = "rollout.aborted"

    model: str
    version: str
    percent: float
    why: str
