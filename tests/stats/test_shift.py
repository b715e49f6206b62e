from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportions_ztest

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval, difference_of_rates
from trimtab.stats.shift import (
    Alternative,
    RateMethod,
    label_shift,
    null_rate_test,
    positive_rate_shift,
    prediction_shift,
    score_shift,
)

Measure = Callable[[Iterable[bool]], Interval]
TABLES = [(3, 100, 9, 80), (0, 50, 4, 60), (7, 7, 3, 9), (200, 10_000, 12, 1000), (5, 90, 0, 40)]
SIDES: dict[Alternative, str] = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1935)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("alternative", SIDES)
def test_the_tests_of_a_rate_agree_with_their_oracles(
    table: tuple[int, int, int, int], alternative: Alternative
) -> None:
    s, n, now_s, now_n = table
    exact = scipy.stats.fisher_exact(
        [[now_s, s], [now_n - now_s, n - s]], alternative=alternative
    ).pvalue
    found = null_rate_test(*table, alternative=alternative)
    assert found.p_value == pytest.approx(exact, rel=1e-9)
    assert (found.reference, found.current) == (s / n, now_s / now_n)
    assert found.difference == difference_of_rates(now_s, now_n, s, n, confidence=0.95)
    score = proportions_ztest([now_s, s], [now_n, n], alternative=SIDES[alternative])[1]
    ours = null_rate_test(*table, alternative=alternative, method="score").p_value
    assert ours == pytest.approx(score, rel=1e-9)
    assert positive_rate_shift(*table, alternative=alternative) == found


def test_no_null_at_all_is_no_evidence() -> None:
    methods: tuple[RateMethod, ...] = ("exact", "score")
    for method in methods:
        assert null_rate_test(0, 100, 0, 50, method=method).p_value == 1.0
        assert null_rate_test(100, 100, 50, 50, method=method).p_value == 1.0
        assert null_rate_test(0, 100, 50, 50, method=method).p_value < 1e-9


def test_false_alarms_and_power_of_a_null_rate(rng: np.random.Generator, measure: Measure) -> None:
    def alarms(rate: float, **how: Any) -> bool:
        s, now_s = int(rng.binomial(5000, 0.02)), int(rng.binomial(500, rate))
        return null_rate_test(s, 5000, now_s, 500, **how).p_value <= 0.05

    exact = measure(alarms(0.02) for _ in range(1500))
    assert exact.low <= 0.05, exact
    score = measure(alarms(0.02, method="score") for _ in range(1500))
    assert score.low <= 0.05 <= score.high + 0.01, score
    for how in ({}, {"method": "score"}, {"alternative": "greater"}):
        found = measure(alarms(0.06, **how) for _ in range(200))
        assert found.low > 0.95, found
    other_side = measure(alarms(0.06, alternative="less") for _ in range(200))
    assert other_side.estimate == 0.0


def test_false_alarms_and_power_of_classes(rng: np.random.Generator, measure: Measure) -> None:
    shares = np.array([0.7, 0.2, 0.07, 0.03])
    calm = measure(
        label_shift(rng.multinomial(2000, shares), rng.multinomial(300, shares)).p_value <= 0.05
        for _ in range(1500)
    )
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    other = np.array([0.58, 0.32, 0.07, 0.03])
    moved = measure(
        prediction_shift(rng.multinomial(2000, shares), rng.multinomial(300, other)).p_value <= 0.05
        for _ in range(200)
    )
    assert moved.low > 0.9, moved


def test_a_class_shift_knows_its_noise(rng: np.random.Generator) -> None:
    shares = np.full(40, 1 / 40)
    found = [
        label_shift(rng.multinomial(900, shares), rng.multinomial(400, shares)) for _ in range(200)
    ]
    assert np.mean([f.distance - f.noise for f in found]) == pytest.approx(0.0, abs=0.004)
    assert np.mean([f.noise for f in found]) > 0.1


def test_false_alarms_and_power_of_scores(rng: np.random.Generator, measure: Measure) -> None:
    def found(b: float) -> float:
        return score_shift(rng.beta(2, 5, size=1000), rng.beta(2, b, size=300)).p_value

    calm = measure(found(5) <= 0.05 for _ in range(800))
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    moved = measure(found(3.5) <= 0.05 for _ in range(150))
    assert moved.low > 0.95, moved
    up = score_shift(rng.beta(2, 5, size=1000), rng.beta(2, 3.5, size=1000))
    assert up.difference.low > 0.0
    assert up.wasserstein == pytest.approx(up.difference.estimate, abs=0.01)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TooFewValues):
        null_rate_test(0, 0, 1, 10)
    with pytest.raises(InvalidInput):
        null_rate_test(11, 10, 1, 10)
    with pytest.raises(InvalidInput):
        null_rate_test(1, 10, 1, 10, alternative="up")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        null_rate_test(1, 10, 1, 10, method="guess")  # type: ignore[arg-type]
    with pytest.raises(TooFewValues):
        label_shift([10, 0], [10, 0])
    with pytest.raises(InvalidInput):
        score_shift(np.append(np.arange(20.0), np.nan), np.arange(20.0))
