"""Are predicted probabilities true? Errors of a calibration, without what the sample adds.

A calibration error over bins is never 0, not even for a perfect model: each bin's observed
share has noise of its own, and absolute values of noise add up. So each error comes with what
a perfectly calibrated model would show on these very rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.confusion import brier
from trimtab.stats.intervals import wilson
from trimtab.stats.sample import Sample, checked, checked_confidence
from trimtab.stats.special import normal_sf

_LEAST = 10  # rows for each bin: below, a bin's own variance says nothing


class BrierParts(NamedTuple):
    """brier = reliability - resolution + uncertainty + within, exactly.

    `reliability` is the squared distance of predicted from observed shares (0 is calibrated),
    `resolution` how much the bins differ in outcome, `uncertainty` the variance of the
    outcomes themselves, and `within` what predictions that differ inside a bin add or save.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


class CalibrationError(NamedTuple):
    """Result of `expected_calibration_error`; all but `squared` are shares from 0 to 1.

    `value` is the mean distance of predicted from observed shares over the bins; `debiased`
    the same with the bias that the bins' noise adds taken off; `noise` what a calibrated model
    shows on average on these rows; `squared` the unbiased mean of the squared distance, which
    is below 0 about half of the time for a calibrated model.
    """

    value: float
    debiased: float
    noise: float
    squared: float


class Spiegelhalter(NamedTuple):
    """Result of `spiegelhalter`: standard normal when calibrated, and the two-sided p-value."""

    z: float
    p_value: float


@dataclass(frozen=True)
class CalibrationCurve:
    """Arrays of shape (k,), one entry for each bin, from the lowest probability up.

    `predicted` is the mean probability, `observed` the share of positive rows with the
    interval from `low` to `high`, `rows` the rows of the bin.
    """

    predicted: Sample
    observed: Sample
    low: Sample
    high: Sample
    rows: NDArray[np.int64]


def brier_parts(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 10) -> BrierParts:
    """The Brier score, split into what calibration, ranking and the outcomes contribute.

    Args:
        probabilities: Shape (n,), each from 0 to 1.
        labels: Shape (n,), only 0 and 1.
        bins: Bins of equal mass; tied probabilities stay together.

    Raises:
        TooFewValues: fewer than 10 rows per bin.
        InvalidInput: different lengths, values outside their range, or no bin.

    Source: Murphy (1973); Stephenson, Coelho and Jolliffe (2008) for the part within bins.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(5000)
        >>> parts = brier_parts(p, rng.random(5000) < p)
        >>> [round(part, 3) for part in parts]
        [0.165, 0.0, 0.084, 0.25, -0.001]
    """
    p, y = checked_forecast(probabilities, labels, at_least=_LEAST * _checked_bins(bins))
    place, rows = _placed(p, bins)
    predicted, observed = _means(p, place, rows), _means(y, place, rows)
    weights, base = rows / p.size, float(y.mean())
    off_p, off_y = p - predicted[place], y - observed[place]
    return BrierParts(
        brier=brier(p, y),
        reliability=float(weights @ (predicted - observed) ** 2),
        resolution=float(weights @ (observed - base) ** 2),
        uncertainty=base * (1.0 - base),
        within=float(np.mean(off_p * off_p) - 2.0 * np.mean(off_p * off_y)),
    )


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> CalibrationError:
    """Mean distance between predicted and observed shares, over bins of equal mass.

    Args:
        probabilities: Shape (n,), each from 0 to 1.
        labels: Shape (n,), only 0 and 1.
        bins: Bins of equal mass; tied probabilities stay together. An error that changes its
            sign inside a bin is not seen.

    Raises:
        TooFewValues: fewer than 10 rows per bin.
        InvalidInput: different lengths, values outside their range, or no bin.

    Source: Naeini, Cooper and Hauskrecht (2015); Kumar, Liang and Ma (2019) for taking the
    bias off, with the mean of a folded normal law in place of their draws, and the variance of
    probability minus outcome in place of the outcome's.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(2000)
        >>> found = expected_calibration_error(p, rng.random(2000) < p)
        >>> round(found.value, 3), round(found.noise, 3), round(found.debiased, 3)
        (0.03, 0.027, 0.02)
    """
    p, y = checked_forecast(probabilities, labels, at_least=_LEAST * _checked_bins(bins))
    place, rows = _placed(p, bins)
    gap = _means(p - y, place, rows)
    away = (p - y) - gap[place]
    variance = np.bincount(place, away * away, minlength=rows.size) / (rows - 1.0) / rows
    calibrated = np.bincount(place, p * (1.0 - p), minlength=rows.size) / rows**2
    weights = rows / p.size
    drawn_again = _folded_means(np.abs(gap), np.sqrt(variance))
    return CalibrationError(
        value=float(weights @ np.abs(gap)),
        debiased=max(0.0, float(weights @ (2.0 * np.abs(gap) - drawn_again))),
        noise=float(weights @ np.sqrt(calibrated * 2.0 / math.pi)),
        squared=float(weights @ (gap * gap - variance)),
    )


