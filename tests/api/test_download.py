"""Verified bytes or none: ranges, damaged blobs, foreign signatures, odd parameters."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from tests.databases import behind_our_back, opened_at

from trimtab.api import serving
from trimtab.artifacts import binding as bindings
from trimtab.artifacts.keys import load_public_key
from trimtab.artifacts.verifying import MODEL_FILE, Expected, Trust, verify_artifact

DOWNLOAD = "/api/ml/model/download"


@pytest.fixture(scope="module")
def stored(house: Any) -> dict[str, Any]:
    """A version whose bytes nobody damages."""
    model = house.new_model()
    artifact = house.material.artifact()
    found = house.upload(model, house.metadata("1.0.0"), artifact).json()
    return {**found, "bytes": artifact}


@pytest.fixture
def http(house: Any) -> Iterator[httpx.Client]:
    with house.http("data_scientist") as client:
        yield client


def query(stored: dict[str, Any], **more: str) -> dict[str, str]:
    return {"model": stored["model"], "version": stored["version"], "type": "onnx", **more}


def test_what_is_downloaded_is_what_was_handed_in(
    http: httpx.Client, stored: dict[str, Any]
) -> None:
    answer = http.get(DOWNLOAD, params=query(stored))
    assert answer.status_code == 200
    assert answer.content == stored["bytes"]
    digest = "sha256:" + hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["x-trimtab-digest"] == digest == stored["digest"]
    assert answer.headers["etag"] == f'"{digest}"'
    assert int(answer.headers["content-length"]) == len(stored["bytes"])


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=5-99999999999", 5, None),
        ("bytes=-99999999999", 0, None),
    ],
)
def test_one_range_is_answered_with_those_bytes(
    http: httpx.Client, stored: dict[str, Any], header: str, first: int, last: int | None
) -> None:
    answer = http.get(DOWNLOAD, params=query(stored), headers={"Range": header})
    assert answer.status_code == 206
    wanted = stored["bytes"][first : None if last is None else last + 1]
    assert answer.content == wanted
    size = len(stored["bytes"])
    start = first if first >= 0 else size + first
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(wanted) - 1}/{size}"


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(10_000)), 422, "invalid_input"),
        ("bytes=0-1,5-6", 422, "invalid_input"),
        ("bytes=0-10,5-20,0-30", 422, "invalid_input"),
        ("bytes=-", 422, "invalid_input"),
        ("bytes=--5", 422, "invalid_input"),
        ("bytes=a-b", 422, "invalid_input"),
        ("bits=0-1", 422, "invalid_input"),
        ("bytes=٣-٤", 422, "invalid_input"),
        ("bytes=9-3", 416, "range_not_satisfiable"),
        ("bytes=999999999-", 416, "range_not_satisfiable"),
        ("bytes=-0", 416, "range_not_satisfiable"),
    ],
)
def test_any_other_range_is_refused_at_once(
    http: httpx.Client, stored: dict[str, Any], refuses: Any, header: str, status: int, code: str
) -> None:
    started = time.perf_counter()
    answer = http.get(DOWNLOAD, params=query(stored), headers={b"Range": header.encode()})
    assert time.perf_counter() - started < 2
    body = refuses(answer, status, code)
    assert body["field"] == "Range"


def test_a_range_that_stands_twice_is_refused(
    http: httpx.Client, stored: dict[str, Any], refuses: Any
) -> None:
    twice = [("Range", "bytes=0-1"), ("Range", "bytes=5-6")]
    body = refuses(http.get(DOWNLOAD, params=query(stored), headers=twice), 422, "invalid_input")
    assert body["field"] == "Range"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([("X-Endpoint-Id", "a"), ("X-Endpoint-Id", "b")], "invalid_input"),
        ([("X-Endpoint-Id", "a b")], "invalid_input"),
        ([("X-Endpoint-Id", "x" * 257)], "invalid_input"),
        ([("X-Endpoint-Id", "")], "invalid_input"),
    ],
)
def test_an_endpoint_that_no_gateway_would_take_is_refused(
    http: httpx.Client, stored: dict[str, Any], refuses: Any, sent: list[tuple[str, str]], code: str
) -> None:
    answer = http.get("/api/ml/model/latest", params={"model": stored["model"]}, headers=sent)
    assert refuses(answer, 422, code)["field"] == "X-Endpoint-Id"


@pytest.mark.parametrize(
    ("etag", "status", "size"),
    [("{}", 206, 2), ('"{}"', 206, 2), ('W/"{}"', 200, None), ('"sha256:0"', 200, None)],
)
def test_a_range_of_other_bytes_is_answered_with_the_whole(
    http: httpx.Client, stored: dict[str, Any], etag: str, status: int, size: int | None
) -> None:
    known = http.get(DOWNLOAD, params=query(stored)).headers["etag"]
    named = known if etag == "{}" else etag.format(known.strip('"'))
    headers = {"Range": "bytes=0-1", "If-Range": named}
    answer = http.get(DOWNLOAD, params=query(stored), headers=headers)
    assert answer.status_code == status
    assert len(answer.content) == (size or len(stored["bytes"]))
    assert ("content-range" in answer.headers) == (status == 206)


def test_a_refused_range_says_how_large_the_file_is(
    http: httpx.Client, stored: dict[str, Any]
) -> None:
    answer = http.get(DOWNLOAD, params=query(stored), headers={"Range": "bytes=999999999-"})
    assert answer.headers["content-range"] == f"bytes */{len(stored['bytes'])}"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"version": "../1.0.0"}, "version"),
        ({"version": "1.0.0/../../x"}, "version"),
        ({"version": "1.0.0\r\nX-Injected: 1"}, "version"),
        ({"version": "\x00"}, "version"),
        ({"version": "9" * 50}, "version"),
        ({"type": "pkl"}, "type"),
        ({"type": "onnx\n"}, "type"),
        ({"model": "../../etc"}, "model"),
        ({"model": "x\r\nSet-Cookie: a=b"}, "model"),
        ({"model": "m" * 64}, "model"),
    ],
)
def test_odd_parameters_are_refused_and_named(
    http: httpx.Client, stored: dict[str, Any], parameters: dict[str, str], field: str
) -> None:
    answer = http.get(DOWNLOAD, params=query(stored, **parameters))
    assert answer.status_code in (404, 422), answer.text
    body = answer.json()
    assert body["field"] == field
    assert body["remedy"]
    assert not {"x-injected", "set-cookie"} & set(answer.headers)
    assert "\\x" not in body["detail"] or "\r" not in body["detail"]


def test_a_parameter_that_is_missing_is_named(http: httpx.Client, refuses: Any) -> None:
    body = refuses(http.get(DOWNLOAD, params={"model": "x"}), 422, "invalid_input")
    assert body["field"] == "version"


def flipped(path: Path) -> None:
    """One bit of a stored blob is not what it was."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    os.chmod(path, 0o600)
    path.write_bytes(content)


