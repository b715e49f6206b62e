"""Checks of the bytes: are they what was signed, what do they hold, do they fit the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trimtab.artifacts.verifying import Expected, Trust, verify_artifact
from trimtab.checks.model import Result
from trimtab.kernel.errors import IntegrityFailed, Unavailable
from trimtab.kernel.verdict import Verdict
from trimtab.platform.child import Outcome, run_limited
from trimtab.policies.admission import ChildLimits

INTEGRITY, SCHEMA, SECURITY = "artifact_integrity", "schema", "security_scan"
_REPORT_BYTES = 1 << 20
_MIB = 1 << 20


def integrity(
    files: Mapping[str, Path | bytes],
    bundle: bytes,
    *,
    trust: Trust,
    expected: Expected,
    max_metadata_bytes: int,
) -> Result:
    """Whether the stored files are those that were signed, for this model and tenant."""
    try:
        verified = verify_artifact(
            files, bundle, trust=trust, expected=expected, max_metadata_bytes=max_metadata_bytes
        )
    except IntegrityFailed as error:
        return Result(INTEGRITY, Verdict.FAIL, error.message)
    except OSError as error:
        return Result(INTEGRITY, Verdict.ERROR, f"the stored file cannot be read: {error.strerror}")
    reason = "every file is the one that was signed, for this model, version and tenant"
    return Result(INTEGRITY, Verdict.PASS, reason, {"artifact": verified.artifact})


def inspect(path: Path, limits: ChildLimits, folder: Path) -> dict[str, Any]:
    """The report of the static inspection, made in a limited child that works in `folder`.

    A child that does not come back with a report gives one that says so: its result is
    `unreadable`, never clean.

    Raises:
        Unavailable: it could not be carried out, and nothing follows for the file.
    """
    child = run_limited(
        "trimtab.artifacts.inspection",
        [
            str(path),
            "--max-file-bytes",
            str(int(limits.max_artifact_mib * _MIB)),
            "--max-nodes",
            str(int(limits.max_nodes)),
        ],
        max_seconds=limits.max_seconds,
        max_cpu_seconds=math.ceil(limits.max_seconds),
        max_memory_mib=int(limits.max_memory_mib),
        max_output_bytes=_REPORT_BYTES,
        files_readable=[path],
        folder=folder,
    )
    if child.unanswered:
        raise Unavailable(f"the file was not inspected: the child ended with {child.outcome.value}")
    if child.outcome is not Outcome.OK:
        return {
            "result": "unreadable",
            "findings": [],
            "isolation": dict(child.isolation),
            "outcome": child.outcome.value,
        }
    report: dict[str, Any] = json.loads(child.stdout)
    if any(finding["rule"] == "unopenable" for finding in report["findings"]):
        raise Unavailable("the file was not inspected: it could not be opened here")
    return {**report, "isolation": dict(child.isolation), "outcome": child.outcome.value}


def security(report: Mapping[str, Any]) -> Result:
    """What the static inspection means: only clean is clean."""
    findings = [f"{f['rule']} ({f['severity']})" for f in report["findings"]]
    numbers = {"findings": report["findings"], "isolation": report["isolation"]}
    match report["result"]:
        case "clean":
            return Result(SECURITY, Verdict.PASS, "static inspection found nothing", numbers)
        case "malicious":
            return Result(SECURITY, Verdict.FAIL, "malicious: " + ", ".join(findings), numbers)
        case "suspicious":
            reason = "suspicious, a person has to look: " + ", ".join(findings)
            return Result(SECURITY, Verdict.INCONCLUSIVE, reason, numbers)
        case _:
            why = ", ".join(findings) or f"the inspection ended with {report['outcome']}"
            return Result(SECURITY, Verdict.FAIL, f"could not be read: {why}", numbers)


def schema(
    report: Mapping[str, Any],
    features: Mapping[str, str],
    columns: Mapping[str, str],
    label: str,
) -> Result:
    """Whether model, registered features and holdout data speak of the same columns.

    Args:
        report: The static inspection.
        features: Kind by name, as registered: numeric or category.
        columns: Kind by name, as the holdout data has them.
        label: The column that holds the outcome.
    """
    onnx = report.get("onnx")
    if not onnx:
        return Result(SCHEMA, Verdict.FAIL, "there is no model whose inputs could be read")
    problems = _column_problems(features, columns, label)
    inputs = {entry["name"]: entry for entry in onnx["inputs"]}
    if set(inputs) == set(features):
        problems += _kind_problems(features, inputs)
    elif len(inputs) == 1:
        problems += _matrix_problems(features, next(iter(inputs.values())))
    else:
        problems.append(_difference("inputs of the model", set(inputs), set(features)))
    numbers = {"inputs": list(inputs), "features": dict(features)}
    if problems:
        return Result(SCHEMA, Verdict.FAIL, "; ".join(problems), numbers)
    reason = f"model, data and registration agree on {len(features)} features"
    return Result(SCHEMA, Verdict.PASS, reason, numbers)


def _column_problems(
    features: Mapping[str, str], columns: Mapping[str, str], label: str
) -> list[str]:
    problems = []
    missing = sorted((set(features) | {label}) - set(columns))
    if missing:
        problems.append("the holdout data has no column " + ", ".join(missing))
    problems += [
        f"{name} is {columns[name]} in the holdout data, registered as {kind}"
        for name, kind in features.items()
        if name in columns and columns[name] != kind
    ]
    return problems


def _kind_problems(features: Mapping[str, str], inputs: Mapping[str, Any]) -> list[str]:
    return [
        f"the model takes {name} as {inputs[name]['elem_type']}, registered as {kind}"
        for name, kind in features.items()
        if ("string" in str(inputs[name]["elem_type"]).lower()) != (kind == "category")
    ]


def _matrix_problems(features: Mapping[str, str], tensor: Mapping[str, Any]) -> list[str]:
    if any(kind == "category" for kind in features.values()):
        return ["the model takes one tensor of numbers, but a category is registered"]
    dims: Sequence[Any] = tensor.get("dims") or ()
    width = dims[1] if len(dims) == 2 else None
    if isinstance(width, int) and width != len(features):
        return [f"the model takes {width} numbers, {len(features)} features are registered"]
    return []


def _difference(what: str, have: set[str], want: set[str]) -> str:
    parts = []
    if have - want:
        parts.append("not registered: " + ", ".join(sorted(have - want)))
    if want - have:
        parts.append("missing: " + ", ".join(sorted(want - have)))
    return f"{what} differ from the registered features ({'; '.join(parts)})"
