"""What a verification of the ledger says: findings, warnings, and the report over them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What was found; stable words, explained one by one in docs/reference/ledger.md."""

    EXPORT_UNREADABLE = "export_unreadable"
    UNKNOWN_FORMAT = "unknown_format"
    WRONG_ORIGIN = "wrong_origin"
    WRONG_KEY = "wrong_key"
    HEAD_UNREADABLE = "head_unreadable"
    HEAD_SIGNATURE = "head_signature"
    LINE_UNREADABLE = "line_unreadable"
    UNKNOWN_VERSION = "unknown_version"
    HEADER_MALFORMED = "header_malformed"
    SEQUENCE_GAP = "sequence_gap"
    SEQUENCE_ORDER = "sequence_order"
    TENANT_GAP = "tenant_gap"
    OTHER_TENANT = "other_tenant"
    LEAF_MISMATCH = "leaf_mismatch"
    PAYLOAD_MISMATCH = "payload_mismatch"
    PAYLOAD_MALFORMED = "payload_malformed"
    PAYLOAD_UNVERIFIABLE = "payload_unverifiable"
    TAIL_CUT = "tail_cut"
    NOT_COVERED = "not_covered"
    ROOT_MISMATCH = "root_mismatch"
    INCLUSION_PROOF = "inclusion_proof"
    CONSISTENCY_PROOF = "consistency_proof"
    UNPROVEN = "unproven"

    NO_PINNED_KEY = "no_pinned_key"
    NO_PINNED_ORIGIN = "no_pinned_origin"
    NO_HEAD = "no_head"
    AFTER_HEAD = "after_head"
    TIME_BACKWARDS = "time_backwards"
    SALT_KEPT = "salt_kept"
    END_OF_TENANT = "end_of_tenant"


@dataclass(frozen=True)
class Finding:
    """One problem, and where it showed.

    `line` counts from 1 in the export file, whose first entry is on line 2; None for rows
    of a database. `sequence` is that of the entry, as its header says, or as its place
    demands where the header cannot be read. Both are None for what lies outside the
    ledger, such as a known head without a valid signature.
    """

    code: Code
    what: str
    line: int | None = None
    sequence: int | None = None


@dataclass(frozen=True)
class Report:
    """The outcome of a verification.

    Attributes:
        ok: Nothing was found. Read `pinned` and `warnings` before trusting it.
        entries: Entries read.
        blanked: Entries whose payload retention has blanked; of these only the header
            was verified.
        root: Root over the entries read, 32 bytes; None for a tenant's export, of which
            it cannot be computed.
        head_size: Size of the export's head, or of the largest head given for a live
            ledger; None when there was none that could be read.
        pinned: Signatures were checked against a key that the caller brought along.
        findings: The first problems, in the order in which they showed.
        findings_total: How many there were in all.
        warnings: The first remarks that do not make the ledger wrong.
        warnings_total: How many there were in all.
    """

    ok: bool
    entries: int
    blanked: int
    root: bytes | None
    head_size: int | None
    pinned: bool
    findings: tuple[Finding, ...]
    findings_total: int
    warnings: tuple[Finding, ...]
    warnings_total: int


class Collector:
    """Counts every finding and keeps the first ones, so that a hostile file fills no memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.findings: list[Finding] = []
        self.findings_total = 0
        self.warnings: list[Finding] = []
        self.warnings_total = 0

    def find(
        self, code: Code, what: str, *, line: int | None = None, sequence: int | None = None
    ) -> None:
        """Note something that makes the ledger wrong."""
        self.findings_total += 1
        if len(self.findings) < self._limit:
            self.findings.append(Finding(code, what, line, sequence))

    def warn(
        self, code: Code, what: str, *, line: int | None = None, sequence: int | None = None
    ) -> None:
        """Note something that a reader of the report must know."""
        self.warnings_total += 1
        if len(self.warnings) < self._limit:
            self.warnings.append(Finding(code, what, line, sequence))

    def report(
        self,
        *,
        entries: int = 0,
        blanked: int = 0,
        root: bytes | None = None,
        head_size: int | None = None,
        pinned: bool,
    ) -> Report:
        """All that was collected; `ok` only if there was no finding at all."""
        return Report(
            ok=self.findings_total == 0,
            entries=entries,
            blanked=blanked,
            root=root,
            head_size=head_size,
            pinned=pinned,
            findings=tuple(self.findings),
            findings_total=self.findings_total,
            warnings=tuple(self.warnings),
            warnings_total=self.warnings_total,
        )


def shown(text: str, limit: int = 60) -> str:
    """Foreign text for a sentence: short, quoted, and harmless to a terminal."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")
