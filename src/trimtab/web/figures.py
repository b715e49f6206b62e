"""Figures of one version, each with where it was measured: held-out rows, windows, its canary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trimtab.checks import performance
from trimtab.checks.model import CheckRun
from trimtab.monitoring.model import Window
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Version
from trimtab.rollouts.model import Rollout
from trimtab.web import words
from trimtab.web.watching import FALSE_POSITIVE_RATE

_CHECKED = ("f1", "precision", "recall", FALSE_POSITIVE_RATE)


@dataclass(frozen=True)
class Known:
    """A figure before release. `source` is None where whoever trained it said so."""

    value: float
    source: str | None


@dataclass(frozen=True)
class Measured:
    """A false-positive rate in production, with what it rests on."""

    value: float
    low: float | None
    high: float | None
    limit: float | None
    rows: int
    where: str
    at: datetime


def shared(places: Sequence[Deployed]) -> tuple[Deployed, ...]:
    """Places with the share that each version really has: a stable one leaves its canary's."""
    canaries = {
        (p.model, p.tenant, p.environment): p.percent
        for p in places
        if p.state is Deployment.CANARY
    }
    return tuple(
        replace(p, percent=p.percent - canaries.get((p.model, p.tenant, p.environment), 0.0))
        if p.state is Deployment.STABLE
        else p
        for p in places
    )


def before_release(version: Version, runs: Sequence[CheckRun]) -> Mapping[str, Known]:
    """The usual figures: as they were handed in, otherwise as the check measured them."""
    found = {name: Known(float(value), None) for name, value in version.training_metrics.items()}
    checked = by_check(runs)
    for name in _CHECKED:
        if name not in found and name in checked:
            found[name] = Known(checked[name], "measured by our check")
    return found


def by_check(runs: Sequence[CheckRun]) -> Mapping[str, float]:
    """What the newest performance check that measured anything found on the held-out rows."""
    for run in sorted(runs, key=lambda r: r.attempt, reverse=True):
        metrics = run.numbers.get("metrics")
        if run.name == performance.NAME and isinstance(metrics, Mapping):
            return {n: float(v) for n, v in metrics.items() if isinstance(v, int | float)}
    return {}


def in_production(
    version: Version, windows: Sequence[Window], rollouts: Sequence[Rollout]
) -> Measured | None:
    """The newest rate of a version: in a window of its place, or while it was a canary."""
    found = [m for m in (_window(version, window) for window in windows) if m is not None]
    found += [
        m
        for m in (_canary(rollout) for rollout in rollouts if rollout.version_id == version.id)
        if m is not None
    ]
    return max(found, key=lambda m: m.at, default=None)


def _window(version: Version, window: Window) -> Measured | None:
    judgements = [] if window.performance is None else window.performance.judgements
    own = [
        j
        for j in judgements
        if j["metric"] == FALSE_POSITIVE_RATE
        and j["version"] == version.version
        and j["value"] is not None
    ]
    if not own:
        return None
    most = max(own, key=lambda j: int(j["rows"]))
    where = f"window from {words.day(window.start)} to {words.day(window.end)}"
    return _measured(most, int(most["rows"]), where, window.end)


def _canary(rollout: Rollout) -> Measured | None:
    analysis = rollout.last_analysis or {}
    rules = [r for r in analysis.get("rules", ()) if r["name"] == FALSE_POSITIVE_RATE]
    if not rules or rules[0]["value"] is None:
        return None
    where = f"last look of its canary, begun {words.day(rollout.started_at)}"
    return _measured(rules[0], int(analysis["canary_negatives"]), where, rollout.step_since)


def _measured(found: Mapping[str, Any], rows: int, where: str, at: datetime) -> Measured:
    low, high = found["interval"] or (None, None)
    return Measured(float(found["value"]), low, high, found["limit"], rows, where, at)