def test_damaged_bytes_never_leave(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    flipped(house.blob(version["digest"]))
    for headers in ({}, {"Range": "bytes=0-0"}):
        with house.http("data_scientist") as http:
            answer = http.get(DOWNLOAD, params=query(version), headers=headers)
        if not headers:
            body = refuses(answer, 409, "integrity_failed")
            assert "quarantined" in body["remedy"]
        else:
            refuses(answer, 404, "not_found")
    found = house.admin.models.version(version["model"], "1.0.0")
    assert found.lifecycle == "quarantined"
    assert not house.blob(version["digest"]).exists()
    moves = list(house.people["auditor"].audit.entries(ref=version["id"]))
    assert moves[-1].data is not None
    assert moves[-1].data["after"] == "quarantined"
    assert "artifact.downloaded" not in {entry.kind for entry in moves}


def test_a_blob_that_has_gone_is_a_damage_too(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    path = house.blob(version["digest"])
    path.unlink()
    with house.http("data_scientist") as http:
        refuses(http.get(DOWNLOAD, params=query(version)), 409, "integrity_failed")
    assert house.admin.models.version(version["model"], "1.0.0").lifecycle == "quarantined"


def rewritten(house: Any, version: dict[str, Any], **columns: str) -> None:
    """Change a version's row behind the back of everybody, as a thief of the database would."""
    with behind_our_back(opened_at(house.control.home)) as connection:
        sets = ", ".join(f"{name} = :{name}" for name in columns)
        connection.execute(
            sa.text(f"UPDATE versions SET {sets} WHERE id = :version"),
            {**columns, "version": version["id"]},
        )


@pytest.mark.slow
@pytest.mark.parametrize("other", ["another model", "another version", "another tenant"])
def test_a_signature_of_something_else_is_refused(house: Any, refuses: Any, other: str) -> None:
    artifact = house.material.artifact()
    model = house.new_model()
    version = house.upload(model, house.metadata("1.0.0"), artifact).json()
    donor_model = house.new_model() if other == "another model" else model
    donor_version = "1.0.0" if other == "another model" else "2.0.0"
    more = {"tenant": "aa"} if other == "another tenant" else {}
    donor = house.upload(donor_model, house.metadata(donor_version, **more), artifact).json()
    assert donor["digest"] == version["digest"]
    house.settle()

    taken = house.people["data_scientist"].models.signature(donor_model, donor_version)
    rewritten(house, version, signature=taken.bundle, binding=taken.binding)
    with house.http("data_scientist") as http:
        refuses(http.get(DOWNLOAD, params=query(version)), 409, "integrity_failed")
    assert house.admin.models.version(model, "1.0.0").lifecycle == "quarantined"


def test_the_signature_can_be_verified_elsewhere(
    house: Any, http: httpx.Client, stored: dict[str, Any], tmp_path: Path
) -> None:
    path = f"/api/v1/models/{stored['model']}/versions/1.0.0/signature"
    signature = http.get(path).json()
    pem = (house.control.home / "keys" / "artifacts.pub.pem").read_bytes()
    key = load_public_key(pem)
    assert isinstance(key, EllipticCurvePublicKey)
    file = tmp_path / "model"
    file.write_bytes(stored["bytes"])
    binding = signature["binding"].encode()
    files: dict[str, Any] = {MODEL_FILE: file, bindings.FILE_NAME: binding}
    expected = Expected(stored["model"], "1.0.0", None, stored["digest"])
    trust = Trust({stored["signer"]: key})
    bundle = signature["bundle"].encode()

    def verify(files: dict[str, Any]) -> None:
        verify_artifact(files, bundle, trust=trust, expected=expected, max_metadata_bytes=1 << 20)

    verify(files)
    json.loads(binding)


# --- who only serves ----------------------------------------------------------------


@pytest.mark.parametrize("who", ["endpoint", "endpoint-aa", "gateway"])
def test_what_is_not_deployed_is_not_given_to_who_only_serves(
    house: Any, refuses: Any, stored: dict[str, Any], who: str
) -> None:
    signature = f"/api/v1/models/{stored['model']}/versions/1.0.0/signature"
    with house.http(who) as http:
        for answer in (http.get(DOWNLOAD, params=query(stored)), http.get(signature)):
            body = refuses(answer, 403, "not_permitted")
            assert body["field"] == "version"
            assert "latest" in body["remedy"]
    entries = house.people["auditor"].audit.entries(ref=stored["id"])
    assert "svc" not in {e.actor[:3] for e in entries if e.kind == "artifact.downloaded"}


@pytest.mark.slow
def test_a_canary_is_given_to_who_serves_and_a_version_beside_it_is_not(house: Any) -> None:
    version = house.approved(house.new_model())
    waiting = house.registered(version["model"], "1.1.0")
    house.settle()
    for who in ("endpoint", "endpoint-aa", "gateway"):
        with house.http(who) as http:
            assert http.get(DOWNLOAD, params=query(version)).status_code == 200
            assert http.get(DOWNLOAD, params=query(waiting)).status_code == 403


def test_what_the_machine_has_dropped_is_read_from_the_disk(tmp_path: Path) -> None:
    """The loop copies what is at hand; for the rest it waits in a thread, and misses nothing."""
    content = os.urandom(3_000_000)
    (tmp_path / "blob").write_bytes(content)

    async def taken(first: int, last: int, drop: bool) -> bytes:
        found = b""
        with (tmp_path / "blob").open("rb") as file:
            os.fsync(file.fileno())
            async for piece in serving._pieces(file, first, last):
                found += piece
                if drop:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return found

    last = len(content) - 1
    for drop in (False, True):
        assert anyio.run(taken, 0, last, drop) == content
        assert anyio.run(taken, 700_000, 1_500_000, drop) == content[700_000:1_500_001]
        assert anyio.run(taken, last, last, drop) == content[-1:]
    (tmp_path / "blob").write_bytes(content[:1_000_000])
    assert anyio.run(taken, 0, last, False) == content[:1_000_000], "and ends, where it is cut"
