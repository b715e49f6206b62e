"""Features of a model from window to window: what moved, since when, how far from its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.monitoring.drift import SCORE
from trimtab.monitoring.model import Window
from trimtab.monitoring.watch import Subject, Watch, WatchPhase
from trimtab.policies.operation import Effects, Monitoring
from trimtab.web import words
from trimtab.web.watching import KNOWN, MEASURES, Gauge, effects_of
from trimtab.web.words import Status, Tone

_LIMITS = {name: name for name in MEASURES} | {"psi": "psi_nats"}
_NAMES = {**MEASURES, "psi": "PSI"}
_DETECTORS = {
    "ks": ("ks_d", "category_mass"),
    "psi": ("psi",),
    "wasserstein": ("wasserstein_scaled",),
}
_MOVED = Status("moved", "diamond", Tone.WAIT)
_FOUND = Status("finding", "triangle", Tone.BAD)
_NOT_READ = Status("not looked at", "ring", Tone.PLAIN)
_HIGH = 22.0
"""Pixels of a bar that reaches twice the limit; the limit lies half way up."""
_STEP = 7


@dataclass(frozen=True)
class Measure:
    """One measure of a feature in one window, with the limit that it was judged by."""

    key: str
    value: float
    limit: float

    @property
    def name(self) -> str:
        """What the measure is called."""
        return _NAMES[self.key]

    @property
    def decides(self) -> bool:
        """Whether it decides that a feature has moved; the stability index grades it."""
        return self.key in MEASURES

    @property
    def ratio(self) -> float:
        """1 at the limit."""
        return self.value / self.limit

    @property
    def gauge(self) -> Gauge:
        """The value beside its limit."""
        return Gauge(self.value, None, None, self.limit)

    @property
    def distance(self) -> str:
        """How far from the limit, as a number and as a part of it."""
        off = abs(self.limit - self.value)
        if self.value >= self.limit:
            return f"{off:.3f} beyond its limit, {self.ratio:.1f} times as large"
        return f"{off:.3f} below its limit, at {self.ratio:.0%} of it".replace("%", "\u202f%")


@dataclass(frozen=True)
class Cell:
    """A feature in one window. `found` is what was kept of it; None where the window did not
    know the feature."""

    window: Window
    found: Mapping[str, Any] | None
    measures: tuple[Measure, ...]

    @property
    def nearest(self) -> Measure | None:
        """The measure that is furthest towards its limit, of those that decide."""
        deciding = [m for m in self.measures if m.decides]
        return max(deciding, key=lambda m: m.ratio, default=None)

    @property
    def moved(self) -> bool:
        """Whether the window says so; one that could not tell does not."""
        return bool(self.found and self.found["moved"])

    @property
    def severity(self) -> str:
        """The band of the stability index; `unknown` where nobody could tell."""
        return str((self.found or {}).get("severity") or "unknown")

    @property
    def findings(self) -> tuple[Mapping[str, Any], ...]:
        """What is structurally wrong."""
        return tuple((self.found or {}).get("structural") or ())

    @property
    def missing(self) -> str | None:
        """What is missing for an answer: `120 more rows needed`."""
        why = (self.found or {}).get("insufficient")
        return None if why is None else str(why)

    @property
    def bar(self) -> float:
        """How high its bar is; one that is far beyond its limit ends at twice the limit."""
        nearest = self.nearest
        return 0.0 if nearest is None else max(1.0, min(nearest.ratio, 2.0) * _HIGH / 2)


@dataclass(frozen=True)
class Row:
    """A feature over all windows that are shown, oldest first."""

    name: str
    cells: tuple[Cell, ...]
    status: Status
    since: datetime | None
    explained: str | None
    """The resolved incident that explains its drift."""

    @property
    def title(self) -> str:
        """Its name; the model's answers have none of their own."""
        return "the model’s score" if self.name == SCORE else self.name

    @property
    def newest(self) -> Cell | None:
        """What the newest window says."""
        return self.cells[-1] if self.cells else None

    @property
    def told(self) -> Cell | None:
        """The newest window that could tell."""
        return next((cell for cell in reversed(self.cells) if cell.measures), None)

    @property
    def nearness(self) -> float:
        """By what rows are sorted: 1 at a limit, of a measure or of a finding; the unknown comes
        last."""
        newest, told = self.newest, self.told
        nearest = None if told is None else told.nearest
        found = newest.findings if newest is not None else ()
        beyond = [_beyond(f) for f in found]
        return max([-1.0 if nearest is None else nearest.ratio, *beyond])

    @property
    def width(self) -> int:
        """How wide its strip is drawn, in pixels."""
        return max(_STEP * len(self.cells), _STEP)

    def says(self) -> str:
        """What the strip shows."""
        told = [cell for cell in self.cells if cell.measures]
        moved = sum(1 for cell in self.cells if cell.moved)
        wrong = sum(1 for cell in self.cells if cell.findings)
        said = f"{self.title} in {words.count(len(self.cells), 'window')}: moved in {moved}"
        said += f", structural findings in {wrong}" if wrong else ""
        open_ = len(self.cells) - len(told)
        said += f", too little data in {open_}" if open_ else ""
        nearest = told[-1].nearest if told else None
        return said + (f"; last {nearest.name} {nearest.distance}." if nearest else ".")


