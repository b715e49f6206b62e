"""Audit: who did what, and is the record whole?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from trimtab.audit import ledger
from trimtab.audit.heads import read_note
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.identity.demands import Reach
from trimtab.kernel.errors import NotFound, NotPermitted
from trimtab.kernel.ids import TenantId
from trimtab.web import telling
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking, sending
from trimtab.web.telling import Line
from trimtab.workflows import proof
from trimtab.workflows.proof import Verified

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50


@dataclass(frozen=True)
class Row:
    """One entry in the table."""

    entry: Entry
    line: Line


@dataclass(frozen=True)
class Search:
    """What the reader looks for."""

    kind: str
    ref: str
    tenant: str


@dataclass(frozen=True)
class Ledger:
    """How the ledger stands, and the entries that were asked for."""

    size: int
    root: str
    origin: str
    key: str
    head: int | None
    head_root: str | None
    verified: Verified | None
    may_verify: bool
    rows: tuple[Row, ...]
    search: Search
    kinds: tuple[str, ...]
    older: str | None


@dataclass(frozen=True)
class OneEntry:
    """An entry in full, with the proof that the tree holds it."""

    entry: Entry
    line: Line
    payload: str | None
    leaf: str
    size: int
    root: str
    proof: tuple[str, ...]
    cause: Line | None


@router.get("/audit")
def entries(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("audit:read", reach=Reach.OWN)],
    kind: Annotated[str, Query(max_length=80)] = "",
    ref: Annotated[str, Query(max_length=200)] = "",
    tenant: Annotated[str, Query(max_length=80)] = "",
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """The state of the ledger, and its entries, newest first."""
    search = Search(kind.strip(), ref.strip(), tenant.strip())
    notes = parts.heads.published()
    head = read_note(notes[-1]) if notes else None
    with parts.records.look() as reading:
        rows = _rows(reading, visitor, search, before)
        size = ledger.size(reading.connection)
        root = ledger.tree(reading.connection, size).root().hex()
        kinds = _kinds(reading, visitor)
    shown = Ledger(
        size=size,
        root=root,
        origin=parts.heads.signer.origin,
        key=parts.heads.signer.verifier_key,
        head=None if head is None else head[0],
        head_root=None if head is None else head[1].hex(),
        verified=getattr(request.app.state, "verified", None),
        may_verify=visitor.may("audit:verify") and visitor.tenant is None,
        rows=rows,
        search=search,
        kinds=kinds,
        older=_older(search, rows),
    )
    return page(request, "audit.html", shown, title="Audit", active="audit", visitor=visitor)


@router.post("/audit/verify")
def verify(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, sending("audit:verify", reach=Reach.FLEET)],
) -> Response:
    """Read the whole ledger with the independent verifier."""
    if visitor.tenant is not None:
        raise NotPermitted(
            "only people of the platform can verify the whole ledger",
            remedy="take your tenant's export and verify it with `trimtab audit verify`",
        )
    result = proof.verify(parts)
    request.app.state.verified = Verified(parts.real_clock.now(), visitor.actor.name, result)
    return see_other("/audit?done=verified")


@router.get("/audit/{sequence}")
def entry(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("audit:read", reach=Reach.OWN)],
    sequence: int,
) -> Response:
    """One entry with its bytes and its proof."""
    with parts.records.look() as reading:
        shown = _one(reading, visitor, sequence)
    title = f"Entry {sequence}"
    return page(request, "entry.html", shown, title=title, active="audit", visitor=visitor)


def _rows(
    reading: Reading, visitor: Visitor, search: Search, before: int | None
) -> tuple[Row, ...]:
    if visitor.tenant is not None and search.tenant not in ("", visitor.tenant):
        return ()
    whose = visitor.tenant or (TenantId(search.tenant) if search.tenant else None)
    found = ledger.entries(
        reading.connection,
        before=before,
        limit=_PAGE,
        tenant=whose,
        kinds=(search.kind,) if search.kind else (),
        ref=search.ref or None,
        newest_first=True,
    )
    known = telling.names(reading)
    return tuple(Row(e, telling.line(e, known)) for e in found)


def _kinds(reading: Reading, visitor: Visitor) -> tuple[str, ...]:
    """Kinds among the newest entries, for the list of suggestions."""
    newest = ledger.entries(reading.connection, limit=500, tenant=visitor.tenant, newest_first=True)
    return tuple(sorted({e.kind for e in newest}))


def _older(search: Search, rows: tuple[Row, ...]) -> str | None:
    if len(rows) < _PAGE:
        return None
    wanted = {k: v for k, v in vars(search).items() if v}
    return "/audit?" + urlencode({**wanted, "before": rows[-1].entry.sequence})


def _one(reading: Reading, visitor: Visitor, sequence: int) -> OneEntry:
    known = telling.names(reading)
    found = _numbered(reading, visitor, sequence)
    if found is None:
        raise NotFound("the ledger has no such entry for you")
    tree = ledger.tree(reading.connection)
    cause = _numbered(reading, visitor, found.cause) if found.cause else None
    return OneEntry(
        entry=found,
        line=telling.line(found, known),
        payload=None if found.data is None else _pretty(found),
        leaf=found.leaf.hex(),
        size=tree.size,
        root=tree.root().hex(),
        proof=tuple(node.hex() for node in tree.inclusion(sequence - 1)),
        cause=None if cause is None else telling.line(cause, known),
    )


def _numbered(reading: Reading, visitor: Visitor, sequence: int) -> Entry | None:
    found = ledger.entries(
        reading.connection,
        after=sequence - 1,
        before=sequence + 1,
        tenant=visitor.tenant,
        limit=1,
    )
    return found[0] if found else None


def _pretty(entry: Entry) -> str:
    payload = {
        "subject": entry.subject,
        "reason": entry.reason,
        "cause": entry.cause,
        "data": entry.data,
    }
    return json.dumps(payload, indent=2, ensure_ascii=False, sort_keys=True)
