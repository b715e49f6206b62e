from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics.pairwise

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats import multivariate
from trimtab.stats.intervals import Interval
from trimtab.stats.multivariate import (
    energy_distance,
    mmd,
    sliced_wasserstein,
    standardised,
)
from trimtab.stats.univariate import wasserstein

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2012)


def correlated(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """Two standard normal columns; only their correlation can change."""
    z = rng.normal(size=(n, 2))
    z[:, 1] = correlation * z[:, 0] + np.sqrt(1.0 - correlation**2) * z[:, 1]
    return z


def test_mmd_is_the_unbiased_estimate_of_its_kernel(rng: np.random.Generator) -> None:
    r, c = rng.normal(size=(90, 3)), rng.normal(0.2, 1, size=(70, 3))
    found = mmd(r, c, bandwidth=1.7, permutations=19)
    gamma = 1.0 / (2.0 * 1.7**2)
    rr, cc, rc = (
        sklearn.metrics.pairwise.rbf_kernel(a, b, gamma=gamma) for a, b in ((r, r), (c, c), (r, c))
    )
    expected = (
        (rr.sum() - np.trace(rr)) / (90 * 89)
        + (cc.sum() - np.trace(cc)) / (70 * 69)
        - 2 * rc.mean()
    )
    assert found.statistic == pytest.approx(expected, rel=1e-9, abs=1e-12)
    median = np.median(scipy.spatial.distance.pdist(np.concatenate([r, c])))
    assert mmd(r, c, permutations=19).bandwidth == pytest.approx(median, rel=1e-9)


@pytest.mark.parametrize("block", [1, 7, 512])
def test_the_blocks_do_not_matter(
    block: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    r, c = rng.normal(size=(33, 2)), rng.normal(size=(20, 2))
    whole = mmd(r, c)
    monkeypatch.setattr(multivariate, "_BLOCK", block)
    parts = mmd(r, c)
    assert parts.statistic == pytest.approx(whole.statistic, rel=1e-9)
    assert parts.p_value == whole.p_value


def test_energy_distance_agrees_with_scipy_in_one_dimension(rng: np.random.Generator) -> None:
    for shift in (0.0, 0.5, 100.0):
        r, c = rng.normal(1000.0, 1.0, size=150), rng.normal(1000.0 + shift, 1.0, size=80)
        expected = scipy.stats.energy_distance(r, c)
        found = energy_distance(r[:, None], c[:, None], permutations=19)
        assert found.statistic == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("judge", [mmd, energy_distance])
def test_a_permutation_gives_what_it_would_as_data(
    judge: Callable[..., multivariate.Discrepancy], rng: np.random.Generator
) -> None:
    """The p-value counts statistics that other deals of the rows would have given."""
    points = rng.normal(size=(40, 2))
    r, c = points[:25], points[25:] + 0.6
    together = np.concatenate([r, c])
    seen = judge(r, c, permutations=999)
    again = []
    for _ in range(400):
        order = rng.permutation(40)
        again.append(judge(together[order[:25]], together[order[25:]], permutations=19).statistic)
    assert seen.p_value == pytest.approx(np.mean(np.array(again) >= seen.statistic), abs=0.05)


@pytest.mark.parametrize("judge", [mmd, energy_distance])
def test_false_alarms_and_power(
    judge: Callable[..., multivariate.Discrepancy], rng: np.random.Generator, measure: Measure
) -> None:
    calm = measure(
        judge(correlated(rng, 60, 0.5), correlated(rng, 40, 0.5), permutations=39).p_value <= 0.05
        for _ in range(600)
    )
    assert calm.low <= 0.05 <= calm.high, calm
    turned = measure(
        judge(correlated(rng, 300, 0.8), correlated(rng, 200, -0.8), permutations=39).p_value
        <= 0.05
        for _ in range(30)
    )
    assert turned.low > 0.8, turned  # no column by itself has changed
    shifted = measure(
        judge(correlated(rng, 200, 0.5), correlated(rng, 100, 0.5) + 0.6, permutations=39).p_value
        <= 0.05
        for _ in range(50)
    )
    assert shifted.low > 0.85, shifted


def test_slices_of_one_column_are_exact(rng: np.random.Generator) -> None:
    r, c = rng.gamma(2, size=300), rng.gamma(3, size=200)
    assert sliced_wasserstein(r[:, None], c[:, None]) == (
        multivariate.Sliced(wasserstein(r, c), 0.0)
    )


def test_slices_of_a_shift_and_their_stated_error(
    rng: np.random.Generator, measure: Measure
) -> None:
    r = rng.normal(size=(100, 3))
    c = r + np.array([1.0, 0.0, 0.0])
    truth = 0.5  # mean length of one coordinate of a random direction in three dimensions
    found = [sliced_wasserstein(r, c, projections=60, seed=seed) for seed in range(400)]
    held = measure(abs(f.distance - truth) <= 1.96 * f.standard_error for f in found)
    assert held.low <= 0.95 <= held.high + 0.01, held
    few = np.std([sliced_wasserstein(r, c, projections=15, seed=s).distance for s in range(200)])
    many = np.std([f.distance for f in found])
    assert few / many == pytest.approx(2.0, rel=0.25)


@pytest.mark.slow
def test_slices_see_what_no_column_shows(rng: np.random.Generator, measure: Measure) -> None:
    def distance(correlation: float) -> float:
        return sliced_wasserstein(
            correlated(rng, 1000, 0.8), correlated(rng, 500, correlation), projections=50
        ).distance

    calm = measure(distance(0.8) > 0.13 for _ in range(300))
    assert calm.high < 0.05, calm
    turned = measure(distance(0.0) > 0.13 for _ in range(100))
    assert turned.low > 0.9, turned


def test_the_same_seed_gives_the_same_answer(rng: np.random.Generator) -> None:
    r, c = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    assert mmd(r, c, seed=3) == mmd(r, c, seed=3)
    assert sliced_wasserstein(r, c, seed=3) == sliced_wasserstein(r, c, seed=3)
    assert sliced_wasserstein(r, c, seed=3) != sliced_wasserstein(r, c, seed=4)


def test_one_scale_for_all_columns(rng: np.random.Generator) -> None:
    r, c = rng.normal(size=(50, 3)) * [1, 1000, 0] + 5, rng.normal(size=(30, 3))
    scaled, _ = standardised(r, c)
    assert scaled.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-9)
    assert scaled.std(axis=0) == pytest.approx([1, 1, 0], abs=1e-9)


def test_points_that_are_none_are_refused(rng: np.random.Generator) -> None:
    good = rng.normal(size=(30, 2))
    for judge in (mmd, energy_distance, sliced_wasserstein, standardised):
        with pytest.raises(TooFewValues):
            judge(good[:1], good)
        for bad in (good[:, :1], good[:, 0], np.full((30, 2), np.nan), [["a", "b"]] * 5):
            with pytest.raises(InvalidInput):
                judge(good, bad)
    broken = good.copy()
    broken[3, 1] = np.inf
    with pytest.raises(InvalidInput, match="1 of 30 rows"):
        mmd(broken, good)
    for judge in (mmd, energy_distance):
        with pytest.raises(TooFewValues):
            judge(np.ones((5, 2)), np.ones((5, 2)))
        with pytest.raises(InvalidInput):
            judge(good, good, permutations=5)
    with pytest.raises(InvalidInput):
        mmd(good, good, bandwidth=0.0)
    with pytest.raises(InvalidInput):
        sliced_wasserstein(good, good, projections=1)


@pytest.mark.parametrize("judge", [mmd, energy_distance])
def test_permutations_are_drawn_evenly_from_all_deals(
    judge: Callable[..., multivariate.Discrepancy], rng: np.random.Generator
) -> None:
    points = rng.normal(size=(6, 2))
    how = {"bandwidth": 1.0} if judge is mmd else {}
    seen = judge(points[:4], points[4:], permutations=5000, **how)
    as_far = []
    for chosen in itertools.combinations(range(6), 4):
        rest = [i for i in range(6) if i not in chosen]
        dealt = judge(points[list(chosen)], points[rest], permutations=19, **how)
        as_far.append(dealt.statistic >= seen.statistic - 1e-12)
    assert seen.p_value == pytest.approx(np.mean(as_far), abs=0.03)
