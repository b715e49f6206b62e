"""Integrity, security and schema on real bytes, in the real limited child."""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from trimtab.artifacts.binding import FILE_NAME
from trimtab.artifacts.signing import ArtifactSigner
from trimtab.artifacts.verifying import MODEL_FILE, Expected, Trust
from trimtab.checks import artifact
from trimtab.kernel.errors import Unavailable
from trimtab.kernel.ids import Digest
from trimtab.kernel.verdict import Verdict
from trimtab.policies.admission import ChildLimits

FEATURES = dict.fromkeys(("distance", "wind", "hour", "delay"), "numeric")
COLUMNS = {**FEATURES, "late": "numeric"}


def inspected(path: Path, limits: ChildLimits) -> dict[str, Any]:
    """The report on a file, made in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return artifact.inspect(path, limits, Path(folder))


def integrity(handed: Any, **changes: Any) -> Verdict:
    given: dict[str, Any] = {
        "files": handed.files,
        "bundle": handed.bundle,
        "trust": handed.trust,
        "expected": handed.expected,
    } | changes
    files, bundle = given.pop("files"), given.pop("bundle")
    result = artifact.integrity(files, bundle, **given, max_metadata_bytes=1 << 20)
    assert result.name == "artifact_integrity"
    assert result.reason
    return result.verdict


def test_what_was_signed(handed: Any) -> None:
    assert integrity(handed) is Verdict.PASS


@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_one_byte_changed(handed: Any, place: float) -> None:
    content = bytearray(handed.model.read_bytes())
    content[int(place * len(content)) if place > 0 else int(place)] ^= 1
    handed.model.write_bytes(bytes(content))
    assert integrity(handed) is Verdict.FAIL


def test_cut_empty_or_gone(handed: Any) -> None:
    content = handed.model.read_bytes()
    for cut in (content[:-1], content + b"\0", b""):
        handed.model.write_bytes(cut)
        assert integrity(handed) is Verdict.FAIL
    handed.model.unlink()
    assert integrity(handed) in (Verdict.FAIL, Verdict.ERROR)


@pytest.mark.parametrize(
    "other", [{"model": "prices"}, {"version": "1.0.1"}, {"tenant": "aa"}], ids=str
)
def test_rightly_signed_for_something_else(handed: Any, other: dict[str, str]) -> None:
    files, bundle = handed.signed_for(**other)
    assert integrity(handed, files=files, bundle=bundle) is Verdict.FAIL
    mixed = {**handed.files, FILE_NAME: files[FILE_NAME]}
    assert integrity(handed, files=mixed) is Verdict.FAIL
    assert integrity(handed, bundle=bundle) is Verdict.FAIL
    assert integrity(handed, expected=replace(handed.expected, **other)) is Verdict.FAIL


def test_signed_by_a_stranger_or_a_key_that_was_revoked(handed: Any, tmp_path: Path) -> None:
    stranger = ArtifactSigner(tmp_path / "other.pem", max_metadata_bytes=1 << 20)
    trust = Trust({stranger.key_id: stranger.public_key})
    assert integrity(handed, trust=trust) is Verdict.FAIL
    revoked = replace(handed.trust, revoked=(handed.signer.key_id,))
    assert integrity(handed, trust=revoked) is Verdict.FAIL
    assert integrity(handed, trust=Trust({})) is Verdict.FAIL


@pytest.mark.parametrize("bundle", [b"", b"{}", b"null", b"[" * 100_000, b"\xff" * 100])
def test_signatures_that_are_none(handed: Any, bundle: bytes) -> None:
    assert integrity(handed, bundle=bundle) is Verdict.FAIL


def test_a_file_more_or_less(handed: Any) -> None:
    assert integrity(handed, files={**handed.files, "extra.py": b"1"}) is Verdict.FAIL
    assert integrity(handed, files={MODEL_FILE: handed.model}) is Verdict.FAIL
    other = Digest("sha256:" + "0" * 64)
    expected = Expected("delays", "1.0.0", None, other)
    assert integrity(handed, expected=expected) is Verdict.FAIL


def test_a_clean_model_fits_its_registration(handed: Any, limits: ChildLimits) -> None:
    report = inspected(handed.model, limits)
    assert artifact.security(report).verdict is Verdict.PASS
    result = artifact.schema(report, FEATURES, COLUMNS, "late")
    assert (result.verdict, result.reason) == (
        Verdict.PASS,
        "model, data and registration agree on 4 features",
    )


def test_a_file_that_cannot_be_opened_here_is_not_called_unreadable(
    handed: Any, limits: ChildLimits
) -> None:
    handed.model.unlink()
    with pytest.raises(Unavailable):
        inspected(handed.model, limits)


def test_a_child_that_did_not_begin_says_nothing_about_the_file(
    handed: Any, limits: ChildLimits
) -> None:
    with pytest.raises(Unavailable):
        inspected(handed.model, limits.model_copy(update={"max_seconds": 0.01}))


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, sentinel: Path):
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.sentinel}",)


@pytest.mark.parametrize("suffix", [".pkl", ".onnx", ""])
@pytest.mark.parametrize("kind", ["plain", "broken", "zipped"])
def test_a_pickle_that_bites(tmp_path: Path, limits: ChildLimits, suffix: str, kind: str) -> None:
    sentinel, path = tmp_path / "ran", tmp_path / f"model{suffix}"
    content = pickle.dumps(Payload(sentinel))
    if kind == "zipped":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", content)
    else:
        path.write_bytes(content if kind == "plain" else content[:-1] + b"\x01\x02")
    report = inspected(path, limits)
    assert artifact.security(report).verdict is Verdict.FAIL
    assert artifact.schema(report, FEATURES, COLUMNS, "late").verdict is Verdict.FAIL
    assert not sentinel.exists()


@pytest.mark.parametrize("content", [b"", b"\0", b"not a model", b"\x08\x08" * 50])
def test_bytes_that_are_no_model(tmp_path: Path, limits: ChildLimits, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    report = inspected(path, limits)
    assert artifact.security(report).verdict is not Verdict.PASS
    assert artifact.schema(report, FEATURES, COLUMNS, "late").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "smaller",
    [{"max_memory_mib": 8}, {"max_artifact_mib": 0}, {"max_nodes": 0}],
    ids=str,
)
def test_an_inspection_that_is_cut_short_is_not_clean(
    handed: Any, limits: ChildLimits, smaller: dict[str, float]
) -> None:
    report = inspected(handed.model, limits.model_copy(update=smaller))
    assert artifact.security(report).verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize("result", ["unreadable", "crashed", "", "CLEAN", None])
def test_a_report_that_does_not_say_clean(result: str | None) -> None:
    report: dict[str, Any] = {
        "result": result,
        "findings": [],
        "isolation": {},
        "outcome": "timeout",
    }
    assert artifact.security(report).verdict is Verdict.FAIL


def test_what_is_suspicious_waits_for_a_person() -> None:
    finding = {"rule": "custom-domain", "severity": "warning"}
    report = {"result": "suspicious", "findings": [finding], "isolation": {}, "outcome": "ok"}
    result = artifact.security(report)
    assert (result.verdict, "custom-domain" in result.reason) == (Verdict.INCONCLUSIVE, True)


@pytest.mark.parametrize(
    ("features", "columns", "label"),
    [
        ({k: v for k, v in FEATURES.items() if k != "wind"}, COLUMNS, "late"),
        ({**FEATURES, "rain": "numeric"}, {**COLUMNS, "rain": "numeric"}, "late"),
        ({**FEATURES, "wind": "category"}, {**COLUMNS, "wind": "category"}, "late"),
        (FEATURES, {**COLUMNS, "wind": "category"}, "late"),
        (FEATURES, {k: v for k, v in COLUMNS.items() if k != "wind"}, "late"),
        (FEATURES, FEATURES, "late"),
        ({}, COLUMNS, "late"),
    ],
    ids=["one less", "one more", "other kind", "other data", "no column", "no label", "none"],
)
def test_a_schema_that_does_not_fit(
    handed: Any,
    limits: ChildLimits,
    features: dict[str, str],
    columns: dict[str, str],
    label: str,
) -> None:
    report = inspected(handed.model, limits)
    assert artifact.schema(report, features, columns, label).verdict is Verdict.FAIL


def columns_model(**kinds: int) -> bytes:
    """One input for each feature."""
    inputs = [helper.make_tensor_value_info(n, kind, [None, 1]) for n, kind in kinds.items()]
    first = inputs[0]
    node = helper.make_node("Identity", [first.name], ["score"])
    out = helper.make_tensor_value_info("score", first.type.tensor_type.elem_type, [None, 1])
    graph = helper.make_graph([node], "g", inputs, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def test_a_model_of_columns_is_compared_by_name_and_kind(
    tmp_path: Path, limits: ChildLimits
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(columns_model(wind=TensorProto.FLOAT, carrier=TensorProto.STRING))
    report = inspected(path, limits)
    fitting = {"wind": "numeric", "carrier": "category"}

    def verdict(features: dict[str, str]) -> Verdict:
        return artifact.schema(report, features, {**features, "late": "numeric"}, "late").verdict

    assert verdict(fitting) is Verdict.PASS
    assert verdict({"wind": "category", "carrier": "category"}) is Verdict.FAIL
    assert verdict({"wind": "numeric", "carrier": "numeric"}) is Verdict.FAIL
    assert verdict({"wind": "numeric", "airline": "category"}) is Verdict.FAIL
    assert verdict({"wind": "numeric"}) is Verdict.FAIL
