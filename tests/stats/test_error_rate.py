"""The detector of errors whose false-alarm rate is stated: the bound, chance, and power."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.ddm import DDM
from trimtab.stats.error_rate import ErrorRateCusum
from trimtab.stats.intervals import Interval, clopper_pearson

Measure = Callable[[Iterable[bool]], Interval]


def detector(
    warm_up: int = 1000, ratio: float = 1.5, run_length: float = 1e6, level: float = 0.01
) -> ErrorRateCusum:
    return ErrorRateCusum(warm_up=warm_up, ratio=ratio, run_length=run_length, level=level)


def errors(rng: np.random.Generator, rate: float, n: int) -> np.ndarray:
    return (rng.random(n) < rate).astype(np.float64)


def knowing(rate: float, *, ratio: float, run_length: float) -> ErrorRateCusum:
    """One that begins with the true rate as its baseline, and never looks at it again."""
    state = detector(warm_up=1, ratio=ratio, run_length=run_length).to_state()
    return ErrorRateCusum.from_state({**state, "bound": rate, "next_look": 10**9})


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3])
def test_the_baseline_is_too_low_no_more_often_than_the_level(
    rate: float, measure: Measure
) -> None:
    rng = np.random.default_rng(71)
    lows = []
    for _ in range(400):
        watch = detector(warm_up=20, run_length=1e100, level=0.2)
        watch.update_many(errors(rng, rate, 5000))
        lows.append(watch.bound < rate)
    found = measure(lows)
    assert found.high < 0.2, found


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.4])
@pytest.mark.parametrize("ratio", [1.05, 3.0])
def test_false_alarms_against_the_true_rate_keep_the_bound(
    rate: float, ratio: float, measure: Measure
) -> None:
    """Within n values, n / run length at most: 2,000 of 20,000."""
    rng = np.random.default_rng(72)
    alarms = (
        knowing(rate, ratio=ratio, run_length=20_000.0).update_many(errors(rng, rate, 2000)).size
        > 0
        for _ in range(1000)
    )
    found = measure(alarms)
    assert found.high < 0.1, found


@pytest.mark.parametrize("rate", [0.002, 0.05])
def test_a_bet_never_gains_on_average(rate: float) -> None:
    """The mean of all bets made from a start is 1 at the baseline: what the bound rests on."""
    rng = np.random.default_rng(73)
    products = []
    for _ in range(4000):
        watch = knowing(rate, ratio=2.0, run_length=1e100)
        product = 1.0
        for error in errors(rng, rate, 25).tolist():
            before = watch.evidence if watch.evidence > 1.0 else 1.0
            watch.update(error)
            product *= watch.evidence / before
        products.append(product)
    spread = 4.0 * float(np.std(products)) / math.sqrt(len(products))
    assert np.mean(products) == pytest.approx(1.0, abs=spread)
    assert spread < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.01])
def test_rare_errors_give_no_false_alarm(rate: float, measure: Measure) -> None:
    """What the reference states, with fewer runs; the bound would be 0.21."""
    rng = np.random.default_rng(74)
    found = measure(detector().update_many(errors(rng, rate, 200_000)).size > 0 for _ in range(150))
    assert found.high < 0.05, found


def test_where_ddm_alarms_at_nothing_this_stays_calm() -> None:
    values = errors(np.random.default_rng(75), 0.001, 200_000)
    assert DDM().update_many(values).size > 20
    assert detector().update_many(values).tolist() == []
    assert detector(warm_up=30).update_many(values).tolist() == []


@pytest.mark.parametrize(
    ("before", "after", "at", "within"),
    [(0.001, 0.01, 30_000, 6000), (0.01, 0.03, 30_000, 4000), (0.1, 0.2, 30_000, 1000)],
)
def test_power_under_named_rises(
    before: float, after: float, at: int, within: int, measure: Measure
) -> None:
    rng = np.random.default_rng(76)
    hits = []
    for _ in range(150):
        values = np.append(errors(rng, before, at), errors(rng, after, within))
        alarms = detector().update_many(values)
        hits.append(alarms.size > 0 and alarms[0] >= at)
    found = measure(hits)
    assert found.low > 0.9, found


def test_a_rise_never_lifts_its_own_baseline() -> None:
    watch = detector(ratio=50.0)
    rng = np.random.default_rng(77)
    watch.update_many(errors(rng, 0.01, 20_000))
    before = watch.bound
    watch.update_many(errors(rng, 0.02, 200_000))
    assert watch.looks > 10
    assert watch.bound == before


@pytest.mark.parametrize("ratio", [1.05, 3.0, 100.0])
def test_long_runs_of_bets_are_the_same_one_by_one(ratio: float) -> None:
    """Long enough that the rate of a run falls below the least that is bet on."""
    rng = np.random.default_rng(78)
    one, many = detector(ratio=ratio, run_length=1e9), detector(ratio=ratio, run_length=1e9)
    for rate in (0.1, 0.13, 0.16, 0.05, 0.3):
        values = errors(rng, rate, 4000)
        alarms = [i for i, error in enumerate(values.tolist()) if one.update(error)]
        assert many.update_many(values).tolist() == alarms
        assert many == one


def test_a_clean_warm_up_is_no_proof_that_errors_do_not_exist() -> None:
    watch = detector(warm_up=1000)
    watch.update_many(np.zeros(1000))
    assert watch.ready
    assert watch.bound == pytest.approx(clopper_pearson(0, 1000, confidence=0.99).high)
    assert not any(watch.update(1.0) for _ in range(3))
    assert any(watch.update(1.0) for _ in range(20))


def test_where_everything_is_an_error_nothing_can_rise() -> None:
    watch = detector(warm_up=10)
    assert watch.update_many(np.ones(500)).tolist() == []
    assert watch.bound == 1.0
    assert not watch.ready


def test_settings_and_states_out_of_range_are_refused() -> None:
    for name, value in (
        ("warm_up", 0),
        ("ratio", 1.0),
        ("ratio", math.nan),
        ("run_length", 1.0),
        ("run_length", math.inf),
        ("level", 0.0),
        ("level", 0.6),
    ):
        wanted = {"warm_up": 10, "ratio": 1.5, "run_length": 1e6, "level": 0.01, name: value}
        with pytest.raises(InvalidInput) as caught:
            ErrorRateCusum(**wanted)  # type: ignore[arg-type]  # the warm-up is whole
        assert caught.value.field == name
    good = detector().to_state()
    for broken in (
        {"bound": 0.0},
        {"bound": 1.5},
        {"evidence": -1.0},
        {"errors": 1},
        {"count": 1000},
        {"run_errors": 1},
    ):
        with pytest.raises(InvalidInput):
            ErrorRateCusum.from_state({**good, **broken})
