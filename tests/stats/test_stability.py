"""What PSI does by chance: exact on small tables, and as stated for sparse and skewed shares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from tests.stats.conftest import Measure

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats import stability
from trimtab.stats.stability import psi_null_of_counts
from trimtab.stats.univariate import PsiNull, psi_from_counts, psi_null

Counts = NDArray[np.int64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1979)


def variance(law: PsiNull) -> float:
    return 2.0 * law.dof * law.scale**2


def every_deal(both: list[int], n: int) -> tuple[float, float]:
    """Mean and variance of PSI over all ways to give n rows to the reference."""
    rows = np.array(both)
    deals = [
        np.array(deal)
        for deal in itertools.product(*(range(t + 1) for t in both))
        if sum(deal) == n
    ]
    chances = scipy.stats.multivariate_hypergeom.pmf(deals, m=rows, n=n)
    found = np.array([psi_from_counts(deal, rows - deal) for deal in deals])
    mean = float(chances @ found)
    return mean, float(chances @ (found - mean) ** 2)


def drawn(
    rng: np.random.Generator, shares: NDArray[np.float64], n: int, m: int
) -> tuple[Counts, Counts]:
    """Two draws of the same shares, over the categories that either has."""
    r, c = rng.multinomial(n, shares), rng.multinomial(m, shares)
    there = (r > 0) | (c > 0)
    return r[there], c[there]


def falling(categories: int, power: float) -> NDArray[np.float64]:
    """Shares that fall with the rank."""
    weights = 1.0 / np.arange(1, categories + 1) ** power
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize(
    ("both", "n"),
    [
        ([1, 1], 1),
        ([7, 5], 4),
        ([9, 1], 5),
        ([3, 2, 1, 4], 4),
        ([1, 1, 1, 1, 1, 1, 2], 3),
        ([2, 2, 2, 2, 2, 2], 6),
        ([12, 3, 1, 1, 1], 9),
        ([5, 0, 5, 4], 8),
        ([20, 6, 6], 25),
    ],
)
def test_the_mean_is_that_of_all_deals_and_the_variance_nearly(both: list[int], n: int) -> None:
    mean, spread = every_deal(both, n)
    before = np.array(both)
    now = before.copy()
    left = n
    for place, rows in enumerate(both):  # any deal will do: only the margins count
        before[place] = min(rows, left)
        now[place] = rows - before[place]
        left -= before[place]
    law = psi_null_of_counts(before, now)
    assert law.mean == pytest.approx(mean, rel=1e-9)
    assert variance(law) == pytest.approx(max(spread, (1e-3 * mean) ** 2), rel=0.03)


SKEWED = {
    "two, one rare": (np.array([0.97, 0.03]), 100, 100),
    "three, one rare": (np.array([0.9, 0.08, 0.02]), 100, 1000),
    "ten even, short": (falling(10, 0.0), 100, 100),
    "ten skewed, short": (falling(10, 1.0), 100, 100),
    "steep, against few": (falling(20, 2.0), 10_000, 100),
    "fifty even": (falling(50, 0.0), 1000, 200),
    "fifty skewed": (falling(50, 1.0), 1000, 200),
    "five hundred, short": (falling(500, 1.0), 100, 100),
    "five hundred even": (falling(500, 0.0), 1000, 1000),
    "nearly all single": (falling(2000, 0.0), 100, 110),
    "five thousand": (falling(5000, 1.0), 10_000, 2000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SKEWED)
def test_simulated_psi_has_the_stated_mean_and_quantiles(
    name: str, rng: np.random.Generator, measure: Measure
) -> None:
    shares, n, m = SKEWED[name]
    pairs = [drawn(rng, shares, n, m) for _ in range(1200)]
    found = [psi_from_counts(r, c) for r, c in pairs if r.size > 1]
    laws = [psi_null_of_counts(r, c) for r, c in pairs if r.size > 1]
    stated = float(np.mean([law.mean for law in laws]))
    assert float(np.mean(found)) == pytest.approx(stated, rel=0.05)
    chances = [law.p_value(psi) for psi, law in zip(found, laws, strict=True)]
    for level in (0.05, 0.01):
        seen = measure(p <= level for p in chances)  # beyond the quantile of 1 - level
        assert seen.low <= level, seen
        assert sum(p <= level for p in chances) >= level / 3.0 * len(chances), seen


def test_without_the_covariances_two_categories_would_seem_steadier() -> None:
    law = psi_null_of_counts(np.array([500, 500]), np.array([490, 510]))
    assert law.dof == pytest.approx(1.0, rel=0.01)  # two independent terms would have 2


@pytest.mark.parametrize(("n", "m"), [(100_000, 100_000), (1_000_000_000, 20_000)])
def test_with_many_rows_it_is_the_law_of_chi_squared(
    n: int, m: int, rng: np.random.Generator
) -> None:
    r, c = drawn(rng, falling(10, 0.5), n, m)
    law, limit = psi_null_of_counts(r, c), psi_null(10, n, m)
    assert law.mean == pytest.approx(limit.mean, rel=0.005)
    assert law.dof == pytest.approx(limit.dof, rel=0.005)


def test_many_different_totals_are_read_off_between_a_few(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    r, c = drawn(rng, falling(3000, 1.0), 300_000, 20_000)
    assert np.unique(r + c).size > 300
    few = psi_null_of_counts(r, c)
    monkeypatch.setattr(stability, "_NODES", 10_000)
    all_of_them = psi_null_of_counts(r, c)
    assert few != all_of_them
    assert few.mean == pytest.approx(all_of_them.mean, rel=1e-3)
    assert few.dof == pytest.approx(all_of_them.dof, rel=2e-3)


def test_sides_may_be_swapped_and_categories_be_in_any_order(rng: np.random.Generator) -> None:
    r, c = drawn(rng, falling(200, 1.0), 2000, 300)
    law, back = psi_null_of_counts(r, c), psi_null_of_counts(c, r)
    order = rng.permutation(r.size)
    for other in (back, psi_null_of_counts(r[order], c[order])):
        assert other.mean == pytest.approx(law.mean, rel=1e-6)
        assert other.dof == pytest.approx(law.dof, rel=1e-5)


def test_what_is_the_same_for_every_deal_is_not_beyond_chance() -> None:
    r, c = np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])
    law, psi = psi_null_of_counts(r, c), psi_from_counts(r, c)
    assert law.mean == pytest.approx(psi)
    assert psi < law.quantile(0.95) < 1.01 * psi


def test_what_cannot_be_dealt_is_refused() -> None:
    for bad in (np.array([1, 2, 3]), np.array([-1, 2]), np.array([0.5, 1.0])):
        with pytest.raises(InvalidInput):
            psi_null_of_counts(np.array([1, 2]), bad)
    for short in (np.array([0, 0]), np.array([3, 0])):
        with pytest.raises(TooFewValues):
            psi_null_of_counts(np.array([3, 0]), short)
