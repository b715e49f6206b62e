from __future__ import annotations

import numpy as np
import pytest

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import (
    checked,
    checked_confidence,
    checked_counts,
    checked_level,
    split_nulls,
)


def test_values_become_float64() -> None:
    sample = checked([1, 2, 3], at_least=3)
    assert sample.dtype == np.float64
    assert sample.tolist() == [1.0, 2.0, 3.0]


def test_too_few_values_says_how_many_more() -> None:
    with pytest.raises(TooFewValues, match="2 values, at least 5") as caught:
        checked([1.0, 2.0], at_least=5, field="current")
    assert caught.value.field == "current"
    assert caught.value.remedy is not None
    assert "3 more" in caught.value.remedy


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match="1 of 3"):
        checked([1.0, bad, 2.0], at_least=1)


@pytest.mark.parametrize("bad", [[["a"]], ["a", "b"], [[1.0, 2.0]], 3.0, [None, object()]])
def test_what_is_no_column_of_numbers_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput):
        checked(bad, at_least=0)  # type: ignore[arg-type]  # wrong on purpose


def test_nulls_and_infinities_are_told_apart_and_add_up() -> None:
    sample, nulls, infinite = split_nulls([1.0, None, float("nan"), float("inf"), 2])
    assert sample.tolist() == [1.0, 2.0]
    assert (nulls, infinite) == (2, 1)


def test_a_masked_array_counts_what_it_masks() -> None:
    column = np.ma.MaskedArray([1.0, 2.0, np.nan, 4.0], mask=[False, True, False, False])
    sample, nulls, infinite = split_nulls(column)
    assert (sample.tolist(), nulls, infinite) == ([1.0, 4.0], 2, 0)


def test_an_object_column_and_a_generator_are_columns_too() -> None:
    assert split_nulls(np.array([1, None], dtype=object))[1] == 1
    assert split_nulls(x for x in (1.0, 2.0))[0].size == 2
    assert split_nulls([])[0].size == 0


def test_text_is_neither_a_number_nor_missing() -> None:
    with pytest.raises(InvalidInput):
        split_nulls(["a"])
    with pytest.raises(InvalidInput):
        split_nulls(np.ones((2, 2)))


@pytest.mark.parametrize(("s", "n"), [(-1, 5), (6, 5), (1.5, 5), (1, 2.0)])
def test_impossible_counts_are_refused(s: int, n: int) -> None:
    with pytest.raises(InvalidInput):
        checked_counts(s, n)


@pytest.mark.parametrize("level", [0.0, -0.1, 0.95, float("nan")])
def test_a_confidence_given_as_a_level_is_refused(level: float) -> None:
    with pytest.raises(InvalidInput, match="false-alarm"):
        checked_level(level)


@pytest.mark.parametrize("confidence", [0.05, 1.0, float("nan")])
def test_a_level_given_as_a_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(InvalidInput):
        checked_confidence(confidence)
