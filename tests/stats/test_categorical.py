from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.categorical import (
    categorical_psi,
    category_shares,
    chi_squared,
    expected_categories,
    g_test,
    new_categories,
    total_variation,
    vanished_categories,
)
from trimtab.stats.intervals import Interval
from trimtab.stats.univariate import psi_noise

Measure = Callable[[Iterable[bool]], Interval]
SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005])
NAMES = list("abcdefgh")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def drawn(rng: np.random.Generator, n: int, shares: np.ndarray = SHARES) -> dict[str, int]:
    return dict(zip(NAMES, rng.multinomial(n, shares).tolist(), strict=True))


def test_shares_and_distance_by_hand() -> None:
    assert category_shares({"a": 3, "b": 1}) == {"a": 0.75, "b": 0.25}
    assert total_variation({"a": 3, "b": 1}, {"a": 1, "c": 1}) == pytest.approx(0.5)
    assert total_variation({"a": 3}, {"b": 1}) == 1.0
    assert total_variation({"a": 3, "b": 1}, {"b": 10, "a": 30}) == 0.0


def test_psi_agrees_with_entropies() -> None:
    r, c = {"a": 70, "b": 30}, {"a": 40, "b": 50, "c": 10}
    p = np.array([70.5, 30.5, 0.5]) / 101.5
    q = np.array([40.5, 50.5, 10.5]) / 101.5
    expected = scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p)
    assert categorical_psi(r, c) == pytest.approx(expected, rel=1e-12)


def test_chi_squared_agrees_with_scipy_where_nothing_is_pooled(rng: np.random.Generator) -> None:
    r, c = drawn(rng, 8000), drawn(rng, 4000)
    table = np.array([[r[k] for k in NAMES], [c[k] for k in NAMES]])
    expected = scipy.stats.chi2_contingency(table, correction=False)
    ours = chi_squared(r, c)
    assert ours.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert ours.dof == 7
    assert ours.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_chi_squared_pools_what_is_sparse() -> None:
    r = {"a": 500, "b": 400, "x": 3, "y": 4, "z": 93}
    ours = chi_squared(r, {"a": 50, "b": 40, "z": 10})
    table = np.array([[500, 400, 93 + 7], [50, 40, 10]])  # x and y are too few alone, so z joins
    expected = scipy.stats.chi2_contingency(table, correction=False)
    assert ours.dof == 2
    assert ours.statistic == pytest.approx(expected.statistic, abs=1e-10)
    with pytest.raises(TooFewValues):
        chi_squared({"a": 3, "b": 3}, {"a": 3, "b": 3})
    with pytest.raises(TooFewValues):
        chi_squared({"a": 300}, {"a": 300})


def test_chi_squared_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(
        chi_squared(drawn(rng, 2000), drawn(rng, 400)).p_value <= 0.05 for _ in range(1500)
    )
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    other = SHARES + np.array([-0.1, 0.1, 0, 0, 0, 0, 0, 0])
    moved = measure(
        chi_squared(drawn(rng, 2000), drawn(rng, 400, other)).p_value <= 0.05 for _ in range(300)
    )
    assert moved.low > 0.9, moved


def test_categorical_psi_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    limit = psi_noise(8, 5000, 2000, level=0.05)
    calm = measure(categorical_psi(drawn(rng, 5000), drawn(rng, 2000)) > limit for _ in range(1000))
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    other = SHARES + np.array([-0.1, 0.1, 0, 0, 0, 0, 0, 0])
    moved = measure(
        categorical_psi(drawn(rng, 5000), drawn(rng, 2000, other)) > limit for _ in range(200)
    )
    assert moved.low > 0.95, moved


