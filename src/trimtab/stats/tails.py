"""Are the far ends alike? What a test of the largest gap cannot see: few rows, very far out.

D weighs every row alike, so thirty rows in ten thousand that lie a million deviations out move
it by 0.003. They move the mean distance by thousands of deviations. Here their number is judged:
of the outermost rows of both sides together, how many come from one side.
"""

from __future__ import annotations

import math

import numpy as np

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.counts import CountArray, log_hypergeometric

OUTERMOST = (8, 32, 128, 512, 2048)
"""How many rows, at least, are taken from either end: each size is a question of its own."""


def tail_p_value(reference: CountArray, current: CountArray) -> float:
    """Chance that the outermost rows are dealt as unevenly as this if both sides are alike.

    Args:
        reference: Shape (k,), rows in cells that are ordered by place.
        current: Shape (k,), rows in the same cells.

    Returns:
        0 to 1: the smallest of exact two-sided tests at either end, times their number
        (Bonferroni), so at most the stated share of calm columns falls below a level.

    Raises:
        InvalidInput: other shapes.
        TooFewValues: a side has no rows.

    Source: the exact test of Fisher (1934) on the rows beyond a cut of the pooled order, as in
    the exceedance tests of Rosenbaum (1954).

    Example:
        >>> calm = np.array([4985, 4985, 0])
        >>> few_far_out = np.array([4985, 4985, 30])
        >>> tail_p_value(calm, few_far_out) < 1e-7, tail_p_value(calm, calm)
        (True, 1.0)
    """
    before, now = np.asarray(reference), np.asarray(current)
    if before.shape != now.shape or before.ndim != 1:
        raise InvalidInput(f"counts of shape {before.shape} and {now.shape} share no cells")
    if not before.sum() or not now.sum():
        raise TooFewValues("one side has no rows")
    chances = [*_from_the_end(before, now), *_from_the_end(before[::-1], now[::-1])]
    return min([1.0, *(len(chances) * chance for chance in chances)])


def _from_the_end(before: CountArray, now: CountArray) -> list[float]:
    """The tests at the last cells; a cut that takes more than half of all rows is no end."""
    both = np.cumsum((before + now)[::-1])
    mine = np.cumsum(now[::-1])
    total, draws = int(both[-1]), int(mine[-1])
    cuts = sorted({int(np.searchsorted(both, size)) for size in OUTERMOST if size <= total // 2})
    return [
        _two_sided(int(mine[cut]), int(both[cut]), total, draws)
        for cut in cuts
        if both[cut] <= total // 2
    ]


def _two_sided(mine: int, outer: int, total: int, draws: int) -> float:
    low, high = max(0, outer - (total - draws)), min(outer, draws)
    if outer * (draws / total) < mine:
        possible = np.arange(mine, high + 1, dtype=np.float64)
    else:
        possible = np.arange(low, mine + 1, dtype=np.float64)
    log_p = log_hypergeometric(possible, np.float64(outer), float(total), float(draws))
    return min(1.0, 2.0 * math.fsum(np.exp(log_p).tolist()))
