"""Reading an export of the ledger, line by line; what cannot be read is a finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from trimtab.kernel.errors import InvalidInput
from trimtab.sdk.checkpoint import Checkpoint, VerifierKey, from_base64
from trimtab.sdk.ledger_entry import strict_json
from trimtab.sdk.ledger_heads import NamedHead
from trimtab.sdk.ledger_report import Code, Collector, shown
from trimtab.sdk.ledger_walk import Entry

FORMAT = "trimtab-ledger-export/1"

_FIRST_LINE = frozenset({"format", "origin", "tenant", "scope", "verifier_key", "head"})
_ENTRY = frozenset({"header", "salt", "payload"})
_ENTRY_WITH_PROOF = _ENTRY | {"proof"}


@dataclass(frozen=True)
class Preamble:
    """The first line of an export.

    `tenant` is spelled as in a header: `null` or a quoted string. `key` and `head` are
    None when they cannot be read.
    """

    origin: str
    tenant: str
    one_tenant: bool
    key: VerifierKey | None
    head: NamedHead | None


class Line(NamedTuple):
    """One line of the file, counted from 1."""

    number: int
    raw: bytes


def read_lines(file: BinaryIO, max_bytes: int, collector: Collector) -> Iterator[Line]:
    """The lines of the file; one that is longer than `max_bytes` is a finding and the end."""
    number = 0
    while raw := file.readline(max_bytes + 1):
        number += 1
        if len(raw) > max_bytes:
            what = f"longer than {max_bytes} bytes; nothing was read from here on"
            collector.find(Code.LINE_UNREADABLE, what, line=number)
            return
        yield Line(number, raw)


def read_preamble(line: Line | None, collector: Collector) -> Preamble | None:
    """Read the first line; None when the lines after it have no known meaning."""
    try:
        value: Any = strict_json(line.raw) if line else None
    except ValueError as error:
        collector.find(Code.EXPORT_UNREADABLE, f"the first line is not JSON: {error}", line=1)
        return None
    if isinstance(value, dict) and value.get("format", FORMAT) != FORMAT:
        what = f"unknown format {shown(str(value['format']))}"
        collector.find(Code.UNKNOWN_FORMAT, what, line=1)
        return None
    refused = _refused(value)
    if refused is not None:
        collector.find(Code.EXPORT_UNREADABLE, refused, line=1)
        return None
    key = head = None
    try:
        key = VerifierKey.parse(value["verifier_key"])
    except InvalidInput as error:
        collector.find(Code.EXPORT_UNREADABLE, f"verifier_key: {error.message}", line=1)
    try:
        head = NamedHead("the head of the export", Checkpoint.parse(value["head"]), line=1)
    except InvalidInput as error:
        collector.find(Code.HEAD_UNREADABLE, error.message, line=1)
    tenant = json.dumps(value["tenant"], ensure_ascii=False)
    return Preamble(value["origin"], tenant, value["scope"] == "tenant", key, head)


def _refused(value: Any) -> str | None:
    if not isinstance(value, dict) or value.keys() != _FIRST_LINE:
        return "the first line is not that of an export, or has not its very members"
    texts = [value[name] for name in ("origin", "verifier_key", "head")]
    if not all(isinstance(text, str) for text in texts):
        return "origin, verifier_key or head is not text"
    tenant, scope = value["tenant"], value["scope"]
    if not isinstance(tenant, str | None):
        return "the tenant is neither text nor null"
    if scope != "tenant" and not (scope == "all" and tenant is None):
        return "the scope is neither tenant, nor all with no tenant"
    return None


def read_entry(
    line: Line, collector: Collector, *, with_proof: bool
) -> tuple[Entry, list[bytes]] | None:
    """Read an entry and its inclusion proof, which is empty unless there must be one."""
    try:
        value = strict_json(line.raw)
        members = _ENTRY_WITH_PROOF if with_proof else _ENTRY
        if not isinstance(value, dict) or value.keys() - {"leaf"} != members:
            raise ValueError("it has not the members of one")
        salt, payload, leaf = value["salt"], value["payload"], value.get("leaf")
        entry = Entry(
            _text(value["header"]).encode(),
            None if salt is None else from_base64(_text(salt)),
            None if payload is None else _text(payload).encode(),
            None if leaf is None else from_base64(_text(leaf)),
        )
        proof = value.get("proof", [])
        if not isinstance(proof, list):
            raise ValueError("the proof is not a list")
        siblings = [from_base64(_text(sibling)) for sibling in proof]
    except ValueError as error:
        collector.find(Code.LINE_UNREADABLE, f"not an entry: {error}", line=line.number)
        return None
    return entry, siblings


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a member is not text")
    return value
