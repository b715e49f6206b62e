"""Static inspection of one untrusted file. Nothing is executed, unpickled or unpacked.

`python -m trimtab.artifacts.inspection PATH` prints one JSON report. Start it in a child
process with limits: a parser that crashes there is a finding, not an outage.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.artifacts.archives import inspect_zip
from trimtab.artifacts.findings import Budget, Finding, Findings, Result, Severity, overall
from trimtab.artifacts.formats import (
    HEAD_BYTES,
    TAIL_BYTES,
    Format,
    looks_like_pickle,
    polyglot,
    sniff,
)
from trimtab.artifacts.graph import GraphSummary, inspect_onnx
from trimtab.artifacts.opening import read_untrusted
from trimtab.artifacts.pickles import inspect_pickle
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.events import plain
from trimtab.kernel.ids import Digest

REPORT_FORMAT = "trimtab.inspection/1"
_ZIPS = (Format.ZIP, Format.ZIP_PYTORCH, Format.KERAS_ZIP)


@dataclass(frozen=True)
class Inspection:
    """What was found in one file. `digest` None: the file could not be opened at all.

    `size` is in bytes. `onnx` is what a model declares, when there is one to read.
    """

    result: Result
    findings: tuple[Finding, ...]
    format: Format
    size: int
    digest: Digest | None
    onnx: GraphSummary | None

    def report(self) -> dict[str, Any]:
        """The inspection as JSON values."""
        return {"report": REPORT_FORMAT, **plain(self)}


def inspect_file(path: Path, budget: Budget) -> Inspection:
    """Inspect the file at `path` by its content, whatever it is called.

    Never raises for anything that a file can contain or be; what cannot be read is
    reported as unreadable, and only an ONNX model can be reported as clean.
    """
    findings = Findings(budget.max_findings)
    try:
        opened = read_untrusted(path, max_bytes=budget.max_file_bytes)
    except IntegrityFailed as error:
        findings.add(error.field or "refused", Severity.MALICIOUS, "file", error.message)
        return _inspection(findings, Format.UNKNOWN, 0, None, None)
    except OSError as error:
        findings.add("unopenable", Severity.UNREADABLE, "file", type(error).__name__)
        return _inspection(findings, Format.UNKNOWN, 0, None, None)
    if opened.content is None:
        findings.add(
            "budget", Severity.UNREADABLE, "file", f"more than {budget.max_file_bytes} bytes"
        )
        return _inspection(findings, Format.UNKNOWN, opened.size, opened.digest, None)
    found, summary = inspect_bytes(opened.content, budget, findings)
    return _inspection(findings, found, opened.size, opened.digest, summary)


def inspect_bytes(
    data: bytes, budget: Budget, findings: Findings
) -> tuple[Format, GraphSummary | None]:
    """Note in `findings` what speaks against `data`; its format and what it declares."""
    found = sniff(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))
    if found not in _ZIPS and looks_like_pickle(data, len(data)):
        found = Format.PICKLE
    summary = None
    try:
        summary = _by_format(found, data, budget, findings)
    except (MemoryError, RecursionError) as error:
        findings.add("budget", Severity.MALICIOUS, "file", type(error).__name__)
    if polyglot(found, data[-TAIL_BYTES:]) is not None:
        findings.add("polyglot", Severity.MALICIOUS, "file", f"{found} with an archive behind it")
        inspect_zip(data, budget, findings)
    return found, summary


def _by_format(
    found: Format, data: bytes, budget: Budget, findings: Findings
) -> GraphSummary | None:
    if found is Format.ONNX:
        return inspect_onnx(data, budget, findings)
    if found is Format.PICKLE:
        inspect_pickle(data, "file", budget, findings)
    elif found in _ZIPS:
        inspect_zip(data, budget, findings)
    elif found is Format.NUMPY_OBJECT:
        findings.add("numpy_object", Severity.MALICIOUS, "file", "an array of pickled objects")
    else:
        if found is Format.YAML and (b"!!python/" in data or b"tag:yaml.org,2002:python/" in data):
            findings.add(
                "yaml_code", Severity.MALICIOUS, "file", "a tag that builds Python objects"
            )
        if found is Format.GGUF and b"{%" in data:
            findings.add("gguf_template", Severity.SUSPICIOUS, "file", "holds a template program")
        detail = "nothing in it" if found is Format.EMPTY else f"{found}; only ONNX is executed"
        findings.add("not_a_model", Severity.UNREADABLE, "file", detail)
    return None


def _inspection(
    findings: Findings,
    found: Format,
    size: int,
    digest: Digest | None,
    summary: GraphSummary | None,
) -> Inspection:
    noted = findings.all()
    result = overall(noted, read=summary is not None)
    return Inspection(result, noted, found, size, digest, summary)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report on the file that the arguments name; 0 whenever there is one."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.artifacts.inspection")
    parser.add_argument("path", type=Path)
    numbers = [f for f in dataclasses.fields(Budget) if isinstance(f.default, int)]
    for field in numbers:
        parser.add_argument("--" + field.name.replace("_", "-"), type=int, default=field.default)
    given = parser.parse_args(arguments)
    budget = Budget(**{field.name: getattr(given, field.name) for field in numbers})
    report = inspect_file(given.path, budget).report()
    # ASCII only: whatever stands in the report, a terminal shows it as written.
    sys.stdout.write(json.dumps(report, ensure_ascii=True, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
