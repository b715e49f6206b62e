"""Nulls, labels and predictions against their reference: the same tests, under their own names.

A share of missing values, of positive labels or of flagged rows is a rate; labels and
predictions of several classes are counts; scores are a numeric column.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.categorical import total_variation, total_variation_noise
from trimtab.stats.counts import Countable, log_hypergeometric
from trimtab.stats.homogeneity import conditional_chi_squared
from trimtab.stats.intervals import Interval, difference_of_rates, mean_difference
from trimtab.stats.sample import Sample, checked_counts
from trimtab.stats.special import normal_sf
from trimtab.stats.univariate import kolmogorov_smirnov, wasserstein

Alternative: TypeAlias = Literal["two-sided", "greater", "less"]
"""What is looked for: any change, or that the current rate is greater, or less."""

RateMethod: TypeAlias = Literal["exact", "score"]

_SAME = 1.0 + 1e-9  # chances that differ by rounding only are the same


class RateShift(NamedTuple):
    """A rate before and now, now minus before with its interval, and the p-value of no change."""

    reference: float
    current: float
    difference: Interval
    p_value: float


class ClassShift(NamedTuple):
    """Counts of classes before and now.

    `distance` is the total variation, `noise` its expectation when nothing has changed, and
    `p_value` that of no change.
    """

    distance: float
    noise: float
    p_value: float


class ScoreShift(NamedTuple):
    """Scores before and now: the largest gap D, its p-value, the mean way in the unit of the
    score, and the difference of the means (now minus before) with its interval."""

    statistic: float
    p_value: float
    wasserstein: float
    difference: Interval


def null_rate_test(
    reference_nulls: int,
    reference_rows: int,
    current_nulls: int,
    current_rows: int,
    *,
    alternative: Alternative = "two-sided",
    method: RateMethod = "exact",
    confidence: float = 0.95,
) -> RateShift:
    """Has the share of missing values changed?

    Values that are missing cannot be measured, so no other statistic of the column sees it.

    Args:
        reference_nulls: Missing values in the reference (`sample.split_nulls` counts them).
        reference_rows: Rows in the reference, missing or not, 1 or more.
        current_nulls: Missing values now.
        current_rows: Rows now, missing or not, 1 or more.
        alternative: "two-sided", or "greater" or "less" for the current rate.
        method: "exact" keeps its level for any counts; "score" finds more, and exceeds its
            level slightly where few values are missing.
        confidence: Of the two-sided interval of the difference.

    Raises:
        TooFewValues: no rows on one side.
        InvalidInput: impossible counts, an unknown alternative or method, or a confidence
            outside 0.5 to 1.

    Source: Fisher (1935) for the exact test, Pearson (1900) for the score test; Newcombe (1998),
    method 10, for the interval.

    Example:
        >>> found = null_rate_test(20, 10_000, 12, 1000, alternative="greater")
        >>> round(found.difference.estimate, 3), round(found.p_value, 6)
        (0.01, 1.2e-05)
    """
    s, n = checked_counts(reference_nulls, reference_rows)
    now_s, now_n = checked_counts(current_nulls, current_rows)
    difference = difference_of_rates(now_s, now_n, s, n, confidence=confidence)
    if alternative not in ("two-sided", "greater", "less"):
        raise InvalidInput(f"no alternative {alternative!r}", field="alternative")
    if method not in ("exact", "score"):
        raise InvalidInput(f"no method {method!r}", field="method")
    judge = _fisher if method == "exact" else _score
    return RateShift(s / n, now_s / now_n, difference, judge(s, n, now_s, now_n, alternative))


def positive_rate_shift(
    reference_positive: int,
    reference_rows: int,
    current_positive: int,
    current_rows: int,
    *,
    alternative: Alternative = "two-sided",
    method: RateMethod = "exact",
    confidence: float = 0.95,
) -> RateShift:
    """Has the share of positive labels, or of flagged rows, changed? For two classes.

    Arguments, result, errors and source as `null_rate_test`. For labels it is label shift, for
    decisions prediction shift; a shift of the predictions alone says nothing about who is
    right.

    Raises:
        TooFewValues: no rows on one side.
        InvalidInput: impossible counts, an unknown alternative or method, or a confidence
            outside 0.5 to 1.

    Example:
        >>> round(positive_rate_shift(500, 10_000, 80, 1000).p_value, 4)
        0.0001
    """
    return null_rate_test(
        reference_positive,
        reference_rows,
        current_positive,
        current_rows,
        alternative=alternative,
        method=method,
        confidence=confidence,
    )


def label_shift(reference_counts: Countable, current_counts: Countable) -> ClassShift:
    """Have the shares of the labels changed? For two classes or thousands.

    Labels come late and often not for all rows: compare rows that had the same time to get
    theirs, or late positives look like a shift.

    Args:
        reference_counts: Shape (k,), or rows per class, in the reference.
        current_counts: The same form, now.

    Raises:
        TooFewValues: nothing was counted on one side, or only one class on both.
        InvalidInput: a count is negative or not whole, or the sides do not share classes.

    Source: `categorical.total_variation_noise`, `homogeneity.conditional_chi_squared`.

    Example:
        >>> found = label_shift([700, 200, 100], [300, 150, 50])
        >>> round(found.distance, 2), round(found.noise, 3), round(found.p_value, 4)
        (0.1, 0.026, 0.0001)
    """
    return ClassShift(
        distance=total_variation(reference_counts, current_counts),
        noise=total_variation_noise(reference_counts, current_counts),
        p_value=conditional_chi_squared(reference_counts, current_counts).p_value,
    )


def prediction_shift(reference_counts: Countable, current_counts: Countable) -> ClassShift:
    """Have the shares of the predicted classes changed? Seen long before labels arrive.

    Arguments, result, errors and source as `label_shift`. It is a symptom: inputs that moved
    or a model that was replaced show as well as a fault.

    Raises:
        TooFewValues: nothing was counted on one side, or only one class on both.
        InvalidInput: a count is negative or not whole, or the sides do not share classes.

    Example:
        >>> prediction_shift({"yes": 100, "no": 900}, {"yes": 10, "no": 90}).distance
        0.0
    """
    return label_shift(reference_counts, current_counts)


def score_shift(reference: Sample, current: Sample, *, confidence: float = 0.95) -> ScoreShift:
    """Have predicted scores or probabilities moved, and which way?

    Args:
        reference: Shape (n,), finite.
        current: Shape (m,), finite, of the same model or one on the same scale.
        confidence: Of the interval of the difference of the means.

    Raises:
        TooFewValues: fewer than 8 values on either side, or both sides are constant.
        InvalidInput: NaN or infinite values, or a confidence outside 0.5 to 1.

    Source: `univariate.kolmogorov_smirnov`, `univariate.wasserstein`, `intervals.mean_difference`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = score_shift(rng.beta(2, 5, size=3000), rng.beta(2, 4, size=500))
        >>> round(found.difference.estimate, 2), found.p_value < 0.001
        (0.05, True)
    """
    gap = kolmogorov_smirnov(reference, current)
    return ScoreShift(
        statistic=gap.statistic,
        p_value=gap.p_value,
        wasserstein=wasserstein(reference, current),
        difference=mean_difference(current, reference, confidence=confidence),
    )


def _fisher(s: int, n: int, now_s: int, now_n: int, alternative: Alternative) -> float:
    """Chance of a deal of all events that is as improbable, given how many there were."""
    events, total = s + now_s, n + now_n
    if events in (0, total):
        return 1.0  # one deal only: no evidence
    low, high = max(0, events - n), min(events, now_n)
    if alternative == "greater":
        low = now_s
    elif alternative == "less":
        high = now_s
    possible = np.arange(low, high + 1, dtype=np.float64)
    log_p = log_hypergeometric(possible, np.float64(events), float(total), float(now_n))
    chances = np.exp(log_p)
    if alternative == "two-sided":
        seen = chances[now_s - low]
        chances = chances[chances <= seen * _SAME]
    return min(1.0, float(chances.sum()))


def _score(s: int, n: int, now_s: int, now_n: int, alternative: Alternative) -> float:
    """Pearson's test of two rates, with its sign."""
    share = (s + now_s) / (n + now_n)
    spread = share * (1.0 - share) * (1.0 / n + 1.0 / now_n)
    if spread == 0.0:
        return 1.0  # nobody or everybody on both sides: no evidence
    z = (now_s / now_n - s / n) / math.sqrt(spread)
    if alternative == "two-sided":
        return 2.0 * normal_sf(abs(z))
    return normal_sf(z if alternative == "greater" else -z)
