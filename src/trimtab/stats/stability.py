"""What the stability index does by chance, for the very counts that it is asked about.

`univariate.psi_null` has one law for any shares, and needs about ten values per bin. Most of
the categories of a column may have fewer: half a count is then much of a category, and the index
is smaller by chance than that law says, and wider spread. Given how often each category occurs
on both sides together, chance deals its rows out to the two sides, and everything can be added
up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.counts import CountArray, counted, log_hypergeometric
from trimtab.stats.sample import Sample, distinct
from trimtab.stats.univariate import PsiNull

_NODES = 96  # totals at which the moments are computed, where there are more different ones
_REACH = 5.0  # standard deviations to each side of the mean that are summed over
_LEAST_SPREAD = 1e-3  # of the mean: a law narrower than that is stated as if it were that wide


def psi_null_of_counts(reference: CountArray, current: CountArray) -> PsiNull:
    """The law of PSI when nothing has changed, however few rows the categories have.

    Given the rows t of a category on both sides together, those of the reference are
    hypergeometric, and the category's term of `psi_from_counts` is a function of that one
    number: its mean and variance are sums over what the number can be. Two categories hang
    together because they share the margins; their covariance is exact in the linear and in the
    quadratic part of the terms, and what is beyond is left out. A gamma law with this mean and
    variance gives quantiles and p-values; with many rows per category it is that of `psi_null`.
    More than 96 different totals are read off between so many, to within about a thousandth.

    Args:
        reference: Shape (k,), rows per category, n in all, none negative.
        current: The same categories now, m rows in all. A category that neither side has
            counts as one, as it does in `psi_from_counts`.

    Returns:
        The law, in nats; its degrees of freedom are no whole number.

    Raises:
        InvalidInput: different shapes, or a count is negative or not whole.
        TooFewValues: nothing was counted on one side, or only one category has rows.

    Source: the moments of occupancy statistics given the margins, after Holst (1979), with the
    hypergeometric law and its orthogonal polynomials (Hahn 1949) in place of the normal one;
    the gamma law as `homogeneity.conditional_chi_squared`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> shares = 1.0 / np.arange(1, 5001)
        >>> before = rng.multinomial(10_000, shares / shares.sum())
        >>> now = rng.multinomial(2_000, shares / shares.sum())
        >>> law = psi_null_of_counts(before, now)
        >>> round(law.mean, 3), round(law.quantile(0.99), 3)
        (0.666, 0.706)
    """
    r, c = counted(reference, field="reference"), counted(current, field="current")
    if r.shape != c.shape:
        raise InvalidInput(f"counts of shape {r.shape} and {c.shape} share no bins")
    both = r + c
    if np.count_nonzero(both) < 2:
        raise TooFewValues("one single category on both sides has no shares to compare")
    n, m = float(r.sum()), float(c.sum())
    nodes = distinct(both)
    if nodes.size > _NODES:
        nodes = distinct(np.rint(np.geomspace(1.0, nodes[-1] + 1.0, _NODES)).astype(np.int64) - 1)
    mean, variance, *shared = (
        np.interp(both, nodes, moment) for moment in _moments(nodes.astype(float), n, m, both.size)
    )
    spread = float(variance.sum())
    for sign, part in zip((-1.0, 1.0), shared, strict=True):
        spread += sign * float(part.sum() ** 2 - (part * part).sum())
    expected = float(mean.sum())
    spread = max(spread, (_LEAST_SPREAD * expected) ** 2)
    dof = 2.0 * expected * expected / spread
    return PsiNull(dof=dof, scale=expected / dof, mean=expected)


def _moments(
    totals: Sample, n: float, m: float, categories: int
) -> tuple[Sample, Sample, Sample, Sample]:
    """Mean and variance of the term of a category with so many rows on both sides, and what the
    linear and the quadratic part of it share with those of others; shape (j,) each.

    The covariance of two categories is minus the product of their linear parts plus that of
    their quadratic ones.
    """
    all_rows = n + m
    x, of = _points(totals, n, m)
    t, begin = totals[of], np.searchsorted(of, np.arange(totals.size))

    def expected(values: Sample) -> Sample:
        return np.asarray(np.add.reduceat(weight * values, begin))

    weight = np.exp(log_hypergeometric(x, t, all_rows, n))
    weight /= np.add.reduceat(weight, begin)[of]
    p = (x + 0.5) / (n + categories / 2.0)
    q = (t - x + 0.5) / (m + categories / 2.0)
    term = (p - q) * np.log(p / q)
    mean = expected(term)
    term -= mean[of]
    linear = x - expected(x)[of]
    square = linear * linear
    width = expected(square)
    quadratic = square - width[of] - _by(expected(square * linear), width)[of] * linear
    tie = _by(totals, all_rows - totals)
    tie_2 = tie * _by(totals - 1.0, all_rows - totals - 1.0)
    straight = expected(term * linear) * np.sqrt(_by(tie, width))
    bent = expected(term * quadratic) * np.sqrt(_by(tie_2, expected(quadratic * quadratic)))
    return mean, expected(term * term), straight, bent


def _points(totals: Sample, n: float, m: float) -> tuple[Sample, NDArray[np.int64]]:
    """What the rows of the reference can be, and which total each belongs to; shape (l,) each.

    Values that are all but impossible are left out; of a smooth law every few are enough.
    """
    middle = totals * (n / (n + m))
    deviation = np.sqrt(middle * (m / (n + m)) * (n + m - totals) / (n + m - 1.0))
    reach = np.ceil(_REACH * (deviation + 1.0))
    step = np.maximum(1.0, np.floor(deviation / 2.0))
    first = np.maximum(np.maximum(0.0, totals - m), np.floor(middle) - reach)
    last = np.minimum(np.minimum(totals, n), np.floor(middle) + reach)
    length = ((last - first) // step + 1.0).astype(np.int64)
    of = np.repeat(np.arange(totals.size), length)
    place = np.arange(of.size) - np.repeat(np.cumsum(length) - length, length)
    return first[of] + step[of] * place, of


def _by(above: Sample, below: Sample) -> Sample:
    """The quotient, and 0 where there is nothing to divide by."""
    there = below > 1e-9
    return np.where(there, above / np.where(there, below, 1.0), 0.0)
