"""An approval: bound to exact bytes, checks, policy and target; given by distinct persons.

Nothing about what was asked can change: other bytes, other checks or another policy need
another request. Whoever asked, and whoever had a hand in the version, is no approver,
through whatever account they come.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.kernel.errors import Conflict, InvalidMove, NotPermitted, PolicyRefused
from trimtab.kernel.events import Event
from trimtab.kernel.ids import ApprovalId, Digest, TenantId


class Phase(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody used or answered it in time."""
    WITHDRAWN = "withdrawn"
    VOIDED = "voided"
    """What it was given for is no more what it was."""


MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset(
        {Phase.APPROVED, Phase.REJECTED, Phase.EXPIRED, Phase.WITHDRAWN, Phase.VOIDED}
    ),
    Phase.APPROVED: frozenset({Phase.EXPIRED, Phase.VOIDED}),
    Phase.REJECTED: frozenset(),
    Phase.EXPIRED: frozenset(),
    Phase.WITHDRAWN: frozenset(),
    Phase.VOIDED: frozenset(),
}


@dataclass(frozen=True)
class Target:
    """What is asked: these bytes, for this tenant, there, up to this share of traffic."""

    model: str
    version_id: str
    version: str
    digest: Digest
    tenant: TenantId | None
    environment: str
    max_percent: float
    checks_digest: str
    policy_digest: str


@dataclass(frozen=True)
class Step:
    """One line of signatures: so many distinct persons who hold a role."""

    role: str
    people: int


@dataclass(frozen=True)
class Vote:
    """One person's word, in the role they gave it in."""

    person: str
    name: str
    role: str
    approve: bool
    reason: str
    at: datetime


@dataclass(frozen=True)
class Voter:
    """Somebody who votes: the person, and the roles they hold at this moment."""

    person: str
    name: str
    roles: frozenset[str]


