"""What somebody who votes has to see of a version: evidence, comparison, change, lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.approvals.model import Approval
from trimtab.audit.work import Reading
from trimtab.checks import performance
from trimtab.checks import store as check_store
from trimtab.checks.model import CheckRun
from trimtab.identity import store as identity
from trimtab.identity.model import Person
from trimtab.identity.roles import held
from trimtab.monitoring import store as monitoring
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Model, Version
from trimtab.rollouts import store as rollouts
from trimtab.web import figures, words
from trimtab.web.session import Visitor
from trimtab.web.versions import Asked, CheckRow, check_rows
from trimtab.web.watching import Gauge
from trimtab.workflows import about
from trimtab.workflows.measured import Measured
from trimtab.workflows.parts import ENVIRONMENT, Parts, policy_of, required_checks

_COMPARED = ("false_positive_rate", "precision", "recall", "f1", "accuracy", "roc_auc", "brier")
_LOWER_IS_BETTER = frozenset({"false_positive_rate", "brier"})
_WINDOWS, _ROLLOUTS = 8, 50
_SAME = 0.005
"""Percentage points; a smaller difference is not shown in two digits."""


@dataclass(frozen=True)
class Figure:
    """A figure on held-out rows: with its interval and its limit where it has them, and that of
    the version in production."""

    name: str
    value: float
    low: float | None
    high: float | None
    limit: float | None
    production: float | None

    @property
    def gauge(self) -> Gauge | None:
        """The value beside the limit that it is held to."""
        if self.limit is None:
            return None
        floor = self.name not in _LOWER_IS_BETTER
        return Gauge(self.value, self.low, self.high, self.limit, floor=floor)

    @property
    def better(self) -> bool | None:
        """Whether it is better than in production; None where nobody can tell them apart."""
        points = 100 * (self.value - (self.production or 0.0))
        if self.production is None or abs(points) < _SAME:
            return None
        return (points < 0) == (self.name in _LOWER_IS_BETTER)

    @property
    def difference(self) -> str:
        """How far from production, in percentage points."""
        if self.production is None:
            return ""
        points = 100 * (self.value - self.production)
        if self.better is None:
            return "no difference"
        return f"{points:+.2f} points, {'better' if self.better else 'worse'}"


@dataclass(frozen=True)
class Change:
    """A fact in which the version differs from the one in production."""

    name: str
    before: str
    now: str


@dataclass(frozen=True)
class Dossier:
    """A request with everything that it is decided by."""

    asked: Asked
    model: Model
    version: Version
    checks: tuple[CheckRow, ...]
    missing: tuple[str, ...]
    rows: int | None
    """Held-out rows that the figures were measured on."""
    figures: tuple[Figure, ...]
    production: Version | None
    same_rows: bool
    """Whether both were scored on the same held-out rows."""
    live: Measured | None
    """What the version in production does there."""
    changes: tuple[Change, ...]
    contributors: tuple[str, ...]
    steps: tuple[float, ...]
    hold_hours: float

    @property
    def passed(self) -> int:
        """Checks that passed."""
        return sum(1 for row in self.checks if row.run.verdict.value == "pass")

    @property
    def where(self) -> str:
        """What the rate in production was measured in."""
        return "" if self.live is None else figures.where(self.live)


def read(
    reading: Reading,
    parts: Parts,
    visitor: Visitor,
    asked: Asked,
    names: Mapping[str, str],
) -> Dossier:
    """Everything about one request, as far as `visitor` sees it."""
    target = asked.approval.target
    model = store.model_named(reading, target.model)
    version = store.version_by_id(reading, target.version_id)
    tier, _digest = policy_of(parts, model)
    runs = check_store.of_version(reading, version.id)
    required = required_checks(tier, version)
    production = _in_production(reading, version)
    theirs = [] if production is None else check_store.of_version(reading, production.id)
    measured = _newest(runs)
    same_rows = "production_metrics" in measured
    return Dossier(
        asked=asked,
        model=model,
        version=version,
        checks=check_rows(runs, required),
        missing=tuple(n for n in required if n not in {run.name for run in runs}),
        rows=measured.get("rows"),
        figures=compared(measured, figures.by_check(theirs)),
        production=production,
        same_rows=same_rows,
        live=_live(reading, visitor, production),
        changes=() if production is None else changes(production, version),
        contributors=tuple(names.get(c, c) for c in version.contributors),
        steps=tuple(float(step) for step in tier.rollout.steps_percent),
        hold_hours=tier.rollout.min_hold_hours,
    )


def compared(measured: Mapping[str, Any], otherwise: Mapping[str, float]) -> tuple[Figure, ...]:
    """The figures of a performance check beside those of production.

    Args:
        measured: The numbers of the check.
        otherwise: What production had on its own held-out rows; used where the check has not
            scored it on the same.
    """
    own = measured.get("metrics") or {}
    theirs = measured.get("production_metrics") or otherwise
    judged = {str(f["name"]): f for f in measured.get("findings") or ()}
    judged |= {n: f for n, f in measured.items() if isinstance(f, Mapping) and "limit" in f}
    return tuple(
        _figure(name, float(own[name]), judged.get(name) or {}, theirs.get(name))
        for name in _COMPARED
        if isinstance(own.get(name), int | float)
    )


def changes(before: Version, now: Version) -> tuple[Change, ...]:
    """The facts in which two versions differ, in the words of the page of a version."""
    facts = [
        ("cut-off", words.number(before.cutoff), words.number(now.cutoff)),
        ("framework", before.framework, now.framework),
        ("size", words.size(before.size_bytes), words.size(now.size_bytes)),
        ("rows learnt from", words.number(before.reference_rows), words.number(now.reference_rows)),
        ("training data", words.short(before.reference_digest), words.short(now.reference_digest)),
        ("trained", before.training_trigger.occasion, now.training_trigger.occasion),
    ]
    for name in dict.fromkeys([*before.lineage, *now.lineage]):
        facts.append((words.words(name), _said(before, name), _said(now, name)))
    return tuple(Change(*fact) for fact in facts if fact[1] != fact[2])


def awaited(
    reading: Reading, approval: Approval, people: Sequence[Person], visitor: Visitor
) -> tuple[str, ...]:
    """Who could sign what is still missing, by name; a tenant's people learn the names of their
    own alone."""
    voted = {vote.person for vote in approval.votes}
    roles = {step.role for step in approval.open_steps()}
    target = about.approval(reading, approval)
    return tuple(
        person.name
        for person in people
        if not person.disabled
        and roles & held(person.roles, target)
        and person.id not in approval.excluded | voted
        and person.tenant in (None, approval.target.tenant)
        and (visitor.tenant is None or person.tenant == visitor.tenant)
        and person.actor().may("approvals:decide", target)
    )


def people(reading: Reading, visitor: Visitor) -> list[Person]:
    """Everybody whom `visitor` may know by name."""
    return identity.people(reading, tenant=visitor.tenant)


def _newest(runs: Sequence[CheckRun]) -> Mapping[str, Any]:
    own = [run for run in runs if run.name == performance.NAME]
    return max(own, key=lambda run: run.attempt).numbers if own else {}


def _figure(name: str, value: float, judged: Mapping[str, Any], production: Any) -> Figure:
    low, high = judged.get("interval") or (None, None)
    theirs = float(production) if isinstance(production, int | float) else None
    return Figure(name, value, low, high, judged.get("limit"), theirs)


def _in_production(reading: Reading, version: Version) -> Version | None:
    """What is stable in the place that is asked for: the tenant's own, or else the fleet's."""
    stable = {
        place.tenant: place.version
        for place in deployment_store.carrying(reading, ENVIRONMENT, model=version.model)
        if place.state is Deployment.STABLE
    }
    number = stable.get(version.tenant) or stable.get(None)
    if number is None or number == version.version:
        return None
    return store.find_version(reading, version.model, number)


def _live(reading: Reading, visitor: Visitor, production: Version | None) -> Measured | None:
    if production is None or not visitor.may("windows:read"):
        return None
    scope = production.tenant
    windows = monitoring.windows(reading, production.model, scope, limit=_WINDOWS)
    own = rollouts.of_model(reading, production.model, tenant=visitor.tenant, limit=_ROLLOUTS)
    return figures.in_production(production, windows, own)


def _said(version: Version, name: str) -> str:
    value = version.lineage.get(name)
    if isinstance(value, Mapping):
        return ", ".join(f"{words.words(k)} {words.number(v)}" for k, v in value.items())
    return "not said" if value is None else words.number(value)
