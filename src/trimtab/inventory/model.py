"""Connections to other registries, cycles of reading them, and what becomes of each record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.inventory.record import Record, Stage
from trimtab.kernel.errors import InvalidMove
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId


class Mode(StrEnum):
    """What a connection may do to the registry at its other end."""

    OBSERVE = "observe"
    """Nothing: it reads."""


class Health(StrEnum):
    """How reading a registry goes."""

    NEW = "new"
    """Nothing was read yet."""
    HEALTHY = "healthy"
    """What is on record is as new as is asked for."""
    LAGGING = "lagging"
    """What is on record is older than is asked for."""
    FAILING = "failing"
    """The last cycle ended without an answer from the registry."""


@dataclass(frozen=True)
class Auth:
    """How a registry is told who asks: `none`, `basic`, `bearer` or `headers`. `secrets` names
    each part (`username`, `password`, `token`, or a header) with a reference to where it lies,
    never with what it is."""

    kind: str = "none"
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Connection:
    """Somebody else's registry that is read. `tenant` None: it is the fleet's.

    `networks` are addresses that are not public and may be reached for it all the same, as an
    administrator of the platform has said. `tag_map` changes how tags are read (None: as
    shipped). `webhook` refers to the secret that its messages are signed with. One with a
    `removed_at` is read no more for good, and is there for its history.
    """

    id: str
    tenant: TenantId | None
    kind: str
    name: str
    url: str
    mode: Mode
    auth: Auth
    networks: tuple[str, ...]
    tag_map: Mapping[str, Any] | None
    webhook: str | None
    paused: bool
    health: Health
    health_reason: str
    server: str
    identity: str
    may_write: bool | None
    warnings: tuple[str, ...]
    created_by: str
    created_at: datetime
    removed_at: datetime | None = None
    revision: int = 0

    def known_as(
        self, server: str, identity: str, may_write: bool | None, warnings: tuple[str, ...]
    ) -> tuple[Connection, ConnectionProbed] | None:
        """The connection after a look at who answers; None: nothing is new about it."""
        seen = replace(
            self, server=server, identity=identity, may_write=may_write, warnings=warnings
        )
        if seen == self:
            return None
        event = ConnectionProbed(self.id, self.tenant, server, identity, may_write, list(warnings))
        return seen, event

    def felt(self, health: Health, reason: str) -> tuple[Connection, HealthChanged] | None:
        """The connection with another health, or another reason why it fails; None: it has these
        already."""
        if health is self.health and (health is not Health.FAILING or reason == self.health_reason):
            return None
        event = HealthChanged(self.id, self.tenant, self.name, self.health, health, reason)
        return replace(self, health=health, health_reason=reason), event

    def changed(
        self,
        *,
        auth: Auth | None,
        networks: tuple[str, ...] | None,
        tag_map: Mapping[str, Any] | None,
        webhook: str | None,
    ) -> tuple[Connection, ConnectionChanged] | None:
        """The connection with what is given in the place of what it had; None: it has that
        already. An empty tag map is the one that is shipped."""
        other = replace(
            self,
            auth=self.auth if auth is None else auth,
            networks=self.networks if networks is None else networks,
            tag_map=self.tag_map if tag_map is None else dict(tag_map) or None,
            webhook=self.webhook if webhook is None else webhook,
        )
        if other == self:
            return None
        changes: dict[str, Any] = {}
        if other.auth != self.auth:
            changes["auth"] = other.auth.kind
        if other.networks != self.networks:
            changes["networks"] = list(other.networks)
        if other.tag_map != self.tag_map:
            changes["tag_map"] = other.tag_map
        if other.webhook != self.webhook:
            changes["webhook"] = other.webhook
        event = ConnectionChanged(self.id, self.tenant, self.name, changes)
        return other, event

    def pause(self, paused: bool) -> tuple[Connection, ConnectionChanged]:
        """The connection, not read any more, or read again."""
        if paused is self.paused:
            raise InvalidMove(f"connection {self.name} is {'' if paused else 'not '}paused already")
        event = ConnectionChanged(self.id, self.tenant, self.name, {"paused": paused})
        return replace(self, paused=paused), event

    def remove(self, at: datetime) -> tuple[Connection, ConnectionRemoved]:
        """The connection, never read again."""
        self.demand_there()
        event = ConnectionRemoved(self.id, self.tenant, self.name, self.url)
        return replace(self, paused=True, removed_at=at), event

    def demand_there(self) -> None:
        """Make sure that it was not removed; else it is an InvalidMove."""
        if self.removed_at is not None:
            raise InvalidMove(
                f"connection {self.name} was removed at {self.removed_at:%Y-%m-%d %H:%M} UTC",
                remedy="connect the registry anew; what was read before stays on record",
            )


class SyncPhase(StrEnum):
    """How a cycle of reading stands, or ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """Everything was read."""
    PARTIAL = "partial"
    """Some of it could not be read; what could be is on record."""
    FAILED = "failed"
    """The registry did not answer, or not as one does. What was read before that is on record,
    and nothing was taken to be gone."""


