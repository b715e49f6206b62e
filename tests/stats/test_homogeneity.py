from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.categorical import chi_squared, total_variation, total_variation_noise
from trimtab.stats.homogeneity import conditional_chi_squared, permuted_homogeneity
from trimtab.stats.intervals import Interval

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1933)


def zipf(k: int) -> np.ndarray:
    weights = 1.0 / np.arange(1, k + 1)
    return np.asarray(weights / weights.sum())


def deals(both: list[int], n: int) -> Iterable[tuple[np.ndarray, float]]:
    """Every deal of the rows of both sides, with its probability."""
    for r in itertools.product(*(range(t + 1) for t in both)):
        if sum(r) == n:
            ways = math.prod(math.comb(t, x) for t, x in zip(both, r, strict=True))
            yield np.array(r), ways / math.comb(sum(both), n)


@pytest.mark.parametrize(("both", "n"), [([3, 2, 1, 4], 4), ([1, 1, 5], 3), ([2, 2, 2], 3)])
def test_moments_and_noise_are_those_of_all_deals(both: list[int], n: int) -> None:
    margins = np.array(both)
    mean = square = variation = 0.0
    for r, chance in deals(both, n):
        table = np.stack([r, margins - r])
        statistic = scipy.stats.chi2_contingency(table, correction=False).statistic
        found = conditional_chi_squared(r, margins - r)
        assert found.statistic == pytest.approx(statistic, abs=1e-10)
        mean, square = mean + chance * statistic, square + chance * statistic**2
        variation += chance * total_variation(r, margins - r)
        noise = total_variation_noise(r, margins - r)
    assert found.mean == pytest.approx(mean, rel=1e-10)
    assert found.variance == pytest.approx(square - mean**2, rel=1e-9)
    assert noise == pytest.approx(variation, rel=1e-10)


def test_with_many_rows_it_is_the_ordinary_test(rng: np.random.Generator) -> None:
    for shift in (0.0, 0.003):
        p = np.full(8, 1 / 8)
        r, c = rng.multinomial(10**6, p), rng.multinomial(10**6, p + shift * np.array([1, -1] * 4))
        usual, ours = chi_squared(r, c), conditional_chi_squared(r, c)
        assert ours.p_value == pytest.approx(usual.p_value, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("law", [np.full(5000, 1 / 5000), zipf(5000)], ids=["even", "zipf"])
def test_false_alarms_and_power_with_5000_categories(
    law: np.ndarray, rng: np.random.Generator, measure: Measure
) -> None:
    calm, excess = [], []
    for _ in range(400):
        r, c = rng.multinomial(20_000, law, size=2)
        calm.append(conditional_chi_squared(r, c).p_value <= 0.05)
        excess.append(total_variation(r, c) - total_variation_noise(r, c))
    seen = measure(calm)
    assert seen.low <= 0.05 <= seen.high, seen
    assert abs(np.mean(excess)) < 0.0005  # of about 0.2 that is noise
    moved = law.copy()
    half = law.size // 2  # every second category passes on a quarter of its rows
    moved[:half] *= 0.75
    moved[half:] += 0.25 * law[:half].sum() / half
    power = measure(
        conditional_chi_squared(
            rng.multinomial(20_000, law), rng.multinomial(20_000, moved)
        ).p_value
        <= 0.01
        for _ in range(60)
    )
    assert power.low > 0.85, power


def test_noise_exceeds_its_limit_less_often_than_stated(
    rng: np.random.Generator, measure: Measure
) -> None:
    def beyond(k: int) -> bool:
        r, c = rng.multinomial(2000, zipf(k)), rng.multinomial(500, zipf(k))
        return total_variation(r, c) > total_variation_noise(r, c, level=0.05)

    for k in (2, 1000):
        seen = measure(beyond(k) for _ in range(400))
        assert seen.low <= 0.05, seen


@pytest.mark.parametrize("statistic", ["chi_squared", "g", "total_variation"])
def test_permutations_keep_their_level_and_have_power(
    statistic: str, rng: np.random.Generator, measure: Measure
) -> None:
    def p_value(share: np.ndarray) -> float:
        r, c = rng.multinomial(300, zipf(60)), rng.multinomial(150, share)
        return permuted_homogeneity(r, c, statistic=statistic, permutations=99).p_value  # type: ignore[arg-type]

    calm = measure(p_value(zipf(60)) <= 0.05 for _ in range(400))
    assert calm.low <= 0.05 <= calm.high, calm
    power = measure(p_value(zipf(60)[::-1]) <= 0.05 for _ in range(40))
    assert power.low > 0.8, power


def test_permutations_agree_with_scipy_on_two_by_two() -> None:
    exact = scipy.stats.fisher_exact([[8, 2], [1, 5]]).pvalue
    found = permuted_homogeneity([8, 2], [1, 5], statistic="chi_squared", permutations=20_000)
    assert found.p_value == pytest.approx(exact, abs=0.004)
    assert found == permuted_homogeneity(
        [8, 2], [1, 5], statistic="chi_squared", permutations=20_000
    )


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(TooFewValues, match="no category has two rows"):
        conditional_chi_squared([1, 1, 0, 0], [0, 0, 1, 1])
    with pytest.raises(TooFewValues):
        conditional_chi_squared([5], [5])
    with pytest.raises(TooFewValues):
        conditional_chi_squared([1, 0], [1, 1])
    with pytest.raises(TooFewValues):
        permuted_homogeneity([5], [5])
    with pytest.raises(InvalidInput):
        permuted_homogeneity([5, 5], [5, 5], permutations=5)
    with pytest.raises(InvalidInput):
        permuted_homogeneity([5, 5], [5, 5], statistic="cosine")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="billion"):
        permuted_homogeneity([10**9, 5], [5, 5])


def test_no_p_value_is_smaller_than_the_deals_can_show() -> None:
    assert permuted_homogeneity([200, 0], [0, 200], permutations=99).p_value == 0.01
