"""What happens to an incident, as the ledger has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from trimtab.kernel.events import Event, Note


@dataclass(frozen=True)
class Opened(Event):
    """A signal found no incident of its cause. `signal` is that entry's sequence."""

    kind: ClassVar[str] = "incident.opened"

    model: str
    incident_kind: str
    feature: str | None
    cause_key: str
    severity: str
    title: str
    drift_start: datetime | None
    signal: int
    children: list[str]
    data: dict[str, Any]


@dataclass(frozen=True)
class SignalAdded(Event):
    """One more signal of the same cause; `signals` is how many there are now."""

    kind: ClassVar[str] = "incident.signal_added"

    model: str
    signal: int
    signal_kind: str
    signal_tenant: str | None
    severity: str
    title: str
    signals: int
    data: dict[str, Any]


@dataclass(frozen=True)
class SeverityRaised(Note):
    """A signal was worse than all before it."""

    kind: ClassVar[str] = "incident.severity_raised"

    model: str
    before: str
    after: str
    signal: int


@dataclass(frozen=True)
class Diagnosed(Event):
    """A diagnosis was attached; `summary` is its sentence."""

    kind: ClassVar[str] = "incident.diagnosed"

    model: str
    diagnosis: str
    verdict: str
    summary: str


@dataclass(frozen=True)
class Acting(Event):
    """A remedy is under way."""

    kind: ClassVar[str] = "incident.acting"

    model: str
    remediation: str
    action: str


@dataclass(frozen=True)
class Verifying(Event):
    """Whether the remedy helped is measured at `look_at`."""

    kind: ClassVar[str] = "incident.verifying"

    model: str
    look_at: datetime


@dataclass(frozen=True)
class Resolved(Event):
    """It is over; `measured` says whether values show it or a person's word does."""

    kind: ClassVar[str] = "incident.resolved"

    model: str
    resolution: str
    measured: bool
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Escalated(Event):
    """It waits for a person."""

    kind: ClassVar[str] = "incident.escalated"

    model: str
    before: str
    why: str


@dataclass(frozen=True)
class Merged(Event):
    """A wider incident of the same cause has taken it in."""

    kind: ClassVar[str] = "incident.merged"

    model: str
    into: str


@dataclass(frozen=True)
class Commented(Note):
    """Somebody wrote something down about it."""

    kind: ClassVar[str] = "incident.commented"

    model: str
    text: str