class Scope(StrEnum):
    """How much a cycle reads."""

    CHANGES = "changes"
    """What a scan shows to be new or another, and what is to be tried again."""
    FULL = "full"
    """Everything, whatever the scan shows."""
    MODEL = "model"
    """One model, because the registry said that something happened to it."""


@dataclass(frozen=True)
class Counts:
    """What a cycle came to. `seen` versions stand in the registry; of `added`, `changed`,
    `removed` and `returned` ones the record moved; `incomplete` could not be read in full."""

    models: int = 0
    seen: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    returned: int = 0
    incomplete: int = 0
    malformed: int = 0


@dataclass(frozen=True)
class Failure:
    """What could not be read of one version, or of a page."""

    model: str | None
    version: int | None
    reason: str


@dataclass(frozen=True)
class Sync:
    """One cycle of reading a registry: when, as whom, from where, what came of it."""

    id: str
    connection: str
    tenant: TenantId | None
    scope: Scope
    model: str | None
    phase: SyncPhase
    url: str
    identity: str
    started_at: datetime
    ended_at: datetime | None
    counts: Counts
    failures: tuple[Failure, ...]
    reason: str
    revision: int = 0

    @property
    def ended(self) -> bool:
        """Whether it has come to an end."""
        return self.phase is not SyncPhase.RUNNING

    def end(
        self,
        phase: SyncPhase,
        at: datetime,
        counts: Counts,
        failures: tuple[Failure, ...],
        reason: str,
    ) -> tuple[Sync, SyncEnded]:
        """The cycle at its end; `failures` are those that are kept."""
        if self.ended:
            raise InvalidMove(f"sync {self.id} has ended already")
        ended = replace(
            self, phase=phase, ended_at=at, counts=counts, failures=failures, reason=reason
        )
        event = SyncEnded(
            self.id, self.tenant, self.connection, phase, counts, list(failures), reason
        )
        return ended, event


@dataclass(frozen=True)
class Placement:
    """Where a version stands in its registry: its stage, and the names that point to it."""

    stage: Stage
    aliases: tuple[str, ...]

    @classmethod
    def of(cls, record: Record) -> Placement:
        """Where a record says that its version stands."""
        return cls(record.stage, record.aliases)


@dataclass(frozen=True)
class Entry:
    """A record as it stands, or stood: what it says, since when, and how it was judged.

    `number` counts its revisions from 1. `removed`: its registry has it no more; what was
    known is kept. `inspection` is the worst that was found in its files, None where nobody has
    looked yet.
    """

    id: str
    connection: str
    tenant: TenantId | None
    number: int
    since: datetime
    removed: bool
    inspection: str | None
    record: Record
    compliance: Mapping[str, Any]


@dataclass(frozen=True)
class ConnectionCreated(Event):
    """From now on a registry is read."""

    kind: ClassVar[str] = "connection.created"

    name: str
    registry: str
    url: str
    mode: Mode
    auth: str
    networks: list[str]


