"""Rows of incidents, and which signal went where. One unsettled incident for each cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.incidents.model import (
    SETTLED,
    Incident,
    Kind,
    Phase,
    Severity,
    Signal,
    number_of,
    numbered,
)
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import IncidentId, TenantId
from trimtab.platform.database import Json, Moment, decision_table, plain_table
from trimtab.platform.database import Kind as TableKind

INCIDENTS = decision_table(
    "incidents",
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("feature", sa.String(200)),
    sa.Column("cause_key", sa.String(200), nullable=False),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("signals", sa.Integer, nullable=False),
    sa.Column("last_signal_at", Moment, nullable=False),
    sa.Column("affected_tenants", Json, nullable=False),
    sa.Column("children", Json, nullable=False),
    sa.Column("merged_into", sa.String(80)),
    sa.Column("drift_start", Moment),
    sa.Column("detected_at", Moment, nullable=False),
    sa.Column("diagnosed_at", Moment),
    sa.Column("remediation_at", Moment),
    sa.Column("resolved_at", Moment),
    sa.Column("diagnosis", sa.String(80)),
    sa.Column("remediations", Json, nullable=False),
    sa.Column("resolution", sa.Text),
    sa.Column("due_at", Moment, index=True),
    sa.Index("ix_incidents_detected", "detected_at", "number"),
    sa.Index("ix_incidents_model", "model", "detected_at"),
)
_OPEN = [phase.value for phase in Phase if phase not in SETTLED]
_is_open = INCIDENTS.c.phase.in_([sa.literal_column(f"'{phase}'") for phase in _OPEN])
sa.Index(
    "uq_incidents_one_open",
    INCIDENTS.c.model,
    sa.func.coalesce(INCIDENTS.c.tenant, sa.literal_column("''")),
    INCIDENTS.c.cause_key,
    unique=True,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)

SIGNALS = plain_table(
    "incident_signals",
    TableKind.IDEMPOTENCY,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("tenant", sa.String(80), primary_key=True),
    sa.Column("cause_key", sa.String(200), primary_key=True),
    sa.Column("incident", sa.String(80), nullable=False, index=True),
)
"""Where each signal went, so that a signal that is delivered again changes nothing."""


def add(work: Work, incident: Incident, because: Event) -> Incident:
    """Keep a new incident.

    Raises:
        Conflict: its cause has an unsettled one, or its number was taken meanwhile.
    """
    work.create(INCIDENTS, _row(incident), because=because)
    return dataclasses.replace(incident, revision=1)


def save(work: Work, incident: Incident, because: Event) -> Incident:
    """Keep a moved incident over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(INCIDENTS, _row(incident), because=because)
    return dataclasses.replace(incident, revision=incident.revision + 1)


def remember(work: Work, signal: Signal, incident_id: IncidentId) -> None:
    """Keep that `signal` went to this incident."""
    row = {
        "sequence": signal.sequence,
        "tenant": signal.tenant or "",
        "cause_key": signal.cause_key,
        "incident": incident_id,
    }
    work.append(SIGNALS, [row])


def heard(reading: Reading, signal: Signal) -> IncidentId | None:
    """The incident that this very signal went to, or None if it is new."""
    row = reading.row(
        sa.select(SIGNALS.c.incident).where(
            SIGNALS.c.sequence == signal.sequence,
            SIGNALS.c.tenant == (signal.tenant or ""),
            SIGNALS.c.cause_key == signal.cause_key,
        )
    )
    return None if row is None else IncidentId(row["incident"])


def signals_of(
    reading: Reading, incident_id: str, *, after: int = 0, limit: int = 1000
) -> list[int]:
    """Ledger sequences of the signals that went to an incident, ascending."""
    query = (
        sa.select(SIGNALS.c.sequence)
        .where(SIGNALS.c.incident == incident_id, SIGNALS.c.sequence > after)
        .order_by(SIGNALS.c.sequence)
        .limit(limit)
    )
    return [row["sequence"] for row in reading.rows(query)]


def get(reading: Reading, incident_id: str) -> Incident:
    """The incident with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(INCIDENTS, incident_id)
    if row is None:
        raise NotFound("there is no such incident", field="incident")
    return _incident(row)


def by_key(
    reading: Reading, model: str, tenant: TenantId | None, cause_key: str
) -> Incident | None:
    """The unsettled incident of this cause in exactly this place, or None."""
    query = sa.select(INCIDENTS).where(
        INCIDENTS.c.model == model,
        _place(tenant),
        INCIDENTS.c.cause_key == cause_key,
        INCIDENTS.c.phase.in_(_OPEN),
    )
    row = reading.row(query)
    return None if row is None else _incident(row)


def of_tenants_by_key(reading: Reading, model: str, cause_key: str) -> list[Incident]:
    """The tenants' unsettled incidents of this cause, oldest first."""
    query = sa.select(INCIDENTS).where(
        INCIDENTS.c.model == model,
        INCIDENTS.c.tenant.is_not(None),
        INCIDENTS.c.cause_key == cause_key,
        INCIDENTS.c.phase.in_(_OPEN),
    )
    query = query.order_by(INCIDENTS.c.detected_at, INCIDENTS.c.number)
    return [_incident(row) for row in reading.rows(query)]


