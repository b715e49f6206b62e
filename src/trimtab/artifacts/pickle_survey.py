"""What a pickle in a registry amounts to, by the globals that it names. Nothing is unpickled.

Where an upload may not be a pickle at all (`pickles`), a registry holds honest ones: those
that only name globals of the allow-list are told from those that name others.
"""

from __future__ import annotations

import io
import logging
import struct

from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.formats import looks_like_pickle
from trimtab.artifacts.pickle_machine import Global, Walked, follow
from trimtab.artifacts.pickle_rules import rules
from trimtab.artifacts.redaction import shown

_MAX_PICKLES = 64
"""Pickles one behind the other in a file; old PyTorch files have five."""

_SCANNER_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    OSError,
    EOFError,
    struct.error,
)


def survey_pickle(
    data: bytes, where: str, budget: Budget, findings: Findings, *, in_torch: bool = False
) -> None:
    """Note what the pickle, or the pickles in a row, in `data` would do when loaded.

    Args:
        in_torch: Whether it is the table of a PyTorch file, which refers to its weights by
            persistent ids; elsewhere these ask the loader for something unknown.
    """
    allowed = rules()
    findings.add(
        "pickle",
        Severity.INFO,
        where,
        f"a pickle is a program; judged by the allow-list of {allowed.version}",
    )
    globals_, spans = _follow_all(data, where, budget, findings, in_torch)
    for found in sorted(globals_, key=str):
        severity = allowed.severity(found)
        if severity is not Severity.INFO:
            rule = "pickle_global" if found.resolved else "pickle_unresolved"
            findings.add(rule, severity, where, f"names {shown(str(found))}")
    _second_opinion(b"".join(data[begin:end] for begin, end in spans), where, findings)


def _follow_all(
    data: bytes, where: str, budget: Budget, findings: Findings, in_torch: bool
) -> tuple[set[Global], list[tuple[int, int]]]:
    found: set[Global] = set()
    spans: list[tuple[int, int]] = []
    start, left = 0, budget.max_pickle_opcodes
    for _ in range(_MAX_PICKLES):
        walked = follow(data, left, start=start)
        left -= walked.opcodes
        found |= walked.globals
        spans += walked.spans
        _note_ways(walked, where, findings, in_torch)
        if walked.arrays:
            found |= _as_plain_pickle(data, left, start)
        if walked.broken:
            findings.add("pickle_broken", Severity.UNREADABLE, where, walked.broken)
            return found, [(0, len(data))]
        start = walked.end
        rest = data[start:]
        if not rest:
            return found, spans
        if not looks_like_pickle(rest, len(rest)):
            break
    findings.add("trailing", Severity.SUSPICIOUS, where, f"{len(data) - start} bytes behind it")
    return found, spans


def _note_ways(walked: Walked, where: str, findings: Findings, in_torch: bool) -> None:
    for target in sorted(walked.patched, key=str):
        findings.add(
            "pickle_patches", Severity.MALICIOUS, where, f"changes {shown(str(target))} itself"
        )
    if walked.persistent and not in_torch:
        findings.add(
            "pickle_persistent", Severity.SUSPICIOUS, where, "asks its loader for something else"
        )


def _as_plain_pickle(data: bytes, max_opcodes: int, start: int) -> set[Global]:
    """Globals that `pickle.load` would meet where joblib reads numbers, or another pickle.

    Numbers make opcodes by chance, and almost never a name that could be imported. A pickle
    inside has a memo of its own: read with that of the outer one, halves of allowed names are
    put together wrongly, and lead nowhere.
    """
    known = rules()
    walked = follow(data, max_opcodes, arrays=False, start=start)
    return {
        found
        for found in walked.globals
        if found.resolved
        and all(part is not None and _importable(part) for part in (found.module, found.name))
        and not known.mixed(found)
    }


def _importable(name: str) -> bool:
    return name.isascii() and name.isprintable() and " " not in name


def _second_opinion(opcodes: bytes, where: str, findings: Findings) -> None:
    """What `picklescan` says of the same opcodes. It can only make things worse."""
    from picklescan.scanner import (  # type: ignore[import-untyped]
        SafetyLevel,
        scan_pickle_bytes,
    )

    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)  # it repeats what it read
    try:
        scanned = scan_pickle_bytes(io.BytesIO(opcodes), "file")
    except _SCANNER_ERRORS as error:
        findings.add("scanner_error", Severity.UNREADABLE, where, f"{type(error).__name__}")
        return
    for found in scanned.globals:
        if found.safety is SafetyLevel.Dangerous:
            name = shown(f"{found.module}.{found.name}")
            findings.add("picklescan", Severity.MALICIOUS, where, f"picklescan objects to {name}")
    if scanned.scan_err:
        findings.add("scanner_error", Severity.UNREADABLE, where, "picklescan could not read it")
