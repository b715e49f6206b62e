"""What happens to a remedy, as the ledger tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from trimtab.kernel.events import Event


@dataclass(frozen=True)
class Proposed(Event):
    """Somebody, or a plan, wants to act; nothing is decided."""

    kind: ClassVar[str] = "remediation.proposed"

    incident: str
    model: str
    target: str
    action: str
    args: dict[str, str]
    automatic: bool
    cause_type: str | None
    confidence: float | None
    policy_digest: str
    attempt: int


@dataclass(frozen=True)
class Permitted(Event):
    """The safety gate found every limit kept, and signed a permit."""

    kind: ClassVar[str] = "remediation.permitted"

    incident: str
    model: str
    target: str
    action: str
    permit: str
    expires_at: datetime
    gate: dict[str, Any]


@dataclass(frozen=True)
class Refused(Event):
    """The safety gate said no; every check is listed."""

    kind: ClassVar[str] = "remediation.refused"

    incident: str
    model: str
    target: str
    action: str
    reason: str
    gate: dict[str, Any]


@dataclass(frozen=True)
class Started(Event):
    """The permit was used up; the action is being carried out."""

    kind: ClassVar[str] = "remediation.started"

    incident: str
    model: str
    target: str
    action: str
    permit: str
    fence: int
    lease_until: datetime


@dataclass(frozen=True)
class Heartbeat(Event):
    """Whoever carries it out is still at it."""

    kind: ClassVar[str] = "remediation.heartbeat"

    incident: str
    target: str
    lease_until: datetime


@dataclass(frozen=True)
class Executed(Event):
    """The action was carried out; whether it helped is not known."""

    kind: ClassVar[str] = "remediation.executed"

    incident: str
    model: str
    target: str
    action: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Verifying(Event):
    """Recovery is being measured, and could not be told yet."""

    kind: ClassVar[str] = "remediation.verifying"

    incident: str
    model: str
    target: str
    action: str
    reason: str
    recovery: dict[str, Any] | None
    look_at: datetime


@dataclass(frozen=True)
class Recovered(Event):
    """What the remedy was for has come back, and that was measured."""

    kind: ClassVar[str] = "remediation.recovered"

    incident: str
    model: str
    target: str
    action: str
    reason: str
    recovery: dict[str, Any]


@dataclass(frozen=True)
class NoEffect(Event):
    """It was carried out, was measured, and has not helped."""

    kind: ClassVar[str] = "remediation.no_effect"

    incident: str
    model: str
    target: str
    action: str
    reason: str
    recovery: dict[str, Any] | None


@dataclass(frozen=True)
class Failed(Event):
    """It could not be carried out, stopped answering, or made things worse."""

    kind: ClassVar[str] = "remediation.failed"

    incident: str
    model: str
    target: str
    action: str
    before: str
    reason: str
    recovery: dict[str, Any] | None


@dataclass(frozen=True)
class Compensated(Event):
    """What a failed remedy had changed was undone."""

    kind: ClassVar[str] = "remediation.compensated"

    incident: str
    model: str
    target: str
    action: str
    inverse: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Escalated(Event):
    """Nothing acts any more; a person has to."""

    kind: ClassVar[str] = "remediation.escalated"

    incident: str
    model: str
    target: str
    action: str
    before: str
    reason: str


@dataclass(frozen=True)
class Aborted(Event):
    """It was stopped. `may_have_acted` says whether something of it may stand."""

    kind: ClassVar[str] = "remediation.aborted"

    incident: str
    model: str
    target: str
    action: str
    before: str
    may_have_acted: bool
    reason: str


@dataclass(frozen=True)
class SwitchSet(Event):
    """A kill switch was set: nothing in its scope is remedied by action any more."""

    kind: ClassVar[str] = "kill_switch.set"

    scope: str
    name: str
    why: str


@dataclass(frozen=True)
class SwitchCleared(Event):
    """A person cleared a kill switch."""

    kind: ClassVar[str] = "kill_switch.cleared"

    scope: str
    name: str
    why: str
