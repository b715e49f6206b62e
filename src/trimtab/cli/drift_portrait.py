"""What the pictures of a numeric column draw: shares of rows along an axis, and the gap between
the distribution functions. Numbers only, from the cells of two profiles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trimtab.profiles.grid import Aligned, aligned
from trimtab.profiles.numeric import NumericProfile
from trimtab.stats.sample import Sample

SPIKES = 40
"""So many different values are drawn one by one; more of them in bins."""

_BINS = 64
_FEWEST_BINS = 12
_STEPS = 180
_BULK = 0.005
_WIDE = 60.0
_WIDE_CELLS = 20.0
_LITTLE = 0.1  # of the width; an axis that ends so near to an extreme value goes on to it
_CROWDED = 0.09  # a tick so near to the first is left out
_TINY = 1e-280  # the cell of zero, where cells are logarithmic, ends here


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`. A logarithmic one is even up to `even`, where that is above `low`;
    else `low` is above zero."""

    low: float
    high: float
    logarithmic: bool
    even: float = 0.0

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one, and never outside."""
        low, high = self._bent(self.low), self._bent(self.high)
        return min(1.0, max(0.0, (self._bent(max(value, self.low)) - low) / (high - low)))

    def value(self, place: float) -> float:
        """What lies there."""
        if not self.logarithmic:
            return self.low * (1 - place) + self.high * place
        bent = self._bent(self.low) * (1 - place) + self._bent(self.high) * place
        if self.even and bent < math.log(self.even):
            return self.even * (1 + bent - math.log(self.even))
        return math.exp(bent)

    def _bent(self, value: float) -> float:
        if not self.logarithmic:
            return value / 2  # the width of an axis may be no double
        if value < self.even:
            return math.log(self.even) - 1 + value / self.even  # as steep as the logarithm there
        return math.log(value)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values along it."""
        return _decades(self, wanted) if self.logarithmic else _round_values(self, wanted)


@dataclass(frozen=True, eq=False)
class Portrait:
    """Both sides of a numeric column, as they are drawn.

    Where `single` is true each value is drawn by itself: `starts`, shape (k,), are the values;
    else `starts` and `ends` are the edges of bins. `whole` says that there are whole numbers
    only. `before` and `now` are shares of the rows
    with a value, shape (k,). `at` and `gap`, shape (m,), are places and the share of rows above
    them, now minus before. `d` is the largest gap, with its sign, and `d_at` its place: the rows
    above it are more, or fewer, by so much; `d_drawn` is where its mark stands. `below` and
    `above` are the shares of rows beyond either end of the axis, before and now.
    """

    axis: Axis
    single: bool
    whole: bool
    starts: Sample
    ends: Sample
    before: Sample
    now: Sample
    at: Sample
    gap: Sample
    d: float
    d_at: float
    d_drawn: float
    below: tuple[float, float]
    above: tuple[float, float]

    @cached_property
    def stretch(self) -> Sample:
        """By how much a bar is to be lower where it is wider than the narrowest, shape (k,)."""
        if self.single:
            return np.ones_like(self.starts)
        places = [self.axis.place(float(edge)) for edge in (*self.starts, self.ends[-1])]
        widths = np.diff(places)
        return np.asarray(widths / widths.min(), dtype=np.float64)

    @property
    def uneven(self) -> bool:
        """Whether the bars are of different widths: whole numbers on a logarithmic axis."""
        return bool(self.stretch.max() > 1.01)


def portrait(before: NumericProfile, now: NumericProfile) -> Portrait | None:
    """Both sides over the values that most of their rows have; None where one has no value, or
    where they lie further apart, or closer, than can be drawn."""
    if not before.known or not now.known:
        return None
    sides = _Sides(as_whole(before), as_whole(now))
    axis = _axis(sides)
    inside = sides.within(axis)
    single = int(inside.sum()) <= SPIKES and not axis.logarithmic
    width = axis.high - axis.low
    if not math.isfinite(2 * width) or not (single or width > _TINY):
        return None
    if single:
        starts = ends = sides.values[inside]
        shares = sides.share[0][inside], sides.share[1][inside]
    else:
        edges = _edges(sides, axis, sides.values[inside])
        starts, ends = edges[:-1], edges[1:]
        shares = np.diff(sides.below(edges, 0)), np.diff(sides.below(edges, 1))
        axis = replace(axis, low=float(edges[0]), high=float(edges[-1]))
    at, gap = _course(sides, axis, single)
    largest = int(np.argmax(np.abs(sides.gap)))
    low, high = axis.low, axis.high
    beyond = sides.beyond_values(low, high) if single else sides.beyond_edges(low, high)
    return Portrait(
        axis=_room(axis, starts) if single else axis,
        single=single,
        whole=sides.whole,
        starts=starts,
        ends=ends,
        before=shares[0],
        now=shares[1],
        at=at,
        gap=gap,
        d=float(sides.gap[largest]),
        d_at=sides.edge(largest, single=single),
        d_drawn=float(sides.values[largest] if single else sides.upper[largest]),
        below=beyond[0],
        above=beyond[1],
    )


