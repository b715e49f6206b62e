"""One entry: the grammar of its header, and what a payload must be."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.sdk.ledger_entry import Fault, Header, check_payload, read_header
from trimtab.sdk.ledger_report import Code

HEADER: dict[str, Any] = {
    "actor": "usr_4h2k",
    "at": "2015-07-01T00:00:00.000000Z",
    "kind": "rollout.rolled_back",
    "payload_digest": "sha256:" + "0f" * 32,
    "sequence": 4711,
    "tenant": "aa",
    "tenant_sequence": 12,
    "v": 1,
}
PAYLOAD: dict[str, Any] = {"subject": "ro_1", "reason": None, "cause": 4710, "data": {}}
SALT = bytes(16)


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def code_of(raw: bytes) -> Code | None:
    read = read_header(raw)
    return read.code if isinstance(read, Fault) else None


def test_a_header_is_read() -> None:
    assert read_header(canonical(HEADER)) == Header(
        "2015-07-01T00:00:00.000000Z", bytes.fromhex("0f" * 32), 4711, '"aa"', 12
    )
    fleet = read_header(canonical(HEADER | {"tenant": None}))
    assert isinstance(fleet, Header)
    assert fleet.tenant == "null"


@given(text=st.text(min_size=1), number=st.integers(1, 10**18 - 1))
@settings(max_examples=300, deadline=None)
def test_every_canonical_header_is_read(text: str, number: int) -> None:
    header = HEADER | {"actor": text, "kind": text, "tenant": text, "sequence": number}
    read = read_header(canonical(header))
    assert isinstance(read, Header)
    assert (json.loads(read.tenant), read.sequence) == (text, number)


@given(text=st.text(min_size=1))
@settings(max_examples=300, deadline=None)
def test_a_header_that_is_spelled_otherwise_is_not(text: str) -> None:
    spelled = json.dumps(HEADER | {"actor": text}, sort_keys=True, separators=(",", ":")).encode()
    same = spelled == canonical(HEADER | {"actor": text})
    assert (code_of(spelled) is None) == same


@pytest.mark.parametrize(
    "change",
    [
        {"actor": ""},
        {"actor": None},
        {"kind": 5},
        {"tenant": ""},
        {"tenant": 0},
        {"sequence": 0},
        {"sequence": -1},
        {"sequence": 1.0},
        {"sequence": True},
        {"sequence": "1"},
        {"sequence": 10**18},
        {"tenant_sequence": 0},
        {"tenant_sequence": None},
        {"at": "2015-07-01T00:00:00Z"},
        {"at": "2015-07-01T00:00:00.000000+00:00"},
        {"at": "2015-02-30T00:00:00.000000Z"},
        {"at": "0000-01-01T00:00:00.000000Z"},
        {"at": "2015-07-01T24:00:00.000000Z"},
        {"at": "2015-07-01T23:59:60.000000Z"},
        {"payload_digest": "sha256:" + "0F" * 32},
        {"payload_digest": "sha512:" + "0f" * 32},
        {"payload_digest": "sha256:" + "0f" * 31},
        {"extra": 1},
    ],
)
def test_a_value_that_is_not_allowed(change: dict[str, Any]) -> None:
    assert code_of(canonical(HEADER | change)) is Code.HEADER_MALFORMED


@pytest.mark.parametrize("member", sorted(HEADER))
def test_a_member_that_is_missing(member: str) -> None:
    read = read_header(canonical({name: HEADER[name] for name in HEADER if name != member}))
    assert isinstance(read, Fault)
    assert (read.code, read.what) == (Code.HEADER_MALFORMED, f"the header has no {member}")


def test_a_form_that_is_not_canonical() -> None:
    good = canonical(HEADER)
    for raw in (
        good + b"\n",
        b" " + good,
        b"\xef\xbb\xbf" + good,
        good.replace(b":", b": "),
        good.replace(b'"aa"', b'"a\\u0061"'),
        good.replace(b'"aa"', b'"a\\/"'),
        good.replace(b'"aa"', b'"\\ud800"'),
        good.replace(b'"aa"', b'"\\u001F"'),
        good.replace(b'"aa"', b'"\\u000a"'),
        good.replace(b'"aa"', b'"a\na"'),
        good.replace(b'"aa"', b'"\xff"'),
        good.replace(b"4711", b"04711"),
        good.replace(b"4711", "４７１１".encode()),
        json.dumps(HEADER, separators=(",", ":")).encode()[:-1],
        b"[]",
        b"",
        b"[" * 100_000,
    ):
        assert code_of(raw) is Code.HEADER_MALFORMED, raw[:80]


def test_a_key_twice_is_named() -> None:
    for raw in (
        canonical(HEADER).replace(b'"tenant":', b'"tenant":"bb","tenant":'),
        canonical(HEADER).replace(b'"v":1', b'"v":1,"v":1'),
    ):
        read = read_header(raw)
        assert isinstance(read, Fault)
        assert read.what == "the header has a key twice"


def test_hostile_text_costs_one_pass() -> None:
    raw = canonical(HEADER | {"actor": 'a\\"' * 500_000}) + b"!"
    assert code_of(raw) is Code.HEADER_MALFORMED


def fault(payload: bytes, salt: bytes | None = SALT) -> Code | None:
    digest = sha256((salt or b"") + payload).digest()
    found = check_payload(payload, salt, Header("", digest, 4711, "null", 1))
    return found.code if found else None


def test_a_payload_is_accepted_with_its_salt_only() -> None:
    payload = canonical(PAYLOAD)
    assert fault(payload) is None
    assert fault(payload, None) is Code.PAYLOAD_UNVERIFIABLE
    assert fault(payload, b"") is Code.PAYLOAD_UNVERIFIABLE
    assert fault(payload, bytes(15)) is Code.PAYLOAD_UNVERIFIABLE
    # 17 bytes of salt would hash like 16 and a payload with one byte more in front.
    assert fault(payload, bytes(17)) is Code.PAYLOAD_UNVERIFIABLE
    header = Header("", sha256(payload + SALT).digest(), 4711, "null", 1)
    found = check_payload(payload, SALT, header)
    assert found is not None
    assert found.code is Code.PAYLOAD_MISMATCH


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        canonical(PAYLOAD | {"more": 1}),
        canonical(PAYLOAD | {"subject": None}),
        canonical(PAYLOAD | {"reason": 5}),
        canonical(PAYLOAD | {"data": []}),
        canonical(PAYLOAD | {"cause": 0}),
        canonical(PAYLOAD | {"cause": 4711}),
        canonical(PAYLOAD | {"cause": "4710"}),
        canonical(PAYLOAD | {"cause": 4710.0}),
        canonical(PAYLOAD | {"cause": True}),
        canonical(PAYLOAD | {"data": {"x": float("nan")}}),
        canonical(PAYLOAD | {"data": {"x": float("inf")}}),
        canonical(PAYLOAD).replace(b'"subject"', b'"subject":"ro_2","subject"'),
        canonical(PAYLOAD).replace(b'"data":{}', b'"data":{"x":[{"y":1,"y":2}]}'),
    ],
)
def test_a_payload_that_two_readers_could_read_in_two_ways(payload: bytes) -> None:
    assert fault(payload) is Code.PAYLOAD_MALFORMED


def test_the_first_entry_has_no_cause() -> None:
    payload = canonical(PAYLOAD | {"cause": 1})
    header = Header("", sha256(SALT + payload).digest(), 1, "null", 1)
    found = check_payload(payload, SALT, header)
    assert found is not None
    assert found.code is Code.PAYLOAD_MALFORMED
