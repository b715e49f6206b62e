"""Rows of two sides counted over the same bins or categories, and what chance does to them.

The base form is two aligned whole-number arrays of shape (k,). Two mappings from a name to
rows are accepted wherever these are, and are aligned by name.

What chance does is stated given the margins: if nothing changed, the rows of a category fall
on the two sides like a draw without replacement (the hypergeometric law), whatever its share
is. So nothing has to be estimated, and nothing goes wrong where most categories are rare.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import Sample

Counts: TypeAlias = Mapping[str, int]
"""Rows per category; a category that is not named was counted zero times."""

CountArray: TypeAlias = NDArray[np.int64]
"""Rows per bin or category, shape (k,), none negative."""

Countable: TypeAlias = Counts | Sequence[int] | NDArray[np.integer]
"""Counts by name, or counts in an order that both sides share."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_SMALL = 16  # below, Stirling's remainder is taken from a table; from here on the series is exact
_REMAINDERS = np.array(
    [0.0]  # of 0: not used, every caller treats an empty cell by itself
    + [math.lgamma(x + 1) - (x + 0.5) * math.log(x) + x - _HALF_LOG_2PI for x in range(1, _SMALL)]
)


def total_count(counts: Counts, field: str) -> int:
    """The rows of all categories together.

    Args:
        counts: Rows per category.
        field: What the counts are called in an error.

    Raises:
        TooFewValues: nothing was counted.
        InvalidInput: a count is negative or not whole.

    Example:
        >>> total_count({"a": 3, "b": 1}, "counts")
        4
    """
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


def counted(counts: Sequence[int] | NDArray[np.integer], *, field: str) -> CountArray:
    """One side's counts as an array, or a refusal.

    Args:
        counts: Shape (k,), whole numbers, none negative.
        field: What the counts are called in an error.

    Raises:
        TooFewValues: nothing was counted.
        InvalidInput: not one-dimensional, a count is negative or not of a whole-number type.

    Example:
        >>> counted([3, 0, 1], field="counts")
        array([3, 0, 1])
    """
    array = np.asarray(counts)
    if array.ndim != 1:
        raise InvalidInput(f"expected one dimension, got {array.ndim}", field=field)
    if array.size == 0:
        raise TooFewValues("nothing was counted", field=field)
    if not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput(
            f"counts of type {array.dtype} are not whole numbers",
            field=field,
            remedy="count rows, and give the counts as integers",
        )
    if array.min() < 0:
        raise InvalidInput("a count is negative", field=field)
    if not array.any():
        raise TooFewValues("nothing was counted", field=field)
    return array.astype(np.int64)


def aligned_names(
    reference_counts: Counts, current_counts: Counts
) -> tuple[CountArray, CountArray, list[str]]:
    """Both sides over the categories that either has, without those that neither has.

    Returns:
        Two arrays of shape (k,), and the k names in the order in which they were first seen.

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole.

    Example:
        >>> aligned_names({"a": 3, "b": 1}, {"c": 2, "a": 4})
        (array([3, 1, 0]), array([4, 0, 2]), ['a', 'b', 'c'])
    """
    total_count(reference_counts, "reference_counts")
    total_count(current_counts, "current_counts")
    names = [
        name
        for name in dict.fromkeys([*reference_counts, *current_counts])
        if reference_counts.get(name, 0) or current_counts.get(name, 0)
    ]
    r = np.array([reference_counts.get(name, 0) for name in names], dtype=np.int64)
    c = np.array([current_counts.get(name, 0) for name in names], dtype=np.int64)
    return r, c, names


def aligned(
    reference_counts: Countable, current_counts: Countable
) -> tuple[CountArray, CountArray]:
    """Both sides as arrays over the categories that either has; mappings meet by name.

    Args:
        reference_counts: Shape (k,), or rows per category, in the reference.
        current_counts: The same form, now.

    Returns:
        Two arrays of one shape, at most (k,): a category that neither side has is left out.

    Raises:
        TooFewValues: nothing was counted on one side.
        InvalidInput: a count is negative or not whole, the shapes differ, or one side is a
            mapping and the other is not.

    Example:
        >>> aligned([3, 0, 1], [4, 0, 0])
        (array([3, 1]), array([4, 0]))
    """
    if isinstance(reference_counts, Mapping) and isinstance(current_counts, Mapping):
        r, c, _names = aligned_names(reference_counts, current_counts)
        return r, c
    if isinstance(reference_counts, Mapping) or isinstance(current_counts, Mapping):
        raise InvalidInput("one side has names and the other has not", field="current_counts")
    r = counted(reference_counts, field="reference_counts")
    c = counted(current_counts, field="current_counts")
    if r.shape != c.shape:
        raise InvalidInput(
            f"counts of shape {r.shape} and {c.shape} share no categories", field="current_counts"
        )
    present = (r > 0) | (c > 0)
    return (r, c) if present.all() else (r[present], c[present])


