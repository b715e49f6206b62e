"""How far a credential reaches: a tenant's to what is its own, the fleet's to everything.

Whether somebody *sees* a thing is asked first, and answered with "not found" where it is
another tenant's. What is asked here is whether what they see is theirs to change.
"""

from __future__ import annotations

from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotPermitted
from trimtab.kernel.ids import TenantId

_REMEDY = "ask somebody of the platform; whoever is one leaves X-Tenant-Id out"


def demand_fleet(actor: Actor) -> None:
    """Make sure that `actor` acts for the platform: what all tenants share is its matter.

    Raises:
        NotPermitted: they act for one tenant.
    """
    if actor.tenant is not None:
        raise NotPermitted(
            "this concerns all tenants, and your credential acts for one of them", remedy=_REMEDY
        )


def demand_say(actor: Actor, tenant: TenantId | None) -> None:
    """Make sure that what belongs to `tenant`, and is seen by `actor`, is theirs to change.

    Raises:
        NotPermitted: they see it, because it is everybody's, but it is not theirs.
    """
    if actor.tenant is not None and tenant != actor.tenant:
        raise NotPermitted(
            "this belongs to the whole fleet; who acts for one tenant can look at it only",
            remedy=_REMEDY,
        )


def demand_own(actor: Actor, tenant: TenantId | None) -> None:
    """Make sure that `actor` may add something that is to belong to `tenant`.

    Raises:
        NotPermitted: they act for another tenant, or for one where the fleet is meant.
    """
    if actor.tenant is not None and tenant != actor.tenant:
        raise NotPermitted(
            "this credential can only add what is its own tenant's",
            field="tenant",
            remedy="leave the tenant out, or name your own",
        )


def owns(actor: Actor, tenant: TenantId | None) -> bool:
    """Whether what belongs to `tenant` alone is there at all for `actor`."""
    return actor.tenant is None or tenant == actor.tenant
