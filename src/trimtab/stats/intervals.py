"""Rates and means with their uncertainty, and the differences between two of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trimtab.kernel.errors import TooFewValues
from trimtab.stats.sample import Sample, checked, checked_confidence, checked_counts
from trimtab.stats.special import beta_quantile, normal_quantile, t_quantile


@dataclass(frozen=True)
class Interval:
    """An estimate and the range that holds the truth with the confidence asked for."""

    estimate: float
    low: float
    high: float


def clopper_pearson(successes: int, trials: int, *, confidence: float) -> Interval:
    """Exact interval of a rate: never below its confidence, usually above.

    Raises:
        TooFewValues: no trials.
        InvalidInput: impossible counts, or a confidence outside 0.5 to 1.

    Source: Clopper and Pearson (1934).
    """
    s, n = _counted(successes, trials)
    tail = (1.0 - checked_confidence(confidence)) / 2.0
    low = beta_quantile(tail, s, n - s + 1) if s else 0.0
    high = beta_quantile(1.0 - tail, s + 1, n - s) if s < n else 1.0
    return Interval(s / n, low, high)


def wilson(successes: int, trials: int, *, confidence: float) -> Interval:
    """Score interval of a rate: its confidence on average, much shorter than the exact one.

    Raises:
        TooFewValues: no trials.
        InvalidInput: impossible counts, or a confidence outside 0.5 to 1.

    Source: Wilson (1927).
    """
    s, n = _counted(successes, trials)
    z = normal_quantile(0.5 + checked_confidence(confidence) / 2.0)
    rate, z2 = s / n, z * z
    centre = (s + z2 / 2.0) / (n + z2)
    half = z / (n + z2) * math.sqrt(n * rate * (1.0 - rate) + z2 / 4.0)
    low = 0.0 if s == 0 else max(0.0, centre - half)
    high = 1.0 if s == n else min(1.0, centre + half)
    return Interval(rate, low, high)


def difference_of_rates(
    successes_a: int, trials_a: int, successes_b: int, trials_b: int, *, confidence: float
) -> Interval:
    """Rate a minus rate b, as two independent groups.

    Raises:
        TooFewValues: no trials in one group.
        InvalidInput: impossible counts, or a confidence outside 0.5 to 1.

    Source: Newcombe (1998), method 10, from two Wilson intervals.
    """
    a = wilson(successes_a, trials_a, confidence=confidence)
    b = wilson(successes_b, trials_b, confidence=confidence)
    difference = a.estimate - b.estimate
    return Interval(
        estimate=difference,
        low=difference - math.hypot(a.estimate - a.low, b.high - b.estimate),
        high=difference + math.hypot(a.high - a.estimate, b.estimate - b.low),
    )


def mean_difference(a: Sample, b: Sample, *, confidence: float) -> Interval:
    """Mean of a minus mean of b, as two independent samples of unequal variance.

    Args:
        a: Shape (n,), finite, 2 values or more.
        b: Shape (m,), finite, 2 values or more, in the same unit.
        confidence: Share of intervals that must hold the truth.

    Raises:
        TooFewValues: fewer than two values on one side, or no spread on both, which leaves
            nothing to measure the uncertainty by.
        InvalidInput: NaN or infinite values, or a confidence outside 0.5 to 1.

    Source: Welch (1947), with Satterthwaite's degrees of freedom.
    """
    a, b = checked(a, at_least=2, field="a"), checked(b, at_least=2, field="b")
    checked_confidence(confidence)
    var_a, var_b = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    if var_a + var_b == 0.0:
        raise TooFewValues("two constant samples show no spread to judge a difference by")
    share = var_a / (var_a + var_b)  # keeps tiny variances from underflowing when squared
    dof = 1.0 / (share**2 / (a.size - 1) + (1.0 - share) ** 2 / (b.size - 1))
    half = t_quantile(0.5 + confidence / 2.0, dof) * math.sqrt(var_a + var_b)
    difference = float(a.mean() - b.mean())
    return Interval(difference, difference - half, difference + half)


def _counted(successes: int, trials: int) -> tuple[int, int]:
    s, n = checked_counts(successes, trials)
    if n == 0:
        raise TooFewValues("a rate of no trials has no value", field="trials")
    return s, n
