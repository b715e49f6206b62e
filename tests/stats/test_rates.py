"""The canary's judge: exactness, and what repeated looks do to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.rates import (
    binomial_tail,
    events_needed,
    rate_below_evalue,
    rate_exceeds_evalue,
    ratio_below_evalue,
    ratio_exceeds_evalue,
    ratio_test,
)

Measure = Callable[[Iterable[bool]], Interval]
DECISIVE = 100.0  # 1 / level for a level of 1 %


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(48)


# -- one look -------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "n", "rate"), [(0, 5, 0.1), (3, 20, 0.02), (900, 30_000, 0.028)])
def test_binomial_tail_agrees_with_scipy(s: int, n: int, rate: float) -> None:
    assert binomial_tail(s, n, rate) == pytest.approx(scipy.stats.binom.sf(s - 1, n, rate))
    assert binomial_tail(s, n, 1.0) == 1.0
    assert binomial_tail(1, n, 0.0) == 0.0


def test_ratio_test_agrees_with_the_conditional_binomial() -> None:
    expected = scipy.stats.binomtest(12, 12 + 20, 2 * 300 / (2 * 300 + 2000), "greater").pvalue
    assert ratio_test(12, 300, 20, 2000, ratio=2.0) == pytest.approx(expected, rel=1e-10)


def test_ratio_test_type_one_error_by_enumeration() -> None:
    """No simulation: all outcomes of 40 canary rows and 80 active ones, rates up to 90 %."""
    p_values = {(s, b): ratio_test(s, 40, b, 80, ratio=1.5) for s in range(41) for b in range(81)}
    for active in (0.01, 0.05, 0.2, 0.6):
        canary = scipy.stats.binom.pmf(np.arange(41), 40, 1.5 * active)
        base = scipy.stats.binom.pmf(np.arange(81), 80, active)
        for level in (0.01, 0.05):
            error = sum(canary[s] * base[b] for (s, b), p in p_values.items() if p <= level)
            assert error <= level, (active, level, error)


def test_ratio_test_without_any_baseline_event() -> None:
    assert ratio_test(0, 50, 0, 500, ratio=2.0) == 1.0
    assert ratio_test(6, 50, 0, 500, ratio=1.0) == pytest.approx((50 / 550) ** 6)


def test_ratio_test_power(rng: np.random.Generator, measure: Measure) -> None:
    found = measure(
        ratio_test(int(c), 1000, int(a), 9000, ratio=1.0) <= 0.01
        for c, a in zip(rng.binomial(1000, 0.06, 400), rng.binomial(9000, 0.02, 400), strict=True)
    )
    assert found.low > 0.98, found


# -- evidence -------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.6])
def test_evidence_is_fair_at_the_limit(limit: float) -> None:
    """The mean of an e-value at the limit is exactly 1, and at most 1 on the harmless side."""
    n, counts = 70, np.arange(71)
    exceeds = np.array([rate_exceeds_evalue(int(s), n, limit=limit) for s in counts])
    below = np.array([rate_below_evalue(int(s), n, limit=limit) for s in counts])
    assert (np.diff(exceeds) > 0).all()
    assert (np.diff(below) < 0).all()
    at_limit = scipy.stats.binom.pmf(counts, n, limit)
    assert at_limit @ exceeds == pytest.approx(1.0, rel=1e-9)
    assert at_limit @ below == pytest.approx(1.0, rel=1e-9)
    assert scipy.stats.binom.pmf(counts, n, limit * 0.7) @ exceeds < 1.0
    assert scipy.stats.binom.pmf(counts, n, min(0.99, limit * 1.4)) @ below < 1.0


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("active", [0.01, 0.2, 0.45])
def test_ratio_evidence_is_fair_for_any_rates(ratio: float, active: float) -> None:
    """No simulation: the mean over all outcomes of 12 canary rows and 30 active ones."""
    canary = scipy.stats.binom.pmf(np.arange(13), 12, ratio * active)
    base = scipy.stats.binom.pmf(np.arange(31), 30, active)
    for evidence in (ratio_exceeds_evalue, ratio_below_evalue):
        mean = sum(
            canary[s] * base[b] * evidence(s, 12, b, 30, ratio=ratio)
            for s, b in itertools.product(range(13), range(31))
        )
        assert mean <= 1.0 + 1e-9, mean


def test_no_rows_are_no_evidence() -> None:
    assert rate_exceeds_evalue(0, 0, limit=0.05) == pytest.approx(1.0)
    assert rate_below_evalue(0, 0, limit=0.05) == pytest.approx(1.0)
    assert ratio_exceeds_evalue(0, 0, 0, 0, ratio=1.0) == pytest.approx(1.0)
    assert ratio_exceeds_evalue(3, 20, 0, 0, ratio=1.0) == pytest.approx(1.0)
    assert ratio_below_evalue(0, 0, 9, 500, ratio=1.0) == pytest.approx(1.0)
    assert ratio_below_evalue([], [], [], [], ratio=1.0) == pytest.approx(1.0)


def test_a_baseline_without_events_is_no_division_by_zero() -> None:
    few = ratio_exceeds_evalue(1, 20, 0, 180, ratio=1.0)
    many = ratio_exceeds_evalue(8, 20, 0, 180, ratio=1.0)
    assert few < DECISIVE < many
    assert ratio_below_evalue(0, 20, 0, 180, ratio=1.0) == pytest.approx(1.0)


def test_evidence_never_overflows() -> None:
    assert np.isfinite(rate_exceeds_evalue(10**6, 10**6, limit=0.001))
    assert np.isfinite(ratio_exceeds_evalue(10**6, 10**6, 0, 10**6, ratio=1.0))
    assert 0.0 <= rate_exceeds_evalue(0, 10**7, limit=0.05) < 1.0


def rolled_back_ever(
    rng: np.random.Generator, canary: float, looks: int, *, active: float = 0.02, ratio: float = 1.0
) -> bool:
    """20 canary and 180 active rows between two looks; judged at every look."""
    events = rng.binomial(20, canary, size=looks).cumsum()
    base = rng.binomial(180, active, size=looks).cumsum()
    return any(
        ratio_exceeds_evalue(int(s), 20 * k, int(b), 180 * k, ratio=ratio) >= DECISIVE
        for k, (s, b) in enumerate(zip(events, base, strict=True), start=1)
    )


def test_a_healthy_canary_survives_a_day_and_a_bad_one_does_not(
    rng: np.random.Generator, measure: Measure
) -> None:
    healthy = measure(rolled_back_ever(rng, 0.02, 48) for _ in range(150))
    assert healthy.low <= 0.01, healthy
    worse = measure(rolled_back_ever(rng, 0.06, 50) for _ in range(150))
    assert worse.estimate >= 0.98, worse


@pytest.mark.slow
def test_false_rollbacks_and_catches_to_one_percent(
    rng: np.random.Generator, measure: Measure
) -> None:
    healthy = measure(rolled_back_ever(rng, 0.02, 48) for _ in range(2500))
    assert healthy.high <= 0.01, healthy
    worse = measure(rolled_back_ever(rng, 0.06, 50) for _ in range(2500))
    assert worse.low >= 0.99, worse


def test_a_step_taken_in_a_bad_hour_is_no_bad_canary(
    rng: np.random.Generator, measure: Measure
) -> None:
    """Both versions fail alike; the rate jumps just when the canary's share does."""
    rates = np.repeat([0.01, 0.12], 12)
    rows, base_rows = np.repeat([10, 100], 12), np.repeat([190, 100], 12)

    def evidence() -> tuple[float, float]:
        s, b = rng.binomial(rows, rates), rng.binomial(base_rows, rates)
        looks = ratio_exceeds_evalue(s, rows, b, base_rows, ratio=1.0)
        totals = ratio_exceeds_evalue(
            int(s.sum()), int(rows.sum()), int(b.sum()), int(base_rows.sum()), ratio=1.0
        )
        return looks, totals

    drawn = [evidence() for _ in range(200)]
    assert measure(looks >= DECISIVE for looks, _ in drawn).low <= 0.01
    assert measure(totals >= DECISIVE for _, totals in drawn).low > 0.5  # why looks are needed


