"""Figures of one version, each with where it was measured: held-out rows, windows, its canary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trimtab.checks import performance
from trimtab.checks.model import CheckRun
from trimtab.monitoring.history import Judged
from trimtab.monitoring.model import Window
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Version
from trimtab.rollouts.history import of_rollouts
from trimtab.rollouts.model import Rollout
from trimtab.web import words
from trimtab.web.watching import FALSE_POSITIVE_RATE
from trimtab.workflows.measured import Measured, newest_rate

_CHECKED = ("f1", "precision", "recall", FALSE_POSITIVE_RATE)


@dataclass(frozen=True)
class Known:
    """A figure before release. `source` is None where whoever trained it said so."""

    value: float
    source: str | None


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
    judged = [
        Judged(window.tenant, window.start, window.end, window.performance.judgements)
        for window in windows
        if window.performance is not None
    ]
    own = [rollout for rollout in rollouts if rollout.version_id == version.id]
    return newest_rate(version.version, judged, of_rollouts(own))


def where(measured: Measured) -> str:
    """What a rate was measured in, in words."""
    start = words.day(measured.start)
    if measured.end is None:
        return f"last look of its canary, begun {start}"
    return f"window from {start} to {words.day(measured.end)}"
