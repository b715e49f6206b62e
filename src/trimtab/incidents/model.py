"""An incident: one cause in one place, from its first signal to its measured end.

Signals of the same cause join the incident there is. Its severity only rises while it is
open. It ends because recovery was measured or a person says so, never by silence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from trimtab.incidents.events import (
    Acting,
    Diagnosed,
    Escalated,
    Merged,
    Opened,
    Resolved,
    SeverityRaised,
    SignalAdded,
    Verifying,
)
from trimtab.kernel.errors import InvalidInput, InvalidMove, NotPermitted
from trimtab.kernel.ids import DiagnosisId, IncidentId, RemediationId, TenantId


class Phase(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    """Detected; nobody has looked into it yet."""
    DIAGNOSED = "diagnosed"
    """A diagnosis stands, which may be that no cause was found."""
    ACTING = "acting"
    """A remedy is under way."""
    VERIFYING = "verifying"
    """A remedy was applied; whether it helped is being measured."""
    ESCALATED = "escalated"
    """It waits for a person; automation starts nothing more."""
    RESOLVED = "resolved"
    """Recovery was measured, or a person closed it."""
    MERGED = "merged"
    """A wider incident of the same cause has taken it in."""


SETTLED = frozenset({Phase.RESOLVED, Phase.MERGED})

MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.OPEN: frozenset({Phase.DIAGNOSED, Phase.ESCALATED, Phase.RESOLVED, Phase.MERGED}),
    Phase.DIAGNOSED: frozenset(
        {Phase.DIAGNOSED, Phase.ACTING, Phase.ESCALATED, Phase.RESOLVED, Phase.MERGED}
    ),
    Phase.ACTING: frozenset({Phase.ACTING, Phase.VERIFYING, Phase.ESCALATED}),
    Phase.VERIFYING: frozenset({Phase.VERIFYING, Phase.ACTING, Phase.ESCALATED, Phase.RESOLVED}),
    Phase.ESCALATED: frozenset({Phase.ESCALATED, Phase.ACTING, Phase.RESOLVED}),
    Phase.RESOLVED: frozenset(),
    Phase.MERGED: frozenset(),
}


class Kind(StrEnum):
    """What was noticed first."""

    DATA_DRIFT = "data_drift"
    STRUCTURE = "structure"
    """Nulls, a constant or frozen column, another schema."""
    VANISHED_CATEGORY = "vanished_category"
    NEW_CATEGORY = "new_category"
    PERFORMANCE = "performance"
    ROLLOUT_ROLLED_BACK = "rollout_rolled_back"
    SERVICE = "service"
    """Latency, errors or a gateway that is not heard of."""
    OTHER = "other"


class Severity(StrEnum):
    """How bad it is; ordered."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Signal:
    """A ledger entry that says something is wrong.

    `sequence` is that entry's number. `cause_key` names the supposed cause within a model
    and speaks of no tenant (`drift:distance_miles`). `tenant` None is the fleet. `title`
    is a sentence. `data` are the values that were judged, as plain JSON types.
    """

    sequence: int
    model: str
    tenant: TenantId | None
    kind: Kind
    cause_key: str
    severity: Severity
    title: str
    at: datetime
    feature: str | None = None
    drift_start: datetime | None = None
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class Incident:
    """One cause in one place, and what became of it.

    `signals` counts every signal, the first included. `affected_tenants` are those that
    signals came from. `children` are the tenants' incidents that this global one took in
    or stands beside. `due_at` is when recovery is to be measured next.
    """

    id: IncidentId
    model: str
    tenant: TenantId | None
    kind: Kind
    feature: str | None
    cause_key: str
    severity: Severity
    title: str
    phase: Phase
    signals: int
    last_signal_at: datetime
    affected_tenants: frozenset[str]
    children: tuple[IncidentId, ...]
    merged_into: IncidentId | None
    drift_start: datetime | None
    detected_at: datetime
    diagnosed_at: datetime | None
    remediation_at: datetime | None
    resolved_at: datetime | None
    diagnosis: DiagnosisId | None
    remediations: tuple[RemediationId, ...]
    resolution: str | None
    due_at: datetime | None
    revision: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing can move it any more."""
        return self.phase in SETTLED

    def join(self, signal: Signal) -> tuple[Incident, SignalAdded, SeverityRaised | None]:
        """The incident with one more signal; severity rises with it and never falls.

        Raises:
            InvalidMove: it is settled; the signal opens another incident.
        """
        if self.settled:
            raise self._refusal("take a signal")
        worse = signal.severity.rank > self.severity.rank
        starts = [at for at in (self.drift_start, signal.drift_start) if at is not None]
        joined = replace(
            self,
            signals=self.signals + 1,
            last_signal_at=max(self.last_signal_at, signal.at),
            severity=signal.severity if worse else self.severity,
            affected_tenants=self.affected_tenants | _tenant(signal.tenant),
            drift_start=min(starts, default=None),
        )
        added = SignalAdded(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            signal=signal.sequence,
            signal_kind=signal.kind.value,
            signal_tenant=signal.tenant,
            severity=signal.severity.value,
            title=signal.title,
            signals=joined.signals,
            data=signal.data or {},
        )
        raised = SeverityRaised(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            before=self.severity.value,
            after=joined.severity.value,
            signal=signal.sequence,
        )
        return joined, added, raised if worse else None

    def diagnose(
        self, diagnosis: DiagnosisId, verdict: str, summary: str, at: datetime
    ) -> tuple[Incident, Diagnosed]:
        """A diagnosis stands; a later one replaces it. Only an open incident changes phase.

        Raises:
            InvalidMove: it is settled.
        """
        if self.settled:
            raise self._refusal("be diagnosed")
        phase = Phase.DIAGNOSED if self.phase is Phase.OPEN else self.phase
        event = Diagnosed(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            diagnosis=diagnosis,
            verdict=verdict,
            summary=summary,
        )
        first = self.diagnosed_at or at
        return replace(self, phase=phase, diagnosis=diagnosis, diagnosed_at=first), event

    def act(
        self, remediation: RemediationId, action: str, at: datetime, *, by_person: bool
    ) -> tuple[Incident, Acting]:
        """A remedy is under way; the first one's time is kept.

        Raises:
            InvalidMove: not diagnosed, or settled.
            NotPermitted: it is escalated, and no person orders this.
        """
        self._demand(Phase.ACTING)
        if self.phase is Phase.ESCALATED and not by_person:
            raise NotPermitted(
                f"incident {self.id} is escalated: automation starts nothing more",
                remedy="a person decides what is done next",
            )
        event = Acting(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            remediation=remediation,
            action=action,
        )
        moved = replace(
            self,
            phase=Phase.ACTING,
            remediations=(*self.remediations, remediation),
            remediation_at=self.remediation_at or at,
            due_at=None,
        )
        return moved, event

    def verify(self, look_at: datetime) -> tuple[Incident, Verifying]:
        """Recovery is to be measured at `look_at`; also to look again later.

        Raises:
            InvalidMove: no remedy was under way.
        """
        self._demand(Phase.VERIFYING)
        event = Verifying(subject=self.id, tenant=self.tenant, model=self.model, look_at=look_at)
        return replace(self, phase=Phase.VERIFYING, due_at=look_at), event

    def resolve(
        self, resolution: str, evidence: dict[str, Any], at: datetime, *, by_person: bool
    ) -> tuple[Incident, Resolved]:
        """It is over: recovery was measured, or a person says so.

        Raises:
            InvalidMove: a remedy is under way, or it is settled.
            InvalidInput: no person, and no measured value: silence is not recovery.
        """
        self._demand(Phase.RESOLVED)
        if not by_person and not evidence:
            raise InvalidInput(
                f"incident {self.id} cannot be resolved without a measured recovery",
                field="evidence",
                remedy="give the values that show it, or let a person resolve it",
            )
        event = Resolved(
            subject=self.id,
            tenant=self.tenant,
            model=self.model,
            resolution=resolution,
            measured=bool(evidence),
            evidence=evidence,
        )
        ended = replace(
            self, phase=Phase.RESOLVED, resolution=resolution, resolved_at=at, due_at=None
        )
        return ended, event

    def escalate(self, why: str) -> tuple[Incident, Escalated]:
        """It waits for a person.

        Raises:
            InvalidMove: it is settled.
        """
        self._demand(Phase.ESCALATED)
        event = Escalated(
            subject=self.id, tenant=self.tenant, model=self.model, before=self.phase.value, why=why
        )
        return replace(self, phase=Phase.ESCALATED, due_at=None), event

    def merge(self, into: IncidentId, at: datetime) -> tuple[Incident, Merged]:
        """A wider incident of the same cause takes it in.

        Raises:
            InvalidMove: a remedy is under way, or a person has it; neither may lose it.
        """
        self._demand(Phase.MERGED)
        event = Merged(subject=self.id, tenant=self.tenant, model=self.model, into=into)
        ended = replace(
            self,
            phase=Phase.MERGED,
            merged_into=into,
            resolution=f"taken into {into}, which has the same cause in more than one place",
            resolved_at=at,
            due_at=None,
        )
        return ended, event

    def _demand(self, to: Phase) -> None:
        if to not in MOVES[self.phase]:
            raise self._refusal(f"become {to.value}")

    def _refusal(self, what: str) -> InvalidMove:
        possible = ", ".join(sorted(MOVES[self.phase])) or "nothing: it is settled"
        parent = f"; it was taken into {self.merged_into}" if self.merged_into else ""
        return InvalidMove(
            f"incident {self.id} is {self.phase.value} and cannot {what}{parent}",
            remedy=f"possible from here: {possible}",
        )


def opened(
    signal: Signal, incident_id: IncidentId, at: datetime, absorbed: tuple[Incident, ...] = ()
) -> tuple[Incident, Opened]:
    """A new incident for `signal`, over the tenants' incidents of its cause, if any."""
    worst = max([signal.severity, *(child.severity for child in absorbed)], key=lambda s: s.rank)
    starts = [signal.drift_start, *(child.drift_start for child in absorbed)]
    incident = Incident(
        id=incident_id,
        model=signal.model,
        tenant=signal.tenant,
        kind=signal.kind,
        feature=signal.feature,
        cause_key=signal.cause_key,
        severity=worst,
        title=signal.title,
        phase=Phase.OPEN,
        signals=1,
        last_signal_at=signal.at,
        affected_tenants=frozenset().union(
            _tenant(signal.tenant), *(child.affected_tenants for child in absorbed)
        ),
        children=tuple(child.id for child in absorbed),
        merged_into=None,
        drift_start=min((start for start in starts if start is not None), default=None),
        detected_at=at,
        diagnosed_at=None,
        remediation_at=None,
        resolved_at=None,
        diagnosis=None,
        remediations=(),
        resolution=None,
        due_at=None,
    )
    event = Opened(
        subject=incident_id,
        tenant=signal.tenant,
        model=signal.model,
        incident_kind=signal.kind.value,
        feature=signal.feature,
        cause_key=signal.cause_key,
        severity=worst.value,
        title=signal.title,
        drift_start=incident.drift_start,
        signal=signal.sequence,
        children=list(incident.children),
        data=signal.data or {},
    )
    return incident, event


def numbered(day: date, number: int) -> IncidentId:
    """`inc-YYYY-MM-DD-NNN`: the day of detection in UTC, and the count of that day from 1."""
    return IncidentId(f"inc-{day.isoformat()}-{number:03d}")


def number_of(incident_id: IncidentId) -> int:
    """The count within its day that an id carries."""
    return int(incident_id.rsplit("-", 1)[1])


def _tenant(tenant: TenantId | None) -> frozenset[str]:
    return frozenset() if tenant is None else frozenset({str(tenant)})
