"""The course of a version through its registry: one line of time with its stages and names.

Widths are shares of the picture, so that it is as wide as its place and no letter is stretched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.web import words
from trimtab.workflows.inventoried import Move

_LEAST_PERCENT = 0.6
"""A stretch that is shorter than this is drawn so wide, or nobody would see it."""

_LANES = 8
"""Names that are drawn; the table beside the picture has all."""

_SHADES = {
    "development": "none",
    "staging": "canary",
    "production": "stable",
    "archived": "retired",
}


@dataclass(frozen=True)
class Stretch:
    """From where to where something held, in per cent of the picture, and in words."""

    x: float
    width: float
    shade: str
    says: str


@dataclass(frozen=True)
class Lane:
    """A line of the picture: the stages, or one name."""

    label: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class Tick:
    """A moment at which something happened, in per cent of the picture."""

    x: float
    kind: str
    says: str


@dataclass(frozen=True)
class Course:
    """All that is drawn: lanes from top to bottom, ticks below them, the ends of the time."""

    start: datetime
    end: datetime
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    hidden: int
    chosen: float | None
    """Where the moment lies that the page is about."""

    def says(self) -> str:
        """What the picture shows, in a sentence."""
        last = self.lanes[0].stretches[-1].says
        moves = len(self.lanes[0].stretches) - 1
        moved = "was never moved" if not moves else f"was moved {words.count(moves, 'time')}"
        return f"Since {words.moment(self.start)} it {moved}; {last}."


def draw(moves: Sequence[Move], now: datetime, chosen: datetime | None = None) -> Course | None:
    """The picture of a history, newest move first; None where there is nothing to draw."""
    if not moves:
        return None
    order = sorted(moves, key=lambda move: move.number)
    start, end = order[0].at, max(now, order[-1].at)
    whole = (end - start).total_seconds()

    def place(at: datetime) -> float:
        return 100 * (at - start).total_seconds() / whole if whole else 0.0

    stages = [(m.at, None if m.what == "removed" else m.after.stage.value) for m in order]
    names = list(dict.fromkeys(name for m in reversed(order) for name in m.after.aliases))
    lanes = [Lane("stage", _stretches(stages, end, place, named=True))]
    for name in names[:_LANES]:
        held = [
            (m.at, name if m.what != "removed" and name in m.after.aliases else None) for m in order
        ]
        lanes.append(Lane(name, _stretches(held, end, place, named=False)))
    return Course(
        start=start,
        end=end,
        lanes=tuple(lanes),
        ticks=tuple(Tick(place(m.at), m.what, f"{m.what}, {words.moment(m.at)}") for m in order),
        hidden=max(0, len(names) - _LANES),
        chosen=None if chosen is None else min(100.0, max(0.0, place(chosen))),
    )


def _stretches(
    held: Sequence[tuple[datetime, str | None]],
    end: datetime,
    place: Callable[[datetime], float],
    *,
    named: bool,
) -> tuple[Stretch, ...]:
    """What held from when until when; what is None held not at all."""
    found: list[tuple[datetime, datetime, str]] = []
    ends = [at for at, _value in held[1:]] + [end]
    for (since, value), until in zip(held, ends, strict=True):
        if value is None:
            continue
        if found and found[-1][2] == value and found[-1][1] == since:
            since = found.pop()[0]
        found.append((since, until, value))
    made = []
    for since, until, value in found:
        x = min(place(since), 100 - _LEAST_PERCENT)
        width = max(_LEAST_PERCENT, min(place(until), 100.0) - x)
        to = "now" if until == end else words.moment(until)
        what = value if named else "it had this name"
        shade = _SHADES.get(value, "none") if named else "canary"
        made.append(Stretch(x, width, shade, f"{what} from {words.moment(since)} until {to}"))
    return tuple(made)
