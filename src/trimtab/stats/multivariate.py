"""Several columns at once: changes that no column shows by itself.

Rows are points, shape (n, d). All distances here mix the columns, so columns in different
units are first brought to one scale by `standardised`. P-values come from seeded permutations
of the rows: exact in level for any distribution, and never below 1 / (permutations + 1).

    mmd                   any change, sharpest at the scale of the kernel
    energy_distance       any change, without a scale to choose
    sliced_wasserstein    how far points moved, over random directions
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import checked_open
from trimtab.stats.univariate import wasserstein

Points: TypeAlias = NDArray[np.float64]
"""Finite rows of d numeric columns, shape (n, d)."""

_BLOCK = 512  # rows of the kernel matrix that are held at once
_MEDIAN_ROWS = 1000  # a median over half a million pairs is as good as over all


@dataclass(frozen=True)
class Discrepancy:
    """Result of `mmd` and `energy_distance`: the statistic and its permutation p-value.

    `statistic` is the unbiased squared discrepancy for `mmd`, which is below 0 about half of
    the time when nothing has changed; for `energy_distance` the distance, never below 0.
    `bandwidth` is that of the kernel, in the unit of the points; 0 where there is none.
    """

    statistic: float
    p_value: float
    bandwidth: float = 0.0


@dataclass(frozen=True)
class Sliced:
    """Result of `sliced_wasserstein`: the mean distance, and the error of that mean that comes
    from the number of directions (0 in one dimension)."""

    distance: float
    standard_error: float


def standardised(reference: ArrayLike, current: ArrayLike) -> tuple[Points, Points]:
    """Both sides in standard deviations of the reference's columns, around its means.

    Args:
        reference: Shape (n, d), finite; a column that is constant is left as it is, centred.
        current: Shape (m, d), finite.

    Raises:
        TooFewValues: fewer than 2 rows on a side.
        InvalidInput: NaN or infinite values, or different numbers of columns.

    Example:
        >>> r, c = standardised([[0.0, 5.0], [2.0, 5.0]], [[3.0, 6.0], [1.0, 5.0]])
        >>> c.tolist()
        [[2.0, 1.0], [0.0, 0.0]]
    """
    r, c = checked_points(reference, current)
    scale = r.std(axis=0)
    scale[scale == 0.0] = 1.0
    return (r - r.mean(axis=0)) / scale, (c - r.mean(axis=0)) / scale


def mmd(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    bandwidth: float | None = None,
    permutations: int = 199,
    seed: int = 0,
) -> Discrepancy:
    """Maximum mean discrepancy with a Gaussian kernel exp(-|x - y|^2 / (2 bandwidth^2)).

    Time grows with the square of all rows, (n + m)^2 (permutations + d); memory only with
    the rows, since the kernel matrix is made block by block and all permutations go through it
    together: about a second for 5,000 rows of 8 columns in all and 199 permutations. Beyond
    10,000 rows give a sample of them.

    Args:
        reference: Shape (n, d), finite, columns on one scale.
        current: Shape (m, d), finite.
        bandwidth: In the unit of the points. Without it, the median distance between rows of
            both sides (of 1,000 of them, taken with the seed).
        permutations: 19 or more.
        seed: Of the permutations; the same seed gives the same p-value.

    Raises:
        TooFewValues: fewer than 2 rows on a side, or all rows are the same point.
        InvalidInput: NaN or infinite values, different numbers of columns, too few
            permutations, or a bandwidth that is not positive.

    Source: Gretton et al. (2012), "A kernel two-sample test"; Phipson and Smyth (2010) for the
    p-value.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before, now = rng.normal(size=(200, 3)), rng.normal(0.5, 1.0, size=(100, 3))
        >>> found = mmd(before, now)
        >>> round(found.statistic, 3), found.p_value
        (0.064, 0.005)
    """
    r, c = checked_points(reference, current)
    rng = np.random.default_rng(seed)
    points = np.concatenate([r, c])
    width = _median_distance(points, rng) if bandwidth is None else bandwidth
    checked_open(width, low=0.0, high=math.inf, field="bandwidth")

    def kernel(block: Points) -> Points:
        return np.exp(_squared_distances(block, points) / (-2.0 * width * width))

    n, m = len(r), len(c)
    sums = _pair_sums(kernel, points, _sides(n, m, permutations, rng))
    within_r, within_c = (sums[0] - n) / (n * (n - 1.0)), (sums[1] - m) / (m * (m - 1.0))
    values = within_r + within_c - 2.0 * sums[2] / (float(n) * m)
    return Discrepancy(float(values[0]), _share_as_far(values), float(width))


def energy_distance(
    reference: ArrayLike, current: ArrayLike, *, permutations: int = 199, seed: int = 0
) -> Discrepancy:
    """Energy distance, the root of 2 E|X - Y| - E|X - X'| - E|Y - Y'|, with its p-value.

    0 only if both distributions are the same. Cost and memory as `mmd`.

    Args:
        reference: Shape (n, d), finite, columns on one scale.
        current: Shape (m, d), finite.
        permutations: 19 or more.
        seed: Of the permutations; the same seed gives the same p-value.

    Returns:
        The distance in the root of the unit of the points.

    Raises:
        TooFewValues: fewer than 2 rows on a side, or all rows are the same point.
        InvalidInput: NaN or infinite values, different numbers of columns, or too few
            permutations.

    Source: Székely and Rizzo (2004, 2013).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before, now = rng.normal(size=(200, 3)), rng.normal(0.5, 1.0, size=(100, 3))
        >>> found = energy_distance(before, now)
        >>> round(found.statistic, 2), found.p_value
        (0.56, 0.005)
    """
    r, c = checked_points(reference, current)
    points = np.concatenate([r, c])
    _refuse_one_point(points)

    def kernel(block: Points) -> Points:
        return np.sqrt(_squared_distances(block, points))

    n, m = len(r), len(c)
    sides = _sides(n, m, permutations, np.random.default_rng(seed))
    within_r, within_c, across = _pair_sums(kernel, points, sides)
    squares = 2.0 * across / (float(n) * m) - within_r / float(n) ** 2 - within_c / float(m) ** 2
    return Discrepancy(math.sqrt(max(0.0, float(squares[0]))), _share_as_far(squares))


def sliced_wasserstein(
    reference: ArrayLike, current: ArrayLike, *, projections: int = 200, seed: int = 0
) -> Sliced:
    """Mean earth mover's distance over random directions, in the unit of the points.

    In one dimension it is the exact distance. In d dimensions a shift of all points by a
    vector of length s gives about s sqrt(2 / (pi d)). Like the distance of one column it is not
    0 for two samples of one distribution, so compare it with that of two parts of the
    reference.

    Args:
        reference: Shape (n, d), finite, columns on one scale.
        current: Shape (m, d), finite.
        projections: Directions, 2 or more; the error falls with their square root, and is
            at most 0.76 of the distance for one direction when all points shift.
        seed: Of the directions; the same seed gives the same distance.

    Raises:
        TooFewValues: fewer than 2 rows on a side.
        InvalidInput: NaN or infinite values, different numbers of columns, or too few
            directions.

    Source: Rabin et al. (2012); Bonneel et al. (2015).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> before = rng.normal(size=(500, 4))
        >>> found = sliced_wasserstein(before, before + [2.0, 0.0, 0.0, 0.0])
        >>> round(found.distance, 1), found.standard_error < 0.05
        (0.9, True)
    """
    r, c = checked_points(reference, current)
    if projections < 2:
        raise InvalidInput(f"{projections} directions show no error", field="projections")
    if r.shape[1] == 1:
        return Sliced(wasserstein(r[:, 0], c[:, 0]), 0.0)
    directions = np.random.default_rng(seed).normal(size=(projections, r.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ways = np.array([wasserstein(r @ direction, c @ direction) for direction in directions])
    return Sliced(float(ways.mean()), float(ways.std(ddof=1) / math.sqrt(projections)))


def checked_points(reference: ArrayLike, current: ArrayLike) -> tuple[Points, Points]:
    """Both sides as points of the same columns, or a refusal.

    Args:
        reference: Shape (n, d), finite, 2 rows or more.
        current: Shape (m, d), finite, 2 rows or more.

    Raises:
        TooFewValues: fewer than 2 rows on a side.
        InvalidInput: not numeric, not two-dimensional, NaN or infinite values, or different
            numbers of columns.

    Example:
        >>> r, c = checked_points([[1, 2], [3, 4]], [[5, 6], [7, 8], [9, 10]])
        >>> r.shape, c.shape
        ((2, 2), (3, 2))
    """
    r, c = _points(reference, "reference"), _points(current, "current")
    if r.shape[1] != c.shape[1]:
        raise InvalidInput(f"{r.shape[1]} columns before and {c.shape[1]} now", field="current")
    return r, c


def _points(values: ArrayLike, field: str) -> Points:
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("the values are not all numbers", field=field) from error
    if points.ndim != 2 or points.shape[1] == 0:
        raise InvalidInput(f"expected rows and columns, got shape {points.shape}", field=field)
    if len(points) < 2:
        raise TooFewValues(f"{len(points)} rows, at least 2 are needed", field=field)
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        raise InvalidInput(
            f"{int((~finite).sum())} of {len(points)} rows hold NaN or infinite values",
            field=field,
            remedy="leave these rows out or fill them by a stated rule; their share is a finding",
        )
    return points


def _squared_distances(block: Points, points: Points) -> Points:
    """Shape (len(block), len(points)), summed column by column.

    A matrix product would be faster with many columns, but loses the digits of near pairs.
    """
    squares = np.zeros((len(block), len(points)))
    for column in range(points.shape[1]):
        away = block[:, column, None] - points[None, :, column]
        away *= away
        squares += away
    return squares


def _refuse_one_point(points: Points) -> None:
    if (points == points[0]).all():
        raise TooFewValues("all rows are the same point, so nothing lies apart")


def _median_distance(points: Points, rng: np.random.Generator) -> float:
    """Median distance between two rows that are not the same point."""
    _refuse_one_point(points)
    some = points
    if len(points) > _MEDIAN_ROWS:
        some = points[rng.choice(len(points), _MEDIAN_ROWS, replace=False)]
    squares = _squared_distances(some, some)[np.triu_indices(len(some), 1)]
    apart = squares[squares > 0.0]
    if apart.size == 0:
        raise TooFewValues("nearly all rows are the same point", remedy="give a bandwidth")
    return math.sqrt(float(np.median(apart)))


def _sides(n: int, m: int, permutations: int, rng: np.random.Generator) -> Points:
    """Shape (n + m, 1 + permutations): 1 for the rows that count as reference; first as it is."""
    if permutations < 19:
        raise InvalidInput(f"{permutations} permutations cannot show 0.05", field="permutations")
    sides = np.zeros((n + m, 1 + permutations))
    sides[:n, 0] = 1.0
    for column in range(1, permutations + 1):
        sides[rng.permutation(n + m)[:n], column] = 1.0
    return sides


def _blocks(points: Points) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, len(points), _BLOCK))


def _pair_sums(
    kernel: Callable[[Points], Points], points: Points, sides: Points
) -> tuple[Points, Points, Points]:
    """Sums of the kernel within the reference, within the rest and across, shape (b,) each.

    One pass over the matrix for all permutations: with z the indicator of the reference,
    z'Kz, (1 - z)'K(1 - z) and z'K(1 - z) follow from z'Kz, z'K1 and 1'K1.
    """
    within = np.zeros(sides.shape[1])
    touching = np.zeros(sides.shape[1])
    everything = 0.0
    for rows in _blocks(points):
        part = kernel(points[rows])
        within += np.einsum("ib,ib->b", sides[rows], part @ sides)
        by_row = part.sum(axis=1)
        touching += by_row @ sides[rows]
        everything += float(by_row.sum())
    return within, everything - 2.0 * touching + within, touching - within


def _share_as_far(values: Points) -> float:
    """p-value of the first among all; equal ones, up to rounding, count as as far."""
    slack = 1e-12 * float(np.abs(values).max())
    as_far = int((values[1:] >= values[0] - slack).sum())
    return (as_far + 1) / len(values)
