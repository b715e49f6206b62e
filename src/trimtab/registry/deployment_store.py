"""Rows of deployments and permits. The database itself allows one stable and one canary."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from trimtab.audit import ledger
from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Moment, decision_table
from trimtab.registry.deployments import Deployed, Deployment, DeploymentMoved
from trimtab.registry.permits import Permit, PermitConsumed, PermitIssued
from trimtab.registry.store import FACTS, VERSIONS, Facts

DEPLOYMENTS = decision_table(
    "deployments",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("environment", sa.String(40), nullable=False),
    sa.Column("version", sa.String(23), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("percent", sa.Double, nullable=False),
    sa.Column("salt", sa.String(80), nullable=False),
    sa.Column("permit", sa.String(80), nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Index("ix_deployments_place", "model", "environment", "state"),
)
for _state in (Deployment.STABLE, Deployment.CANARY):
    sa.Index(
        f"uq_deployments_one_{_state.value}",
        DEPLOYMENTS.c.model,
        sa.func.coalesce(DEPLOYMENTS.c.tenant, sa.literal_column("''")),
        DEPLOYMENTS.c.environment,
        unique=True,
        sqlite_where=DEPLOYMENTS.c.state == sa.literal_column(f"'{_state.value}'"),
        postgresql_where=DEPLOYMENTS.c.state == sa.literal_column(f"'{_state.value}'"),
    )

PERMITS = decision_table(
    "permits",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("version", sa.String(23), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("environment", sa.String(40), nullable=False),
    sa.Column("max_percent", sa.Double, nullable=False),
    sa.Column("approval", sa.String(80), nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("issued_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("consumed_at", Moment),
)

_MOVES = 1000
"""More than one deployment makes: a step of a ladder each, and its end."""

CARRYING = (Deployment.STABLE.value, Deployment.CANARY.value, Deployment.SHADOW.value)


def begin(work: Work, deployed: Deployed, because: DeploymentMoved) -> Deployed:
    """Keep a new deployment.

    Raises:
        Conflict: the place already has a stable version, or a canary.
    """
    work.create(DEPLOYMENTS, _row(deployed), because=because)
    return dataclasses.replace(deployed, revision=1)


def save(work: Work, deployed: Deployed, because: Event) -> Deployed:
    """Keep a moved deployment over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile, or the place is taken.
    """
    work.replace(DEPLOYMENTS, _row(deployed), because=because)
    return dataclasses.replace(deployed, revision=deployed.revision + 1)


_IN_PLACE = (
    sa.select(DEPLOYMENTS)
    .where(
        DEPLOYMENTS.c.model == sa.bindparam("model"),
        DEPLOYMENTS.c.environment == sa.bindparam("environment"),
        DEPLOYMENTS.c.state == sa.bindparam("state"),
    )
    .order_by(DEPLOYMENTS.c.since.desc(), DEPLOYMENTS.c.id.desc())
    .limit(1)
)
_IN_PLACE_OF_FLEET = _IN_PLACE.where(DEPLOYMENTS.c.tenant.is_(None))
_IN_PLACE_OF_TENANT = _IN_PLACE.where(DEPLOYMENTS.c.tenant == sa.bindparam("tenant"))


def in_place(
    reading: Reading,
    model: str,
    tenant: TenantId | None,
    environment: str,
    state: Deployment,
) -> Deployed | None:
    """The newest deployment in this place and state, or None."""
    place = {"model": model, "environment": environment, "state": state.value}
    if tenant is None:
        row = reading.row(_IN_PLACE_OF_FLEET, place)
    else:
        row = reading.row(_IN_PLACE_OF_TENANT, {**place, "tenant": tenant})
    return None if row is None else _deployed(row)


_CARRYING = (
    sa.select(DEPLOYMENTS)
    .where(
        DEPLOYMENTS.c.environment == sa.bindparam("environment"), DEPLOYMENTS.c.state.in_(CARRYING)
    )
    .order_by(DEPLOYMENTS.c.model, DEPLOYMENTS.c.tenant, DEPLOYMENTS.c.state, DEPLOYMENTS.c.id)
)


def carrying(reading: Reading, environment: str, *, model: str | None = None) -> list[Deployed]:
    """Everything that carries traffic in an environment, by model and tenant."""
    query = _CARRYING if model is None else _CARRYING.where(DEPLOYMENTS.c.model == model)
    return [_deployed(row) for row in reading.rows(query, {"environment": environment})]


_ANSWERING = (
    sa.select(DEPLOYMENTS, *FACTS)
    .join(
        VERSIONS,
        (VERSIONS.c.model == DEPLOYMENTS.c.model) & (VERSIONS.c.version == DEPLOYMENTS.c.version),
    )
    .where(
        DEPLOYMENTS.c.model.in_(sa.bindparam("models", expanding=True)),
        DEPLOYMENTS.c.environment.in_(sa.bindparam("environments", expanding=True)),
        DEPLOYMENTS.c.state.in_(
            sa.literal_column(f"'{state.value}'")
            for state in (Deployment.STABLE, Deployment.CANARY)
        ),
        DEPLOYMENTS.c.tenant.is_(None)
        | DEPLOYMENTS.c.tenant.in_(sa.bindparam("tenants", expanding=True)),
    )
)


class Place(NamedTuple):
    """Whose endpoints ask, and for which model; without a tenant, those of nobody in particular."""

    environment: str
    model: str
    tenant: TenantId | None

    def is_answered_by(self, deployed: Deployed) -> bool:
        """Whether it is the tenant's own, or what is for all."""
        meant = (deployed.model, deployed.environment) == (self.model, self.environment)
        return meant and deployed.tenant in (None, self.tenant)


