"""Ledger entries as lines of a timeline: what, by whom, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.identity import store as people
from trimtab.web.sentences import sentence
from trimtab.web.session import Visitor

TIMELINE = 60
"""Lines of a timeline on a page; the ledger has the rest."""


@dataclass(frozen=True)
class Line:
    """One entry, as a person reads it."""

    sequence: int
    at: datetime
    what: str
    who: str
    why: str | None
    linked: bool = True
    """Whether whoever looks may open the entry itself."""


def names(reading: Reading) -> Mapping[str, str]:
    """Names of the people and programs that act, by id."""
    return {person.id: person.name for person in people.people(reading)}


def who(actor: str, known: Mapping[str, str]) -> str:
    """An actor's name, or what the platform's own parts are called."""
    if actor.startswith("system:"):
        return f"Trimtab ({actor.removeprefix('system:')})"
    return known.get(actor, actor)


def line(entry: Entry, known: Mapping[str, str]) -> Line:
    """An entry as a line."""
    told = sentence(entry)
    return Line(entry.sequence, entry.at, told, who(entry.actor, known), entry.reason)


def timeline(
    reading: Reading, visitor: Visitor, refs: Sequence[str], *, limit: int = TIMELINE
) -> tuple[Line, ...]:
    """What the ledger says about any of `refs`, newest first, as far as `visitor` may see."""
    found: dict[int, Entry] = {}
    for ref in refs:
        entries = ledger.entries(reading.connection, ref=ref, limit=limit, newest_first=True)
        found |= {e.sequence: e for e in entries if visitor.sees(e.tenant)}
    known = names(reading)
    newest = sorted(found, reverse=True)[:limit]
    return tuple(replace(line(found[s], known), linked=opens(visitor, found[s])) for s in newest)


def opens(visitor: Visitor, entry: Entry) -> bool:
    """Whether `visitor` may read an entry in full: a tenant's people only their own. What is
    global can name other tenants in its payload."""
    own = visitor.tenant is None or entry.tenant == visitor.tenant
    return own and visitor.may("audit:read")
