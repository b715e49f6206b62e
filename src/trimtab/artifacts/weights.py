"""Files of weights and graphs: headers and tables are read, numbers are not interpreted."""

from __future__ import annotations

import ast
import math
import struct
from collections.abc import Iterator
from typing import Any

from trimtab.artifacts import strictjson
from trimtab.artifacts.environment import private_in
from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.redaction import shown
from trimtab.artifacts.wire import Field, fields
from trimtab.kernel.errors import IntegrityFailed

_HEADER_BYTES = 16 << 20
_SAFETENSORS_BYTES = {f"{kind}{bits}": bits // 8 for kind in "IUF" for bits in (16, 32, 64)} | {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E5M2": 1,
    "F8_E4M3": 1,
    "F8_E8M0": 1,
    "BF16": 2,
    "C64": 8,
}
_REACHES_OUT = frozenset(
    {
        "EagerPyFunc",
        "ImmutableConst",
        "LoadAndRemapMatrix",
        "MatchingFiles",
        "PrintV2",
        "PyFunc",
        "PyFuncStateless",
        "ReadFile",
        "WriteFile",
        "XlaCustomCall",
        "XlaCustomCallV2",
    }
)
"""Operators of TensorFlow that call Python, or read and write files that a graph names."""


class _Broken(ValueError):
    """A file is not what its first bytes say."""


def survey_safetensors(data: bytes, where: str, findings: Findings) -> None:
    """Note where a safetensors file is not a header and the tensors that it lists."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = strictjson.parse(data[8 : 8 + length], max_bytes=_HEADER_BYTES, what="the header")
        _check_tensors(header, len(data) - 8 - length)
    except (_Broken, IntegrityFailed) as error:
        findings.add("malformed", Severity.UNREADABLE, where, str(error))
        return
    for text in (header.get("__metadata__") or {}).values():
        private_in(text, where, findings)


def _check_tensors(header: Any, size: int) -> None:
    if not isinstance(header, dict):
        raise _Broken("the header is no table of tensors")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _Broken("metadata that is no text")
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    end = 0
    for begin, stop in sorted(_extent(entry) for entry in tensors):
        if begin != end or stop < begin:
            raise _Broken("tensors overlap, or leave a gap")
        end = stop
    if end != size:
        raise _Broken("the tensors are not the rest of the file")


def _extent(entry: Any) -> tuple[int, int]:
    try:
        (begin, end), shape = entry["data_offsets"], entry["shape"]
        wanted = _SAFETENSORS_BYTES[entry["dtype"]] * math.prod(_lengths(shape))
    except (KeyError, TypeError, ValueError) as error:
        raise _Broken("a tensor without type, shape or place") from error
    if type(begin) is not int or type(end) is not int or begin < 0 or end - begin != wanted:
        raise _Broken("a tensor is not as long as its shape")
    return begin, end


def _lengths(shape: Any) -> list[int]:
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        raise _Broken("a shape that is none")
    return shape


def survey_numpy(data: bytes, where: str, findings: Findings) -> None:
    """Note where a `.npy` file is not a header and as many numbers as that says."""
    import numpy as np

    try:
        descr, shape, begin = _numpy_header(data)
        dtype = np.dtype([tuple(f) for f in descr] if isinstance(descr, list) else descr)
        if dtype.hasobject:
            findings.add("numpy_object", Severity.MALICIOUS, where, "an array of pickled objects")
            return
        if begin + dtype.itemsize * math.prod(_lengths(list(shape))) != len(data):
            raise _Broken("not as long as its shape")
    except (_Broken, TypeError, ValueError, SyntaxError, LookupError, struct.error) as error:
        detail = f"a header that cannot be read: {type(error).__name__}"
        findings.add("malformed", Severity.UNREADABLE, where, detail)


def _numpy_header(data: bytes) -> tuple[Any, Any, int]:
    size = 2 if data[6] == 1 else 4
    begin = 8 + size
    end = begin + int.from_bytes(data[8:begin], "little")
    if end > min(len(data), 1 << 16):
        raise _Broken("a header that is too long")
    header = ast.literal_eval(data[begin:end].decode("utf-8").strip())
    return header["descr"], header["shape"], end


_GGUF_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip


class _Gguf:
    """Reads the values of a GGUF file in order. Source: the GGUF specification of ggml."""

    def __init__(self, data: bytes, max_values: int) -> None:
        self._data = data
        self._at = 4
        self._left = max_values

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from(code, self._data, self._at)
        self._at += struct.calcsize(code)
        self._left -= 1
        if self._left < 0:
            raise _Broken("more values than the budget allows")
        return value

    def text(self) -> str:
        length = self.number("<Q")
        if length > len(self._data) - self._at:
            raise _Broken("a text longer than its file")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8", "backslashreplace")

    def value(self, kind: int, depth: int = 0) -> Iterator[str]:
        """The texts in a value of this kind."""
        if kind == 8:
            yield self.text()
        elif kind == 9 and depth < 4:
            inner, count = self.number("<I"), self.number("<Q")
            for _ in range(count):
                yield from self.value(inner, depth + 1)
        elif kind in _GGUF_NUMBERS:
            self.number(_GGUF_NUMBERS[kind])
        else:
            raise _Broken("a value of unknown kind")


def survey_gguf(data: bytes, where: str, budget: Budget, findings: Findings) -> None:
    """Note templates and private texts in the metadata of a GGUF file; nothing is rendered."""
    reader = _Gguf(data, budget.max_fields)
    try:
        version, tensors, pairs = reader.number("<I"), reader.number("<Q"), reader.number("<Q")
        if version not in (2, 3):
            raise _Broken("a version that is not read here")
        for _ in range(pairs):
            key = reader.text()
            for text in reader.value(reader.number("<I")):
                _metadata(key, text, where, findings)
        for _ in range(tensors):
            reader.text()
            for _ in range(reader.number("<I")):
                reader.number("<Q")
            reader.number("<I")
            reader.number("<Q")
    except (_Broken, struct.error) as error:
        findings.add("malformed", Severity.UNREADABLE, where, f"breaks off: {error}")


def _metadata(key: str, text: str, where: str, findings: Findings) -> None:
    if "{%" in text or "{{" in text:
        escapes = "__" in text or "attr(" in text
        findings.add(
            "gguf_template",
            Severity.MALICIOUS if escapes else Severity.SUSPICIOUS,
            where,
            f"{shown(key)} is a template program: {shown(text, 400)}",
        )
    if len(text) > 5:
        private_in(text, where, findings)


def is_saved_model(data: bytes) -> bool:
    """Whether a protobuf message is a TensorFlow SavedModel rather than an ONNX model."""
    try:
        numbers = {found.number for found in fields(data, 0, len(data))}
    except IntegrityFailed:
        return False
    return 2 in numbers and numbers <= {1, 2}


def survey_saved_model(data: bytes, where: str, findings: Findings) -> None:
    """Note the operators of a SavedModel's graphs that reach outside the graph."""
    count, reaching = 0, set[str]()
    try:
        for node in _nodes(data):
            count += 1
            reaching |= {_text_of(data, part) for part in _inside(data, node, 2)} & _REACHES_OUT
    except IntegrityFailed as error:
        findings.add("malformed", Severity.UNREADABLE, where, error.message)
        return
    for name in sorted(reaching):
        findings.add("graph_operator", Severity.SUSPICIOUS, where, f"uses {name}")
    detail = f"a program of {count} operators, for which there is no allow-list"
    findings.add("graph_program", Severity.SUSPICIOUS, where, detail)


