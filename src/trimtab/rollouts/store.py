"""Rows of rollouts. The database allows one unsettled rollout for each place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Moment, decision_table
from trimtab.rollouts.model import SETTLED, Phase, Rollout

ROLLOUTS = decision_table(
    "rollouts",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("environment", sa.String(40), nullable=False),
    sa.Column("version_id", sa.String(80), nullable=False, index=True),
    sa.Column("version", sa.String(23), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("active_version", sa.String(23)),
    sa.Column("approval", sa.String(80), nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("steps", Json, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("intended_percent", sa.Double, nullable=False),
    sa.Column("observed_percent", sa.Double, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("looks_undecided", sa.Integer, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("step_since", Moment, nullable=False),
    sa.Column("due_at", Moment, index=True),
    sa.Column("last_analysis", Json),
    sa.Column("outcome_reason", sa.Text),
    sa.Index("ix_rollouts_model", "model", "started_at"),
)
_OPEN = [phase.value for phase in Phase if phase not in SETTLED]
_is_open = ROLLOUTS.c.phase.in_([sa.literal_column(f"'{phase}'") for phase in _OPEN])
sa.Index(
    "uq_rollouts_one_open",
    ROLLOUTS.c.model,
    sa.func.coalesce(ROLLOUTS.c.tenant, sa.literal_column("''")),
    ROLLOUTS.c.environment,
    unique=True,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)


def add(work: Work, rollout: Rollout, because: Event) -> Rollout:
    """Keep a new rollout.

    Raises:
        Conflict: the place has one that is not settled.
    """
    work.create(ROLLOUTS, _row(rollout), because=because)
    return dataclasses.replace(rollout, revision=1)


def save(work: Work, rollout: Rollout, because: Event) -> Rollout:
    """Keep a moved rollout over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(ROLLOUTS, _row(rollout), because=because)
    return dataclasses.replace(rollout, revision=rollout.revision + 1)


def get(reading: Reading, rollout_id: str) -> Rollout:
    """The rollout with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(ROLLOUTS, rollout_id)
    if row is None:
        raise NotFound("there is no such rollout", field="rollout")
    return _rollout(row)


_UNSETTLED = (
    sa.select(ROLLOUTS)
    .where(ROLLOUTS.c.phase.in_(_OPEN))
    .order_by(ROLLOUTS.c.started_at, ROLLOUTS.c.id)
)


def unsettled(reading: Reading) -> list[Rollout]:
    """All that are not settled, oldest first."""
    return [_rollout(row) for row in reading.rows(_UNSETTLED)]


def open_by_phase(reading: Reading) -> dict[str, int]:
    """How many are not settled, by phase; 0 where there is none."""
    number = sa.func.count().label("n")
    query = sa.select(ROLLOUTS.c.phase, number).where(ROLLOUTS.c.phase.in_(_OPEN))
    found = {row["phase"]: row["n"] for row in reading.rows(query.group_by("phase"))}
    return {phase: found.get(phase, 0) for phase in _OPEN}


_DUE = (
    sa.select(ROLLOUTS.c.id)
    .where(ROLLOUTS.c.due_at <= sa.bindparam("now"))
    .order_by(ROLLOUTS.c.due_at, ROLLOUTS.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def due(reading: Reading, now: datetime, *, limit: int = 100) -> Sequence[str]:
    """Ids of the rollouts that are to be looked at by now."""
    return [row["id"] for row in reading.rows(_DUE, {"now": now, "most": limit})]


def next_due(reading: Reading) -> datetime | None:
    """When the next look is due, or None."""
    row = reading.row(sa.select(sa.func.min(ROLLOUTS.c.due_at).label("at")))
    return None if row is None else row["at"]


def of_model(
    reading: Reading,
    model: str | None = None,
    *,
    tenant: TenantId | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[Rollout]:
    """Rollouts, newest first; a tenant sees its own and the global ones.

    `after` is the id of the last one of the page before: many may be of one moment.

    Raises:
        NotFound: `after` is no rollout, or another tenant's.
    """
    query = sa.select(ROLLOUTS).order_by(ROLLOUTS.c.started_at.desc(), ROLLOUTS.c.id.desc())
    query = query.limit(limit)
    if model is not None:
        query = query.where(ROLLOUTS.c.model == model)
    if tenant is not None:
        query = query.where((ROLLOUTS.c.tenant == tenant) | ROLLOUTS.c.tenant.is_(None))
    if after is not None:
        last = get(reading, after)
        if tenant is not None and last.tenant not in (None, tenant):
            raise NotFound("there is no such rollout", field="rollout")
        beside = (ROLLOUTS.c.started_at == last.started_at) & (ROLLOUTS.c.id < last.id)
        query = query.where((ROLLOUTS.c.started_at < last.started_at) | beside)
    return [_rollout(row) for row in reading.rows(query)]


def of_versions(reading: Reading, version_ids: Sequence[str]) -> list[Rollout]:
    """All rollouts of these versions, oldest first."""
    query = sa.select(ROLLOUTS).where(ROLLOUTS.c.version_id.in_(version_ids))
    query = query.order_by(ROLLOUTS.c.started_at, ROLLOUTS.c.id)
    return [_rollout(row) for row in reading.rows(query)]


def _row(rollout: Rollout) -> dict[str, object]:
    row = {f.name: getattr(rollout, f.name) for f in dataclasses.fields(rollout)}
    return {**row, "steps": list(rollout.steps), "phase": rollout.phase.value}


def _rollout(row: sa.RowMapping) -> Rollout:
    return Rollout(**{**row, "steps": tuple(row["steps"]), "phase": Phase(row["phase"])})