def rows(
    names: Sequence[str],
    windows: Sequence[Window],
    watches: Sequence[Watch],
    explained: Mapping[str, str],
    demands: Monitoring,
) -> tuple[Row, ...]:
    """A row for each feature, nearest to its limit first.

    Args:
        names: Features as they are registered; what windows know beside them comes along.
        windows: Those that were looked at, oldest first.
        watches: What is watched in the same place.
        explained: By the id of a watch, the incident that explains it.
        demands: What is asked of a window.
    """
    looked = [w for w in windows if w.drift is not None]
    seen = [f["feature"] for w in looked if w.drift for f in w.drift.features]
    known = dict.fromkeys([*names, *seen])
    found = [_row(name, looked, watches, explained, demands) for name in known]
    return tuple(sorted(found, key=lambda row: row.nearness, reverse=True))


def measures_of(feature: Mapping[str, Any], effects: Effects) -> tuple[Measure, ...]:
    """The measures of a feature, each with the limit it was judged by: that of the vote that
    was cast on it, or else of the policy as it is now."""
    judged = {
        key: float(vote["threshold"])
        for vote in feature["votes"]
        for key in _DETECTORS.get(str(vote["detector"]), ())
        if vote.get("threshold") is not None
    }
    return tuple(
        Measure(key, float(value), judged.get(key) or float(getattr(effects, limit)))
        for key, limit in _LIMITS.items()
        if isinstance(value := feature["measures"].get(key), int | float)
    )


def _beyond(finding: Mapping[str, Any]) -> float:
    """How far a structural finding lies beyond its limit; one without a limit, endlessly."""
    limit = float(finding["limit"])
    return float(finding["value"]) / limit if limit > 0 else math.inf


def _row(
    name: str,
    windows: Sequence[Window],
    watches: Sequence[Watch],
    explained: Mapping[str, str],
    demands: Monitoring,
) -> Row:
    cells = tuple(_cell(name, window, demands) for window in windows)
    own = [w for w in watches if _about(w) == name and w.phase is not WatchPhase.CALM]
    own.sort(key=lambda w: w.phase is WatchPhase.CONFIRMED, reverse=True)
    watch = own[0] if own else None
    known = None if watch is None else explained.get(watch.id)
    run = _moved_since(cells)
    return Row(
        name=name,
        cells=cells,
        status=_status(cells, watch, known),
        since=run if watch is None or watch.since is None else watch.since,
        explained=known,
    )


def _cell(name: str, window: Window, demands: Monitoring) -> Cell:
    features = window.drift.features if window.drift is not None else []
    found = next((f for f in features if f["feature"] == name), None)
    measured = () if found is None else measures_of(found, effects_of(demands, window))
    return Cell(window, found, measured)


def _about(watch: Watch) -> str | None:
    """The feature that a watch is about."""
    if watch.subject is Subject.PERFORMANCE:
        return None
    return watch.name.split("/", 1)[0] if watch.subject is Subject.STRUCTURE else watch.name


def _moved_since(cells: Sequence[Cell]) -> datetime | None:
    """The start of the last stretch of windows in which it had moved, if it lasts; a window
    that could not tell does not end it."""
    since = None
    for cell in reversed(cells):
        if cell.moved or cell.findings:
            since = cell.window.start
        elif cell.measures:
            break
    return since


def _status(cells: Sequence[Cell], watch: Watch | None, known: str | None) -> Status:
    if watch is not None:
        return KNOWN if known else words.state(watch.phase.value)
    newest = cells[-1] if cells else None
    if newest is None or newest.found is None:
        return _NOT_READ
    if newest.findings:
        return _FOUND
    if newest.moved:
        return _MOVED
    return words.state("insufficient_data" if newest.missing else "calm")
