"""Unit changes are recognised, other changes are not taken for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.rescale import mixture_scale_change, scale_change

Measure = Callable[[Iterable[bool]], Interval]
KILOMETRES = 1.609344


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1609)


def amounts(rng: np.random.Generator, n: int, *, log_spread: float = 0.5) -> np.ndarray:
    """A skewed positive column whose level swings by 3 % over a week."""
    season = 1.0 + 0.03 * np.sin(np.arange(n) / n * 4 * np.pi)
    return rng.lognormal(4.0, log_spread, size=n) * season


ROUTES = np.unique(np.round(np.random.default_rng(0).lognormal(6.4, 0.7, size=900)))
SHARES = np.random.default_rng(1).dirichlet(np.full(ROUTES.size, 0.4))


def distances(rng: np.random.Generator, n: int, *, month: int = 0) -> np.ndarray:
    """Whole miles between airports; which routes are flown moves from month to month."""
    shares = SHARES * np.random.default_rng(month).uniform(0.7, 1.3, size=ROUTES.size)
    return rng.choice(ROUTES, size=n, p=shares / shares.sum())


@pytest.mark.parametrize("factor", [0.001, 0.3048, 2.2046, 1000.0])
def test_a_unit_change_of_a_continuous_column(rng: np.random.Generator, factor: float) -> None:
    found = scale_change(amounts(rng, 5000), amounts(rng, 5000) * factor)
    assert found.factor == pytest.approx(factor, rel=0.03)
    assert found.factor_interval.low <= factor <= found.factor_interval.high
    assert found.offset == 0.0
    assert found.residual_ks < 0.03 < found.original_ks


def test_precision_is_that_of_the_column(rng: np.random.Generator, measure: Measure) -> None:
    """The best that any method can do is log_spread * sqrt(1/n + 1/m); ours comes near."""
    for n, log_spread, percent in ((400, 0.3, 1.9), (5000, 0.5, 1.2)):
        best = log_spread * np.sqrt(1 / 5000 + 1 / n)
        found = [
            scale_change(
                amounts(rng, 5000, log_spread=log_spread),
                amounts(rng, n, log_spread=log_spread) * 2.54,
                resamples=100,
            )
            for _ in range(80)
        ]
        error = np.array([f.factor / 2.54 - 1.0 for f in found])
        assert 100 * np.sqrt(np.mean(error**2)) < percent
        assert np.sqrt(np.mean(error**2)) < 1.3 * best
        held = measure(f.factor_interval.low <= 2.54 <= f.factor_interval.high for f in found)
        assert held.high > 0.95, held
        assert held.estimate > 0.85, held


@pytest.mark.parametrize("n", [400, 5000])
@pytest.mark.parametrize("factor", [KILOMETRES, 1 / 5280, 1000.0])
def test_distances_with_ties_are_exact(rng: np.random.Generator, n: int, factor: float) -> None:
    for month in range(1, 5):
        found = scale_change(distances(rng, 8000), distances(rng, n, month=month) * factor)
        assert found.factor == pytest.approx(factor, rel=1e-9)
        assert found.residual_ks < 1.63 * np.sqrt(1 / n + 1 / 8000) + 0.03  # 99 % and the season


def test_rounding_after_the_change_costs_little(rng: np.random.Generator) -> None:
    rounded = np.round(distances(rng, 400, month=2) * KILOMETRES)
    found = scale_change(distances(rng, 8000), rounded)
    assert found.factor == pytest.approx(KILOMETRES, rel=5e-4)
    assert found.factor_interval.low <= KILOMETRES <= found.factor_interval.high


def test_an_ordinary_month_of_distances_has_the_factor_one(rng: np.random.Generator) -> None:
    for month in range(1, 6):
        found = scale_change(distances(rng, 8000), distances(rng, 400, month=month))
        assert found.factor == pytest.approx(1.0, rel=1e-9)


def test_few_whole_numbers(rng: np.random.Generator) -> None:
    rooms = rng.binomial(9, 0.3, size=3000).astype(np.float64) + 1.0
    fewer = rng.binomial(9, 0.3, size=400).astype(np.float64) + 1.0
    found = scale_change(rooms, fewer * 1.1)
    assert found.factor == pytest.approx(1.1, rel=1e-12)
    assert found.residual_ks < 0.1 < found.original_ks


@pytest.mark.parametrize("divisor", [0.3, 0.7, 3.0, 1.1])
def test_rounding_of_the_arithmetic_is_no_difference(
    rng: np.random.Generator, divisor: float
) -> None:
    rooms = rng.binomial(9, 0.3, size=3000).astype(np.float64) + 1.0
    fewer = rng.binomial(9, 0.3, size=400).astype(np.float64) + 1.0
    found = scale_change(rooms, fewer / divisor)
    assert found.residual_ks == pytest.approx(scipy.stats.ks_2samp(rooms, fewer).statistic)


def test_a_column_around_zero_and_a_negative_one(rng: np.random.Generator) -> None:
    balance = scale_change(rng.normal(12, 9, 5000), rng.normal(12, 9, 3000) / 100)
    assert balance.factor == pytest.approx(0.01, rel=0.06)
    assert balance.residual_ks < 0.04
    below = scale_change(-amounts(rng, 4000), -amounts(rng, 4000) * 2.54)
    assert below.factor == pytest.approx(2.54, rel=0.03)


def test_celsius_to_fahrenheit_needs_the_offset(rng: np.random.Generator) -> None:
    celsius = rng.gamma(4, 6, size=5000) - 10
    fahrenheit = (rng.gamma(4, 6, size=4000) - 10) * 1.8 + 32
    found = scale_change(celsius, fahrenheit, affine=True)
    assert found.factor == pytest.approx(1.8, rel=0.06)
    assert found.offset == pytest.approx(32, abs=1.0)
    assert found.factor_interval.low <= 1.8 <= found.factor_interval.high
    assert found.residual_ks < 0.035
    assert scale_change(celsius, fahrenheit).residual_ks > 0.08


@pytest.mark.parametrize("kind", ["shape", "cut", "mixed", "added"])
def test_an_ordinary_shift_leaves_a_residual(rng: np.random.Generator, kind: str) -> None:
    usual = rng.gamma(2, 10, size=2000)
    shifted = {
        "shape": rng.gamma(4, 10, size=2000),
        "cut": usual[usual > 15],
        "mixed": np.concatenate([usual[:1400], rng.gamma(20, 5, size=600)]),
        "added": usual + 20,
    }[kind]
    found = scale_change(rng.gamma(2, 10, size=5000), shifted)
    assert found.residual_ks > 0.08
    assert found.relative_rmse > 0.2


def test_separating_units_from_shifts(rng: np.random.Generator, measure: Measure) -> None:
    """Residual near the noise and the interval away from 1, or not."""

    def looks_like_a_unit(current: np.ndarray) -> bool:
        found = scale_change(amounts(rng, 3000), current, resamples=100, confidence=0.99)
        near_noise = found.residual_ks < 1.63 * np.sqrt(1 / 3000 + 1 / current.size)
        away = not found.factor_interval.low <= 1.0 <= found.factor_interval.high
        return near_noise and away

    assert measure(looks_like_a_unit(amounts(rng, 1000)) for _ in range(100)).low < 0.03
    assert measure(looks_like_a_unit(amounts(rng, 1000) + 30) for _ in range(100)).low < 0.03
    assert measure(looks_like_a_unit(amounts(rng, 1000) * 1.61) for _ in range(100)).low > 0.9


def test_residual_agrees_with_scipy(rng: np.random.Generator) -> None:
    r, c = amounts(rng, 500), amounts(rng, 300) * 3
    found = scale_change(r, c)
    expected = scipy.stats.ks_2samp(r * found.factor, c).statistic
    assert found.residual_ks == pytest.approx(expected, abs=1e-9)
    assert found.original_ks == pytest.approx(scipy.stats.ks_2samp(r, c).statistic, abs=1e-12)


def test_the_same_seed_gives_the_same_interval(rng: np.random.Generator) -> None:
    r, c = amounts(rng, 500), amounts(rng, 300)
    assert scale_change(r, c, seed=4) == scale_change(r, c, seed=4)
    assert scale_change(r, c, seed=4) != scale_change(r, c, seed=5)


@pytest.mark.parametrize(
    ("share", "factor"), [(0.1, 1000.0), (0.3, 3.28), (0.5, 0.3048), (1.0, 3.0)]
)
def test_only_some_rows_were_scaled(rng: np.random.Generator, share: float, factor: float) -> None:
    current = amounts(rng, 4000)
    current[rng.random(4000) < share] *= factor
    found = mixture_scale_change(amounts(rng, 5000), current)
    assert found.factor == pytest.approx(factor, rel=0.15)
    assert found.share == pytest.approx(share, abs=0.04)
    assert found.residual_ks < 0.03 < found.original_ks


def test_mixture_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    """Residual below half of the original distance, and that one beyond the noise."""

    def mixed(share: float) -> bool:
        current = amounts(rng, 1500)
        current[rng.random(1500) < share] *= 10.0
        found = mixture_scale_change(amounts(rng, 3000), current)
        noise = 1.63 * np.sqrt(1 / 3000 + 1 / 1500)
        return found.original_ks > noise and found.residual_ks < 0.5 * found.original_ks

    assert measure(mixed(0.0) for _ in range(40)).low < 0.02
    assert measure(mixed(0.15) for _ in range(40)).low > 0.85


def test_what_has_no_shape_is_refused() -> None:
    column = np.arange(100.0)
    for method in (scale_change, mixture_scale_change):
        with pytest.raises(TooFewValues):
            method(column, column[:49])
        with pytest.raises(TooFewValues, match="constant"):
            method(np.ones(100), column)
        with pytest.raises(TooFewValues, match="constant"):
            method(column, np.ones(100))
        with pytest.raises(InvalidInput):
            method(column, np.append(column, np.inf))
    for other in (column + 1, np.repeat(np.arange(100.0, 111.0), 20)):
        with pytest.raises(InvalidInput, match="sign"):
            scale_change(other, -other)
    with pytest.raises(InvalidInput):
        scale_change(column, column, resamples=10)
    with pytest.raises(InvalidInput):
        mixture_scale_change(column, column, largest_factor=1.0)
