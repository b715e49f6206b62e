"""Can a classifier tell the rows of today from those of the reference?

A logistic regression over columns and, on request, their products learns what is different.
Its AUC on rows that it has not seen is 0.5 when nothing is, and the weights say where to look.

Cross-fitting uses every row for testing, but its AUC does not have the variance of Mann and
Whitney's statistic: the rows that test one model have trained the others, so the folds agree
in their errors. So the p-value comes from permutations that go through the very same folds
and fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.multivariate import Points, checked_points
from trimtab.stats.sample import Sample, checked_open

_STEPS = 12  # of the fit; all label vectors take the same steps, so the p-value is exact


@dataclass(frozen=True)
class TwoSample:
    """Result of `classifier_test`: the cross-fitted AUC, its p-value, and the weights.

    `weights` has shape (k,), one for each entry of `terms`: a column (i,) or a product (i, j),
    in standard deviations of that term, averaged over the folds. A positive weight means that
    more of it is typical of today.
    """

    auc: float
    p_value: float
    weights: Sample
    terms: tuple[tuple[int, ...], ...]


def classifier_test(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    products: bool = True,
    folds: int = 5,
    ridge: float = 1.0,
    permutations: int = 99,
    seed: int = 0,
) -> TwoSample:
    """Cross-fitted AUC of a logistic regression that tells the two sides apart.

    Both sides weigh the same in the fit, however many rows they have. All permutations are
    fitted together, with a matrix that bounds the curvature for all of them: about two
    seconds for 2,000 rows, 10 columns with products and 99 permutations.

    Args:
        reference: Shape (n, d), finite, in any units: terms are standardised.
        current: Shape (m, d), finite.
        products: Add squares and products of two columns. Without them the regression only
            sees means that move, and neither spread nor correlation.
        folds: Parts that take turns in testing, 2 or more; each side is dealt out evenly.
        ridge: Penalty on the squared weights, in rows; above 0.
        permutations: 19 or more; the smallest p-value is 1 / (permutations + 1).
        seed: Of folds and permutations; the same seed gives the same result.

    Raises:
        TooFewValues: fewer than 5 rows per fold on a side, or all columns constant.
        InvalidInput: NaN or infinite values, different numbers of columns, or settings outside
            their range.

    Source: Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests"; Böhning and
    Lindsay (1988) for the bound; Phipson and Smyth (2010) for the p-value.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(800, 2))
        >>> before = z[:500] @ [[1.0, 0.8], [0.0, 0.6]]
        >>> now = z[500:] @ [[1.0, -0.8], [0.0, 0.6]]  # no column by itself has changed
        >>> found = classifier_test(before, now)
        >>> found.auc > 0.8, found.p_value, found.terms[np.argmax(np.abs(found.weights))]
        (True, 0.01, (0, 1))
    """
    r, c = checked_points(reference, current)
    checked_open(ridge, low=0.0, high=math.inf, field="ridge")
    if folds < 2:
        raise InvalidInput(f"{folds} folds leave nothing to test", field="folds")
    if permutations < 19:
        raise InvalidInput(f"{permutations} permutations cannot show 0.05", field="permutations")
    for side, field in ((r, "reference"), (c, "current")):
        if len(side) < 5 * folds:
            raise TooFewValues(f"{len(side)} rows for {folds} folds of 5", field=field)
    rng = np.random.default_rng(seed)
    x, terms = _terms(np.concatenate([r, c]), products)
    fold = np.concatenate([rng.permutation(np.arange(len(side)) % folds) for side in (r, c)])
    labels = _labels(fold, len(r), permutations, rng)
    aucs, weights = np.zeros(labels.shape[1]), np.zeros(x.shape[1])
    for test in range(folds):
        out = fold == test
        fitted = _fit(x[~out], labels[~out], ridge)
        weights += fitted[1:, 0] / folds
        scores = fitted[0] + x[out] @ fitted[1:]
        aucs += _aucs(scores, labels[out]) / folds
    as_far = int((aucs[1:] >= aucs[0] - 1e-12).sum())
    return TwoSample(float(aucs[0]), (as_far + 1) / aucs.size, weights, terms)


def _terms(points: Points, products: bool) -> tuple[Points, tuple[tuple[int, ...], ...]]:
    """Standardised columns and products that vary, shape (n, k), and what each one is."""
    d = points.shape[1]
    scale = points.std(axis=0)
    z = (points - points.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)
    names: list[tuple[int, ...]] = [(i,) for i in range(d)]
    columns = [z]
    if products:
        first, second = np.triu_indices(d)
        names += [(int(i), int(j)) for i, j in zip(first, second, strict=True)]
        columns.append(z[:, first] * z[:, second])
    x = np.concatenate(columns, axis=1)
    x -= x.mean(axis=0)
    spread = x.std(axis=0)
    vary = spread > 1e-9
    if not vary.any():
        raise TooFewValues("all columns are constant on both sides")
    return x[:, vary] / spread[vary], tuple(n for n, v in zip(names, vary, strict=True) if v)


def _labels(
    fold: NDArray[np.int64], n_reference: int, permutations: int, rng: np.random.Generator
) -> Points:
    """Shape (n, 1 + permutations): 1 for today's rows. Permuted within each fold, so that every
    fold keeps as many of both sides."""
    labels = np.zeros((fold.size, 1 + permutations))
    labels[n_reference:, 0] = 1.0
    for part in np.unique(fold):
        rows = np.flatnonzero(fold == part)
        own = labels[rows, 0]
        for column in range(1, permutations + 1):
            labels[rows, column] = rng.permutation(own)
    return labels


def _fit(x: Points, labels: Points, ridge: float) -> Points:
    """Weights of each label vector, shape (1 + k, b), the constant first.

    Steps of the quarter bound on the curvature: one matrix for all label vectors, and no step
    can overshoot.
    """
    n, b = labels.shape
    design = np.concatenate([np.ones((n, 1)), x], axis=1)
    positive = float(labels[:, 0].sum())
    for_positive, for_negative = n / (2.0 * positive), n / (2.0 * (n - positive))
    row_weight = for_negative + (for_positive - for_negative) * labels
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    # A row weighs differently under another label vector, so the bound takes the larger weight.
    largest = max(for_positive, for_negative)
    bound = design.T @ design * (0.25 * largest) + np.diag(penalty + 1e-9)
    step = np.linalg.inv(bound)
    found = np.zeros((design.shape[1], b))
    for _ in range(_STEPS):
        miss = design @ found
        miss *= 0.5
        np.tanh(miss, out=miss)  # twice the chance of a row, minus 1; never overflows
        miss += 1.0
        miss *= -0.5
        miss += labels
        miss *= row_weight
        found += step @ (design.T @ miss - penalty[:, None] * found)
    return found


def _aucs(scores: Points, labels: Points) -> Sample:
    """AUC of each column; ties, which only constant scores have, count half."""
    n = len(scores)
    order = np.argsort(scores, axis=0, kind="stable")
    sorted_scores = np.take_along_axis(scores, order, axis=0)
    positive = np.take_along_axis(labels, order, axis=0)
    ranks = np.broadcast_to(np.arange(1.0, n + 1.0)[:, None], scores.shape).copy()
    for column in np.flatnonzero((np.diff(sorted_scores, axis=0) == 0.0).any(axis=0)):
        _values, where, counts = np.unique(
            sorted_scores[:, column], return_inverse=True, return_counts=True
        )
        last = np.cumsum(counts)
        ranks[:, column] = (last - (counts - 1) / 2.0)[where]
    own = labels[:, 0].sum()
    above = (ranks * positive).sum(axis=0) - own * (own + 1.0) / 2.0
    return np.asarray(above / (own * (n - own)), dtype=np.float64)
