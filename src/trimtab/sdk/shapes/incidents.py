"""Incidents, their causes, and what is done about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from trimtab.sdk.shapes.base import NO_NUL, Answer, Reason, Request, described


class TimelineShape(Answer):
    """A line of an incident's timeline, read off the ledger."""

    at: datetime
    sequence: int
    kind: str
    text: str
    actor: str


class IncidentShape(Answer):
    """Something that broke, or might have."""

    id: str
    model: str
    tenant: str | None
    kind: str
    feature: str | None
    severity: str
    title: str
    phase: str
    drift_start: datetime | None
    detected_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    diagnosis: str | None
    remediations: list[str]
    timeline: list[TimelineShape] = Field(default_factory=list)


class CauseShape(Answer):
    """A candidate cause."""

    type: str
    feature: str | None
    confidence: float
    evidence_for: list[str]
    evidence_against: list[str]
    contributing_factors: list[dict[str, Any]] = Field(default_factory=list)
    values: dict[str, Any] = Field(default_factory=dict)


class RootCauseShape(Answer):
    """What broke, as far as the evidence tells; no cause is a legal answer."""

    incident_id: str
    verdict: str
    root_cause: CauseShape | None
    causes: list[CauseShape]
    timeline: dict[str, datetime | None]
    recommendations: list[dict[str, Any]]


class NewRemediation(Request):
    """An action that somebody asks for. The safety check cannot be switched off."""

    incident_id: Annotated[str, Field(min_length=1, max_length=80), described(NO_NUL)]
    """The incident that it is to help against."""
    action: Literal["notify_team", "rollback_model", "retrain_model"]
    """What is to be done."""
    safety_check: bool = True
    """Only true is taken: the gate cannot be switched off."""
    reason: Reason


class KillSwitchShape(Answer):
    """What stops every action on the fleet, on a model or on a tenant."""

    scope: str
    name: str
    set: bool
    why: str
    by: str
    since: datetime


class RemediationShape(Answer):
    """What was done, or refused, about an incident."""

    id: str
    incident: str
    model: str
    tenant: str | None
    action: str
    automatic: bool
    phase: str
    gate_decision: str
    gate_checks: list[dict[str, Any]]
    measured_recovery: dict[str, Any] | None
    reason: str | None


class RetrainingShape(Answer):
    """A run that was to make a challenger."""

    id: str
    model: str
    tenant: str | None
    trigger: str
    incident: str | None
    champion: str
    proposed_version: str
    phase: str
    data_from: datetime
    data_until: datetime
    rows: int | None
    metrics: dict[str, Any] | None
    comparison: dict[str, Any] | None
    reason: str | None
    requested_at: datetime
    settled_at: datetime | None
