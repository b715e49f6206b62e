from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.calibration import (
    brier_parts,
    calibration_curve,
    expected_calibration_error,
    spiegelhalter,
)
from trimtab.stats.intervals import Interval

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1986)


def forecast(rng: np.random.Generator, n: int, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and outcomes whose true probability is p to the `power`."""
    p = rng.beta(1.0, 3.0, size=n)
    return p, (rng.random(n) < p**power).astype(np.float64)


def test_the_parts_add_up_to_the_score_of_scikit_learn(rng: np.random.Generator) -> None:
    for n, bins in ((200, 5), (3000, 10), (3000, 1)):
        p, y = forecast(rng, n, 0.7)
        parts = brier_parts(p, y, bins=bins)
        expected = sklearn.metrics.brier_score_loss(y, p)
        assert parts.brier == pytest.approx(expected, rel=1e-9)
        summed = parts.reliability - parts.resolution + parts.uncertainty + parts.within
        assert summed == pytest.approx(expected, rel=1e-9)
        assert parts.uncertainty == pytest.approx(y.mean() * (1 - y.mean()), rel=1e-9)


def test_the_parts_of_few_distinct_probabilities_are_those_of_murphy() -> None:
    p = np.repeat([0.1, 0.4, 0.9], 50)
    y = np.concatenate([np.arange(50) < k for k in (10, 20, 40)]).astype(np.float64)
    parts = brier_parts(p, y, bins=3)
    observed, base = np.array([0.2, 0.4, 0.8]), 70 / 150
    assert parts.reliability == pytest.approx(np.mean((np.array([0.1, 0.4, 0.9]) - observed) ** 2))
    assert parts.resolution == pytest.approx(np.mean((observed - base) ** 2))
    assert parts.within == pytest.approx(0.0, abs=1e-12)


def test_the_curve_agrees_with_scikit_learn(rng: np.random.Generator) -> None:
    p, y = forecast(rng, 3000, 0.6)
    curve = calibration_curve(p, y, bins=12)
    observed, predicted = sklearn.calibration.calibration_curve(
        y, p, n_bins=12, strategy="quantile"
    )
    assert curve.observed == pytest.approx(observed, rel=1e-9)
    assert curve.predicted == pytest.approx(predicted, rel=1e-9)
    assert curve.rows.sum() == 3000
    assert (curve.low < curve.observed).all()
    assert (curve.observed < curve.high).all()


def test_the_intervals_of_the_curve_hold_the_truth(
    rng: np.random.Generator, measure: Measure
) -> None:
    held = []
    for _ in range(200):
        p, y = forecast(rng, 1000)
        curve = calibration_curve(p, y, bins=8)
        held += list((curve.low <= curve.predicted) & (curve.predicted <= curve.high))
    seen = measure(held)
    assert seen.low > 0.93, seen


def test_the_error_is_the_mean_gap_of_the_curve(rng: np.random.Generator) -> None:
    p, y = forecast(rng, 3000, 0.6)
    curve = calibration_curve(p, y, bins=15)
    expected = float(np.average(np.abs(curve.predicted - curve.observed), weights=curve.rows))
    assert expected_calibration_error(p, y).value == pytest.approx(expected, rel=1e-9)


def test_noise_and_bias_of_the_error(rng: np.random.Generator) -> None:
    calm = [expected_calibration_error(*forecast(rng, 1000)) for _ in range(300)]
    value, debiased, noise, squared = np.mean(calm, axis=0)
    assert noise == pytest.approx(value, rel=0.03)
    assert debiased < 0.65 * value
    assert abs(squared) < 0.1 * value**2
    p, _ = forecast(rng, 400_000)
    truth = float(np.mean(np.abs(p - p**0.9)))  # of one sign, so bins lose nothing
    off = [expected_calibration_error(*forecast(rng, 1000, 0.9)) for _ in range(300)]
    plain, corrected = np.mean(off, axis=0)[:2]
    assert abs(corrected - truth) < 0.5 * abs(plain - truth)


def test_spiegelhalter_by_its_formula_with_false_alarms_and_power(
    rng: np.random.Generator, measure: Measure
) -> None:
    p, y = forecast(rng, 400)
    expected = sklearn.metrics.brier_score_loss(y, p) - np.mean(p * (1 - p))
    deviation = np.sqrt(np.sum((1 - 2 * p) ** 2 * p * (1 - p))) / 400
    assert spiegelhalter(p, y).z == pytest.approx(expected / deviation, rel=1e-9)
    calm = measure(spiegelhalter(*forecast(rng, 300)).p_value <= 0.05 for _ in range(2000))
    assert calm.low <= 0.05 <= calm.high + 0.005, calm
    off = measure(spiegelhalter(*forecast(rng, 1000, 0.7)).p_value <= 0.05 for _ in range(200))
    assert off.low > 0.9, off


def test_a_constant_probability_is_one_bin() -> None:
    p, y = np.full(200, 0.3), (np.arange(200) < 80).astype(np.float64)
    assert expected_calibration_error(p, y).value == pytest.approx(0.1)
    assert calibration_curve(p, y).rows.tolist() == [200]
    ties = np.append(np.full(199, 0.3), 0.9)
    assert expected_calibration_error(ties, y).value == pytest.approx(abs(0.4 - 60.6 / 200))
    assert calibration_curve(ties, y).rows.tolist() == [200]  # a bin of one row joins another


def test_what_is_no_forecast_is_refused() -> None:
    p, y = np.full(300, 0.3), np.zeros(300)
    for judge in (brier_parts, expected_calibration_error, calibration_curve, spiegelhalter):
        for bad_p, bad_y in (
            (np.append(p[1:], np.nan), y),
            (np.append(p[1:], 1.5), y),
            (p, np.append(y[1:], 2.0)),
            (p[1:], y),
        ):
            with pytest.raises(InvalidInput):
                judge(bad_p, bad_y)
        with pytest.raises(TooFewValues):
            judge([], [])
    with pytest.raises(TooFewValues):
        expected_calibration_error(p[:99], y[:99], bins=10)
    with pytest.raises(InvalidInput):
        brier_parts(p, y, bins=0)
    with pytest.raises(TooFewValues, match=r"0\.5"):
        spiegelhalter([0.0, 0.5, 1.0], [0, 1, 1])
