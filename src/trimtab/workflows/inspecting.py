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
from trimtab.artifacts.surveying import Survey, SurveyLimits, survey
from trimtab.audit.work import Reading
from trimtab.inventory import connection_store, service, store
from trimtab.inventory.evidence import with_inspection
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
            waiting = store.uninspected(reading, connection_id, limit=_MOST)
        done = 0
        try:
            with closing(open_(connection)) as source:
                for begin in range(0, len(waiting), _TOGETHER):
                    if self._stopping() or parts.real_clock.now() >= ends:
                        break
                    self._some(connection, source, waiting[begin : begin + _TOGETHER])
                    done = min(begin + _TOGETHER, len(waiting))
                    self._told(done, len(waiting))
        except NO_ANSWER as error:
            log.warning("files are not looked into", connection=connection_id, why=error.message)
        return done

    def _some(self, connection: Connection, source: Source, records: Sequence[str]) -> None:
        with self._parts.records.look() as reading:
            found_now = store.current(reading, records)
        entries = [found_now[record] for record in records if record in found_now]
        with self._parts.scratch.folder() as folder:
            paths = list[str]()
            fetched = [self._fetch(source, entry, folder, paths) for entry in entries]
            limits = self._limits(len(fetched))
            found = survey(folder, paths, limits, run=run_limited) if paths else _NOTHING
        if found.restarts and len(records) > 1:
            for record in records:  # so that no version is judged by what another one has done
                self._some(connection, source, [record])
            return
        for one in fetched:
            self._keep(connection, one, found)

    def _fetch(self, source: Source, entry: Entry, folder: Path, paths: list[str]) -> _Fetched:
        """Lay the files of a version down, behind those that are named by `paths`."""
        settings = self._parts.settings
        manifest: Mapping[str, Any] = entry.record.value("artifact_manifest") or {}
        fetched = _Fetched(entry, manifest.get("files", ()))
        version, without = _version(source, entry)
        left = settings.inspect_version_mib * _MIB
        for file in fetched.listed:
            path, size = str(file["path"]), file.get("size")
            most = min(settings.inspect_file_mib * _MIB, left)
            if version is None:
                fetched.refused[path] = without
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
                record = with_inspection(entry.record, inspected)
                result = (record.value("artifact_manifest") or {}).get("result")
                judged = self._judge.judged(work, connection, record, work.now)
                findings = sorted({f["rule"] for one in inspected for f in one["found"]})
                # Where not every file could be looked into, nothing good is known.
                worst = result or Result.UNREADABLE.value
                isolation = dict(found.isolation)
                service.inspected(work, entry, record, worst, findings, isolation, judged)
        except Conflict:
            log.info("a record moved while its files were looked into", record=fetched.entry.id)


_NOTHING = Survey((), {}, 0)


def due(reading: Reading) -> list[tuple[str, str]]:
    """Connections with versions that nobody has looked into, once after each of their cycles."""
    found = []
    for connection in connection_store.connections(reading):
        if connection.paused or connection.health in (Health.NEW, Health.FAILING):
            continue
        last = connection_store.syncs(reading, connection.id, limit=1)
        ended = last and last[0].phase is not SyncPhase.RUNNING
        if ended and store.uninspected(reading, connection.id, limit=1):
            found.append((connection.id, last[0].id))
    return found


def _version(source: Source, entry: Entry) -> tuple[SourceVersion | None, str]:
    """The version as its registry has it now, or why there is none: that is no reason not to
    look into the files of others.

    Raises:
        NoAnswer: nobody answers.
    """
    try:
        found = source.version(entry.record.model, entry.record.version)
    except NoAnswer:
        raise
    except (Unavailable, NotPermitted) as error:
        return None, error.message
    return found, "the registry has this version no more"


def _written(place: Path, pieces: Iterator[bytes], most: int) -> tuple[int, str]:
    """Write what comes to a new file; its size and digest.

    Raises:
        Unavailable: there is more than was said, and than may be.
    """
    size, seen = 0, hashlib.sha256()
    with place.open("xb") as file:
        for piece in pieces:
            size += len(piece)
            if size > most:
                raise Unavailable(f"larger than the {most} bytes that may be fetched")
            seen.update(piece)
            file.write(piece)
    return size, seen.hexdigest()


def _said(file: Mapping[str, Any], fetched: _Fetched, found: Survey) -> dict[str, Any]:
    """What is kept of one file."""
    path = str(file["path"])
    told: dict[str, Any] = {"path": path, "size": file.get("size")}
    if path in fetched.refused:
        why = {"rule": "not_fetched", "where": "file", "detail": fetched.refused[path]}
        return {**told, "result": Result.UNREADABLE.value, "findings": [why], "found": [why]}
    number, digest = fetched.there[path]
    seen = found.files[number]
    findings = [
        {"rule": f.rule, "severity": f.severity.value, "where": f.where, "detail": f.detail}
        for f in seen.findings
    ]
    return {
        **told,
        "size": seen.size or file.get("size"),
        "sha256": digest,
        "format": seen.format.value,
        "result": seen.result.value,
        "findings": findings,
        "found": findings,
        "environment": seen.evidence,
    }