@dataclass(frozen=True)
class Approval:
    """A request for approval, its votes, and what became of it.

    `excluded` are the persons who may not vote. `criteria` lists what automatic approval
    was judged by, each with value and threshold, whether it passed or not.
    """

    id: ApprovalId
    target: Target
    requested_by: str
    requested_person: str | None
    comment: str
    steps: tuple[Step, ...]
    min_people: int
    excluded: frozenset[str]
    votes: tuple[Vote, ...]
    criteria: tuple[dict[str, Any], ...]
    automatic: bool
    phase: Phase
    requested_at: datetime
    decided_at: datetime | None
    due_at: datetime | None
    """When it expires, decided or not; None once it was used to the full, or has ended."""
    revision: int = 0

    @property
    def given(self) -> bool:
        """Whether the yes was said that was asked for, whatever became of it afterwards."""
        return self.automatic or self._enough()

    def open_steps(self) -> tuple[Step, ...]:
        """The signatures that are still missing, in order."""
        missing = []
        for step in self.steps:
            given = sum(1 for v in self.votes if v.approve and v.role == step.role)
            if given < step.people:
                missing.append(Step(step.role, step.people - given))
        return tuple(missing)

    def may_vote(self, voter: Voter) -> str | None:
        """Why `voter` may not vote now, or None if they may."""
        if voter.person in self.excluded:
            return "whoever asked for it or contributed to it cannot decide on it"
        if any(vote.person == voter.person for vote in self.votes):
            return "every person has one vote"
        if not any(step.role in voter.roles for step in self.open_steps()):
            asked = ", ".join(step.role for step in self.open_steps()) or "nobody"
            return f"it waits for {asked}"
        return None

    def vote(
        self, voter: Voter, *, approve: bool, digest: str, reason: str, at: datetime
    ) -> tuple[Approval, Voted]:
        """The request with one more vote; the last signature approves, one no rejects.

        `digest` is what the voter saw: it must be what was asked.

        Raises:
            InvalidMove: it has been decided, or its time has run out.
            NotPermitted: this person may not vote on it, now or at all.
            Conflict: they looked at other bytes than these.
        """
        if self.phase is not Phase.PENDING:
            raise self._refusal("be voted on")
        if self.due_at is None or at >= self.due_at:  # swept or not, its time is over
            raise InvalidMove(f"approval {self.id} was not decided in time", remedy="ask anew")
        refusal = self.may_vote(voter)
        if refusal is not None:
            raise NotPermitted(refusal)
        if digest != self.target.digest:
            raise Conflict(
                "you looked at other bytes than these",
                field="digest",
                remedy="open the request again and decide on what it shows now",
            )
        role = next(s.role for s in self.open_steps() if s.role in voter.roles)
        vote = Vote(voter.person, voter.name, role, approve, reason, at)
        moved = replace(self, votes=(*self.votes, vote))
        if not approve:
            moved = replace(moved, phase=Phase.REJECTED, decided_at=at, due_at=None)
        elif moved._enough():
            moved = replace(moved, phase=Phase.APPROVED, decided_at=at)
        event = Voted(
            subject=self.id,
            tenant=self.target.tenant,
            **self._words(),
            person=voter.person,
            name=voter.name,
            role=role,
            approve=approve,
            reason=reason,
            phase=moved.phase.value,
            still_needed=[vars(step) for step in moved.open_steps()],
        )
        return moved, event

    def end(self, to: Phase, why: str, at: datetime) -> tuple[Approval, Ended]:
        """The request expired, withdrawn or voided.

        Raises:
            InvalidMove: there is no such end from here.
        """
        if to not in MOVES[self.phase] or to in (Phase.APPROVED, Phase.REJECTED):
            raise self._refusal(f"become {to.value}")
        event = Ended(
            subject=self.id,
            tenant=self.target.tenant,
            **self._words(),
            before=self.phase.value,
            after=to.value,
            why=why,
        )
        decided = self.decided_at or at
        return replace(self, phase=to, decided_at=decided, due_at=None), event

    def use(self, percent: float) -> tuple[Approval, Used]:
        """The approval, used to the full: it stands as long as its version does.

        Raises:
            InvalidMove: it does not stand.
        """
        if self.phase is not Phase.APPROVED:
            raise self._refusal("be used")
        event = Used(subject=self.id, tenant=self.target.tenant, **self._words(), percent=percent)
        return replace(self, due_at=None), event

    def demand(
        self,
        *,
        digest: str,
        policy_digest: str,
        tenant: TenantId | None,
        environment: str,
        percent: float,
        eligible: Collection[str] | None,
        now: datetime,
    ) -> None:
        """Make sure that this approval allows exactly this, now.

        `eligible` are the persons who still hold the roles they signed in; None where no
        person signed. A quorum is counted again each time it is used.

        Raises:
            PolicyRefused: it does not, with the reason.
        """
        refusal = self._why_not(digest, policy_digest, tenant, environment, percent, now)
        if refusal is None and not self.automatic and not self._enough(eligible):
            refusal = "too few of those who signed may still sign"
        if refusal is not None:
            raise PolicyRefused(
                f"approval {self.id} does not allow this: {refusal}",
                remedy="ask for an approval of what is to happen now",
            )

    def demand_return(self, *, digest: str, tenant: TenantId | None, environment: str) -> None:
        """Make sure that this approval was given for these bytes in this place, and stands.

        To go back to what was stable in a place asks for no more: it lowers a risk that was
        approved, so neither another policy nor a signer who has left is in its way.

        Raises:
            PolicyRefused: it was given for something else, or stands no more.
        """
        asked = (digest, tenant, environment)
        given = (self.target.digest, self.target.tenant, self.target.environment)
        if self.phase is not Phase.APPROVED or asked != given:
            said = self.phase.value if asked == given else "for other bytes or another place"
            raise PolicyRefused(
                f"approval {self.id}, under which it was stable, is {said}",
                remedy="release a version that is approved now",
            )

    def _why_not(
        self,
        digest: str,
        policy_digest: str,
        tenant: TenantId | None,
        environment: str,
        percent: float,
        now: datetime,
    ) -> str | None:
        target = self.target
        if self.phase is not Phase.APPROVED:
            return f"it is {self.phase.value}"
        if self.due_at is not None and now >= self.due_at:
            return "it has expired"
        if digest != target.digest:
            return "it was given for other bytes"
        if policy_digest != target.policy_digest:
            return "it was given under another policy"
        if (tenant, environment) != (target.tenant, target.environment):
            return "it was given for another place"
        if not percent <= target.max_percent:  # what is no number is not allowed either
            return f"it allows {target.max_percent:g} % of the traffic, not {percent:g} %"
        return None

    def _enough(self, eligible: Collection[str] | None = None) -> bool:
        valid = [v for v in self.votes if v.approve and (eligible is None or v.person in eligible)]
        people = {vote.person for vote in valid}
        lines = all(
            len({v.person for v in valid if v.role == step.role}) >= step.people
            for step in self.steps
        )
        return lines and len(people) >= self.min_people and bool(self.steps)

    def _words(self) -> dict[str, str]:
        return {
            "model": self.target.model,
            "version": self.target.version,
            "version_id": self.target.version_id,
            "digest": self.target.digest,
        }

    def _refusal(self, what: str) -> InvalidMove:
        return InvalidMove(
            f"approval {self.id} is {self.phase.value} and cannot {what}",
            remedy="ask anew: a decided request is never changed",
        )


@dataclass(frozen=True)
class Requested(Event):
    """Somebody asks for an approval."""

    kind: ClassVar[str] = "approval.requested"

    model: str
    version: str
    version_id: str
    digest: str
    target: dict[str, Any]
    comment: str
    steps: list[dict[str, Any]]
    excluded: list[str]
    criteria: list[dict[str, Any]]


@dataclass(frozen=True)
class ApprovedAutomatically(Event):
    """Every criterion was met; no person was asked."""

    kind: ClassVar[str] = "approval.approved_automatically"

    model: str
    version: str
    version_id: str
    digest: str
    target: dict[str, Any]
    criteria: list[dict[str, Any]]


@dataclass(frozen=True)
class Voted(Event):
    """A person said yes or no; `phase` is where the request stands after it."""

    kind: ClassVar[str] = "approval.voted"

    model: str
    version: str
    version_id: str
    digest: str
    person: str
    name: str
    role: str
    approve: bool
    reason: str
    phase: str
    still_needed: list[dict[str, Any]]


@dataclass(frozen=True)
class Used(Event):
    """The exposure that was approved has been reached; the approval expires no more."""

    kind: ClassVar[str] = "approval.used"

    model: str
    version: str
    version_id: str
    digest: str
    percent: float


@dataclass(frozen=True)
class Ended(Event):
    """A request or an approval is of no more use: expired, withdrawn or voided."""

    kind: ClassVar[str] = "approval.ended"

    model: str
    version: str
    version_id: str
    digest: str
    before: str
    after: str
    why: str
