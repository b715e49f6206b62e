from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.anytime import AsymptoticMean, BoundedMean
from trimtab.stats.intervals import Interval, mean_difference

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2024)


def by_the_paper(x: np.ndarray, confidence: float) -> tuple[float, float]:
    """Theorem 2 of Waudby-Smith and Ramdas, one value after another."""
    cost = math.log(2.0 / (1.0 - confidence))
    low, high = 0.0, 1.0
    total = squares = bets = betted = penalty = 0.0
    for t, value in enumerate(x, 1):
        mean_before, variance = (0.5 + total) / t, (0.25 + squares) / t
        bet = min(0.5, math.sqrt(2.0 * cost / (variance * t * math.log(1.0 + t))))
        penalty += 4.0 * (value - mean_before) ** 2 * (-math.log(1.0 - bet) - bet) / 4.0
        bets, betted, total = bets + bet, betted + bet * value, total + value
        squares += (value - (0.5 + total) / (t + 1.0)) ** 2
        low = max(low, betted / bets - (cost + penalty) / bets)
        high = min(high, betted / bets + (cost + penalty) / bets)
    return low, high


def test_the_bounded_sequence_is_that_of_the_paper(rng: np.random.Generator) -> None:
    for x in (rng.random(300), rng.beta(2, 30, 300), (rng.random(300) < 0.1).astype(float)):
        mean = BoundedMean(low=-10.0, high=30.0, confidence=0.99)
        mean.update(-10.0 + 40.0 * x)
        low, high = by_the_paper(x, 0.99)
        found = mean.interval()
        assert found.low == pytest.approx(-10.0 + 40.0 * low, rel=1e-9)
        assert found.high == pytest.approx(-10.0 + 40.0 * high, rel=1e-9)
        assert found.estimate == pytest.approx(-10.0 + 40.0 * x.mean(), rel=1e-9)


@pytest.mark.parametrize("kind", ["bounded", "asymptotic"])
def test_batches_and_states_do_not_matter(kind: str, rng: np.random.Generator) -> None:
    def begin() -> BoundedMean | AsymptoticMean:
        if kind == "bounded":
            return BoundedMean(low=0.0, high=1.0, confidence=0.95)
        return AsymptoticMean(confidence=0.95)

    x = rng.random(500)
    whole, parts = begin(), begin()
    whole.update(x)
    for part in (x[:1], x[1:1], x[1:140], x[140:499]):
        parts.update(part)
    parts = type(parts).from_state(json.loads(json.dumps(parts.to_state())))
    parts.update(x[499])
    for one, other in zip(whole.to_state().values(), parts.to_state().values(), strict=True):
        assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_the_bounded_sequence_holds_the_truth_at_every_look(
    rate: float, rng: np.random.Generator, measure: Measure
) -> None:
    held = []
    for _ in range(400):
        mean = BoundedMean(low=0.0, high=1.0, confidence=0.9)
        mean.update((rng.random(2000) < rate).astype(float))
        held.append(mean.at_least <= rate <= mean.at_most)
    seen = measure(held)
    assert seen.high >= 0.9, seen


@pytest.mark.slow
def test_an_interval_for_one_look_does_not_survive_many(
    rng: np.random.Generator, measure: Measure
) -> None:
    """What the sequences are for: 40 looks at 3,000 exponential values."""

    def missed(sequence: bool) -> bool:
        x = rng.exponential(size=3000)
        mean = AsymptoticMean(confidence=0.95, tightest_at=1000, warm_up=75)
        for start in range(0, 3000, 75):
            mean.update(x[start : start + 75])
            if sequence:
                found = mean.interval()
            else:
                found = mean_difference(x[: start + 75], np.array([1.0, 1.0]), confidence=0.95)
                found = Interval(found.estimate + 1, found.low + 1, found.high + 1)
            if not found.low <= 1.0 <= found.high:
                return True
        return False

    many = measure(missed(sequence=True) for _ in range(400))
    assert many.low <= 0.05, many
    once = measure(missed(sequence=False) for _ in range(150))
    assert once.low > 0.15, once


def test_power_and_width(rng: np.random.Generator, measure: Measure) -> None:
    def bounded(rate: float) -> bool:
        mean = BoundedMean(low=0.0, high=1.0, confidence=0.95)
        mean.update(rng.beta(20 * rate, 20 * (1 - rate), size=600))
        return mean.interval().low > 0.3

    assert measure(bounded(0.35) for _ in range(100)).low > 0.9
    assert measure(bounded(0.3) for _ in range(200)).low < 0.05
    mean = AsymptoticMean(confidence=0.95, tightest_at=1000)
    mean.update(rng.normal(size=1000))
    found = mean.interval()
    width = (found.high - found.low) / (2 * 1.96 / math.sqrt(1000))
    assert 1.2 < width < 1.8  # of an interval for one look


def test_the_interval_is_narrowest_where_it_was_asked_to_be() -> None:
    def width(tightest_at: int) -> float:
        mean = AsymptoticMean(
            confidence=0.95, tightest_at=tightest_at, count=1000, mean=0.0, squares=1000.0
        )
        return mean.interval().high

    widths = {tightest_at: width(tightest_at) for tightest_at in (100, 800, 1000, 1250, 10_000)}
    assert widths[1000] <= min(widths.values()) * 1.001
    assert widths[100] > widths[1000] * 1.05


def test_a_mean_that_changed_is_said(rng: np.random.Generator) -> None:
    mean = BoundedMean(low=0.0, high=1.0, confidence=0.95)
    mean.update(rng.beta(30, 70, size=3000))
    mean.update(rng.beta(60, 40, size=3000))
    with pytest.raises(InvalidInput, match="has changed"):
        mean.interval()


def test_what_is_no_value_is_refused() -> None:
    bounded = BoundedMean(low=0.0, high=1.0, confidence=0.95)
    free = AsymptoticMean(confidence=0.95)
    with pytest.raises(TooFewValues):
        bounded.interval()
    for bad in (1.5, -0.1, float("nan")):
        with pytest.raises(InvalidInput):
            bounded.update([0.5, bad])
    with pytest.raises(InvalidInput):
        free.update([0.5, math.inf])
    assert bounded.count == free.count == 0
    with pytest.raises(TooFewValues, match="100 are needed"):
        free.interval()
    free.update(np.ones(200))
    with pytest.raises(TooFewValues, match="equal"):
        free.interval()
    with pytest.raises(InvalidInput):
        BoundedMean(low=1.0, high=1.0, confidence=0.95)
    with pytest.raises(InvalidInput):
        BoundedMean(low=0.0, high=1.0, confidence=0.05)
    for wrong in ({"tightest_at": 0}, {"warm_up": 1}):
        with pytest.raises(InvalidInput):
            AsymptoticMean(confidence=0.95, **wrong)
    state = free.to_state()
    for change in ({"count": 1.5}, {"count": -1}, {"mean": math.nan}, {"mean": "x"}, {"new": 1}):
        with pytest.raises(InvalidInput):
            AsymptoticMean.from_state({**state, **change})
