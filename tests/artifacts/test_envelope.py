from __future__ import annotations

import base64
import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts.envelope import (
    key_id,
    load_or_create_key,
    open_sealed,
    pre_authentication_encoding,
    public_pem,
    seal,
)
from trimtab.artifacts.keys import load_or_create_signing_key, load_public_key
from trimtab.kernel.errors import IntegrityFailed, InvalidInput

KIND = "application/vnd.example.permit.v1+json"
KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
LIMIT = 10_000


def opened(envelope: bytes, kind: str = KIND) -> bytes:
    return open_sealed(envelope, kind, TRUSTED, max_bytes=LIMIT)


def changed(envelope: bytes, **members: Any) -> bytes:
    return json.dumps({**json.loads(envelope), **members}).encode()


def test_the_encoding_is_that_of_the_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_the_signature_printed_in_the_specification_is_over_our_encoding() -> None:
    public = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    ).public_key()
    raw = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    halves = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    public.verify(utils.encode_dss_signature(*halves), encoded, ec.ECDSA(SHA256()))


def test_lengths_are_counted_in_bytes() -> None:
    assert pre_authentication_encoding("é", b"") == "DSSEv1 2 é 0 ".encode()


@given(st.binary(max_size=300))
def test_what_was_sealed_comes_out(payload: bytes) -> None:
    assert opened(seal(payload, KIND, KEY)) == payload


def test_sealing_twice_gives_the_same_bytes() -> None:
    assert seal(b"x", KIND, KEY) == seal(b"x", KIND, KEY)


def test_another_type_is_refused() -> None:
    with pytest.raises(IntegrityFailed, match="does not hold"):
        opened(seal(b"x", "application/other", KEY))


def test_a_type_written_over_is_refused() -> None:
    with pytest.raises(IntegrityFailed, match="not valid"):
        opened(changed(seal(b"x", "application/other", KEY), payloadType=KIND))


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(IntegrityFailed, match="no trusted key"):
        opened(seal(b"x", KIND, OTHER))


def test_an_unknown_key_under_a_trusted_id_is_refused() -> None:
    envelope = json.loads(seal(b"x", KIND, OTHER))
    envelope["signatures"][0]["keyid"] = key_id(KEY.public_key())
    with pytest.raises(IntegrityFailed, match="not valid"):
        opened(json.dumps(envelope).encode())


def test_a_second_signature_by_a_stranger_neither_helps_nor_hurts() -> None:
    ours, theirs = json.loads(seal(b"x", KIND, KEY)), json.loads(seal(b"x", KIND, OTHER))
    ours["signatures"] += theirs["signatures"]
    assert opened(json.dumps(ours).encode()) == b"x"


def test_any_changed_byte_of_the_payload_is_refused() -> None:
    envelope = seal(b"weight=10", KIND, KEY)
    with pytest.raises(IntegrityFailed):
        opened(changed(envelope, payload=base64.b64encode(b"weight=90").decode()))


@given(st.data())
def test_no_flipped_bit_of_an_envelope_gives_another_payload(data: st.DataObject) -> None:
    envelope = bytearray(seal(b"weight=10", KIND, KEY))
    at = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[at // 8] ^= 1 << at % 8
    with contextlib.suppress(IntegrityFailed):
        assert opened(bytes(envelope)) == b"weight=10"


def test_too_long_is_refused_unread() -> None:
    with pytest.raises(IntegrityFailed, match="more than"):
        opened(b" " * (LIMIT + 1))


def test_a_key_that_occurs_twice_is_refused() -> None:
    envelope = seal(b"x", KIND, KEY)
    with pytest.raises(IntegrityFailed, match="strict JSON"):
        opened(b'{"payload":"eA==",' + envelope[1:])


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"payload":NaN}',
        b"[" * 5000,
        b"1" * 5000,
        changed(seal(b"x", KIND, KEY), signatures=[]),
        changed(seal(b"x", KIND, KEY), signatures={}),
        changed(seal(b"x", KIND, KEY), signatures=[None]),
        changed(seal(b"x", KIND, KEY), signatures=[{"keyid": ["x"], "sig": "eA=="}]),
        changed(seal(b"x", KIND, KEY), payload=7),
        changed(seal(b"x", KIND, KEY), payload="eA"),
        changed(seal(b"x", KIND, KEY), payload="eB=="),
        changed(seal(b"x", KIND, KEY), payload="e A=="),
        changed(seal(b"x", KIND, KEY), more=1),
    ],
)
def test_malformed_envelopes_are_refused(envelope: bytes) -> None:
    with pytest.raises(IntegrityFailed):
        opened(envelope)


def test_both_alphabets_of_base64_are_read() -> None:
    envelope = json.loads(seal(b"\xfb\xff", KIND, KEY))
    envelope["payload"] = envelope["payload"].replace("+", "-").replace("/", "_")
    assert opened(json.dumps(envelope).encode()) == b"\xfb\xff"


def test_a_key_is_trusted_under_its_own_id_only() -> None:
    with pytest.raises(InvalidInput, match="own id"):
        open_sealed(seal(b"x", KIND, KEY), KIND, {"mine": KEY.public_key()}, max_bytes=LIMIT)


def test_a_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    first, second = load_or_create_key(path), load_or_create_key(path)
    assert public_pem(first.public_key()) == public_pem(second.public_key())
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1
    assert [p.name for p in tmp_path.iterdir()] == ["key.pem"]
    assert load_public_key(public_pem(first.public_key())) == first.public_key()


def test_many_who_make_a_key_at_once_get_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_or_create_key, [path] * 16))
    assert len({key_id(key.public_key()) for key in keys}) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match="others") as refused:
        load_or_create_key(path)
    assert refused.value.remedy is not None
    assert "chmod 600" in refused.value.remedy


def test_unfit_key_files_are_refused(tmp_path: Path) -> None:
    load_or_create_key(tmp_path / "key.pem")
    (tmp_path / "link.pem").symlink_to(tmp_path / "key.pem")
    (tmp_path / "dangling.pem").symlink_to(tmp_path / "nothing")
    load_or_create_signing_key(tmp_path / "curve.pem")
    (tmp_path / "text.pem").write_text("no key")
    (tmp_path / "text.pem").chmod(0o600)
    os.mkfifo(tmp_path / "pipe.pem", 0o600)
    for name in ("link", "dangling", "curve", "text", "pipe"):
        with pytest.raises(InvalidInput):
            load_or_create_key(tmp_path / f"{name}.pem")
    with pytest.raises(InvalidInput):
        load_or_create_signing_key(tmp_path / "key.pem")


def test_other_public_keys_are_refused() -> None:
    with pytest.raises(InvalidInput):
        load_public_key(b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")
