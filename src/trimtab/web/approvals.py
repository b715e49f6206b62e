"""Approvals: decide, with everything on one page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from trimtab.approvals import store
from trimtab.approvals.model import Phase
from trimtab.audit.work import Reading
from trimtab.kernel.clock import iso
from trimtab.web import dossiers, telling, words
from trimtab.web.dossiers import Dossier
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.web.versions import Asked, request_of
from trimtab.workflows.parts import Parts

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50
_DOSSIERS = 10
"""Requests that are laid open at once; more than that nobody reads in one sitting."""


@dataclass(frozen=True)
class Waiting:
    """A request that waits for others, and who they are."""

    asked: Asked
    awaited: tuple[str, ...]


@dataclass(frozen=True)
class Inbox:
    """What waits for this person, what waits for others, and what was decided."""

    mine: tuple[Dossier, ...]
    more: int
    """Requests that wait for this person too, and are shown once these are decided."""
    others: tuple[Waiting, ...]
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
        shown = read(reading, parts, visitor, before)
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


def read(reading: Reading, parts: Parts, visitor: Visitor, before: str | None) -> Inbox:
    """The page, from one look at the records."""
    names = telling.names(reading)
    pending = store.listed(reading, phase=Phase.PENDING, tenant=visitor.tenant, limit=500)
    listed = store.listed(reading, tenant=visitor.tenant, before=before, limit=_PAGE)
    asked = [request_of(reading, a, visitor, names) for a in reversed(pending)]
    mine = sorted((a for a in asked if a.may), key=_urgency)
    known = dossiers.people(reading, visitor)
    decided = [a for a in listed if a.phase is not Phase.PENDING]
    older = f"/approvals?before={listed[-1].id}" if len(listed) == _PAGE else None
    return Inbox(
        mine=tuple(dossiers.read(reading, parts, visitor, a, names) for a in mine[:_DOSSIERS]),
        more=max(0, len(mine) - _DOSSIERS),
        others=tuple(
            Waiting(a, dossiers.awaited(reading, a.approval, known, visitor))
            for a in sorted(asked, key=_urgency)
            if not a.may
        ),
        decided=tuple(request_of(reading, a, visitor, names) for a in decided),
        older=older,
        now=reading.now,
    )


def _urgency(asked: Asked) -> tuple[bool, str]:
    """What is void soonest comes first."""
    due = asked.approval.due_at
    return due is None, "" if due is None else iso(due)
