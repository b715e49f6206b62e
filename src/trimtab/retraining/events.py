"""What happens to a retraining, as the ledger tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from trimtab.kernel.events import Event


@dataclass(frozen=True)
class Requested(Event):
    """A trigger, or a person, asks for a challenger."""

    kind: ClassVar[str] = "retraining.requested"

    model: str
    trigger: str
    incident: str | None
    champion: str
    champion_digest: str
    proposed_version: str
    data_from: datetime
    data_until: datetime
    policy_digest: str


@dataclass(frozen=True)
class Refused(Event):
    """Training is not the remedy, or the data are not fit for it."""

    kind: ClassVar[str] = "retraining.refused"

    model: str
    reason: str
    data_report: dict[str, Any] | None


@dataclass(frozen=True)
class DataChecked(Event):
    """The data were looked at before anything learnt from them."""

    kind: ClassVar[str] = "retraining.data_checked"

    model: str
    data_digest: str
    rows: int
    data_report: dict[str, Any]


@dataclass(frozen=True)
class AttemptFailed(Event):
    """A training process did not come back with a model; it may be tried again."""

    kind: ClassVar[str] = "retraining.attempt_failed"

    model: str
    attempt: int
    reason: str


@dataclass(frozen=True)
class Trained(Event):
    """A challenger exists; what it measured of itself is no comparison."""

    kind: ClassVar[str] = "retraining.trained"

    model: str
    challenger_digest: str
    metrics: dict[str, Any]
    attempt: int


@dataclass(frozen=True)
class Judged(Event):
    """The challenger was compared with the champion on the same later rows."""

    kind: ClassVar[str] = "retraining.judged"

    model: str
    champion: str
    challenger_digest: str
    decision: str
    reason: str
    comparison: dict[str, Any]


@dataclass(frozen=True)
class Submitted(Event):
    """The challenger was registered as a version, which has to be approved like any other."""

    kind: ClassVar[str] = "retraining.submitted"

    model: str
    champion: str
    version: str
    version_id: str
    challenger_digest: str


@dataclass(frozen=True)
class Kept(Event):
    """The champion stays."""

    kind: ClassVar[str] = "retraining.kept"

    model: str
    champion: str
    challenger_digest: str
    reason: str


@dataclass(frozen=True)
class Failed(Event):
    """There is no challenger: training failed, or nobody went on with it in time."""

    kind: ClassVar[str] = "retraining.failed"

    model: str
    before: str
    attempts: int
    reason: str
