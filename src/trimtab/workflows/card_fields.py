"""The fields of a record as people read them: each with its label, its value in words, its
source, or the sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from trimtab.documents.card import Source, Statement
from trimtab.documents.words import count, moment, number, size
from trimtab.inventory.record import Group, Known, Origin
from trimtab.kernel.clock import parse_iso

TITLES: Mapping[Group, str] = {
    Group.IDENTITY: "Identity",
    Group.LIFECYCLE: "Lifecycle",
    Group.TRAINING: "Training",
    Group.LINEAGE: "Lineage",
    Group.RISK: "Risk",
    Group.EVIDENCE: "Evidence",
}
LABELS: Mapping[str, str] = {
    "model_name": "Model",
    "description": "Description",
    "business_purpose": "Business purpose",
    "owner": "Owner",
    "version_number": "Version",
    "lifecycle_stage": "Stage",
    "created_at": "Created",
    "last_updated_at": "Last updated",
    "deployment_status": "Deployment",
    "source_run_id": "Run",
    "source_artifact_uri": "Made from",
    "registry_stage": "Stage in the registry",
    "registry_status": "Status in the registry",
    "aliases": "Aliases",
    "training_status": "Training",
    "training_started_at": "Training began",
    "training_ended_at": "Training ended",
    "metrics": "Metrics",
    "hyperparameters": "Parameters",
    "evaluation_tags": "Evaluation",
    "experiment_id": "Experiment",
    "experiment_name": "Name of the experiment",
    "code_commit": "Code commit",
    "training_entrypoint": "Entry point",
    "dataset_reference": "Data set",
    "artifact_uri": "Artifacts",
    "dataset_inputs": "Data sets read",
    "logged_model_id": "Logged model",
    "risk_category": "Risk category",
    "regulatory_scope": "Regulatory scope",
    "data_sensitivity": "Data sensitivity",
    "privacy_assessment_status": "Privacy assessment",
    "compliance_approver": "Compliance approver",
    "security_assessment_version": "Security assessment",
    "runtime_environment": "Runtime environment",
    "artifact_manifest": "Files",
    "evidence_files": "Documents",
}
"""What each field of a record is called."""

_ORIGINS: Mapping[Origin, str] = {
    Origin.REGISTERED_MODEL: "registered model",
    Origin.MODEL_VERSION: "model version",
    Origin.RUN: "run",
    Origin.EXPERIMENT: "experiment",
    Origin.LOGGED_MODEL: "logged model",
    Origin.ARTIFACTS: "artifacts",
}
_MOMENTS = frozenset(("created_at", "last_updated_at", "training_started_at", "training_ended_at"))
_NAMED = 5
"""Names of a list that stand in one line; the tables of the card have all of them."""


def statement(name: str, known: Known) -> Statement:
    """A field of a record as a statement."""
    values = () if known.value is None else _values(name, known.value)
    return Statement(
        name=name,
        label=LABELS[name],
        values=values,
        source=source(known),
        gap=None if values else gap(known),
        claim=known.claim,
    )


def source(known: Known) -> Source | None:
    """Where a field was read; None: it was read nowhere."""
    if known.origin is None:
        return None
    where, rest = _ORIGINS[known.origin], known.key
    head, dot, tail = rest.partition(".")
    if dot and head in {"info", "data", "inputs"}:
        rest = tail
    return Source(where, rest, known.at, _written(known))


def _written(known: Known) -> str | None:
    """The text that a value was made from, where a reader would want to see it: not for times,
    which registries write as numbers."""
    written = known.coerced_from
    return None if written is None or written.isdecimal() else written


def gap(known: Known) -> str:
    """Why there is no value, in a sentence."""
    if known.fault:
        return known.fault
    if known.coerced_from is not None:
        return f"“{known.coerced_from[:80]}” stands there, which says nothing"
    return "nobody says"


def _values(name: str, value: Any) -> tuple[str, ...]:
    """A value in words; a value of an unexpected kind is shown as it is."""
    read = _READERS.get(name)
    expected = _EXPECTED.get(name)
    if read is not None and expected is not None and isinstance(value, expected):
        return read(value)
    if isinstance(value, Mapping):
        return tuple(f"{key} = {one}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(str(one) for one in value)
    return (_plain(value),)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else str(value)


def when(text: Any) -> datetime | None:
    """A moment as a record has it; None: it is none."""
    try:
        return parse_iso(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _moment(text: str) -> tuple[str, ...]:
    at = when(text)
    return (text if at is None else moment(at),)


def _listed(names: Sequence[str]) -> str:
    left = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {left:,} more" if left > 0 else "")


def _metrics(found: Mapping[str, Any]) -> tuple[str, ...]:
    invalid = sum(isinstance(one, Mapping) and one.get("value") is None for one in found.values())
    more = f", {invalid:,} of them not a number" if invalid else ""
    return (f"{count(len(found), 'metric')}{more}: {_listed(sorted(found))}",)


def _parameters(found: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{count(len(found), 'parameter')}: {_listed(sorted(found))}",)


def _inputs(found: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        "@".join(str(one[part]) for part in ("name", "digest") if one.get(part)) or "without a name"
        for one in objects(found)
    )


def _environment(found: Mapping[str, Any]) -> tuple[str, ...]:
    pinned = {
        True: "every package is pinned to one version",
        False: "not every package is pinned to one version",
        None: "what it asks for was not read yet, or not all of it",
    }[found.get("pinned") if isinstance(found.get("pinned"), bool) else None]
    return (f"{_listed(_paths(found.get('files')))}: {pinned}",)


def _manifest(found: Mapping[str, Any]) -> tuple[str, ...]:
    files = objects(found.get("files"))
    sizes = [one["size"] for one in files if isinstance(one.get("size"), int)]
    unknown = len(files) - len(sizes)
    more = f", {count(unknown, 'more')} of unknown size" if unknown and sizes else ""
    of = f", {size(sum(sizes))}{more}" if sizes else ", sizes unknown"
    cut = found.get("truncated")
    return (f"{count(len(files), 'file')}{of}", *((f"not all are listed: {cut}",) if cut else ()))


def _documents(found: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_paths(found))


def _paths(files: Any) -> list[str]:
    return [str(one.get("path", "")) for one in objects(files)]


def objects(found: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; what is no list has none."""
    listed = found if isinstance(found, list | tuple) else ()
    return [one for one in listed if isinstance(one, Mapping)]


_READERS: Mapping[str, Callable[[Any], tuple[str, ...]]] = {
    **dict.fromkeys(_MOMENTS, _moment),
    "metrics": _metrics,
    "hyperparameters": _parameters,
    "dataset_inputs": _inputs,
    "runtime_environment": _environment,
    "artifact_manifest": _manifest,
    "evidence_files": _documents,
}
_EXPECTED: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(_MOMENTS, (str,)),
    "metrics": (dict,),
    "hyperparameters": (dict,),
    "dataset_inputs": (list, tuple),
    "runtime_environment": (dict,),
    "artifact_manifest": (dict,),
    "evidence_files": (list, tuple),
}
