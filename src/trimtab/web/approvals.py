"""Approvals: decide, with everything on one page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from trimtab.approvals import store
from trimtab.approvals.model import Phase
from trimtab.audit.work import Reading
from trimtab.web import telling, words
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.web.versions import Asked, request_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50


@dataclass(frozen=True)
class Inbox:
    """What waits for this person, what waits for others, and what was decided."""

    mine: tuple[Asked, ...]
    others: tuple[Asked, ...]
    decided: tuple[Asked, ...]
    older: str | None
    now: datetime


@router.get("/approvals")
def inbox(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("approvals:read")],
    before: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """Requests, mine first."""
    with parts.records.look() as reading:
        shown = read(reading, visitor, before)
    return page(
        request, "approvals.html", shown, title="Approvals", active="approvals", visitor=visitor
    )


@router.get("/approvals/{approval}")
def approval_page(
    parts: PartsOf, visitor: Annotated[Visitor, looking("approvals:read")], approval: str
) -> Response:
    """A request has its place on the page of its version, beside all that speaks for it."""
    with parts.records.look() as reading:
        asked = store.get(reading, approval)
    visitor.demand_sight(asked.target.tenant, "approval")
    address = words.path("models", asked.target.model, "versions", asked.target.version)
    return see_other(address + "#decide")


def read(reading: Reading, visitor: Visitor, before: str | None) -> Inbox:
    """The page, from one look at the records."""
    names = telling.names(reading)
    pending = store.listed(reading, phase=Phase.PENDING, tenant=visitor.tenant, limit=500)
    listed = store.listed(reading, tenant=visitor.tenant, before=before, limit=_PAGE)
    asked = [request_of(reading, a, visitor, names) for a in reversed(pending)]
    decided = [a for a in listed if a.phase is not Phase.PENDING]
    older = f"/approvals?before={listed[-1].id}" if len(listed) == _PAGE else None
    return Inbox(
        mine=tuple(a for a in asked if a.may),
        others=tuple(a for a in asked if not a.may),
        decided=tuple(request_of(reading, a, visitor, names) for a in decided),
        older=older,
        now=reading.now,
    )
