"""A remedy: proposed, put to the safety gate, carried out, and judged by what came back.

Nothing is called a success because it ended. A remedy that stops answering, or that nobody
measures, ends itself: every phase that can wait has a deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.kernel.errors import InvalidMove
from trimtab.kernel.ids import IncidentId, PermitId, RemediationId, TenantId
from trimtab.policies.operation import ActionName
from trimtab.remediation import events


class Phase(StrEnum):
    """Where a remedy stands."""

    PROPOSED = "proposed"
    """Wanted; the gate has not answered."""
    REFUSED = "refused"
    PERMITTED = "permitted"
    """The gate has signed a permit; nothing has been done."""
    EXECUTING = "executing"
    """The permit is used up; the action is under way, or done and not yet watched."""
    VERIFYING = "verifying"
    """Done; recovery is being measured."""
    SUCCEEDED = "succeeded"
    NO_EFFECT = "no_effect"
    """Done and measured; nothing came back."""
    FAILED = "failed"
    """Not done, half done, or harmful; it waits to be undone or handed to a person."""
    COMPENSATED = "compensated"
    """What it had changed was undone."""
    ESCALATED = "escalated"
    """A person has it."""
    ABORTED = "aborted"


MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.PROPOSED: frozenset({Phase.REFUSED, Phase.PERMITTED, Phase.ABORTED}),
    Phase.REFUSED: frozenset(),
    Phase.PERMITTED: frozenset({Phase.EXECUTING, Phase.ABORTED}),
    Phase.EXECUTING: frozenset({Phase.EXECUTING, Phase.VERIFYING, Phase.FAILED, Phase.ABORTED}),
    Phase.VERIFYING: frozenset(
        {
            Phase.VERIFYING,
            Phase.SUCCEEDED,
            Phase.NO_EFFECT,
            Phase.FAILED,
            Phase.ESCALATED,
            Phase.ABORTED,
        }
    ),
    Phase.SUCCEEDED: frozenset(),
    Phase.NO_EFFECT: frozenset({Phase.ESCALATED}),
    Phase.FAILED: frozenset({Phase.COMPENSATED, Phase.ESCALATED}),
    Phase.COMPENSATED: frozenset({Phase.ESCALATED}),
    Phase.ESCALATED: frozenset(),
    Phase.ABORTED: frozenset(),
}
SETTLED = frozenset(phase for phase, exits in MOVES.items() if not exits)
IN_FLIGHT = frozenset({Phase.PERMITTED, Phase.EXECUTING, Phase.VERIFYING, Phase.FAILED})
"""A target has at most one of these; a failed one counts until it is undone or handed over."""
ACTED = frozenset({Phase.EXECUTING, Phase.VERIFYING})


@dataclass(frozen=True)
class Remediation:
    """One action on one target because of one incident.

    `automatic` says that no person asked for it. `cause_type` and `confidence` are the
    diagnosis's, recorded when it was proposed. `attempt` counts from 1 within incident
    and action. `gate` is the gate's answer with all its checks. `fence` grows with every
    start on the target: work done under an older one is refused. `due_at` is when to look
    again, `deadline` when the present phase ends by itself; both None once nothing waits.
    """

    id: RemediationId
    incident: IncidentId
    model: str
    tenant: TenantId | None
    environment: str
    action: ActionName
    args: dict[str, str]
    target: str
    requested_by: str
    automatic: bool
    cause_type: str | None
    confidence: float | None
    policy_digest: str
    attempt: int
    phase: Phase
    proposed_at: datetime
    gate: dict[str, Any] | None = None
    permit: PermitId | None = None
    fence: int | None = None
    started_at: datetime | None = None
    executed_at: datetime | None = None
    result: dict[str, Any] | None = None
    measured_recovery: dict[str, Any] | None = None
    settled_at: datetime | None = None
    reason: str | None = None
    due_at: datetime | None = None
    deadline: datetime | None = None
    revision: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing can move it any more."""
        return self.phase in SETTLED

    def refuse(
        self, gate: dict[str, Any], reason: str, at: datetime
    ) -> tuple[Remediation, events.Refused]:
        """The gate said no."""
        self._demand(Phase.REFUSED)
        event = events.Refused(**self._about(), reason=reason, gate=gate)
        return replace(self._ended(Phase.REFUSED, reason, at), gate=gate), event

    def allow(
        self, gate: dict[str, Any], permit: PermitId, expires_at: datetime
    ) -> tuple[Remediation, events.Permitted]:
        """The gate said yes, until `expires_at`."""
        self._demand(Phase.PERMITTED)
        event = events.Permitted(**self._about(), permit=permit, expires_at=expires_at, gate=gate)
        allowed = replace(
            self,
            phase=Phase.PERMITTED,
            gate=gate,
            permit=permit,
            due_at=expires_at,
            deadline=expires_at,
        )
        return allowed, event

    def start(
        self, fence: int, at: datetime, lease_until: datetime
    ) -> tuple[Remediation, events.Started]:
        """It begins; the permit has been used up in the same transaction."""
        if self.phase is not Phase.PERMITTED or self.permit is None:
            raise self._refusal("start")
        event = events.Started(
            **self._about(), permit=self.permit, fence=fence, lease_until=lease_until
        )
        started = replace(
            self,
            phase=Phase.EXECUTING,
            fence=fence,
            started_at=at,
            due_at=lease_until,
            deadline=lease_until,
        )
        return started, event

    def beat(self, lease_until: datetime) -> tuple[Remediation, events.Heartbeat]:
        """Whoever carries it out asks for more time."""
        if self.phase is not Phase.EXECUTING:
            raise self._refusal("be extended")
        event = events.Heartbeat(
            subject=self.id,
            tenant=self.tenant,
            incident=self.incident,
            target=self.target,
            lease_until=lease_until,
        )
        return replace(self, due_at=lease_until, deadline=lease_until), event

    def finish(
        self, result: dict[str, Any], at: datetime, deadline: datetime
    ) -> tuple[Remediation, events.Executed]:
        """The action was carried out; by `deadline` somebody has to be measuring."""
        if self.phase is not Phase.EXECUTING or self.executed_at is not None:
            raise self._refusal("be carried out")
        event = events.Executed(**self._about(), result=result)
        done = replace(self, executed_at=at, result=result, due_at=deadline, deadline=deadline)
        return done, event

    def verify(
        self, reason: str, recovery: dict[str, Any] | None, look_at: datetime, deadline: datetime
    ) -> tuple[Remediation, events.Verifying]:
        """Recovery is measured from here on, or one more look could not tell."""
        self._demand(Phase.VERIFYING)
        if self.executed_at is None:
            raise self._refusal("be verified before it was carried out")
        event = events.Verifying(**self._about(), reason=reason, recovery=recovery, look_at=look_at)
        moved = replace(
            self,
            phase=Phase.VERIFYING,
            measured_recovery=recovery or self.measured_recovery,
            due_at=min(look_at, deadline),
            deadline=deadline,
        )
        return moved, event

    def recover(
        self, recovery: dict[str, Any], reason: str, at: datetime
    ) -> tuple[Remediation, events.Recovered]:
        """It has helped, and that was measured."""
        self._demand(Phase.SUCCEEDED)
        event = events.Recovered(**self._about(), reason=reason, recovery=recovery)
        ended = self._ended(Phase.SUCCEEDED, reason, at)
        return replace(ended, measured_recovery=recovery), event

    def without_effect(
        self, recovery: dict[str, Any] | None, reason: str, at: datetime
    ) -> tuple[Remediation, events.NoEffect]:
        """It has not helped."""
        self._demand(Phase.NO_EFFECT)
        event = events.NoEffect(**self._about(), reason=reason, recovery=recovery)
        ended = self._ended(Phase.NO_EFFECT, reason, at)
        return replace(ended, measured_recovery=recovery or self.measured_recovery), event

    def fail(
        self, recovery: dict[str, Any] | None, reason: str, deadline: datetime
    ) -> tuple[Remediation, events.Failed]:
        """It went wrong; until `deadline` it may be undone, then a person gets it."""
        self._demand(Phase.FAILED)
        event = events.Failed(
            **self._about(), before=self.phase.value, reason=reason, recovery=recovery
        )
        failed = replace(
            self,
            phase=Phase.FAILED,
            reason=reason,
            measured_recovery=recovery or self.measured_recovery,
            due_at=deadline,
            deadline=deadline,
        )
        return failed, event

    def compensate(
        self, inverse: str, result: dict[str, Any], at: datetime
    ) -> tuple[Remediation, events.Compensated]:
        """What it had changed was undone."""
        self._demand(Phase.COMPENSATED)
        event = events.Compensated(**self._about(), inverse=inverse, result=result)
        return self._ended(Phase.COMPENSATED, self.reason, at), event

    def escalate(self, reason: str, at: datetime) -> tuple[Remediation, events.Escalated]:
        """A person has it from here on."""
        self._demand(Phase.ESCALATED)
        event = events.Escalated(**self._about(), before=self.phase.value, reason=reason)
        return self._ended(Phase.ESCALATED, reason, at), event

    def abort(self, reason: str, at: datetime) -> tuple[Remediation, events.Aborted]:
        """It is stopped; what it has done so far, if anything, stands."""
        self._demand(Phase.ABORTED)
        event = events.Aborted(
            **self._about(),
            before=self.phase.value,
            may_have_acted=self.phase in ACTED,
            reason=reason,
        )
        return self._ended(Phase.ABORTED, reason, at), event

    def _ended(self, phase: Phase, reason: str | None, at: datetime) -> Remediation:
        return replace(self, phase=phase, reason=reason, settled_at=at, due_at=None, deadline=None)

    def _about(self) -> dict[str, Any]:
        return {
            "subject": self.id,
            "tenant": self.tenant,
            "incident": self.incident,
            "model": self.model,
            "target": self.target,
            "action": self.action.value,
        }

    def _demand(self, to: Phase) -> None:
        if to not in MOVES[self.phase]:
            raise self._refusal(f"become {to.value}")

    def _refusal(self, what: str) -> InvalidMove:
        possible = ", ".join(sorted(MOVES[self.phase])) or "nothing: it is settled"
        return InvalidMove(
            f"remediation {self.id} is {self.phase.value} and cannot {what}",
            remedy=f"possible from here: {possible}",
        )
