"""Whatever bytes come: an answer, never an exception, and never clean by accident."""

from __future__ import annotations

import gzip
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

from trimtab.artifacts.findings import Budget, Findings, Result, overall
from trimtab.artifacts.formats import HEAD_BYTES, TAIL_BYTES, Format, polyglot, sniff
from trimtab.artifacts.inspection import Inspection, inspect_file
from trimtab.artifacts.pickle_machine import Global, follow
from trimtab.artifacts.survey import survey_bytes
from trimtab.kernel.events import plain

BUDGET = Budget(max_file_bytes=1 << 20, max_tensor_bytes=1 << 20, max_unpacked_bytes=1 << 20)
RELAXED = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FEWER = settings(RELAXED, max_examples=100)
PICKLES = [
    pickle.dumps(value, protocol)
    for protocol in range(6)
    for value in ([1, "a", b"b"], OrderedDict(a=1), Path("x"), os.system)
]
DOCUMENTS = {
    "conda.yaml": b"channels: [a]\ndependencies:\n- python=3.11\n- pip: [b==1, 'c>2']\n",
    "MLmodel": b"flavors:\n  sklearn: {code: null}\nrun_id: &a x\nother: *a\n",
    "requirements.txt": b"-r x\n--index-url https://a:b@c/d\ne[f]==1 ; g\n",
    "a.json": b'{"class_name": "Dense", "module": "keras.layers", "a": [1, 2.5, null]}',
    "a.safetensors": b'\x3a\0\0\0\0\0\0\0{"a": {"dtype": "U32", "shape": [1], '
    b'"data_offsets": [0, 4]}}\0\0\0\0',
    "a.gguf": b"GGUF\3\0\0\0"
    + b"\0" * 8
    + b"\1"
    + b"\0" * 7
    + b"\1"
    + b"\0" * 7
    + b"a\4\0\0\0xxxx",
    "a.npy": b"\x93NUMPY\1\0\x36\0{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}xxxx",
    "a.ubj": b"{i\1ai\5i\1b[$d#i\1xxxx}",
    "saved_model.pb": b"\x08\1\x12\x0c\x12\x0a\x0a\x08\x0a\1n\x12\3Add",
    "a.pkl.gz": gzip.compress(pickle.dumps([1, 2])),
    "a.png": b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82",
}
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


def surveyed(data: bytes, path: str) -> Result:
    findings = Findings(BUDGET.max_findings)
    found, evidence = survey_bytes(data, path, BUDGET, findings)
    noted = findings.all()
    text = json.dumps([plain(noted), found, evidence], ensure_ascii=False)
    assert all(c.isprintable() for c in text)
    return overall(noted, read=True)


@FEWER
@given(st.sampled_from(MAGICS), st.binary(max_size=400), st.sampled_from(sorted(DOCUMENTS)))
def test_a_survey_of_random_bytes_always_answers(magic: bytes, rest: bytes, path: str) -> None:
    surveyed(magic + rest, path)


@FEWER
@given(st.data())
def test_a_survey_of_mutated_documents_always_answers(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    surveyed(data.draw(mutated(DOCUMENTS[path])), path)


@FEWER
@given(st.data())
def test_a_survey_never_calls_a_payload_clean_whatever_stands_around_it(
    data: st.DataObject,
) -> None:
    # The payload as a whole is spared: what is changed is before, between and behind.
    protocol = data.draw(st.sampled_from([0, 2, 4]))
    before = pickle.dumps([1, "a", {"b": 2.5}], protocol)[:-1]
    around = data.draw(mutated(before))
    whole = around + b"cposix\nsystem\n(S'true'\ntR0" + data.draw(st.binary(max_size=20))
    if Global("posix", "system") in follow(whole, 10_000).globals:
        assert surveyed(whole, "model.pkl") is Result.MALICIOUS
    assert surveyed(whole, "model.pkl") is not Result.CLEAN


@pytest.mark.parametrize("length", range(0, 240, 3))
def test_a_survey_of_a_payload_cut_anywhere_is_never_clean(length: int) -> None:
    for original in PICKLES[-4::4]:
        if length < len(original):
            assert surveyed(original[:length], "model.pkl") is not Result.CLEAN


@RELAXED
@given(st.binary(max_size=100), st.binary(max_size=100), st.integers(0, 10**12))
def test_sniffing_always_answers(head: bytes, tail: bytes, more: int) -> None:
    found = sniff(head, tail, len(head) + more)
    assert isinstance(found, Format)
    polyglot(found, tail)
    assert len(head) <= HEAD_BYTES < TAIL_BYTES
