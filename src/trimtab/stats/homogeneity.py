"""Do two sides have the same shares, when most of the categories are rare?

The chi-squared law of Pearson's statistic is a limit for many rows per category. A column with
5,000 categories and 20,000 rows has four, and pooling all that is rare leaves nothing to test.
Here every category keeps its place, and the law is the one given the margins: what chance does
when the rows of both sides are thrown together and dealt out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.counts import Countable, CountArray, aligned
from trimtab.stats.sample import Sample
from trimtab.stats.special import gamma_q

Homogeneity: TypeAlias = Literal["chi_squared", "g", "total_variation"]

_CELLS = 2_000_000  # counts held at once while permuting: 16 MB
_TOO_MANY = 1_000_000_000  # numpy's hypergeometric generator goes no further


class ConditionalChiSquared(NamedTuple):
    """Result of `conditional_chi_squared`: Pearson's statistic, its exact mean and variance
    when no share has changed, and the p-value."""

    statistic: float
    mean: float
    variance: float
    p_value: float


class Permuted(NamedTuple):
    """Result of a permutation test: the statistic, its mean over the permutations, the p-value."""

    statistic: float
    mean: float
    p_value: float


def conditional_chi_squared(
    reference_counts: Countable, current_counts: Countable
) -> ConditionalChiSquared:
    """Pearson's test over all categories, none pooled, valid when most of them are rare.

    Mean and variance of the statistic given the margins are exact for any counts, and a gamma
    law with these two gives the p-value. With many rows per category that is the chi-squared
    law. Costs a few operations per category.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.

    Raises:
        TooFewValues: nothing was counted on one side, fewer than two categories, or the
            statistic is the same for every deal (every category has one row, and the sides are
            equally large).
        InvalidInput: a count is negative or not whole, or the sides do not share categories.

    Source: Haldane (1940) for the moments; the gamma law (Pearson's type III) for permutation
    tests, Mielke and Berry (2007).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before, now = rng.multinomial(20_000, np.full(5_000, 1 / 5_000), size=2)
        >>> found = conditional_chi_squared(before, now)
        >>> round(found.mean), round(found.p_value, 3)
        (4997, 0.385)
    """
    r, c = aligned(reference_counts, current_counts)
    n, m = float(r.sum()), float(c.sum())
    mean, variance = _moments(r + c, n, m)
    statistic = _pearson(r[None, :], r + c, n, m)[0]
    shape = mean * mean / variance
    p_value = gamma_q(shape, max(0.0, float(statistic)) * mean / variance)
    return ConditionalChiSquared(float(statistic), mean, variance, p_value)


def permuted_homogeneity(
    reference_counts: Countable,
    current_counts: Countable,
    *,
    statistic: Homogeneity = "g",
    permutations: int = 999,
    seed: int = 0,
) -> Permuted:
    """A test with exact level for any statistic of two sides, however rare the categories are.

    The rows of both sides are dealt out anew, `permutations` times, from counts alone. The
    chance of a p-value of at most a level is at most the level, whatever the counts.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.
        statistic: "chi_squared", "g" (likelihood ratio) or "total_variation".
        permutations: Deals, 19 or more; the smallest p-value is 1 / (permutations + 1). About
            a second for 999 deals of 5,000 categories.
        seed: Of the deals; the same seed gives the same p-value.

    Raises:
        TooFewValues: nothing was counted on one side, or fewer than two categories.
        InvalidInput: a count is negative or not whole, the sides do not share categories, an
            unknown statistic, too few deals, or a billion rows and more.

    Source: Fisher (1935); Phipson and Smyth (2010) for the p-value that is never 0.

    Example:
        >>> before, now = {"a": 30, "b": 30, "c": 2}, {"a": 5, "b": 18, "c": 3}
        >>> permuted_homogeneity(before, now, statistic="total_variation").p_value
        0.026
    """
    measure = _STATISTICS.get(statistic)
    if measure is None:
        raise InvalidInput(
            f"no statistic {statistic!r}",
            field="statistic",
            remedy=f"one of {', '.join(_STATISTICS)}",
        )
    if permutations < 19:
        raise InvalidInput(f"{permutations} deals cannot show 0.05", field="permutations")
    r, c = aligned(reference_counts, current_counts)
    if r.size < 2:
        raise TooFewValues("one single category on both sides has no shares to compare")
    if r.sum() + c.sum() >= _TOO_MANY:
        raise InvalidInput(
            "a billion rows and more cannot be dealt out",
            remedy="use conditional_chi_squared, which needs no deals",
        )
    n, m = float(r.sum()), float(c.sum())
    seen = float(measure(r[None, :], r + c, n, m)[0])
    dealt = _dealt(measure, r + c, int(n), permutations, np.random.default_rng(seed))
    as_far = int((dealt >= seen * (1.0 - 1e-12)).sum())  # equal ones, up to rounding
    return Permuted(seen, float(dealt.mean()), (as_far + 1) / (permutations + 1))


Measure: TypeAlias = Callable[[CountArray, CountArray, float, float], Sample]
"""Deals of the reference, shape (b, k); rows of both sides, shape (k,); n; m; gives shape (b,)."""


def _moments(both: CountArray, n: float, m: float) -> tuple[float, float]:
    """Mean and variance of Pearson's statistic given the margins."""
    total, k = n + m, both.size
    if k < 2:
        raise TooFewValues("one single category on both sides has no shares to compare")
    if total < 4:
        raise TooFewValues(f"{total:g} rows on both sides, at least 4 are needed")
    by_side = ((n - m) ** 2 / (n * m)) / (total - 2.0)
    by_category = (total * float((1.0 / both).sum()) - float(k) * k) / (total - 2.0)
    sides, categories = (total - 2.0) / (total - 1.0), (k - 1.0) * (total - k) / (total - 1.0)
    spread = 2.0 * total / (total - 3.0) * (sides - by_side) * (categories - by_category)
    variance = spread + total * total / (total - 1.0) * by_side * by_category
    if variance <= 1e-9:
        raise TooFewValues(
            "every deal of these rows gives the same statistic: no category has two rows",
            remedy="use a longer window",
        )
    return total / (total - 1.0) * (k - 1.0), variance


def _pearson(deals: CountArray, both: CountArray, n: float, m: float) -> Sample:
    total = n + m
    away = deals - both * (n / total)
    return np.asarray((away * away / both).sum(axis=1) * (total * total / (n * m)))


def _likelihood_ratio(deals: CountArray, both: CountArray, n: float, m: float) -> Sample:
    """Only the terms that differ between deals are summed first; the margins come last."""
    margins = _entropy_terms(both).sum() + sum(x * np.log(x) for x in (n, m))
    inner = (_entropy_terms(deals) + _entropy_terms(both - deals)).sum(axis=1)
    lost = 2.0 * (inner - margins + (n + m) * np.log(n + m))
    return np.asarray(np.maximum(0.0, lost), dtype=np.float64)


def _entropy_terms(x: CountArray) -> Sample:
    return np.asarray(x * np.log(np.maximum(x, 1)), dtype=np.float64)


def _variation(deals: CountArray, both: CountArray, n: float, m: float) -> Sample:
    return np.asarray(0.5 * np.abs(deals / n - (both - deals) / m).sum(axis=1))


_STATISTICS: Mapping[str, Measure] = MappingProxyType(
    {"chi_squared": _pearson, "g": _likelihood_ratio, "total_variation": _variation}
)


def _dealt(
    measure: Measure, both: CountArray, n: int, permutations: int, rng: np.random.Generator
) -> Sample:
    """The statistic of each deal, shape (permutations,); few deals are held at a time."""
    at_once = max(1, _CELLS // both.size)
    m = float(both.sum() - n)
    parts = [
        measure(
            rng.multivariate_hypergeometric(
                both, n, size=min(at_once, permutations - start), method="marginals"
            ),
            both,
            float(n),
            m,
        )
        for start in range(0, permutations, at_once)
    ]
    return np.concatenate(parts)
