"""Files of a registry that are no pickles: plain data can be clean, what reaches out cannot."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.artifacts.files import zipped
from tests.artifacts.test_survey_pickles import BUDGET, Judged, Payload, dumped

from trimtab.artifacts.findings import Budget, Findings, Result
from trimtab.artifacts.formats import Format
from trimtab.artifacts.survey import survey_bytes


def safetensors(tensors: dict[str, Any], size: int) -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * size


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def png(more: bytes = b"") -> bytes:
    chunks = b""
    for kind, body in ((b"IHDR", b"\0" * 13), (b"IDAT", b"x"), (b"IEND", b"")):
        crc = zlib.crc32(kind + body)
        chunks += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
    return b"\x89PNG\r\n\x1a\n" + chunks + more


def gguf(pairs: dict[str, str]) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    body = b"".join(text(k) + struct.pack("<I", 8) + text(v) for k, v in pairs.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body


def message(number: int, *parts: bytes) -> bytes:
    """Fields of one number, of bytes, as protobuf writes them."""
    written = b""
    for part in parts:
        length = len(part)
        size = b"" if length < 128 else bytes([length & 0x7F | 0x80])
        written += bytes([number << 3 | 2]) + size + bytes([length >> 7 if size else length]) + part
    return written


def saved_model(*operators: str) -> bytes:
    nodes = [message(1, b"n") + message(2, name.encode()) for name in operators]
    return b"\x08\x01" + message(2, message(2, message(1, *nodes)))


UBJSON = b"{L\0\0\0\0\0\0\0\x01ai\x05L\0\0\0\0\0\0\0\x01b[$d#L\0\0\0\0\0\0\0\x02" + b"\0" * 8 + b"}"
GOOD = {"a": {"dtype": "U32", "shape": [2], "data_offsets": [0, 8]}}
PLAIN: dict[str, tuple[bytes, Format]] = {
    "notes.txt": (b"Based on last year's data.\n", Format.TEXT),
    "x.md": (b"x^2 + y^2\n", Format.TEXT),
    "README.md": (b"# A model\n\nScore: 0.9312\n", Format.TEXT),
    "table.csv": (b"id,amount\n1,0.1234567890123456\n", Format.TEXT),
    "LICENSE": (b"MIT\n", Format.TEXT),
    "metrics.json": (b'{"auc": 0.93, "n": [1, 2]}', Format.JSON),
    "config.yaml": (b"a: 1\nb: [x, y]\nc: {d: null}\n", Format.YAML),
    "report.html": (b"<!doctype html><p>Fine</p>", Format.HTML),
    "plot.png": (png(), Format.PNG),
    "photo.jpg": (b"\xff\xd8\xff\xe0" + b"\x01" * 40 + b"\xff\xd9", Format.JPEG),
    "model.safetensors": (safetensors(GOOD, 8), Format.SAFETENSORS),
    "array.npy": (saved(np.arange(6.0).reshape(2, 3)), Format.NUMPY),
    "table.npy": (saved(np.zeros(2, dtype=[("a", "f4"), ("b", "U3")])), Format.NUMPY),
    "arrays.npz": (zipped({"a.npy": saved(np.arange(3))}), Format.ZIP),
    "model.gguf": (gguf({"general.name": "small"}), Format.GGUF),
    "model.ubj": (UBJSON, Format.UBJSON),
    "model.lgb": (
        b"tree\nversion=v4\nnum_class=1\n\nend of trees\n\npandas:null\n",
        Format.LIGHTGBM,
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_data_is_clean(name: str) -> None:
    data, kind = PLAIN[name]
    found = Judged(data, f"model/{name}")
    assert (found.result, found.format) == (Result.CLEAN, kind), found.details


@pytest.mark.parametrize(
    "name", [n for n in PLAIN if n[-4:] not in (".txt", ".csv", "d.md", "ENSE")]
)
def test_what_breaks_off_is_not_clean(name: str) -> None:
    data, _ = PLAIN[name]
    if name not in ("x.md", "README.md", "report.html", "config.yaml"):
        assert (
            Judged(data[:-1] if name != "model.lgb" else data[:20], name).result is not Result.CLEAN
        )


MALICIOUS: dict[str, tuple[str, bytes, str]] = {
    "array of objects": ("a.npy", saved(np.array([Payload("true")], object)), "numpy_object"),
    "array of objects in npz": (
        "a.npz",
        zipped({"a.npy": saved(np.array([{}], object))}),
        "numpy_object",
    ),
    "pickle in a zip": (
        "a.zip",
        zipped({"notes.txt": dumped(Payload("true"), "4")}),
        "pickle_global",
    ),
    "pickle in PyTorch": (
        "model.bin",
        zipped({"archive/data.pkl": dumped(Payload("true"), "2"), "archive/data/0": b"\0" * 8}),
        "pickle_global",
    ),
    "zip in a zip": (
        "a.zip",
        zipped({"b.zip": zipped({"c": dumped(Payload("true"), "4")})}),
        "pickle_global",
    ),
    "zip of zeros": ("a.zip", zipped({"zeros": b"\0" * (40 << 20)}), "budget"),
    "names that lead out": ("a.zip", zipped({"../x": b"text"}), "zip_path"),
    "Keras with a lambda": (
        "model.keras",
        zipped(
            {
                "metadata.json": b"{}",
                "config.json": json.dumps({"layers": [{"class_name": "Lambda"}]}).encode(),
            }
        ),
        "keras_code",
    ),
    "Keras that imports": (
        "model.keras",
        zipped(
            {
                "metadata.json": b"{}",
                "config.json": json.dumps({"module": "os", "class_name": "system"}).encode(),
            }
        ),
        "keras_code",
    ),
    "HDF5 with a lambda": (
        "model.h5",
        b'\x89HDF\r\n\x1a\n{"class_name": "Lambda"}' + b"\0" * 50,
        "keras_code",
    ),
    "skops that names a function": (
        "model.skops",
        zipped(
            {
                "schema.json": json.dumps(
                    {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
                ).encode()
            }
        ),
        "skops_type",
    ),
    "a template that escapes": (
        "model.gguf",
        gguf({"tokenizer.chat_template": "{{ x.__class__.__base__ }}"}),
        "gguf_template",
    ),
    "YAML that builds": ("conda.yaml", b"a: !!python/object/apply:os.system [true]\n", "yaml_code"),
    "two in one": ("a.png", png() + zipped({"x": b"y"}), "polyglot"),
}


@pytest.mark.parametrize("case", MALICIOUS)
def test_what_carries_code_or_reaches_out_is_malicious(case: str) -> None:
    name, data, rule = MALICIOUS[case]
    found = Judged(data, name)
    assert (found.result, rule in found.rules) == (Result.MALICIOUS, True), found.findings


SUSPICIOUS: dict[str, tuple[str, bytes, str]] = {
    "a program": ("code/train.py", b"import os\n", "source_code"),
    "a script": ("run", b"#!/bin/sh\ntrue\n", "source_code"),
    "a page with a script": ("r.html", b"<html><script>1</script>", "active_content"),
    "a picture with a script": ("r.svg", b"<svg onload='x()'/>", "active_content"),
    "Markdown with a script": ("r.md", b"[a](javascript:alert)", "active_content"),
    "a template": ("model.gguf", gguf({"t.chat_template": "{% for m in x %}"}), "gguf_template"),
    "a graph": ("saved_model.pb", saved_model("MatMul", "WriteFile"), "graph_operator"),
    "an unknown type": (
        "model.skops",
        zipped(
            {
                "schema.json": json.dumps(
                    {"__class__": "Model", "__module__": "mine", "__loader__": "ObjectNode"}
                ).encode()
            }
        ),
        "skops_type",
    ),
    "bytes behind a picture": ("a.png", png(b"more"), "trailing"),
    "control characters": ("notes.txt", b"a \x1b[2J b", "control_characters"),
}


@pytest.mark.parametrize("case", SUSPICIOUS)
def test_what_a_person_should_look_at_is_suspicious(case: str) -> None:
    name, data, rule = SUSPICIOUS[case]
    found = Judged(data, name)
    assert (found.result, rule in found.rules) == (Result.SUSPICIOUS, True), found.findings


def test_what_is_shown_of_a_template_is_inert() -> None:
    found = Judged(gguf({"t.chat_template": "{% x %}\x1b[2J\u202e"}), "model.gguf")
    assert "\\x1b" in found.details
    assert found.details.isprintable()


UNREADABLE: dict[str, tuple[str, bytes]] = {
    "empty": ("model.pkl", b""),
    "one byte": ("model.onnx", b"\x08"),
    "deep JSON": ("a.json", b"[" * 100_000 + b"]" * 100_000),
    "a number of ten million digits": ("a.json", b'{"a": ' + b"1" * 10_000_000 + b"}"),
    "a key twice": ("a.json", b'{"a": 1, "a": 2}'),
    "not a number": ("a.json", b'{"a": NaN}'),
    "tensors that overlap": (
        "a.safetensors",
        safetensors({**GOOD, "b": {"dtype": "U32", "shape": [2], "data_offsets": [4, 12]}}, 12),
    ),
    "tensors beyond the file": ("a.safetensors", safetensors(GOOD, 4)),
    "a weight file without a reader": ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100),
    "text under another name": ("model.pkl", b"hello\n"),
    "a table in columns": ("a.parquet", b"PAR1\x15\x04\x15\x00PAR1"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_was_not_read_to_its_end_is_unreadable(case: str) -> None:
    name, data = UNREADABLE[case]
    assert Judged(data, name).result is Result.UNREADABLE


def test_nested_archives_end_at_the_budget() -> None:
    data = b"text"
    for depth in range(6):
        data = zipped({f"{depth}.zip" if depth else "a.txt": data})
    found = Judged(data, "a.zip")
    assert (found.result, "nested_archive" in found.rules) == (Result.UNREADABLE, True)


def test_the_budget_of_bytes_is_one_for_all_that_is_packed_in_a_file() -> None:
    part = zipped({"zeros.npy": saved(np.zeros(2 << 20, np.uint8))})
    data = zipped({f"{n}.zip": part for n in range(6)})
    assert Judged(part, "a.zip").result is Result.CLEAN
    assert "budget" in Judged(data, "a.zip").rules


def tarred(*members: tuple[str, bytes, bytes, str]) -> bytes:
    """A tar file of (name, type, content, link)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, kind, content, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "rule"),
    [
        (("a", tarfile.SYMTYPE, b"", "../../etc"), "tar_link"),
        (("a", tarfile.LNKTYPE, b"", "b"), "tar_link"),
        (("a", tarfile.CHRTYPE, b"", ""), "tar_device"),
        (("a", tarfile.FIFOTYPE, b"", ""), "tar_device"),
        (("../a", tarfile.REGTYPE, b"x", ""), "tar_path"),
        (("/a", tarfile.REGTYPE, b"x", ""), "tar_path"),
        (("a.pkl", tarfile.REGTYPE, dumped(Payload("true"), "4"), ""), "pickle_global"),
    ],
)
def test_members_of_a_tar_file_that_lead_out_are_malicious(
    member: tuple[str, bytes, bytes, str], rule: str
) -> None:
    found = Judged(tarred(member), "a.tar")
    assert (found.result, rule in found.rules) == (Result.MALICIOUS, True)


