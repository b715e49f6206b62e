"""Incidents: what broke, why, what next?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.diagnosis import store as diagnoses
from trimtab.diagnosis.model import Diagnosis
from trimtab.incidents import store
from trimtab.incidents.model import Incident
from trimtab.incidents.timeline import TimelineLine, timeline
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import store as monitoring
from trimtab.monitoring.model import Window
from trimtab.policies.operation import Monitoring
from trimtab.registry import deployment_store
from trimtab.registry import store as registry
from trimtab.registry.model import Version
from trimtab.remediation import store as remediation
from trimtab.remediation.model import Remediation
from trimtab.web import evidence, plans, telling
from trimtab.web.evidence import Evidence
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import PartsOf, Visitor, looking
from trimtab.web.versions import Number
from trimtab.workflows.parts import ENVIRONMENT, Parts, policy_of
from trimtab.workflows.repair import PlanDrawnUp

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGE = 50
_WINDOWS = 400
_BESIDE = 8
"""Windows that are drawn before an incident, and after it."""
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class IncidentList:
    """What is broken now, and what was."""

    open: tuple[Incident, ...]
    settled: tuple[Incident, ...]
    older: str | None
    now: datetime


@dataclass(frozen=True)
class Remedy:
    """A remedy, the answer of the safety gate to it, and what came back."""

    remedy: Remediation
    checks: tuple[Mapping[str, Any], ...]
    recovery: tuple[Number, ...]

    @property
    def refusals(self) -> tuple[Mapping[str, Any], ...]:
        """What the gate found in the way."""
        return tuple(check for check in self.checks if not check["passed"])


@dataclass(frozen=True)
class IncidentPage:
    """What is shown of one incident."""

    incident: Incident
    tenants: tuple[str, ...]
    others: int
    evidence: Evidence
    diagnosis: Diagnosis | None
    plan: tuple[plans.Line, ...]
    advice: tuple[plans.Line, ...]
    remedies: tuple[Remedy, ...]
    timeline: tuple[TimelineLine, ...]
    names: Mapping[str, str]
    linked: bool
    now: datetime

    def who(self, actor: str) -> str:
        """An actor's name."""
        return telling.who(actor, self.names)


@router.get("/incidents")
def incident_list(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("incidents:read")],
    before: Annotated[str | None, Query(max_length=40)] = None,
) -> Response:
    """What is broken?"""
    with parts.records.look() as reading:
        broken = store.active(reading, tenant=visitor.tenant)
        listed = store.listed(reading, tenant=visitor.tenant, before=before, limit=_PAGE)
        now = reading.now
    shown = IncidentList(
        open=tuple(sorted(broken, key=lambda i: (-i.severity.rank, i.detected_at))),
        settled=tuple(i for i in listed if i.settled),
        older=f"/incidents?before={listed[-1].id}" if len(listed) == _PAGE else None,
        now=now,
    )
    return page(
        request, "incidents.html", shown, title="Incidents", active="incidents", visitor=visitor
    )


@router.get("/incidents/{incident}")
def incident_page(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, looking("incidents:read")],
    incident: str,
) -> Response:
    """One incident, from its first signal to its measured end."""
    with parts.records.look() as reading:
        shown = read(reading, parts, visitor, incident)
    return page(
        request, "incident.html", shown, title=incident, active="incidents", visitor=visitor
    )


def read(reading: Reading, parts: Parts, visitor: Visitor, incident_id: str) -> IncidentPage:
    """The page, from one look at the records.

    Raises:
        NotFound: there is no such incident, or it is another tenant's.
    """
    incident = store.get(reading, incident_id)
    visitor.demand_sight(incident.tenant, "incident")
    model = registry.model_named(reading, incident.model)
    tier, _digest = policy_of(parts, model)
    windows = _around(reading, incident, tier.monitoring)
    affected = sorted(incident.affected_tenants)
    seen = [t for t in affected if visitor.sees(TenantId(t))]
    remedies = (
        remediation.of_incident(reading, incident.id) if visitor.may("remediations:read") else []
    )
    seen_remedies = [r for r in remedies if visitor.sees(r.tenant)]
    diagnosis = diagnoses.newest_of(reading, incident.id)
    lines = () if diagnosis is None else _plan(reading, incident, diagnosis, seen_remedies)
    return IncidentPage(
        incident=incident,
        tenants=tuple(seen),
        others=len(affected) - len(seen),
        evidence=evidence.read(
            reading,
            parts.blobs,
            incident,
            _stable_then(reading, incident),
            windows,
            tier.monitoring,
        ),
        diagnosis=diagnosis,
        plan=lines,
        advice=() if diagnosis is None else plans.advice(diagnosis.analysis, lines),
        remedies=_remedies(seen_remedies),
        timeline=tuple(reversed(timeline(reading, incident.id, tenant=visitor.tenant))),
        names=telling.names(reading),
        linked=visitor.tenant is None and visitor.may("audit:read"),
        now=reading.now,
    )


def _plan(
    reading: Reading, incident: Incident, diagnosis: Diagnosis, remedies: Sequence[Remediation]
) -> tuple[plans.Line, ...]:
    """The lines of the plan that a diagnosis led to; it is kept in the ledger alone."""
    kinds = (PlanDrawnUp.kind,)
    for entry in ledger.entries(
        reading.connection, ref=diagnosis.id, kinds=kinds, newest_first=True, limit=1
    ):
        steps = (entry.data or {}).get("steps") or ()
        return plans.plan(steps, incident, diagnosis.analysis, remedies)
    return ()


def _remedies(found: Sequence[Remediation]) -> tuple[Remedy, ...]:
    return tuple(
        Remedy(
            remedy=remedy,
            checks=tuple((remedy.gate or {}).get("checks", ())),
            recovery=plans.recovery(remedy.measured_recovery),
        )
        for remedy in found
    )


def _around(reading: Reading, incident: Incident, demands: Monitoring) -> list[Window]:
    """The windows from some before an incident to some after it, however long ago it was."""
    length = timedelta(hours=demands.window_hours)
    since = (incident.drift_start or incident.detected_at) - _BESIDE * length
    until = (incident.resolved_at or reading.now) + _BESIDE * length
    return monitoring.windows(
        reading,
        incident.model,
        incident.tenant,
        since=since,
        until=min(until, since + _WINDOWS * length),
        limit=_WINDOWS,
    )


def _stable_then(reading: Reading, incident: Incident) -> Version | None:
    """What was stable when the incident was detected, its tenant's own or the global one: what
    was trained since has learnt from the incident itself, and shows no difference to it."""
    for moment in (incident.detected_at, incident.detected_at + _INSTANT):
        stable = {
            place.tenant: place
            for place in deployment_store.stable_before(
                reading, incident.model, ENVIRONMENT, moment
            )
        }
        place = stable.get(incident.tenant) or stable.get(None)
        if place is not None:
            return registry.find_version(reading, incident.model, place.version)
    return None
