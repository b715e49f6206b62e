"""Compliance: what do the rules ask for, where is it missing, and what would show it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from trimtab.audit.work import Reading
from trimtab.inventory.compliance import Readiness
from trimtab.inventory.rulebook import FRAMEWORKS, Framework, Rule, Severity
from trimtab.inventory.store import Filter, Tally
from trimtab.web import waivers
from trimtab.web.inventory import Looking
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor
from trimtab.web.waivers import Waivers
from trimtab.workflows import cards, inventoried, judging
from trimtab.workflows.judging import Judge, Standing

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_HEAVIEST_FIRST = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)


@dataclass(frozen=True)
class RuleRow:
    """A rule, and how the versions stand by it."""

    rule: Rule
    standing: Standing
    places: tuple[str, ...]
    """Where the framework asks for it; in the list of all rules, every place there is."""

    @property
    def weight(self) -> int:
        """How much a gap of it weighs, 0 for the most."""
        return _HEAVIEST_FIRST.index(self.rule.severity)


@dataclass(frozen=True)
class FrameworkShown:
    """A law or a standard: what of it the rules give evidence for, worst first."""

    name: str
    whole: str
    anchor: str
    readiness: Readiness
    rows: tuple[RuleRow, ...]


@dataclass(frozen=True)
class CompliancePage:
    """How the inventory stands by its rules."""

    version: str
    digest: str
    rows: tuple[RuleRow, ...]
    frameworks: tuple[FrameworkShown, ...]
    waivers: Waivers
    tally: Tally
    now: datetime

    @property
    def missing(self) -> tuple[RuleRow, ...]:
        """Rules with a gap, what weighs most first."""
        return tuple(row for row in self.rows if row.standing.gaps)

    @property
    def without_gap(self) -> tuple[RuleRow, ...]:
        """The others, those that cannot be told first."""
        return tuple(row for row in self.rows if not row.standing.gaps)

    @property
    def gaps(self) -> int:
        """Gaps in all."""
        return sum(row.standing.gaps for row in self.rows)

    @property
    def unknown(self) -> int:
        """What cannot be told in all."""
        return sum(row.standing.unknown for row in self.rows)


@router.get("/compliance")
def compliance_page(
    request: Request,
    parts: PartsOf,
    visitor: Looking,
    before: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    """By rule and by regulation: what is kept, missing, waived, or cannot be told."""
    judge: Judge = request.app.state.judge
    with parts.records.look() as reading:
        shown = read(reading, judge, visitor, before or None)
    return page(
        request, "compliance.html", shown, title="Compliance", active="inventory", visitor=visitor
    )


def read(
    reading: Reading, judge: Judge, visitor: Visitor, before: str | None = None
) -> CompliancePage:
    """The page, from one look at the records."""
    found = judging.compliance(reading, judge, visitor.actor)
    standing = {one.rule: one for one in found.standing}
    rules = {rule.id: rule for rule in found.rulebook.rules}
    rows = [RuleRow(rule, standing[rule.id], _places(rule)) for rule in found.rulebook.rules]
    return CompliancePage(
        version=found.rulebook.version,
        digest=found.rulebook.digest,
        rows=_worst_first(rows),
        frameworks=tuple(_framework(one, rules, standing) for one in found.frameworks),
        waivers=waivers.read(reading, visitor, found.rulebook, before),
        tally=inventoried.tally(reading, visitor.actor, Filter()),
        now=reading.now,
    )


def _framework(
    found: Readiness, rules: Mapping[str, Rule], standing: Mapping[str, Standing]
) -> FrameworkShown:
    rows = [
        RuleRow(rule, standing[rule.id], places)
        for rule in rules.values()
        if (places := _places(rule, found.framework))
    ]
    return FrameworkShown(
        name=cards.framework(found.framework),
        whole=FRAMEWORKS[found.framework],
        anchor=found.framework.value,
        readiness=found,
        rows=_worst_first(rows),
    )


def _places(rule: Rule, framework: Framework | None = None) -> tuple[str, ...]:
    if framework is None:
        return tuple(f"{cards.framework(r.framework)} {r.reference}" for r in rule.regulations)
    return tuple(r.reference for r in rule.regulations if r.framework is framework)


def _worst_first(rows: list[RuleRow]) -> tuple[RuleRow, ...]:
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                not row.standing.gaps,
                row.weight if row.standing.gaps else 0,
                -row.standing.gaps,
                -row.standing.unknown,
                row.rule.title,
            ),
        )
    )
