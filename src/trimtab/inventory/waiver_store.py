"""Rows of waivers: who answers for a gap, why, and until when."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.inventory.connection_store import CONNECTIONS
from trimtab.inventory.waivers import Waiver
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Moment, decision_table

WAIVERS = decision_table(
    "compliance_waivers",
    sa.Column("tenant", sa.String(80)),
    sa.Column("rule", sa.String(80), nullable=False),
    sa.Column("connection", sa.String(80), nullable=False, index=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("granted_by", sa.String(80), nullable=False),
    sa.Column("granted_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False, index=True),
    sa.Column("revoked_at", Moment),
)


@dataclasses.dataclass(frozen=True)
class Granted:
    """A waiver of one rule for a version of a registry (`version` None: for all of a model)."""

    id: str
    tenant: TenantId | None
    rule: str
    connection: str
    model: str
    version: int | None
    reason: str
    granted_by: str
    granted_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revision: int = 0

    @property
    def waiver(self) -> Waiver:
        """What it says, to whoever holds records to rules."""
        return Waiver(
            self.id,
            self.rule,
            self.tenant,
            self.model,
            self.version,
            self.reason,
            self.granted_by,
            self.granted_at,
            self.expires_at,
        )


def add(work: Work, waiver: Granted, because: Event) -> Granted:
    """Keep a new waiver."""
    work.create(WAIVERS, _row(waiver), because=because)
    return dataclasses.replace(waiver, revision=1)


def save(work: Work, waiver: Granted, because: Event) -> Granted:
    """Keep a moved waiver over the revision it was computed from."""
    work.replace(WAIVERS, _row(waiver), because=because)
    return dataclasses.replace(waiver, revision=waiver.revision + 1)


def get(reading: Reading, waiver_id: str) -> Granted:
    """The waiver with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(WAIVERS, waiver_id)
    if row is None:
        raise NotFound("there is no such waiver", field="waiver")
    return Granted(**row)


def holding(reading: Reading, connection: str, now: datetime) -> list[Granted]:
    """Waivers for versions of a connection that count at `now`, oldest first."""
    query = sa.select(WAIVERS).where(
        WAIVERS.c.connection == connection,
        WAIVERS.c.revoked_at.is_(None),
        WAIVERS.c.expires_at > now,
    )
    return [Granted(**row) for row in reading.rows(query.order_by(WAIVERS.c.id))]


def listed(
    reading: Reading, *, tenant: TenantId | None = None, after: str = "", limit: int = 100
) -> list[Granted]:
    """Every waiver there was, oldest first; of one tenant, or all."""
    query = sa.select(WAIVERS).where(WAIVERS.c.id > after)
    if tenant is not None:
        query = query.where(WAIVERS.c.tenant == tenant)
    return [Granted(**row) for row in reading.rows(query.order_by(WAIVERS.c.id).limit(limit))]


def in_force(
    reading: Reading,
    now: datetime,
    *,
    tenant: TenantId | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Granted]:
    """Waivers that count at `now`, newest first, those before `before`; of one tenant, or all.
    Those for what a removed connection has brought count for nothing any more."""
    gone = sa.select(CONNECTIONS.c.id).where(CONNECTIONS.c.removed_at.is_not(None))
    query = sa.select(WAIVERS).where(
        WAIVERS.c.revoked_at.is_(None),
        WAIVERS.c.expires_at > now,
        WAIVERS.c.connection.not_in(gone),
    )
    if tenant is not None:
        query = query.where(WAIVERS.c.tenant == tenant)
    if before is not None:
        query = query.where(WAIVERS.c.id < before)
    return [
        Granted(**row) for row in reading.rows(query.order_by(WAIVERS.c.id.desc()).limit(limit))
    ]


def _row(waiver: Granted) -> dict[str, Any]:
    return {f.name: getattr(waiver, f.name) for f in dataclasses.fields(waiver)}