@dataclass(frozen=True)
class ConnectionChanged(Event):
    """Something about a connection is another one from now on."""

    kind: ClassVar[str] = "connection.changed"

    name: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class ConnectionRemoved(Event):
    """A registry is read no more. What was read of it is kept, and counts no more."""

    kind: ClassVar[str] = "connection.removed"

    name: str
    url: str


@dataclass(frozen=True)
class ConnectionProbed(Event):
    """A registry showed who it is, and as whom it knows us."""

    kind: ClassVar[str] = "connection.probed"

    server: str
    identity: str
    may_write: bool | None
    warnings: list[str]


@dataclass(frozen=True)
class HealthChanged(Event):
    """Reading a registry goes better, or worse, than it did."""

    kind: ClassVar[str] = "connection.health_changed"

    name: str
    before: Health
    after: Health
    why: str


@dataclass(frozen=True)
class SyncStarted(Event):
    """A cycle of reading began, from this address and as this identity."""

    kind: ClassVar[str] = "sync.started"

    connection: str
    scope: Scope
    model: str | None
    url: str
    identity: str


@dataclass(frozen=True)
class SyncEnded(Event):
    """A cycle of reading came to its end."""

    kind: ClassVar[str] = "sync.ended"

    connection: str
    phase: SyncPhase
    counts: Counts
    failures: list[Failure]
    why: str


@dataclass(frozen=True)
class RecordAdded(Event):
    """A version was seen in a registry for the first time, standing where it stood."""

    kind: ClassVar[str] = "record.added"

    connection: str
    model: str
    version: int
    placement: Placement
    incomplete: str | None


@dataclass(frozen=True)
class RecordChanged(Event):
    """A version says something else than before, in these fields; it stands where it stood."""

    kind: ClassVar[str] = "record.changed"

    connection: str
    model: str
    version: int
    fields: list[str]
    incomplete: str | None


@dataclass(frozen=True)
class RecordPlaced(Event):
    """A version was moved in its registry, to another stage or under other names. It was moved
    between `not_before`, when it was last seen where it stood, and the moment of this entry."""

    kind: ClassVar[str] = "record.placed"

    connection: str
    model: str
    version: int
    before: Placement
    after: Placement
    not_before: datetime
    fields: list[str]
    incomplete: str | None


@dataclass(frozen=True)
class RecordRemoved(Event):
    """A registry says that it has a version no more. What was known is kept, and what we serve
    does not follow."""

    kind: ClassVar[str] = "record.removed"

    connection: str
    model: str
    version: int
    before: Placement


@dataclass(frozen=True)
class RecordDisconnected(RecordRemoved):
    """A version counts no more, because its connection was removed: whether its registry has it
    nobody asks any more. What was known is kept."""

    kind: ClassVar[str] = "record.disconnected"


@dataclass(frozen=True)
class RecordReturned(Event):
    """A version that its registry had no more is there again."""

    kind: ClassVar[str] = "record.returned"

    connection: str
    model: str
    version: int
    placement: Placement


@dataclass(frozen=True)
class RecordInspected(Event):
    """The files of a version were looked into, without any of them being run. `isolation` says
    what the process that looked was kept from."""

    kind: ClassVar[str] = "record.inspected"

    connection: str
    model: str
    version: int
    result: str
    files: int
    findings: list[str]
    isolation: dict[str, str]


@dataclass(frozen=True)
class RecordEvaluated(Event):
    """A record was held against other rules, or other waivers, than before."""

    kind: ClassVar[str] = "record.evaluated"

    connection: str
    model: str
    version: int
    rulebook: str
    gaps_before: list[str]
    gaps_after: list[str]


@dataclass(frozen=True)
class WaiverGranted(Event):
    """Somebody answers for a gap until a day."""

    kind: ClassVar[str] = "waiver.granted"

    rule: str
    connection: str
    model: str
    version: int | None
    expires_at: datetime


@dataclass(frozen=True)
class WaiverRevoked(Event):
    """A waiver counts no more."""

    kind: ClassVar[str] = "waiver.revoked"

    rule: str
    model: str


@dataclass(frozen=True)
class RulebookAdopted(Event):
    """From now on records are held against these rules."""

    kind: ClassVar[str] = "rulebook.adopted"

    version: str
    rules: list[str]
