"""What of an earlier look still holds: a part that cannot be read today is what it was, and
files that are as they were need not be looked into again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trimtab.inventory.evidence import listed_size
from trimtab.inventory.model import Entry
from trimtab.inventory.record import GROUPS, Finding, Group, Known, Origin, Record
from trimtab.inventory.said import STRICTEST_COUNTS, strictest
from trimtab.inventory.source import Details, Part

_FILES = GROUPS[Group.EVIDENCE]
_INSPECTED = "artifact_"
"""What findings of inspections begin with."""

_PARTS: Mapping[Origin, Part] = {Origin(part.value): part for part in Part}
_ASSUMED = "owner_assumed"
_DESCENT = frozenset(("lineage_mismatch", "lineage_unverified", "source_odd"))
_FOUND: Mapping[Part, frozenset[str]] = {
    Part.RUN: _DESCENT
    | {
        "run_missing",
        "run_deleted",
        "metric_invalid",
        "timestamp_odd",
        "claims_conflict",
        _ASSUMED,
    },
    Part.EXPERIMENT: _DESCENT | {"experiment_missing"},
    Part.LOGGED_MODEL: _DESCENT | {"logged_model_missing", "metric_invalid"},
    Part.ARTIFACTS: frozenset(("artifacts_missing", "listing_cut")),
}
"""The findings that come from each part. What an unread part showed before holds until it shows
something else: no answer is never a way out of a gap."""


def carried(before: Entry | None, fresh: Record, details: Details) -> tuple[Record, str | None]:
    """`fresh` with what still holds of `before`, and the worst that was found in its files.

    Args:
        before: How the version stands on record; None: it is new.
        fresh: As it was read now.
        details: What it was read from: parts that could not be read this time are those of
            `before`, with what was found in them, for nobody said that they are other ones.

    Returns:
        The record, and the result of the inspection of these very files; None where they are
        others, or nobody has looked.
    """
    if before is None:
        return fresh, None
    unread = {fault.part for fault in details.faults if fault.passing}
    fields = {
        name: _still(name, before.record.fields[name], known, unread)
        for name, known in fresh.fields.items()
    }
    found_before = _still_found(before.record, fresh, unread)
    record = replace(fresh, fields=fields, findings=(*fresh.findings, *found_before))
    if Part.RUN in unread:
        record = replace(record, run_tags=before.record.run_tags)
    if _listed(before.record) != _listed(record) or before.inspection is None:
        return record, None
    same = {name: before.record.fields[name] for name in _FILES}
    found = [f for f in before.record.findings if f.code.startswith(_INSPECTED)]
    kept = [f for f in record.findings if f not in found]
    record = replace(record, fields={**fields, **same}, findings=(*kept, *found))
    return record, before.inspection


def _still(name: str, known: Known, fresh: Known, unread: set[Part]) -> Known:
    told = fresh.value is not None and known.value is not None
    if name in STRICTEST_COUNTS and Part.RUN in unread and told:
        return strictest(name, (fresh, known))  # its tags are not seen, and lower nothing
    lost = fresh.value is None and _from(known) in unread
    return known if lost else fresh


def _from(known: Known) -> Part | None:
    """The part that a field was read from; None: a scan alone shows it."""
    return _PARTS.get(known.origin) if known.origin is not None else None


def _still_found(before: Record, fresh: Record, unread: set[Part]) -> list[Finding]:
    """What was found in parts that could not be read this time."""
    codes = frozenset[str]().union(*(_FOUND[part] for part in unread))
    if fresh.fields["owner"].value is not None:
        codes -= {_ASSUMED}  # a tag names one by now
    return [one for one in before.findings if one.code in codes and one not in fresh.findings]


def _listed(record: Record) -> list[tuple[Any, Any]]:
    """The files of a record, as a registry lists them."""
    manifest: Mapping[str, Any] = record.value("artifact_manifest") or {}
    files = [(file.get("path"), listed_size(file)) for file in manifest.get("files", ())]
    return [(manifest.get("root"), manifest.get("truncated")), *files]
