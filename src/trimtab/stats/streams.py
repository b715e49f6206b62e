"""What detectors on streams share: how values come in, and how a state is kept.

A stream is not stopped by what cannot be measured. A missing value (None, NaN, masked), an
infinity, or a magnitude of some 1e140, whose squares would soon be one, is counted in
`refused` and changes nothing else: the next value is judged as if it had not come. So no such
value blinds a detector, one by one or in a batch. Whoever asks also looks at `refused` and at
`ready`: a stream of nothing else is not calm.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import _kernels
from trimtab.stats._kernels import TOO_LARGE, Levels, Values

State: TypeAlias = dict[str, Any]
"""Everything that a detector needs to go on elsewhere: plain values, ready for JSON."""

Batch: TypeAlias = ArrayLike | Sequence[float | None]
"""Shape (n,): numbers, None, NaN, infinities, or a numpy masked array. n may be 0."""

Indices: TypeAlias = NDArray[np.int64]
"""Positions in the batch that was given, from 0, ascending."""


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Detector = TypeVar("Detector", bound=_Dataclass)


def number(value: object) -> float:
    """One value of a stream as a float; None becomes NaN.

    Raises:
        InvalidInput: it is neither a number nor missing.
    """
    if value is None or value is np.ma.masked:
        return math.nan
    if isinstance(value, numbers.Real | np.number | np.bool_):
        return float(value)
    raise InvalidInput(f"a value of the stream is {value!r}", field="value")


def batch(values: Batch) -> tuple[Values, Levels]:
    """A batch as floats, what is missing as NaN, and a level for each: 0.

    An array of floats that lie side by side is not copied.

    Args:
        values: See `Batch`.

    Raises:
        InvalidInput: not one-dimensional, or neither numbers nor missing.
    """
    raw: Any = values
    try:
        if isinstance(values, np.ma.MaskedArray):
            raw = raw.astype(np.float64).filled(np.nan)
        found = np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("the values are not all numbers or missing", field="values") from error
    if np.ndim(raw) != 1:
        raise InvalidInput(f"expected one dimension, got {np.ndim(raw)}", field="values")
    return found, np.zeros(found.size, dtype=np.int8)


def binary_batch(values: Batch) -> tuple[Values, Levels]:
    """The same, of values that are 0, 1 or refused.

    Raises:
        InvalidInput: another number among them; nothing was taken in.
    """
    found, levels = batch(values)
    (odd,) = _kernels.kernel(_kernels.foreign)(found)
    if odd:
        raise InvalidInput(f"{odd} of {found.size} values are neither 0 nor 1", field="values")
    return found, levels


def refusal(error: object) -> int:
    """1 for a value that is neither 0 nor 1 because it is missing or infinite.

    Raises:
        InvalidInput: it is another number, or none at all.
    """
    if measurable(number(error)):
        raise InvalidInput(f"an error is 0 or 1, got {error!r}", field="error")
    return 1


def alarms(levels: Levels) -> Indices:
    """Where the level is an alarm."""
    return np.flatnonzero(levels == _kernels.ALARM).astype(np.int64, copy=False)


def measurable(value: float) -> bool:
    """Whether a value is taken in; False for NaN, too."""
    return value * value < TOO_LARGE


def to_state(detector: _Dataclass) -> State:
    """What a detector was made of and where it stands; not what follows from that."""
    return {field.name: getattr(detector, field.name) for field in _kept(type(detector))}


def from_state(kind: type[Detector], state: Mapping[str, object]) -> Detector:
    """A detector out of its fields, each of the type that its class names.

    Raises:
        InvalidInput: as `checked_state`, or the class refuses a setting.
    """
    types = {field.name: str(field.type) for field in _kept(kind)}
    return kind(**checked_state(state, types))


def checked_state(state: Mapping[str, object], types: Mapping[str, str]) -> State:
    """The values of a state, if each is there and of its type; floats as floats.

    Args:
        state: What `to_state` gave.
        types: `float`, `int` (0 or more), `bool`, `str` or `rows` (lists of floats) by name.

    Raises:
        InvalidInput: a key is missing or unknown, or a value is of another type or not finite.
    """
    if set(state) != set(types):
        odd = ", ".join(sorted(set(types).symmetric_difference(state)))
        raise InvalidInput(f"the state has missing or unknown keys: {odd}", field="state")
    for name, value in state.items():
        if not _fits(value, types[name]):
            raise InvalidInput(f"the state's {name} is {value!r}", field="state")
    return {n: float(cast(float, v)) if types[n] == "float" else v for n, v in state.items()}


def _kept(kind: type[_Dataclass]) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.init]


def _fits(value: object, kind: str) -> bool:
    if kind == "float":
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return known and math.isfinite(value)  # type: ignore[arg-type]  # known is a number
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if kind == "rows":
        return isinstance(value, list) and all(
            isinstance(row, list) and all(_fits(one, "float") for one in row) for row in value
        )
    return type(value).__name__ == kind
