"""The files of versions in other registries: fetched, hashed, looked into; never run, never kept.

What stands in production is looked into first. Files of several versions go through one limited
child; where one of them brings it down, each version is looked into by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trimtab.artifacts.findings import Budget, Result
from trimtab.artifacts.surveying import Survey, SurveyLimits, scanner, survey
from trimtab.audit.work import Reading, Work
from trimtab.inventory import connection_store, service, sighting_store, store
from trimtab.inventory.evidence import listed_size, with_inspection
from trimtab.inventory.model import Connection, Entry, Health, SyncPhase
from trimtab.inventory.source import Source, SourceFile, SourceVersion
from trimtab.kernel.actor import system
from trimtab.kernel.errors import Conflict, NotFound, NotPermitted, Unavailable
from trimtab.platform.child import run_limited
from trimtab.platform.logs import logger
from trimtab.platform.outbound import NoAnswer
from trimtab.workflows.ingest import NO_ANSWER, Open
from trimtab.workflows.judging import Judge
from trimtab.workflows.parts import Parts

log = logger(__name__)

INSPECTING = system("inspect")
_MIB = 1 << 20
_TOGETHER = 16
"""Versions whose files go through one child."""
_MOST_UNANSWERED = 3
"""Versions in a row that nobody answers for, until none is asked for any more."""
_MOST_DOUBLED = 16
"""How often the time between two tries is doubled."""
_MOST = 100_000
"""Versions that are looked up as waiting, those in production first."""

Told = Callable[[int, int], None]
"""Told how many versions were looked into, of how many."""


@dataclass
class _Fetched:
    """The files of one version: those that lie in the folder, each with its number there and its
    digest, and why the others do not."""

    entry: Entry
    listed: Sequence[Mapping[str, Any]]
    there: dict[str, tuple[int, str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)
    """Those of them that may be had the next time."""


@dataclass
class _Turn:
    """What one look at a registry's files has come to so far. `unanswered` counts versions in
    a row that nobody answered for."""

    connection: Connection
    done: int = 0
    unanswered: int = 0


class _TooMuch(Unavailable):
    """A file has more bytes than may be fetched."""


class Inspector:
    """Looks into the files of a registry's versions, for as long as it may at a stretch.

    Args:
        parts: What the process is made of.
        told: Told after some versions each.
        stopping: Asked between these whether to end early.
    """

    def __init__(
        self, parts: Parts, *, told: Told | None = None, stopping: Callable[[], bool] = bool
    ):
        self._parts = parts
        self._stopping = stopping
        self._told = told or (lambda _done, _all: None)
        self._judge = Judge(parts)

    def inspect(self, connection_id: str, open_: Open, *, until: datetime | None = None) -> int:
        """Look into versions that nobody has looked into; how many that were.

        A registry that does not answer ends it for this time. Safe to repeat.
        """
        parts = self._parts
        minutes = parts.settings.inspect_minutes
        ends = until or parts.real_clock.now() + timedelta(minutes=minutes)
        with parts.records.look() as reading:
            connection = connection_store.get(reading, connection_id)
            waiting = sighting_store.uninspected(reading, connection_id, scanner(), limit=_MOST)
        turn = _Turn(connection)
        try:
            with closing(open_(connection)) as source:
                for begin in range(0, len(waiting), _TOGETHER):
                    if self._stopping() or parts.real_clock.now() >= ends:
                        break
                    self._some(turn, source, waiting[begin : begin + _TOGETHER])
                    self._told(turn.done, len(waiting))
                    if turn.unanswered >= _MOST_UNANSWERED:
                        log.warning("files are not handed out", connection=connection_id)
                        break
        except NO_ANSWER as error:
            log.warning("files are not looked into", connection=connection_id, why=error.message)
        return turn.done

    def _some(self, turn: _Turn, source: Source, records: Sequence[str]) -> None:
        with self._parts.records.look() as reading:
            found_now = store.current(reading, records)
        entries = [found_now[record] for record in records if record in found_now]
        with self._parts.scratch.folder() as folder:
            paths = list[str]()
            fetched = self._all_fetched(turn, source, entries, folder, paths)
            limits = self._limits(len(fetched))
            found = survey(folder, paths, limits, run=run_limited) if paths else _NOTHING
        if found.restarts and len(fetched) > 1:
            for one in fetched:  # so that no version is judged by what another one has done
                self._some(turn, source, [one.entry.id])
            return
        for one in fetched:
            self._keep(turn.connection, one, found)
        turn.done += len(fetched)

    def _all_fetched(
        self,
        turn: _Turn,
        source: Source,
        entries: Sequence[Entry],
        folder: Path,
        paths: list[str],
    ) -> list[_Fetched]:
        """The files of those versions that there is an answer for; the others wait."""
        fetched = []
        for entry in entries:
            if turn.unanswered >= _MOST_UNANSWERED or self._stopping():
                break
            held = len(paths)
            try:
                fetched.append(self._fetch(source, entry, folder, paths))
                turn.unanswered = 0
            except NoAnswer as error:
                turn.unanswered += 1
                for number in range(held, len(paths) + 1):
                    (folder / str(number)).unlink(missing_ok=True)
                del paths[held:]
                self._wait(turn.connection, entry, error.message)
        return fetched

    def _wait(self, connection: Connection, entry: Entry, why: str) -> None:
        """Leave a version for later, for which nobody answered; after so many tries that is
        what is known of its files, if nothing was known of them before."""
        with self._parts.records.begin(INSPECTING, reason="files of a registry") as work:
            final = self._again(work, entry.id)
        if final and entry.inspection is None:
            manifest: Mapping[str, Any] = entry.record.value("artifact_manifest") or {}
            fetched = _Fetched(entry, manifest.get("files", ()))
            fetched.refused = {str(file["path"]): why for file in fetched.listed}
            self._keep(connection, fetched, _NOTHING)

    def _again(self, work: Work, record: str) -> bool:
        """Say when a version is tried again; whether it was tried often enough."""
        settings = self._parts.settings
        attempts = sighting_store.inspect_attempts(work, record) + 1
        final = attempts >= settings.sync_tries
        wait = timedelta(minutes=settings.sync_minutes) * 2 ** min(attempts - 1, _MOST_DOUBLED)
        if final:
            attempts, wait = 0, timedelta(hours=settings.sync_full_hours)
        sighting_store.inspect_again(work, record, attempts, work.now + wait)
        return final

    def _fetch(self, source: Source, entry: Entry, folder: Path, paths: list[str]) -> _Fetched:
        """Lay the files of a version down, behind those that are named by `paths`.

        Raises:
            NoAnswer: nobody answers for one of them.
        """
        settings = self._parts.settings
        manifest: Mapping[str, Any] = entry.record.value("artifact_manifest") or {}
        fetched = _Fetched(entry, manifest.get("files", ()))
        version, without, passing = _version(source, entry)
        left = settings.inspect_version_mib * _MIB
        for file in fetched.listed:
            path, size = str(file["path"]), listed_size(file)
            most = min(settings.inspect_file_mib * _MIB, left)
            if version is None:
                fetched.refused[path] = without
                if passing:
                    fetched.passing.add(path)
            elif len(fetched.there) >= settings.inspect_files:
                fetched.refused[path] = f"more than {settings.inspect_files} files"
            elif most <= 0 or (size is not None and size > most):
                fetched.refused[path] = f"larger than the {most} bytes that may be fetched"
            else:
                try:
                    with source.content(version, SourceFile(path, size)) as pieces:
                        taken, digest = _written(folder / str(len(paths)), pieces, most)
                except NoAnswer:
                    raise
                except (Unavailable, NotFound, NotPermitted) as error:
                    (folder / str(len(paths))).unlink(missing_ok=True)
                    fetched.refused[path] = error.message
                    if not isinstance(error, NotFound | _TooMuch):
                        fetched.passing.add(path)
                    continue
                left -= taken
                fetched.there[path] = len(paths), digest
                paths.append(path)
        return fetched

    def _limits(self, versions: int) -> SurveyLimits:
        settings = self._parts.settings
        return SurveyLimits(
            max_files=settings.inspect_files * versions,
            max_seconds=float(settings.inspect_seconds * versions),
            max_seconds_per_file=float(settings.inspect_seconds),
            max_memory_mib=settings.inspect_memory_mib,
            budget=Budget(max_file_bytes=settings.inspect_file_mib * _MIB),
        )

    def _keep(self, connection: Connection, fetched: _Fetched, found: Survey) -> None:
        """Put on record what was found in the files of a version."""
        inspected = [_said(file, fetched, found) for file in fetched.listed]
        try:
            with self._parts.records.begin(INSPECTING, reason="files of a registry") as work:
                entry = store.current(work, [fetched.entry.id])[fetched.entry.id]
                if entry.number != fetched.entry.number or entry.removed:
                    return  # it is another one by now, and is looked into anew
                stays = _standing(entry, inspected)
                record = with_inspection(entry.record, inspected, stays)
                result = (record.value("artifact_manifest") or {}).get("result")
                self._judge.adopt(work)
                held = self._judge.held(work, connection.id)
                judged = self._judge.judged(record, held, work.now)
                new = [one for one in inspected if one["path"] not in stays]
                findings = sorted({f["rule"] for one in new for f in one["found"]})
                # Where not every file could be looked into, nothing good is known.
                worst = result or Result.UNREADABLE.value
                isolation = dict(found.isolation)
                if any(one["passing"] for one in inspected):
                    self._again(work, entry.id)
                else:
                    sighting_store.inspected(work, entry.id, scanner())
                if (record, worst) != (entry.record, entry.inspection):
                    service.inspected(work, entry, record, worst, findings, isolation, judged)
        except Conflict:
            log.info("a record moved while its files were looked into", record=fetched.entry.id)


_BAD = (Result.SUSPICIOUS.value, Result.MALICIOUS.value)
_KNOWN = (*_BAD, Result.CLEAN.value)
_NOTHING = Survey((), {}, 0)


def due(reading: Reading) -> list[tuple[str, str]]:
    """Connections with versions that nobody has looked into, once after each of their cycles."""
    found = []
    for connection in connection_store.every(reading):
        if connection.paused or connection.health in (Health.NEW, Health.FAILING):
            continue
        last = connection_store.syncs(reading, connection.id, limit=1)
        ended = last and last[0].phase is not SyncPhase.RUNNING
        if ended and sighting_store.uninspected(reading, connection.id, scanner(), limit=1):
            found.append((connection.id, last[0].id))
    return found


def _standing(entry: Entry, inspected: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Files of which stands what was found in them before, since nobody could look into them
    now: everything where that may pass, and what was bad where it may not. No answer takes a
    finding back."""
    manifest: Mapping[str, Any] = entry.record.value("artifact_manifest") or {}
    known = {file["path"]: file.get("result") for file in manifest.get("files", ())}
    return frozenset(
        one["path"]
        for one in inspected
        if not one["looked_into"] and known.get(one["path"]) in (_KNOWN if one["passing"] else _BAD)
    )


