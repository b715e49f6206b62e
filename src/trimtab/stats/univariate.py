"""A numeric column against its reference: how far it moved, and what noise alone would do."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import Sample, checked, checked_level
from trimtab.stats.special import chi2_quantile, kolmogorov_sf


class KS(NamedTuple):
    """Result of `kolmogorov_smirnov`: the distance D (0 to 1) and its p-value."""

    statistic: float
    p_value: float


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
    """How many values fall into each bin of `quantile_edges`, shape (len(edges) + 1,)."""
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
    """
    p, q = np.asarray(reference), np.asarray(current)
    if p.shape != q.shape or p.ndim != 1 or p.size < 2:
        raise InvalidInput(f"counts of shape {p.shape} and {q.shape} share no bins")
    if p.min() < 0 or q.min() < 0:
        raise InvalidInput("a count is negative")
    if p.sum() == 0 or q.sum() == 0:
        raise TooFewValues("nothing was counted on one side")
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float(np.sum((p - q) * np.log(p / q)))


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
    """
    checked_level(level)
    if bins < 2:
        raise InvalidInput(f"{bins} bins cannot show a change", field="bins")
    if n_reference < 1 or n_current < 1:
        raise TooFewValues(f"no noise can be stated for {n_reference} and {n_current} values")
    return chi2_quantile(1.0 - level, bins - 1) * (1.0 / n_reference + 1.0 / n_current)


def kolmogorov_smirnov(reference: Sample, current: Sample) -> KS:
    """Largest gap between two empirical distribution functions.

    The p-value is asymptotic with Stephens' correction for small samples; with ties it errs
    towards no alarm. It shrinks with sample size for any fixed effect, so judge D as well.

    Args:
        reference: Shape (n,), finite.
        current: Shape (m,), finite.

    Raises:
        TooFewValues: fewer than 8 values on either side.
        InvalidInput: NaN or infinite values.

    Source: Smirnov (1939); Stephens (1970) for the correction.
    """
    r = np.sort(checked(reference, at_least=8, field="reference"))
    c = np.sort(checked(current, at_least=8, field="current"))
    gap = _largest_gap(r, c)
    root = math.sqrt(r.size * c.size / (r.size + c.size))
    p_value = kolmogorov_sf((root + 0.12 + 0.11 / root) * gap)
    return KS(statistic=gap, p_value=min(1.0, max(0.0, p_value)))


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
    """
    return wasserstein(reference, current) / spread(reference)


def spread(reference: Sample) -> float:
    """Interquartile range, or the standard deviation where that is 0, in the feature's unit.

    Raises:
        TooFewValues: fewer than 8 values, or all are the same.
        InvalidInput: NaN or infinite values.
    """
    reference = checked(reference, at_least=8, field="reference")
    if reference.min() == reference.max():
        raise TooFewValues("a constant reference has no spread", field="reference")
    low, high = np.quantile(reference, [0.25, 0.75])
    return float(high - low) if high > low else float(reference.std())
