"""What of an earlier look still holds: a part that cannot be read today is what it was, and
files that are as they were need not be looked into again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trimtab.inventory.model import Entry
from trimtab.inventory.record import GROUPS, Group, Known, Record
from trimtab.inventory.source import Details, Part

_FILES = GROUPS[Group.EVIDENCE]
_INSPECTED = "artifact_"
"""What findings of inspections begin with."""


def carried(before: Entry | None, fresh: Record, details: Details) -> tuple[Record, str | None]:
    """`fresh` with what still holds of `before`, and the worst that was found in its files.

    Args:
        before: How the version stands on record; None: it is new.
        fresh: As it was read now.
        details: What it was read from: parts that could not be read this time are those of
            `before`, for nobody said that they are other ones.

    Returns:
        The record, and the result of the inspection of these very files; None where they are
        others, or nobody has looked.
    """
    if before is None:
        return fresh, None
    unread = {fault.part.value for fault in details.faults if fault.passing}
    fields = {
        name: _still(before.record.fields[name], known, unread)
        for name, known in fresh.fields.items()
    }
    record = replace(fresh, fields=fields)
    if Part.RUN in {fault.part for fault in details.faults if fault.passing}:
        record = replace(record, run_tags=before.record.run_tags)
    if _listed(before.record) != _listed(record) or before.inspection is None:
        return record, None
    same = {name: before.record.fields[name] for name in _FILES}
    found = [f for f in before.record.findings if f.code.startswith(_INSPECTED)]
    kept = [f for f in record.findings if f not in found]
    record = replace(record, fields={**fields, **same}, findings=(*kept, *found))
    return record, before.inspection


def _still(known: Known, fresh: Known, unread: set[str]) -> Known:
    lost = fresh.value is None and known.origin is not None and known.origin.value in unread
    return known if lost else fresh


def _listed(record: Record) -> list[tuple[Any, Any]]:
    """The files of a record, as a registry lists them."""
    manifest: Mapping[str, Any] = record.value("artifact_manifest") or {}
    files = [(file.get("path"), file.get("size")) for file in manifest.get("files", ())]
    return [(manifest.get("root"), manifest.get("truncated")), *files]
