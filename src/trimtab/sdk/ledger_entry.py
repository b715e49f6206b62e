"""Reading one entry of the ledger, strictly: two readers must never see two things."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from trimtab.sdk.ledger_report import Code, shown

VERSION = 1
SALT_BYTES = 16

_MEMBERS = (
    "actor",
    "at",
    "kind",
    "payload_digest",
    "sequence",
    "tenant",
    "tenant_sequence",
    "v",
)
_PAYLOAD_MEMBERS = frozenset({"subject", "reason", "cause", "data"})

# The grammar of a canonical header, so that one match proves form, order and uniqueness of
# all members. Possessive throughout: hostile text costs one pass, never a backtrack.
_STRING = (
    r'"(?:[^"\\\x00-\x1f\ud800-\udfff]++'
    r'|\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f])))++"'
)
_NUMBER = r"[1-9][0-9]{0,17}+"
_MOMENT = r"[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
_HEADER = re.compile(
    rf'\{{"actor":{_STRING},"at":"({_MOMENT})","kind":{_STRING},'
    rf'"payload_digest":"sha256:([0-9a-f]{{64}})","sequence":({_NUMBER}),'
    rf'"tenant":(null|{_STRING}),"tenant_sequence":({_NUMBER}),"v":1\}}'
)


class Header(NamedTuple):
    """What the verifier needs of a header that was read."""

    at: str
    payload_digest: bytes
    sequence: int
    tenant: str  # as it is spelled in JSON: null or a quoted string
    tenant_sequence: int


@dataclass(frozen=True)
class Fault:
    """Why something could not be accepted."""

    code: Code
    what: str


class _KeyTwice(ValueError):
    """A JSON object names a member twice; readers differ in which one they believe."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _KeyTwice("a key occurs twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def strict_json(raw: bytes) -> Any:
    """The JSON value of UTF-8 bytes, if no object in it has a key twice.

    Raises:
        ValueError: anything else, whatever is wrong with it: also texts nested deeper or
            numbers longer than the interpreter will read.
    """
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_header(raw: bytes) -> Header | Fault:
    """The header in these bytes, or why they are none of version 1."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Fault(Code.HEADER_MALFORMED, "the header is not UTF-8")
    match = _HEADER.fullmatch(text)
    if match is None:
        return _explain(raw)
    at, digest, sequence, tenant, tenant_sequence = match.groups()
    try:
        datetime.fromisoformat(at)
    except ValueError:
        return Fault(Code.HEADER_MALFORMED, f"{at} is not in the calendar")
    return Header(at, bytes.fromhex(digest), int(sequence), tenant, int(tenant_sequence))


def _explain(raw: bytes) -> Fault:
    """Why `raw` is not a canonical header; it is known not to be one."""
    try:
        header = strict_json(raw)
    except _KeyTwice:
        return Fault(Code.HEADER_MALFORMED, "the header has a key twice")
    except ValueError:
        return Fault(Code.HEADER_MALFORMED, "the header is not JSON")
    if not isinstance(header, dict):
        return Fault(Code.HEADER_MALFORMED, "the header is not an object")
    version = header.get("v")
    if "v" in header and (version != VERSION or type(version) is not int):
        return Fault(
            Code.UNKNOWN_VERSION,
            f"the header has version {shown(str(version))}; this verifier knows {VERSION}",
        )
    for name in _MEMBERS:
        if name not in header:
            return Fault(Code.HEADER_MALFORMED, f"the header has no {name}")
    if len(header) != len(_MEMBERS):
        extra = min(set(header) - set(_MEMBERS))
        return Fault(Code.HEADER_MALFORMED, f"the header has a member {shown(extra)}")
    return Fault(Code.HEADER_MALFORMED, "the header is not canonical, or a value is not allowed")


def check_payload(payload: bytes, salt: bytes | None, header: Header) -> Fault | None:
    """What is wrong with a payload that was not blanked, as the entry of `header`."""
    if salt is None:
        return Fault(Code.PAYLOAD_UNVERIFIABLE, "the payload has no salt")
    if len(salt) != SALT_BYTES:
        return Fault(Code.PAYLOAD_UNVERIFIABLE, f"the salt has {len(salt)} bytes, not {SALT_BYTES}")
    if sha256(salt + payload).digest() != header.payload_digest:
        return Fault(Code.PAYLOAD_MISMATCH, "payload and salt do not have the digest in the header")
    # Only now the form: of a payload that was swapped, the form is nobody's.
    try:
        value = strict_json(payload)
    except _KeyTwice:
        return Fault(Code.PAYLOAD_MALFORMED, "the payload has a key twice")
    except ValueError:
        return Fault(Code.PAYLOAD_MALFORMED, "the payload is not JSON")
    return _check_members(value, header.sequence)


def _check_members(value: object, sequence: int) -> Fault | None:
    if not isinstance(value, dict) or value.keys() != _PAYLOAD_MEMBERS:
        return Fault(Code.PAYLOAD_MALFORMED, "the payload is not subject, reason, cause and data")
    cause = value["cause"]
    if cause is not None and not (type(cause) is int and 1 <= cause < sequence):
        return Fault(Code.PAYLOAD_MALFORMED, "the cause is not an earlier entry")
    if not (
        isinstance(value["subject"], str)
        and isinstance(value["reason"], str | None)
        and isinstance(value["data"], dict)
    ):
        return Fault(
            Code.PAYLOAD_MALFORMED, "subject, reason or data is of another type than allowed"
        )
    return None