def test_an_absolute_limit_under_repeated_looks(rng: np.random.Generator, measure: Measure) -> None:
    def decided(rate: float, evidence: Callable[..., float], looks: int) -> bool:
        events = rng.binomial(20, rate, size=looks).cumsum()
        return any(
            evidence(int(s), 20 * k, limit=0.05) >= DECISIVE for k, s in enumerate(events, start=1)
        )

    assert measure(decided(0.05, rate_exceeds_evalue, 48) for _ in range(150)).low <= 0.01
    assert measure(decided(0.05, rate_below_evalue, 48) for _ in range(150)).low <= 0.01
    assert measure(decided(0.12, rate_exceeds_evalue, 40) for _ in range(150)).low > 0.9
    assert measure(decided(0.02, rate_below_evalue, 70) for _ in range(150)).low > 0.9


def test_evidence_that_a_canary_is_better_than_twice_the_active(
    rng: np.random.Generator, measure: Measure
) -> None:
    def shown(canary: float) -> bool:
        s, b = int(rng.binomial(3000, canary)), int(rng.binomial(27_000, 0.02))
        return ratio_below_evalue(s, 3000, b, 27_000, ratio=2.0) >= DECISIVE

    assert measure(shown(0.04) for _ in range(300)).low <= 0.01
    assert measure(shown(0.02) for _ in range(300)).low > 0.92


