"""What an inspection says: findings with a severity, and the result they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from trimtab.artifacts.wire import ALLOWED_DOMAINS

HARMLESS_GLOBALS = frozenset(
    {
        "builtins.bytearray",
        "builtins.complex",
        "builtins.frozenset",
        "builtins.range",
        "builtins.set",
        "builtins.slice",
        "collections.OrderedDict",
        "collections.deque",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "decimal.Decimal",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.dtype",
        "numpy.ndarray",
        "uuid.UUID",
    }
)
"""Globals of pickles that build plain values. Whatever is not here may be anything."""


class Result(StrEnum):
    """What is known about a file; never a boolean."""

    CLEAN = "clean"
    """An ONNX model, read completely, with nothing to object to."""
    SUSPICIOUS = "suspicious"
    """Readable, with something that a person should look at."""
    UNREADABLE = "unreadable"
    """Not a model, or not read to its end: nothing is known, so nothing is good."""
    MALICIOUS = "malicious"
    """Carries code, reaches outside itself, or is built to harm its reader."""


class Severity(StrEnum):
    """What one finding makes of the file."""

    INFO = "info"
    SUSPICIOUS = "suspicious"
    UNREADABLE = "unreadable"
    MALICIOUS = "malicious"


@dataclass(frozen=True)
class Finding:
    """One observation. `where` and `detail` are escaped and hold no secret."""

    rule: str
    severity: Severity
    where: str
    detail: str


@dataclass(frozen=True)
class Budget:
    """How much a file may ask of its inspector. The defaults suit tabular models.

    Beyond a budget a file is never clean: sizes that it only claims are malicious, true
    ones unreadable. Time and memory of the process are bounded by whoever starts it.
    """

    max_file_bytes: int = 512 << 20
    max_tensor_bytes: int = 512 << 20
    max_nodes: int = 100_000
    max_fields: int = 20_000_000
    max_depth: int = 40
    max_loop_trips: int = 1_000_000
    max_pickle_opcodes: int = 2_000_000
    max_zip_entries: int = 10_000
    max_unpacked_bytes: int = 1 << 30
    max_archive_depth: int = 3
    max_document_bytes: int = 64 << 20
    max_yaml_bytes: int = 1 << 20
    max_yaml_values: int = 50_000
    max_evidence_bytes: int = 64 << 10
    max_findings: int = 200
    allowed_domains: frozenset[str] = ALLOWED_DOMAINS
    harmless_globals: frozenset[str] = HARMLESS_GLOBALS


class Findings:
    """Findings as they are collected; counts beyond the budget's number of them."""

    def __init__(self, limit: int):
        self._limit = limit
        self._kept: list[Finding] = []
        self._dropped: set[Severity] = set()

    def add(self, rule: str, severity: Severity, where: str, detail: str) -> None:
        """Note one finding, once; of too many, remember only how severe they were."""
        finding = Finding(rule, severity, where, detail)
        if len(self._kept) >= self._limit:
            self._dropped.add(severity)
        elif finding not in self._kept:
            self._kept.append(finding)

    def all(self) -> tuple[Finding, ...]:
        """What was found, in order, with one more finding for each severity cut off."""
        more = (
            Finding("more", severity, "file", "further findings of this severity were left out")
            for severity in sorted(self._dropped)
        )
        return (*self._kept, *more)


_RESULTS = {
    Severity.INFO: Result.CLEAN,
    Severity.SUSPICIOUS: Result.SUSPICIOUS,
    Severity.UNREADABLE: Result.UNREADABLE,
    Severity.MALICIOUS: Result.MALICIOUS,
}


def overall(findings: Iterable[Finding], *, read: bool) -> Result:
    """The result that the worst finding makes; clean takes a model that was `read`, too."""
    results = [_RESULTS[finding.severity] for finding in findings]
    results.append(Result.CLEAN if read else Result.UNREADABLE)
    return max(results, key=list(Result).index)
