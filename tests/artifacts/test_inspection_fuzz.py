"""Whatever bytes come: an answer, never an exception, and never clean by accident."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.artifacts.findings import Budget, Result
from trimtab.artifacts.formats import HEAD_BYTES, TAIL_BYTES, Format, polyglot, sniff
from trimtab.artifacts.inspection import Inspection, inspect_file

BUDGET = Budget(max_file_bytes=1 << 20, max_tensor_bytes=1 << 20, max_unpacked_bytes=1 << 20)
RELAXED = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
PICKLES = [
    pickle.dumps(value, protocol)
    for protocol in range(6)
    for value in ([1, "a", b"b"], OrderedDict(a=1), Path("x"), os.system)
]
MAGICS = [b"", b"\x80\x04", b"PK\x03\x04", b"\x93NUMPY", b"GGUF", b"\x08\x0a\x3a", b"\x89HDF\r\n"]


def inspected(data: bytes) -> Inspection:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "file"
        path.write_bytes(data)
        found = inspect_file(path, BUDGET)
    text = json.dumps(found.report(), ensure_ascii=False)
    assert text.isprintable()
    return found


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """`original` with bytes changed, cut out, repeated or put in."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        data[at : at + length] = draw(st.binary(max_size=8))
    return bytes(data)


@RELAXED
@given(st.sampled_from(MAGICS), st.binary(max_size=400))
def test_random_bytes(magic: bytes, rest: bytes) -> None:
    assert inspected(magic + rest).result is not Result.CLEAN


@RELAXED
@given(st.data())
def test_mutated_models(numeric: Any, data: st.DataObject) -> None:
    found = inspected(data.draw(mutated(numeric.onnx)))
    assert found.result is not Result.CLEAN or found.onnx is not None


@RELAXED
@given(st.data())
def test_mutated_text_models(mixed: Any, data: st.DataObject) -> None:
    inspected(data.draw(mutated(mixed.onnx)))


@RELAXED
@given(st.data())
def test_mutated_pickles_are_never_clean(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from(PICKLES))
    assert inspected(data.draw(mutated(original))).result not in (Result.CLEAN, Result.SUSPICIOUS)


@pytest.mark.parametrize("length", range(60))
def test_pickles_cut_anywhere_are_never_clean(length: int) -> None:
    for original in PICKLES:
        assert inspected(original[:length]).result is not Result.CLEAN


@RELAXED
@given(st.binary(max_size=100), st.binary(max_size=100), st.integers(0, 10**12))
def test_sniffing_always_answers(head: bytes, tail: bytes, more: int) -> None:
    found = sniff(head, tail, len(head) + more)
    assert isinstance(found, Format)
    polyglot(found, tail)
    assert len(head) <= HEAD_BYTES < TAIL_BYTES
