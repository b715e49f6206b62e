"""Rows of retrainings. The database allows one unsettled run for each model and tenant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Moment, decision_table
from trimtab.registry.model import TrainingTrigger
from trimtab.retraining.model import SETTLED, Phase, Retraining

RETRAININGS = decision_table(
    "retrainings",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("trigger", sa.String(30), nullable=False),
    sa.Column("incident", sa.String(80), index=True),
    sa.Column("champion", sa.String(23), nullable=False),
    sa.Column("champion_digest", sa.String(71), nullable=False),
    sa.Column("proposed_version", sa.String(23), nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("data_from", Moment, nullable=False),
    sa.Column("data_until", Moment, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("requested_at", Moment, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("data_digest", sa.String(71)),
    sa.Column("rows", sa.BigInteger),
    sa.Column("data_report", Json),
    sa.Column("challenger_digest", sa.String(71)),
    sa.Column("cutoff", sa.Double),
    sa.Column("metrics", Json),
    sa.Column("comparison", Json),
    sa.Column("version_id", sa.String(80)),
    sa.Column("reason", sa.Text),
    sa.Column("settled_at", Moment),
    sa.Column("due_at", Moment, index=True),
    sa.Index("ix_retrainings_model", "model", "requested_at"),
)
_C = RETRAININGS.c
_OPEN = [phase.value for phase in Phase if phase not in SETTLED]
_is_open = _C.phase.in_([sa.literal_column(f"'{phase}'") for phase in _OPEN])
sa.Index(
    "uq_retrainings_one_open",
    _C.model,
    sa.func.coalesce(_C.tenant, sa.literal_column("''")),
    unique=True,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)


def add(work: Work, retraining: Retraining, because: Event) -> Retraining:
    """Keep a new run.

    Raises:
        Conflict: the model and tenant have one that is not settled.
    """
    work.create(RETRAININGS, _row(retraining), because=because)
    return dataclasses.replace(retraining, revision=1)


def save(work: Work, retraining: Retraining, because: Event) -> Retraining:
    """Keep a moved run over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(RETRAININGS, _row(retraining), because=because)
    return dataclasses.replace(retraining, revision=retraining.revision + 1)


def get(reading: Reading, retraining_id: str) -> Retraining:
    """The run with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.row(sa.select(RETRAININGS).where(_C.id == retraining_id))
    if row is None:
        raise NotFound("there is no such retraining", field="retraining")
    return _retraining(row)


def unsettled(reading: Reading, model: str, tenant: TenantId | None) -> Retraining | None:
    """The run of this model and tenant that has not ended, or None."""
    query = sa.select(RETRAININGS).where(
        _C.model == model,
        _C.tenant.is_(None) if tenant is None else _C.tenant == tenant,
        _C.phase.in_(_OPEN),
    )
    row = reading.row(query)
    return None if row is None else _retraining(row)


def of_incident(reading: Reading, incident: str) -> list[Retraining]:
    """The runs because of an incident, oldest first."""
    query = sa.select(RETRAININGS).where(_C.incident == incident)
    return [_retraining(row) for row in reading.rows(query.order_by(_C.requested_at, _C.id))]


def last_settled_at(reading: Reading, model: str, tenant: TenantId | None) -> datetime | None:
    """When a run of this model and tenant last ended in a comparison, or None."""
    query = sa.select(sa.func.max(_C.settled_at).label("at")).where(
        _C.model == model,
        _C.tenant.is_(None) if tenant is None else _C.tenant == tenant,
        _C.phase.in_([Phase.SUBMITTED.value, Phase.KEPT.value]),
    )
    row = reading.row(query)
    return None if row is None else row["at"]


def listed(
    reading: Reading,
    *,
    model: str | None = None,
    tenant: TenantId | None = None,
    before: datetime | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[Retraining]:
    """Runs, newest first; a tenant sees its own and those for the fleet.

    `after` is the id of the last one of the page before: many may be of one moment.

    Raises:
        NotFound: `after` is no run, or another tenant's.
    """
    query = sa.select(RETRAININGS).order_by(_C.requested_at.desc(), _C.id.desc()).limit(limit)
    if model is not None:
        query = query.where(_C.model == model)
    if tenant is not None:
        query = query.where((_C.tenant == tenant) | _C.tenant.is_(None))
    if before is not None:
        query = query.where(_C.requested_at < before)
    if after is not None:
        last = get(reading, after)
        if tenant is not None and last.tenant not in (None, tenant):
            raise NotFound("there is no such retraining", field="retraining")
        beside = (_C.requested_at == last.requested_at) & (_C.id < last.id)
        query = query.where((_C.requested_at < last.requested_at) | beside)
    return [_retraining(row) for row in reading.rows(query)]


_DUE = (
    sa.select(_C.id)
    .where(_C.due_at <= sa.bindparam("now"))
    .order_by(_C.due_at, _C.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def due(reading: Reading, now: datetime, *, limit: int = 100) -> Sequence[str]:
    """Ids of the runs whose deadline has passed by now."""
    return [row["id"] for row in reading.rows(_DUE, {"now": now, "most": limit})]


def next_due(reading: Reading) -> datetime | None:
    """When the next deadline is, or None."""
    row = reading.row(sa.select(sa.func.min(_C.due_at).label("at")))
    return None if row is None else row["at"]


def _row(retraining: Retraining) -> dict[str, Any]:
    row = {f.name: getattr(retraining, f.name) for f in dataclasses.fields(retraining)}
    return {**row, "phase": retraining.phase.value, "trigger": retraining.trigger.value}


def _retraining(row: sa.RowMapping) -> Retraining:
    return Retraining(
        **{**row, "phase": Phase(row["phase"]), "trigger": TrainingTrigger(row["trigger"])}
    )
