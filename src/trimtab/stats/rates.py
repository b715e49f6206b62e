"""Rare events: exact tests for one look, and evidence that survives looking again and again.

An e-value is evidence against a hypothesis: while the hypothesis is true, the chance that it
EVER reaches 1 / level, at any look, is at most `level` (Ville 1939). So a judge may look
every half hour and stop when it has seen enough, which a p-value forbids. Each one here is a
mixture of likelihood ratios over alternatives that reach from the limit to `spread` times
beyond it, on a logarithmic scale; `spread` steers power, never validity.

Sources: Ville (1939); Robbins (1970), mixtures; Turner, Ly and Grünwald (2024), safe tests
for two proportions; Lindon and Malek (2022), sequential tests of canaries.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import (
    Sample,
    checked,
    checked_confidence,
    checked_counts,
    checked_level,
    checked_open,
)
from trimtab.stats.special import beta_i

_POINTS = 200  # alternatives in a mixture; finer changes no e-value by more than a few percent
_LARGEST_LOG = 700.0  # exp() of more overflows, and nobody needs more evidence


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """Probability of at least `successes` in `trials` when the true rate is `rate`; exact.

    For one look. Looking repeatedly needs `rate_exceeds_evalue`.

    Raises:
        TooFewValues: no trials.
        InvalidInput: impossible counts, or a rate outside 0..1.

    Example:
        >>> round(binomial_tail(8, 100, 0.03), 4)
        0.0106
    """
    s, n = checked_counts(successes, trials)
    if n == 0:
        raise TooFewValues("no trials", field="trials")
    if not 0.0 <= rate <= 1.0:
        raise InvalidInput(f"a rate of {rate}", field="rate")
    return 1.0 if s == 0 else beta_i(s, n - s + 1, rate)


def ratio_test(
    canary_successes: int,
    canary_trials: int,
    active_successes: int,
    active_trials: int,
    *,
    ratio: float,
) -> float:
    """p-value of "the canary's rate is at most `ratio` times the active one's"; one look.

    Of all events seen, the canary's share is compared with its share of the exposure, so a
    baseline without any event needs no division and no correction. Errs towards no alarm when
    rates are not small. No event at all gives 1: no evidence, which is not health.

    Args:
        canary_successes: Events (errors, false positives) of the canary.
        canary_trials: Rows the canary handled, 1 or more.
        active_successes: Events of the active version in the same period.
        active_trials: Rows the active version handled, 1 or more.
        ratio: How many times the active rate is still acceptable, above 0.

    Raises:
        TooFewValues: no trials on one side.
        InvalidInput: impossible counts, or a ratio that is not positive.

    Source: Przyborowski and Wilenski (1940), the conditional test of two counts.

    Example:
        >>> round(ratio_test(12, 500, 45, 4500, ratio=1.0), 4)
        0.0097
    """
    s, n = checked_counts(canary_successes, canary_trials)
    base_s, base_n = checked_counts(active_successes, active_trials)
    checked_open(ratio, low=0.0, high=math.inf, field="ratio")
    if n == 0 or base_n == 0:
        raise TooFewValues("one side handled no rows", field="trials")
    if s == 0:
        return 1.0
    return beta_i(s, base_s + 1, ratio * n / (ratio * n + base_n))


def rate_exceeds_evalue(
    successes: int, trials: int, *, limit: float, spread: float = 20.0
) -> float:
    """Evidence that a rate exceeds an absolute limit; safe under repeated looks.

    Against "every row's rate is at most `limit`", which may vary from row to row.

    Args:
        successes: Events so far.
        trials: Rows so far; with none the evidence is 1.
        limit: The largest acceptable rate, between 0 and 1.
        spread: How far beyond the limit the alternatives reach, as a ratio of odds.

    Returns:
        The e-value. Reaching 1 / level, at any look, happens with at most that probability.

    Raises:
        InvalidInput: impossible counts, a limit outside 0..1, or a spread not above 1.

    Example:
        >>> round(rate_exceeds_evalue(30, 200, limit=0.05))
        210086
    """
    return _rate_evalue(successes, trials, limit=limit, spread=spread, beyond=1.0)


def rate_below_evalue(successes: int, trials: int, *, limit: float, spread: float = 20.0) -> float:
    """Evidence that a rate is below a limit, which may justify a promotion.

    Against "every row's rate is at least `limit`". Arguments, result and errors as
    `rate_exceeds_evalue`; with few rows the evidence is near 1, so silence promotes nothing.

    Raises:
        InvalidInput: impossible counts, a limit outside 0..1, or a spread not above 1.

    Example:
        >>> round(rate_below_evalue(5, 400, limit=0.05))
        1630
    """
    return _rate_evalue(successes, trials, limit=limit, spread=spread, beyond=-1.0)


def ratio_exceeds_evalue(
    canary_successes: ArrayLike,
    canary_trials: ArrayLike,
    active_successes: ArrayLike,
    active_trials: ArrayLike,
    *,
    ratio: float,
    spread: float = 10.0,
) -> float:
    """Evidence that the canary's rate exceeds `ratio` times the active one's.

    Safe under repeated looks, with the baseline estimated from concurrent rows. Each argument
    is one number, or an array of shape (looks,) with what was ADDED between two looks. Totals
    as single numbers are right only while the split of traffic stays the same; after a step
    from 5 % to 25 % give the looks one by one, and a rate that changes over the day, or a step
    taken during a bad hour, cannot be mistaken for a bad canary.

    Args:
        canary_successes: Events of the canary.
        canary_trials: Rows of the canary. A look without rows on both sides adds nothing.
        active_successes: Events of the active version in the same period.
        active_trials: Rows of the active version.
        ratio: The largest acceptable ratio of the rates, above 0.
        spread: How far beyond the ratio the alternatives reach.

    Returns:
        The e-value. Reaching 1 / level, at any look, happens with at most that probability
        while in each look the canary's mean rate is at most `ratio` times the active one's.

    Raises:
        InvalidInput: impossible counts, different lengths, a ratio that is not positive, or
            a spread not above 1.

    Source: the conditional likelihood ratio of two Poisson counts. For yes / no rows its mean
    is at most exp(p_active * (ratio * n_c * (u - 1) - n_a * (1 - v))) = 1, where u and v are
    the factors for an event of the canary and of the baseline; so it is safe for any rates,
    not only for small ones.

    Example:
        >>> looks = [3, 9], [50, 100], [9, 18], [450, 900]
        >>> round(ratio_exceeds_evalue(*looks, ratio=1.0))
        229
    """
    looks = _looks(canary_successes, canary_trials, active_successes, active_trials)
    return _ratio_evalue(looks, ratio=ratio, spread=spread, beyond=1.0)


def ratio_below_evalue(
    canary_successes: ArrayLike,
    canary_trials: ArrayLike,
    active_successes: ArrayLike,
    active_trials: ArrayLike,
    *,
    ratio: float,
    spread: float = 10.0,
) -> float:
    """Evidence that the canary's rate is below `ratio` times the active one's.

    Against "at least `ratio` times". Arguments, result and errors as `ratio_exceeds_evalue`.

    Raises:
        InvalidInput: impossible counts, different lengths, a ratio that is not positive, or
            a spread not above 1.

    Example:
        >>> round(ratio_below_evalue(2, 500, 90, 4500, ratio=2.0))
        45756
    """
    looks = _looks(canary_successes, canary_trials, active_successes, active_trials)
    return _ratio_evalue(looks, ratio=ratio, spread=spread, beyond=-1.0)


def events_needed(
    limit: float,
    true_rate: float,
    *,
    power: float,
    confidence: float,
    repeated_looks: bool = True,
    spread: float = 20.0,
) -> int:
    """Rows needed to show on which side of a limit a rate lies.

    Args:
        limit: The limit, between 0 and 1.
        true_rate: The rate supposed to be true, from 0 to 1: above the limit it sizes the
            alarm, below it the promotion.
        power: Chance of showing it by then, such as 0.9.
        confidence: 1 minus the acceptable chance of a wrong verdict, such as 0.99.
        repeated_looks: Size `rate_exceeds_evalue` / `rate_below_evalue`, or (False) the exact
            binomial test with a single look at the end.
        spread: As for the e-values.

    Returns:
        Rows. The chance is a saw-tooth in the number of rows; this is the start of the first
        stretch found by bisection from which it holds.

    Raises:
        InvalidInput: an argument outside its range, or a rate that equals the limit or needs
            more than a billion rows.

    Example:
        >>> events_needed(0.05, 0.0, power=0.9, confidence=0.99)
        113
    """
    checked_open(limit, low=0.0, high=1.0, field="limit")
    checked_open(power, low=0.0, high=1.0, field="power")
    level = checked_level(1.0 - checked_confidence(confidence))
    if not 0.0 <= true_rate <= 1.0 or true_rate == limit:
        raise InvalidInput(f"a true rate of {true_rate} cannot be told from {limit}")

    def enough(n: int) -> bool:
        return _power_at(n, limit, true_rate, level, repeated_looks, spread) >= power

    high = 1
    while not enough(high):
        high *= 2
        if high > 10**9:
            raise InvalidInput("more than a billion rows are needed", field="true_rate")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _power_at(
    n: int, limit: float, true_rate: float, level: float, repeated: bool, spread: float
) -> float:
    """Chance that `n` rows show the side of the limit; found from the decisive count."""
    above = true_rate > limit

    def decides(s: int) -> bool:
        if repeated:
            beyond = 1.0 if above else -1.0
            evidence = _rate_evalue(s, n, limit=limit, spread=spread, beyond=beyond)
            return evidence >= 1.0 / level
        tail = binomial_tail(s, n, limit) if above else 1.0 - binomial_tail(s + 1, n, limit)
        return tail <= level

    # Evidence is monotone in s, so bisection finds the last (or first) count that decides.
    low, high = -1, n  # above: `low` does not decide; below: `high` might not
    if not decides(n if above else 0):
        return 0.0
    if above:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if decides(middle) else (middle, high)
        return binomial_tail(high, n, true_rate)
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if decides(middle) else (low, middle)
    return 1.0 - binomial_tail(low + 1, n, true_rate)


def _alternatives(spread: float, beyond: float) -> Sample:
    """Log ratios of the mixture: midpoints of equal steps from 0 to log(spread)."""
    checked_open(spread, low=1.0, high=math.inf, field="spread")
    steps = (np.arange(_POINTS) + 0.5) / _POINTS
    return np.asarray(beyond * math.log(spread) * steps, dtype=np.float64)


def _mixed(log_ratios: Sample) -> float:
    """The mean of exp(log_ratios), without overflow."""
    top = float(log_ratios.max())
    return math.exp(min(_LARGEST_LOG, top + math.log(float(np.exp(log_ratios - top).mean()))))


def _rate_evalue(
    successes: int, trials: int, *, limit: float, spread: float, beyond: float
) -> float:
    s, n = checked_counts(successes, trials)
    checked_open(limit, low=0.0, high=1.0, field="limit")
    factor = np.exp(_alternatives(spread, beyond))  # of the odds: stays a rate for any spread
    # For odds o * f: p'/p = f / (1 + p (f - 1)) and (1 - p')/(1 - p) = 1 / (1 + p (f - 1)).
    return _mixed(s * np.log(factor) - n * np.log1p(limit * (factor - 1.0)))


def _ratio_evalue(looks: NDArray[np.int64], *, ratio: float, spread: float, beyond: float) -> float:
    checked_open(ratio, low=0.0, high=math.inf, field="ratio")
    log_factor = _alternatives(spread, beyond)
    canary, rows, active, active_rows = looks[:, (looks[1] > 0) & (looks[3] > 0)]
    share = ratio * rows / (ratio * rows + active_rows)  # of the events, at the limit
    stretched = np.log1p(np.outer(np.exp(log_factor) - 1.0, share))
    return _mixed(canary.sum() * log_factor - stretched @ (canary + active))


def _looks(*columns: ArrayLike) -> NDArray[np.int64]:
    """Shape (4, looks): events and rows of the canary, events and rows of the active one."""
    arrays = [
        checked(np.atleast_1d(np.asarray(column)), at_least=0, field="trials") for column in columns
    ]
    if len({array.size for array in arrays}) != 1:
        raise InvalidInput("the four columns have different numbers of looks", field="trials")
    looks = np.stack(arrays)
    if (looks < 0).any() or (looks != np.floor(looks)).any():
        raise InvalidInput("counts are whole numbers and never negative", field="trials")
    if (looks[0] > looks[1]).any() or (looks[2] > looks[3]).any():
        raise InvalidInput("more events than rows", field="trials")
    return looks.astype(np.int64)
