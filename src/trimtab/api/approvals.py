"""Approvals: what waits, and deciding."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may
from trimtab.api.paging import Pages, going_on
from trimtab.api.repeats import Repeats
from trimtab.approvals import service as approvals
from trimtab.approvals import store
from trimtab.approvals.model import Approval, Phase
from trimtab.audit.work import Reading
from trimtab.identity.reach import demand_grant, demand_say
from trimtab.kernel.errors import NotYours
from trimtab.sdk import shapes
from trimtab.workflows import about
from trimtab.workflows.roles import roles_of

router = strict.router("/api/v1/approvals", tag="approvals")

Reader = Annotated[Actor, may("approvals:read")]
Decider = Annotated[Actor, may("approvals:decide", asks_about=True)]


@router.get("", summary="List requests for approval")
def list_approvals(
    actor: Reader,
    parts: PartsOf,
    pages: Pages,
    phase: Annotated[Phase | None, Query()] = None,
) -> shapes.Page[shapes.ApprovalShape]:
    """Requests, newest first."""
    place, limit = pages.place(actor), pages.limit
    with parts.records.look() as reading, going_on():
        found = store.listed(reading, phase=phase, tenant=actor.tenant, before=place, limit=limit)
    return shapes.Page(
        items=[shapes.ApprovalShape.model_validate(a) for a in found],
        next=pages.page(actor, found, lambda a: a.id),
    )


@router.get("/{approval}", summary="One request for approval")
def get_approval(approval: str, actor: Reader, parts: PartsOf) -> shapes.ApprovalShape:
    """A request with its votes and what is still missing."""
    with parts.records.look() as reading:
        return shapes.ApprovalShape.model_validate(_visible(reading, actor, approval))


@router.post("/{approval}/votes", summary="Say yes or no")
def vote(
    approval: str, body: shapes.NewVote, actor: Decider, parts: PartsOf, repeat: Repeats
) -> shapes.ApprovalShape:
    """Put in a person's vote. `digest` is what was looked at; other bytes are a conflict."""
    with parts.records.begin(actor, reason=body.reason) as work:
        asked = _visible(work, actor, approval)
        demand_say(actor, asked.target.tenant)
        target = about.approval(work, asked)
        demand_grant(actor, "approvals:decide", target)
        roles = roles_of(work, actor, target)
        decided = approvals.decide(work, approval, roles, approve=body.approve, digest=body.digest)
        return repeat.keep(work, shapes.ApprovalShape.model_validate(decided))


@router.post("/{approval}/withdraw", summary="Take a request back")
def withdraw(
    approval: str,
    body: shapes.Because,
    actor: Annotated[Actor, may("versions:register", asks_about=True)],
    parts: PartsOf,
    repeat: Repeats,
) -> shapes.ApprovalShape:
    """Take back the request for a version that oneself has handed in or contributed to.

    Safe to repeat. The version stays where it is; a new one is the way on."""
    with parts.records.begin(actor, reason=body.reason) as work:
        asked = _visible(work, actor, approval)
        demand_say(actor, asked.target.tenant)
        demand_grant(actor, "versions:register", about.withdrawal(work, asked))
        withdrawn = approvals.withdraw(work, approval)
        return repeat.keep(work, shapes.ApprovalShape.model_validate(withdrawn))


def _visible(reading: Reading, actor: Actor, approval_id: str) -> Approval:
    approval = store.get(reading, approval_id)
    if actor.tenant is not None and approval.target.tenant not in (None, actor.tenant):
        raise NotYours("there is no such approval", field="approval")
    return approval
