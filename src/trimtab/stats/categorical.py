"""A column of categories against its reference, from counts per category.

Counts are enough, so raw rows need not travel, and counts of parts add up. A side is a mapping
from category to rows or, where names are not asked for, an aligned whole-number array.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trimtab.kernel.errors import TooFewValues
from trimtab.stats.counts import (
    Countable,
    CountArray,
    aligned,
    aligned_names,
    mean_deviation,
    pooled,
    total_count,
)
from trimtab.stats.counts import Counts as Counts  # whoever asks about categories needs it
from trimtab.stats.sample import checked_level
from trimtab.stats.special import chi2_sf
from trimtab.stats.univariate import psi_from_counts


class ChiSquared(NamedTuple):
    """Result of `chi_squared` and `g_test`: the statistic, its degrees of freedom, the p-value."""

    statistic: float
    dof: int
    p_value: float


def category_shares(counts: Counts) -> dict[str, float]:
    """The share of rows in each category; they add up to 1.

    Raises:
        TooFewValues: nothing was counted.
        InvalidInput: a count is negative or not whole.

    Example:
        >>> category_shares({"a": 3, "b": 1})
        {'a': 0.75, 'b': 0.25}
    """
    total = total_count(counts, "counts")
    return {name: count / total for name, count in counts.items()}


def total_variation(reference_counts: Countable, current_counts: Countable) -> float:
    """The share of rows that would have to change category: 0 (same) to 1 (none in common).

    It is never 0 for two samples, and far from 0 when there are many categories: compare it
    with `total_variation_noise`.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole, or the sides do not share categories.

    Example:
        >>> total_variation({"a": 3, "b": 1}, {"a": 1, "c": 1})
        0.5
    """
    r, c = aligned(reference_counts, current_counts)
    return float(0.5 * np.abs(r / r.sum() - c / c.sum()).sum())


def total_variation_noise(
    reference_counts: Countable, current_counts: Countable, *, level: float | None = None
) -> float:
    """The total variation to be expected if no share had changed, or a limit that noise keeps.

    Given how often each category occurs on both sides together, chance deals its rows out to
    the two sides. The expectation over these deals is exact, also where most categories are
    rare. What lies beyond it is the part of the rows that moved, or more: two samples of one
    law with 5,000 even categories and 20,000 rows each differ by 0.28.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference, n in all.
        current_counts: The same form, now, m in all.
        level: Without it, the expectation. With it, what noise exceeds with at most that
            probability, whatever the shares: the expectation plus
            sqrt(log(1 / level) (1/n + 1/m) / 2). It errs towards calm.

    Returns:
        A share of the rows, from 0 to 1, on the scale of `total_variation`.

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole, the sides do not share categories, or
            the level is no false-alarm rate.

    Source: the mean absolute deviation of the hypergeometric law (`counts.mean_deviation`);
    McDiarmid (1989) and, for draws without replacement, El-Yaniv and Pechyony (2009) for the
    limit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before, now = rng.multinomial(20_000, np.full(5_000, 1 / 5_000), size=2)
        >>> round(total_variation(before, now), 2), round(total_variation_noise(before, now), 2)
        (0.28, 0.28)
    """
    r, c = aligned(reference_counts, current_counts)
    n, m = int(r.sum()), int(c.sum())
    expected = 0.5 * (1.0 / n + 1.0 / m) * float(mean_deviation(r + c, n).sum())
    if level is None:
        return expected
    reach = math.sqrt(-math.log(checked_level(level)) * (1.0 / n + 1.0 / m) / 2.0)
    return min(1.0, expected + reach)


def categorical_psi(reference_counts: Countable, current_counts: Countable) -> float:
    """Population stability index over the categories of both sides, in nats.

    Half a count is added to every category, so a new or vanished one weighs heavily but never
    infinitely. What noise alone does, however rare the categories are:
    `stability.psi_null_of_counts`.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.

    Raises:
        TooFewValues: nothing was counted on one side, or there is only one category.
        InvalidInput: a count is negative or not whole, or the sides do not share categories.

    Source: Jeffreys (1946); the half count is Jeffreys' prior.

    Example:
        >>> round(categorical_psi({"a": 700, "b": 300}, {"a": 500, "b": 500}), 3)
        0.169
    """
    r, c = aligned(reference_counts, current_counts)
    if r.size < 2:
        raise TooFewValues("one single category on both sides has no shares to compare")
    return psi_from_counts(r, c)


def new_categories(
    reference_counts: Counts, current_counts: Counts, *, level: float | None = None
) -> dict[str, int]:
    """Categories that the reference never had, with their rows now, the largest first.

    Args:
        reference_counts: Rows per category in the reference.
        current_counts: Rows per category now.
        level: Without it, every unseen category. With it, only those too frequent to be rare
            ones that the reference happened to miss: under unchanged shares, all of a
            category's K rows fall into the current window with probability
            (m / (n + m))^K; the chance that the call names any at all is at most `level`.

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole, or the level is no false-alarm rate.

    Source: the conditional binomial test of two counts, Przyborowski and Wilenski (1940),
    with Bonferroni's correction over the categories.

    Example:
        >>> new_categories({"a": 10_000}, {"a": 900, "typo": 1, "new": 40}, level=0.01)
        {'new': 40}
    """
    r, c, names = aligned_names(reference_counts, current_counts)
    limit = _log_limit(level, len(names))
    log_share = math.log(c.sum() / (r.sum() + c.sum()))
    found = {
        name: int(now)
        for name, before, now in zip(names, r, c, strict=True)
        if before == 0 and now > 0 and now * log_share <= limit
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def vanished_categories(
    reference_counts: Counts, current_counts: Counts, *, level: float
) -> dict[str, float]:
    """Categories that are gone now, with the rows that were to be expected, the largest first.

    A category is gone only if its absence is improbable: under unchanged shares, all of its
    K rows fall into the reference with probability (n / (n + m))^K. The chance that the call
    names any category at all, when nothing changed, is at most `level`.

    Args:
        reference_counts: Rows per category in the reference, n in all.
        current_counts: Rows per category now, m in all.
        level: Acceptable share of false alarms, such as 0.01; at most 0.5.

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole, or the level is no false-alarm rate.

    Source: as `new_categories`.

    Example:
        >>> vanished_categories({"a": 8000, "b": 12_000, "c": 10}, {"b": 300}, level=0.01)
        {'a': 119.9...}
    """
    rows = total_count(current_counts, "current_counts")
    expected = _expected_rows(reference_counts, rows, level)
    return _largest_first({n: count for n, count in expected if not current_counts.get(n, 0)})


def expected_categories(
    reference_counts: Counts, n_current: int, *, level: float
) -> dict[str, float]:
    """Categories that cannot well be absent from `n_current` rows, with their expected rows.

    Args:
        reference_counts: Rows per category in the reference.
        n_current: Rows in the current window, 1 or more.
        level: Acceptable share of false alarms over all categories; at most 0.5.

    Raises:
        TooFewValues: nothing was counted in the reference, or `n_current` is 0.
        InvalidInput: a count is negative or not whole, or the level is no false-alarm rate.

    Example:
        >>> list(expected_categories({"a": 8000, "b": 12_000, "c": 10}, 300, level=0.01))
        ['b', 'a']
    """
    return _largest_first(dict(_expected_rows(reference_counts, n_current, level)))


def _expected_rows(
    reference_counts: Counts, n_current: int, level: float
) -> Iterator[tuple[str, float]]:
    total = total_count(reference_counts, "reference_counts")
    if n_current < 1:
        raise TooFewValues("no rows to expect a category in", field="n_current")
    limit = _log_limit(checked_level(level), len(reference_counts))
    log_share = math.log(total / (total + n_current))
    for name, count in reference_counts.items():
        if count * log_share <= limit:
            yield name, count * n_current / total


def _largest_first(found: dict[str, float]) -> dict[str, float]:
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def chi_squared(
    reference_counts: Countable, current_counts: Countable, *, min_expected: float = 5.0
) -> ChiSquared:
    """Pearson's test that both sides have the same shares.

    Categories whose expected count on the smaller side is below `min_expected` are pooled into
    one; if the pool is still too small, it takes in the smallest other category. Where most
    categories are pooled, a change among them is not seen: `homogeneity` keeps them apart.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.
        min_expected: Smallest expected count of a cell; Cochran's rule is 5.

    Raises:
        TooFewValues: nothing was counted on one side, or fewer than two categories are left
            after pooling.
        InvalidInput: a count is negative or not whole, or the sides do not share categories.

    Source: Pearson (1900); Cochran (1954) for the pooling.

    Example:
        >>> found = chi_squared({"a": 700, "b": 300}, {"a": 60, "b": 40})
        >>> found.dof, round(found.statistic, 3), round(found.p_value, 3)
        (1, 4.257, 0.039)
    """
    table = _enough(reference_counts, current_counts, min_expected)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    dof = table.shape[1] - 1
    return ChiSquared(statistic, dof, chi2_sf(statistic, dof))


def g_test(
    reference_counts: Countable, current_counts: Countable, *, min_expected: float = 5.0
) -> ChiSquared:
    """Likelihood-ratio test that both sides have the same shares.

    Twice the log-likelihood that is lost by giving both sides the same shares. Unlike
    Pearson's statistic it adds up over tables that are split, and it weighs a category that
    has vanished more. Pooling as `chi_squared`. Where hundreds of categories expect between 5
    and 10 rows it alarms too often and Pearson's does not: then raise `min_expected`, or ask
    `homogeneity.permuted_homogeneity`.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.
        min_expected: Smallest expected count of a cell on the smaller side.

    Raises:
        TooFewValues: nothing was counted on one side, or fewer than two categories are left
            after pooling.
        InvalidInput: a count is negative or not whole, or the sides do not share categories.

    Source: Wilks (1938); Woolf (1957).

    Example:
        >>> found = g_test({"a": 700, "b": 300}, {"a": 60, "b": 40})
        >>> found.dof, round(found.statistic, 3), round(found.p_value, 3)
        (1, 4.086, 0.043)
    """
    table = _enough(reference_counts, current_counts, min_expected)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    some = table > 0
    statistic = 2.0 * float((table[some] * np.log(table[some] / expected[some])).sum())
    dof = table.shape[1] - 1
    return ChiSquared(max(0.0, statistic), dof, chi2_sf(max(0.0, statistic), dof))


def _enough(
    reference_counts: Countable, current_counts: Countable, min_expected: float
) -> CountArray:
    """Shape (2, k): the two sides, sparse categories pooled; two columns or more."""
    table = pooled(np.stack(aligned(reference_counts, current_counts)), min_expected=min_expected)
    if table.shape[1] < 2:
        raise TooFewValues(
            f"fewer than two categories expect {min_expected:g} rows",
            remedy="use a longer window",
        )
    return table


def _log_limit(level: float | None, categories: int) -> float:
    """Bonferroni's share of the level, as a logarithm; without a level nothing is excluded."""
    return 0.0 if level is None else math.log(checked_level(level) / categories)