def test_an_honest_tar_file_is_clean_and_more_behind_its_end_is_not() -> None:
    data = tarred(("a.txt", tarfile.REGTYPE, b"text", ""), ("b", tarfile.DIRTYPE, b"", ""))
    assert Judged(data, "a.tar").result is Result.CLEAN
    assert "trailing" in Judged(data + data, "a.tar").rules


def test_nothing_is_written_while_archives_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Judged(tarred(("a.txt", tarfile.REGTYPE, b"text", "")), "a.tar")
    Judged(zipped({"a.txt": b"text"}), "a.zip")
    assert list(tmp_path.iterdir()) == []


def laughs(levels: int) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("name", ["conda.yaml", "MLmodel", "python_env.yaml", "other.yml"])
def test_a_document_that_unfolds_without_end_is_refused_at_once(name: str) -> None:
    tracemalloc.start()
    started = time.perf_counter()
    found = Judged(laughs(200), name)
    seconds, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.result, "budget" in found.rules) == (Result.MALICIOUS, True)
    assert seconds < 1
    assert peak < 64 << 20


SECRETS = {
    "a key": "aws_key AKIAABCDEFGHIJKLMNOP",
    "an address": "https://user:hunter22222@example.org/simple",
    "a person": "write to jane.doe@example.org",
    "a card": "paid with 4111 1111 1111 1111",
}


