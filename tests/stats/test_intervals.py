from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import (
    Interval,
    clopper_pearson,
    difference_of_quantiles,
    difference_of_rates,
    mean_difference,
    quantile_interval,
    ratio_of_rates,
    wilson,
)

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize(("s", "n"), [(0, 10), (1, 10), (10, 10), (20, 1000), (3, 400_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_intervals_of_a_rate_agree_with_scipy(s: int, n: int, confidence: float) -> None:
    result = scipy.stats.binomtest(s, n)
    for ours, method in ((clopper_pearson, "exact"), (wilson, "wilson")):
        expected = result.proportion_ci(confidence, method=method)
        found = ours(s, n, confidence=confidence)
        assert found.estimate == s / n
        assert found.low == pytest.approx(expected.low, rel=1e-9, abs=1e-12)
        assert found.high == pytest.approx(expected.high, rel=1e-9)


def test_coverage_by_enumeration() -> None:
    """No simulation: every count of 60 trials, weighted by its probability."""
    for rate in (0.01, 0.1, 0.37):
        weights = scipy.stats.binom.pmf(np.arange(61), 60, rate)
        for method, least in ((clopper_pearson, 0.95), (wilson, 0.90)):
            ranges = [method(s, 60, confidence=0.95) for s in range(61)]
            held = sum(w for w, i in zip(weights, ranges, strict=True) if i.low <= rate <= i.high)
            assert held >= least, (method, rate, held)


def test_difference_of_rates_as_published() -> None:
    """Newcombe (1998), table II, method 10: 56 of 70 against 48 of 80."""
    found = difference_of_rates(56, 70, 48, 80, confidence=0.95)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    empty = difference_of_rates(10, 10, 0, 20, confidence=0.95)
    assert (round(empty.low, 4), round(empty.high, 4)) == (0.6791, 1.0)


def test_difference_of_rates_coverage_and_power(rng: np.random.Generator, measure: Measure) -> None:
    def differs(p: float, q: float) -> bool:
        a, b = int(rng.binomial(500, p)), int(rng.binomial(500, q))
        found = difference_of_rates(a, 500, b, 500, confidence=0.95)
        return not found.low <= 0.0 <= found.high

    calm = measure(differs(0.05, 0.05) for _ in range(2000))
    assert calm.low <= 0.05 <= calm.high + 0.02, calm
    assert measure(differs(0.05, 0.12) for _ in range(500)).low > 0.93


def test_mean_difference_agrees_with_welch(rng: np.random.Generator) -> None:
    a, b = rng.normal(3, 1, size=12), rng.normal(1, 5, size=40)
    expected = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.98)
    found = mean_difference(a, b, confidence=0.98)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    tiny = mean_difference(a * 1e-160, b * 1e-160, confidence=0.98)
    assert tiny.low == pytest.approx(found.low * 1e-160, rel=1e-6)


def test_mean_difference_coverage_and_power(rng: np.random.Generator, measure: Measure) -> None:
    def differs(shift: float) -> bool:
        found = mean_difference(
            rng.normal(shift, 1, size=15), rng.normal(0, 3, size=40), confidence=0.95
        )
        return not found.low <= 0.0 <= found.high

    calm = measure(differs(0.0) for _ in range(2000))
    assert calm.low <= 0.05 <= calm.high, calm
    assert measure(differs(3.0) for _ in range(300)).low > 0.97


def test_nothing_is_claimed_of_nothing() -> None:
    for call in (clopper_pearson, wilson):
        with pytest.raises(TooFewValues):
            call(0, 0, confidence=0.95)
        with pytest.raises(InvalidInput):
            call(1, 2, confidence=0.05)
        with pytest.raises(InvalidInput):
            call(3, 2, confidence=0.95)
    with pytest.raises(TooFewValues):
        difference_of_rates(1, 2, 0, 0, confidence=0.95)
    with pytest.raises(TooFewValues, match="spread"):
        mean_difference(np.ones(5), np.ones(5), confidence=0.95)
    with pytest.raises(TooFewValues):
        mean_difference(np.ones(1), np.ones(5), confidence=0.95)


def test_a_ratio_by_its_quadratic(rng: np.random.Generator) -> None:
    """Donner and Zou: the limits solve (p1 - r p2)^2 = arms of the two intervals."""
    for s, n, t, m in ((30, 1000, 10, 1000), (3, 50, 40, 60), (1, 400, 2, 90), (50, 50, 20, 40)):
        a, b = wilson(s, n, confidence=0.95), wilson(t, m, confidence=0.95)
        found = ratio_of_rates(s, n, t, m, confidence=0.95)
        p, q = a.estimate, b.estimate
        assert found.estimate == pytest.approx(p / q)
        low, high = found.low, found.high
        assert (p - low * q) ** 2 == pytest.approx(
            (p - a.low) ** 2 + low**2 * (b.high - q) ** 2, rel=1e-9
        )
        assert (high * q - p) ** 2 == pytest.approx(
            (a.high - p) ** 2 + high**2 * (q - b.low) ** 2, rel=1e-9
        )
        assert low < found.estimate < high
    assert ratio_of_rates(0, 100, 5, 100, confidence=0.95).low == 0.0
    with pytest.raises(TooFewValues):
        ratio_of_rates(5, 100, 0, 100, confidence=0.95)


def test_ratios_hold_the_truth_and_tell_rates_apart(
    rng: np.random.Generator, measure: Measure
) -> None:
    def interval(rate: float) -> Interval:
        s, t = int(rng.binomial(1000, rate)), int(rng.binomial(4000, 0.02))
        return ratio_of_rates(s, 1000, t, 4000, confidence=0.95)

    held = measure(
        found.low <= 1.0 <= found.high for found in (interval(0.02) for _ in range(1500))
    )
    assert held.high > 0.945, held
    assert held.estimate < 0.985
    apart = measure(interval(0.06).low > 1.0 for _ in range(200))
    assert apart.low > 0.95, apart


def test_a_quantile_is_held_by_order_statistics(rng: np.random.Generator, measure: Measure) -> None:
    for n, q in ((20, 0.5), (100, 0.5), (200, 0.9)):
        found = quantile_interval(np.arange(1.0, n + 1), q=q, confidence=0.95)
        low, high = int(found.low), int(found.high)
        law = scipy.stats.binom(n, q)
        assert law.cdf(low - 1) <= 0.025 < law.cdf(low)
        assert law.sf(high - 1) <= 0.025 < law.sf(high - 2)
        truth = scipy.stats.expon.ppf(q)
        held = measure(
            (f := quantile_interval(rng.exponential(size=n), q=q, confidence=0.95)).low
            <= truth
            <= f.high
            for _ in range(600)
        )
        assert held.high >= 0.95, held
    with pytest.raises(TooFewValues):
        quantile_interval(np.arange(5.0), q=0.5, confidence=0.95)
    assert quantile_interval(np.arange(6.0), q=0.5, confidence=0.95).low == 0.0
    with pytest.raises(InvalidInput):
        quantile_interval(np.arange(50.0), q=1.0, confidence=0.95)


def test_differences_of_medians_hold_the_truth_and_find_a_shift(
    rng: np.random.Generator, measure: Measure
) -> None:
    def interval(shift: float) -> Interval:
        a, b = rng.lognormal(0, 1, 150) + shift, rng.lognormal(0, 1, 400)
        return difference_of_quantiles(a, b, q=0.5, confidence=0.95)

    held = measure(f.low <= 0.0 <= f.high for f in (interval(0.0) for _ in range(1000)))
    assert held.high > 0.95, held
    assert held.estimate < 0.985
    apart = measure(interval(0.6).low > 0.0 for _ in range(200))
    assert apart.low > 0.9, apart
