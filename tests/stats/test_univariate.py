from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.univariate import (
    jensen_shannon,
    jensen_shannon_from_counts,
    jensen_shannon_noise,
    kolmogorov_smirnov,
    population_stability_index,
    psi_from_counts,
    psi_noise,
    psi_null,
    quantile_edges,
    spread,
    wasserstein,
    wasserstein_scaled,
)

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


# -- population stability index -------------------------------------------------------------


def test_psi_is_the_symmetric_divergence_of_smoothed_shares(rng: np.random.Generator) -> None:
    r, c = rng.normal(size=1000), rng.normal(0.4, 1.2, size=700)
    edges = np.quantile(r, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    p = np.histogram(r, edges)[0] + 0.5
    q = np.histogram(c, edges)[0] + 0.5
    p, q = p / p.sum(), q / q.sum()
    expected = scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p)
    assert population_stability_index(r, c) == pytest.approx(expected, rel=1e-12)


def test_psi_without_drift_exceeds_its_noise_as_often_as_stated(
    rng: np.random.Generator, measure: Measure
) -> None:
    for n, m, sims in ((5000, 200, 600), (2000, 1000, 600)):
        limit = psi_noise(10, n, m, level=0.05)
        seen = measure(
            population_stability_index(rng.normal(size=n), rng.normal(size=m)) > limit
            for _ in range(sims)
        )
        assert seen.low <= 0.05 <= seen.high + 0.015, seen


def test_psi_finds_a_shift_of_three_tenths(rng: np.random.Generator, measure: Measure) -> None:
    limit = psi_noise(10, 5000, 500, level=0.01)
    reference = rng.normal(size=5000)
    seen = measure(
        population_stability_index(reference, rng.normal(0.3, 1, size=500)) > limit
        for _ in range(300)
    )
    assert seen.low > 0.97, seen


def test_a_column_that_is_mostly_one_value_still_has_bins(rng: np.random.Generator) -> None:
    for share, value in ((0.95, 0.0), (0.95, 100.0), (0.6, 0.0), (0.6, 100.0)):
        reference = rng.uniform(1, 99, size=4000)
        reference[: int(4000 * share)] = value
        assert quantile_edges(reference, bins=10).size >= 1
        changed = rng.uniform(1, 99, size=1000)
        changed[: int(1000 * (share - 0.15))] = value
        assert population_stability_index(reference, changed) > 0.05


def test_psi_answers_no_question_without_data() -> None:
    column = np.linspace(0, 1, 200)
    with pytest.raises(TooFewValues):
        population_stability_index(column[:99], column)
    with pytest.raises(TooFewValues):
        population_stability_index(column, column[:99])
    with pytest.raises(TooFewValues, match="constant"):
        population_stability_index(np.ones(200), column)
    with pytest.raises(InvalidInput):
        population_stability_index(column, np.append(column, np.nan))
    with pytest.raises(InvalidInput):
        population_stability_index(column, column, bins=1)


def test_an_emptied_bin_weighs_heavily_but_not_infinitely() -> None:
    p, q = np.array([60.5, 40.5]) / 101, np.array([100.5, 0.5]) / 101
    expected = scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p)
    found = psi_from_counts(np.array([60, 40]), np.array([100, 0]))
    assert found == pytest.approx(expected, rel=1e-12)


def test_counts_must_share_bins() -> None:
    one, two = np.array([1, 2]), np.array([1, 2, 3])
    for bad in (two, np.array([-1, 2])):
        with pytest.raises(InvalidInput):
            psi_from_counts(one, bad)
    with pytest.raises(TooFewValues):
        psi_from_counts(one, np.array([0, 0]))


def test_noise_is_asked_for_with_a_false_alarm_rate() -> None:
    expected = scipy.stats.chi2.ppf(0.99, 9) * (1 / 1000 + 1 / 200)
    assert psi_noise(10, 1000, 200, level=0.01) == pytest.approx(expected, rel=1e-10)
    with pytest.raises(InvalidInput):
        psi_noise(10, 1000, 200, level=0.99)
    with pytest.raises(InvalidInput):
        psi_noise(1, 1000, 200, level=0.01)
    with pytest.raises(TooFewValues):
        psi_noise(10, 1000, 0, level=0.01)


