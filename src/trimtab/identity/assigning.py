"""Giving roles to people: what can be given, by whom, and who has to stay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from trimtab.audit.work import Reading, Work
from trimtab.identity import store
from trimtab.identity.model import Person, RolesChanged
from trimtab.identity.reach import owns
from trimtab.identity.roles import ROLES, Assignment, Role, permissions_of, plain_roles
from trimtab.kernel.errors import Conflict, InvalidInput, NotFound, NotPermitted
from trimtab.kernel.grants import Conditions
from trimtab.kernel.ids import TenantId

MANAGE = "identity:manage"
TIERS = (1, 2, 3, 4)
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def checked_roles(reading: Reading, roles: Iterable[Role], tenant: TenantId | None) -> list[Role]:
    """`roles` if each is known and can hold on its conditions for somebody of `tenant`.

    Raises:
        InvalidInput: one is not known, stands there twice, or has a condition that nothing
            fulfils; or there is none.
        NotFound: a condition names a tenant that there is not.
    """
    given = sorted(roles, key=_name)
    names = [_name(role) for role in given]
    unknown = sorted(set(names) - ROLES.keys())
    if unknown or not given:
        raise InvalidInput(
            f"not a role: {', '.join(ascii(role) for role in unknown) or 'none given'}",
            field="roles",
            remedy="the roles are " + ", ".join(sorted(ROLES)),
        )
    plain = sorted({role for role in given if isinstance(role, str)})
    limited = [role for role in given if isinstance(role, Assignment)]
    limits = [role.role for role in limited]
    twice = {name for name in limits if limits.count(name) > 1 or name in plain}
    if twice:
        raise InvalidInput(
            f"{', '.join(sorted(twice))} stands there twice",
            field="roles",
            remedy="give a role once; what it is to hold for goes into one list",
        )
    for role in limited:
        _demand_sound(reading, role.role, role.conditions, tenant)
    return [*plain, *limited]


def change_roles(work: Work, person_id: str, roles: Iterable[Role]) -> Person:
    """Let a person hold these roles and no others, from their next request on.

    Safe to repeat. Votes that were given in a role that is held no more count no more.

    Raises:
        NotFound: there is no such person, or it is another tenant's.
        NotPermitted: it is oneself; nobody widens their own rights.
        InvalidInput: roles that cannot be given.
        Conflict: nobody of the fleet would be left who can give roles.
    """
    person = store.person(work, person_id)
    if not owns(work.actor, person.tenant):
        raise NotFound("there is no such person", field="person")
    if person.id in (work.actor.id, work.actor.person):
        raise NotPermitted(
            "nobody changes their own roles",
            field="person",
            remedy="ask another administrator",
        )
    changed = replace(person, roles=tuple(checked_roles(work, roles, person.tenant)))
    if changed.roles == person.roles:
        return person
    demand_not_last(work, person, changed)
    event = RolesChanged(
        subject=person.id,
        tenant=person.tenant,
        name=person.name,
        before=plain_roles(person.roles),
        after=plain_roles(changed.roles),
    )
    store.save(work, changed, event)
    return replace(changed, revision=changed.revision + 1)


def demand_not_last(work: Work, person: Person, changed: Person) -> None:
    """Make sure that somebody of the fleet stays who can give roles without a condition.

    Raises:
        Conflict: `person` is the last one, and would not be one any more as `changed`.
    """
    if not _manages(person) or _manages(changed):
        return
    if not any(_manages(other) for other in store.hold_people(work) if other.id != person.id):
        raise Conflict(
            "this is the last administrator of the platform",
            field="person",
            remedy="make somebody else an administrator first",
        )


def _manages(person: Person) -> bool:
    able = MANAGE in permissions_of(person.roles)
    return able and person.tenant is None and not person.disabled


def _name(role: Role) -> str:
    return role if isinstance(role, str) else role.role


def _demand_sound(
    reading: Reading, role: str, conditions: Conditions, tenant: TenantId | None
) -> None:
    """Make sure that something can fulfil the conditions; a list of nothing is a mistake."""

    def refuse(what: str, why: str, remedy: str) -> InvalidInput:
        return InvalidInput(f"{role}: {why}", field=f"roles.{what}", remedy=remedy)

    if not conditions.any:
        raise refuse("role", "no condition is given", "name the role alone, as a text")
    for what in ("tiers", "statuses", "tenants", "environments"):
        listed = getattr(conditions, what)
        if listed is not None and (not listed or len(set(listed)) < len(listed)):
            raise refuse(what, f"{what} is empty, or says one twice", "list each once")
    if not set(conditions.tiers or ()) <= set(TIERS):
        raise refuse("tiers", "there is no such tier", "the tiers are 1, 2, 3 and 4")
    for what in ("statuses", "environments"):
        if not all(_WORD.fullmatch(word) for word in getattr(conditions, what) or ()):
            raise refuse(what, "this is no name", "use the names that versions and policies have")
    share = conditions.max_traffic_percent
    if share is not None and not 0 <= share <= 100:
        raise refuse("max_traffic_percent", "this is no share", "give a number from 0 to 100")
    for named in conditions.tenants or ():
        if tenant not in (None, named) or not store.tenant_exists(reading, named):
            raise NotFound(f"there is no tenant {ascii(named)[:80]}", field="roles.tenants")
