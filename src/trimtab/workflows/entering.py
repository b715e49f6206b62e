"""Versions that were read from a registry, put on record.

What takes time, a record made of what was read and held against the rules, is done before anybody
who writes waits for it. What somebody moved meanwhile is made once more, of what it is by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trimtab.artifacts.findings import Result
from trimtab.audit.work import Reading, Work
from trimtab.inventory import lineage_store, service, sighting_store, store
from trimtab.inventory.carried import carried
from trimtab.inventory.model import Entry, Failure, Scope
from trimtab.inventory.normalise import normalise, source_hash
from trimtab.inventory.record import Record, Stage
from trimtab.inventory.service import Compliance, Outcome, Seen
from trimtab.inventory.sighting_store import Sighting
from trimtab.inventory.source import Details, SourceVersion
from trimtab.inventory.store import Head
from trimtab.inventory.tagmap import TagMap
from trimtab.workflows.judging import Judge
from trimtab.workflows.parts import Parts
from trimtab.workflows.registries import tag_map_of
from trimtab.workflows.running import Running

Found = tuple[SourceVersion, Details]
"""A version as a scan shows it, and all else that was read of it."""

_WHY_AT_MOST = 500
"""Letters of why a model cannot be read."""


@dataclass(frozen=True)
class Prepared:
    """A version as it was read, and the record made of it. `number` is that of the revision it
    was computed over, 0 of a version that was not known; `unread` is why its model could not be
    read, empty where it was."""

    found: Found
    key: str
    shown: str
    number: int
    before: Entry | None
    record: Record
    inspection: str | None
    unread: str
    judged: Compliance

    @property
    def left_alone(self) -> bool:
        """Whether what is on record stays: its model is not told, which says nothing new."""
        return bool(self.unread) and self.before is not None and not self.before.removed


@dataclass(frozen=True)
class Entered:
    """What came of a version; `incomplete` is why it was not read in full."""

    outcome: Outcome
    incomplete: Failure | None = None


class Entering:
    """Puts what a cycle has read on record."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._judge = Judge(parts)

    def prepare(
        self, reading: Reading, running: Running, found: Sequence[Found]
    ) -> dict[str, Prepared]:
        """Make the records of some versions and judge them, by their keys; nothing is written."""
        connection = running.connection
        keys = {store.key_of(version.name, version.version): (version, d) for version, d in found}
        heads = store.heads(reading, connection.id, list(keys))
        known = store.current(reading, [head.id for head in heads.values()])
        held = self._judge.held(reading, connection.id)
        tags = tag_map_of(connection)
        made = {}
        for key, one in keys.items():
            head = heads.get(key)
            before = None if head is None else known[head.id]
            record, inspection, unread = _record(running, one, before, tags, reading.now)
            made[key] = Prepared(
                found=one,
                key=key,
                shown=source_hash(running.model_of(one[0]), one[0]),
                number=_number(head),
                before=before,
                record=record,
                inspection=inspection,
                unread=unread,
                judged=self._judge.judged(record, held, reading.now),
            )
        return made

    def enter(
        self, work: Work, running: Running, prepared: Mapping[str, Prepared]
    ) -> list[Entered]:
        """Put them on record; what came of each, in their order."""
        self._judge.adopt(work)
        connection = running.connection.id
        heads = store.heads(work, connection, list(prepared))
        moved = [p.found for k, p in prepared.items() if p.number != _number(heads.get(k))]
        if moved:
            prepared = {**prepared, **self.prepare(work, running, moved)}
        seen = sighting_store.of(work, connection, list(prepared))
        return [
            self._entered(work, running, one, heads.get(key), seen.get(key))
            for key, one in prepared.items()
        ]

    def _entered(
        self, work: Work, running: Running, one: Prepared, head: Head | None, seen: Sighting | None
    ) -> Entered:
        record = one.record
        if one.left_alone:
            return Entered(Outcome.UNCHANGED, Failure(record.model, record.version, one.unread))
        connection = running.connection
        what = Seen(one.key, record, one.judged, one.inspection, one.before, running.not_before)
        record_id, outcome = service.keep(work, connection, head, what)
        lineage_store.put(work, connection, record_id, record)
        sighting_store.put(work, self._sighting(work, running, one, record_id, seen))
        if record.incomplete is None:
            return Entered(outcome)
        return Entered(outcome, Failure(record.model, record.version, record.incomplete))

    def _sighting(
        self, work: Work, running: Running, one: Prepared, record_id: str, seen: Sighting | None
    ) -> Sighting:
        sighting = seen or Sighting(record_id, running.connection.id, one.key, one.shown)
        attempts = sighting.attempts if sighting.source_hash == one.shown else 0
        sighting = replace(sighting, source_hash=one.shown, attempts=attempts, retry_at=None)
        before = one.before
        others = before is None or (one.inspection is None and before.inspection is not None)
        if others:
            sighting = replace(sighting, inspect_attempts=0, inspect_retry_at=None, scanner=None)
        elif running.sync.scope is Scope.FULL and _worth_another_look(one):
            sighting = replace(sighting, inspect_attempts=0, inspect_retry_at=work.now)
        if one.record.incomplete is None:
            return replace(sighting, attempts=0)
        return self._again(work, sighting)

    def _again(self, work: Work, sighting: Sighting) -> Sighting:
        """When a version that could not be read in full is tried again, if it is at all before
        the next cycle that reads everything."""
        settings = self._parts.settings
        attempts = sighting.attempts + 1
        if attempts >= settings.sync_tries:
            return replace(sighting, attempts=attempts)
        wait = timedelta(minutes=settings.sync_minutes) * 2 ** (attempts - 1)
        return replace(sighting, attempts=attempts, retry_at=work.now + wait)


def _worth_another_look(one: Prepared) -> bool:
    """Whether files are looked into again that seem to be as they were: what could not be read
    may be readable now, and a registry lists other bytes of the same size as it did these. Until
    somebody has looked, they stay on record as what they are."""
    unread = one.inspection in (None, Result.UNREADABLE.value)
    return unread or one.record.stage in (Stage.PRODUCTION, Stage.STAGING)


def _number(head: Head | None) -> int:
    return 0 if head is None else head.number


def _record(
    running: Running, found: Found, before: Entry | None, tags: TagMap, now: datetime
) -> tuple[Record, str | None, str]:
    """The record of a version, what was found in these very files, and why its model could not
    be read; empty where it was."""
    version, details = found
    fresh = normalise(running.model_of(version), version, details, tags, now=now)
    record, inspection = carried(before, fresh, details)
    if version.name not in running.unread_models:
        return record, inspection, ""
    unread = f"its model cannot be read: {running.unread_models[version.name]}"[:_WHY_AT_MOST]
    return replace(record, incomplete=record.incomplete or unread), inspection, unread
