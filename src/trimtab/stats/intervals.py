"""Rates, means and quantiles with their uncertainty, and how two of them differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trimtab.kernel.errors import TooFewValues
from trimtab.stats.sample import Sample, checked, checked_confidence, checked_counts, checked_open
from trimtab.stats.special import beta_i, beta_quantile, normal_quantile, t_quantile


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

    Example:
        >>> found = clopper_pearson(3, 100, confidence=0.95)
        >>> round(found.low, 4), round(found.high, 4)
        (0.0062, 0.0852)
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

    Example:
        >>> found = wilson(3, 100, confidence=0.95)
        >>> round(found.low, 4), round(found.high, 4)
        (0.0103, 0.0845)
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

    Example:
        >>> found = difference_of_rates(12, 100, 5, 100, confidence=0.95)
        >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
        (0.07, -0.009, 0.153)
    """
    a = wilson(successes_a, trials_a, confidence=confidence)
    b = wilson(successes_b, trials_b, confidence=confidence)
    difference = a.estimate - b.estimate
    return Interval(
        estimate=difference,
        low=difference - math.hypot(a.estimate - a.low, b.high - b.estimate),
        high=difference + math.hypot(a.high - a.estimate, b.estimate - b.low),
    )


def ratio_of_rates(
    successes_a: int, trials_a: int, successes_b: int, trials_b: int, *, confidence: float
) -> Interval:
    """Rate a divided by rate b, as two independent groups.

    Raises:
        TooFewValues: no trials in one group, or no success in b: nothing bounds the ratio.
        InvalidInput: impossible counts, or a confidence outside 0.5 to 1.

    Source: Donner and Zou (2012), the ratio from two Wilson intervals; the lower limit is
    written without its difference of near-equal numbers.

    Example:
        >>> found = ratio_of_rates(30, 1000, 10, 1000, confidence=0.95)
        >>> round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
        (3.0, 1.48, 6.01)
    """
    a = wilson(successes_a, trials_a, confidence=confidence)
    b = wilson(successes_b, trials_b, confidence=confidence)
    if b.estimate == 0.0:
        raise TooFewValues(
            "no success in group b, so the ratio has no upper end",
            field="successes_b",
            remedy="wait for one, or ask for the difference of the rates",
        )
    product = a.estimate * b.estimate
    a_low, a_high = (x * (2.0 * a.estimate - x) for x in (a.low, a.high))
    b_low, b_high = (x * (2.0 * b.estimate - x) for x in (b.low, b.high))
    low = a_low / (product + math.sqrt(product**2 - a_low * b_high)) if a_low > 0.0 else 0.0
    high = (product + math.sqrt(product**2 - a_high * b_low)) / b_low
    return Interval(a.estimate / b.estimate, low, high)


def quantile_interval(values: Sample, *, q: float, confidence: float) -> Interval:
    """A quantile between two values of the sample, whatever its distribution.

    The estimate is the usual interpolated quantile. The limits are order statistics, so the
    interval never has less than its confidence.

    Args:
        values: Shape (n,), finite.
        q: Which quantile, between 0 and 1; 0.5 is the median.
        confidence: Share of intervals that must hold the truth.

    Raises:
        TooFewValues: too few values to have any on both sides of the quantile: 6 for a median
            at 0.95, 299 for a quantile of 0.99 at 0.9.
        InvalidInput: NaN or infinite values, q outside 0..1, or a confidence outside 0.5 to 1.

    Source: Thompson (1936).

    Example:
        >>> quantile_interval(np.arange(1.0, 101.0), q=0.5, confidence=0.95)
        Interval(estimate=50.5, low=40.0, high=61.0)
    """
    checked_open(q, low=0.0, high=1.0, field="q")
    tail = (1.0 - checked_confidence(confidence)) / 2.0
    x = np.sort(checked(values, at_least=1, field="values"))
    # The r-th smallest value lies above the quantile if fewer than r values lie below it.
    low, high = _last_rank(x.size, q, tail), x.size + 1 - _last_rank(x.size, 1.0 - q, tail)
    if low < 1 or high > x.size:
        raise TooFewValues(
            f"{x.size} values do not reach beyond the {q:g} quantile on both sides",
            field="values",
            remedy="wait for more values, or ask with less confidence",
        )
    return Interval(float(np.quantile(x, q)), float(x[low - 1]), float(x[high - 1]))


def difference_of_quantiles(a: Sample, b: Sample, *, q: float, confidence: float) -> Interval:
    """Quantile of a minus quantile of b, as two independent samples; 0.5 is the median.

    Args:
        a: Shape (n,), finite.
        b: Shape (m,), finite, in the same unit.
        q: Which quantile, between 0 and 1.
        confidence: Share of intervals that must hold the truth.

    Raises:
        TooFewValues: too few values on one side to have any on both sides of the quantile.
        InvalidInput: NaN or infinite values, q outside 0..1, or a confidence outside 0.5 to 1.

    Source: two intervals of order statistics, combined as the squares of their arms: Zou and
    Donner (2008), as in `difference_of_rates`.

    Example:
        >>> difference_of_quantiles(
        ...     np.arange(101.0) + 30.0, np.arange(101.0), q=0.5, confidence=0.95
        ... )
        Interval(estimate=30.0, low=15.857..., high=44.142...)
    """
    one = quantile_interval(a, q=q, confidence=confidence)
    other = quantile_interval(b, q=q, confidence=confidence)
    difference = one.estimate - other.estimate
    return Interval(
        estimate=difference,
        low=difference - math.hypot(one.estimate - one.low, other.high - other.estimate),
        high=difference + math.hypot(one.high - one.estimate, other.estimate - other.low),
    )


def _last_rank(n: int, q: float, tail: float) -> int:
    """The largest r for which fewer than r of n values lie below the quantile with at most
    probability `tail`; 0 where there is none."""
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        fewer = beta_i(n - middle + 1, middle, 1.0 - q)  # P(Binomial(n, q) <= middle - 1)
        low, high = (middle, high) if fewer <= tail else (low, middle)
    return low


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

    Example:
        >>> found = mean_difference(np.arange(10.0) + 3.0, np.arange(12.0), confidence=0.95)
        >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
        (2.0, -0.95, 4.95)
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
