"""Permits: a signed leave for one increase of exposure, used once.

A permit binds artifact, tenant, environment, policy and a cap on traffic to the approval
that allows it. It is consumed by the move that it authorises, in the same transaction, and
named in the routing table that follows. Time alone only ever revokes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from trimtab.kernel.errors import PolicyRefused
from trimtab.kernel.events import Event
from trimtab.kernel.ids import ApprovalId, Digest, PermitId, TenantId

PAYLOAD_TYPE = "application/vnd.trimtab.permit+json"


@dataclass(frozen=True)
class Permit:
    """Leave to raise the exposure of one artifact in one place to at most `max_percent`."""

    id: PermitId
    model: str
    version: str
    digest: Digest
    tenant: TenantId | None
    environment: str
    max_percent: float
    approval: ApprovalId
    policy_digest: str
    issued_at: datetime
    expires_at: datetime
    sealed: str
    consumed_at: datetime | None = None
    revision: int = 0

    def consume(
        self,
        *,
        digest: Digest,
        tenant: TenantId | None,
        environment: str,
        percent: float,
        at: datetime,
    ) -> tuple[Permit, PermitConsumed]:
        """The permit, used up for exactly this increase.

        Raises:
            PolicyRefused: used before, expired, or made out for something else.
        """
        if self.consumed_at is not None:
            raise PolicyRefused(f"permit {self.id} was used before")
        if at >= self.expires_at:
            raise PolicyRefused(f"permit {self.id} has expired")
        if (digest, tenant, environment) != (self.digest, self.tenant, self.environment):
            raise PolicyRefused(f"permit {self.id} is made out for something else")
        if not 0 < percent <= self.max_percent:  # what is no number is not allowed either
            raise PolicyRefused(
                f"permit {self.id} allows {self.max_percent:g} %, not {percent:g} %"
            )
        event = PermitConsumed(
            subject=self.id, tenant=tenant, digest=digest, percent=percent, approval=self.approval
        )
        return replace(self, consumed_at=at), event


@dataclass(frozen=True)
class PermitIssued(Event):
    """A permit was signed, because of an approval."""

    kind: ClassVar[str] = "permit.issued"

    model: str
    version: str
    digest: str
    environment: str
    max_percent: float
    approval: str
    policy_digest: str
    expires_at: datetime


@dataclass(frozen=True)
class PermitConsumed(Event):
    """A permit was used up by the increase of exposure that it authorised."""

    kind: ClassVar[str] = "permit.consumed"

    digest: str
    percent: float
    approval: str
