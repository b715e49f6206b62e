"""Rows of diagnoses; each is written once."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from trimtab.audit.work import Reading, Work
from trimtab.diagnosis.model import Analysis, Diagnosis
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event, plain
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Moment, decision_table

DIAGNOSES = decision_table(
    "diagnoses",
    sa.Column("incident", sa.String(80), nullable=False),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("analysis", Json, nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Index("ix_diagnoses_incident", "incident", "made_at"),
    sa.Index("ix_diagnoses_model", "model", "made_at"),
)

_analyses = TypeAdapter(Analysis)


def add(work: Work, diagnosis: Diagnosis, because: Event) -> Diagnosis:
    """Keep a new diagnosis."""
    work.create(DIAGNOSES, _row(diagnosis), because=because)
    return dataclasses.replace(diagnosis, revision=1)


def get(reading: Reading, diagnosis_id: str) -> Diagnosis:
    """The diagnosis with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.row(sa.select(DIAGNOSES).where(DIAGNOSES.c.id == diagnosis_id))
    if row is None:
        raise NotFound("there is no such diagnosis", field="diagnosis")
    return _diagnosis(row)


def newest_of(reading: Reading, incident: str) -> Diagnosis | None:
    """The diagnosis that was made last for an incident, or None."""
    rows = of_incident(reading, incident)
    return rows[-1] if rows else None


_OF_INCIDENT = (
    sa.select(DIAGNOSES)
    .where(DIAGNOSES.c.incident == sa.bindparam("incident"))
    .order_by(DIAGNOSES.c.made_at, DIAGNOSES.c.id)
)


def of_incident(reading: Reading, incident: str) -> list[Diagnosis]:
    """Every diagnosis of an incident, oldest first."""
    return [_diagnosis(row) for row in reading.rows(_OF_INCIDENT, {"incident": incident})]


def of_model(
    reading: Reading, model: str, *, tenant: TenantId | None = None, limit: int = 100
) -> list[Diagnosis]:
    """Diagnoses of a model, newest first; a tenant sees its own and the global ones."""
    query = sa.select(DIAGNOSES).where(DIAGNOSES.c.model == model)
    if tenant is not None:
        query = query.where((DIAGNOSES.c.tenant == tenant) | DIAGNOSES.c.tenant.is_(None))
    query = query.order_by(DIAGNOSES.c.made_at.desc(), DIAGNOSES.c.id.desc()).limit(limit)
    return [_diagnosis(row) for row in reading.rows(query)]


def _row(diagnosis: Diagnosis) -> dict[str, Any]:
    row = {f.name: getattr(diagnosis, f.name) for f in dataclasses.fields(diagnosis)}
    return {
        **row,
        "verdict": diagnosis.analysis.verdict.value,
        "analysis": plain(diagnosis.analysis),
    }


def _diagnosis(row: sa.RowMapping) -> Diagnosis:
    known = {f.name: row[f.name] for f in dataclasses.fields(Diagnosis)}
    return Diagnosis(**{**known, "analysis": _analyses.validate_python(row["analysis"])})