@pytest.mark.parametrize("case", SECRETS)
@pytest.mark.parametrize("name", ["notes.txt", "MLmodel", "a.json", "a.safetensors", "model.gguf"])
def test_secrets_and_personal_data_are_named_by_kind_and_never_repeated(
    case: str, name: str
) -> None:
    secret = SECRETS[case]
    data = {
        "notes.txt": secret.encode(),
        "MLmodel": f"flavors: {{}}\nnote: '{secret}'\n".encode(),
        "a.json": json.dumps({"note": secret}).encode(),
        "a.safetensors": safetensors({"__metadata__": {"note": secret}}, 0),
        "model.gguf": gguf({"note": secret}),
    }[name]
    found = Judged(data, name)
    assert found.result is Result.SUSPICIOUS
    assert found.rules & {"secret", "personal_data"}
    said = json.dumps([str(f) for f in found.findings] + [found.evidence])
    assert not any(word in said for word in ("AKIA", "hunter", "jane", "4111"))


def test_numbers_are_not_taken_for_cards() -> None:
    rows = "\n".join(f"0.{'4111111111111111'}{n},12345678901234567{n % 10}" for n in range(50))
    assert Judged(rows.encode(), "table.csv").result is Result.CLEAN


def test_a_file_beyond_its_budget_is_not_read() -> None:
    small = Budget(max_document_bytes=100)
    findings = Findings(10)
    survey_bytes(b"a" * 200, "a.txt", small, findings)
    assert {f.rule for f in findings.all()} == {"budget"}
    assert BUDGET.max_document_bytes > 100