@pytest.mark.parametrize("n", [500, 1000, 10_000, 100_000])
def test_simulated_psi_has_the_mean_and_the_quantiles_of_its_law(
    n: int, rng: np.random.Generator, measure: Measure
) -> None:
    shares = np.full(10, 0.1)
    found = np.array(
        [
            psi_from_counts(r, c)
            for r, c in zip(
                rng.multinomial(n, shares, size=2000),
                rng.multinomial(n, shares, size=2000),
                strict=True,
            )
        ]
    )
    law = psi_null(10, n, n)
    assert found.mean() == pytest.approx(law.mean, rel=0.05)
    assert law.mean == pytest.approx(9 * 2 / n)
    seen = measure(law.p_value(psi) <= 0.05 for psi in found)
    assert seen.low <= 0.05 <= seen.high, seen
    assert law.quantile(0.95) == psi_noise(10, n, n, level=0.05)
    assert law.p_value(law.quantile(0.95)) == pytest.approx(0.05, rel=1e-9)


def test_the_law_of_psi_needs_bins_and_values() -> None:
    with pytest.raises(InvalidInput):
        psi_null(1, 100, 100)
    with pytest.raises(TooFewValues):
        psi_null(10, 0, 100)
    with pytest.raises(InvalidInput):
        psi_null(10, 100, 100).p_value(-0.1)
    with pytest.raises(InvalidInput):
        psi_null(10, 100, 100).quantile(1.0)


# -- Jensen and Shannon ---------------------------------------------------------------------


def test_jensen_shannon_agrees_with_scipy(rng: np.random.Generator) -> None:
    for shift in (0.0, 0.3, 5.0):
        r, c = rng.normal(size=1000), rng.normal(shift, 1, size=700)
        edges = np.quantile(r, np.linspace(0, 1, 11))
        edges[0], edges[-1] = -np.inf, np.inf
        before, now = np.histogram(r, edges)[0], np.histogram(c, edges)[0]
        expected = scipy.spatial.distance.jensenshannon(before, now, base=2)
        found = jensen_shannon(r, c)
        assert found.distance == pytest.approx(expected, rel=1e-9)
        assert found.divergence == pytest.approx(expected**2, rel=1e-9)
        assert jensen_shannon_from_counts(before, now) == found
    same = np.array([5, 0, 3])
    assert jensen_shannon_from_counts(same, same * 4) == (0.0, 0.0)
    with pytest.raises(TooFewValues):
        jensen_shannon(np.arange(99.0), np.arange(200.0))
    with pytest.raises(InvalidInput):
        jensen_shannon_from_counts(same, np.array([1, -1, 1]))


def test_jensen_shannon_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    limit = jensen_shannon_noise(10, 5000, 500, level=0.05)
    calm = measure(
        jensen_shannon(rng.normal(size=5000), rng.normal(size=500)).divergence > limit
        for _ in range(800)
    )
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    moved = measure(
        jensen_shannon(rng.normal(size=5000), rng.normal(0.3, 1, size=500)).divergence > limit
        for _ in range(200)
    )
    assert moved.low > 0.95, moved


# -- Kolmogorov and Smirnov -----------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(20, 20), (50, 400), (1000, 300), (5000, 5000)])
@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_ks_agrees_with_scipy(rng: np.random.Generator, n: int, m: int, decimals: int) -> None:
    for shift in (0.0, 0.1, 0.3):
        r = np.round(rng.normal(size=n), decimals)
        c = np.round(rng.normal(shift, 1, size=m), decimals)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # scipy's exact method gives up
            exact = scipy.stats.ks_2samp(r, c, method="exact" if n * m < 10_000 else "asymp")
        ours = kolmogorov_smirnov(r, c, exact_up_to=0)
        assert ours.statistic == pytest.approx(exact.statistic, abs=1e-12)
        assert ours.p_value == pytest.approx(exact.pvalue, abs=0.08 if n < 50 else 0.03)
        if exact.pvalue < 0.1:  # where it is judged
            assert ours.p_value == pytest.approx(exact.pvalue, abs=0.02)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (8, 31), (60, 60), (100, 99), (97, 103), (40, 400)])
