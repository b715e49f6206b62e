"""Permits for actions: signed by the safety gate, for one action on one target, once.

The gate alone holds the private key; here a seal is opened and compared, never made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trimtab.artifacts import strictjson
from trimtab.artifacts.envelope import open_sealed
from trimtab.kernel.clock import parse_iso
from trimtab.kernel.errors import IntegrityFailed, PolicyRefused
from trimtab.kernel.events import Event
from trimtab.kernel.ids import IncidentId, PermitId, RemediationId, TenantId

PAYLOAD_TYPE = "application/vnd.trimtab.action-permit+json"
MAX_BYTES = 16_384

_TEXTS = (
    "id",
    "remediation",
    "incident",
    "action",
    "args_digest",
    "target",
    "policy_digest",
    "issued_at",
    "expires_at",
)
_MEMBERS = {*_TEXTS, "epoch"}


@dataclass(frozen=True)
class ActionPermit:
    """Leave to carry out one action, with these arguments, on this target, once.

    `epoch` is how many actions had been started on the target when it was signed: one
    more, and this permit is void.
    """

    id: PermitId
    remediation: RemediationId
    incident: IncidentId
    action: str
    args_digest: str
    target: str
    policy_digest: str
    epoch: int
    issued_at: datetime
    expires_at: datetime
    sealed: str
    consumed_at: datetime | None = None
    revision: int = 0

    def body(self) -> dict[str, Any]:
        """What is signed."""
        return {name: getattr(self, name) for name in sorted(_MEMBERS)}

    def consume(
        self,
        *,
        remediation: str,
        incident: str,
        action: str,
        args_digest: str,
        target: str,
        policy_digest: str,
        epoch: int,
        tenant: TenantId | None,
        at: datetime,
    ) -> tuple[ActionPermit, ActionPermitConsumed]:
        """The permit, used up for exactly this; `tenant` is whose history it belongs to.

        Raises:
            PolicyRefused: used before, expired, not yet valid, or for something else.
        """
        if self.consumed_at is not None:
            raise PolicyRefused(f"permit {self.id} was used before")
        if at >= self.expires_at:
            raise PolicyRefused(f"permit {self.id} has expired", remedy="propose the action again")
        if at < self.issued_at:
            raise PolicyRefused(f"permit {self.id} was signed later than now: the clock went back")
        wanted = {
            "remediation": remediation,
            "incident": incident,
            "action": action,
            "args_digest": args_digest,
            "target": target,
            "policy_digest": policy_digest,
        }
        other = [name for name, value in wanted.items() if getattr(self, name) != value]
        if other:
            raise PolicyRefused(f"permit {self.id} is for something else: {', '.join(other)}")
        if epoch != self.epoch:
            raise PolicyRefused(
                f"permit {self.id} is void: another action was started on {target} since"
            )
        event = ActionPermitConsumed(
            subject=self.id,
            tenant=tenant,
            remediation=remediation,
            incident=incident,
            action=action,
            target=target,
            epoch=epoch,
        )
        return replace(self, consumed_at=at), event


def open_permit(sealed: str, trusted: Mapping[str, Ed25519PublicKey]) -> ActionPermit:
    """The permit in a sealed envelope, if one of the gate's keys sealed it.

    Args:
        sealed: What the gate answered.
        trusted: The gate's public keys, by key id.

    Raises:
        IntegrityFailed: not sealed by the gate, of another type, or malformed.
    """
    payload = open_sealed(sealed.encode(), PAYLOAD_TYPE, trusted, max_bytes=MAX_BYTES)
    body = strictjson.members(
        strictjson.parse(payload, max_bytes=MAX_BYTES, what="the permit"),
        _MEMBERS,
        what="the permit",
    )
    if not all(isinstance(body[name], str) for name in _TEXTS) or type(body["epoch"]) is not int:
        raise IntegrityFailed("the permit has members of other types")
    try:
        times = {name: parse_iso(body[name]) for name in ("issued_at", "expires_at")}
    except ValueError as error:
        raise IntegrityFailed("the permit has a time that is none") from error
    return ActionPermit(**{**body, **times}, sealed=sealed)


@dataclass(frozen=True)
class ActionPermitIssued(Event):
    """The safety gate signed a permit for an action."""

    kind: ClassVar[str] = "action_permit.issued"

    remediation: str
    incident: str
    action: str
    args_digest: str
    target: str
    policy_digest: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True)
class ActionPermitConsumed(Event):
    """A permit was used up by the start of the action that it allowed."""

    kind: ClassVar[str] = "action_permit.consumed"

    remediation: str
    incident: str
    action: str
    target: str
    epoch: int
