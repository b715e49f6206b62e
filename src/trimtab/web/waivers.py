"""Waivers: a gap that somebody answers for, until a day, and letting one count no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from trimtab.audit.work import Reading
from trimtab.identity.demands import Reach
from trimtab.identity.reach import owns
from trimtab.inventory import waiver_store
from trimtab.inventory.model import Entry
from trimtab.inventory.rulebook import Rule, Rulebook
from trimtab.inventory.waiver_store import Granted
from trimtab.inventory.waivers import MIN_REASON_CHARS
from trimtab.kernel.clock import parse_end
from trimtab.kernel.errors import InvalidInput
from trimtab.web import telling, words
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import see_other
from trimtab.web.session import PartsOf, Visitor, sending
from trimtab.web.versions import checked_reason
from trimtab.workflows import judging

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 20

Word = Annotated[str, Form(max_length=80)]
Why = Annotated[str, Form(max_length=2000)]
Waiving = Annotated[Visitor, sending("compliance:waive", reach=Reach.OWN)]


@dataclass(frozen=True)
class Offer:
    """What whoever looks may answer for on a record: rules with a gap that can be waived, and
    the first and the last day that a waiver may end with."""

    rules: tuple[Rule, ...]
    first: str
    last: str
    least: int = MIN_REASON_CHARS


@dataclass(frozen=True)
class WaiverRow:
    """A gap that somebody answers for."""

    waiver: Granted
    title: str
    by: str
    may_end: bool


@dataclass(frozen=True)
class Waivers:
    """Those that count now, newest first, and where the older ones are."""

    rows: tuple[WaiverRow, ...]
    older: str | None
    first: bool


@router.post("/inventory/{record}/waive")
def waive(
    request: Request,
    parts: PartsOf,
    visitor: Waiving,
    record: str,
    rule: Word = "",
    until: Word = "",
    whole_model: Annotated[bool, Form()] = False,
    reason: Why = "",
) -> Response:
    """Answer for a gap of a version, or of every version of its model, until a day."""
    judging.grant(
        parts,
        visitor.actor,
        request.app.state.judge,
        record_id=record,
        rule=rule,
        whole_model=whole_model,
        expires_at=_end(until),
        reason=checked_reason(reason),
    )
    return see_other(words.path("inventory", record) + "?done=waived#rules")


@router.post("/compliance/end")
def end(parts: PartsOf, visitor: Waiving, waiver: Word = "", reason: Why = "") -> Response:
    """Let a waiver count no more."""
    judging.revoke(parts, visitor.actor, waiver, reason=checked_reason(reason))
    return see_other("/compliance?done=waiver_ended#waivers")


def offer(visitor: Visitor, entry: Entry, rulebook: Rulebook, now: datetime) -> Offer | None:
    """What `visitor` may answer for on a record as it stands; None where there is nothing."""
    if not visitor.may("compliance:waive") or not owns(visitor.actor, entry.tenant):
        return None
    gaps = [rulebook.rule(str(name)) for name in entry.compliance.get("gaps", ())]
    rules = tuple(rule for rule in gaps if rule is not None and rule.waivable)
    if not rules or entry.removed:
        return None
    # The last day ends before the longest waiver does.
    last = now + timedelta(days=rulebook.max_waiver_days - 1)
    return Offer(rules, words.day(now), words.day(last))


def read(
    reading: Reading, visitor: Visitor, rulebook: Rulebook, before: str | None = None
) -> Waivers:
    """Waivers that count now, from one look at the records."""
    found = waiver_store.in_force(
        reading, reading.now, tenant=visitor.tenant, before=before, limit=_PAGE + 1
    )
    listed = found[:_PAGE]
    names = telling.names(reading)
    may = visitor.may("compliance:waive")
    rows = tuple(
        WaiverRow(
            w,
            _title(rulebook, w.rule),
            telling.who(w.granted_by, names),
            may and owns(visitor.actor, w.tenant),
        )
        for w in listed
    )
    more = f"/compliance?before={listed[-1].id}#waivers" if len(found) > _PAGE else None
    return Waivers(rows, more, first=before is None)


def _end(until: str) -> datetime:
    try:
        return parse_end(until.strip())
    except ValueError as error:
        raise InvalidInput(
            f"{ascii(until)[:60]} is no day",
            field="until",
            remedy="write the last day of the waiver, such as 2026-11-03",
        ) from error


def _title(rulebook: Rulebook, name: str) -> str:
    rule = rulebook.rule(name)
    return name if rule is None else rule.title
