"""Was a unit changed? A column that was multiplied, shifted, or both, recognised by its shape.

Quantiles of a rescaled column are rescaled quantiles, whatever the column looks like and
however few values there are, so no list of known units is needed. What is left over after
undoing the change tells a unit change from an ordinary shift: `residual_ks` near the noise
means that nothing but the scale has changed.

Limits. A column that is one scale family (an exponential wait that doubles) is changed by a
covariate shift in just the same way as by a unit; then only the factor can tell. The precision
of the factor is that of the column: with a log-spread of 1, 400 values give 5 %, no method
gives 1 %. Ask whether a known unit lies in `factor_interval`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.sample import Sample, checked, checked_confidence
from trimtab.stats.special import normal_quantile
from trimtab.stats.univariate import kolmogorov_smirnov, spread

_GRID = np.linspace(0.02, 0.98, 97)
_HALF_WINDOW = 4  # grid steps to each side for the local spacing of quantiles

# Search for the factor at which tied values meet: width and step in log(factor), and how many
# of the most frequent current values take part.
_REACH, _STEP, _ATOMS = 0.2, 1e-4, 200
_PARTS = 16  # in which the factors are tried: what is at hand then stays in the cache
# Nearly all rows must meet a reference value, and far more than at a factor taken at random.
_ENOUGH, _BEYOND_CHANCE = 0.9, 0.3


@dataclass(frozen=True)
class ScaleChange:
    """current = factor * reference + offset, as far as the shapes agree.

    `residual_ks` and `original_ks` are Kolmogorov-Smirnov distances after and before undoing
    the change; `relative_rmse` is the misfit of the quantiles in units of the current spread;
    `factor_interval` covers sampling noise of independent rows, not a moving population.
    """

    factor: float
    offset: float
    residual_ks: float
    original_ks: float
    relative_rmse: float
    factor_interval: Interval


@dataclass(frozen=True)
class MixtureScaleChange:
    """A share of the current rows is multiplied by a factor, the rest is as before."""

    factor: float
    share: float
    residual_ks: float
    original_ks: float


def scale_change(
    reference: Sample,
    current: Sample,
    *,
    affine: bool = False,
    confidence: float = 0.95,
    resamples: int = 400,
    seed: int = 0,
) -> ScaleChange:
    """The positive factor (and offset) that turn the reference's shape into the current one.

    A weighted least-absolute fit on the inner 96 % of the quantiles, each weighted by its own
    precision; the tails, where faults and outliers live, do not pull. Where the reference has
    many ties (whole numbers, a fixed set of distances), the factor is the one at which the
    current values fall on reference values: exact, or nearly so after rounding, even while
    the population moves.

    Args:
        reference: Shape (n,), finite, any sign, not constant.
        current: Shape (m,), finite, any sign, not constant.
        affine: Fit an offset too (Fahrenheit to Celsius). Without it the offset is 0, which
            makes the factor far more precise and is what most unit faults are. With it, shift
            and scale of any bell-shaped column fit, so a small residual says less.
        confidence: Of `factor_interval`.
        resamples: Bootstrap draws for the interval, 50 or more.
        seed: Of the draws; the same seed gives the same interval.

    Raises:
        TooFewValues: fewer than 50 values on either side, or a constant side.
        InvalidInput: NaN or infinite values, a confidence outside 0.5 to 1, too few draws, or
            no positive factor fits (a column that lies on the other side of 0).

    Source: quantile-quantile fit, Wilk and Gnanadesikan (1968); least absolute deviations as a
    weighted median, Laplace (1793); the interval is a bootstrap of the quantiles, drawn as
    Brownian bridges (Doss and Gill 1992), so its cost does not grow with the rows.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> feet = rng.lognormal(8.0, 0.4, size=3000)
        >>> metres = 0.3048 * rng.lognormal(8.0, 0.4, size=1000)
        >>> round(scale_change(feet, metres).factor, 2)
        0.31
    """
    r, c = _sorted_pair(reference, current)
    checked_confidence(confidence)
    if resamples < 50:
        raise InvalidInput(f"{resamples} draws make no interval", field="resamples")
    weights = _precision(r)
    qr, qc = _quantiles(r, _GRID), _quantiles(c, _GRID)
    factor, offset = (float(v[0]) for v in _fit(qr[None], qc[None], weights, affine))
    if factor <= 0.0:
        raise InvalidInput("no positive factor fits: the two sides differ in sign")
    aligned = None if affine else _aligned_factor(r, c, factor, confidence)
    if aligned is None:
        low, high = _factor_range(r, c, weights, affine, factor, confidence, resamples, seed)
    else:
        factor, low, high = aligned
    misfit = math.sqrt(float(np.mean((qc - factor * qr - offset) ** 2)))
    return ScaleChange(
        factor=factor,
        offset=offset,
        residual_ks=_tolerant_ks(factor * r + offset, c),
        original_ks=kolmogorov_smirnov(r, c).statistic,
        relative_rmse=misfit / spread(c),
        factor_interval=Interval(factor, low, high),
    )


def mixture_scale_change(
    reference: Sample, current: Sample, *, largest_factor: float = 10_000.0
) -> MixtureScaleChange:
    """The share of rows that were multiplied, and by what, when only some were.

    One of several writers that sends metres where feet were agreed. For each factor the best
    share has a closed form; the factor with the smallest squared distance between the two
    distribution functions wins, on a logarithmic scale that is refined twice.

    Only to be read together with its distances: when `residual_ks` is not well below
    `original_ks`, factor and share mean nothing. A small share of a small factor in a wide
    column looks like an ordinary shift.

    Args:
        reference: Shape (n,), finite, any sign, not constant.
        current: Shape (m,), finite, any sign, not constant.
        largest_factor: Factors from 1 / this to this are tried, above 1.

    Raises:
        TooFewValues: fewer than 50 values on either side, or a constant side.
        InvalidInput: NaN or infinite values, or a largest factor not above 1.

    Source: minimum Cramér-von Mises distance, Wolfowitz (1957).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before, now = rng.lognormal(8.0, 0.4, size=(2, 3000))
        >>> now[:600] *= 10.0
        >>> found = mixture_scale_change(before, now)
        >>> round(found.factor), round(found.share, 1)
        (10, 0.2)
    """
    r, c = _sorted_pair(reference, current)
    if not largest_factor > 1.0 or math.isinf(largest_factor):
        raise InvalidInput("the largest factor is not above 1", field="largest_factor")
    at = np.unique(_quantiles(np.sort(np.concatenate([r, c])), np.linspace(0.001, 0.999, 400)))
    low, high, points = -math.log(largest_factor), math.log(largest_factor), 801
    for _ in range(3):
        logs = np.linspace(low, high, points)
        costs, shares = _mixture_costs(r, c, at, np.exp(logs))
        best = int(np.argmin(costs))
        step = logs[1] - logs[0]
        low, high, points = logs[best] - step, logs[best] + step, 41
    factor, share = math.exp(float(logs[best])), float(shares[best])
    mixed = share * _cdf(r, c / factor) + (1.0 - share) * _cdf(r, c)
    return MixtureScaleChange(
        factor=factor,
        share=share,
        residual_ks=float(np.abs(_cdf(c, c) - mixed).max()),
        original_ks=kolmogorov_smirnov(r, c).statistic,
    )


def _sorted_pair(reference: Sample, current: Sample) -> tuple[Sample, Sample]:
    r = np.sort(checked(reference, at_least=50, field="reference"))
    c = np.sort(checked(current, at_least=50, field="current"))
    for side, field in ((r, "reference"), (c, "current")):
        if side[0] == side[-1]:
            raise TooFewValues("a constant column has no shape to recognise", field=field)
    return r, c


def _quantiles(ordered: Sample, at: Sample) -> Sample:
    """Observed values, never between two: ties then meet ties, and the factor is exact."""
    places = np.clip(np.ceil(at * ordered.size).astype(np.int64) - 1, 0, ordered.size - 1)
    return np.asarray(ordered[places], dtype=np.float64)


def _precision(ordered: Sample) -> Sample:
    """One over the standard error of each quantile, up to a constant: density over binomial."""
    q = _quantiles(ordered, _GRID)
    places = np.arange(_GRID.size)
    before = np.maximum(places - _HALF_WINDOW, 0)
    after = np.minimum(places + _HALF_WINDOW, _GRID.size - 1)
    slope = (q[after] - q[before]) / (_GRID[after] - _GRID[before])
    slope = np.maximum(slope, 0.05 * spread(ordered))  # ties: dense, but not infinitely
    return np.asarray(1.0 / (slope * np.sqrt(_GRID * (1.0 - _GRID))), dtype=np.float64)


def _fit(qr: Sample, qc: Sample, weights: Sample, affine: bool) -> tuple[Sample, Sample]:
    """Factor and offset for rows of quantiles, shape (k, grid) each, as two of shape (k,)."""
    if not affine:
        zero = np.zeros(len(qr))
        return _through_origin(qr, qc, weights), zero
    # Centring on a weighted median makes the slope a fit through the origin again.
    wide = np.broadcast_to(weights, qr.shape)
    mid_r, mid_c = _weighted_median(qr, wide), _weighted_median(qc, wide)
    factor = _through_origin(qr - mid_r[:, None], qc - mid_c[:, None], weights)
    return factor, _weighted_median(qc - factor[:, None] * qr, wide)


def _through_origin(x: Sample, y: Sample, weights: Sample) -> Sample:
    """Least absolute deviations of y = factor * x: the median of y / x weighted by |x|."""
    ratios = np.divide(y, x, out=np.zeros_like(y), where=x != 0)
    return _weighted_median(ratios, weights * np.abs(x))


def _weighted_median(values: Sample, weights: Sample) -> Sample:
    order = np.argsort(values, axis=1)
    heap = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    middle = np.argmax(heap >= 0.5 * heap[:, -1:], axis=1)
    chosen = np.take_along_axis(order, middle[:, None], axis=1)
    return np.asarray(np.take_along_axis(values, chosen, axis=1)[:, 0], dtype=np.float64)


def _factor_range(
    r: Sample,
    c: Sample,
    weights: Sample,
    affine: bool,
    factor: float,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    factors, _ = _fit(_redrawn(r, resamples, rng), _redrawn(c, resamples, rng), weights, affine)
    # A normal range of their spread holds the truth more often than percentiles of the draws,
    # and does not ask for thousands of draws at a high confidence.
    positive = factors[factors > 0.0]
    if positive.size < resamples / 2:
        raise InvalidInput("no positive factor fits: the sign of the factor is not settled")
    logs = np.log(positive)
    half = normal_quantile(0.5 + confidence / 2.0) * float(logs.std())
    return factor * math.exp(-half), factor * math.exp(half)


def _redrawn(ordered: Sample, resamples: int, rng: np.random.Generator) -> Sample:
    """Quantiles of bootstrap samples, shape (resamples, grid), without drawing the samples.

    The quantile at p of a bootstrap sample is the original one at p plus a Brownian bridge
    over the root of the size.
    """
    steps = np.diff(np.concatenate([[0.0], _GRID, [1.0]]))
    walk = np.cumsum(rng.standard_normal((resamples, steps.size)) * np.sqrt(steps), axis=1)
    bridge = walk[:, :-1] - _GRID * walk[:, -1:]
    moved: NDArray[np.float64] = np.sort(_GRID + bridge / math.sqrt(ordered.size), axis=1)
    return _quantiles(ordered, moved)


def _aligned_factor(
    r: Sample, c: Sample, guess: float, confidence: float
) -> tuple[float, float, float] | None:
    """Factor at which current values fall on reference values, with its range, if they do."""
    known = np.unique(r)
    if known.size > r.size / 2:
        return None  # no ties to speak of
    values, rows = np.unique(c[c != 0.0], return_counts=True)
    # In the order of the values, in which they are looked up faster.
    frequent = np.sort(np.argsort(-rows, kind="stable")[:_ATOMS])
    values, rows = values[frequent], rows[frequent]
    factors = guess * np.exp(np.arange(-_REACH, _REACH + _STEP, _STEP))
    misses = np.concatenate(
        [_missed(known, values, some) for some in np.array_split(factors, _PARTS)]
    )
    # Exact first: allowing for rounding makes chance hits common where values lie close.
    for rounding in (0.0, _rounding_step(c) / 2.0):
        meets = misses <= np.maximum(rounding, 0.6 * _STEP * np.abs(values))
        share = meets @ rows / rows.sum()
        top = float(share.max())
        if top < _ENOUGH or top - float(np.median(share)) < _BEYOND_CHANCE:
            continue
        plateau = np.flatnonzero(share == top)
        best = int(plateau[plateau.size // 2])
        met = meets[best]
        ratios = values[met] / _nearest(known, values[met] / factors[best])
        weights = rows[met] * np.abs(values[met])  # rounding disturbs small values' ratios most
        tail = (1.0 - confidence) / 2.0
        low, middle, high = (
            _weighted_quantile(ratios, weights, at) for at in (tail, 0.5, 1.0 - tail)
        )
        return middle, low, high
    return None


def _missed(known: Sample, values: Sample, factors: Sample) -> Sample:
    """How far each value is from a known one times a factor, shape (factors, values)."""
    by = factors[:, None]
    return np.asarray(np.abs(_nearest(known, values / by) * by - values), dtype=np.float64)


def _nearest(ordered: Sample, wanted: Sample) -> Sample:
    after = np.clip(np.searchsorted(ordered, wanted), 1, ordered.size - 1)
    below, above = ordered[after - 1], ordered[after]
    return np.where(wanted - below <= above - wanted, below, above)


def _rounding_step(values: Sample) -> float:
    """The decimal place that all values are rounded to, from 1 to 1e-6; 0 if there is none."""
    for places in range(7):
        raised = values * 10.0**places
        if (np.abs(raised - np.round(raised)) <= 1e-9 * np.maximum(1.0, np.abs(raised))).all():
            return 10.0**-places
    return 0.0


def _weighted_quantile(values: Sample, weights: Sample, at: float) -> float:
    order = np.argsort(values)
    heap = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(heap, at * heap[-1])])


def _tolerant_ks(rescaled: Sample, current: Sample) -> float:
    """KS distance in which values that differ only by rounding are equal."""
    unit = max(_rounding_step(current), spread(current) * 1e-9)
    return kolmogorov_smirnov(np.round(rescaled / unit), np.round(current / unit)).statistic


def _cdf(ordered: Sample, at: Sample) -> Sample:
    below = np.searchsorted(ordered, at, side="right")
    return np.asarray(below / ordered.size, dtype=np.float64)


def _mixture_costs(r: Sample, c: Sample, at: Sample, factors: Sample) -> tuple[Sample, Sample]:
    """Squared distance and best share for each factor, shape (factors,) each."""
    before = _cdf(r, at)
    moved = _cdf(r, at / factors[:, None]) - before
    gap = _cdf(c, at) - before
    length = (moved**2).sum(axis=1)
    projected = np.divide(moved @ gap, length, out=np.zeros_like(length), where=length > 0)
    shares = np.clip(projected, 0.0, 1.0)
    costs = ((gap - shares[:, None] * moved) ** 2).sum(axis=1)
    return costs, shares
