"""Files that are no models, whatever they are called."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.artifacts.files import zipped

from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.findings import Budget, Result
from trimtab.artifacts.formats import Format
from trimtab.artifacts.inspection import Inspection, inspect_file

BUDGET = Budget(max_file_bytes=8 << 20, max_tensor_bytes=16 << 20, max_unpacked_bytes=8 << 20)


class Payload:
    """Unpickling this runs a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def inspected(tmp_path: Path, data: bytes, name: str = "model.onnx") -> Inspection:
    path = tmp_path / name
    path.write_bytes(data)
    found = inspect_file(path, BUDGET)
    assert found.digest == sha256_of(data)
    assert found.size == len(data)
    return found


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.pkl", "model.bin", "model.onnx", "model", "model.pt"])
def test_a_pickle_is_malicious_under_any_name_and_never_run(
    tmp_path: Path, sentinel: Path, protocol: int, name: str
) -> None:
    data = pickle.dumps(Payload(f"touch {sentinel}"), protocol=protocol)
    found = inspected(tmp_path, data, name)
    assert (found.result, found.format) == (Result.MALICIOUS, Format.PICKLE)
    details = " ".join(f.detail for f in found.findings if f.rule == "pickle_global")
    assert "posix.system" in details or "nt.system" in details
    assert not sentinel.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_broken_behind_its_payload_is_malicious(
    tmp_path: Path, sentinel: Path, protocol: int
) -> None:
    data = pickle.dumps(Payload(f"touch {sentinel}"), protocol=protocol)
    for broken in (data[:-1], data[:-1] + b"\xff\xff", data[:-1] + b"X\xff\xff\xff\xff"):
        found = inspected(tmp_path, broken)
        assert found.result is Result.MALICIOUS
        assert {"pickle_broken", "pickle_global"} <= rules(found)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    ("module", "name"), [("pip", "main"), ("pkgutil", "resolve_name"), ("numpy", "load")]
)
def test_any_global_outside_the_allow_list_is_named(tmp_path: Path, module: str, name: str) -> None:
    for data in (
        f"c{module}\n{name}\n(S'x'\ntR.".encode(),
        b"\x80\x04\x8c%c%b\x94\x8c%c%b\x94\x93."
        % (len(module), module.encode(), len(name), name.encode()),
        b"\x80\x04\x8c%c%b\x94\x8c%c%b\x940h\x00h\x01\x93."
        % (len(module), module.encode(), len(name), name.encode()),
    ):
        found = inspected(tmp_path, data)
        assert f"names {module}.{name}" in {f.detail for f in found.findings}


def test_a_pickle_of_plain_numbers_is_still_a_program(tmp_path: Path) -> None:
    found = inspected(tmp_path, pickle.dumps({"a": np.arange(3)}))
    assert found.result is Result.MALICIOUS
    assert rules(found) == {"pickle"}


def test_an_array_of_objects_is_malicious_and_not_loaded(tmp_path: Path, sentinel: Path) -> None:
    for array in (
        np.array([Payload(f"touch {sentinel}")], dtype=object),
        np.zeros(1, dtype=[("a", "f4"), ("b", "O")]),
    ):
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        found = inspected(tmp_path, file.getvalue(), "model.npy")
        assert (found.result, found.format) == (Result.MALICIOUS, Format.NUMPY_OBJECT)
    assert not sentinel.exists()


def test_a_pickle_in_a_zip_is_found_whatever_it_is_called(tmp_path: Path) -> None:
    payload = pickle.dumps(Payload("true"))
    for name, kind in (("archive/data.pkl", Format.ZIP_PYTORCH), ("notes.txt", Format.ZIP)):
        found = inspected(tmp_path, zipped({name: payload}), "model.bin")
        assert (found.result, found.format) == (Result.MALICIOUS, kind)
        assert "pickle_global" in rules(found)


def test_a_zip_whose_readers_would_disagree_is_malicious(tmp_path: Path) -> None:
    honest = zipped({"a.txt": b"text"})
    assert inspected(tmp_path, honest).result is Result.UNREADABLE
    flags = bytearray(honest)
    flags[6] ^= 0x01  # "encrypted", in the entry's own header only
    renamed = honest.replace(b"a.txt", b"b.txt", 1)
    for data in (bytes(flags), renamed):
        assert inspected(tmp_path, data).result is Result.MALICIOUS
    assert inspected(tmp_path, honest[:-30]).result is Result.MALICIOUS


def test_two_entries_of_one_name_are_malicious(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.pkl", b"x")
        archive.writestr("A.pkl", b"y")
    assert "zip_twice" in rules(inspected(tmp_path, file.getvalue()))


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:x", "a\\..\\x", "~/x"])
def test_entries_that_would_land_elsewhere_are_malicious(tmp_path: Path, name: str) -> None:
    assert "zip_path" in rules(inspected(tmp_path, zipped({name: b"x"})))


def test_a_zip_bomb_is_stopped_at_the_budget(tmp_path: Path) -> None:
    found = inspected(tmp_path, zipped({"zeros": b"\0" * (40 << 20)}))
    assert found.size < 1 << 20
    assert (found.result, "budget" in rules(found)) == (Result.MALICIOUS, True)


def test_a_keras_archive_with_code_is_malicious(tmp_path: Path) -> None:
    config = json.dumps({"layers": [{"class_name": "Lambda"}]}).encode()
    found = inspected(
        tmp_path, zipped({"metadata.json": b"{}", "config.json": config}), "model.keras"
    )
    assert (found.format, found.result) == (Format.KERAS_ZIP, Result.MALICIOUS)
    assert "keras_code" in rules(found)


OTHERS = {
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
    "gguf": b"GGUF\x03\0\0\0" + b"{% for x in y %}",
    "safetensors": struct.pack("<Q", 2) + b"{}" + b"\0" * 8,
    "json": b'{"a": ' * 100_000,
    "yaml": b"python_env: 3.11\nmodel: !!python/object/apply:os.system [true]\n",
    "compressed": b"\x1f\x8b\x08\0" + b"\0" * 40,
    "tar": b"x" * 257 + b"ustar\x0000" + b"\0" * 300,
    "empty": b"",
    "unknown": b"\x00",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_recognised_and_never_clean(tmp_path: Path, kind: str) -> None:
    found = inspected(tmp_path, OTHERS[kind])
    assert found.format == kind
    assert found.result in (Result.UNREADABLE, Result.MALICIOUS)
    assert found.onnx is None


def test_yaml_that_builds_objects_is_malicious(tmp_path: Path) -> None:
    assert "yaml_code" in rules(inspected(tmp_path, OTHERS["yaml"], "MLmodel"))


def test_a_pickle_with_odd_escapes_is_read_all_the_same(tmp_path: Path) -> None:
    found = inspected(tmp_path, b"c\\cos\nsystem\n(S'\\q'\ntR.")
    assert found.result is not Result.CLEAN
    data = pickle.dumps(Payload("true"), protocol=2)
    assert inspected(tmp_path, data.replace(b"cposix", b"c\\posix")).result is Result.MALICIOUS


def test_a_pickle_that_begins_with_a_long_text_is_found(tmp_path: Path) -> None:
    found = inspected(tmp_path, b"S'" + b"x" * 10_000 + b"'\n0cos\nsystem\n(S'true'\ntR.")
    assert (found.format, found.result) == (Format.PICKLE, Result.MALICIOUS)
    assert "names os.system" in {f.detail for f in found.findings}
