"""A version: may this be trusted, and who said so?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval, Phase, Step, Vote
from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.checks import store as check_store
from trimtab.checks.model import CheckRun
from trimtab.identity.reach import demand_grant
from trimtab.kernel.errors import Conflict, InvalidInput
from trimtab.kernel.verdict import Verdict
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Lifecycle, Model, Version
from trimtab.rollouts import store as rollouts
from trimtab.rollouts.model import Rollout
from trimtab.web import telling, words
from trimtab.web.figures import Known, before_release, shared
from trimtab.web.refusals import PageRoute, refused
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking, sending
from trimtab.web.telling import Line
from trimtab.workflows import about
from trimtab.workflows.parts import Parts, policy_of, required_checks
from trimtab.workflows.roles import roles_of
from trimtab.workflows.serving import visible_version

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_LISTED = 50
MIN_REASON = 3
"""Letters of a reason; an empty one explains nothing."""


@dataclass(frozen=True)
class Number:
    """A number that a check looked at, with its limit and its interval where there are any."""

    name: str
    value: str
    limit: str | None
    interval: str | None


@dataclass(frozen=True)
class CheckRow:
    """The newest run of a check, and how many came before it."""

    run: CheckRun
    numbers: tuple[Number, ...]
    earlier: int


@dataclass(frozen=True)
class Moved:
    """When a version came into its state, and why."""

    at: datetime
    why: str


@dataclass(frozen=True)
class Asked:
    """An approval that was asked for, and what this person can do about it."""

    approval: Approval
    given: tuple[tuple[Step, tuple[Vote, ...], int], ...]
    ended: datetime | None
    """When it expired, was withdrawn or voided; what was decided before stands apart."""
    excluded: tuple[str, ...]
    may: bool
    why_not: str | None
    may_withdraw: bool

    @property
    def decision(self) -> str | None:
        """What was decided: that an approval has run out since does not change it."""
        if self.approval.phase is Phase.REJECTED:
            return "rejected"
        return "approved" if self.approval.given else None

    @property
    def decided_at(self) -> datetime | None:
        """When that was; a request that merely ended was never decided."""
        return self.approval.decided_at if self.decision else None


@dataclass(frozen=True)
class VersionPage:
    """What is shown of a version."""

    model: Model
    version: Version
    mine: bool
    signature: CheckRun | None
    checks: tuple[CheckRow, ...]
    missing: tuple[str, ...]
    hurdles: tuple[CheckRun, ...]
    figures: Mapping[str, Known]
    rejection: Moved | None
    requests: tuple[Asked, ...]
    places: tuple[Deployed, ...]
    rollouts: tuple[Rollout, ...]
    steps: tuple[float, ...]
    hold_hours: float
    successors: tuple[str, ...]
    names: Mapping[str, str]
    timeline: tuple[Line, ...]

    @property
    def taken_back(self) -> bool:
        """Whether it was allowed to carry traffic, and carries none since it did harm."""
        back = any(place.state is Deployment.ROLLED_BACK for place in self.places)
        return back and self.version.lifecycle is Lifecycle.APPROVED

    @property
    def open(self) -> Asked | None:
        """The request that waits for decisions, if there is one."""
        pending = [r for r in self.requests if r.approval.phase is Phase.PENDING]
        return pending[-1] if pending else None


@router.get("/models/{name}/versions/{number}")
def version_page(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("models:read")],
    name: str,
    number: str,
) -> Response:
    """Everything that speaks for and against a version, on one page."""
    with parts.records.look() as reading:
        shown = read(reading, parts, visitor, name, number)
    title = f"{name} {number}"
    return page(request, "version.html", shown, title=title, active="models", visitor=visitor)


@router.post("/approvals/{approval}/decide")
def decide(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, sending("approvals:decide", asks_about=True)],
    approval: str,
    digest: Annotated[str, Form(max_length=100)],
    decision: Annotated[str, Form(max_length=20)],
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Put in a vote on exactly the bytes that the page showed."""
    if decision not in ("approve", "reject"):
        raise InvalidInput("say yes or no", field="decision")
    try:
        with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
            asked = _visible(work, visitor, approval)
            visitor.demand_say(asked.target.tenant)
            approve = decision == "approve"
            target = about.approval(work, asked)
            demand_grant(visitor.actor, "approvals:decide", target)
            roles = roles_of(work, visitor.actor, target)
            approvals.decide(work, approval, roles, approve=approve, digest=digest)
    except Conflict as error:
        return refused(request, HTTPStatus.CONFLICT, error.message, error.remedy)
    return see_other(_address(asked) + f"?done={'approved' if approve else 'rejected'}")


