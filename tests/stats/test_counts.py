from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.counts import (
    Countable,
    aligned,
    aligned_names,
    counted,
    log_hypergeometric,
    mean_deviation,
)


def test_names_meet_and_arrays_keep_their_order() -> None:
    r, c, names = aligned_names({"b": 2, "a": 1, "none": 0}, {"c": 5, "a": 3})
    assert (r.tolist(), c.tolist(), names) == ([2, 1, 0], [0, 3, 5], ["b", "a", "c"])
    r, c = aligned(np.array([2, 0, 1], dtype=np.uint8), [1, 0, 0])
    assert (r.tolist(), c.tolist()) == ([2, 1], [1, 0])
    assert r.dtype == c.dtype == np.int64


@pytest.mark.parametrize(
    ("reference", "current", "error"),
    [
        ([1, 2], [1, 2, 3], InvalidInput),
        ([1, -2], [1, 2], InvalidInput),
        ([1.0, 2.0], [1, 2], InvalidInput),
        ([True, False], [1, 2], InvalidInput),
        ([[1, 2]], [[1, 2]], InvalidInput),
        ({"a": 1}, [1], InvalidInput),
        ([0, 0], [1, 2], TooFewValues),
        ([], [], TooFewValues),
        ({}, {"a": 1}, TooFewValues),
    ],
)
def test_what_was_not_counted_is_refused(
    reference: Countable, current: Countable, error: type[InvalidInput]
) -> None:
    with pytest.raises(error):
        aligned(reference, current)


def test_one_side_alone_is_checked() -> None:
    assert counted([3, 0], field="rows").tolist() == [3, 0]
    with pytest.raises(InvalidInput) as caught:
        counted([0.5], field="rows")  # type: ignore[list-item]  # wrong on purpose
    assert caught.value.field == "rows"


@pytest.mark.parametrize("total", [7, 50, 2_000, 3_000_000, 4_000_000_000])
def test_the_hypergeometric_law_agrees_with_scipy(total: int) -> None:
    rng = np.random.default_rng(total)
    for _ in range(40):
        good, draws = int(rng.integers(1, total)), int(rng.integers(1, total))
        low, high = max(0, draws + good - total), min(good, draws)
        middle = rng.hypergeometric(good, total - good, draws) if total < 10**9 else low
        drawn = np.unique(np.clip([low, middle, draws * good // total, high], low, high))
        ours = log_hypergeometric(drawn.astype(float), np.float64(good), total, draws)
        if total < 10**6:
            expected = scipy.stats.hypergeom.logpmf(drawn, total, good, draws)
            assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9)
        elif low == 0 and good < 10**5:  # scipy's log-gammas cancel here; the next test is exact
            assert np.isfinite(ours).all()
    whole = np.arange(0, 31, dtype=np.float64)
    law = np.exp(log_hypergeometric(whole, np.float64(30), total + 60, 31))
    assert law.sum() == pytest.approx(1.0, abs=1e-10)
    assert law @ whole == pytest.approx(30 * 31 / (total + 60), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_the_mean_deviation_is_exact(good: list[int], share: float) -> None:
    total = sum(good)
    draws = min(max(1, int(total * share)), total - 1)
    if total < 2:
        return
    ours = mean_deviation(np.array(good), draws)
    for t, found in zip(good, ours, strict=True):
        x = np.arange(t + 1)
        law = scipy.stats.hypergeom.pmf(x, total, t, draws)
        expected = float((law * np.abs(x - t * draws / total)).sum())
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_no_draw_has_no_deviation_to_state() -> None:
    for draws in (0, 4):
        with pytest.raises(TooFewValues):
            mean_deviation(np.array([2, 2]), draws)