def as_whole(profile: NumericProfile) -> NumericProfile:
    """The profile of a column of floats, as one of whole numbers where it holds no others."""
    lower = profile.cells.lower
    held = np.array([*lower, profile.low or 0.0, profile.high or 0.0])
    return replace(profile, whole=profile.whole or bool((held == np.floor(held)).all()))


def quantile(profile: NumericProfile, share: float) -> float:
    """A quantile with no more digits than a cell tells: whole where the numbers are."""
    value = profile.quantile(share)
    place = int(np.searchsorted(profile.cells.lower, value, side="right")) - 1
    if profile.whole and profile.cells.level[place] <= 0:  # a cell of one single value
        return float(round(value))
    told = float(f"{value:.3g}")
    return float(round(told)) if profile.whole else told


class _Sides:
    """Both sides in shared cells; the outer ones drawn in to the extreme values."""

    def __init__(self, before: NumericProfile, now: NumericProfile):
        shared: Aligned = aligned(before.cells, now.cells)
        lows = [one.low for one in (before, now) if one.low is not None]
        highs = [one.high for one in (before, now) if one.high is not None]
        self.low, self.high = min(lows), max(highs)
        self.whole = before.whole and now.whole
        self.partly_whole = before.whole or now.whole
        self.lower, self.upper = shared.lower.copy(), shared.upper.copy()
        if not self.whole:
            self.lower[0] = max(self.lower[0], self.low)
            self.upper[-1] = max(min(self.upper[-1], self.high), self.lower[-1])
        self.share = shared.reference / before.known, shared.current / now.known
        self.profiles = before, now
        grids = before.grid, now.grid
        self.logarithmic = all(grid.logarithmic for grid in grids)
        self.step = max(math.ldexp(1.0, grid.level) for grid in grids)
        if self.partly_whole:
            self.step = max(self._apart(), self.step)

    def _apart(self) -> float:
        """What whole numbers are multiples of, but for where they begin; between them there is
        nothing."""
        alone = self.lower[self.upper - self.lower <= 1.0]
        if not self.whole or alone.size < 2:
            return 1.0
        return float(np.gcd.reduce(np.diff(alone).astype(np.int64)))

    @cached_property
    def gap(self) -> Sample:
        """The share of rows above the upper edge of each cell, now minus before."""
        return np.asarray(np.cumsum(self.share[0]) - np.cumsum(self.share[1]))

    @cached_property
    def values(self) -> Sample:
        """The value that a cell stands for, where each is drawn by itself."""
        at_edge = self.upper - self.lower <= (1.0 if self.partly_whole else 0.0)
        if self.logarithmic:  # narrow beside the value, and round values lie at edges
            at_edge = np.ones_like(at_edge)
        return np.where(at_edge, self.lower, self.lower / 2 + self.upper / 2)

    def edge(self, cell: int, *, single: bool) -> float:
        """The value that the rows of the cells after this one are above."""
        if single:
            return float(self.values[cell])
        upper = float(self.upper[cell])
        return math.ceil(upper) - 1.0 if self.whole else 0.0 if abs(upper) < _TINY else upper

    def below(self, places: Sample, side: int) -> Sample:
        """The share of rows below each place; within a cell evenly spread."""
        ends = np.stack([self.lower, self.upper], axis=1).ravel()
        reached = np.cumsum(self.share[side])
        known = np.stack([reached - self.share[side], reached], axis=1).ravel()
        return np.asarray(np.interp(places, ends, known, left=0.0, right=1.0))

    def within(self, axis: Axis) -> NDArray[np.bool_]:
        """Which cells the axis shows."""
        return np.asarray((self.values >= axis.low) & (self.values <= axis.high))

    def beyond_values(
        self, low: float, high: float
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Shares of both sides whose value is below, and above."""
        under, over = self.values < low, self.values > high
        before, now = self.share
        return (
            (float(before[under].sum()), float(now[under].sum())),
            (float(before[over].sum()), float(now[over].sum())),
        )

    def beyond_edges(
        self, low: float, high: float
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """The same at edges within cells."""
        ends = np.array([low, high])
        (under, reached), (under_now, reached_now) = (self.below(ends, i) for i in (0, 1))
        return (
            (float(under), float(under_now)),
            (max(0.0, 1 - float(reached)), max(0.0, 1 - float(reached_now))),
        )


def _axis(sides: _Sides) -> Axis:
    """What most rows of both sides have: 0.5 to 99.5 per cent; all of it where that is little."""
    if sides.values.size <= SPIKES and not sides.logarithmic:
        return Axis(float(sides.values[0]), float(sides.values[-1]), False)
    low = min(side.quantile(_BULK) for side in sides.profiles)
    high = max(side.quantile(1 - _BULK) for side in sides.profiles)
    quarter = min(side.quantile(0.25) for side in sides.profiles)
    wide = _WIDE_CELLS if sides.logarithmic else _WIDE
    if sides.low >= 0.0 and high > 0.0 and quarter < high / wide:
        positive = [_positive(sides, side) for side in (0, 1)]
        least = min(place for place in positive if place is not None)
        if high > 10 * least:
            below = max(float(share[sides.lower < least].sum()) for share in sides.share)
            return Axis(*(0.0, high, True, least) if below > _BULK else (least, high, True))
    little = _LITTLE * (high - low)
    if not high > low or sides.low > low - little:
        low = sides.low
    if not high > low or sides.high < high + little:
        high = sides.high
    return Axis(low, high, False)


def _positive(sides: _Sides, side: int) -> float | None:
    """The least of the positive values that most rows have; None where none is positive."""
    there = (sides.lower > 0.0) & (sides.share[side] > 0.0)
    if not there.any():
        return None
    reached = np.cumsum(sides.share[side][there])
    first = int(np.searchsorted(reached, _BULK * reached[-1]))
    return float(sides.lower[there][first])


def _edges(sides: _Sides, axis: Axis, values: Sample) -> Sample:
    """Edges of bins that hold as many cells, or rounded values, each: none has more by chance."""
    if axis.logarithmic:
        edges = np.array([axis.value(place) for place in np.linspace(0.0, 1.0, _BINS + 1)])
        if not sides.partly_whole:
            return edges
        step = sides.step
        even = np.floor(edges / step) * step
        edges = np.where((edges < step) & (not sides.whole), edges, even)
        return np.unique([*edges[:-1], (math.floor(axis.high / step) + 1.0) * step])
    width = axis.high - axis.low
    counted = sides.partly_whole or not sides.logarithmic  # in even steps
    rounded = _rounding(sides, values) if counted else None
    if rounded is not None and width < 4 * _BINS * rounded:
        step = math.ceil(width / _BINS / rounded) * rounded
        bins = math.floor(width / step + 1e-6) + 1
        first = float(values[0]) - rounded / 2
        return np.asarray(first + step * np.arange(bins + 1))
    step = width / _BINS
    if counted and step > sides.step:
        step = math.ceil(step / sides.step) * sides.step
    elif counted and width > _FEWEST_BINS * sides.step:
        step = sides.step
    first = math.floor(axis.low / step)
    last = math.floor(axis.high / step) + 1 if sides.whole else math.ceil(axis.high / step)
    return np.arange(first, max(first + 1, last) + 1, dtype=np.float64) * step


def _rounding(sides: _Sides, values: Sample) -> float | None:
    """The step that values have been rounded to; None where cells are no finer than it."""
    apart = np.diff(values)
    least = float(np.quantile(apart, 0.1))
    if least < 2.5 * sides.step:
        return None
    step = float(apart.sum() / np.round(apart / least).sum())
    return float(round(step)) if sides.whole else step


def _course(sides: _Sides, axis: Axis, single: bool) -> tuple[Sample, Sample]:
    """The gap along the axis; at single values it jumps, and holds until the next one."""
    if single:
        inside = sides.within(axis)
        return sides.values[inside], sides.gap[inside]
    at = np.array([axis.value(place) for place in np.linspace(0.0, 1.0, _STEPS + 1)])
    peak = sides.upper[int(np.argmax(np.abs(sides.gap)))]
    if axis.low < peak < axis.high:
        at = np.sort(np.append(at, peak))
    return at, sides.below(at, 0) - sides.below(at, 1)


def _room(axis: Axis, values: Sample) -> Axis:
    """An axis of single values with room for half a step on either side."""
    apart = float(np.diff(values).min()) if values.size > 1 else max(1.0, abs(axis.low) * 0.1)
    room = max(apart / 2, (axis.high - axis.low) * 0.02)
    return Axis(axis.low - room, axis.high + room, False)


def _round_values(axis: Axis, wanted: int) -> list[float]:
    width = axis.high - axis.low
    if not width > 0.0 or not math.isfinite(width):
        return [axis.low]
    step = _round_step(width / wanted)
    first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, min(last, first + 20) + 1)]


def _round_step(rough: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    size = 10.0 ** math.floor(math.log10(rough))
    return next(factor * size for factor in (1.0, 2.0, 5.0, 10.0) if factor * size >= rough * 0.999)


def _decades(axis: Axis, wanted: int) -> list[float]:
    if axis.even > axis.low:
        above = _decades(Axis(axis.even, axis.high, True), wanted)
        return [axis.low, *(value for value in above if axis.place(value) > _CROWDED)]
    first, last = math.ceil(math.log10(axis.low)), math.floor(math.log10(axis.high))
    if last - first < 2:
        factors = (1.0, 2.0, 5.0)
        found = [f * 10.0**p for p in range(first - 1, last + 1) for f in factors]
        return [value for value in found if axis.low <= value <= axis.high]
    every = max(1, -(-(last - first + 1) // wanted))
    return [10.0**power for power in range(first, last + 1, every)]
