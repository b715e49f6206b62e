"""A numeric column against its reference: how far it moved, and what noise alone would do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import Sample, checked, checked_level
from trimtab.stats.special import chi2_quantile, chi2_sf, kolmogorov_sf


class KS(NamedTuple):
    """Result of `kolmogorov_smirnov`: the distance D (0 to 1) and its p-value."""

    statistic: float
    p_value: float


class JensenShannon(NamedTuple):
    """Result of `jensen_shannon`: the divergence in bits (0 to 1), and its root, the distance.

    Both are called "Jensen-Shannon" elsewhere, with base 2 or e; only the distance is a metric.
    """

    divergence: float
    distance: float


@dataclass(frozen=True)
class PsiNull:
    """What PSI does when nothing has changed: `scale` times chi-squared with `dof` degrees,
    which need not be whole."""

    dof: float
    scale: float
    mean: float
    """Nats that sampling alone gives on average."""

    def quantile(self, p: float) -> float:
        """The PSI that stays below with probability `p`, in nats.

        Raises:
            InvalidInput: `p` is not strictly between 0 and 1.

        Example:
            >>> round(psi_null(10, 1000, 1000).quantile(0.95), 4)
            0.0338
        """
        return self.scale * chi2_quantile(p, self.dof)

    def p_value(self, psi: float) -> float:
        """The chance of a PSI as large as `psi` when nothing has changed.

        Raises:
            InvalidInput: `psi` is negative or NaN.

        Example:
            >>> round(psi_null(10, 1000, 1000).p_value(0.03), 3)
            0.091
        """
        return chi2_sf(psi / self.scale, self.dof)


def rows_to_tell(distance: float, other: int, *, level: float) -> int | None:
    """How many values it takes to tell a gap of this size from noise.

    Args:
        distance: D, above 0 and at most 1.
        other: How many values the other side has.
        level: Chance of taking noise for a change, above 0 and below 1.

    Returns:
        Values on this side; None where the other side has too few for any number to do.

    Source: the asymptotic law of D by its first term, which is above it (Smirnov, 1939).

    Example:
        >>> rows_to_tell(0.05, 1_000_000, level=0.05), rows_to_tell(0.05, 500, level=0.05)
        (739, None)
    """
    spread = 2.0 * distance * distance / math.log(2.0 / level) - 1.0 / other
    return math.ceil(1.0 / spread) if spread > 0.0 else None


def population_stability_index(reference: Sample, current: Sample, *, bins: int = 10) -> float:
    """Distance between two samples of a numeric feature, over quantile bins of the first.

    Args:
        reference: Shape (n,), finite. The feature as it was when the model was approved.
        current: Shape (m,), finite. The feature as it is now, in the same unit.
        bins: Equal-frequency bins cut on `reference`; tied edges are merged.

    Returns:
        Nats, from 0 (same shares in every bin). Half a count is added to each bin, so a
        bin that has emptied weighs heavily but never infinitely.

    Raises:
        TooFewValues: fewer than 10 values per bin on either side, or a reference with
            a single value. "Could not look" is never answered with nan or with 0.
        InvalidInput: NaN or infinite values, or fewer than two bins.

    Source: Jeffreys (1946), the symmetric divergence J; known as PSI since Siddiqi (2006).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before, now = rng.normal(size=5000), rng.normal(0.5, 1.0, size=2000)
        >>> round(population_stability_index(before, now), 2)
        0.25
    """
    edges = quantile_edges(reference, bins=bins)
    current = checked(current, at_least=10 * bins, field="current")
    return psi_from_counts(
        bin_counts(checked(reference, at_least=1), edges), bin_counts(current, edges)
    )


def quantile_edges(reference: Sample, *, bins: int) -> Sample:
    """Inner edges of equal-frequency bins: at most `bins` - 1, fewer when values are tied.

    A bin is (edge before, edge]. A value that fills many bins gets an edge once; the smallest
    value keeps an edge of its own (many columns are mostly zero), the largest needs none.

    Args:
        reference: Shape (n,), finite.
        bins: How many bins to cut, 2 or more.

    Raises:
        TooFewValues: fewer than 10 values per bin, or a reference with a single value.
        InvalidInput: NaN or infinite values, or fewer than two bins.

    Example:
        >>> quantile_edges(np.arange(100.0), bins=4)
        array([24.75, 49.5 , 74.25])
    """
    if bins < 2:
        raise InvalidInput(f"{bins} bins cannot show a change", field="bins")
    reference = checked(reference, at_least=10 * bins, field="reference")
    top = reference.max()
    if reference.min() == top:
        raise TooFewValues(
            "a constant reference has no shape to drift away from", field="reference"
        )
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    edges = edges[edges < top]
    if edges.size == 0:  # nearly every value is the largest: split it from the rest
        edges = np.array([reference[reference < top].max()])
    return np.asarray(edges, dtype=np.float64)


def bin_counts(sample: Sample, edges: Sample) -> NDArray[np.int64]:
    """How many values fall into each bin of `quantile_edges`, shape (len(edges) + 1,).

    Args:
        sample: Shape (n,), finite.
        edges: Shape (k,), rising; the bin of a value that equals an edge is the one below it.

    Example:
        >>> bin_counts(np.array([0.0, 1.0, 1.5, 9.0]), np.array([1.0, 2.0]))
        array([2, 1, 1])
    """
    places = np.searchsorted(edges, sample, side="left")
    return np.bincount(places, minlength=edges.size + 1).astype(np.int64)


def psi_from_counts(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    """Population stability index of counts over the same bins, in nats.

    Args:
        reference: Shape (k,), counts per bin, none negative.
        current: Shape (k,), counts per bin, none negative.

    Raises:
        InvalidInput: different shapes, fewer than two bins, or a negative count.
        TooFewValues: nothing was counted on one side.

    Example:
        >>> round(psi_from_counts(np.array([500, 500]), np.array([60, 40])), 3)
        0.04
    """
    p, q = _same_bins(reference, current)
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float(np.sum((p - q) * np.log(p / q)))


def _same_bins(
    reference: NDArray[np.int64], current: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, q = np.asarray(reference), np.asarray(current)
    if p.shape != q.shape or p.ndim != 1 or p.size < 2:
        raise InvalidInput(f"counts of shape {p.shape} and {q.shape} share no bins")
    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        raise InvalidInput("a count is NaN or infinite")
    if p.min() < 0 or q.min() < 0:
        raise InvalidInput("a count is negative")
    if p.sum() == 0 or q.sum() == 0:
        raise TooFewValues("nothing was counted on one side")
    return p.astype(np.float64), q.astype(np.float64)


def psi_noise(bins: int, n_reference: int, n_current: int, *, level: float) -> float:
    """The PSI that sampling alone exceeds with probability `level`, in nats.

    Without drift PSI is close to chi-squared with bins - 1 degrees of freedom, times
    1/n + 1/m. A PSI below this value says nothing; compare it before any band.

    Args:
        bins: Bins in use: `quantile_edges(...).size + 1`, or the number of categories.
        n_reference: Values in the reference, n.
        n_current: Values in the current window, m.
        level: Acceptable share of false alarms, such as 0.01; at most 0.5.

    Raises:
        InvalidInput: fewer than two bins, or a level that is not a false-alarm rate.
        TooFewValues: no values on one side.

    Source: Yurdakul and Naranjo (2020), "Statistical properties of the population stability
    index".

    Example:
        >>> round(psi_noise(10, 1000, 1000, level=0.05), 4)
        0.0338
    """
    checked_level(level)
    return psi_null(bins, n_reference, n_current).quantile(1.0 - level)


def psi_null(bins: int, n_reference: int, n_current: int) -> PsiNull:
    """The law of PSI when nothing has changed: its mean, its quantiles and the p-value.

    Each bin's share has a variance of share (1/n + 1/m), so PSI is (1/n + 1/m) times
    chi-squared with bins - 1 degrees of freedom: 0.018 on average for ten bins and 1,000
    values on each side, 0.00018 for 100,000. It holds from about 10 values per bin; with fewer
    ask `stability.psi_null_of_counts`.

    Args:
        bins: Bins in use: `quantile_edges(...).size + 1`, or the number of categories.
        n_reference: Values in the reference, n.
        n_current: Values in the current window, m.

    Raises:
        InvalidInput: fewer than two bins.
        TooFewValues: no values on one side.

    Source: Yurdakul and Naranjo (2020), as `psi_noise`.

    Example:
        >>> round(psi_null(10, 1000, 1000).mean, 6)
        0.018
    """
    if bins < 2:
        raise InvalidInput(f"{bins} bins cannot show a change", field="bins")
    if n_reference < 1 or n_current < 1:
        raise TooFewValues(f"no noise can be stated for {n_reference} and {n_current} values")
    scale = 1.0 / n_reference + 1.0 / n_current
    return PsiNull(dof=bins - 1, scale=scale, mean=(bins - 1) * scale)


def jensen_shannon(reference: Sample, current: Sample, *, bins: int = 10) -> JensenShannon:
    """Jensen-Shannon divergence and distance, base 2, over quantile bins of the reference.

    Bounded, unlike PSI, so no count has to be added. Without drift it is not 0:
    `jensen_shannon_noise`.

    Args:
        reference: Shape (n,), finite.
        current: Shape (m,), finite, in the same unit.
        bins: Equal-frequency bins cut on `reference`; tied edges are merged.

    Returns:
        The divergence in bits, from 0 (same shares) to 1 (none in common), and its square root.

    Raises:
        TooFewValues: fewer than 10 values per bin on either side, or a reference with a single
            value.
        InvalidInput: NaN or infinite values, or fewer than two bins.

    Source: Lin (1991) for the divergence; Endres and Schindelin (2003) for the distance.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = jensen_shannon(rng.normal(size=5000), rng.normal(0.5, 1.0, size=2000))
        >>> round(found.divergence, 3), round(found.distance, 3)
        (0.045, 0.212)
    """
    edges = quantile_edges(reference, bins=bins)
    current = checked(current, at_least=10 * bins, field="current")
    before = bin_counts(checked(reference, at_least=1), edges)
    return jensen_shannon_from_counts(before, bin_counts(current, edges))


def jensen_shannon_from_counts(
    reference: NDArray[np.int64], current: NDArray[np.int64]
) -> JensenShannon:
    """Jensen-Shannon divergence and distance, base 2, of counts over the same bins.

    Args:
        reference: Shape (k,), counts per bin, none negative.
        current: Shape (k,), counts per bin, none negative.

    Raises:
        InvalidInput: different shapes, fewer than two bins, or a negative count.
        TooFewValues: nothing was counted on one side.

    Source: as `jensen_shannon`.

    Example:
        >>> jensen_shannon_from_counts(np.array([7, 0]), np.array([0, 5]))
        JensenShannon(divergence=1.0, distance=1.0)
    """
    p, q = _same_bins(reference, current)
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2.0
    bits = 0.0
    for side in (p, q):
        some = side > 0.0
        bits += 0.5 * float((side[some] * np.log2(side[some] / middle[some])).sum())
    divergence = min(1.0, max(0.0, bits))
    return JensenShannon(divergence, math.sqrt(divergence))


def jensen_shannon_noise(bins: int, n_reference: int, n_current: int, *, level: float) -> float:
    """The divergence in bits that sampling alone exceeds with probability `level`.

    Near no change the divergence is an eighth of PSI, divided by log 2; its root is the limit
    of the distance.

    Args:
        bins: Bins in use: `quantile_edges(...).size + 1`, or the number of categories.
        n_reference: Values in the reference.
        n_current: Values in the current window.
        level: Acceptable share of false alarms, such as 0.01; at most 0.5.

    Raises:
        InvalidInput: fewer than two bins, or a level that is not a false-alarm rate.
        TooFewValues: no values on one side.

    Source: the second-order term of both divergences; Grosse et al. (2002).

    Example:
        >>> round(jensen_shannon_noise(10, 1000, 1000, level=0.05), 4)
        0.0061
    """
    return psi_noise(bins, n_reference, n_current, level=level) / (8.0 * math.log(2.0))


def kolmogorov_smirnov(reference: Sample, current: Sample, *, exact_up_to: int = 10_000) -> KS:
    """Largest gap between two empirical distribution functions.

    The p-value is exact for small samples, and asymptotic with Stephens' correction above.
    With ties both err towards no alarm. It shrinks with sample size for any fixed effect, so
    judge D as well.

    Args:
        reference: Shape (n,), finite.
        current: Shape (m,), finite.
        exact_up_to: The largest n * m for which the exact p-value is computed, in a time that
            grows with n + m: a few milliseconds for 100 on each side. 0 is never.

    Raises:
        TooFewValues: fewer than 8 values on either side.
        InvalidInput: NaN or infinite values.

    Source: Smirnov (1939); Hodges (1958) for the exact law; Stephens (1970) for the correction.

    Example:
        >>> found = kolmogorov_smirnov(np.arange(20.0), np.arange(20.0) + 6.5)
        >>> round(found.statistic, 2), round(found.p_value, 3)
        (0.35, 0.175)
    """
    r = np.sort(checked(reference, at_least=8, field="reference"))
    c = np.sort(checked(current, at_least=8, field="current"))
    gap = _largest_gap(r, c)
    if r.size * c.size <= exact_up_to:
        return KS(statistic=gap, p_value=_chance_of_gap(gap, r.size, c.size))
    root = math.sqrt(r.size * c.size / (r.size + c.size))
    p_value = kolmogorov_sf((root + 0.12 + 0.11 / root) * gap)
    return KS(statistic=gap, p_value=min(1.0, max(0.0, p_value)))


def _chance_of_gap(gap: float, n: int, m: int) -> float:
    """Chance that n and m values of one continuous law are `gap` or more apart; exact.

    All orders of the pooled values are equally likely, so the order is a walk over the grid
    of n by m. What reaches the gap for the first time is taken out and summed, one diagonal of
    the grid after another; nothing is subtracted, so small chances keep their digits.
    """
    units = math.gcd(n, m)
    step_r, step_c = m // units, n // units  # a gap of i/n - j/m in whole units of 1/lcm
    far = round(gap * n * step_r)
    if far == 0:
        return 1.0
    inside = np.zeros(n + 1)  # chance of being at i reference values without having been far
    inside[0], out = 1.0, 0.0
    i = np.arange(n + 1)
    for drawn in range(1, n + m + 1):
        left = n + m - drawn + 1
        from_c = inside * np.maximum(0, m - (drawn - 1 - i)) / left
        inside[1:] = from_c[1:] + inside[:-1] * (n - i[:-1]) / left
        inside[0] = from_c[0]
        reached = (np.abs(i * step_r - (drawn - i) * step_c) >= far) & (inside > 0.0)
        out += float(inside[reached].sum())
        inside[reached] = 0.0
    return min(1.0, out)


def _largest_gap(r: Sample, c: Sample) -> float:
    """D for two sorted samples; both functions only change at the values themselves."""
    at_r = np.searchsorted(r, r, side="right") / r.size - np.searchsorted(c, r, "right") / c.size
    at_c = np.searchsorted(r, c, side="right") / r.size - np.searchsorted(c, c, "right") / c.size
    return float(max(np.abs(at_r).max(), np.abs(at_c).max()))


def wasserstein(reference: Sample, current: Sample) -> float:
    """Earth mover's distance: how far values moved on average, in the feature's own unit.

    Args:
        reference: Shape (n,), finite.
        current: Shape (m,), finite.

    Raises:
        TooFewValues: no values on one side.
        InvalidInput: NaN or infinite values.

    Source: Vallender (1974), the area between the two distribution functions.

    Example:
        >>> wasserstein(np.array([0.0, 1.0, 2.0]), np.array([5.0, 6.0, 7.0]))
        5.0
    """
    r = np.sort(checked(reference, at_least=1, field="reference"))
    c = np.sort(checked(current, at_least=1, field="current"))
    if r.size == c.size:
        return float(np.abs(r - c).mean())
    pooled = np.sort(np.concatenate([r, c]), kind="stable")
    below_r = np.searchsorted(r, pooled[:-1], side="right") / r.size
    below_c = np.searchsorted(c, pooled[:-1], side="right") / c.size
    return float(np.sum(np.abs(below_r - below_c) * np.diff(pooled)))


def wasserstein_scaled(reference: Sample, current: Sample) -> float:
    """Earth mover's distance in units of the reference's spread, comparable across features.

    The spread is the interquartile range, or the standard deviation where more than half
    of the reference is one value.

    Args:
        reference: Shape (n,), finite, not constant.
        current: Shape (m,), finite.

    Raises:
        TooFewValues: fewer than 8 reference values, none in the current window, or a constant
            reference.
        InvalidInput: NaN or infinite values.

    Source: as `wasserstein`; the scaling is ours.

    Example:
        >>> wasserstein_scaled(np.arange(9.0), np.arange(9.0) + 2.0)
        0.5
    """
    return wasserstein(reference, current) / spread(reference)


def spread(reference: Sample) -> float:
    """Interquartile range, or the standard deviation where that is 0, in the feature's unit.

    Raises:
        TooFewValues: fewer than 8 values, or all are the same.
        InvalidInput: NaN or infinite values.

    Example:
        >>> spread(np.arange(9.0))
        4.0
    """
    reference = checked(reference, at_least=8, field="reference")
    if reference.min() == reference.max():
        raise TooFewValues("a constant reference has no spread", field="reference")
    low, high = np.quantile(reference, [0.25, 0.75])
    return float(high - low) if high > low else float(reference.std())