def _version(source: Source, entry: Entry) -> tuple[SourceVersion | None, str, bool]:
    """The version as its registry has it now, or why there is none, and whether that may pass:
    it is no reason not to look into the files of others.

    Raises:
        NoAnswer: nobody answers.
    """
    try:
        found = source.version(entry.record.model, entry.record.version)
    except NoAnswer:
        raise
    except (Unavailable, NotPermitted) as error:
        return None, error.message, True
    return found, "the registry has this version no more", False


def _written(place: Path, pieces: Iterator[bytes], most: int) -> tuple[int, str]:
    """Write what comes to a new file; its size and digest.

    Raises:
        _TooMuch: there is more than was said, and than may be.
    """
    size, seen = 0, hashlib.sha256()
    with place.open("xb") as file:
        for piece in pieces:
            size += len(piece)
            if size > most:
                raise _TooMuch(f"larger than the {most} bytes that may be fetched")
            seen.update(piece)
            file.write(piece)
    return size, seen.hexdigest()


def _said(file: Mapping[str, Any], fetched: _Fetched, found: Survey) -> dict[str, Any]:
    """What is kept of one file."""
    path = str(file["path"])
    told: dict[str, Any] = {"path": path, "size": file.get("size")}
    if path in fetched.refused:
        why = {"rule": "not_fetched", "where": "file", "detail": fetched.refused[path]}
        return {
            **told,
            "result": Result.UNREADABLE.value,
            "findings": [why],
            "found": [why],
            "passing": path in fetched.passing,
            "looked_into": False,
        }
    number, digest = fetched.there[path]
    seen = found.files[number]
    findings = [
        {"rule": f.rule, "severity": f.severity.value, "where": f.where, "detail": f.detail}
        for f in seen.findings
    ]
    ended = any(finding.rule == "not_inspected" for finding in seen.findings)
    return {
        **told,
        "passing": ended,
        "looked_into": not ended,
        "size": seen.size or file.get("size"),
        "sha256": digest,
        "format": seen.format.value,
        "result": seen.result.value,
        "findings": findings,
        "found": findings,
        "environment": seen.evidence,
    }
