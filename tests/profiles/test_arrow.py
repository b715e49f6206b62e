"""Columns of Arrow in each of their forms give the profile of the plain values."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles.drawn import as_bytes, columns, finite, fitted, profiled

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import CategoryColumn, NumericColumn, counter_for, profile_of
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.grid import LOGARITHMIC, Grid
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile


def counted(*chunks: pa.Array, like: Profile | None = None) -> Profile:
    counter = counter_for(chunks[0].type, like)
    for chunk in chunks:
        counter.add(chunk)
    return counter.profile()


def by_name(*chunks: pa.Array) -> tuple[dict[str, int], int]:
    """The categories and the nulls of a column that is taken as categories."""
    counter = CategoryColumn()
    for chunk in chunks:
        counter.add(chunk)
    found = counter.profile()
    return dict(found.counts), found.nulls


def numbers_of(chunk: pa.Array, grid: Grid) -> NumericProfile:
    counter = NumericColumn(grid, whole=False)
    counter.add(chunk)
    return counter.profile()


# -- numbers --------------------------------------------------------------------------------


@given(columns(), st.data())
def test_nulls_slices_and_offsets_change_nothing(values: np.ndarray, data: st.DataObject) -> None:
    grid = fitted(values)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=values.size, max_size=values.size)))
    whole = pa.array(values, mask=mask.astype(bool) if values.size else None)
    begin = data.draw(st.integers(0, values.size))
    end = data.draw(st.integers(begin, values.size))
    part, there = values[begin:end], ~mask[begin:end].astype(bool)
    expected = profiled(grid, part[there]).with_missing_rows(int((~there).sum()))
    assert as_bytes(numbers_of(whole[begin:end], grid)) == as_bytes(expected)


@given(columns(), st.integers(0, 400), st.integers(0, 400))
def test_chunks_of_a_fixed_grid_change_nothing(values: np.ndarray, cut: int, other: int) -> None:
    grid = fitted(values)
    table = pa.chunked_array(
        [
            values[: min(cut, other)],
            values[min(cut, other) : max(cut, other)],
            values[max(cut, other) :],
        ]
    )
    counter = NumericColumn(grid, whole=False)
    for chunk in table.chunks:
        counter.add(chunk)
    assert as_bytes(counter.profile()) == as_bytes(profiled(grid, values))


@given(st.lists(columns(), min_size=1, max_size=4))
def test_a_column_without_a_grid_loses_nothing_wherever_its_values_go(
    chunks: list[np.ndarray],
) -> None:
    values = np.concatenate(chunks)
    found = counted(*(pa.array(chunk) for chunk in chunks))
    assert isinstance(found, NumericProfile)
    assert int(found.cells.count.sum()) == found.known == finite(values).size
    assert found.rows == values.size


SMALL = [0, 1, 2, 100, 7, None, 3]


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()),
        *(pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(25, 2)),
        *(pa.decimal256(50, 3), pa.dictionary(pa.int8(), pa.int64())),
    ],
    ids=str,
)
def test_numbers_of_every_type_are_counted_alike(kind: pa.DataType) -> None:
    grid = Grid(0, -128, 256)
    column = (
        pa.array(SMALL, pa.int64()).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array(SMALL, pa.int64()).cast(kind)
    )
    for chunk in (column, pa.concat_arrays([column, column])[len(column) :]):
        found = numbers_of(chunk, grid)
        plain = profiled(grid, np.array([x for x in SMALL if x is not None], dtype=np.float64))
        assert as_bytes(found) == as_bytes(plain.with_missing_rows(1))


@pytest.mark.parametrize(
    ("column", "low", "high", "whole"),
    [
        (pa.array([2**64 - 1, 0], pa.uint64()), 0.0, 2.0**64, True),
        (pa.array([2**62 + 1, -(2**63)], pa.int64()), -(2.0**63), 2.0**62, True),
        (pa.array([True, None, False]).dictionary_encode(), None, None, False),
        (pa.array([decimal.Decimal("1.25"), decimal.Decimal("-3")]), -3.0, 1.25, False),
        (pa.array([1, 2]).dictionary_encode(), 1.0, 2.0, True),
        (pa.array([1.5, 2]).dictionary_encode(), 1.5, 2.0, False),
        (pa.array([np.float16(0.1)]), float(np.float16(0.1)), float(np.float16(0.1)), False),
    ],
)
def test_extremes_and_wholeness(
    column: pa.Array, low: float | None, high: float | None, whole: bool
) -> None:
    found = counted(column)
    if low is None:
        assert isinstance(found, CategoryProfile)
        return
    assert isinstance(found, NumericProfile)
    assert (found.low, found.high, found.whole) == (low, high, whole)


def test_null_may_be_in_the_dictionary_in_the_indices_or_in_both() -> None:
    indices = pa.array([0, 1, None, 1, 2], pa.int8())
    numeric = pa.DictionaryArray.from_arrays(indices, pa.array([5.0, None, 6.0]))
    found = numbers_of(numeric, Grid(0, 0, 128))
    assert (found.rows, found.nulls, found.known) == (5, 3, 2)
    texts = pa.DictionaryArray.from_arrays(indices, pa.array(["a", None, "b"]))
    assert by_name(texts) == ({"a": 1, "b": 1}, 3)
    assert by_name(texts[1:4]) == ({}, 3)


def test_what_is_not_there_has_no_values() -> None:
    for column in (pa.nulls(5), pa.nulls(5, pa.float64()), pa.nulls(5, pa.int8())):
        found = counted(column)
        assert isinstance(found, NumericProfile)
        assert (found.rows, found.nulls, found.known, found.low) == (5, 5, 0, None)
    for column in (pa.array([], pa.float64()), pa.array([], pa.string()), pa.nulls(0)):
        assert counted(column).rows == 0
    assert by_name(pa.nulls(3)) == ({}, 3)


def test_a_first_chunk_without_a_number_does_not_settle_the_grid() -> None:
    rng = np.random.default_rng(0)
    odd, values = np.array([np.nan, np.inf, -np.inf]), 1000 + rng.normal(size=2000)
    late = counted(pa.array(odd), pa.array(values))
    assert isinstance(late, NumericProfile)
    assert late.grid == fitted(values)
    assert late.cells.count.size > 1000 / 4
    assert (late.nans, late.positive_infinities, late.negative_infinities) == (1, 1, 1)


def test_a_sorted_column_gets_a_window_for_each_of_its_parts() -> None:
    values = np.sort(np.random.default_rng(0).lognormal(0, 2, size=40_000)) - 3.0
    found = counted(*(pa.array(part) for part in np.split(values, 20)))
    assert isinstance(found, NumericProfile)
    assert found.known == 40_000
    heaviest = found.cells.count.max() / found.known
    assert heaviest < 0.1


# -- categories -----------------------------------------------------------------------------

TEXTS: list[Callable[[list[str | None]], pa.Array]] = [
    lambda x: pa.array(x, pa.string()),
    lambda x: pa.array(x, pa.large_string()),
    lambda x: pa.array(x, pa.string_view()),
    lambda x: pa.array(x, pa.string()).dictionary_encode(),
    lambda x: pa.array(["", *x, "no"], pa.string())[1:-1],
    lambda x: pa.array(["", *x, "no"], pa.string()).dictionary_encode()[1:-1],
    lambda x: pa.array(["", *x, "no"], pa.string_view())[1:-1],
]


@pytest.mark.parametrize("made", TEXTS)
@given(values=st.lists(st.none() | st.text(max_size=3), max_size=30))
def test_texts_of_every_form_are_counted_alike(
    made: Callable[[list[str | None]], pa.Array], values: list[str | None]
) -> None:
    expected: dict[str, int] = {}
    for value in values:
        if value is not None:
            expected[value] = expected.get(value, 0) + 1
    found, nulls = by_name(made(values))
    assert list(found.items()) == sorted(expected.items())
    assert nulls == values.count(None)


@given(
    st.lists(
        st.sampled_from([1.0, 0.0, -0.0, 2.5, 1e15, 1e20, -1e300, 123456789.0])
        | st.floats(allow_nan=False),
        min_size=1,
    ),
    st.data(),
)
def test_numbers_as_categories_have_one_name_however_they_are_cut(
    values: list[float], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values)))
    together = by_name(pa.array(values, pa.float64()))
    assert (
        by_name(pa.array(values[:cut], pa.float64()), pa.array(values[cut:], pa.float64()))
        == together
    )
    assert sum(together[0].values()) == len(values)
    for name in together[0]:
        assert float(name) in values


def test_one_number_is_one_category_whatever_its_type() -> None:
    for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(25, 2)):
        column = pa.array([1, 0, None, 3]).cast(kind)
        assert by_name(column) == ({"0": 1, "1": 1, "3": 1}, 1), kind
    assert by_name(pa.array([float("nan"), None, 2.0**60])) == ({"1152921504606846976": 1}, 2)
    assert by_name(pa.array([True, None, False])) == ({"false": 1, "true": 1}, 1)
    assert by_name(pa.array([True, None]), pa.array([False])) == ({"false": 1, "true": 1}, 1)


# -- tables ---------------------------------------------------------------------------------


def test_a_column_is_counted_like_its_likeness() -> None:
    category = CategoryProfile(0, 0, {})
    assert isinstance(counted(pa.array([1, 2]), like=category), CategoryProfile)
    assert isinstance(counted(pa.array(["1"]), like=counted(pa.array([1.0]))), CategoryProfile)
    numeric = counted(pa.array([0, 1, 1]))
    found = counted(pa.array([True, False, None]), like=numeric)
    assert isinstance(found, NumericProfile)
    assert isinstance(numeric, NumericProfile)
    assert found.grid == numeric.grid
    assert found.whole
    assert (found.low, found.high, found.nulls) == (0.0, 1.0, 1)


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array([], pa.timestamp("s")), pa.array([], pa.date32()), pa.array([b"x"])),
        *(pa.array([[1]]), pa.array([{"a": 1}]), pa.array([], pa.duration("s"))),
    ],
    ids=lambda column: str(column.type),
)
def test_what_is_not_compared_is_said_and_left_out(column: pa.Array) -> None:
    with pytest.raises(InvalidInput, match="not compared"):
        counter_for(column.type, None)
    table = pa.table({"x": column, "y": pa.array([1] * len(column))})
    found = profile_of(table)
    assert list(found.columns) == ["y"]
    assert "not compared" in found.skipped["x"]


ROWS: dict[str, list[Any]] = {
    "n": [1, 2, None, 4],
    "f": [0.5, None, 2.5, -1e300],
    "s": ["a", None, "b", "a"],
    "b": [True, False, None, True],
}


def test_frames_of_every_library_have_one_profile() -> None:
    table = pa.table(ROWS)
    expected = {name: as_bytes(one) for name, one in profile_of(table).columns.items()}
    frames = [
        pl.DataFrame(ROWS),
        pl.DataFrame(ROWS, schema_overrides={"s": pl.Categorical}),
        pd.DataFrame({name: pd.array(values) for name, values in ROWS.items()}),
        table.to_pandas(types_mapper=pd.ArrowDtype),
        pa.concat_tables([table[:1], table[1:]]).to_reader(),
    ]
    like = profile_of(table).columns
    for frame in frames:
        found = profile_of(frame, like=like)
        assert {name: as_bytes(one) for name, one in found.columns.items()} == expected


def test_a_frame_that_arrow_cannot_hold_is_refused() -> None:
    refused: list[Any] = [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [1, "x", object()]}),
        pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
        {"a": [1]},
    ]
    for frame in refused:
        with pytest.raises(InvalidInput):
            profile_of(frame)


def test_no_values_at_all_are_of_any_kind() -> None:
    nothing = profile_of(pa.table({"x": pa.nulls(2)}))
    for rows, kind in ((["a"], CategoryProfile), ([1], NumericProfile)):
        some = profile_of(pa.table({"x": rows}))
        for both in (nothing.merged(some), some.merged(nothing)):
            assert isinstance(both.columns["x"], kind)
            assert (both.columns["x"].rows, both.columns["x"].nulls) == (3, 2)
    with pytest.raises(InvalidInput):
        profile_of(pa.table({"x": [1]})).merged(profile_of(pa.table({"x": ["a"]})))


def test_a_column_that_one_side_lacks_is_null_there() -> None:
    one, other = profile_of(pa.table({"x": [1, 2]})), profile_of(pa.table({"y": ["a"]}))
    both = one.merged(other)
    assert both.rows == 3
    assert {name: (c.rows, c.nulls) for name, c in both.columns.items()} == {
        "x": (3, 1),
        "y": (3, 2),
    }
    assert LOGARITHMIC.logarithmic
