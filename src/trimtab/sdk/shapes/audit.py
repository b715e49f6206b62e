"""The audit ledger: entries, heads, and what a verification found."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trimtab.sdk.shapes.base import Answer


class EntryShape(Answer):
    """One entry of the audit ledger."""

    sequence: int
    tenant: str | None
    tenant_sequence: int
    kind: str
    actor: str
    at: datetime
    subject: str
    reason: str | None
    cause: int | None
    data: dict[str, Any] | None


class HeadShape(Answer):
    """The signed head of the ledger, and the key to verify it with."""

    size: int
    root: str
    note: str
    verifier_key: str


class FindingShape(Answer):
    """Something about the ledger that is not as it must be."""

    code: str
    what: str
    sequence: int | None


class VerificationShape(Answer):
    """What the verification of the whole ledger found."""

    ok: bool
    entries: int
    blanked: int
    root: str | None
    head: str
    findings: list[FindingShape]
    findings_total: int
