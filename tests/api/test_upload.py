"""Handing in a version: one winner, declared digests, bad files, bad names, bad fields."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.mark.slow
def test_of_many_uploads_of_one_version_exactly_one_wins(house: Any) -> None:
    model = house.new_model()
    artifacts = [house.material.artifact(f"upload {i}") for i in range(16)]
    together = threading.Barrier(len(artifacts))

    def hand_in(artifact: bytes) -> httpx.Response:
        together.wait()
        found: httpx.Response = house.upload(model, house.metadata("1.0.0"), artifact)
        return found

    with ThreadPoolExecutor(len(artifacts)) as pool:
        answers = list(pool.map(hand_in, artifacts))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] + [409] * 15
    winner = next(i for i, answer in enumerate(answers) if answer.status_code == 201)
    stored = house.admin.models.version(model, "1.0.0")
    assert stored.digest == digest_of(artifacts[winner])
    assert answers[winner].json()["digest"] == stored.digest
    events = list(house.people["auditor"].audit.entries(kinds=("version.registered",)))
    assert sum(e.data["model"] == model for e in events if e.data) == 1


def test_the_same_bytes_again_are_the_same_version(house: Any) -> None:
    model, artifact = house.new_model(), house.material.artifact()
    first = house.upload(model, house.metadata("1.0.0"), artifact)
    again = house.upload(model, house.metadata("1.0.0"), artifact)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize(
    ("change", "field"), [({"cutoff": 0.123}, "cutoff"), ({"lineage": {"rows": 1}}, "lineage")]
)
def test_the_same_bytes_with_something_else_beside_them_are_a_conflict(
    house: Any, refuses: Any, change: dict[str, Any], field: str
) -> None:
    model, artifact = house.new_model(), house.material.artifact()
    first = house.upload(model, house.metadata("1.0.0"), artifact).json()
    answer = house.upload(model, house.metadata("1.0.0", **change), artifact)
    assert refuses(answer, 409, "conflict")["field"] == field
    assert house.admin.models.version(model, "1.0.0").cutoff == first["cutoff"]


def test_what_is_malicious_is_rejected_at_once_and_never_signed(house: Any, refuses: Any) -> None:
    model = house.new_model()
    harmful = b"cos\nsystem\n(S'true'\ntR."  # a pickle that runs a command
    answer = house.upload(model, house.metadata("1.0.0"), harmful)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["lifecycle"], told["inspection"]["result"]) == ("rejected", "malicious")
    assert (told["signer"], told["signed_at"]) == (None, None)
    house.settle()

    reviewer = house.people["peer_reviewer"].models
    assert reviewer.version(model, "1.0.0").lifecycle == "rejected"
    checks = list(reviewer.checks(model, "1.0.0"))
    assert [(check.name, check.verdict) for check in checks] == [("security_scan", "fail")]
    with house.http("data_scientist") as http:
        bundle = http.get(f"/api/v1/models/{model}/versions/1.0.0/signature")
    refuses(bundle, 404, "not_found")
    assert "never signed" in bundle.text
    entries = list(house.people["auditor"].audit.entries(ref=told["id"]))
    kinds = [entry.kind for entry in entries]
    assert kinds[0] == "version.registered"
    assert kinds.count("version.moved") == 1
    assert house.upload(model, house.metadata("1.0.0"), harmful).json() == told


def test_bytes_that_are_not_the_declared_ones_are_refused(house: Any, refuses: Any) -> None:
    model, artifact = house.new_model(), house.material.artifact()
    lie = house.metadata("1.0.0", digest=digest_of(b"something else"))
    body = refuses(house.upload(model, lie, artifact), 409, "integrity_failed")
    assert body["field"] == "digest"
    assert "again" in body["remedy"]
    assert not list(house.admin.models.versions(model))
    truth = house.metadata("1.0.0", digest=digest_of(artifact))
    assert house.upload(model, truth, artifact).status_code == 201


@pytest.mark.parametrize("digest", ["sha256:xyz", "md5:" + "0" * 32, "sha256:" + "A" * 64, "../x"])
def test_what_is_no_digest_is_refused(house: Any, refuses: Any, digest: str) -> None:
    model = house.new_model()
    answer = house.upload(model, house.metadata("1.0.0", digest=digest), b"\x08\x01")
    refuses(answer, 422, "invalid_input")


@pytest.mark.parametrize(
    "name",
    [
        "model\r\nX-Injected: 1.onnx",
        "\x1b[31mred\x1b[0m.onnx",
        "\u202exnno.ledom",
        "a" * 4096,
        "../../../../etc/cron.d/evil",
        "..",
        "model.onnx\x00.txt",
    ],
    ids=["newline", "ansi", "right-to-left", "4 kB", "climbing", "dots", "nul"],
)
def test_a_file_name_is_never_used(house: Any, name: str) -> None:
    model = house.new_model()
    chosen = {"blobs", "scratch"}  # where files come to lie, under names of our own

    def files() -> set[Path]:
        found = os.walk(house.control.home)  # what goes away meanwhile is passed over
        paths = {Path(folder) / name for folder, _, names in found for name in names}
        return {p for p in paths if not chosen & set(p.parts)}

    before = files()
    answer = house.upload(model, house.metadata("1.0.0"), house.material.artifact(), file_name=name)
    assert answer.status_code in (201, 422), answer.text
    assert "X-Injected" not in answer.headers
    new = files() - before
    assert not [p for p in new if "evil" in p.name or "onnx" in p.name]
    if answer.status_code == 201:
        with house.http("data_scientist") as http:
            got = http.get(f"/api/ml/model/download?model={model}&version=1.0.0&type=onnx")
        assert name not in got.headers["content-disposition"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "approved"),
        ("isSigned", True),
        ("is_signed", True),
        ("tenantId", "ua"),
        ("riskTier", 4),
        ("tier", 4),
        ("approvedBy", "me"),
        ("lifecycle", "production"),
        ("signature", "none"),
    ],
)
def test_a_field_that_nobody_may_set_is_refused(
    house: Any, refuses: Any, key: str, value: Any
) -> None:
    model = house.new_model()
    answer = house.upload(model, house.metadata("1.0.0", **{key: value}), b"x")
    body = refuses(answer, 422, "invalid_input")
    assert body["field"] == f"metadata.{key}"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '{"version": "1.0.0"}', "[" * 100_000],
    ids=["empty", "cut", "list", "null", "number", "partial", "deep"],
)
def test_metadata_that_is_no_object_of_ours_is_refused(house: Any, refuses: Any, text: str) -> None:
    model = house.new_model()
    with house.http("data_scientist") as http:
        answer = http.post(
            f"/api/v1/models/{model}/versions",
            data={"metadata": text},
            files={name: (name, b"x") for name in ("artifact", "reference", "holdout")},
        )
    body = refuses(answer, 422, "invalid_input")
    assert body["field"].startswith("metadata")


@pytest.mark.parametrize(
    "version", ["../1", "1.0", "v1.0.0", "1.0.0\r\nX: 1", "1.0.0 ", "01.0.0", "9" * 41, "१.0.0"]
)
def test_a_version_is_a_version_number(house: Any, refuses: Any, version: str) -> None:
    model = house.new_model()
    answer = house.upload(model, house.metadata(version), house.material.artifact())
    body = refuses(answer, 422, "invalid_input")
    assert "version" in body["field"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ('"training_metrics": {"accuracy": NaN}', "metadata.training_metrics.accuracy"),
        ('"training_metrics": {"accuracy": -Infinity}', "metadata.training_metrics.accuracy"),
        ('"training_metrics": {"accuracy": 1e999}', "metadata.training_metrics.accuracy"),
        ('"training_metrics": {"accuracy": 7.5}', "metadata.training_metrics"),
        ('"training_metrics": {"": 0.5}', "metadata.training_metrics"),
        ('"training_metrics": {"\\u202ef1": 0.5}', "metadata.training_metrics"),
        ('"training_metrics": {"two\\nlines": 0.5}', "metadata.training_metrics"),
        (
            f'"training_metrics": {json.dumps({f"m{n}": 0.5 for n in range(51)})}',
            "metadata.training_metrics",
        ),
        ('"lineage": {"rows": [1, NaN]}', "metadata.lineage.rows.1"),
        ('"lineage": {"rows": 1, "rows": 2}', "metadata.lineage.rows"),
        ('"lineage": {"note": "\\u0000"}', "metadata.lineage.note"),
        ('"lineage": {"note": "\\ud83d"}', "metadata.lineage.note"),
        ('"lineage": {"deep": ' + "[" * 500 + "]" * 500 + "}", "metadata.lineage.deep"),
        ('"cutoff": 0.9', "metadata.cutoff"),
        ('"cutoff": NaN', "metadata.cutoff"),
    ],
    ids=lambda value: value[:40],
)
def test_metadata_is_strict_json_with_finite_numbers(
    house: Any, refuses: Any, more: str, field: str
) -> None:
    """With files that are good in themselves, so that nothing else can be what is refused."""
    model = house.new_model()
    metadata = json.dumps(house.metadata("1.0.0"))[:-1] + f", {more}}}"
    with house.http("data_scientist") as http:
        answer = http.post(
            f"/api/v1/models/{model}/versions",
            data={"metadata": metadata},
            files={
                "artifact": ("m", house.material.artifact()),
                "reference": ("r", house.material.reference),
                "holdout": ("h", house.material.holdout),
            },
        )
    body = refuses(answer, 422, "invalid_input")
    assert body["field"].startswith(field)
    assert not list(house.admin.models.versions(model))


def test_a_file_that_is_sent_as_text_is_told_so(house: Any, refuses: Any) -> None:
    with house.http("data_scientist") as http:
        answer = http.post(
            f"/api/v1/models/{house.new_model()}/versions",
            data={"metadata": json.dumps(house.metadata("1.0.0")), "artifact": "bytes"},
            files={"reference": ("r", house.material.reference)},
        )
    body = refuses(answer, 422, "invalid_input")
    assert "artifact: This part is a file" in body["detail"]
    assert "UploadFile" not in answer.text


@pytest.mark.parametrize("part", ["notes", "metadata", "artifact"])
def test_a_part_that_is_unknown_or_stands_there_twice_is_refused(
    house: Any, refuses: Any, part: str
) -> None:
    model = house.new_model()
    metadata = json.dumps(house.metadata("1.0.0"))
    parts: list[tuple[str, tuple[str | None, bytes]]] = [
        ("metadata", (None, metadata.encode())),
        ("artifact", ("m", house.material.artifact())),
        ("reference", ("r", house.material.reference)),
        ("holdout", ("h", house.material.holdout)),
        (part, ("x", b"x")),
    ]
    with house.http("data_scientist") as http:
        answer = http.post(f"/api/v1/models/{model}/versions", files=parts)
    assert refuses(answer, 422, "invalid_input")["field"] == part
    assert not list(house.admin.models.versions(model))


@pytest.mark.parametrize("missing", ["artifact", "reference", "holdout", "metadata"])
def test_a_missing_file_is_named(house: Any, refuses: Any, missing: str) -> None:
    model = house.new_model()
    files = {
        "artifact": ("m", house.material.artifact()),
        "reference": ("r", house.material.reference),
        "holdout": ("h", house.material.holdout),
    }
    files.pop(missing, None)
    data = {} if missing == "metadata" else {"metadata": json.dumps(house.metadata("1.0.0"))}
    with house.http("data_scientist") as http:
        answer = http.post(f"/api/v1/models/{model}/versions", data=data, files=files)
    body = refuses(answer, 422, "invalid_input")
    assert body["field"] == missing
    assert not list(house.admin.models.versions(model))


@pytest.mark.parametrize("which", ["reference", "holdout"])
def test_data_that_is_not_parquet_or_lacks_a_column_is_refused(
    house: Any, refuses: Any, which: str
) -> None:
    model = house.new_model()
    for content in (b"", b"PAR1", b"a,b\n1,2\n"):
        files = {
            "artifact": ("m", house.material.artifact()),
            "reference": ("r", house.material.reference),
            "holdout": ("h", house.material.holdout),
        }
        files[which] = ("x", content)
        with house.http("data_scientist") as http:
            answer = http.post(
                f"/api/v1/models/{model}/versions",
                data={"metadata": json.dumps(house.metadata("1.0.0"))},
                files=files,
            )
        body = refuses(answer, 422, "invalid_input")
        assert body["field"] == which
        assert "Parquet" in body["remedy"]


@pytest.mark.parametrize("which", ["artifact", "reference", "holdout"])
def test_a_file_in_which_there_is_nothing_is_refused(house: Any, refuses: Any, which: str) -> None:
    model = house.new_model()
    table = pq.read_table(io.BytesIO(house.material.holdout))
    sink = io.BytesIO()
    pq.write_table(table.slice(0, 0), sink)
    files = {
        "artifact": ("m", house.material.artifact()),
        "reference": ("r", house.material.reference),
        "holdout": ("h", house.material.holdout),
    }
    files[which] = ("x", b"" if which == "artifact" else sink.getvalue())
    with house.http("data_scientist") as http:
        answer = http.post(
            f"/api/v1/models/{model}/versions",
            data={"metadata": json.dumps(house.metadata("1.0.0"))},
            files=files,
        )
    assert refuses(answer, 422, "invalid_input")["field"] == which
    assert not list(house.admin.models.versions(model))


def test_a_holdout_that_is_the_reference_is_refused(house: Any, refuses: Any) -> None:
    model = house.new_model()
    with house.http("data_scientist") as http:
        answer = http.post(
            f"/api/v1/models/{model}/versions",
            data={"metadata": json.dumps(house.metadata("1.0.0"))},
            files={
                "artifact": ("m", house.material.artifact()),
                "reference": ("r", house.material.reference),
                "holdout": ("h", house.material.reference),
            },
        )
    body = refuses(answer, 422, "invalid_input")
    assert body["field"] == "holdout"
    assert "kept from training" in body["remedy"]
    assert not list(house.admin.models.versions(model))


@pytest.mark.parametrize("parent", ["0.9.0", "1.0.0", "", "x"])
def test_a_parent_that_is_not_there_is_refused(house: Any, refuses: Any, parent: str) -> None:
    model = house.new_model()
    answer = house.upload(model, house.metadata("1.0.0", parent=parent), house.material.artifact())
    assert refuses(answer, 422, "invalid_input")["field"] == "parent"
    assert not list(house.admin.models.versions(model))


def test_a_parent_that_is_there_is_kept(house: Any) -> None:
    model = house.new_model()
    house.registered(model, "1.0.0")
    assert house.registered(model, "1.1.0", parent="1.0.0")["parent"] == "1.0.0"


def test_what_nobody_can_read_is_not_signed(house: Any) -> None:
    model = house.new_model()
    content = gzip.compress(b"cposix\nsystem\n(S'true'\ntR.")
    found = house.upload(model, house.metadata("1.0.0"), content).json()
    assert found["inspection"]["result"] == "unreadable"
    assert (found["signer"], found["is_signed"]) == (None, False)
    house.settle()
    assert house.admin.models.version(model, "1.0.0").lifecycle == "rejected"


def test_what_is_no_model_is_rejected_by_its_checks(house: Any) -> None:
    model = house.new_model()
    content = b"\x80\x04\x95cposix\nsystem\n(S'true'\ntR."
    answer = house.upload(model, house.metadata("1.0.0"), content)
    assert answer.status_code == 201, answer.text
    house.settle()
    assert house.admin.models.version(model, "1.0.0").lifecycle == "rejected"
    verdicts = {c.name: c.verdict for c in house.admin.models.checks(model, "1.0.0")}
    assert verdicts["security_scan"] == "fail"
