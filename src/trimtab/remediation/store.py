"""Rows of remedies, their permits and the kill switches.

The database itself allows one remedy in flight for each target, one permit for each
remedy, and one switch for each scope.
"""

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
from trimtab.policies.operation import ActionName
from trimtab.remediation.model import IN_FLIGHT, Phase, Remediation
from trimtab.remediation.permits import ActionPermit
from trimtab.remediation.switches import Scope, Switch

REMEDIATIONS = decision_table(
    "remediations",
    sa.Column("incident", sa.String(80), nullable=False, index=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("environment", sa.String(40), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("args", Json, nullable=False),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("requested_by", sa.String(80), nullable=False),
    sa.Column("automatic", sa.Boolean, nullable=False),
    sa.Column("cause_type", sa.String(40)),
    sa.Column("confidence", sa.Double),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("proposed_at", Moment, nullable=False),
    sa.Column("gate", Json),
    sa.Column("permit", sa.String(80)),
    sa.Column("fence", sa.Integer),
    sa.Column("started_at", Moment),
    sa.Column("executed_at", Moment),
    sa.Column("result", Json),
    sa.Column("measured_recovery", Json),
    sa.Column("settled_at", Moment),
    sa.Column("reason", sa.Text),
    sa.Column("due_at", Moment, index=True),
    sa.Column("deadline", Moment),
    sa.Index("ix_remediations_target", "target", "started_at"),
    sa.Index("ix_remediations_model", "model", "proposed_at"),
)
_is_in_flight = REMEDIATIONS.c.phase.in_(
    [sa.literal_column(f"'{phase.value}'") for phase in sorted(IN_FLIGHT)]
)
sa.Index(
    "uq_remediations_one_in_flight",
    REMEDIATIONS.c.target,
    unique=True,
    sqlite_where=_is_in_flight,
    postgresql_where=_is_in_flight,
)

ACTION_PERMITS = decision_table(
    "action_permits",
    sa.Column("remediation", sa.String(80), nullable=False, unique=True),
    sa.Column("incident", sa.String(80), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("args_digest", sa.String(71), nullable=False),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("issued_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("consumed_at", Moment),
)

KILL_SWITCHES = decision_table(
    "kill_switches",
    sa.Column("scope", sa.String(10), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("set", sa.Boolean, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("by", sa.String(80), nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Index("uq_kill_switches_scope", "scope", "name", unique=True),
)

_R = REMEDIATIONS.c


def add(work: Work, remediation: Remediation, because: Event) -> Remediation:
    """Keep a new remedy."""
    work.create(REMEDIATIONS, _row(remediation), because=because)
    return dataclasses.replace(remediation, revision=1)


def save(work: Work, remediation: Remediation, because: Event) -> Remediation:
    """Keep a moved remedy over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile, or its target has another in flight.
    """
    work.replace(REMEDIATIONS, _row(remediation), because=because)
    return dataclasses.replace(remediation, revision=remediation.revision + 1)


def get(reading: Reading, remediation_id: str) -> Remediation:
    """The remedy with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(REMEDIATIONS, remediation_id)
    if row is None:
        raise NotFound("there is no such remediation", field="remediation")
    return _remediation(row)


def of_incident(reading: Reading, incident: str) -> list[Remediation]:
    """Everything that was proposed because of an incident, oldest first."""
    query = sa.select(REMEDIATIONS).where(_R.incident == incident)
    return [_remediation(row) for row in reading.rows(query.order_by(_R.proposed_at, _R.id))]


def listed(
    reading: Reading,
    *,
    model: str | None = None,
    tenant: TenantId | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Remediation]:
    """Remedies, newest first; a tenant sees its own and those for the fleet.

    `before` is the id of the last one of the page before: many may be of one moment.

    Raises:
        NotFound: `before` is no remedy, or another tenant's.
    """
    query = sa.select(REMEDIATIONS).order_by(_R.proposed_at.desc(), _R.id.desc()).limit(limit)
    if model is not None:
        query = query.where(_R.model == model)
    if tenant is not None:
        query = query.where((_R.tenant == tenant) | _R.tenant.is_(None))
    if before is not None:
        last = get(reading, before)
        if tenant is not None and last.tenant not in (None, tenant):
            raise NotFound("there is no such remediation", field="remediation")
        beside = (_R.proposed_at == last.proposed_at) & (_R.id < last.id)
        query = query.where((_R.proposed_at < last.proposed_at) | beside)
    return [_remediation(row) for row in reading.rows(query)]


def waiting(reading: Reading, incident: str, action: ActionName, target: str) -> list[Remediation]:
    """Those for this incident, action and target that the gate has not answered."""
    query = sa.select(REMEDIATIONS).where(
        _R.incident == incident,
        _R.action == action.value,
        _R.target == target,
        _R.phase == Phase.PROPOSED.value,
    )
    return [_remediation(row) for row in reading.rows(query.order_by(_R.proposed_at, _R.id))]


def in_flight(reading: Reading, target: str, *, other_than: str) -> str | None:
    """Id of another remedy in flight on this target, or None."""
    query = sa.select(_R.id).where(_R.target == target, _R.id != other_than)
    row = reading.row(query.where(_R.phase.in_([p.value for p in IN_FLIGHT])).limit(1))
    return None if row is None else row["id"]


@dataclasses.dataclass(frozen=True)
class Group:
    """How many remedies of a tenant, of one action, stand in one phase, and how many of them
    were begun."""

    tenant: TenantId | None
    action: str
    phase: Phase
    number: int
    begun: int


def counted(reading: Reading) -> list[Group]:
    """All remedies, counted by tenant, action and phase."""
    by = (_R.tenant, _R.action, _R.phase)
    number, begun = sa.func.count(_R.id), sa.func.count(_R.started_at)
    rows = reading.rows(sa.select(*by, number.label("n"), begun.label("begun")).group_by(*by))
    return [
        Group(row["tenant"], row["action"], Phase(row["phase"]), row["n"], row["begun"])
        for row in rows
    ]


def last_acted_at(reading: Reading, target: str) -> datetime | None:
    """When an action on this target was last begun or finished, however it ended."""
    query = sa.select(
        sa.func.max(_R.started_at).label("began"), sa.func.max(_R.executed_at).label("finished")
    ).where(_R.target == target)
    row = reading.row(query)
    moments = [] if row is None else [row[x] for x in ("began", "finished") if row[x] is not None]
    return max(moments, default=None)


def starts_on(reading: Reading, target: str, *, after: datetime | None = None) -> int:
    """How many actions were started on this target, ever or after a moment."""
    query = sa.select(sa.func.count().label("n")).where(
        _R.target == target, _R.started_at.is_not(None)
    )
    if after is not None:
        query = query.where(_R.started_at > after)
    row = reading.row(query)
    return 0 if row is None else int(row["n"])


def attempts_started(reading: Reading, incident: str, action: ActionName) -> int:
    """How often this action was started because of this incident."""
    query = sa.select(sa.func.count().label("n")).where(
        _R.incident == incident, _R.action == action.value, _R.started_at.is_not(None)
    )
    row = reading.row(query)
    return 0 if row is None else int(row["n"])


_DUE = (
    sa.select(_R.id)
    .where(_R.due_at <= sa.bindparam("now"))
    .order_by(_R.due_at, _R.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def due(reading: Reading, now: datetime, *, limit: int = 100) -> Sequence[str]:
    """Ids of the remedies that are to be looked at by now."""
    return [row["id"] for row in reading.rows(_DUE, {"now": now, "most": limit})]


def next_due(reading: Reading) -> datetime | None:
    """When the next one is to be looked at, or None."""
    row = reading.row(sa.select(sa.func.min(_R.due_at).label("at")))
    return None if row is None else row["at"]


def add_permit(work: Work, permit: ActionPermit, because: Event) -> ActionPermit:
    """Keep a permit whose seal was verified.

    Raises:
        Conflict: the remedy has one.
    """
    work.create(ACTION_PERMITS, _permit_row(permit), because=because)
    return dataclasses.replace(permit, revision=1)


def use_permit(work: Work, permit: ActionPermit, because: Event) -> ActionPermit:
    """Keep a permit as used.

    Raises:
        Conflict: somebody used it meanwhile.
    """
    work.replace(ACTION_PERMITS, _permit_row(permit), because=because)
    return dataclasses.replace(permit, revision=permit.revision + 1)


def permit_by_id(reading: Reading, permit_id: str) -> ActionPermit:
    """The permit with this id.

    Raises:
        NotFound: there is none; nothing is allowed then.
    """
    row = reading.row(sa.select(ACTION_PERMITS).where(ACTION_PERMITS.c.id == permit_id))
    if row is None:
        raise NotFound("there is no such action permit", field="permit")
    return ActionPermit(**row)


def add_switch(work: Work, switch: Switch, because: Event) -> Switch:
    """Keep a kill switch that was never there."""
    work.create(KILL_SWITCHES, dataclasses.asdict(switch), because=because)
    return dataclasses.replace(switch, revision=1)


def save_switch(work: Work, switch: Switch, because: Event) -> Switch:
    """Keep a turned kill switch over the revision it was computed from.

    Raises:
        Conflict: somebody turned it meanwhile.
    """
    work.replace(KILL_SWITCHES, dataclasses.asdict(switch), because=because)
    return dataclasses.replace(switch, revision=switch.revision + 1)


def switch(reading: Reading, scope: Scope, name: str) -> Switch | None:
    """The kill switch of this scope, or None if nobody has ever set it."""
    query = sa.select(KILL_SWITCHES).where(
        KILL_SWITCHES.c.scope == scope.value, KILL_SWITCHES.c.name == name
    )
    row = reading.row(query)
    return None if row is None else _switch(row)


def switches_set(reading: Reading) -> list[Switch]:
    """All kill switches that are set, oldest first."""
    query = sa.select(KILL_SWITCHES).where(KILL_SWITCHES.c.set.is_(True))
    return [
        _switch(row)
        for row in reading.rows(query.order_by(KILL_SWITCHES.c.since, KILL_SWITCHES.c.id))
    ]


def _row(remediation: Remediation) -> dict[str, Any]:
    row = {f.name: getattr(remediation, f.name) for f in dataclasses.fields(remediation)}
    return {**row, "phase": remediation.phase.value, "action": remediation.action.value}


def _remediation(row: sa.RowMapping) -> Remediation:
    return Remediation(**{**row, "phase": Phase(row["phase"]), "action": ActionName(row["action"])})


def _permit_row(permit: ActionPermit) -> dict[str, Any]:
    return {f.name: getattr(permit, f.name) for f in dataclasses.fields(permit)}


def _switch(row: sa.RowMapping) -> Switch:
    return Switch(**{**row, "scope": Scope(row["scope"])})
