from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from typing import Any

import numpy as np
import pytest

from trimtab.artifacts.formats import TAIL_BYTES, Format, polyglot, sniff
from trimtab.artifacts.redaction import personal_data_in, secrets_in, shown
from trimtab.artifacts.wire import guard_model
from trimtab.kernel.errors import IntegrityFailed, PolicyRefused


def kind_of(data: bytes) -> Format:
    return sniff(data[:4096], data[-TAIL_BYTES:], len(data))


def array_file(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zip_of(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return file.getvalue()


def tar_of(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Format.EMPTY),
        (b"\x08", Format.UNKNOWN),
        (b"\0" * 100, Format.UNKNOWN),
        (pickle.dumps([1]), Format.PICKLE),
        (pickle.dumps([1], protocol=0), Format.PICKLE),
        (array_file(np.zeros(3)), Format.NUMPY),
        (array_file(np.array([None])), Format.NUMPY_OBJECT),
        (zip_of("a"), Format.ZIP),
        (zip_of("archive/data.pkl", "archive/version"), Format.ZIP_PYTORCH),
        (zip_of("metadata.json", "config.json", "model.weights.h5"), Format.KERAS_ZIP),
        (tar_of("x"), Format.TAR),
        (b'{"a": 1}', Format.JSON),
        (b" \n[1, 2]", Format.JSON),
        (b"channels:\n- defaults\ndependencies:\n- python\n", Format.YAML),
        (b"artifact_path: model\nflavors: {}\n", Format.YAML),
        (b"just some text", Format.UNKNOWN),
    ],
)
def test_formats_are_told_apart_by_content(data: bytes, expected: Format) -> None:
    assert kind_of(data) is expected


def test_a_model_is_recognised_in_any_order_of_its_fields(numeric: Any) -> None:
    from onnx import ModelProto

    model = ModelProto.FromString(numeric.onnx)
    for first in ("graph", "opset_import"):
        alone, rest = ModelProto(), ModelProto()
        rest.CopyFrom(model)
        if first == "graph":
            alone.graph.CopyFrom(model.graph)
        else:
            alone.opset_import.extend(model.opset_import)
        rest.ClearField(first)
        assert kind_of(alone.SerializeToString() + rest.SerializeToString()) is Format.ONNX


def test_an_archive_behind_something_else_is_a_second_format(numeric: Any) -> None:
    archive = zip_of("a")
    for front in (numeric.onnx, b"\x93NUMPY" + b"\0" * 100, b'{"a": 1}'):
        data = front + archive
        assert polyglot(kind_of(data), data[-TAIL_BYTES:]) is Format.ZIP
    assert polyglot(Format.ZIP, archive) is None
    assert polyglot(Format.ONNX, numeric.onnx) is None
    assert polyglot(Format.ONNX, b"PK\x05\x06" + b"\xff" * 5) is None


def test_text_is_shown_escaped_and_short() -> None:
    assert shown("a\nb\x1b[31m\u202e\\") == "a\\nb\\x1b[31m\\u202e\\\\"
    assert shown("x" * 500, limit=10) == "x" * 10 + "…"
    assert shown(b"\xff\xfe") == "\\\\xff\\\\xfe"
    assert shown("Grüße, 世界") == "Grüße, 世界"


def test_secrets_are_told_from_ordinary_text() -> None:
    ordinary = "model 2.4.1 of 2024-05-01, sha256:" + "ab" * 32 + ", mean=0.123456789012345"
    assert secrets_in(ordinary) == ()
    assert personal_data_in(ordinary) == ()
    assert secrets_in("token: abcdefgh") == ("password",)
    assert personal_data_in("card 4111-1111-1111-1111") == ("payment_card",)
    assert personal_data_in("card 4111-1111-1111-1112") == ()


def test_the_guard_bounds_depth_and_fields(numeric: Any) -> None:
    guard_model(numeric.onnx, max_depth=10, max_fields=10_000)
    for depth, fields in ((1, 10_000), (10, 20)):
        with pytest.raises(PolicyRefused) as refused:
            guard_model(numeric.onnx, max_depth=depth, max_fields=fields)
        assert refused.value.field == "budget"


@pytest.mark.parametrize(
    "data", [b"", b"\x08", b"\x0b\x00", b"\x3a\x05abc", b"\x08" + b"\xff" * 11, b"\x00\x00"]
)
def test_the_guard_refuses_what_is_no_model(data: bytes) -> None:
    with pytest.raises(IntegrityFailed):
        guard_model(data, max_depth=10, max_fields=100)
