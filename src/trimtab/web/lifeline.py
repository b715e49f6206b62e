"""The lifeline: one picture of a model's whole life, on one axis of time.

Marks for what people and the platform decided; versions as bars, as high as their share of
the traffic; how far the input has drifted, and the false-positive rate, each with its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.web import words
from trimtab.web.watching import DriftPoint, RatePoint

MAX_LANES = 14
"""Versions that are drawn: the newest; the table below the picture has all."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in which a version had one share of the traffic of its place."""

    lane: str
    start: datetime
    end: datetime
    exposure: str
    percent: float
    address: str


@dataclass(frozen=True)
class Mark:
    """Something that was decided or noticed. `end` is given for what lasts."""

    kind: str
    at: datetime
    end: datetime | None
    good: bool
    label: str
    address: str


@dataclass(frozen=True)
class Line:
    """How far the input of one scope drifted, window by window."""

    scope: str
    points: tuple[DriftPoint, ...]


@dataclass(frozen=True)
class Lifeline:
    """Everything that is drawn."""

    model: str
    start: datetime
    end: datetime
    lanes: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    marks: tuple[Mark, ...]
    drift: tuple[Line, ...]
    rates: tuple[RatePoint, ...]

    @property
    def bands(self) -> tuple[Mark, ...]:
        """Incidents: they are drawn through the whole picture."""
        return tuple(m for m in self.marks if m.kind == "incident")

    @property
    def releases(self) -> tuple[Mark, ...]:
        """When a version became stable."""
        return tuple(m for m in self.marks if m.kind == "release" and m.good)

    def says(self) -> str:
        """What the picture shows, in a sentence or three."""
        stable = sorted({s.lane for s in self.stretches if s.exposure == "stable"})
        newest = {s.lane: s for s in self.stretches}  # the last of each lane
        now = [
            f"{s.lane} {s.exposure}"
            + (f" at {s.percent:g} %" if s.exposure in ("canary", "shadow") else "")
            for s in newest.values()
            if s.end == self.end and s.exposure in ("stable", "canary", "shadow")
        ]
        back = sum(1 for s in self.stretches if s.exposure == "rolled back")
        told = (
            f"{self.model} from {words.day(self.start)} to {words.day(self.end)}: "
            f"{words.count(len(self.lanes), 'version')}, {len(stable) or 'none'} of them "
            + ("released" if stable else "stable yet")
            + (f", {back} taken back" if back else "")
            + f". Now: {', '.join(now) or 'no version carries traffic'}. "
        )
        return told + self._drift_says() + " " + self._rate_says()

    def _drift_says(self) -> str:
        seen = [p for line in self.drift[:1] for p in line.points]
        known = [p for p in seen if p.ratio is not None]
        if not seen:
            return "Its input has not been looked at yet."
        if not known:
            return f"Its input could not be measured: {seen[-1].reason}."
        last = known[-1]
        over = sum(1 for p in known if p.moved)
        return (
            f"Input drift was last {last.ratio:.2f} of the smallest change that matters "
            f"({last.feature}); {over} of {len(known)} windows had moved."
        )

    def _rate_says(self) -> str:
        known = [p for p in self.rates if p.value is not None]
        if not known:
            return "No outcomes are known yet."
        last = known[-1]
        return (
            f"Its false-positive rate was last {words.share(last.value)}, "
            f"{words.distance(last.value, last.limit)} of {words.share(last.limit, 1)}."
        )


def runs(points: Sequence[DriftPoint | RatePoint]) -> list[int]:
    """For each point the stretch of unbroken looking that it lies in: where a window is
    missing, or could not tell, nobody looked, and no line is drawn across."""
    found: list[int] = []
    for n, point in enumerate(points):
        broken = n > 0 and (point.start > points[n - 1].end or not points[n - 1].told)
        found.append((found[-1] if found else 0) + broken)
    return found
