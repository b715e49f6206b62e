"""Predictions against labels: counts that add up, and the rates drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.sample import Sample, checked, checked_counts


@dataclass(frozen=True)
class Confusion:
    """True and false positives and negatives of a yes / no decision, in rows.

    Windows, tenants and parts merge by `+`. A rate whose denominator is 0 raises: nobody was
    flagged, so there is no precision, and 0 or 1 would be a claim.

    Raises:
        InvalidInput: a count is negative or not whole.

    Example:
        >>> counts = Confusion.from_arrays([1, 1, 0, 0, 1], [1, 0, 0, 1, 1])
        >>> counts, counts.accuracy()
        (Confusion(tp=2, fp=1, tn=1, fn=1), 0.6)
    """

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0

    def __post_init__(self) -> None:
        for count in (self.tp, self.fp, self.tn, self.fn):
            checked_counts(count, count)

    @classmethod
    def from_arrays(cls, predicted: ArrayLike, actual: ArrayLike) -> Confusion:
        """Count rows; 1 or True is positive.

        Args:
            predicted: Shape (n,), only 0 and 1.
            actual: Shape (n,), only 0 and 1.

        Raises:
            InvalidInput: different lengths, or a value that is neither 0 nor 1.
        """
        p, a = _binary(predicted, "predicted"), _binary(actual, "actual")
        if p.size != a.size:
            raise InvalidInput(f"{p.size} predictions and {a.size} labels", field="actual")
        tp, positive, flagged = int((p & a).sum()), int(a.sum()), int(p.sum())
        fp, fn = flagged - tp, positive - tp
        return cls(tp=tp, fp=fp, tn=p.size - tp - fp - fn, fn=fn)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            tp=self.tp + other.tp,
            fp=self.fp + other.fp,
            tn=self.tn + other.tn,
            fn=self.fn + other.fn,
        )

    @property
    def total(self) -> int:
        """Rows counted."""
        return self.tp + self.fp + self.tn + self.fn

    def precision(self) -> float:
        """Share of the flagged that are positive. Raises: TooFewValues when none was flagged."""
        return _share(self.tp, self.tp + self.fp, "no row was flagged")

    def recall(self) -> float:
        """Share of the positive that were flagged. Raises: TooFewValues when none is positive."""
        return _share(self.tp, self.tp + self.fn, "no row is positive")

    def f1(self) -> float:
        """Harmonic mean of both. Raises: TooFewValues when none is flagged or positive."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn, "no row is positive")

    def accuracy(self) -> float:
        """Share of right decisions. Raises: TooFewValues when nothing was counted."""
        return _share(self.tp + self.tn, self.total, "no row was counted")

    def false_positive_rate(self) -> float:
        """Share of the negative that were flagged. Raises: TooFewValues when none is negative."""
        return _share(self.fp, self.fp + self.tn, "no row is negative")


def brier(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared error of predicted probabilities: 0 is perfect, 0.25 is a constant 0.5.

    Args:
        probabilities: Shape (n,), each from 0 to 1.
        labels: Shape (n,), only 0 and 1.

    Raises:
        TooFewValues: no rows.
        InvalidInput: different lengths, or values outside their range.

    Source: Brier (1950), for two outcomes.

    Example:
        >>> round(brier([0.9, 0.2, 0.6], [1, 0, 0]), 4)
        0.1367
    """
    p, y = _scored(probabilities, labels)
    if p.min() < 0.0 or p.max() > 1.0:
        raise InvalidInput("a probability lies outside 0 to 1", field="probabilities")
    return float(np.mean((p - y) ** 2))


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Chance that a random positive row scores above a random negative one; ties count half.

    Args:
        scores: Shape (n,), finite; a higher score means more positive.
        labels: Shape (n,), only 0 and 1, both present.

    Raises:
        TooFewValues: no positive or no negative row.
        InvalidInput: different lengths, NaN or infinite scores, or other labels.

    Source: Mann and Whitney (1947); Hanley and McNeil (1982).

    Example:
        >>> roc_auc([0.9, 0.2, 0.6, 0.1], [1, 0, 0, 0])
        1.0
    """
    s, y = _scored(scores, labels)
    positive, negative = np.sort(s[y]), np.sort(s[~y])
    if positive.size == 0 or negative.size == 0:
        raise TooFewValues("only one class has labels, so nothing can be ranked", field="labels")
    below = np.searchsorted(negative, positive, side="left")
    up_to = np.searchsorted(negative, positive, side="right")
    return float((below + up_to).sum() / (2.0 * positive.size * negative.size))


def _scored(scores: ArrayLike, labels: ArrayLike) -> tuple[Sample, NDArray[np.bool_]]:
    s = checked(scores, at_least=1, field="scores")
    y = _binary(labels, "labels")
    if s.size != y.size:
        raise InvalidInput(f"{s.size} scores and {y.size} labels", field="labels")
    return s, y


def _binary(values: ArrayLike, field: str) -> NDArray[np.bool_]:
    sample = checked(values, at_least=0, field=field)
    if not np.isin(sample, (0.0, 1.0)).all():
        raise InvalidInput("only 0 and 1 are outcomes here", field=field)
    return np.asarray(sample == 1.0, dtype=np.bool_)


def _share(part: int, whole: int, why_not: str) -> float:
    if whole == 0:
        raise TooFewValues(why_not, remedy="wait for more labelled rows")
    return part / whole
