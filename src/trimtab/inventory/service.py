"""What becomes of a record: seen first, changed, moved, gone, there again, looked into, judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.audit.work import Work
from trimtab.inventory import store
from trimtab.inventory.model import (
    Connection,
    Entry,
    Placement,
    RecordAdded,
    RecordChanged,
    RecordDisconnected,
    RecordEvaluated,
    RecordInspected,
    RecordPlaced,
    RecordRemoved,
    RecordReturned,
)
from trimtab.inventory.record import FIELDS, Record
from trimtab.inventory.store import Head
from trimtab.kernel.events import Event
from trimtab.kernel.ids import new_id

Compliance = Mapping[str, Any]
"""How a record was judged, as it is kept: `digest` of the rules, `gaps` by their ids, and each
rule with its outcome."""


class Outcome(StrEnum):
    """What reading a version has come to."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RETURNED = "returned"


@dataclass(frozen=True)
class Seen:
    """A version as it was read, and as it was known before. `key` is what stands for it, by the
    name that its registry gives, which may be longer than the one that is kept."""

    key: str
    record: Record
    compliance: Compliance
    inspection: str | None
    before: Entry | None
    not_before: datetime


def keep(work: Work, connection: Connection, head: Head | None, seen: Seen) -> tuple[str, Outcome]:
    """Put what was read of a version on record; its id, and what that has come to.

    Args:
        head: The record that it has now; None: it is new.

    Raises:
        Conflict: somebody moved the record since `seen.before` was read.
    """
    if head is None:
        return _added(work, connection, seen), Outcome.ADDED
    assert seen.before is not None
    if head.removed:
        placement = Placement.of(seen.record)
        back = RecordReturned(head.id, head.tenant, *_named(seen.before, seen.record), placement)
        _move(work, replace(head, removed=False), seen, back)
        return head.id, Outcome.RETURNED
    event = _difference(seen.before, seen)
    if event is None:
        return head.id, Outcome.UNCHANGED
    _move(work, head, seen, event)
    return head.id, Outcome.CHANGED


def remove(work: Work, entry: Entry) -> None:
    """Enter that a registry has a version no more; all that was known of it is kept."""
    _gone(work, entry, RecordRemoved)


def disconnect(work: Work, entry: Entry) -> None:
    """Enter that a version counts no more, because its connection was removed; the same."""
    _gone(work, entry, RecordDisconnected)


def inspected(
    work: Work,
    entry: Entry,
    record: Record,
    result: str,
    findings: list[str],
    isolation: dict[str, str],
    judged: Compliance,
) -> None:
    """Put on record what was found in a version's files, and what the process that looked was
    kept from."""
    head = store.head(work, entry.id)
    files = len((record.value("artifact_manifest") or {}).get("files", ()))
    named = (entry.id, entry.tenant, *_named(entry, record))
    event = RecordInspected(*named, result, files, findings, isolation)
    moved = replace(head, number=head.number + 1)
    after = _next(work, entry, record=record, inspection=result, compliance=judged)
    store.move(work, moved, after, event)


def evaluated(work: Work, entry: Entry, judged: Compliance) -> None:
    """Put on record how a version stands by other rules, or other waivers."""
    head = store.head(work, entry.id)
    event = RecordEvaluated(
        entry.id,
        entry.tenant,
        *_named(entry, entry.record),
        str(judged.get("digest", "")),
        list(entry.compliance.get("gaps", ())),
        list(judged.get("gaps", ())),
    )
    moved = replace(head, number=head.number + 1)
    store.move(work, moved, _next(work, entry, compliance=judged), event)


def changed_fields(before: Record, after: Record) -> list[str]:
    """The fields, and what else a record has, that are not as they were."""
    found = [name for name in FIELDS if before.fields[name] != after.fields[name]]
    parts = ("model_tags", "version_tags", "run_tags", "findings", "incomplete")
    return found + [name for name in parts if getattr(before, name) != getattr(after, name)]


def _gone(work: Work, entry: Entry, kind: type[RecordRemoved]) -> None:
    head = store.head(work, entry.id)
    if head.removed:
        return
    gone = kind(entry.id, entry.tenant, *_named(entry, entry.record), Placement.of(entry.record))
    moved = replace(head, removed=True, number=head.number + 1)
    store.move(work, moved, _next(work, entry, removed=True), gone)


def _added(work: Work, connection: Connection, seen: Seen) -> str:
    record = seen.record
    head = Head(new_id("rec"), connection.id, connection.tenant, seen.key, 1, removed=False)
    event = RecordAdded(
        head.id,
        head.tenant,
        connection.id,
        record.model,
        record.version,
        Placement.of(record),
        record.incomplete,
    )
    entry = Entry(
        head.id,
        connection.id,
        connection.tenant,
        1,
        work.now,
        False,
        seen.inspection,
        record,
        seen.compliance,
    )
    store.add(work, head, entry, event)
    return head.id


def _difference(before: Entry, seen: Seen) -> Event | None:
    """What happened to a version between two looks at it; None: nothing."""
    fields = changed_fields(before.record, seen.record)
    if not fields:
        return None
    named = (before.id, before.tenant, *_named(before, seen.record))
    was, now = Placement.of(before.record), Placement.of(seen.record)
    if was == now:
        return RecordChanged(*named, fields, seen.record.incomplete)
    return RecordPlaced(*named, was, now, seen.not_before, fields, seen.record.incomplete)


def _move(work: Work, head: Head, seen: Seen, event: Event) -> None:
    assert seen.before is not None
    after = _next(
        work,
        seen.before,
        record=seen.record,
        compliance=seen.compliance,
        inspection=seen.inspection,
        removed=False,
    )
    store.move(work, replace(head, number=head.number + 1), after, event)


def _next(work: Work, entry: Entry, **changes: Any) -> Entry:
    return replace(entry, number=entry.number + 1, since=work.now, **changes)


def _named(entry: Entry, record: Record) -> tuple[str, str, int]:
    return entry.connection, record.model, record.version