_ACTIVE = (
    sa.select(INCIDENTS)
    .where(INCIDENTS.c.phase.in_(_OPEN))
    .order_by(INCIDENTS.c.detected_at, INCIDENTS.c.number)
)


def active(reading: Reading, *, tenant: TenantId | None = None) -> list[Incident]:
    """All that are not settled, oldest first; a tenant sees its own and the global ones."""
    return [_incident(row) for row in reading.rows(_visible(_ACTIVE, tenant))]


def listed(
    reading: Reading,
    *,
    model: str | None = None,
    tenant: TenantId | None = None,
    phases: Collection[Phase] = (),
    before: str | None = None,
    limit: int = 100,
) -> list[Incident]:
    """Incidents, newest first; a tenant sees its own and the global ones.

    Args:
        reading: A reading transaction.
        model: Only of this model.
        tenant: What this tenant may see; None for everything.
        phases: Only in one of these; empty for all.
        before: Continue after this id, the last of the page before.
        limit: At most so many.

    Raises:
        NotFound: `before` is no incident, or another tenant's.
    """
    query = _visible(sa.select(INCIDENTS), tenant)
    if model is not None:
        query = query.where(INCIDENTS.c.model == model)
    if phases:
        query = query.where(INCIDENTS.c.phase.in_([phase.value for phase in phases]))
    if before is not None:
        last = get(reading, before)
        if tenant is not None and last.tenant not in (None, tenant):
            raise NotFound("there is no such incident", field="incident")
        query = query.where(
            (INCIDENTS.c.detected_at < last.detected_at)
            | (
                (INCIDENTS.c.detected_at == last.detected_at)
                & (INCIDENTS.c.number < number_of(last.id))
            )
        )
    query = query.order_by(INCIDENTS.c.detected_at.desc(), INCIDENTS.c.number.desc())
    return [_incident(row) for row in reading.rows(query.limit(limit))]


def due(reading: Reading, now: datetime, *, limit: int = 100) -> Sequence[str]:
    """Ids of the incidents whose recovery is to be measured by now."""
    query = (
        sa.select(INCIDENTS.c.id)
        .where(INCIDENTS.c.due_at <= now)
        .order_by(INCIDENTS.c.due_at, INCIDENTS.c.number)
        .limit(limit)
    )
    return [row["id"] for row in reading.rows(query)]


def next_due(reading: Reading) -> datetime | None:
    """When recovery is to be measured next, or None."""
    row = reading.row(sa.select(sa.func.min(INCIDENTS.c.due_at).label("at")))
    return None if row is None else row["at"]


def open_by_severity(reading: Reading) -> dict[str, int]:
    """How many are not settled, by severity; 0 where there is none."""
    number = sa.func.count().label("n")
    query = sa.select(INCIDENTS.c.severity, number).where(INCIDENTS.c.phase.in_(_OPEN))
    found = {row["severity"]: row["n"] for row in reading.rows(query.group_by("severity"))}
    return {severity.value: found.get(severity.value, 0) for severity in Severity}


def next_id(reading: Reading, day: date) -> IncidentId:
    """The next free id of a day. Rows are never deleted, so counting is enough; of two
    writers who count at once, the database refuses the second."""
    day_of = INCIDENTS.c.id.like(numbered(day, 0).removesuffix("000") + "%")
    row = reading.row(sa.select(sa.func.count().label("n")).where(day_of))
    return numbered(day, 1 + (row["n"] if row else 0))


def _place(tenant: TenantId | None) -> sa.ColumnElement[bool]:
    return INCIDENTS.c.tenant.is_(None) if tenant is None else INCIDENTS.c.tenant == tenant


def _visible(query: sa.Select[Any], tenant: TenantId | None) -> sa.Select[Any]:
    if tenant is None:
        return query
    return query.where((INCIDENTS.c.tenant == tenant) | INCIDENTS.c.tenant.is_(None))


def _row(incident: Incident) -> dict[str, Any]:
    row = {f.name: getattr(incident, f.name) for f in dataclasses.fields(incident)}
    return {
        **row,
        "number": number_of(incident.id),
        "kind": incident.kind.value,
        "severity": incident.severity.value,
        "phase": incident.phase.value,
        "affected_tenants": sorted(incident.affected_tenants),
        "children": list(incident.children),
        "remediations": list(incident.remediations),
    }


def _incident(row: sa.RowMapping) -> Incident:
    known = {f.name: row[f.name] for f in dataclasses.fields(Incident)}
    return Incident(
        **{
            **known,
            "kind": Kind(row["kind"]),
            "severity": Severity(row["severity"]),
            "phase": Phase(row["phase"]),
            "affected_tenants": frozenset(row["affected_tenants"]),
            "children": tuple(row["children"]),
            "remediations": tuple(row["remediations"]),
        }
    )
