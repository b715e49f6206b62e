"""Guards, each taken away by itself: what a simulation that sees anything has to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval, Phase
from trimtab.audit import ledger
from trimtab.audit.work import Work
from trimtab.kernel.verdict import Verdict
from trimtab.registry import deployment_store
from trimtab.registry import service as registry
from trimtab.remediation import guards
from trimtab.remediation import service as remediation
from trimtab.remediation import store as remediation_store
from trimtab.rollouts import analysis
from trimtab.rollouts.model import Rollout
from trimtab.workflows import permits, release, repair


@dataclass(frozen=True)
class Breakage:
    """A guard that is gone, and the invariants of which one has to notice."""

    what: str
    where: Any
    name: str
    instead: Any
    noticed: frozenset[str]
    soon: bool = False
    """Whether it takes few seeds, so that it is asked in every run of the tests."""


def _whichever(parts: Any, version: Any, *_: Any) -> Approval:
    return approval_store.of_version(parts, version.id)[-1]


def _passes(evidence: Any, demands: Any, *, judge: Any = analysis.judge) -> Any:
    found = judge(evidence, demands)
    unknown = found.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
    return replace(found, verdict=Verdict.PASS) if unknown else found


def _silent(kind: str) -> Callable[..., None]:
    enter = Work._enter

    def told(self: Work, event: Any) -> None:
        if event.kind != kind:
            enter(self, event)

    return told


def _allowed(name: str) -> Callable[..., guards.Check]:
    return lambda *_: guards.Check(name, True, None, None, "nobody asked")


def _jumps(self: Rollout, seen: Any, *, step: Any = Rollout.step_forward) -> Any:
    return step(replace(self, step=len(self.steps) - 2), seen)


def _everybody(_reading: Any, approval: Approval) -> set[str]:
    return {vote.person for vote in approval.votes}


def _may(self: Approval, voter: Any) -> str | None:
    open_ = any(step.role in voter.roles for step in self.open_steps())
    twice = any(vote.person == voter.person for vote in self.votes)
    return "one vote" if twice else None if open_ else "it waits for others"


def _may_twice(self: Approval, voter: Any) -> str | None:
    return None if any(s.role in voter.roles for s in self.open_steps()) else "others"


def _one_person(self: Approval, eligible: Any = None) -> bool:
    return bool(self.steps) and not self.open_steps()


def _grants(work: Any, approval_id: str) -> Approval:
    known = approval_store.get(work, approval_id)
    if known.due_at is None or work.now < known.due_at or known.phase is not Phase.PENDING:
        return known
    ended, event = known.end(Phase.EXPIRED, "its time has run out", work.now)
    return approval_store.save(work, replace(ended, phase=Phase.APPROVED, due_at=None), event)


def _global(work: Any, deployed: Any, because: Any, *, begin: Any = deployment_store.begin) -> Any:
    return begin(work, replace(deployed, tenant=None), because)


def _skips(*args: Any, take: Any = ledger._take) -> Any:
    last, reached = take(*args)
    return last, {tenant: number + (last % 3 == 0) for tenant, number in reached.items()}


def _unused(work: Any, permit: Any, because: Any) -> Any:
    return permit


BREAKAGES = (
    Breakage(
        "whatever was asked for counts as approved",
        permits,
        "valid_approval",
        _whichever,
        frozenset({"traffic.approved", "approvals.quorum"}),
    ),
    Breakage(
        "a permit is not used up", registry, "_consume", lambda *_: None,
        frozenset({"traffic.approved", "traffic.permit_used"}), soon=True,
    ),
    Breakage(
        "not knowing counts as good", release, "judge", _passes,
        frozenset({"growth.evidence"}), soon=True,
    ),
    Breakage(
        "a change is not entered", Work, "_enter", _silent("rollout.held"),
        frozenset({"history.every_change"}), soon=True,
    ),
    Breakage(
        "no pause between two remedies", guards, "_cooldown", _allowed("cooldown"),
        frozenset({"repairs.pause"}), soon=True,
    ),
    Breakage(
        "a remedy's permit is not used up", remediation_store, "use_permit", _unused,
        frozenset({"repairs.permit", "history.every_change"}), soon=True,
    ),
    Breakage(
        "the gate does not see kill switches, nor does who acts", guards, "_kill_switch",
        _allowed("kill_switch"), frozenset({"repairs.switches"}),
    ),
    Breakage(
        "what is proposed is done although its incident is over", repair, "_is_over",
        lambda *_: False, frozenset({"repairs.wanted"}),
    ),
    Breakage(
        "who contributed may vote", Approval, "may_vote", _may,
        frozenset({"approvals.distinct"}), soon=True,
    ),
    Breakage(
        "one person may vote twice", Approval, "may_vote", _may_twice,
        frozenset({"approvals.distinct"}), soon=True,
    ),
    Breakage(
        "who has left still counts", permits, "_still_eligible", _everybody,
        frozenset({"approvals.quorum"}),
    ),
    Breakage(
        "the ladder is jumped over", Rollout, "step_forward", _jumps, frozenset({"growth.ladder"})
    ),
    Breakage(
        "what was rolled back keeps its traffic", registry, "withdraw_canary",
        lambda *_, **__: None,
        frozenset({"growth.ladder", "growth.observed"}), soon=True,
    ),
    Breakage(
        "time alone approves", approvals, "expire", _grants,
        frozenset({"approvals.given"}), soon=True,
    ),
    Breakage(
        "a tenant's canary is everybody's", deployment_store, "begin", _global,
        frozenset({"traffic.own_tenant", "traffic.approved"}),
    ),
    Breakage(
        "a number of the ledger is left out", ledger, "_take", _skips,
        frozenset({"history.gaps"}), soon=True,
    ),
)  # fmt: skip


@contextmanager
def broken(breakage: Breakage) -> Iterator[None]:
    """The product without this guard."""
    also = {
        "the gate does not see kill switches, nor does who acts": (
            remediation, "_refuse_if_stopped", lambda *_: None,
        ),
        "one person may vote twice": (Approval, "_enough", _one_person),
        "whatever was asked for counts as approved": (registry, "_demand_servable", lambda _: None),
    }  # fmt: skip
    with patch.object(breakage.where, breakage.name, breakage.instead):
        second = also.get(breakage.what)
        if second is None:
            yield
            return
        with patch.object(*second):
            yield
