from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.self_starting import SelfStartingPageHinkley


def detector(threshold: float = 5.0, warm_up: int = 20) -> SelfStartingPageHinkley:
    return SelfStartingPageHinkley(allowance=0.5, threshold=threshold, warm_up=warm_up)


def run_length(values: np.ndarray, threshold: float, warm_up: int = 20) -> int:
    """Values after the warm-up until the alarm; all of them if there is none."""
    watch = detector(threshold, warm_up)
    for value in values:
        if watch.update(float(value)):
            return watch.alarmed_at - warm_up
    return len(values) - warm_up


@pytest.mark.parametrize("warm_up", [5, 30])
def test_in_control_run_length_is_the_published_one(warm_up: int) -> None:
    """Two-sided, allowance 0.5, threshold 3: 59 values, by Siegmund's formula too."""
    rng = np.random.default_rng(13)
    lengths = [run_length(rng.normal(50, 7, 600), 3.0, warm_up) for _ in range(250)]
    error = 3 * float(np.std(lengths)) / math.sqrt(len(lengths))
    assert np.mean(lengths) == pytest.approx(59, abs=error)


@pytest.mark.slow
@pytest.mark.parametrize(("threshold", "published"), [(4.0, 168), (5.0, 465)])
def test_in_control_run_length_at_working_thresholds(threshold: float, published: int) -> None:
    rng = np.random.default_rng(14)
    lengths = [run_length(rng.normal(0, 1, 5000), threshold) for _ in range(400)]
    error = 3 * float(np.std(lengths)) / math.sqrt(len(lengths))
    assert np.mean(lengths) == pytest.approx(published, abs=error)


def test_the_first_score_after_a_short_warm_up_is_standard_normal() -> None:
    rng = np.random.default_rng(12)
    scores = []
    for values in rng.normal(1e3, 5, size=(4000, 4)):
        watch = SelfStartingPageHinkley(allowance=0.0, threshold=99.0, warm_up=3)
        for value in values:
            watch.update(float(value))
        scores.append(watch.up - watch.down)
    assert scipy.stats.kstest(scores, "norm").pvalue > 0.01


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_change_of_two_deviations_is_found_soon(direction: float) -> None:
    rng = np.random.default_rng(15)
    delays = []
    for _ in range(150):
        values = rng.normal(0, 1, 120)
        values[60:] += 2.0 * direction
        watch = detector(8.0)
        for value in values:
            watch.update(float(value))
        delays.append(watch.alarmed_at - 60 if watch.alarmed else math.inf)
    assert np.median(delays) <= 9
    assert np.mean(np.isfinite(delays)) > 0.95


def test_the_unit_does_not_matter() -> None:
    values = np.random.default_rng(16).normal(3, 1, 200)
    values[150:] += 2.0
    plain, scaled = detector(8.0), detector(8.0)
    for value in values:
        plain.update(float(value))
        scaled.update(float(value) * 1e6 + 5e6)
    assert plain.alarmed_at == scaled.alarmed_at > 150
    assert scaled.up == pytest.approx(plain.up, rel=1e-6)


def test_nan_is_refused_and_blinds_nothing() -> None:
    values = np.random.default_rng(17).normal(0, 1, 100)
    values[70:] += 3.0
    clean, offered = detector(), detector()
    for number, value in enumerate(values):
        clean.update(float(value))
        if number % 10 == 0:
            for bad in (math.nan, math.inf, -math.inf):
                stood = offered.alarmed
                assert offered.update(bad) is stood
        offered.update(float(value))
    assert offered.alarmed_at == clean.alarmed_at > 0
    assert offered.refused == 30
    offered.refused = 0
    assert offered == clean


def test_state_survives_a_restart_anywhere() -> None:
    values = np.random.default_rng(18).normal(0, 1, 90)
    values[60:] += 1.5
    steady, restarted = detector(), detector()
    for value in values:
        steady.update(float(value))
        restarted.update(float(value))
        restarted = SelfStartingPageHinkley.from_state(json.loads(json.dumps(restarted.to_state())))
    assert restarted == steady
    assert restarted.alarmed


def test_the_alarm_stands_until_reset() -> None:
    watch = detector(3.0, 5)
    for value in (1.0, 1.1, 0.9, 1.05, 0.95, 9.0):
        watch.update(value)
    assert watch.alarmed
    assert watch.update(1.0)
    watch.reset()
    assert watch == detector(3.0, 5)


def test_a_constant_series_is_calm_until_it_is_not() -> None:
    watch = detector()
    assert not any(watch.update(7.0) for _ in range(50))
    assert watch.ready
    assert watch.update(7.001)


def test_before_the_warm_up_is_over_it_says_so() -> None:
    watch = detector(warm_up=10)
    for value in (0.0, 1.0, 100.0, -50.0):
        assert not watch.update(value)
    assert not watch.ready


def test_bad_settings_and_states_are_refused() -> None:
    for allowance, threshold, warm_up in (
        (-1.0, 5.0, 20),
        (math.nan, 5.0, 20),
        (0.5, 0.0, 20),
        (0.5, math.nan, 20),
        (0.5, 5.0, 2),
    ):
        with pytest.raises(InvalidInput):
            SelfStartingPageHinkley(allowance=allowance, threshold=threshold, warm_up=warm_up)
    good = detector().to_state()
    for broken in (
        {},
        {**good, "mean": math.nan},
        {**good, "more": 1},
        {**good, "count": 1.5},
        {**good, "count": -1},
    ):
        with pytest.raises(InvalidInput):
            SelfStartingPageHinkley.from_state(broken)
    with pytest.raises(InvalidInput):
        SelfStartingPageHinkley.from_state({**good, "up": "high"})


@pytest.mark.parametrize("size", [1, 7, 300])
def test_a_batch_is_the_same_as_one_by_one(size: int) -> None:
    values = np.random.default_rng(19).normal(0, 1, 300)
    values[200:] += 1.5
    values[::9] = np.nan
    one, many = detector(), detector()
    alarmed = [i for i, value in enumerate(values) if one.update(float(value))][:1]
    found = [i + at for at in range(0, 300, size) for i in many.update_many(values[at : at + size])]
    assert found == alarmed != []
    assert many == one
