"""Cells for the values of a numeric column.

Every cell is dyadic: [index * 2^level, (index + 1) * 2^level) with whole `index` and `level`. Two
such cells are either disjoint or one lies within the other, whatever columns they were made for.
So counts of different grids still add up: the larger cell takes the smaller ones in.

A grid says how fine the cells are, and where. In a window they have one width; outside it they
grow with the distance, 128 to each doubling, so that no outlier is ever lost in an open-ended
cell and distances stay right to 0.8 % on tails of any weight. Without a window the cells are
logarithmic around zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import Sample, distinct

WINDOW_CELLS = 4096
"""Most cells in the window of a fitted grid; their counters stay in a core's nearest cache."""

OCTAVE_BITS = 7
"""Cells to each doubling of the distance from the window, as a power of two."""

LOWEST_LEVEL = -1022 - OCTAVE_BITS
"""Below this a double has no finer steps that logarithmic cells could tell apart."""

HIGHEST_LEVEL = 1023
"""Of the largest cells whose edges doubles can tell apart."""

_LOWEST_WINDOW = -1022  # below, the scale 2^-level is no double
_SAMPLE = 65_536
_INNER = (0.0005, 0.005, 0.02)  # shares that a window may leave out on either side
_MARGIN = 0.5  # of their distance, on either side, as far as there are values
_CROWDED = 0.01  # share of the distinct values in one cell that calls for finer ones


@dataclass(frozen=True)
class Cells:
    """Counts by cell, ordered by place; no two cells overlap, none is empty.

    `level`, `index` and `count` have shape (k,).
    """

    level: NDArray[np.int64]
    index: NDArray[np.int64]
    count: NDArray[np.int64]

    @property
    def lower(self) -> Sample:
        """Lower edges, shape (k,); they belong to their cells."""
        return _edges(self.index, self.level)

    @property
    def upper(self) -> Sample:
        """Upper edges, shape (k,); they do not belong to their cells."""
        return _edges(self.index + 1, self.level)

    @classmethod
    def joined(
        cls, level: NDArray[np.int64], index: NDArray[np.int64], count: NDArray[np.int64]
    ) -> Cells:
        """Cells of any origin as cells that do not overlap: the larger takes the smaller in."""
        keep = count > 0
        level, index, count = level[keep], index[keep], count[keep]
        order, starts = _outermost(level, index)
        if not order.size:
            return cls(level, index, count)
        first = order[starts]
        return cls(level[first], index[first], np.add.reduceat(count[order], starts))

    def with_those_of(self, other: Cells) -> Cells:
        """The counts of both."""
        return Cells.joined(
            np.concatenate([self.level, other.level]),
            np.concatenate([self.index, other.index]),
            np.concatenate([self.count, other.count]),
        )


def _edges(index: NDArray[np.int64], level: NDArray[np.int64]) -> Sample:
    """Where cells begin, shape (k,); infinite beyond the largest double."""
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(index.astype(np.float64), level), dtype=np.float64)


NO_CELLS = Cells(*(np.empty(0, dtype=np.int64) for _ in range(3)))


@dataclass(frozen=True)
class Aligned:
    """Two columns counted in the same cells, ordered by place: shape (k,) each."""

    lower: Sample
    upper: Sample
    reference: NDArray[np.int64]
    current: NDArray[np.int64]


def aligned(reference: Cells, current: Cells) -> Aligned:
    """Both counts over the finest cells that both sides can tell apart.

    Example:
        >>> one = Cells(np.array([0, 0]), np.array([4, 5]), np.array([7, 1]))
        >>> other = Cells(np.array([1]), np.array([2]), np.array([3]))
        >>> shared = aligned(one, other)  # [4, 5) and [5, 6) lie in [4, 6)
        >>> shared.lower, shared.upper, shared.reference, shared.current
        (array([4.]), array([6.]), array([8]), array([3]))
    """
    level = np.concatenate([reference.level, current.level])
    index = np.concatenate([reference.index, current.index])
    order, starts = _outermost(level, index)
    before = np.concatenate([reference.count, np.zeros_like(current.count)])
    now = np.concatenate([np.zeros_like(reference.count), current.count])
    if not order.size:
        empty = np.empty(0)
        return Aligned(empty, empty, before, now)
    first = order[starts]
    shared = Cells(level[first], index[first], before[first])
    return Aligned(
        shared.lower,
        shared.upper,
        np.add.reduceat(before[order], starts),
        np.add.reduceat(now[order], starts),
    )