def _nodes(data: bytes) -> Iterator[Field]:
    whole = Field(0, 2, 0, len(data))
    for meta in _inside(data, whole, 2):
        for graph in _inside(data, meta, 2):
            yield from _inside(data, graph, 1)
            for library in _inside(data, graph, 2):
                for function in _inside(data, library, 1):
                    yield from _inside(data, function, 3)


def _inside(data: bytes, message: Field, number: int) -> Iterator[Field]:
    for found in fields(data, message.start, message.end):
        if found.number == number and found.wire_type == 2:
            yield found


def _text_of(data: bytes, found: Field) -> str:
    return data[found.start : found.end].decode("utf-8", "replace")


_UBJSON = {ord(k): v for k, v in {"i": 1, "U": 1, "I": 2, "l": 4, "L": 8, "d": 4, "D": 8}.items()}
_UBJSON_BARE = frozenset(b"ZTFN")


def survey_ubjson(data: bytes, where: str, budget: Budget, findings: Findings) -> None:
    """Note where a UBJSON file, as XGBoost writes it, is not one value from first to last byte."""
    reader = _Ubjson(data, budget.max_fields, budget.max_depth)
    try:
        reader.value(reader.byte(), 0)
        if reader.at != len(data):
            raise _Broken("bytes behind the value")
    except (_Broken, IndexError) as error:
        findings.add("malformed", Severity.UNREADABLE, where, f"no UBJSON: {error}")


class _Ubjson:
    def __init__(self, data: bytes, max_values: int, max_depth: int) -> None:
        self._data = data
        self._left = max_values
        self._max_depth = max_depth
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self._data):
            raise _Broken("longer than its file")

    def length(self) -> int:
        size = _UBJSON.get(kind := self.byte())
        if size is None or kind in b"dD":
            raise _Broken("a length that is no number")
        begin = self.at
        self.skip(size)
        found = int.from_bytes(self._data[begin : self.at], "big", signed=kind != ord("U"))
        if found < 0:
            raise _Broken("a negative length")
        return found

    def value(self, kind: int, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > self._max_depth:
            raise _Broken("beyond the budget")
        if kind in _UBJSON:
            self.skip(_UBJSON[kind])
        elif kind == ord("C"):
            self.skip(1)
        elif kind == ord("S"):
            self.skip(self.length())
        elif kind in b"[{":
            self._items(kind == ord("{"), depth)
        elif kind not in _UBJSON_BARE:
            raise _Broken("a value of unknown kind")

    def _items(self, named: bool, depth: int) -> None:
        kind = count = None
        if self._peek() == ord("$"):
            self.skip(1)
            kind = self.byte()
        if self._peek() == ord("#"):
            self.skip(1)
            count = self.length()
        if kind is not None and count is None:
            raise _Broken("a type without a count")
        if kind in _UBJSON and not named:
            self.skip(_UBJSON[kind] * (count or 0))
            return
        close = ord("}") if named else ord("]")
        while count != 0 and (count is not None or self._peek() != close):
            if named:
                self.skip(self.length())
            self.value(self.byte() if kind is None else kind, depth + 1)
            count = None if count is None else count - 1
        if count is None:
            self.skip(1)

    def _peek(self) -> int:
        return self._data[self.at]
