"""Inspects a folder of untrusted files in one process, one JSON report a line and file.

`python -m trimtab.artifacts.survey FOLDER [--from NUMBER]`: the folder holds files named by
number, 0 first, and `manifest.json`, which `surveying.survey` writes. Start it in a child
process with limits: a file that brings it down has no line, and whoever started it goes on
behind that file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.artifacts.contents import Contents, evidence_of
from trimtab.artifacts.findings import Budget, Finding, Findings, Result, Severity, overall
from trimtab.artifacts.formats import Format
from trimtab.artifacts.opening import read_untrusted
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.events import plain
from trimtab.kernel.ids import Digest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Surveyed:
    """What was found in one file. `digest` None: it could not be opened; `size` is in bytes.

    `evidence` is what an environment file or an `MLmodel` says, as plain data.
    """

    result: Result
    findings: tuple[Finding, ...]
    format: Format
    size: int
    digest: Digest | None
    evidence: Mapping[str, Any] | None = None


def survey_file(file: Path, path: str, budget: Budget) -> Surveyed:
    """Inspect one file by its content, and as what `path`, its name in a registry, says.

    Never raises for anything that a file can contain or be. Only what was read completely
    and has nothing against it is clean.
    """
    findings = Findings(budget.max_findings)
    try:
        opened = read_untrusted(file, max_bytes=budget.max_file_bytes)
    except IntegrityFailed as error:
        findings.add(error.field or "refused", Severity.MALICIOUS, "file", error.message)
        return _surveyed(findings, Format.UNKNOWN, 0, None)
    except OSError as error:
        findings.add("unopenable", Severity.UNREADABLE, "file", type(error).__name__)
        return _surveyed(findings, Format.UNKNOWN, 0, None)
    if opened.content is None:
        detail = f"more than {budget.max_file_bytes} bytes"
        findings.add("budget", Severity.UNREADABLE, "file", detail)
        return _surveyed(findings, Format.UNKNOWN, opened.size, opened.digest)
    found, evidence = survey_bytes(opened.content, path, budget, findings)
    return _surveyed(findings, found, opened.size, opened.digest, evidence)


def survey_bytes(
    data: bytes, path: str, budget: Budget, findings: Findings
) -> tuple[Format, Mapping[str, Any] | None]:
    """Note in `findings` what speaks against `data`; its format, and what it says."""
    found = Contents(budget, findings).look(data, path)
    return found, evidence_of(data, path, found, budget, findings)


def _surveyed(
    findings: Findings,
    found: Format,
    size: int,
    digest: Digest | None,
    evidence: Mapping[str, Any] | None = None,
) -> Surveyed:
    noted = findings.all()
    return Surveyed(overall(noted, read=True), noted, found, size, digest, evidence)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reports on the files of a manifest, from a number on; 0 when all are done."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.artifacts.survey")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", type=int, default=0, dest="first")
    given = parser.parse_args(arguments)
    manifest = json.loads((given.folder / MANIFEST).read_text("utf-8"))
    budget = dataclasses.replace(Budget(), **manifest["budget"])
    for number, path in enumerate(manifest["paths"]):
        if number < given.first:
            continue
        # Whatever a parser is busy with when the time of its file is up: the process ends.
        signal.setitimer(signal.ITIMER_REAL, manifest["max_seconds_per_file"])
        report = plain(survey_file(given.folder / str(number), path, budget))
        line = json.dumps({"file": number, **report}, ensure_ascii=True, sort_keys=True)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
