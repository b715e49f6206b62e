"""Rows of approvals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from trimtab.approvals.model import Approval, Phase, Step, Target, Vote
from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event, plain
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Moment, decision_table
from trimtab.registry.store import MODELS

APPROVALS = decision_table(
    "approvals",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("version_id", sa.String(80), nullable=False, index=True),
    sa.Column("target", Json, nullable=False),
    sa.Column("requested_by", sa.String(80), nullable=False),
    sa.Column("requested_person", sa.String(80)),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("steps", Json, nullable=False),
    sa.Column("min_people", sa.Integer, nullable=False),
    sa.Column("excluded", Json, nullable=False),
    sa.Column("votes", Json, nullable=False),
    sa.Column("criteria", Json, nullable=False),
    sa.Column("automatic", sa.Boolean, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("requested_at", Moment, nullable=False),
    sa.Column("decided_at", Moment),
    sa.Column("due_at", Moment, index=True),
)

_votes = TypeAdapter(tuple[Vote, ...])


def add(work: Work, approval: Approval, because: Event) -> Approval:
    """Keep a new request."""
    work.create(APPROVALS, _row(approval), because=because)
    return dataclasses.replace(approval, revision=1)


def save(work: Work, approval: Approval, because: Event) -> Approval:
    """Keep a moved request over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(APPROVALS, _row(approval), because=because)
    return dataclasses.replace(approval, revision=approval.revision + 1)


def get(reading: Reading, approval_id: str) -> Approval:
    """The approval with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(APPROVALS, approval_id)
    if row is None:
        raise NotFound("there is no such approval", field="approval")
    return _approval(row)


def of_version(reading: Reading, version_id: str) -> list[Approval]:
    """Everything that was asked for a version, oldest first."""
    return of_versions(reading, (version_id,))


def of_versions(reading: Reading, version_ids: Sequence[str]) -> list[Approval]:
    """Everything that was asked for these versions, oldest first."""
    query = sa.select(APPROVALS).where(APPROVALS.c.version_id.in_(version_ids))
    query = query.order_by(APPROVALS.c.requested_at, APPROVALS.c.id)
    return [_approval(row) for row in reading.rows(query)]


def listed(
    reading: Reading,
    *,
    phase: Phase | None = None,
    tenant: TenantId | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Approval]:
    """Requests, newest first; a tenant sees its own and the global ones.

    `before` is the id of the last one of the page before: many may be of one moment.

    Raises:
        NotFound: `before` is no request, or another tenant's.
    """
    query = sa.select(APPROVALS).order_by(APPROVALS.c.requested_at.desc(), APPROVALS.c.id.desc())
    if phase is not None:
        query = query.where(APPROVALS.c.phase == phase.value)
    if tenant is not None:
        query = query.where((APPROVALS.c.tenant == tenant) | APPROVALS.c.tenant.is_(None))
    if before is not None:
        last = get(reading, before)
        if tenant is not None and last.target.tenant not in (None, tenant):
            raise NotFound("there is no such approval", field="approval")
        beside = (APPROVALS.c.requested_at == last.requested_at) & (APPROVALS.c.id < last.id)
        query = query.where((APPROVALS.c.requested_at < last.requested_at) | beside)
    return [_approval(row) for row in reading.rows(query.limit(limit))]


def waiting_by_tier(reading: Reading) -> dict[int, int]:
    """How many requests are pending, by the tier of the model; 0 where there is none."""
    pending = (APPROVALS.c.model == MODELS.c.name) & (APPROVALS.c.phase == Phase.PENDING.value)
    number = sa.func.count(APPROVALS.c.id).label("n")
    query = sa.select(MODELS.c.tier, number).select_from(MODELS.outerjoin(APPROVALS, pending))
    return {row["tier"]: row["n"] for row in reading.rows(query.group_by(MODELS.c.tier))}


_DUE = (
    sa.select(APPROVALS.c.id)
    .where(APPROVALS.c.due_at <= sa.bindparam("now"))
    .order_by(APPROVALS.c.due_at, APPROVALS.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def due(reading: Reading, now: datetime, *, limit: int = 100) -> Sequence[str]:
    """Ids of what has expired by now."""
    return [row["id"] for row in reading.rows(_DUE, {"now": now, "most": limit})]


def next_due(reading: Reading) -> datetime | None:
    """When the next one expires, or None."""
    row = reading.row(sa.select(sa.func.min(APPROVALS.c.due_at).label("at")))
    return None if row is None else row["at"]


def _row(approval: Approval) -> dict[str, Any]:
    row = {f.name: getattr(approval, f.name) for f in dataclasses.fields(approval)}
    return {
        **row,
        "model": approval.target.model,
        "tenant": approval.target.tenant,
        "version_id": approval.target.version_id,
        "target": plain(approval.target),
        "steps": plain(approval.steps),
        "excluded": plain(approval.excluded),
        "votes": plain(approval.votes),
        "criteria": plain(approval.criteria),
        "phase": approval.phase.value,
    }


def _approval(row: sa.RowMapping) -> Approval:
    names = {f.name for f in dataclasses.fields(Approval)}
    known = {name: value for name, value in row.items() if name in names}
    return Approval(
        **{
            **known,
            "target": Target(**row["target"]),
            "steps": tuple(Step(**step) for step in row["steps"]),
            "excluded": frozenset(row["excluded"]),
            "votes": _votes.validate_python(row["votes"]),
            "criteria": tuple(row["criteria"]),
            "phase": Phase(row["phase"]),
        }
    )
