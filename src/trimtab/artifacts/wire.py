"""A guard over the raw bytes of an ONNX model, before any library parses them.

Walks the protobuf wire format along the paths where ONNX keeps tensors and operators, and
refuses data outside the file, operators outside the allow-list, and nesting or counts
beyond a budget. Standard library only, so that a serving process can afford it.

Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from trimtab.kernel.errors import IntegrityFailed, PolicyRefused

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operator sets that every ONNX runtime carries itself; no library is loaded for them."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}

MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""Field number -> wire type of every field of `ModelProto`."""

# message -> {field number: message inside}; only ways that lead to tensors or operators.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}
_DOMAIN_FIELD = {"node": 7, "function": 10}
_EXTERNAL_FIELDS = {13, 14}
# Tree ensembles keep millions of unpacked `floats` (field 7) and `ints` (field 8).
_NUMBERS = re.compile(rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f])++", re.DOTALL)


@dataclass(frozen=True)
class Field:
    """One field on the wire: number, wire type, and where its value lies in the buffer."""

    number: int
    wire_type: int
    start: int
    end: int


def fields(
    data: bytes, start: int, end: int, *, skip: re.Pattern[bytes] | None = None
) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`, in order, without runs of `skip`.

    Raises:
        IntegrityFailed: not a well-formed protobuf message (also for groups, which
            no schema since proto2 uses).
    """
    at = start
    while at < end:
        if skip and (run := skip.match(data, at, end)):
            at = run.end()
            continue
        tag, at = _varint(data, at, end)
        wire_type, begin = tag & 7, at
        if wire_type == _VARINT:
            _, at = _varint(data, at, end)
        elif wire_type == _LENGTH:
            length, begin = _varint(data, at, end)
            at = begin + length
        elif wire_type in _FIXED_BYTES:
            at += _FIXED_BYTES[wire_type]
        else:
            raise IntegrityFailed("not a protobuf message: unknown wire type", field="malformed")
        if at > end or tag < 8:
            raise IntegrityFailed("not a protobuf message: truncated", field="malformed")
        yield Field(tag >> 3, wire_type, begin, at)


def guard_model(
    model: bytes,
    *,
    max_depth: int,
    max_fields: int,
    allowed_domains: Collection[str] = ALLOWED_DOMAINS,
) -> None:
    """Refuse a model that reaches outside its own bytes or is built to exhaust its reader.

    Args:
        model: A serialized `ModelProto`.
        max_depth: Messages within messages; a plain model needs about 5, each level of
            a sub-graph 3 more.
        max_fields: Fields of graphs, nodes, attributes and tensors together, leaving out
            the numbers that an attribute lists.
        allowed_domains: Operator domains that nodes and functions may use.

    Raises:
        IntegrityFailed: not a well-formed model; `field` is `malformed`.
        PolicyRefused: `field` is `external_data`, `operator_domain` or `budget`.
    """
    if not model:
        raise IntegrityFailed("the file is empty", field="malformed")
    seen = 0
    todo = [("model", 0, len(model), 0)]
    while todo:
        message, start, end, depth = todo.pop()
        if depth > max_depth:
            raise PolicyRefused("the model is nested deeper than allowed", field="budget")
        for found in fields(model, start, end, skip=_NUMBERS if message == "attribute" else None):
            seen += 1
            if seen > max_fields:
                raise PolicyRefused("the model has more parts than allowed", field="budget")
            _check(message, found, model, allowed_domains)
            inside = _CHILDREN.get(message, {}).get(found.number)
            if inside and found.wire_type == _LENGTH:
                todo.append((inside, found.start, found.end, depth + 1))


def _check(message: str, found: Field, data: bytes, allowed_domains: Collection[str]) -> None:
    if message == "model" and MODEL_FIELDS.get(found.number) != found.wire_type:
        raise IntegrityFailed("the model holds a field unknown to ONNX", field="malformed")
    if message == "tensor" and found.number in _EXTERNAL_FIELDS and _is_external(found, data):
        raise PolicyRefused(
            "the model keeps data outside its own file",
            field="external_data",
            remedy="Save the model as one file, with save_as_external_data=False.",
        )
    if found.number == _DOMAIN_FIELD.get(message) and found.wire_type == _LENGTH:
        domain = data[found.start : found.end]
        if domain not in {name.encode() for name in allowed_domains}:
            raise PolicyRefused(
                "the model uses operators of another domain", field="operator_domain"
            )


def _is_external(found: Field, data: bytes) -> bool:
    """Any external entry counts; a location of 0 says that the data is inside."""
    return not (found.number == 14 and data[found.start : found.end] == b"\x00")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IntegrityFailed("not a protobuf message: a number does not end", field="malformed")
