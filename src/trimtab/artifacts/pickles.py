"""Reading pickles without running them: opcodes only, and the globals they name.

Nothing here, nor anywhere else in Trimtab, unpickles.
"""

from __future__ import annotations

from trimtab.artifacts.findings import Budget, Findings, Severity
from trimtab.artifacts.pickle_machine import follow
from trimtab.artifacts.redaction import shown


def inspect_pickle(data: bytes, where: str, budget: Budget, findings: Findings) -> None:
    """Note that `data` is a pickle, which globals it names, and whether it is whole.

    A pickle is a program, so it is malicious whatever it names; the globals outside
    `budget.harmless_globals` are listed one by one.
    """
    findings.add("pickle", Severity.MALICIOUS, where, "a pickle runs code when it is loaded")
    walked = follow(data, budget.max_pickle_opcodes, arrays=False)
    for name in sorted({str(found) for found in walked.globals} - budget.harmless_globals):
        findings.add("pickle_global", Severity.MALICIOUS, where, f"names {shown(name)}")
    if walked.broken:
        findings.add("pickle_broken", Severity.MALICIOUS, where, walked.broken)
