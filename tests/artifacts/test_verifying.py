"""Bundles written by hand from the format's description, right and wrong."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts.binding import Binding
from trimtab.artifacts.digest import sha256_of
from trimtab.artifacts.envelope import pre_authentication_encoding
from trimtab.artifacts.keys import key_id
from trimtab.artifacts.verifying import (
    MODEL_FILE,
    Expected,
    Trust,
    VerifiedArtifact,
    verify_artifact,
)
from trimtab.kernel.errors import IntegrityFailed, InvalidInput

LIMIT = 100_000
MODEL = b"the bytes of a model"
BINDING = Binding("fraud", "2.4.1", "acme", sha256_of(MODEL), sha256_of(b"reference"))
EXPECTED = Expected("fraud", "2.4.1", "acme")
FILES: dict[str, Path | bytes] = {"model.onnx": MODEL, "binding.json": BINDING.to_bytes()}
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
IDS = {key_id(k.public_key()): k.public_key() for k in (KEY, OTHER)}


def statement_about(files: dict[str, Path | bytes]) -> dict[str, Any]:
    resources = [
        {"name": name, "algorithm": "sha256", "digest": sha256_of(content)[7:]}
        for name, content in sorted(files.items())
    ]
    statement: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artifact", "digest": {"sha256": ""}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": resources,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        },
    }
    reroot(statement)
    return statement


def reroot(statement: Any) -> None:
    digests = (bytes.fromhex(r["digest"]) for r in statement["predicate"]["resources"])
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(digests)).hexdigest()


def signed(statement: dict[str, Any], *keys: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """The bundle around `statement` as JSON values, with one signature by each key."""
    payload = json.dumps(statement).encode()
    encoded = pre_authentication_encoding("application/vnd.in-toto+json", payload)
    signatures = [
        {
            "sig": base64.b64encode(key.sign(encoded, ec.ECDSA(SHA256()))).decode(),
            "keyid": key_id(key.public_key()),
        }
        for key in keys
    ]
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": {"hint": key_id(keys[0].public_key())},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": signatures,
        },
    }


BUNDLE = json.dumps(signed(statement_about(FILES), KEY)).encode()


def check(
    bundle: bytes, files: dict[str, Path | bytes] | None = None, min_signers: int = 1
) -> VerifiedArtifact:
    return verify_artifact(
        FILES if files is None else files,
        bundle,
        trust=Trust(IDS, min_signers=min_signers),
        expected=EXPECTED,
        max_metadata_bytes=LIMIT,
    )


def test_a_bundle_written_by_hand_verifies() -> None:
    assert check(BUNDLE).binding == BINDING


@pytest.mark.parametrize(("content", "whole"), [(MODEL, True), (MODEL + b"!", False)])
def test_a_file_that_the_caller_has_hashed_is_not_read_again(content: bytes, whole: bool) -> None:
    rest = {name: held for name, held in FILES.items() if name != MODEL_FILE}

    def look() -> VerifiedArtifact:
        return verify_artifact(
            rest,
            BUNDLE,
            trust=Trust(IDS),
            expected=EXPECTED,
            max_metadata_bytes=LIMIT,
            hashed={MODEL_FILE: sha256_of(content)},
        )

    if whole:
        assert look().binding == BINDING
    else:
        with pytest.raises(IntegrityFailed, match=r"changed: 'model\.onnx'"):
            look()


def test_two_keys_count_as_two_and_one_key_as_one() -> None:
    statement = statement_about(FILES)
    both = json.dumps(signed(statement, KEY, OTHER)).encode()
    assert set(check(both, min_signers=2).key_ids) == set(IDS)
    twice = json.dumps(signed(statement, KEY, KEY)).encode()
    with pytest.raises(IntegrityFailed, match="1 of 2"):
        check(twice, min_signers=2)


def test_a_second_signature_that_is_not_valid_is_no_ornament() -> None:
    parts = signed(statement_about(FILES), KEY, OTHER)
    parts["dsseEnvelope"]["signatures"][1]["sig"] = parts["dsseEnvelope"]["signatures"][0]["sig"]
    with pytest.raises(IntegrityFailed, match="not valid"):
        check(json.dumps(parts).encode())


def test_a_key_under_a_second_id_is_not_accepted() -> None:
    with pytest.raises(InvalidInput):
        Trust({"0" * 64: KEY.public_key()})
    with pytest.raises(InvalidInput):
        Trust({}, min_signers=0)
    weak = ec.generate_private_key(ec.SECP256K1()).public_key()
    with pytest.raises(InvalidInput):
        Trust({key_id(weak): weak})


def test_a_binding_beside_another_model_is_refused_though_both_are_signed() -> None:
    files: dict[str, Path | bytes] = {**FILES, "model.onnx": b"another"}
    with pytest.raises(IntegrityFailed, match="about another artifact"):
        check(json.dumps(signed(statement_about(files), KEY)).encode(), files)


def test_more_signed_files_are_part_of_the_artifact() -> None:
    files: dict[str, Path | bytes] = {**FILES, "card.md": b"# Fraud"}
    bundle = json.dumps(signed(statement_about(files), KEY)).encode()
    assert set(check(bundle, files).files) == set(files)
    with pytest.raises(IntegrityFailed, match=r"missing: 'card\.md'"):
        check(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": "application/vnd.dev.sigstore.bundle.v0.1+json"},
        {"verificationMaterial": {}},
        {"verificationMaterial": {"publicKey": {"hint": 7}}},
        {"dsseEnvelope": None},
        {"more": 1},
    ],
)
def test_bundles_of_another_kind_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailed):
        check(json.dumps({**json.loads(BUNDLE), **change}).encode())


@pytest.mark.parametrize("signatures", [[], {}, [None], [{"sig": 7}], [{"sig": "eA==", "a": 1}]])
def test_envelopes_without_a_proper_signature_are_refused(signatures: Any) -> None:
    parts = json.loads(BUNDLE)
    parts["dsseEnvelope"]["signatures"] = signatures
    with pytest.raises(IntegrityFailed):
        check(json.dumps(parts).encode())


def other_statement(statement: Any) -> None:
    statement["_type"] = "https://in-toto.io/Statement/v0.1"


def other_predicate(statement: Any) -> None:
    statement["predicateType"] = "https://slsa.dev/provenance/v1"


def ignoring(statement: Any) -> None:
    statement["predicate"]["serialization"]["ignore_paths"] = ["plugin.so"]


def following_links(statement: Any) -> None:
    statement["predicate"]["serialization"]["allow_symlinks"] = True


def in_shards(statement: Any) -> None:
    statement["predicate"]["serialization"]["method"] = "shards"


def listed_twice(statement: Any) -> None:
    statement["predicate"]["resources"] *= 2
    reroot(statement)


def without_binding(statement: Any) -> None:
    del statement["predicate"]["resources"][0]
    reroot(statement)


def wrong_root(statement: Any) -> None:
    statement["subject"][0]["digest"]["sha256"] = "0" * 64


def two_subjects(statement: Any) -> None:
    statement["subject"] *= 2


def other_hash(statement: Any) -> None:
    statement["predicate"]["resources"][0]["algorithm"] = "blake2b"


def no_digest(statement: Any) -> None:
    statement["predicate"]["resources"][0]["digest"] = "abc"


@pytest.mark.parametrize(
    "change",
    [
        other_statement,
        other_predicate,
        ignoring,
        following_links,
        in_shards,
        listed_twice,
        without_binding,
        wrong_root,
        two_subjects,
        other_hash,
        no_digest,
    ],
)
def test_a_well_signed_statement_of_another_kind_is_refused(
    change: Callable[[Any], None],
) -> None:
    statement = statement_about(FILES)
    change(statement)
    with pytest.raises(IntegrityFailed):
        check(json.dumps(signed(statement, KEY)).encode())


@given(st.data())
def test_no_flipped_bit_of_a_bundle_verifies_as_something_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BUNDLE) * 8 - 1))
    flipped = bytearray(BUNDLE)
    flipped[at // 8] ^= 1 << at % 8
    with contextlib.suppress(IntegrityFailed):
        assert check(bytes(flipped)).binding == BINDING
