"""Who asks: one value that every unit of work is opened with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from trimtab.kernel.grants import Grant, Subject
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
    `permissions` hold for everything, those of `grants` on conditions.
    """

    id: str
    kind: ActorKind
    tenant: TenantId | None
    permissions: frozenset[str]
    name: str = ""
    person: str | None = None
    grants: tuple[Grant, ...] = ()

    def may(self, permission: str, about: Subject | None = None) -> bool:
        """Whether `permission` was granted; anything not granted is denied.

        Args:
            about: What is to be acted on. None asks whether there is anything at all that
                the permission is granted for, to whoever acts for this actor's tenant.
        """
        if permission in self.permissions:
            return True
        return any(
            grant.conditions.admit_tenant(self.tenant)
            if about is None
            else grant.conditions.admit(about)
            for grant in self.granting(permission)
        )

    def within(self, scopes: frozenset[str]) -> Actor:
        """This actor with no more than `scopes`."""
        grants = (replace(g, permissions=g.permissions & scopes) for g in self.grants)
        return replace(self, permissions=self.permissions & scopes, grants=tuple(grants))

    def granting(self, permission: str) -> tuple[Grant, ...]:
        """The grants on conditions that name `permission`."""
        return tuple(grant for grant in self.grants if permission in grant.permissions)


def system(name: str) -> Actor:
    """The platform acting by itself, for instance `system:watch`."""
    return Actor(f"system:{name}", ActorKind.SYSTEM, None, frozenset(), name)