def test_total_variation_noise_and_power(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(total_variation(drawn(rng, 5000), drawn(rng, 2000)) > 0.05 for _ in range(600))
    assert calm.high < 0.02, calm
    other = SHARES + np.array([-0.1, 0.1, 0, 0, 0, 0, 0, 0])
    moved = measure(
        total_variation(drawn(rng, 5000), drawn(rng, 2000, other)) > 0.05 for _ in range(600)
    )
    assert moved.low > 0.98, moved


def test_a_rare_category_does_not_vanish_but_a_common_one_does() -> None:
    reference = {"US": 8000, "AA": 12000, "XX": 10}
    gone = vanished_categories(reference, {"AA": 300}, level=0.01)
    assert list(gone) == ["US"]
    assert gone["US"] == pytest.approx(300 * 8000 / 20010)
    assert vanished_categories(reference, {"AA": 299, "US": 0, "XX": 1}, level=0.01) == gone
    assert vanished_categories(reference, {"AA": 3}, level=0.01) == {}
    assert list(expected_categories(reference, 300, level=0.01)) == ["AA", "US"]


def test_new_categories_with_and_without_a_level() -> None:
    reference, current = {"a": 10_000}, {"a": 900, "typo": 1, "new": 40}
    assert list(new_categories(reference, current).items()) == [("new", 40), ("typo", 1)]
    assert new_categories(reference, current, level=0.01) == {"new": 40}
    assert new_categories({"a": 10}, {"a": 5, "b": 3}, level=0.01) == {}


def test_new_and_vanished_false_alarms_and_power(
    rng: np.random.Generator, measure: Measure
) -> None:
    for n, m in ((3000, 1000), (400, 1000)):
        pairs = [(drawn(rng, n), drawn(rng, m)) for _ in range(1000)]
        gone = measure(bool(vanished_categories(r, c, level=0.05)) for r, c in pairs)
        new = measure(bool(new_categories(r, c, level=0.05)) for r, c in pairs)
        assert gone.low <= 0.05, gone
        assert new.low <= 0.05, new
    other = SHARES.copy()
    other[0] += other[5]
    other[5] = 0.0  # a category of 3 % is gone from 500 rows
    found = measure(
        "f" in vanished_categories(drawn(rng, 3000), drawn(rng, 500, other), level=0.01)
        for _ in range(400)
    )
    assert found.low > 0.95, found


def test_counts_that_are_none_are_refused() -> None:
    good = {"a": 5, "b": 5}
    for empty in ({}, {"a": 0}):
        with pytest.raises(TooFewValues):
            category_shares(empty)
        with pytest.raises(TooFewValues):
            total_variation(good, empty)
        with pytest.raises(TooFewValues):
            vanished_categories(good, empty, level=0.01)
    with pytest.raises(InvalidInput):
        category_shares({"a": -1, "b": 3})
    with pytest.raises(InvalidInput):
        category_shares({"a": 0.5})  # type: ignore[dict-item]  # wrong on purpose
    with pytest.raises(TooFewValues):
        categorical_psi({"a": 5}, {"a": 3})
    with pytest.raises(TooFewValues):
        expected_categories(good, 0, level=0.01)
    with pytest.raises(InvalidInput):
        vanished_categories(good, good, level=0.99)


def test_g_agrees_with_scipy_and_takes_arrays(rng: np.random.Generator) -> None:
    r, c = drawn(rng, 8000), drawn(rng, 4000)
    table = np.array([[r[k] for k in NAMES], [c[k] for k in NAMES]])
    expected = scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    ours = g_test(r, c)
    assert ours.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert ours.dof == 7
    assert ours.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert g_test(table[0], table[1]) == ours
    assert chi_squared(table[0], table[1]) == chi_squared(r, c)
    assert total_variation(table[0], table[1]) == total_variation(r, c)
    assert categorical_psi(table[0], table[1]) == categorical_psi(r, c)
    assert g_test({"a": 30, "b": 30}, {"a": 30, "b": 30}) == (0.0, 1, 1.0)
    with pytest.raises(TooFewValues):
        g_test({"a": 3, "b": 3}, {"a": 3, "b": 3})


def test_g_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(g_test(drawn(rng, 2000), drawn(rng, 400)).p_value <= 0.05 for _ in range(1500))
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    other = SHARES + np.array([-0.1, 0.1, 0, 0, 0, 0, 0, 0])
    moved = measure(
        g_test(drawn(rng, 2000), drawn(rng, 400, other)).p_value <= 0.05 for _ in range(300)
    )
    assert moved.low > 0.88, moved