def calibration_curve(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 10, confidence: float = 0.95
) -> CalibrationCurve:
    """Predicted against observed shares over bins of equal mass, with Wilson's intervals.

    Args:
        probabilities: Shape (n,), each from 0 to 1.
        labels: Shape (n,), only 0 and 1.
        bins: Bins of equal mass; tied probabilities stay together.
        confidence: Of each interval by itself, not of all of them together.

    Raises:
        TooFewValues: fewer than 10 rows per bin.
        InvalidInput: different lengths, values outside their range, or no bin.

    Source: Murphy and Winkler (1977); Wilson (1927) for the intervals.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(5000)
        >>> curve = calibration_curve(p, rng.random(5000) < p, bins=4)
        >>> curve.predicted.round(2).tolist(), curve.observed.round(2).tolist()
        ([0.12, 0.37, 0.62, 0.88], [0.12, 0.36, 0.61, 0.87])
    """
    p, y = checked_forecast(probabilities, labels, at_least=_LEAST * _checked_bins(bins))
    checked_confidence(confidence)
    place, rows = _placed(p, bins)
    positive = np.bincount(place, y, minlength=rows.size)
    intervals = [
        wilson(int(s), int(n), confidence=confidence) for s, n in zip(positive, rows, strict=True)
    ]
    return CalibrationCurve(
        predicted=_means(p, place, rows),
        observed=positive / rows,
        low=np.array([interval.low for interval in intervals]),
        high=np.array([interval.high for interval in intervals]),
        rows=rows,
    )


def spiegelhalter(probabilities: ArrayLike, labels: ArrayLike) -> Spiegelhalter:
    """Is the Brier score what it would be if every probability were true? Needs no bins.

    Blind to errors around 0.5, where a wrong probability does not change the expected score.

    Args:
        probabilities: Shape (n,), each from 0 to 1.
        labels: Shape (n,), only 0 and 1.

    Raises:
        TooFewValues: no rows, or all probabilities are 0, 0.5 or 1, which the score cannot judge.
        InvalidInput: different lengths, or values outside their range.

    Source: Spiegelhalter (1986).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> p = rng.random(2000)
        >>> round(spiegelhalter(p, rng.random(2000) < p).p_value, 2)
        0.59
        >>> spiegelhalter(p, rng.random(2000) < p**0.5).p_value < 1e-6
        True
    """
    p, y = checked_forecast(probabilities, labels, at_least=1)
    lean = 1.0 - 2.0 * p
    variance = float(np.sum(lean * lean * p * (1.0 - p)))
    if variance == 0.0:
        raise TooFewValues(
            "every probability is 0, 0.5 or 1, so the score has no spread when calibrated",
            field="probabilities",
        )
    z = float(np.sum((y - p) * lean)) / math.sqrt(variance)
    return Spiegelhalter(z, 2.0 * normal_sf(abs(z)))


def checked_forecast(
    probabilities: ArrayLike, labels: ArrayLike, *, at_least: int
) -> tuple[Sample, Sample]:
    """Probabilities and outcomes as samples of one length, or a refusal.

    Args:
        probabilities: Shape (n,), each from 0 to 1.
        labels: Shape (n,), only 0 and 1.
        at_least: The smallest n.

    Raises:
        TooFewValues: fewer than `at_least` rows.
        InvalidInput: different lengths, or values outside their range.

    Example:
        >>> checked_forecast([0.2, 0.7], [0, 1], at_least=1)
        (array([0.2, 0.7]), array([0., 1.]))
    """
    p = checked(probabilities, at_least=at_least, field="probabilities")
    y = checked(labels, at_least=at_least, field="labels")
    if p.size != y.size:
        raise InvalidInput(f"{p.size} probabilities and {y.size} labels", field="labels")
    if p.min() < 0.0 or p.max() > 1.0:
        raise InvalidInput("a probability lies outside 0 to 1", field="probabilities")
    if not ((y == 0.0) | (y == 1.0)).all():
        raise InvalidInput("only 0 and 1 are outcomes here", field="labels")
    return p, y


def _checked_bins(bins: int) -> int:
    if bins < 1:
        raise InvalidInput(f"{bins} bins hold nothing", field="bins")
    return bins


def _placed(p: Sample, bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bin of each row, shape (n,), and the rows of each bin; bins of a row or less join."""
    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    place = np.searchsorted(edges, p, side="left")
    rows = np.bincount(place, minlength=edges.size + 1)
    # Ties can leave a bin empty or with one row, whose variance nobody knows: it joins the next.
    joined = np.cumsum(np.concatenate([[0], rows[:-1] > 1])) if rows.size > 1 else np.zeros(1, int)
    place = joined[place]
    rows = np.bincount(place)
    if rows[-1] < 2 and rows.size > 1:
        place = np.minimum(place, rows.size - 2)
        rows = np.bincount(place)
    return place.astype(np.int64), rows.astype(np.int64)


def _means(values: Sample, place: NDArray[np.int64], rows: NDArray[np.int64]) -> Sample:
    return np.asarray(np.bincount(place, values, minlength=rows.size) / rows, dtype=np.float64)


def _folded_means(centre: Sample, deviation: Sample) -> Sample:
    """Mean absolute value of normal variables; `centre` is not negative."""
    found = centre.copy()
    some = deviation > 0.0
    c, s = centre[some], deviation[some]
    tails = np.array([normal_sf(float(ratio)) for ratio in c / s])
    found[some] = s * np.sqrt(2.0 / np.pi) * np.exp(-0.5 * (c / s) ** 2) + c * (1.0 - 2.0 * tails)
    return found
