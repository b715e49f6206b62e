"""A cycle of reading somebody else's registry: what is new there, what changed, what is gone.

scan -> what a scan shows to be another is read -> normalised -> judged -> on record

A cycle may be killed at any moment and begun anew. Nothing but the records says how far it came:
a version whose scan shows what it showed when it was read is not read again, so the next cycle
reads what the killed one has not, and no version twice. What a registry does not show any more
is asked for by name before it is taken to be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from trimtab.audit.work import Work
from trimtab.inventory import connection_store, lineage_store, service, sighting_store, store
from trimtab.inventory.model import (
    Connection,
    Counts,
    Entry,
    Health,
    Scope,
    Sync,
    SyncPhase,
    SyncStarted,
)
from trimtab.inventory.normalise import source_hash
from trimtab.inventory.sighting_store import Sighting
from trimtab.inventory.source import Source, SourceModel, SourceVersion
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import (
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotPermitted,
    PolicyRefused,
    Unavailable,
)
from trimtab.kernel.ids import new_id
from trimtab.platform.logs import logger
from trimtab.workflows.entering import Entering, Found
from trimtab.workflows.parts import Parts
from trimtab.workflows.running import SUDDEN, Running, Sudden, kept_of, wanted

log = logger(__name__)

INGEST = system("ingest")
T = TypeVar("T")
_TOGETHER = 50
"""Versions that are read and put on record together: a cycle that is killed has so many to read
again at most, and others who write wait for so many."""
_REASON = "what the registry shows"

Progress = Callable[[Mapping[str, Any]], None]
"""Told how far a cycle is."""

Open = Callable[[Connection], Source]
"""Opens what a connection leads to."""

NO_ANSWER = (Unavailable, NotAuthenticated, NotPermitted, InvalidInput, PolicyRefused)
"""What a registry that cannot be read is told by."""


class _Overtaken(Exception):
    """Somebody else has begun to read the same registry, or its connection was removed."""


class Ingest:
    """Carries cycles out.

    Args:
        parts: What the process is made of.
        progress: Told after each step; the records are told in any case.
        stopping: Asked between steps whether to end early.
        sudden: What is not believed of a registry at once.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        progress: Progress | None = None,
        stopping: Callable[[], bool] = bool,
        sudden: Sudden = SUDDEN,
    ):
        self._parts = parts
        self._sudden = sudden
        self._progress = progress or (lambda _told: None)
        self._stopping = stopping
        self._entering = Entering(parts)

    def cycle(
        self,
        connection_id: str,
        open_: Open,
        *,
        scope: Scope | None = None,
        actor: Actor = INGEST,
        reason: str = "it was due",
    ) -> Sync:
        """Read a registry once; what came of it, whatever that is.

        A registry that does not answer makes a cycle that failed, and no error: what was known
        stays, and the connection says since when. Safe to repeat at any time.

        Args:
            scope: How much to read; None for what was asked for, or is due.
        """
        running = self._begin(connection_id, scope, actor, reason)
        phase, why = SyncPhase.FAILED, "it broke off, by a fault that is not the registry's"
        try:
            with closing(open_(running.connection)) as source:
                self._probe(running, source)
                self._scan(running, source)
            phase, why = self._ended(running)
        except NO_ANSWER as error:
            why = f"{error.message}; {error.remedy}" if error.remedy else error.message
        except _Overtaken:
            log.info("this cycle was ended by somebody else", sync=running.sync.id)
        finally:
            ended = self._end(running, phase, why)
        return ended

    def _begin(self, connection_id: str, scope: Scope | None, actor: Actor, reason: str) -> Running:
        with self._parts.records.begin(actor, reason=reason) as work:
            connection = connection_store.get(work, connection_id)
            connection.demand_there()
            left = connection_store.syncs(work, connection.id, phase=SyncPhase.RUNNING)
            for other in left:
                self._interrupted(work, other)
            state = connection_store.state(work, connection.id)
            model, asked = None, dict[str, Any]()
            if scope is None:
                asked = dict(connection_store.take(work, connection.id))
                scope, model, reason = wanted(asked, state.full_at, work.now, reason)
            sync = Sync(
                new_id("syn"),
                connection.id,
                connection.tenant,
                scope,
                model,
                SyncPhase.RUNNING,
                connection.url,
                connection.identity,
                work.now,
                None,
                Counts(),
                (),
                reason,
            )
            event = SyncStarted(
                sync.id,
                sync.tenant,
                connection.id,
                scope,
                model,
                connection.url,
                connection.identity,
            )
            sync = connection_store.add_sync(work, sync, event)
            since = state.seen_at or connection.created_at
            really = self._parts.real_clock.now()
            running = Running(sync, connection, work.now, really, since, asked)
            # Nobody else begins while it runs; were it never to end, somebody would after this.
            held = work.now + timedelta(hours=self._parts.settings.sync_hours)
            told = running.told("begins")
            connection_store.move_state(work, connection.id, progress=told, due_at=held)
        return running

    @staticmethod
    def _interrupted(work: Work, other: Sync) -> None:
        why = "it was interrupted, and begun anew"
        ended, event = other.end(SyncPhase.FAILED, work.now, other.counts, other.failures, why)
        connection_store.save_sync(work, ended, event)

    def _probe(self, running: Running, source: Source) -> None:
        found = source.probe()
        told = (found.server, found.identity, found.may_write, found.warnings)
        running.sync = replace(running.sync, identity=found.identity)
        if running.connection.known_as(*told) is None:
            return
        with self._parts.records.begin(INGEST, reason="who answers") as work:
            self._demand_ours(work, running)
            connection = connection_store.get(work, running.connection.id)
            moved = connection.known_as(*told)
            running.connection = connection_store.save(work, *moved) if moved else connection

    def _scan(self, running: Running, source: Source) -> None:
        """Read every page; what is another than it was, in full."""
        name = running.sync.model
        for page in self._model_pages(running, source, name):
            running.models.update((model.name, kept_of(model)) for model in page)
        running.count("models", len(running.models))
        self._tell(running, "models")
        after: str | None = None
        while not running.cut:
            listed = source.versions(after, model=name)
            running.unfit_versions(listed.malformed)
            self._read_page(running, source, listed.items)
            after = listed.next
            if after is None:
                break
            running.cut = self._over(running, len(running.seen), "versions")
        if not running.cut:
            self._tell(running, "removals")
            self._find_removed(running, source)

    def _model_pages(
        self, running: Running, source: Source, name: str | None
    ) -> Iterator[Sequence[SourceModel]]:
        if name is not None:
            found = source.model(name)
            yield [] if found is None else [found]
            return
        after: str | None = None
        while True:
            listed = source.models(after)
            running.unfit_models(listed.malformed)
            yield listed.items
            after = listed.next
            if after is None:
                return
            running.cut = self._over(running, len(running.models), "models")
            if running.cut:
                return

    def _over(self, running: Running, read: int = 0, what: str = "") -> str:
        """Why a cycle is to end here, `read` of `what` being read; empty where it may go on."""
        settings = self._parts.settings
        if self._stopping():
            return "this process ends"
        if what and read >= settings.sync_versions:
            return f"{settings.sync_versions} {what} were read, and there are more"
        if self._parts.real_clock.now() - running.began_really > timedelta(
            hours=settings.sync_hours
        ):
            return f"it has taken {settings.sync_hours:g} hours"
        return ""

    def _read_page(
        self, running: Running, source: Source, versions: Sequence[SourceVersion]
    ) -> None:
        """Read what a page shows to be another than it was."""
        keys = [store.key_of(version.name, version.version) for version in versions]
        with self._parts.records.look() as reading:
            known = sighting_store.of(reading, running.connection.id, keys)
        wanted = []
        for key, version in zip(keys, versions, strict=True):
            if key in running.seen:
                continue
            running.seen.add(key)
            running.count("seen")
            if self._unread(running, version, known.get(key)):
                wanted.append(version)
            else:
                running.count("unchanged")
        self._tell(running, "versions")
        for some in _batches(wanted):
            found = [
                (version, details)
                for version, details in zip(some, source.details(some), strict=True)
            ]
            self._keep(running, source, found)
            self._tell(running, "versions")

    def _unread(self, running: Running, version: SourceVersion, known: Sighting | None) -> bool:
        if known is None or running.sync.scope is not Scope.CHANGES:
            return True
        if known.retry_at is not None and known.retry_at <= running.begun:
            return True
        return known.source_hash != source_hash(running.model_of(version), version)

    def _keep(self, running: Running, source: Source, found: Sequence[Found]) -> None:
        """Put what was read of some versions on record, in one transaction; where that is
        refused, each in one of its own, so that one is not refused for another's sake."""
        for version, _ in found:
            if version.name not in running.models and version.name not in running.unread_models:
                self._find_model(running, source, version)
        try:
            with self._parts.records.look() as reading:
                prepared = self._entering.prepare(reading, running, found)
            with self._parts.records.begin(INGEST, reason=_REASON) as work:
                self._demand_ours(work, running)
                entered = self._entering.enter(work, running, prepared)
        except (Conflict, InvalidInput, ValueError, OverflowError) as error:
            if len(found) == 1:
                version = found[0][0]
                running.unread(version.name, version.version, f"not on record: {error}")
                return
            for one in found:
                self._keep(running, source, [one])
            return
        for made in entered:
            running.count(made.outcome)
            if made.incomplete is not None:
                running.count("incomplete")
                running.failed(made.incomplete)

    def _find_model(self, running: Running, source: Source, version: SourceVersion) -> None:
        """Ask for the model of a version, which was not among the models: it may be new."""
        try:
            found = source.model(version.name) or running.model_of(version)
            running.models[version.name] = kept_of(found)
        except (Unavailable, NotPermitted) as error:
            running.demand_registry(error)
            running.unread_models[version.name] = error.message

    @staticmethod
    def _demand_ours(work: Work, running: Running) -> None:
        """Make sure that nobody has begun another cycle since, which then reads on, or removed
        the connection: this one has ended."""
        if connection_store.sync(work, running.sync.id).ended:
            raise _Overtaken

    def _find_removed(self, running: Running, source: Source) -> None:
        """Ask for each version that was not shown; enter those that are gone."""
        with self._parts.records.look() as reading:
            missing = [
                record
                for key, record in sighting_store.keys(
                    reading, running.connection.id, model=running.sync.model
                )
                if key not in running.seen
            ]
        gone = list[str]()
        for some in _batches(missing):
            running.cut = self._over(running)
            if running.cut:
                return
            with self._parts.records.look() as reading:
                entries = list(store.current(reading, some).values())
            gone += [entry.id for entry in entries if self._is_gone(running, source, entry)]
        running.cut = self._doubt(running, len(gone))
        if running.cut:
            return
        for some in _batches(gone):
            with self._parts.records.begin(INGEST, reason=_REASON) as work:
                self._demand_ours(work, running)
                for entry in store.current(work, some).values():
                    service.remove(work, entry)
                    sighting_store.forget(work, entry.id)
                    lineage_store.end(work, entry.id)
            running.count("removed", len(some))

    def _doubt(self, running: Running, gone: int) -> str:
        """Why so many are not taken to be gone; empty where they are. A full cycle behind a full
        one that saw the same confirms it."""
        with self._parts.records.begin(INGEST, reason=_REASON) as work:
            self._demand_ours(work, running)
            connection = running.connection.id
            known = sum(1 for _ in sighting_store.keys(work, connection))
            sudden = gone > self._sudden.versions and gone > self._sudden.share * known
            before = connection_store.state(work, connection).vanished_at
            full = running.sync.scope is Scope.FULL
            running.vanished = sudden and not (full and before is not None)
            if running.vanished:
                if full:
                    connection_store.move_state(work, connection, vanished_at=work.now)
                return (
                    f"it shows none of {gone} of the {known} versions that are known any more; "
                    "if that is so, the second of two full cycles enters it"
                )
            if before is not None and running.sync.scope is not Scope.MODEL:
                connection_store.move_state(work, connection, vanished_at=None)
        return ""

    def _is_gone(self, running: Running, source: Source, entry: Entry) -> bool:
        """Whether the registry says that it has a version no more. No answer says nothing."""
        model, version = entry.record.model, entry.record.version
        try:
            return source.version(model, version) is None
        except (Unavailable, NotPermitted) as error:
            running.demand_registry(error)
            running.unread(model, version, f"whether it is gone is not known: {error.message}")
            return False

    @staticmethod
    def _ended(running: Running) -> tuple[SyncPhase, str]:
        if running.cut:
            return SyncPhase.PARTIAL, f"not all of the registry was read: {running.cut}"
        unread = running.counted.get("incomplete", 0) + running.counted.get("malformed", 0)
        if unread:
            return SyncPhase.PARTIAL, f"{unread} versions could not be read in full"
        return SyncPhase.SUCCEEDED, ""

    def _end(self, running: Running, phase: SyncPhase, why: str) -> Sync:
        parts = self._parts
        settings = parts.settings
        whole = phase is not SyncPhase.FAILED and not running.cut
        counts = Counts(**running.counted)
        with parts.records.begin(INGEST, reason=_REASON) as work:
            overtaken = connection_store.sync(work, running.sync.id)
            if overtaken.ended:
                return overtaken
            connection = connection_store.get(work, running.connection.id)
            state = connection_store.state(work, connection.id)
            ended, event = running.sync.end(phase, work.now, counts, tuple(running.failures), why)
            ended = connection_store.save_sync(work, ended, event)
            values: dict[str, Any] = {"progress": running.told("ended")}
            pause = timedelta(minutes=settings.sync_minutes)
            failed = phase is SyncPhase.FAILED
            if running.sync.scope is Scope.MODEL and not failed:
                values["due_at"] = max(work.now, (state.seen_at or work.now) + pause)
            else:
                values["due_at"] = work.now + pause
                if whole:  # never of one model alone
                    values["seen_at"] = running.begun
                # Where hardly anything is there, nothing but time or a person confirms it.
                if (whole or running.vanished) and running.sync.scope is Scope.FULL:
                    values["full_at"] = work.now + timedelta(hours=settings.sync_full_hours)
            settle = connection_store.put_back if failed else connection_store.fulfilled
            if settle(work, connection.id, running.asked):  # somebody has asked meanwhile
                values["due_at"] = work.now
            connection_store.move_state(work, state.connection, **values)
            if running.sync.scope is not Scope.MODEL or not whole:
                health = Health.HEALTHY if whole else Health.FAILING
                if moved := connection.felt(health, why):
                    connection_store.save(work, *moved)
        log.info("a registry was read", connection=ended.connection, phase=phase.value, why=why)
        self._progress({**running.told("ended"), "outcome": phase.value})
        return ended

    def _tell(self, running: Running, phase: str) -> None:
        told = running.told(phase)
        with self._parts.records.begin(INGEST, reason="progress") as work:
            self._demand_ours(work, running)
            connection_store.move_state(work, running.connection.id, progress=told)
        self._progress(told)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), _TOGETHER):
        yield items[begin : begin + _TOGETHER]