def test_the_exact_p_value_agrees_with_scipy(n: int, m: int, rng: np.random.Generator) -> None:
    for shift in (0.0, 0.4, 1.0, 4.0):
        r, c = rng.normal(size=n), rng.normal(shift, 1, size=m)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = scipy.stats.ks_2samp(r, c, method="exact").pvalue
        assert kolmogorov_smirnov(r, c, exact_up_to=n * m).p_value == pytest.approx(
            expected, rel=1e-9
        )
    assert kolmogorov_smirnov(r, r).p_value == 1.0


def test_the_switch_to_the_asymptotic_law_is_an_argument(rng: np.random.Generator) -> None:
    r, c = rng.normal(size=20), rng.normal(0.5, 1, size=20)
    exact = kolmogorov_smirnov(r, c)
    assert kolmogorov_smirnov(r, c, exact_up_to=400) == exact
    assert kolmogorov_smirnov(r, c, exact_up_to=399).p_value != exact.p_value


def test_exact_ks_false_alarms(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(
        kolmogorov_smirnov(rng.normal(size=30), rng.normal(size=47)).p_value <= 0.05
        for _ in range(800)
    )
    assert calm.low <= 0.05 <= calm.high + 0.01, calm


def test_ks_false_alarms_and_power(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(
        kolmogorov_smirnov(rng.normal(size=500), rng.normal(size=300)).p_value <= 0.05
        for _ in range(1500)
    )
    assert calm.low <= 0.05 <= calm.high + 0.01, calm
    moved = measure(
        kolmogorov_smirnov(rng.normal(size=500), rng.normal(0.4, 1, size=300)).p_value <= 0.05
        for _ in range(300)
    )
    assert moved.low > 0.95, moved


def test_ks_with_ties_errs_towards_calm(rng: np.random.Generator, measure: Measure) -> None:
    calm = measure(
        kolmogorov_smirnov(
            rng.poisson(2, 500).astype(np.float64), rng.poisson(2, 300).astype(np.float64)
        ).p_value
        <= 0.05
        for _ in range(600)
    )
    assert calm.high <= 0.06, calm


def test_ks_refuses_too_little() -> None:
    with pytest.raises(TooFewValues):
        kolmogorov_smirnov(np.arange(7.0), np.arange(50.0))
    with pytest.raises(InvalidInput):
        kolmogorov_smirnov(np.append(np.arange(9.0), np.nan), np.arange(50.0))


# -- Wasserstein ----------------------------------------------------------------------------

columns = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(columns, columns)
def test_wasserstein_agrees_with_scipy(r: list[float], c: list[float]) -> None:
    expected = scipy.stats.wasserstein_distance(r, c)
    ours = wasserstein(np.array(r), np.array(c))
    assert ours == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert ours == pytest.approx(wasserstein(np.array(c), np.array(r)), rel=1e-9, abs=1e-9)


def test_scaled_wasserstein_does_not_know_the_unit(rng: np.random.Generator) -> None:
    r, c = rng.gamma(2, 10, size=800), rng.gamma(2, 12, size=500)
    metres = wasserstein_scaled(r, c)
    assert wasserstein_scaled(r * 3.28084, c * 3.28084) == pytest.approx(metres, rel=1e-12)
    assert wasserstein_scaled(r + 1000, c + 1000) == pytest.approx(metres, rel=1e-9)


def test_scaled_wasserstein_false_alarms_and_power(
    rng: np.random.Generator, measure: Measure
) -> None:
    limit = 0.1  # of the interquartile range
    calm = measure(
        wasserstein_scaled(rng.normal(size=2000), rng.normal(size=1000)) > limit for _ in range(600)
    )
    assert calm.high < 0.02, calm
    moved = measure(
        wasserstein_scaled(rng.normal(size=2000), rng.normal(0.25, 1, size=1000)) > limit
        for _ in range(600)
    )
    assert moved.low > 0.97, moved


def test_spread_falls_back_and_refuses() -> None:
    mostly = np.append(np.zeros(90), np.arange(1.0, 11.0))
    assert spread(mostly) == pytest.approx(mostly.std())
    with pytest.raises(TooFewValues, match="constant"):
        wasserstein_scaled(np.ones(50), np.arange(50.0))
    with pytest.raises(TooFewValues):
        wasserstein(np.array([]), np.arange(50.0))
