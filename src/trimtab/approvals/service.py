"""The verbs of approvals: ask, decide, withdraw, expire, void."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from trimtab.approvals import store
from trimtab.approvals.automatic import all_met
from trimtab.approvals.model import (
    Approval,
    ApprovedAutomatically,
    Phase,
    Requested,
    Step,
    Target,
    Voter,
)
from trimtab.audit.work import Work
from trimtab.kernel.errors import NotPermitted
from trimtab.kernel.events import plain
from trimtab.kernel.ids import ApprovalId, new_id
from trimtab.policies.admission import Approvals as Demands


def request(
    work: Work,
    target: Target,
    *,
    comment: str,
    contributors: tuple[str, ...],
    criteria: tuple[dict[str, Any], ...],
    demands: Demands,
) -> Approval:
    """Ask for an approval of exactly `target`; where every criterion is met, it is given.

    Safe to repeat: the same target, asked while the first request is open or valid, gives
    that one.
    """
    for known in store.of_version(work, target.version_id):
        if known.target == target and known.phase in (Phase.PENDING, Phase.APPROVED):
            return known
    automatic = all_met(criteria)
    person = work.actor.person
    approval = Approval(
        id=ApprovalId(new_id("apr")),
        target=target,
        requested_by=work.actor.id,
        requested_person=person,
        comment=comment,
        steps=() if automatic else tuple(Step(s.role, s.people) for s in demands.steps),
        min_people=0 if automatic else demands.min_people,
        excluded=frozenset({*contributors, *({person} if person else set())}),
        votes=(),
        criteria=criteria,
        automatic=automatic,
        phase=Phase.APPROVED if automatic else Phase.PENDING,
        requested_at=work.now,
        decided_at=work.now if automatic else None,
        due_at=work.now + timedelta(days=demands.expires_days),
    )
    words = {
        "subject": approval.id,
        "tenant": target.tenant,
        "model": target.model,
        "version": target.version,
        "version_id": target.version_id,
        "digest": target.digest,
        "target": plain(target),
        "criteria": list(criteria),
    }
    if automatic:
        return store.add(work, approval, ApprovedAutomatically(**words))
    event = Requested(
        **words, comment=comment, steps=plain(approval.steps), excluded=sorted(approval.excluded)
    )
    return store.add(work, approval, event)


def decide(
    work: Work, approval_id: str, roles: frozenset[str], *, approve: bool, digest: str
) -> Approval:
    """Put in the vote of the person who acts; the reason of the work is theirs.

    Safe to repeat: a person's vote given again in the same sense changes nothing.

    Raises:
        NotFound, Conflict, InvalidMove, NotPermitted: see the store and the model.
    """
    approval = store.get(work, approval_id)
    person = work.actor.person
    if person is None:
        raise NotPermitted("only a person can decide")
    for vote in approval.votes:
        if vote.person == person and vote.approve is approve and digest == approval.target.digest:
            return approval
    voter = Voter(person, work.actor.name, roles)
    voted, event = approval.vote(
        voter, approve=approve, digest=digest, reason=work.reason, at=work.now
    )
    return store.save(work, voted, event)


def withdraw(work: Work, approval_id: str) -> Approval:
    """Take a request back; only a person who asked or contributed may: those who cannot vote.

    Raises:
        NotPermitted: it is somebody else's version.
        InvalidMove: it has been decided.
    """
    approval = store.get(work, approval_id)
    if work.actor.person is None or work.actor.person not in approval.excluded:
        raise NotPermitted(
            "only who asked for it or contributed to the version may take it back",
            remedy="vote no, or ask one of the version's contributors",
        )
    return _end(work, approval, Phase.WITHDRAWN, work.reason)


def expire(work: Work, approval_id: str) -> Approval:
    """End what nobody used in time; before its time, nothing happens."""
    approval = store.get(work, approval_id)
    if approval.due_at is None or work.now < approval.due_at:
        return approval
    return _end(work, approval, Phase.EXPIRED, "its time has run out")


def use(work: Work, approval_id: str, percent: float) -> Approval:
    """Write down that the exposure that was approved has been reached.

    Safe to repeat: what was used stays so.
    """
    approval = store.get(work, approval_id)
    if approval.phase is not Phase.APPROVED or approval.due_at is None:
        return approval
    used, event = approval.use(percent)
    return store.save(work, used, event)


def void(work: Work, approval_id: str, why: str) -> Approval:
    """End an approval because what it was given for is no more what it was."""
    return _end(work, store.get(work, approval_id), Phase.VOIDED, why)


def _end(work: Work, approval: Approval, to: Phase, why: str) -> Approval:
    if approval.phase is to:
        return approval
    ended, event = approval.end(to, why, work.now)
    return store.save(work, ended, event)
