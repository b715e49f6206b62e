"""Tensors of the Open Inference Protocol v2: datatypes, JSON values and raw bytes.

Source: Open Inference Protocol v2, REST, with the binary tensor data extension.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}

_NAMES = {dtype: name for name, dtype in DTYPES.items()}

_ONNX = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

_FLOATS = frozenset({"FP16", "FP32", "FP64"})
_JSON_TYPES: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
    **{name: frozenset({float, int, type(None)}) for name in _FLOATS},
}
_INTEGERS: frozenset[type] = frozenset({int})
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class TensorSpec:
    """What a model takes or gives; -1 in `shape` is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def is_float(self) -> bool:
        """Whether a value may be missing (NaN)."""
        return self.datatype in _FLOATS


def datatype_of(onnx_type: str) -> str | None:
    """The protocol's name of an ONNX Runtime type such as `tensor(float)`, or None."""
    return _ONNX.get(onnx_type)


def checked_shape(spec: TensorSpec, shape: Any) -> tuple[int, ...]:
    """`shape` as the caller sent it, or with the trailing 1 that a column `[N]` leaves out.

    Raises:
        InvalidInput: not a list of sizes, or sizes that the model does not take.
    """
    sizes_ok = isinstance(shape, list) and all(type(s) is int and 0 <= s < 2**31 for s in shape)
    if not sizes_ok:
        raise InvalidInput(f"the shape of input {spec.name!r} is not sizes", field=spec.name)
    given = tuple(shape)
    if len(given) == 1 and len(spec.shape) == 2 and spec.shape[1] == 1:
        given = (given[0], 1)
    fits = len(given) == len(spec.shape) and all(
        want in (-1, got) for want, got in zip(spec.shape, given, strict=True)
    )
    if not fits:
        raise InvalidInput(
            f"input {spec.name!r} has shape {list(shape)}, the model takes {list(spec.shape)}",
            field=spec.name,
            remedy="-1 stands for a size that is free",
        )
    return given


def from_json(spec: TensorSpec, data: Any, shape: tuple[int, ...]) -> Array:
    """JSON values, flat or nested, as an array of `shape`; null is NaN in floats.

    Raises:
        InvalidInput: ragged, too few or many values, or one of another type or range.
    """
    flat = _flatten(spec, data, shape)
    kinds = set(map(type, flat))
    allowed = _JSON_TYPES.get(spec.datatype, _INTEGERS)
    if not kinds <= allowed:
        wrong = ", ".join(sorted(kind.__name__ for kind in kinds - allowed))
        raise InvalidInput(
            f"input {spec.name!r} is {spec.datatype}, its data holds {wrong}", field=spec.name
        )
    if spec.datatype == "BYTES":
        _require_unicode(spec, flat)
    try:
        with np.errstate(over="ignore"):
            values = np.array(flat, dtype=DTYPES[spec.datatype])
    except OverflowError as error:
        raise InvalidInput(
            f"input {spec.name!r} holds a number outside {spec.datatype}", field=spec.name
        ) from error
    return values.reshape(shape)


def _require_unicode(spec: TensorSpec, texts: Sequence[str]) -> None:
    """JSON can escape half a character, which no UTF-8 text holds."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"input {spec.name!r} holds no valid text", field=spec.name) from error


def _flatten(spec: TensorSpec, data: Any, shape: tuple[int, ...]) -> Sequence[Any]:
    """The values of `data` in row-major order, after checking every level's lengths."""
    if not isinstance(data, list):
        raise InvalidInput(f"the data of input {spec.name!r} is not a list", field=spec.name)
    size = math.prod(shape)
    flat: list[Any] = data
    depth = 0
    while flat and isinstance(flat[0], list):
        depth += 1
        width = shape[depth] if depth < len(shape) else -1
        if not all(type(row) is list and len(row) == width for row in flat):
            raise InvalidInput(
                f"the data of input {spec.name!r} is not nested as its shape {list(shape)} says",
                field=spec.name,
            )
        flat = list(chain.from_iterable(flat))
    if len(flat) != size:
        raise InvalidInput(
            f"input {spec.name!r} has {len(flat)} values, its shape {list(shape)} holds {size}",
            field=spec.name,
        )
    return flat


def from_bytes(spec: TensorSpec, raw: memoryview, shape: tuple[int, ...]) -> Array:
    """Raw little-endian values, row-major; BYTES are UTF-8, each after its 4-byte length.

    Numbers are not copied when they are aligned: the array is then a view of `raw`. Behind
    a JSON header of odd length they are not, and vectorised kernels may not read them there.

    Raises:
        InvalidInput: the bytes do not hold exactly the values of `shape`.
    """
    size = math.prod(shape)
    if spec.datatype == "BYTES":
        return np.array(_texts(spec, raw, size), dtype=object).reshape(shape)
    dtype = DTYPES[spec.datatype]
    if len(raw) != size * dtype.itemsize:
        raise InvalidInput(
            f"input {spec.name!r} has {len(raw)} bytes, its shape {list(shape)} takes "
            f"{size * dtype.itemsize}",
            field=spec.name,
        )
    if spec.datatype == "BOOL" and any(byte > 1 for byte in raw):
        raise InvalidInput(f"input {spec.name!r} holds a BOOL beyond 0 and 1", field=spec.name)
    values = np.frombuffer(raw, dtype=dtype)
    return (values if values.flags.aligned else values.copy()).reshape(shape)


def _texts(spec: TensorSpec, raw: memoryview, size: int) -> list[str]:
    texts: list[str] = []
    at, end = 0, len(raw)
    try:
        while at < end and len(texts) < size:
            (length,) = _LENGTH.unpack_from(raw, at)
            at += 4 + length
            texts.append(str(raw[at - length : at], "utf-8"))
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"input {spec.name!r} is not UTF-8 texts behind their lengths", field=spec.name
        ) from error
    if at != end or len(texts) != size:
        raise InvalidInput(
            f"input {spec.name!r} does not hold exactly {size} texts", field=spec.name
        )
    return texts


def missing_values(spec: TensorSpec, values: Array) -> int:
    """How many values are NaN, which stands for missing.

    Raises:
        InvalidInput: an infinite value: an overflow on the caller's side, not a measurement.
    """
    if not spec.is_float:
        return 0
    finite = int(np.count_nonzero(np.isfinite(values)))
    if finite == values.size:
        return 0
    missing = int(np.count_nonzero(np.isnan(values)))
    if finite + missing != values.size:
        raise InvalidInput(
            f"input {spec.name!r} holds an infinite value or one beyond {spec.datatype}",
            field=spec.name,
            remedy="send null (or NaN in binary) for a missing value",
        )
    return missing


def to_json(values: Array) -> list[Any]:
    """The values in row-major order; a float that JSON cannot say becomes null."""
    flat = values.ravel()
    if values.dtype.kind == "f" and not np.isfinite(flat).all():
        return [v if v - v == 0 else None for v in flat.tolist()]
    out: list[Any] = flat.tolist()
    return out


def to_bytes(values: Array) -> bytes:
    """The values as `from_bytes` reads them."""
    if values.dtype == object:
        encoded = [str(text).encode() for text in values.ravel()]
        return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def datatype_of_array(values: Array) -> str:
    """The protocol's name of an array's type."""
    return _NAMES[values.dtype]
