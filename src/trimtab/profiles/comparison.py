"""How far one profile is from another: numbers with their error bounds, no judgement.

Counting in cells loses where in its cell a value lay. What that can do to a distance is known,
and stated beside it: the largest gap D is never overstated, the Wasserstein distance is right
to within half a cell's width, and everything that is computed from bins is exact for those
bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.grid import Aligned, aligned
from trimtab.profiles.numeric import NumericProfile
from trimtab.stats.categorical import total_variation, total_variation_noise
from trimtab.stats.homogeneity import conditional_chi_squared
from trimtab.stats.sample import Sample, distinct
from trimtab.stats.special import kolmogorov_sf
from trimtab.stats.stability import psi_null_of_counts
from trimtab.stats.tails import tail_p_value
from trimtab.stats.univariate import PsiNull, jensen_shannon_from_counts, psi_from_counts

_Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bins:
    """Both sides counted in a few bins that the reference fills evenly.

    `edges`, shape (k - 1,), are the inner ones: a bin is [edge before, edge). `reference` and
    `current` have shape (k,).
    """

    edges: Sample
    reference: _Counts
    current: _Counts


@dataclass(frozen=True)
class NumericDistance:
    """How far a numeric column is from its reference.

    `ks_d` is the largest gap between the distribution functions at the edges of cells: at most
    the true D, which is at most `ks_d_high`. `wasserstein` is in the unit of the column, right
    to within `wasserstein_error`; `wasserstein_scaled` is in standard deviations of the
    reference, None for a constant one. `p_value` is of `ks_d`, and errs towards calm. The other
    three are over `bins`, and None where the reference is too short or too uniform for any:
    PSI in nats and its law under no change, and the Jensen-Shannon distance, base 2.
    """

    ks_d: float
    ks_d_high: float
    p_value: float
    wasserstein: float
    wasserstein_error: float
    wasserstein_scaled: float | None
    mean_change: float
    psi: float | None
    psi_law: PsiNull | None
    jensen_shannon: float | None
    bins: Bins | None
    tail_p_value: float | None = None
    """Of the outermost rows on either end; None where nobody asked."""

    @property
    def psi_mean(self) -> float | None:
        """PSI on average when nothing has changed, in nats."""
        return None if self.psi_law is None else self.psi_law.mean


@dataclass(frozen=True)
class CategoryDistance:
    """How far a column of categories is from its reference.

    `mass` is the share of rows that changed category (total variation), `mass_by_chance` what
    is to be expected of it if no share has changed. `p_value` is of Pearson's test over all
    categories, valid when most are rare; None where every deal of the rows looks the same.
    `psi` is in nats, `psi_law` what it does when no share has changed; None of one category.
    """

    mass: float
    mass_by_chance: float
    p_value: float | None
    psi: float | None
    psi_law: PsiNull | None
    jensen_shannon: float | None
    categories: int

    @property
    def mass_moved(self) -> float:
        """Mass beyond what chance moves, 0 or more."""
        return max(0.0, self.mass - self.mass_by_chance)

    @property
    def psi_mean(self) -> float | None:
        """PSI on average when nothing has changed, in nats."""
        return None if self.psi_law is None else self.psi_law.mean


def numeric_distance(
    reference: NumericProfile,
    current: NumericProfile,
    *,
    bins: int = 10,
    ends_from: float = math.inf,
) -> NumericDistance:
    """How far `current` is from `reference`.

    Args:
        reference: With at least one finite value.
        current: The same. Counted on the reference's grid, the cells are finest.
        bins: Bins for PSI and Jensen-Shannon, cut where the reference has equal shares.
        ends_from: Scaled Wasserstein distance from which the ends are tested, too: it may be
            of few rows, very far out.

    Raises:
        TooFewValues: one side has no finite value.
        InvalidInput: fewer than two bins.

    Source: Smirnov (1939) for D, Stephens (1970) for its p-value; Vallender (1974) for the
    Wasserstein distance; Jeffreys (1946) for PSI; Lin (1991) for Jensen-Shannon.

    Example:
        >>> from trimtab.profiles.arrow import profile_of
        >>> import pyarrow as pa
        >>> rng = np.random.default_rng(0)
        >>> before = profile_of(pa.table({"x": rng.normal(size=5000)}))
        >>> now = profile_of(pa.table({"x": rng.normal(0.2, 1, size=2000)}), like=before.columns)
        >>> found = numeric_distance(before.columns["x"], now.columns["x"])
        >>> round(found.ks_d, 3), round(found.ks_d_high, 3), round(found.wasserstein, 3)
        (0.108, 0.11, 0.217)
    """
    if bins < 2:
        raise InvalidInput(f"{bins} bins cannot show a change", field="bins")
    n, m = reference.known, current.known
    if not n or not m:
        raise TooFewValues("one side has no finite value to compare")
    shared = aligned(reference.cells, current.cells)
    gap = np.cumsum(shared.reference) / n - np.cumsum(shared.current) / m
    single = _single_valued(shared, reference, current)
    d, d_high = _largest_gap(shared, gap, n, m, single)
    root = math.sqrt(n * m / (n + m))
    w1, error = _wasserstein(shared, gap, reference, current, single)
    unit = reference.deviation
    scaled = w1 / unit if unit > 0.0 else None
    cut = _bins(shared, bins) if n >= 10 * bins else None
    far = scaled is not None and scaled >= ends_from
    return NumericDistance(
        ks_d=d,
        ks_d_high=d_high,
        p_value=min(1.0, max(0.0, kolmogorov_sf((root + 0.12 + 0.11 / root) * d))),
        wasserstein=w1,
        wasserstein_error=error,
        wasserstein_scaled=scaled,
        mean_change=current.mean - reference.mean,
        psi=None if cut is None else psi_from_counts(cut.reference, cut.current),
        psi_law=None if cut is None else psi_null_of_counts(cut.reference, cut.current),
        jensen_shannon=None
        if cut is None
        else jensen_shannon_from_counts(cut.reference, cut.current).distance,
        bins=cut,
        tail_p_value=tail_p_value(shared.reference, shared.current) if far else None,
    )


def category_distance(reference: CategoryProfile, current: CategoryProfile) -> CategoryDistance:
    """How far `current` is from `reference`; by the digests of the names where one side had too
    many names to keep.

    Raises:
        TooFewValues: one side has no category at all.

    Example:
        >>> from trimtab.profiles.category import of_counts
        >>> before = of_counts({"a": 600, "b": 400}, rows=1000, nulls=0)
        >>> now = of_counts({"a": 250, "b": 200, "c": 50}, rows=500, nulls=0)
        >>> round(category_distance(before, now).mass, 3)
        0.1
    """
    before, now = _category_counts(reference, current)
    if not before.sum() or not now.sum():
        raise TooFewValues("one side has no category to compare")
    if before.size < 2:  # one category before and after: the shares are the same, exactly
        return CategoryDistance(0.0, 0.0, 1.0, 0.0, None, 0.0, before.size)
    try:
        p_value = conditional_chi_squared(before, now).p_value
    except TooFewValues:
        p_value = None
    return CategoryDistance(
        mass=total_variation(before, now),
        mass_by_chance=total_variation_noise(before, now),
        p_value=p_value,
        psi=psi_from_counts(before, now),
        psi_law=psi_null_of_counts(before, now),
        jensen_shannon=jensen_shannon_from_counts(before, now).distance,
        categories=before.size,
    )


def _category_counts(
    reference: CategoryProfile, current: CategoryProfile
) -> tuple[_Counts, _Counts]:
    if reference.named and current.named:
        names = dict.fromkeys([*reference.counts, *current.counts])
        before = np.array([reference.counts.get(name, 0) for name in names], dtype=np.int64)
        now = np.array([current.counts.get(name, 0) for name in names], dtype=np.int64)
        return before, now
    before, now = reference.in_buckets(), current.in_buckets()
    there = (before > 0) | (now > 0)
    return before[there], now[there]


def _single_valued(
    shared: Aligned, reference: NumericProfile, current: NumericProfile
) -> NDArray[np.bool_]:
    """Which cells can hold one value only, their lower edge, shape (k,)."""
    if not (reference.whole and current.whole):
        return np.zeros(shared.lower.size, dtype=bool)
    return shared.upper - shared.lower <= 1.0


def _largest_gap(
    shared: Aligned, gap: Sample, n: int, m: int, single: NDArray[np.bool_]
) -> tuple[float, float]:
    """D at the edges of cells, and what it may be within one."""
    before = np.concatenate([[0.0], gap[:-1]])
    inside = np.maximum(before + shared.reference / n, -before + shared.current / m)[~single]
    d = float(np.abs(gap).max(initial=0.0))
    return d, min(1.0, max(d, float(inside.max(initial=0.0))))


def _wasserstein(
    shared: Aligned,
    gap: Sample,
    reference: NumericProfile,
    current: NumericProfile,
    single: NDArray[np.bool_],
) -> tuple[float, float]:
    """The area between the distribution functions, and how wrong it may be."""
    assert reference.low is not None
    assert reference.high is not None
    assert current.low is not None
    assert current.high is not None
    lower, upper = shared.lower.copy(), shared.upper.copy()
    lower[0] = max(lower[0], min(reference.low, current.low))
    upper[-1] = max(lower[-1], min(upper[-1], max(reference.high, current.high)))
    width = upper - lower
    before = np.concatenate([[0.0], gap[:-1]])
    between = np.abs(gap[:-1]) * (lower[1:] - upper[:-1])
    inside = np.where(single, np.abs(gap), _chord(before, gap)) * width
    mass = shared.reference / reference.known + shared.current / current.known
    error = 0.5 * float((width * mass)[~single].sum())
    return float(inside.sum() + between.sum()), error


def _chord(begin: Sample, end: Sample) -> Sample:
    """Mean of |x| along the straight line from `begin` to `end`."""
    crossing = begin * end < 0.0
    total = np.abs(begin) + np.abs(end)
    squares = begin * begin + end * end
    return np.where(crossing, squares / np.where(crossing, 2.0 * total, 1.0), total / 2.0)


def _bins(shared: Aligned, bins: int) -> Bins | None:
    """Cells put together into bins of nearly equal shares of the reference; a cell that fills
    several of them becomes one. None where the reference lies in a single cell."""
    below = np.cumsum(shared.reference)
    total = int(below[-1])
    filled = np.flatnonzero(shared.reference)
    if filled.size < 2:
        return None
    wanted = np.arange(1, bins) * total / bins
    after = np.searchsorted(below, wanted)  # the first edge at or beyond each share
    nearer = after - (
        (after > 0) & (wanted - below[np.maximum(after - 1, 0)] < below[after] - wanted)
    )
    cuts = distinct(nearer)
    cuts = cuts[(below[cuts] > 0) & (below[cuts] < total)]
    if not cuts.size:  # nearly all of it is in one cell: split that from the rest
        heavy = int(np.argmax(shared.reference))
        cuts = np.array([heavy if heavy != filled[-1] else filled[-2]])
    starts = np.concatenate([[0], cuts + 1])
    return Bins(
        edges=shared.upper[cuts],
        reference=np.add.reduceat(shared.reference, starts),
        current=np.add.reduceat(shared.current, starts),
    )
