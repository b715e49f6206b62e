"""Recovery as it is measured: before, during and after, in windows.

The question is not whether the remedy ended, nor whether the figure is good, but how much
of the harm is gone. Harm is the distance between the level before and the level during the
incident; the latter is also the counterfactual: what would have gone on. A window without
a figure is never a healthy one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.kernel.events import plain
from trimtab.policies.operation import Recovery as Demands
from trimtab.policies.operation import RollbackTriggers


class Outcome(StrEnum):
    """What the windows after a remedy say."""

    RECOVERED = "recovered"
    NOT_YET = "not_yet"
    """Too few windows have passed to tell."""
    NO_EFFECT = "no_effect"
    """The patience is used up, or the figure had come back before the remedy."""
    WORSE = "worse"
    """Worse than the harm it was to end, or much slower."""
    UNMEASURED = "unmeasured"
    """The patience is used up and too many windows had no figure."""


@dataclass(frozen=True)
class Metric:
    """What is measured: a share, a distance or another figure of which more is worse, or,
    with `more_is_better`, a share of which less is worse."""

    name: str
    more_is_better: bool = False


@dataclass(frozen=True)
class Window:
    """One window: the figure, or None where it is missing, stale or of too few rows."""

    id: str
    start: datetime
    value: float | None
    rows: int
    latency_p95_ms: float | None = None


@dataclass(frozen=True)
class Measured:
    """How much of the harm is gone, and everything that this rests on.

    `limit` is the worst value that counts as healthy. `remaining_share` is what is left of
    the harm in the last measured window: 0 none, 1 all of it. `more_windows` is how many
    are needed at least before it can be told.
    """

    outcome: Outcome
    reason: str
    metric: str
    before: float
    during: float
    after: float | None
    change: float | None
    limit: float
    remaining_share: float | None
    healthy_in_a_row: int
    more_windows: int
    windows: tuple[Window, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        shown: dict[str, Any] = plain(asdict(self))
        return shown


def measure(
    metric: Metric,
    *,
    before: Sequence[Window],
    during: Sequence[Window],
    after: Sequence[Window],
    demands: Demands,
    triggers: RollbackTriggers,
) -> Measured:
    """How far the figure has come back.

    The level before is the median of its windows, and so is the level during. A window is
    healthy if no more than `tolerance_share` of the harm is left in it.

    Args:
        metric: What went wrong.
        before: Windows before the incident, oldest first.
        during: Windows of the incident before the remedy was carried out, oldest first.
        after: Every window since, oldest first, those without a figure too.
        demands: When it counts as recovered, and how long to wait.
        triggers: How much worse is too much.

    Raises:
        TooFewValues: no figure before or during: there is nothing to come back to or from.
        InvalidInput: a figure is not finite, or there was no harm in the first place.
    """
    level = _level(metric, before, "before")
    harm = _level(metric, during, "during")
    if not harm > level:
        raise InvalidInput(
            f"{metric.name} was no worse during the incident than before",
            field="during",
            remedy="measure the recovery by the figure that showed the harm",
        )
    scale = _Scale(metric, level, harm, level + demands.tolerance_share * (harm - level))
    badness = [_badness(metric, window) for window in after]
    streak = _healthy_at_the_end(badness, scale.limit)
    outcome, reason = _judged(scale, badness, streak, demands, triggers)
    slower = _slower(before, after, triggers)
    if slower is not None:
        outcome, reason = Outcome.WORSE, slower
    if outcome is Outcome.RECOVERED and _had_come_back(scale, during):
        outcome = Outcome.NO_EFFECT
        reason = f"{metric.name} had come back before the remedy was carried out"
    more = max(0, demands.healthy_windows - streak) if outcome is Outcome.NOT_YET else 0
    last = next((value for value in reversed(badness) if value is not None), None)
    return Measured(
        outcome=outcome,
        reason=reason,
        metric=metric.name,
        before=scale.shown(level),
        during=scale.shown(harm),
        after=None if last is None else scale.shown(last),
        change=None if last is None else scale.shown(last) - scale.shown(harm),
        limit=scale.shown(scale.limit),
        remaining_share=None if last is None else (last - level) / (harm - level),
        healthy_in_a_row=streak,
        more_windows=more,
        windows=tuple(after),
    )


@dataclass(frozen=True)
class _Scale:
    """The levels, turned so that more is worse."""

    metric: Metric
    level: float
    harm: float
    limit: float

    def shown(self, badness: float) -> float:
        """The figure as people know it."""
        return 1 - badness if self.metric.more_is_better else badness


def _judged(
    scale: _Scale,
    badness: Sequence[float | None],
    streak: int,
    demands: Demands,
    triggers: RollbackTriggers,
) -> tuple[Outcome, str]:
    name = scale.metric.name
    worst = scale.harm * (1 + triggers.error_rate_increase)
    over = [value for value in badness if value is not None and value > worst]
    if over:
        reason = f"{name} went to {scale.shown(over[0]):.4g}, from {scale.shown(scale.harm):.4g}"
        return Outcome.WORSE, f"{reason} before the remedy: worse than what it was to end"
    if streak >= demands.healthy_windows:
        run = "1 window" if streak == 1 else f"{streak} windows in a row"
        reason = (
            f"{name} is within {scale.shown(scale.limit):.4g} for {run}; it was "
            f"{scale.shown(scale.level):.4g} before and {scale.shown(scale.harm):.4g} during"
        )
        return Outcome.RECOVERED, reason
    if len(badness) < demands.max_windows:
        more = demands.healthy_windows - streak
        windows, are = ("window", "is") if more == 1 else ("windows", "are")
        return Outcome.NOT_YET, f"{more} more healthy {windows} of {name} {are} needed"
    missing = sum(value is None for value in badness)
    if len(badness) - missing < demands.healthy_windows:
        return (
            Outcome.UNMEASURED,
            f"{missing} of {len(badness)} windows since the remedy have no figure for {name}",
        )
    return (
        Outcome.NO_EFFECT,
        f"{len(badness)} windows have passed and {name} has not come back to "
        f"{scale.shown(scale.limit):.4g}",
    )


def _slower(
    before: Sequence[Window], after: Sequence[Window], triggers: RollbackTriggers
) -> str | None:
    """Why it counts as much slower than before the incident, or None."""
    earlier = [w.latency_p95_ms for w in before if w.latency_p95_ms is not None]
    since = [w.latency_p95_ms for w in after if w.latency_p95_ms is not None]
    if not earlier or not since:
        return None
    allowed = median(earlier) * (1 + triggers.latency_increase)
    if max(since) <= allowed:
        return None
    return f"the 95th percentile of latency went to {max(since):.4g} ms; {allowed:.4g} are allowed"


def _healthy_at_the_end(badness: Sequence[float | None], limit: float) -> int:
    """Healthy windows in a row up to the last one; a missing figure ends the row."""
    count = 0
    for value in reversed(badness):
        if value is None or not value <= limit:
            break
        count += 1
    return count


def _had_come_back(scale: _Scale, during: Sequence[Window]) -> bool:
    known = [x for x in (_badness(scale.metric, w) for w in during) if x is not None]
    return known[-1] <= scale.limit


def _level(metric: Metric, windows: Sequence[Window], when: str) -> float:
    known = [x for x in (_badness(metric, window) for window in windows) if x is not None]
    if not known:
        raise TooFewValues(
            f"no window {when} the incident has a figure for {metric.name}",
            field=when,
            remedy="without it recovery cannot be measured; a person has to look",
        )
    return median(known)


def _badness(metric: Metric, window: Window) -> float | None:
    """The figure, turned so that more is worse; None where it is missing."""
    if window.value is None:
        return None
    if not math.isfinite(window.value):
        raise InvalidInput(f"{metric.name} of window {window.id} is not a number", field="value")
    return 1 - window.value if metric.more_is_better else window.value