def _outermost(
    level: NDArray[np.int64], index: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """An order by place, and where in it each cell begins that no other one holds."""
    lower = _edges(index, level)
    order = np.lexsort((-level, lower))
    upper = _edges(index + 1, level)[order]
    reached = np.maximum.accumulate(upper)
    starts = np.ones(order.size, dtype=bool)
    starts[1:] = lower[order][1:] >= reached[:-1]
    return order, np.flatnonzero(starts)


@dataclass(frozen=True)
class Grid:
    """How the values of a column fall into cells.

    In the window [`start` * 2^`level`, (`start` + `cells`) * 2^`level`) the cells have the
    width 2^`level`. With no cells in the window they are logarithmic around zero.
    """

    level: int
    start: int
    cells: int

    def __post_init__(self) -> None:
        if self.cells == 0 and (self.level, self.start) == (LOWEST_LEVEL, 0):
            return
        if not _LOWEST_WINDOW <= self.level <= HIGHEST_LEVEL or not 0 < self.cells <= WINDOW_CELLS:
            raise InvalidInput(f"a grid of {self.cells} cells at level {self.level}", field="grid")
        reach = max(abs(self.start), abs(self.start + self.cells))
        if reach >= 1 << 53 or reach.bit_length() + self.level > HIGHEST_LEVEL + 2:
            raise InvalidInput("a grid whose cells doubles cannot number", field="grid")

    @property
    def logarithmic(self) -> bool:
        """Whether all of its cells grow with the distance from zero."""
        return self.cells == 0

    @property
    def low(self) -> float:
        """Where the window begins."""
        return _scaled(self.start, self.level)

    @property
    def high(self) -> float:
        """Where the window ends; not part of it."""
        return _scaled(self.start + self.cells, self.level)

    @property
    def least(self) -> float:
        """The least double that is counted in the window: `low`, or what is so little below zero
        that its quotient by a cell's width is no double any more."""
        if self.start == 0 and self.level >= 1:
            return -math.ldexp(1.0, self.level - 1075)
        return max(self.low, -float(np.finfo(np.float64).max))

    def place(self, values: Sample) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Level and index of the cell of each value, shape (n,) each.

        Args:
            values: Shape (n,), finite.
        """
        distance = np.abs(values)
        inside = np.zeros(values.shape, dtype=bool)
        if self.cells:
            with np.errstate(over="ignore"):  # far out of the window
                near = np.floor(np.ldexp(values, -self.level))
                inside = (near >= self.start) & (near < self.start + self.cells)
                beyond = np.where(values >= self.high, values - self.high, self.low - values)
                distance = np.minimum(beyond + (self.high - self.low), np.finfo(np.float64).max)
        exponent = np.frexp(distance)[1].astype(np.int64) - 1
        level = np.maximum(exponent - OCTAVE_BITS, self.level)
        level[distance == 0.0] = self.level
        level[inside] = self.level
        index = np.floor(np.ldexp(values, -level)).astype(np.int64)
        return level, index

    def spanning(self, other: Grid) -> Grid:
        """One grid for what both were made for; the same whichever is asked."""
        if self == other:
            return self
        if self.logarithmic or other.logarithmic:
            return LOGARITHMIC
        level = max(self.level, other.level)
        while True:  # in whole numbers: rounded, it would hang on who is asked first
            start = min(_coarser(one.start, level - one.level) for one in (self, other))
            end = max(-_coarser(-one.start - one.cells, level - one.level) for one in (self, other))
            if end - start <= WINDOW_CELLS:
                return Grid(level, start, end - start)
            level += 1


LOGARITHMIC = Grid(LOWEST_LEVEL, 0, 0)


def fit(values: Sample) -> Grid:
    """A grid that is fine where the values are.

    Args:
        values: Shape (n,); NaN and infinities are left aside. Of very many, some at even
            steps are looked at.

    Raises:
        TooFewValues: none of them is finite.

    Source: ours. Linear cells unless they crowd: on columns whose weight spans decades
    (durations, amounts, bytes), logarithmic cells tell more values apart.

    Example:
        >>> grid = fit(np.random.default_rng(0).normal(size=1000))
        >>> grid.low, grid.high, grid.cells
        (-4.5, 4.0, 2176)
    """
    some = np.asarray(values[:: max(1, values.size // _SAMPLE)], dtype=np.float64)
    some = some[np.isfinite(some)]
    if not some.size:
        raise TooFewValues("no finite value to fit a grid to")
    different = distinct(some)
    best, crowd = LOGARITHMIC, math.inf
    if float(some.min()) >= 0.0:
        crowd = _crowding(LOGARITHMIC, different)
    for left_out in _INNER:  # the widest that will do: what lies outside costs more to count
        grid = _linear(some, left_out)
        crowding = _crowding(grid, different)
        if crowding < crowd:
            best, crowd = grid, crowding
        if crowd <= _CROWDED:
            break
    return best


def _linear(some: Sample, left_out: float) -> Grid:
    reach = np.finfo(np.float64).max / 8  # a window and its margins are doubles
    near = np.clip(some, -reach, reach)
    low, high = (float(q) for q in np.quantile(near, [left_out, 1.0 - left_out]))
    least, most = float(near.min()), float(near.max())
    margin = _MARGIN * (high - low)
    slack = (most - least) / 16  # what a sample has not shown lies a little beyond its extremes
    begin, end = max(low - margin, least - slack), min(high + margin, most + slack)
    whole = bool((some == np.floor(some)).all())
    return _window(begin, end, at_least=0 if whole else LOWEST_LEVEL)


def _window(low: float, high: float, *, at_least: int) -> Grid:
    """The finest window of at most `WINDOW_CELLS` cells that holds [low, high]; logarithmic
    cells where it would be finer than any."""
    width = (high - low) / WINDOW_CELLS
    level = at_least if width == 0.0 else max(at_least, math.frexp(width)[1])
    reach = max(abs(low), abs(high))
    if reach > 0.0:  # cells finer than the doubles there would be empty
        level = max(level, math.frexp(reach)[1] - 52)
    if level < _LOWEST_WINDOW:
        return LOGARITHMIC
    while True:
        start = _aligned_floor(low, level)
        end = -_aligned_floor(-high, level)
        if end - start <= WINDOW_CELLS:
            cells = max(end - start, 1 << OCTAVE_BITS)
            return Grid(level, start, cells)
        level += 1


def _coarser(index: int, levels: int) -> int:
    """The last cell, so many levels up, at or below an edge from which larger cells may begin."""
    return index >> (levels + OCTAVE_BITS) << OCTAVE_BITS


def _scaled(index: int, level: int) -> float:
    try:
        return math.ldexp(index, level)
    except OverflowError:  # an edge beyond the largest double
        return math.copysign(math.inf, index)


def _aligned_floor(value: float, level: int) -> int:
    """The last cell at or below `value` from which larger cells outside may begin."""
    step = level + OCTAVE_BITS
    return math.floor(math.ldexp(value, -step)) << OCTAVE_BITS


def _crowding(grid: Grid, distinct: Sample) -> float:
    """The largest share of the distinct values that one cell holds."""
    level, index = grid.place(distinct)
    change = np.flatnonzero((np.diff(level) != 0) | (np.diff(index) != 0))
    runs = np.diff(np.concatenate([[-1], change, [distinct.size - 1]]))
    return 0.0 if distinct.size < 2 else float((runs.max() - 1) / distinct.size)
