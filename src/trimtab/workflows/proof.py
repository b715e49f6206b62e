"""Proving the record: the live verification, and exports for verifiers elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.audit import ledger
from trimtab.audit.heads import read_note
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.ids import TenantId
from trimtab.sdk.checkpoint import Checkpoint
from trimtab.sdk.ledger import Entry, Finding, verify_entries
from trimtab.workflows.parts import Parts

FORMAT = "trimtab-ledger-export/1"


@dataclass(frozen=True)
class Verification:
    """What the independent verifier says of the live ledger."""

    ok: bool
    entries: int
    blanked: int
    root: str | None
    head: str
    findings: tuple[Finding, ...]
    findings_total: int


@dataclass(frozen=True)
class Verified:
    """The last verification that this process was asked for, by whom, and when in real time."""

    at: datetime
    by: str
    result: Verification


def verify(parts: Parts, *, known_heads: Sequence[str] = ()) -> Verification:
    """Walk the live ledger with the independent verifier, against every published head, and
    against `known_heads`, texts of notes that somebody has kept elsewhere.

    Where the ledger does not continue what was published, no head is signed for it: that
    would publish the wrong history beside the right one.
    """
    try:
        parts.heads.confirm()
        head = parts.heads.sign()
        size: int | None = read_note(head)[0]
    except IntegrityFailed:
        head, size = parts.heads.published()[-1], None
    signer = parts.heads.signer
    texts = [*parts.heads.published(), *known_heads]
    heads = [Checkpoint.parse(text, field="head") for text in texts]
    with parts.records.look() as reading:
        rows = (
            Entry(header, salt, payload, leaf)
            for sequence, header, salt, payload, leaf in ledger.stored(reading.connection)
            if size is None or sequence <= size
        )
        report = verify_entries(rows, heads, key=signer.verifier_key, origin=signer.origin)
    if not report.ok:
        parts.metrics.integrity_failures.labels("ledger").inc()
    return Verification(
        ok=report.ok,
        entries=report.entries,
        blanked=report.blanked,
        root=None if report.root is None else report.root.hex(),
        head=head,
        findings=tuple(report.findings),
        findings_total=report.findings_total,
    )


def export(parts: Parts, tenant: TenantId | None) -> Iterator[str]:
    """The ledger as JSON Lines; see docs/reference/ledger.md for the format.

    Args:
        tenant: Whose entries, each with an inclusion proof; None for all of them.
    """
    head = parts.heads.sign()
    size, _root = read_note(head)
    yield _line(
        {
            "format": FORMAT,
            "origin": parts.heads.signer.origin,
            "tenant": tenant,
            "scope": "all" if tenant is None else "tenant",
            "verifier_key": parts.heads.signer.verifier_key,
            "head": head,
        }
    )
    with parts.records.look() as reading:
        tree = ledger.tree(reading.connection, size)
        for sequence, header, salt, payload, leaf in ledger.stored(
            reading.connection, tenant=tenant
        ):
            if sequence > size:
                return
            line: dict[str, object] = {
                "header": header.decode(),
                "salt": _b64(salt),
                "payload": None if payload is None else payload.decode(),
                "leaf": _b64(leaf),
            }
            if tenant is not None:
                line["proof"] = [_b64(node) for node in tree.inclusion(sequence - 1)]
            yield _line(line)


def _line(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _b64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