def answering(
    reading: Reading, places: Sequence[Place]
) -> dict[Place, list[tuple[Deployed, Facts]]]:
    """What may answer in each of these places, the tenant's own and what is for all, with what
    an endpoint is told of each."""
    values = {
        "environments": [place.environment for place in places],
        "models": [place.model for place in places],
        "tenants": [place.tenant or "" for place in places],
    }
    found = {place: list[tuple[Deployed, Facts]]() for place in places}
    for row in map(dict, reading.rows(_ANSWERING, values)):
        facts = Facts(**{column.name: row.pop(column.name) for column in FACTS})
        deployed = _deployed(row)
        for place, answers in found.items():
            if place.is_answered_by(deployed):
                answers.append((deployed, facts))
    return found


def history(reading: Reading, model: str) -> list[Deployed]:
    """All deployments of a model, oldest first, settled ones too."""
    return of_models(reading, (model,))


def of_models(reading: Reading, models: Sequence[str]) -> list[Deployed]:
    """All deployments of these models, oldest first, settled ones too."""
    query = sa.select(DEPLOYMENTS).where(DEPLOYMENTS.c.model.in_(models))
    query = query.order_by(DEPLOYMENTS.c.since, DEPLOYMENTS.c.id)
    return [_deployed(row) for row in reading.rows(query)]


def stable_before(
    reading: Reading, model: str, environment: str, moment: datetime
) -> list[Deployed]:
    """What was stable up to `moment`, a version for each place as its row reads now; what took
    over at that very moment, or since, was not."""
    return [
        deployed
        for deployed in history(reading, model)
        if deployed.environment == environment and _was_stable(reading, deployed, moment)
    ]


def _was_stable(reading: Reading, deployed: Deployed, moment: datetime) -> bool:
    if deployed.since < moment:
        return deployed.state is Deployment.STABLE
    moves = ledger.entries(
        reading.connection, kinds=(DeploymentMoved.kind,), ref=deployed.id, limit=_MOVES
    )
    before = [move.data or {} for move in moves if move.at < moment]
    return bool(before) and before[-1]["after"] == Deployment.STABLE.value


def add_permit(work: Work, permit: Permit, because: PermitIssued) -> Permit:
    """Keep a permit that was just signed."""
    work.create(PERMITS, _row(permit), because=because)
    return dataclasses.replace(permit, revision=1)


def use_permit(work: Work, permit: Permit, because: PermitConsumed) -> Permit:
    """Keep a permit as used.

    Raises:
        Conflict: somebody used it meanwhile.
    """
    work.replace(PERMITS, _row(permit), because=because)
    return dataclasses.replace(permit, revision=permit.revision + 1)


def permit_by_id(reading: Reading, permit_id: str) -> Permit:
    """The permit with this id.

    Raises:
        NotFound: there is none; nothing is allowed then.
    """
    row = reading.row(sa.select(PERMITS).where(PERMITS.c.id == permit_id))
    if row is None:
        raise NotFound("there is no such permit", field="permit")
    return Permit(**row)


def _row(record: Deployed | Permit) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return {**row, "state": record.state.value} if isinstance(record, Deployed) else row


def _deployed(row: Mapping[Any, Any]) -> Deployed:
    return Deployed(**{**row, "state": Deployment(row["state"])})