# -- sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "rate"), [(0.05, 0.10), (0.05, 0.02), (0.02, 0.06), (0.05, 0.0)])
@pytest.mark.parametrize("repeated", [True, False])
def test_the_size_gives_the_power_it_promises(
    rng: np.random.Generator, measure: Measure, limit: float, rate: float, repeated: bool
) -> None:
    n = events_needed(limit, rate, power=0.9, confidence=0.99, repeated_looks=repeated)

    def shown(s: int) -> bool:
        if repeated:
            evidence = rate_exceeds_evalue if rate > limit else rate_below_evalue
            return evidence(s, n, limit=limit) >= DECISIVE
        side = "greater" if rate > limit else "less"
        return bool(scipy.stats.binomtest(s, n, limit, side).pvalue <= 0.01)

    decisive = {s: shown(s) for s in range(n + 1)}
    weights = scipy.stats.binom.pmf(np.arange(n + 1), n, rate)
    power = sum(w for s, w in enumerate(weights) if decisive[s])
    assert 0.9 - 1e-9 <= power <= 1.0
    if rate > 0.0:
        assert power <= 0.95


def test_repeated_looks_cost_rows() -> None:
    many = events_needed(0.05, 0.1, power=0.9, confidence=0.99)
    one = events_needed(0.05, 0.1, power=0.9, confidence=0.99, repeated_looks=False)
    assert one < many < 2.5 * one


def test_impossible_questions_are_refused() -> None:
    for limit, rate in ((0.05, 0.05), (0.0, 0.1), (0.05, 1.5), (0.05, float("nan"))):
        with pytest.raises(InvalidInput):
            events_needed(limit, rate, power=0.9, confidence=0.99)
    with pytest.raises(InvalidInput):
        events_needed(0.05, 0.1, power=1.0, confidence=0.99)
    with pytest.raises(TooFewValues):
        binomial_tail(0, 0, 0.1)
    with pytest.raises(TooFewValues):
        ratio_test(0, 10, 0, 0, ratio=1.0)
    with pytest.raises(InvalidInput):
        binomial_tail(1, 2, float("nan"))
    for ratio in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput):
            ratio_test(1, 10, 1, 10, ratio=ratio)
        with pytest.raises(InvalidInput):
            ratio_exceeds_evalue(1, 10, 1, 10, ratio=ratio)
    with pytest.raises(InvalidInput):
        rate_exceeds_evalue(1, 10, limit=0.05, spread=1.0)
    for bad in ((5, 2, 0, 9), (-1, 2, 0, 9), (0.5, 2, 0, 9), (float("nan"), 2, 0, 9)):
        with pytest.raises(InvalidInput):
            ratio_exceeds_evalue(*bad, ratio=1.0)
    with pytest.raises(InvalidInput, match="looks"):
        ratio_exceeds_evalue([1, 1], [9, 9], [1], [9], ratio=1.0)