def pooled(table: CountArray, *, min_expected: float) -> CountArray:
    """Columns with enough expected rows, and one column of all the rest.

    The rest takes in the smallest other column while it is too small itself.

    Args:
        table: Shape (2, k), counts of the two sides.
        min_expected: Smallest expected count of a cell on the smaller side.

    Returns:
        Shape (2, j) with j at most k, the most frequent column first.

    Example:
        >>> pooled(np.array([[50, 40, 6, 4], [50, 40, 3, 2]]), min_expected=5.0)
        array([[50, 40, 10],
               [50, 40,  5]])
    """
    columns = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    smaller_share = table.sum(axis=1).min() / table.sum()
    expected = columns.sum(axis=0) * smaller_share
    keep = int((expected >= min_expected).sum())
    while 0 < keep < columns.shape[1] and expected[keep:].sum() < min_expected:
        keep -= 1
    rest = columns[:, keep:].sum(axis=1, keepdims=True)
    return np.concatenate([columns[:, :keep], rest], axis=1) if rest.any() else columns[:, :keep]


def log_hypergeometric(
    drawn: Sample, good: Sample | np.float64, total: float, draws: float
) -> Sample:
    """Logarithm of the chance that `draws` of `total` rows hold `drawn` of the `good` ones.

    Args:
        drawn: Whole numbers that are possible: from 0 and draws - (total - good) up to good
            and draws. Shape as `good`, or broadcast with it.
        good: Whole numbers from 0 to `total`.
        total: Rows in all.
        draws: Rows drawn without replacement, more than 0 and less than `total`.

    Returns:
        Natural logarithms, accurate to 1e-10 also for billions of rows.

    Source: Loader (2000), three binomial terms whose shared factors cancel beforehand.

    Example:
        >>> float(np.exp(log_hypergeometric(np.array([1.0]), np.array([2.0]), 4, 2))[0])
        0.6666...
    """
    share = draws / total
    return np.asarray(
        _log_binomial(drawn, good, share)
        + _log_binomial(draws - drawn, total - good, share)
        - _log_binomial(np.float64(draws), np.float64(total), share),
        dtype=np.float64,
    )


def mean_deviation(good: CountArray, draws: int) -> Sample:
    """Expected distance of a category's rows on one side from their mean, given all its rows.

    Args:
        good: Shape (k,), rows of each category on both sides together; they add up to all rows.
        draws: Rows of the one side.

    Returns:
        Shape (k,), in rows: the mean absolute deviation of the hypergeometric law, exact.

    Source: the telescoping sum of De Moivre (1730), as in Diaconis and Zabell (1991), carried
    over to draws without replacement: 2 k (N - t - n + k) p(k) / N at the first k above the
    mean.

    Example:
        >>> mean_deviation(np.array([2, 2]), draws=2)
        array([0.333..., 0.333...])
    """
    t = np.asarray(good, dtype=np.float64)
    total = float(t.sum())
    if draws <= 0 or draws >= total:
        raise TooFewValues("one side holds no rows", field="draws")
    first = np.floor(t * (draws / total)) + 1.0
    split = (t > 0.0) & (t < total)  # otherwise every draw is the same
    deviation = np.zeros_like(t)
    k, some = first[split], t[split]
    log_p = log_hypergeometric(k, some, total, float(draws))
    deviation[split] = 2.0 * k * (total - some - draws + k) / total * np.exp(log_p)
    return deviation


def _log_binomial(x: Sample | np.float64, n: Sample | np.float64, share: float) -> Sample:
    """log of the binomial chance of x in n, without large terms that cancel."""
    x, n = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64))
    rest = n - x
    inner = (x > 0.0) & (rest > 0.0)
    found = np.where(
        x == 0.0,
        n * math.log1p(-share),
        n * math.log(share),  # right where x == n; the rest is written below
    )
    a, b, m = x[inner], rest[inner], n[inner]
    found[inner] = (
        _remainder(m)
        - _remainder(a)
        - _remainder(b)
        - _deviance(a, m * share)
        - _deviance(b, m * (1.0 - share))
        + 0.5 * np.log(m / (a * b))
        - _HALF_LOG_2PI
    )
    return found


def _remainder(x: Sample) -> Sample:
    """What Stirling's formula leaves over of log(x!), for whole x of 1 or more."""
    r = 1.0 / (x * x)
    series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188))))) / x
    small = x < _SMALL
    series[small] = _REMAINDERS[x[small].astype(np.int64)]
    return np.asarray(series, dtype=np.float64)


def _deviance(x: Sample, mean: Sample) -> Sample:
    """x log(x / mean) + mean - x; its error is that of x - mean."""
    away = (x - mean) / mean
    return np.asarray(mean * ((1.0 + away) * np.log1p(away) - away), dtype=np.float64)