@router.post("/approvals/{approval}/withdraw")
def withdraw(
    parts: PartsOf,
    visitor: Annotated[Visitor, sending("versions:register", asks_about=True)],
    approval: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Take back the request for a version that oneself has contributed to."""
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        asked = _visible(work, visitor, approval)
        visitor.demand_say(asked.target.tenant)
        demand_grant(visitor.actor, "versions:register", about.withdrawal(work, asked))
        approvals.withdraw(work, approval)
    return see_other(_address(asked) + "?done=withdrawn")


def checked_reason(reason: str) -> str:
    """`reason` if it says something.

    Raises:
        InvalidInput: it does not.
    """
    plain = reason.strip()
    if len(plain) < MIN_REASON:
        raise InvalidInput(
            "every decision needs a reason", field="reason", remedy="write why, in a few words"
        )
    return plain


def read(reading: Reading, parts: Parts, visitor: Visitor, name: str, number: str) -> VersionPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such version, or it is another tenant's.
    """
    model = store.model_named(reading, name)
    version = visible_version(reading, visitor.actor, name, number)
    tier, _digest = policy_of(parts, model)
    runs = check_store.of_version(reading, version.id)
    required = required_checks(tier, version)
    asked = approval_store.of_version(reading, version.id)
    names = telling.names(reading)
    rows = check_rows(runs, required)
    siblings = store.versions_of(
        reading, name, visible_to=visitor.tenant, everyone=visitor.tenant is None
    )
    refs = [version.id, *(a.id for a in asked)]
    return VersionPage(
        model=model,
        version=version,
        mine=visitor.actor.person in version.contributors,
        signature=next((r for r in reversed(runs) if r.name == "artifact_integrity"), None),
        checks=rows,
        missing=tuple(n for n in required if n not in {run.name for run in runs}),
        hurdles=tuple(
            row.run
            for row in rows
            if row.run.name in required and row.run.verdict is not Verdict.PASS
        ),
        figures=before_release(version, runs),
        rejection=_rejection(reading, version),
        requests=tuple(request_of(reading, a, visitor, names) for a in asked),
        places=tuple(
            d
            for d in shared(deployment_store.history(reading, name))
            if (d.version, d.tenant) == (version.version, version.tenant)
        ),
        rollouts=tuple(
            r
            for r in rollouts.of_model(reading, name, tenant=visitor.tenant, limit=_LISTED)
            if r.version_id == version.id
        ),
        steps=tuple(float(step) for step in tier.rollout.steps_percent),
        hold_hours=tier.rollout.min_hold_hours,
        successors=tuple(v.version for v in siblings if v.parent == version.version),
        names=names,
        timeline=telling.timeline(reading, visitor, refs),
    )


def _rejection(reading: Reading, version: Version) -> Moved | None:
    """When and why it was rejected, as the ledger has it."""
    if version.lifecycle is not Lifecycle.REJECTED:
        return None
    found = ledger.entries(
        reading.connection, ref=version.id, kinds=["version.moved"], limit=1, newest_first=True
    )
    data = (found[0].data if found else None) or {}
    return Moved(found[0].at, str(data.get("why", ""))) if data else None


def check_rows(runs: Sequence[CheckRun], required: Sequence[str]) -> tuple[CheckRow, ...]:
    """The newest run of each check, required ones first and in their order."""
    newest: dict[str, CheckRun] = {}
    for run in sorted(runs, key=lambda r: r.attempt):
        newest[run.name] = run
    order = [n for n in required if n in newest] + sorted(set(newest) - set(required))
    counted = {name: sum(1 for run in runs if run.name == name) for name in newest}
    return tuple(
        CheckRow(newest[name], numbers_of(newest[name].numbers), counted[name] - 1)
        for name in order
    )


def numbers_of(numbers: Mapping[str, Any]) -> tuple[Number, ...]:
    """Numbers as lines; one that comes with a limit or an interval keeps them beside it."""
    found: list[Number] = []
    for name, value in numbers.items():
        if isinstance(value, list | tuple) and value and all(_named(each) for each in value):
            found += numbers_of({str(each["name"]): each for each in value})
            continue
        parts = value if isinstance(value, Mapping) else {"value": value}
        if "value" not in parts:
            found.append(Number(words.words(name), _flat(parts), None, None))
            continue
        limit, interval = parts.get("limit"), parts.get("interval")
        found.append(
            Number(
                words.words(name),
                words.number(parts["value"]),
                None if limit is None else words.number(limit),
                None if not interval else " to ".join(words.number(end) for end in interval),
            )
        )
    return tuple(found)


def _named(value: Any) -> bool:
    """Whether this is a number with a name of its own, as findings of a check are."""
    return isinstance(value, Mapping) and "name" in value


def request_of(
    reading: Reading, approval: Approval, visitor: Visitor, names: Mapping[str, str]
) -> Asked:
    """A request with its signature lines, and whether `visitor` may sign."""
    given = tuple(
        (
            step,
            votes := tuple(v for v in approval.votes if v.role == step.role),
            max(0, step.people - sum(1 for v in votes if v.approve)),
        )
        for step in approval.steps
    )
    why_not = _why_not(reading, approval, visitor)
    excluded = tuple(sorted(names.get(person, person) for person in approval.excluded))
    return Asked(
        approval,
        given,
        _ended(reading, approval),
        excluded,
        why_not is None,
        why_not,
        _may_withdraw(approval, visitor),
    )


def _may_withdraw(approval: Approval, visitor: Visitor) -> bool:
    own = visitor.actor.person is not None and visitor.actor.person in approval.excluded
    return own and approval.phase is Phase.PENDING and visitor.may("versions:register")


_ENDS = (Phase.EXPIRED, Phase.WITHDRAWN, Phase.VOIDED)


def _ended(reading: Reading, approval: Approval) -> datetime | None:
    if approval.phase not in _ENDS:
        return None
    found = ledger.entries(
        reading.connection, ref=approval.id, kinds=["approval.ended"], limit=1, newest_first=True
    )
    return found[0].at if found else approval.decided_at


def _why_not(reading: Reading, approval: Approval, visitor: Visitor) -> str | None:
    if approval.phase is not Phase.PENDING:
        return f"it is {approval.phase.value}"
    if not visitor.may("approvals:decide"):
        return "your roles do not decide on approvals"
    if visitor.tenant is not None and approval.target.tenant != visitor.tenant:
        return "it is for the whole fleet, and you answer for one tenant"
    target = about.approval(reading, approval)
    if not visitor.actor.may("approvals:decide", target):
        return "your roles decide on conditions that this request does not fulfil"
    return approval.may_vote(visitor.voter(target))


def _visible(reading: Reading, visitor: Visitor, approval_id: str) -> Approval:
    approval = approval_store.get(reading, approval_id)
    visitor.demand_sight(approval.target.tenant, "approval")
    return approval


def _address(approval: Approval) -> str:
    return words.path("models", approval.target.model, "versions", approval.target.version)


def _flat(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{words.words(k)} {words.number(v)}" for k, v in parts.items())
