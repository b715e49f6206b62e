"""A column of categories against its reference, from counts per category.

Counts are enough, so raw rows need not travel, and counts of parts add up.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import checked_level
from trimtab.stats.special import chi2_sf
from trimtab.stats.univariate import psi_from_counts

Counts: TypeAlias = Mapping[str, int]
"""Rows per category; a category that is not named was counted zero times."""


class ChiSquared(NamedTuple):
    """Result of `chi_squared`: the statistic, its degrees of freedom and the p-value."""

    statistic: float
    dof: int
    p_value: float


def category_shares(counts: Counts) -> dict[str, float]:
    """The share of rows in each category; they add up to 1.

    Raises:
        TooFewValues: nothing was counted.
        InvalidInput: a count is negative or not whole.
    """
    total = _total(counts, "counts")
    return {name: count / total for name, count in counts.items()}


def total_variation(reference_counts: Counts, current_counts: Counts) -> float:
    """The share of rows that would have to change category: 0 (same) to 1 (none in common).

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole.
    """
    r, c, _ = _aligned(reference_counts, current_counts)
    return float(0.5 * np.abs(r / r.sum() - c / c.sum()).sum())


def categorical_psi(reference_counts: Counts, current_counts: Counts) -> float:
    """Population stability index over the categories of both sides, in nats.

    Half a count is added to every category, so a new or vanished one weighs heavily but never
    infinitely. What noise alone does: `psi_noise` with the number of categories as bins.

    Raises:
        TooFewValues: nothing was counted on one side, or there is only one category.
        InvalidInput: a count is negative or not whole.

    Source: Jeffreys (1946); the half count is Jeffreys' prior.
    """
    r, c, names = _aligned(reference_counts, current_counts)
    if len(names) < 2:
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
    """
    r, c, names = _aligned(reference_counts, current_counts)
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
    """
    _total(current_counts, "current_counts")
    expected = expected_categories(reference_counts, sum(current_counts.values()), level=level)
    return {name: rows for name, rows in expected.items() if not current_counts.get(name, 0)}


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
    """
    total = _total(reference_counts, "reference_counts")
    if n_current < 1:
        raise TooFewValues("no rows to expect a category in", field="n_current")
    limit = _log_limit(checked_level(level), len(reference_counts))
    log_share = math.log(total / (total + n_current))
    found = {
        name: count * n_current / total
        for name, count in reference_counts.items()
        if count * log_share <= limit
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def chi_squared(
    reference_counts: Counts, current_counts: Counts, *, min_expected: float = 5.0
) -> ChiSquared:
    """Pearson's test that both sides have the same shares.

    Categories whose expected count on the smaller side is below `min_expected` are pooled into
    one; if the pool is still too small, it takes in the smallest other category.

    Args:
        reference_counts: Rows per category in the reference.
        current_counts: Rows per category now.
        min_expected: Smallest expected count of a cell; Cochran's rule is 5.

    Raises:
        TooFewValues: nothing was counted on one side, or fewer than two categories are left
            after pooling.
        InvalidInput: a count is negative or not whole.

    Source: Pearson (1900); Cochran (1954) for the pooling.
    """
    r, c, _ = _aligned(reference_counts, current_counts)
    table = _pooled(np.stack([r, c]), min_expected)
    if table.shape[1] < 2:
        raise TooFewValues(
            f"fewer than two categories expect {min_expected:g} rows",
            remedy="use a longer window",
        )
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    dof = table.shape[1] - 1
    return ChiSquared(statistic, dof, chi2_sf(statistic, dof))


def _pooled(table: NDArray[np.int64], min_expected: float) -> NDArray[np.int64]:
    """Columns with enough expected rows, and one column of all the rest."""
    columns = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    smaller_share = table.sum(axis=1).min() / table.sum()
    expected = columns.sum(axis=0) * smaller_share
    keep = int((expected >= min_expected).sum())
    while 0 < keep < columns.shape[1] and expected[keep:].sum() < min_expected:
        keep -= 1
    rest = columns[:, keep:].sum(axis=1, keepdims=True)
    return np.concatenate([columns[:, :keep], rest], axis=1) if rest.any() else columns[:, :keep]


def _aligned(
    reference_counts: Counts, current_counts: Counts
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Both sides over the categories that either has, without those that neither has."""
    _total(reference_counts, "reference_counts")
    _total(current_counts, "current_counts")
    names = [
        name
        for name in dict.fromkeys([*reference_counts, *current_counts])
        if reference_counts.get(name, 0) or current_counts.get(name, 0)
    ]
    r = np.array([reference_counts.get(name, 0) for name in names], dtype=np.int64)
    c = np.array([current_counts.get(name, 0) for name in names], dtype=np.int64)
    return r, c, names


def _total(counts: Counts, field: str) -> int:
    try:
        numbers = [operator.index(count) for count in counts.values()]
    except TypeError as error:
        raise InvalidInput("a count is not a whole number", field=field) from error
    if min(numbers, default=0) < 0:
        raise InvalidInput("a count is negative", field=field)
    total = sum(numbers)
    if total == 0:
        raise TooFewValues("nothing was counted", field=field)
    return total


def _log_limit(level: float | None, categories: int) -> float:
    """Bonferroni's share of the level, as a logarithm; without a level nothing is excluded."""
    return 0.0 if level is None else math.log(checked_level(level) / categories)
