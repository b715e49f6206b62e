"""All groups at once give what each of them gives alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles.drawn import as_bytes, columns

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import counter_for
from trimtab.profiles.groups import codes_of, profiles_by_group
from trimtab.profiles.table import Profile


def alone(column: pa.Array, codes: np.ndarray, group: int, like: Profile) -> bytes:
    counter = counter_for(column.type, like)
    rows = np.flatnonzero(codes == group)
    counter.add(pa.concat_arrays([column[:0], *(column[row : row + 1] for row in rows.tolist())]))
    return as_bytes(counter.profile())


def each_is_as_alone(column: pa.Array, codes: np.ndarray, groups: int) -> None:
    found = profiles_by_group(column, codes, groups)
    assert len(found) == groups
    for group in range(groups):
        assert as_bytes(found[group]) == alone(column, codes, group, found[group])
    like = found[0]
    for group, one in enumerate(profiles_by_group(column, codes, groups, like=like)):
        assert as_bytes(one) == alone(column, codes, group, like)


@given(columns(), st.integers(1, 5), st.data())
def test_numbers(values: np.ndarray, groups: int, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, groups, size=values.size)
    mask = rng.random(values.size) < data.draw(st.sampled_from([0.0, 0.3]))
    column = pa.array(values, mask=mask) if values.size else pa.array([], pa.float64())
    each_is_as_alone(column, codes, groups)
    each_is_as_alone(column[1:], codes[1:], groups)


@given(
    st.lists(st.tuples(st.none() | st.text(max_size=2), st.integers(-1, 3)), max_size=60),
    st.booleans(),
)
def test_categories(rows: list[tuple[str | None, int]], coded: bool) -> None:
    column = pa.array([name for name, _ in rows], pa.string())
    codes = np.array([code for _, code in rows], dtype=np.int64)
    each_is_as_alone(column.dictionary_encode() if coded else column, codes, 4)


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array([1, 2, None, 3]), pa.array([True, None, False, True]), pa.nulls(4)),
        *(pa.array([1, 2, 2, 3]).dictionary_encode(), pa.array([1.5, float("nan"), None, -0.0])),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1]), pa.array(["a", None])),
        pa.array(["a", "b", None, "a"], pa.string_view()),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_of_every_type(column: pa.Array) -> None:
    each_is_as_alone(column, np.array([0, 2, 0, -1]), 3)


def test_whole_numbers_stay_whole_when_counted_like_others() -> None:
    like = profiles_by_group(pa.array([0, 1]), np.zeros(2, dtype=np.int64), 1)[0]
    column, codes = pa.array([True, False, True]), np.array([0, 1, 1])
    for group, one in enumerate(profiles_by_group(column, codes, 2, like=like)):
        assert as_bytes(one) == alone(column, codes, group, like)


def test_numbers_like_categories_are_categories() -> None:
    like = profiles_by_group(pa.array(["1", "2"]), np.array([0, 0]), 1)[0]
    column, codes = pa.array([1.0, 2.5, 1e20, -0.0]), np.array([0, 1, 0, 1])
    for group, one in enumerate(profiles_by_group(column, codes, 2, like=like)):
        assert as_bytes(one) == alone(column, codes, group, like)


def test_codes_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidInput):
        profiles_by_group(pa.array([1, 2]), np.zeros(3, dtype=np.int64), 1)


def test_groups_are_numbered_as_they_come() -> None:
    names, codes = codes_of(pa.array(["b", None, "a", "b"]))
    assert names == ["b", "a"]
    assert codes.tolist() == [0, -1, 1, 0]
