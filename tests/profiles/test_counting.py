"""The same rows give the same profile, whoever counted which of them, and in what order."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles.drawn import ODD, as_bytes, columns, finite, fitted, grids, profiled, split

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.profiles.counting import NumericCounter
from trimtab.profiles.grid import LOGARITHMIC, NO_CELLS, Cells, Grid, fit
from trimtab.profiles.numeric import empty

CUTS = st.lists(st.integers(0, 10_000), max_size=4)


def placed(grid: Grid, values: np.ndarray) -> Cells:
    values = finite(values)
    return Cells.joined(*grid.place(values), np.ones(values.size, dtype=np.int64))


def cells_of(cells: Cells) -> list[tuple[int, int, int]]:
    return list(zip(cells.level.tolist(), cells.index.tolist(), cells.count.tolist(), strict=True))


def edges(level: int, index: int) -> tuple[Fraction, Fraction]:
    width = Fraction(2) ** level
    return index * width, (index + 1) * width


# -- one grid -------------------------------------------------------------------------------


@given(columns(), grids(), CUTS)
def test_parts_merge_into_the_profile_of_the_whole(
    values: np.ndarray, grid: Grid, cuts: list[int]
) -> None:
    whole = profiled(grid, values)
    parts = [profiled(grid, part) for part in split(values, cuts)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merged(part)
    assert as_bytes(merged) == as_bytes(whole)
    assert as_bytes(profiled(grid, *split(values, cuts))) == as_bytes(whole)


@given(columns(), grids(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_is_gone(values: np.ndarray, grid: Grid, random: object) -> None:
    shuffled = values.copy()
    np.random.default_rng(0).shuffle(shuffled)
    assert as_bytes(profiled(grid, shuffled)) == as_bytes(profiled(grid, values))


@given(columns(), grids())
def test_the_fast_way_counts_as_the_grid_places(values: np.ndarray, grid: Grid) -> None:
    assert cells_of(profiled(grid, values).cells) == cells_of(placed(grid, values))


@given(columns(), st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_placed_alone_is_placed_the_same(values: np.ndarray, value: float) -> None:
    """Whether the block has other values, out of the window, makes no difference."""
    grid = fitted(values)
    alone = cells_of(profiled(grid, np.array([value])).cells)
    assert alone == cells_of(placed(grid, np.array([value])))
    with_far = profiled(grid, np.array([value, grid.low - 1.0, 1e308]))
    assert sum(with_far.cells.count) == 3


@pytest.mark.parametrize("block", [65_535, 65_536, 65_537, 200_001])
def test_blocks_end_anywhere(block: int) -> None:
    values = np.random.default_rng(3).standard_t(1.5, size=block)
    grid = fit(values)
    assert cells_of(profiled(grid, values).cells) == cells_of(placed(grid, values))


@given(columns(), grids())
def test_counts_and_extremes_are_exact(values: np.ndarray, grid: Grid) -> None:
    found = profiled(grid, values)
    good = finite(values)
    assert found.rows == values.size
    assert found.nans == int(np.isnan(values).sum())
    assert found.positive_infinities == int((values == np.inf).sum())
    assert found.negative_infinities == int((values == -np.inf).sum())
    assert found.known == good.size == int(found.cells.count.sum())
    assert (found.low, found.high) == (
        (None, None) if not good.size else (float(good.min()), float(good.max()))
    )
    assert found.low is None or math.copysign(1.0, found.low or 1.0) == math.copysign(
        1.0, found.low + 0.0 or 1.0
    )


@given(columns(), grids(), st.data())
def test_nulls_that_were_filled_leave_no_trace(
    values: np.ndarray, grid: Grid, data: st.DataObject
) -> None:
    holding = NumericCounter(grid)
    held = [x for x in finite(values).tolist() if holding.holds(x)]
    if not held:
        return
    fill = data.draw(st.sampled_from(held))
    places = data.draw(st.lists(st.integers(0, values.size), max_size=5))
    counter = NumericCounter(grid)
    counter.add(np.insert(values, places, fill), fill=fill, filled=len(places))
    plain = profiled(grid, values)
    assert as_bytes(counter.profile()) == as_bytes(plain.with_missing_rows(len(places)))


# -- cells ----------------------------------------------------------------------------------


@given(grids(), st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(ODD.tolist()))
def test_a_value_lies_in_its_cell(grid: Grid, value: float) -> None:
    if not math.isfinite(value):
        return
    level, index = grid.place(np.array([value]))
    low, high = edges(int(level[0]), int(index[0]))
    slack = Fraction(5e-324) * (high - low)  # a negative value whose quotient is no double any more
    assert low - slack <= Fraction(value) < high


@given(columns(), grids(), grids())
def test_cells_of_any_two_grids_are_disjoint_or_nested(
    values: np.ndarray, one: Grid, other: Grid
) -> None:
    found = [*cells_of(placed(one, values)), *cells_of(placed(other, values))]
    spans = sorted({edges(level, index) for level, index, _ in found})
    stack: list[Fraction] = []
    for low, high in sorted(spans, key=lambda span: (span[0], -span[1])):
        while stack and stack[-1] <= low:
            stack.pop()
        assert not stack or high <= stack[-1]
        stack.append(high)


@given(columns(), grids(), grids())
def test_no_two_cells_of_a_profile_overlap(values: np.ndarray, one: Grid, other: Grid) -> None:
    for profile in (profiled(one, values), profiled(one, values).merged(profiled(other, values))):
        spans = [edges(level, index) for level, index, _ in cells_of(profile.cells)]
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        assert (profile.cells.count > 0).all()


@given(columns())
def test_a_fitted_window_is_bounded(values: np.ndarray) -> None:
    grid = fitted(values)
    assert 0 <= grid.cells <= 4096
    assert grid.logarithmic or (math.isfinite(grid.low) and math.isfinite(grid.high))


def test_no_values_have_no_grid() -> None:
    for values in ([], [np.nan, np.inf]):
        with pytest.raises(TooFewValues):
            fit(np.array(values))


@pytest.mark.parametrize(
    ("level", "start", "cells"),
    [
        *((-1023, 0, 128), (1024, 0, 128), (0, 0, -1), (0, 0, 4097), (0, 0, 1 << 40)),
        *((0, 1 << 53, 128), (1000, 1 << 40, 128), (0, 0, 0), (-1029, 1, 0)),
    ],
)
def test_a_grid_that_nobody_could_count_by_is_refused(level: int, start: int, cells: int) -> None:
    with pytest.raises(InvalidInput):
        Grid(level, start, cells)


# -- several grids --------------------------------------------------------------------------


@given(st.lists(st.tuples(columns(), grids()), min_size=3, max_size=3))
def test_merging_hangs_on_no_order_whatever_the_grids(drawn: list[tuple[np.ndarray, Grid]]) -> None:
    a, b, c = (profiled(grid, values) for values, grid in drawn)
    expected = as_bytes(a.merged(b).merged(c))
    assert as_bytes(a.merged(b.merged(c))) == expected
    assert as_bytes(c.merged(a).merged(b)) == expected
    assert as_bytes(b.merged(c).merged(a)) == expected


@given(st.lists(grids(), min_size=3, max_size=3))
@settings(max_examples=300)
def test_the_grid_of_several_hangs_on_no_order(drawn: list[Grid]) -> None:
    a, b, c = drawn
    assert a.spanning(b).spanning(c) == a.spanning(b.spanning(c)) == c.spanning(b).spanning(a)
    assert a.spanning(a) == a


def test_a_window_within_another_changes_no_grid() -> None:
    wide, within = Grid(0, 0, 4096), Grid(0, 128, 256)
    assert wide.spanning(within) == wide


@given(columns(), grids(), grids(), st.booleans())
def test_the_profile_of_no_rows_changes_nothing(
    values: np.ndarray, grid: Grid, other: Grid, whole: bool
) -> None:
    found = profiled(grid, values, whole=whole)
    if not found.known:
        return
    for nothing in (empty(other), empty(LOGARITHMIC, whole=True)):
        assert as_bytes(found.merged(nothing)) == as_bytes(found)
        assert as_bytes(nothing.merged(found)) == as_bytes(found)


@given(columns(), grids(), grids())
def test_merging_different_grids_keeps_counts_and_extremes(
    values: np.ndarray, one: Grid, other: Grid
) -> None:
    half = values.size // 2
    found = profiled(one, values[:half]).merged(profiled(other, values[half:]))
    exact = profiled(one, values)
    for name in ("rows", "nans", "positive_infinities", "negative_infinities", "low", "high"):
        assert getattr(found, name) == getattr(exact, name)
    assert int(found.cells.count.sum()) == exact.known


def test_no_rows_have_no_cells() -> None:
    assert cells_of(empty(LOGARITHMIC).cells) == cells_of(NO_CELLS) == []


@pytest.mark.parametrize(
    ("grid", "value"),
    [
        (Grid(0, 0, 128), -1e-30),
        (Grid(0, -128, 128), -1e-30),
        (Grid(0, -128, 256), 127.99999999999999),
        (Grid(-3, 128, 128), 15.999999999999998),
        (Grid(0, -256, 128), -128.00000000000003),
    ],
)
def test_nothing_is_lost_at_the_edges_of_the_window(grid: Grid, value: float) -> None:
    for values in ([value], [value, 1e9, -1e9]):
        found = profiled(grid, np.array(values)).cells
        assert cells_of(found) == cells_of(placed(grid, np.array(values)))
