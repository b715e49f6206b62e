"""The profile of a numeric column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.profiles.grid import NO_CELLS, Cells, Grid
from trimtab.stats.sample import Sample


@dataclass(frozen=True, eq=False)
class NumericProfile:
    """What is kept of a numeric column.

    `rows` counts all of them; `nulls`, `nans` and the infinite ones are not in `cells`. `low`
    and `high` are the extreme finite values, None where there is none. `whole` says that the
    column can hold whole numbers only. `grid` is what its values were counted by: a column
    that is to be compared is best counted by the same.

    Sums are not kept: in floating point they hang on the order of the rows. The cells give the
    mean to within half a cell, the same in any order.
    """

    grid: Grid
    whole: bool
    rows: int
    nulls: int
    nans: int
    positive_infinities: int
    negative_infinities: int
    low: float | None
    high: float | None
    cells: Cells

    @property
    def known(self) -> int:
        """Rows with a finite value."""
        return self.rows - self.missing

    @property
    def missing(self) -> int:
        """Rows that no model was trained on: null, NaN or infinite."""
        return self.nulls + self.nans + self.positive_infinities + self.negative_infinities

    @property
    def constant(self) -> bool:
        """Whether there is one single finite value."""
        return self.low is not None and self.low == self.high

    @cached_property
    def below(self) -> NDArray[np.int64]:
        """Values below the upper edge of each cell, shape (k,)."""
        return np.cumsum(self.cells.count)

    @cached_property
    def middles(self) -> Sample:
        """Where the values of each cell are taken to lie, shape (k,): at its middle, or for
        whole numbers of one to a cell, exactly."""
        lower, upper = _clipped(self)
        if self.whole:
            upper = np.maximum(lower, upper - 1.0)
        return lower + (upper - lower) / 2.0

    @property
    def mean(self) -> float:
        """Mean of the finite values, to within half a cell.

        Raises:
            TooFewValues: there is none.
        """
        if not self.known:
            raise TooFewValues("a column without values has no mean")
        return float((self.middles * (self.cells.count / self.known)).sum())

    @property
    def deviation(self) -> float:
        """Standard deviation of the finite values, to within half a cell; 0 of a constant.

        Raises:
            TooFewValues: there is none.
        """
        mean = self.mean
        if self.constant:
            return 0.0
        scale = float(np.abs(self.middles - mean).max()) or 1.0  # squares of 1e200 are no doubles
        apart = (self.middles - mean) / scale
        return scale * float(np.sqrt(np.average(apart**2, weights=self.cells.count)))

    def quantile(self, share: float) -> float:
        """The value that `share` of the finite values do not exceed, to within a cell.

        Raises:
            TooFewValues: there is none.
            InvalidInput: not a share from 0 to 1.
        """
        if not 0.0 <= share <= 1.0:
            raise InvalidInput(f"a share of {share}", field="share")
        if not self.known:
            raise TooFewValues("a column without values has no quantile")
        lower, upper = _clipped(self)
        if self.whole:
            upper = np.maximum(lower, upper - 1.0)
        wanted = share * self.known
        place = min(int(np.searchsorted(self.below, wanted)), self.below.size - 1)
        inside = (wanted - (self.below[place] - self.cells.count[place])) / self.cells.count[place]
        return float(lower[place] + inside * (upper[place] - lower[place]))

    def rows_near(self, value: float) -> int:
        """Rows in the cell of `value`: at least those with this very value."""
        level, index = self.grid.place(np.array([value]))
        one = Cells(level, index, np.ones(1, dtype=np.int64))
        with_it = self.cells.with_those_of(one)
        place = int(np.searchsorted(with_it.lower, value, side="right")) - 1
        return int(with_it.count[place]) - 1

    def merged(self, other: NumericProfile) -> NumericProfile:
        """The profile of the rows of both; in any order and grouping the same.

        Where the grids differ, the coarser cells take the finer ones in. A side without any
        finite value has no say in the grid, nor in whether the column is whole.
        """
        sides = [one for one in (self, other) if one.known] or [self, other]
        lows = [one.low for one in (self, other) if one.low is not None]
        highs = [one.high for one in (self, other) if one.high is not None]
        return NumericProfile(
            grid=sides[0].grid.spanning(sides[-1].grid),
            whole=all(one.whole for one in sides),
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            positive_infinities=self.positive_infinities + other.positive_infinities,
            negative_infinities=self.negative_infinities + other.negative_infinities,
            low=min(lows, default=None),
            high=max(highs, default=None),
            cells=self.cells.with_those_of(other.cells),
        )

    def with_missing_rows(self, rows: int) -> NumericProfile:
        """The same with so many more rows that are null."""
        return replace(self, rows=self.rows + rows, nulls=self.nulls + rows)


def empty(grid: Grid, *, whole: bool = False) -> NumericProfile:
    """The profile of no rows at all: merging it changes nothing.

    Example:
        >>> nothing = empty(Grid(0, 0, 128))
        >>> nothing.rows, nothing.low is None
        (0, True)
    """
    return NumericProfile(grid, whole, 0, 0, 0, 0, 0, None, None, NO_CELLS)


def _clipped(profile: NumericProfile) -> tuple[Sample, Sample]:
    """Edges of the cells, the outer ones drawn in to the extreme values."""
    lower, upper = profile.cells.lower, profile.cells.upper
    if lower.size and profile.low is not None and profile.high is not None:
        lower[0] = max(lower[0], profile.low)
        beyond = profile.high + 1.0 if profile.whole else profile.high
        upper[-1] = max(min(upper[-1], beyond), lower[-1])
    return lower, upper
