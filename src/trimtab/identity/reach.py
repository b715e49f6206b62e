"""How far a credential reaches: a tenant's to what is its own, the fleet's to everything.

Whether somebody *sees* a thing is asked first, and answered with "not found" where it is
another tenant's. What is asked here is whether what they see is theirs to change.
"""

from __future__ import annotations

from dataclasses import replace

from trimtab.identity.roles import READING, ROLES
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotPermitted
from trimtab.kernel.grants import Subject
from trimtab.kernel.ids import TenantId

_REMEDY = "ask somebody of the platform; whoever is one leaves X-Tenant-Id out"


def granted(actor: Actor, permission: str, *, asked_later: bool = False) -> Actor:
    """`actor`, if there is anything that `permission` is granted for, within the tenant that it
    is granted for: somebody of the fleet whose role holds for one tenant acts for that one.

    Args:
        asked_later: The route only looks, or asks itself, by `demand_grant`, once it knows
            what is acted on. Anywhere else a role on conditions grants nothing but looking.

    Raises:
        NotPermitted: there is nothing, or several tenants are meant and none is named.
    """
    if actor.tenant is None and not actor.may(permission):
        actor = _within(actor, permission)
    if not actor.may(permission):
        raise _refused(actor, permission)
    if permission not in READING and not asked_later:
        demand_grant(actor, permission, Subject(tenant=actor.tenant))
    return actor


def demand_grant(actor: Actor, permission: str, about: Subject) -> None:
    """Make sure that `permission` is granted for what is acted on.

    Raises:
        NotPermitted: it is not, or on conditions that this does not fulfil; they are named.
    """
    if not actor.may(permission, about):
        raise _refused(actor, permission)


def _within(actor: Actor, permission: str) -> Actor:
    named = {t for g in actor.granting(permission) for t in g.conditions.tenants or ()}
    if len(named) == 1:
        return replace(actor, tenant=TenantId(named.pop()))
    if named:
        raise NotPermitted(
            f"you have {permission} for the tenants {', '.join(sorted(named))} only",
            field="X-Tenant-Id",
            remedy="name one of them in X-Tenant-Id",
        )
    return actor


def _refused(actor: Actor, permission: str) -> NotPermitted:
    limits = [f"{g.role} holds for {g.conditions}" for g in actor.granting(permission)]
    if not limits:
        return NotPermitted(
            f"this needs the permission {permission}, which you do not have",
            remedy=f"ask an administrator for a role that has it{_roles_with(permission)}",
        )
    return NotPermitted(
        f"you have {permission} on conditions that this does not fulfil: " + ", or ".join(limits),
        remedy="ask somebody whose role holds for it, or an administrator for a wider one",
    )


def _roles_with(permission: str) -> str:
    names = sorted(name for name, permissions in ROLES.items() if permission in permissions)
    return f": {', '.join(names)}" if names else ""


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
