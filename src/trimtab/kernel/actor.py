"""Who asks: one value that every unit of work is opened with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trimtab.kernel.ids import TenantId


class ActorKind(StrEnum):
    """What kind of somebody."""

    PERSON = "person"
    SERVICE = "service"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Somebody who acts, as the credential says; never as the request says.

    `tenant` None is the fleet: an actor of the platform itself. `person` is the human
    being behind a person or an owned service account, so that quorums count people.
    """

    id: str
    kind: ActorKind
    tenant: TenantId | None
    permissions: frozenset[str]
    name: str = ""
    person: str | None = None

    def may(self, permission: str) -> bool:
        """Whether `permission` was granted; anything not granted is denied."""
        return permission in self.permissions


def system(name: str) -> Actor:
    """The platform acting by itself, for instance `system:watch`."""
    return Actor(f"system:{name}", ActorKind.SYSTEM, None, frozenset(), name)
