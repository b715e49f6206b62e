"""What windows say, brought to one scale: distance to the smallest change that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.monitoring.model import Window
from trimtab.monitoring.watch import Subject, Watch, WatchPhase
from trimtab.policies.operation import Effects, Monitoring
from trimtab.web import words
from trimtab.web.words import Status, Tone

FALSE_POSITIVE_RATE = "false_positive_rate"
KNOWN = Status("known", "disc", Tone.PLAIN)
"""Drift that goes on, was looked into, and asks for nothing more."""
MEASURES = {
    "ks_d": "KS distance",
    "wasserstein_scaled": "Wasserstein distance",
    "category_mass": "category mass",
}


@dataclass(frozen=True)
class Gauge:
    """A share, its interval and the limit it must not exceed, or not fall short of where it is
    a `floor`, on a scale that holds all."""

    value: float | None
    low: float | None
    high: float | None
    limit: float
    pixels: float = 144.0
    floor: bool = False

    @property
    def over(self) -> bool:
        """Whether the value lies beyond the limit."""
        if self.value is None:
            return False
        return self.value < self.limit if self.floor else self.value > self.limit

    @property
    def end(self) -> float:
        """The right end of the scale."""
        return max(1.6 * self.limit, 1.1 * (self.value or 0.0), 1e-9)

    def x(self, share: float) -> str:
        """Where on the scale `share` lies, in pixels; beyond the end, at the end."""
        return f"{min(max(share / self.end, 0.0), 1.0) * self.pixels:.1f}"

    def width(self, low: float, high: float) -> str:
        """How wide the interval is drawn."""
        return f"{max(float(self.x(high)) - float(self.x(low)), 1.0):.1f}"


@dataclass(frozen=True)
class DriftPoint:
    """The feature that moved furthest in one window. `ratio` is 1 at the smallest change that
    matters; None where nobody could tell."""

    window: str
    start: datetime
    end: datetime
    feature: str | None
    measure: str | None
    value: float | None
    effect: float | None
    ratio: float | None
    moved: bool
    reason: str

    @property
    def told(self) -> bool:
        """Whether the window could tell anything."""
        return self.ratio is not None


@dataclass(frozen=True)
class RatePoint:
    """The false-positive rate of the stable version in one window; shares from 0 to 1."""

    window: str
    start: datetime
    end: datetime
    version: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    verdict: str
    reason: str

    @property
    def told(self) -> bool:
        """Whether the window could tell anything."""
        return self.value is not None


@dataclass(frozen=True)
class Glance:
    """What is known of a model at a glance, and when somebody looked."""

    drift: Status
    drifting: tuple[str, ...]
    explained: tuple[str, ...]
    """The resolved incidents that explain everything that has moved; empty where they do not."""
    looked_at: datetime | None
    rows: int
    rate: RatePoint | None
    gauge: Gauge | None


def effects_of(demands: Monitoring, window: Window) -> Effects:
    """The changes that matter for the rows of this window."""
    return demands.effects_global if window.tenant is None else demands.effects_tenant


def drift_point(window: Window, effects: Effects) -> DriftPoint | None:
    """The furthest feature of a window; None where its input was not looked at."""
    if window.drift is None:
        return None
    ratios = [
        (value / effect, str(feature["feature"]), measure, value, effect)
        for feature in window.drift.features
        for measure, value, effect in ratios_of(feature, effects)
    ]
    ratio, name, measure, value, effect = max(ratios) if ratios else (None,) * 5
    return DriftPoint(
        window=window.id,
        start=window.start,
        end=window.end,
        feature=name,
        measure=MEASURES[measure] if measure else None,
        value=value,
        effect=effect,
        ratio=ratio,
        moved=any(feature["moved"] for feature in window.drift.features),
        reason=window.drift.reason,
    )


def rate_point(window: Window, metric: str = FALSE_POSITIVE_RATE) -> RatePoint | None:
    """The rate of the stable version in a window; None where its output was not judged."""
    if window.performance is None:
        return None
    found = [j for j in window.performance.judgements if j["metric"] == metric]
    found.sort(key=lambda j: (j["deployment"] != "stable", -int(j["rows"])))
    if not found:
        return None
    first = found[0]
    low, high = first["interval"] or (None, None)
    return RatePoint(
        window.id,
        window.start,
        window.end,
        str(first["version"]),
        first["value"],
        low,
        high,
        first["limit"],
        str(first["verdict"]),
        str(first["reason"]),
    )


def glance(
    windows: Sequence[Window],
    watches: Sequence[Watch],
    explained: Mapping[str, str],
) -> Glance:
    """The newest of what windows (oldest first) and watches say.

    Args:
        windows: Those that were looked at.
        watches: What is watched.
        explained: By the id of a watch, the resolved incident that has explained its episode.
    """
    inputs = [w for w in windows if w.drift is not None]
    rates = [point for point in map(rate_point, windows) if point is not None]
    moved = [
        w
        for w in watches
        if w.phase is WatchPhase.CONFIRMED and w.subject is not Subject.PERFORMANCE
    ]
    # One that nobody has explained is news, whatever else is known.
    known = bool(moved) and all(w.id in explained for w in moved)
    suspected = any(
        w.phase is WatchPhase.SUSPECTED and w.subject is not Subject.PERFORMANCE for w in watches
    )
    if not inputs:
        drift = words.state("unwatched")
    elif moved and not known:
        drift = words.state("confirmed")
    elif suspected:
        drift = words.state("suspected")
    elif known:
        drift = KNOWN
    elif inputs[-1].drift is not None and inputs[-1].drift.verdict.value != "pass":
        drift = words.verdict(inputs[-1].drift.verdict.value)
    else:
        drift = words.state("calm")
    rate = rates[-1] if rates else None
    gauge = None
    if rate is not None and rate.limit is not None:
        gauge = Gauge(rate.value, rate.low, rate.high, rate.limit)
    return Glance(
        drift=drift,
        drifting=tuple(w.name for w in moved),
        explained=tuple(dict.fromkeys(explained[w.id] for w in moved)) if drift is KNOWN else (),
        looked_at=inputs[-1].end if inputs else None,
        rows=inputs[-1].rows if inputs else 0,
        rate=rate,
        gauge=gauge,
    )


def ratios_of(feature: Mapping[str, Any], effects: Effects) -> list[tuple[str, float, float]]:
    """Each measure that was taken of a feature: its name, its value, the change that matters."""
    measures = feature["measures"]
    return [
        (name, float(measures[name]), float(getattr(effects, name)))
        for name in MEASURES
        if isinstance(measures.get(name), int | float)
    ]
