"""What may be measured: the checks at the door of every statistic.

"Could not look" is an exception here and never a number: a statistic that answers nan
or 0 for an empty window reads as health further up.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues

Sample: TypeAlias = NDArray[np.float64]
"""Finite values of one numeric column, shape (n,)."""


def checked(values: ArrayLike, *, at_least: int, field: str | None = None) -> Sample:
    """The values as a sample, or a refusal.

    Args:
        values: Shape (n,), numeric.
        at_least: The smallest n that the method can speak about.
        field: What the values are called in an error.

    Raises:
        InvalidInput: not numeric, not one-dimensional, or a value is NaN or infinite.
        TooFewValues: fewer than `at_least` values.

    Example:
        >>> checked([1, 2.5], at_least=2)
        array([1. , 2.5])
    """
    try:
        sample = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("the values are not all numbers", field=field) from error
    if sample.ndim != 1:
        raise InvalidInput(f"expected one dimension, got {sample.ndim}", field=field)
    if sample.size < at_least:
        raise TooFewValues(
            f"{sample.size} values, at least {at_least} are needed",
            field=field,
            remedy=f"wait for {at_least - sample.size} more values, or use a longer window",
        )
    if not np.isfinite(sample).all():
        bad = int(sample.size - np.isfinite(sample).sum())
        raise InvalidInput(
            f"{bad} of {sample.size} values are NaN or infinite",
            field=field,
            remedy="separate them first with split_nulls; their share is a finding of its own",
        )
    return sample


def split_nulls(values: ArrayLike | Iterable[object]) -> tuple[Sample, int, int]:
    """Separate what can be measured from what is missing.

    Args:
        values: Shape (n,): numbers, None, NaN, infinities, or a numpy masked array.

    Returns:
        The finite values in their order; the number of nulls (None, masked or NaN, which a
        float column cannot tell apart); the number of infinite values. The three add up to n.

    Raises:
        InvalidInput: a value that is neither a number nor missing.

    Example:
        >>> split_nulls([1.0, None, float("nan"), float("inf")])
        (array([1.]), 2, 1)
    """
    masked = 0
    raw: Any = values
    if isinstance(values, np.ma.MaskedArray):
        raw = values.compressed()
        masked = values.size - raw.size
    elif not isinstance(values, np.ndarray):
        raw = list(values) if isinstance(values, Iterable) else values
    try:
        column = np.asarray(raw, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("the values are not all numbers or missing") from error
    if column.ndim != 1:
        raise InvalidInput(f"expected one dimension, got {column.ndim}")
    finite = np.isfinite(column)
    nulls = int(np.isnan(column).sum())
    sample: Sample = column[finite]
    return sample, masked + nulls, int(column.size - finite.sum()) - nulls


def checked_counts(successes: SupportsIndex, trials: SupportsIndex) -> tuple[int, int]:
    """Successes among trials as plain integers.

    Raises:
        InvalidInput: not integers, negative, or more successes than trials.

    Example:
        >>> checked_counts(3, 10)
        (3, 10)
    """
    try:
        s, n = operator.index(successes), operator.index(trials)
    except TypeError as error:
        raise InvalidInput("successes and trials are whole numbers", field="successes") from error
    if s < 0 or n < 0:
        raise InvalidInput(f"counts are never negative, got {s} of {n}", field="successes")
    if s > n:
        raise InvalidInput(f"{s} successes among {n} trials", field="successes")
    return s, n


def checked_level(level: float) -> float:
    """A false-alarm rate: above 0 and at most 0.5.

    The upper limit is there because 0.95 given for 0.05 would otherwise alarm always.

    Raises:
        InvalidInput: outside that range.

    Example:
        >>> checked_level(0.05)
        0.05
    """
    if not 0.0 < level <= 0.5:
        raise InvalidInput(
            f"a level of {level} is not a false-alarm rate",
            field="level",
            remedy="give the share of false alarms that is acceptable, such as 0.01",
        )
    return level


def checked_confidence(confidence: float) -> float:
    """A confidence: at least 0.5 and below 1.

    Raises:
        InvalidInput: outside that range.

    Example:
        >>> checked_confidence(0.95)
        0.95
    """
    if not 0.5 <= confidence < 1.0:
        raise InvalidInput(
            f"a confidence of {confidence} is not one",
            field="confidence",
            remedy="give the share of intervals that must hold the truth, such as 0.99",
        )
    return confidence


def checked_open(value: float, *, low: float, high: float, field: str) -> float:
    """A number strictly between two bounds.

    Raises:
        InvalidInput: NaN, or not strictly between.

    Example:
        >>> checked_open(0.3, low=0.0, high=1.0, field="rate")
        0.3
    """
    if math.isnan(value) or not low < value < high:
        raise InvalidInput(f"{field} is {value}, expected between {low} and {high}", field=field)
    return value


_Array = TypeVar("_Array", bound=NDArray[Any])


def distinct(values: _Array) -> _Array:
    """The values without repetition, sorted, shape (k,).

    NumPy's own `unique` loads its masked arrays first, a tenth of what a command takes to start.

    Example:
        >>> distinct(np.array([2, 1, 2]))
        array([1, 2])
    """
    ordered = np.sort(values)
    first = np.ones(ordered.size, dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return cast(_Array, ordered[first])
