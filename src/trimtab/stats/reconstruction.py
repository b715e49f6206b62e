"""Do the columns still hang together as they did? The error of rebuilding rows from fewer axes.

The principal axes of the reference describe how its columns move together. A row that keeps
to this is rebuilt from them with a small error; when the relation between columns changes, the
error grows although no column by itself has moved. A change along the axes that were kept is
not seen: that is what the statistics of single columns and `multivariate` are for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.multivariate import Points
from trimtab.stats.sample import Sample, checked, checked_level, checked_open
from trimtab.stats.special import t_quantile, t_sf


@dataclass(frozen=True)
class Axes:
    """Means, scales and principal axes of a reference; made by `fit_axes`.

    `centre` and `scale` have shape (d,), `directions` shape (k, d) with the axis of the
    largest variance first, `explained` shape (k,) the share of the variance of each.
    """

    centre: Sample
    scale: Sample
    directions: Points
    explained: Sample

    def errors(self, rows: ArrayLike) -> Sample:
        """Distance of each row from what the axes rebuild, shape (n,), in standard deviations.

        A null (NaN) is filled with the reference's mean of its column, so it moves the row
        towards the centre and adds nothing by itself; how many there are is a finding of its
        own.

        Args:
            rows: Shape (n, d), finite or NaN.

        Raises:
            TooFewValues: no rows, or every value of a row is null.
            InvalidInput: infinite values, or another number of columns.

        Example:
            >>> line = np.outer(np.arange(50.0), [1.0, 2.0])
            >>> axes = fit_axes(line, components=1)
            >>> axes.errors([[3.0, 6.0], [3.0, 40.0]]).round(2).tolist()
            [0.0, 0.83]
        """
        points = _rows(rows, "rows")
        if points.shape[1] != self.centre.size:
            raise InvalidInput(
                f"{points.shape[1]} columns, the axes have {self.centre.size}", field="rows"
            )
        z = np.nan_to_num((points - self.centre) / self.scale, nan=0.0)
        rest = z - (z @ self.directions.T) @ self.directions
        return np.asarray(np.sqrt((rest * rest).sum(axis=1)), dtype=np.float64)


class Rebuilt(NamedTuple):
    """Mean errors of rows that were kept out of the fit, and of the current ones, in standard
    deviations, with the two-sided p-value of no change."""

    reference: float
    current: float
    p_value: float


class Calm(NamedTuple):
    """The range of one more value when nothing has changed."""

    low: float
    high: float


def fit_axes(
    reference: ArrayLike, *, components: int | None = None, variance: float = 0.65
) -> Axes:
    """Principal axes of the reference, its columns first brought to one standard deviation.

    Args:
        reference: Shape (n, d), finite or NaN; a null is filled with the mean of its column. A
            constant column keeps its unit, and any change in it is error.
        components: Axes to keep, 1 or more and less than d. Without it, as many as explain
            `variance`, at most d - 1.
        variance: Share of the variance to be explained, between 0 and 1.

    Raises:
        TooFewValues: fewer rows than columns or than 2, all columns constant, or a column or a
            row without a value.
        InvalidInput: infinite values, fewer than 2 columns, or settings outside their range.

    Source: Pearson (1901); Hotelling (1933).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 3))
        >>> axes = fit_axes(x, variance=0.9)
        >>> axes.directions.shape, round(float(axes.explained[0]), 2)
        ((1, 3), 0.99)
    """
    checked_open(variance, low=0.0, high=1.0, field="variance")
    points = _rows(reference, "reference")
    n, d = points.shape
    if d < 2:
        raise InvalidInput("one column has no relation to another", field="reference")
    if n < max(2, d):
        raise TooFewValues(f"{n} rows for {d} columns", field="reference")
    if np.isnan(points).all(axis=0).any():
        raise TooFewValues("a column holds no value", field="reference")
    centre, scale = np.nanmean(points, axis=0), np.nanstd(points, axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    z = np.nan_to_num((points - centre) / scale, nan=0.0)
    _u, lengths, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    if lengths[0] == 0.0:
        raise TooFewValues("a constant reference has no axes", field="reference")
    shares = lengths**2 / float((lengths**2).sum())
    keep = components
    if keep is None:
        keep = min(d - 1, int(np.searchsorted(np.cumsum(shares), variance - 1e-12)) + 1)
    if not 1 <= keep < d:
        raise InvalidInput(f"{keep} axes of {d} columns", field="components")
    return Axes(centre=centre, scale=scale, directions=directions[:keep], explained=shares[:keep])


def reconstruction_test(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    components: int | None = None,
    variance: float = 0.65,
    seed: int = 0,
) -> Rebuilt:
    """Has the error changed? The axes are fitted on one half of the reference, taken at random.

    Rows that were used for the fit are rebuilt too well to compare new ones with; so the
    other half stands for "no change", and the two mean errors are compared by Welch's test.

    Args:
        reference: Shape (n, d), finite or NaN, nulls filled as in `fit_axes`.
        current: Shape (m, d), finite or NaN.
        components: As for `fit_axes`.
        variance: As for `fit_axes`.
        seed: Of the halves.

    Raises:
        TooFewValues: fewer than 20 rows on a side, half of the reference is fewer rows than
            columns, or no error varies.
        InvalidInput: infinite values, different columns, or settings outside their range.

    Source: the error as a drift statistic is folklore of process control, Jackson and Mudholkar
    (1979); Welch (1947) for the test.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before = rng.normal(size=(600, 1)) + 0.3 * rng.normal(size=(600, 3))
        >>> now = before[:200] * [1.0, 1.0, -1.0]
        >>> found = reconstruction_test(before, now)
        >>> round(found.reference, 2), round(found.current, 2), found.p_value < 1e-6
        (0.37, 1.33, True)
    """
    points, now = _rows(reference, "reference"), _rows(current, "current")
    for side, field in ((points, "reference"), (now, "current")):
        if len(side) < 20:
            raise TooFewValues(f"{len(side)} rows, at least 20 are needed", field=field)
    order = np.random.default_rng(seed).permutation(len(points))
    half = len(points) // 2
    axes = fit_axes(points[order[:half]], components=components, variance=variance)
    kept, new = axes.errors(points[order[half:]]), axes.errors(now)
    return Rebuilt(float(kept.mean()), float(new.mean()), _welch(kept, new))


def calm_reconstruction(
    reference: ArrayLike,
    *,
    chunk_rows: int,
    level: float,
    components: int | None = None,
    variance: float = 0.65,
    seed: int = 0,
) -> tuple[Axes, Calm]:
    """Axes to keep, and the range of the mean error of a chunk when nothing has changed.

    Made once when a reference is set; a later chunk then costs one multiplication. One half
    of the reference, taken at random, is fitted, the other is cut into chunks.

    Args:
        reference: Shape (n, d), finite or NaN, nulls filled as in `fit_axes`.
        chunk_rows: Rows of the chunks that will be judged.
        level: Acceptable share of false alarms for each chunk; at most 0.5.
        components: As for `fit_axes`.
        variance: As for `fit_axes`.
        seed: Of the halves.

    Returns:
        The axes, and the range for `axes.errors(chunk).mean()`.

    Raises:
        TooFewValues: half of the reference is fewer than 5 chunks, or what `fit_axes` refuses.
        InvalidInput: infinite values, a chunk of no rows, or settings outside their range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before = rng.normal(size=(4000, 1)) + 0.3 * rng.normal(size=(4000, 3))
        >>> axes, calm = calm_reconstruction(before, chunk_rows=100, level=0.01)
        >>> turned = before[:100] * [1.0, 1.0, -1.0]
        >>> bool(calm.low < axes.errors(before[:100]).mean() < calm.high)
        True
        >>> bool(axes.errors(turned).mean() > calm.high)
        True
    """
    points = _rows(reference, "reference")
    checked_level(level)
    if chunk_rows < 1:
        raise InvalidInput(f"a chunk of {chunk_rows} rows", field="chunk_rows")
    order = np.random.default_rng(seed).permutation(len(points))
    half = len(points) // 2
    chunks = (len(points) - half) // chunk_rows
    if chunks < 5:
        raise TooFewValues(
            f"half of {len(points)} rows holds {chunks} chunks of {chunk_rows}, 5 are needed",
            field="reference",
            remedy=f"give {10 * chunk_rows} rows or more, or smaller chunks",
        )
    axes = fit_axes(points[order[:half]], components=components, variance=variance)
    errors = axes.errors(points[order[half : half + chunks * chunk_rows]])
    return axes, calm_range(errors.reshape(chunks, chunk_rows).mean(axis=1), level=level)


def calm_range(chunk_values: ArrayLike, *, level: float) -> Calm:
    """Where the statistic of one more chunk lies, from those of chunks without change.

    Takes the number of chunks into account, which a mean and three standard deviations does
    not: with 10 chunks that rule alarms seven times as often as with many.

    Args:
        chunk_values: Shape (k,), finite: one statistic (a mean error, a share) for each chunk of
            the reference. The chunks have as many rows as the one to be judged, and none of
            those that the statistic was fitted on.
        level: Acceptable share of false alarms, both sides together; at most 0.5.

    Raises:
        TooFewValues: fewer than 5 chunks, or all have the same value.
        InvalidInput: NaN or infinite values, or a level that is no false-alarm rate.

    Source: the prediction interval of a normal sample, Fisher (1935), mean plus and minus
    t(k - 1) s sqrt(1 + 1 / k).

    Example:
        >>> low, high = calm_range([0.50, 0.52, 0.49, 0.51, 0.48], level=0.05)
        >>> round(low, 3), round(high, 3)
        (0.452, 0.548)
    """
    x = checked(chunk_values, at_least=5, field="chunk_values")
    checked_level(level)
    if x.min() == x.max():
        raise TooFewValues("equal values show no spread", field="chunk_values")
    reach = t_quantile(1.0 - level / 2.0, x.size - 1)
    half = reach * float(x.std(ddof=1)) * math.sqrt(1.0 + 1.0 / x.size)
    return Calm(float(x.mean()) - half, float(x.mean()) + half)


def _welch(a: Sample, b: Sample) -> float:
    """Two-sided p-value of equal means, variances free."""
    var_a, var_b = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    if var_a + var_b == 0.0:
        raise TooFewValues("no row's error differs from another's: nothing to judge by")
    share = var_a / (var_a + var_b)
    dof = 1.0 / (share**2 / (a.size - 1) + (1.0 - share) ** 2 / (b.size - 1))
    t = float(b.mean() - a.mean()) / math.sqrt(var_a + var_b)
    return 2.0 * t_sf(abs(t), dof)


def _rows(values: ArrayLike, field: str) -> Points:
    """Rows with NaN for nulls, or a refusal."""
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("the values are not all numbers", field=field) from error
    if points.ndim != 2 or points.shape[1] == 0:
        raise InvalidInput(f"expected rows and columns, got shape {points.shape}", field=field)
    if len(points) == 0:
        raise TooFewValues("no rows", field=field)
    if np.isinf(points).any():
        raise InvalidInput("a value is infinite", field=field)
    empty = np.isnan(points).all(axis=1)
    if empty.any():
        raise TooFewValues(
            f"{int(empty.sum())} of {len(points)} rows hold no value at all",
            field=field,
            remedy="leave these rows out; their share is a finding of its own",
        )
    return points
