"""Who is welcome: people, service accounts and tenants are disabled and enabled, passwords are
changed, and everything that somebody is logged in with is ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from trimtab.audit.work import Work
from trimtab.identity import passwords, store
from trimtab.identity.assigning import demand_not_last
from trimtab.identity.model import Person, Tenant
from trimtab.identity.reach import demand_fleet
from trimtab.identity.service import account_of, person_of
from trimtab.kernel.errors import Conflict, InvalidInput
from trimtab.kernel.events import Event


@dataclass(frozen=True)
class PersonDisabled(Event):
    """A person may not log in any more; what they decided stays."""

    kind: ClassVar[str] = "person.disabled"

    name: str


@dataclass(frozen=True)
class PersonEnabled(Event):
    """A person who was disabled may log in again; what they were logged in with stays ended."""

    kind: ClassVar[str] = "person.enabled"

    name: str


@dataclass(frozen=True)
class ServiceAccountDisabled(Event):
    """A program may not act any more; its keys are of no use meanwhile."""

    kind: ClassVar[str] = "service_account.disabled"

    name: str


@dataclass(frozen=True)
class ServiceAccountEnabled(Event):
    """A program that was disabled may act again, with the keys that are left."""

    kind: ClassVar[str] = "service_account.enabled"

    name: str


@dataclass(frozen=True)
class TenantDisabled(Event):
    """Nobody who belongs to a tenant may act any more; its models keep serving."""

    kind: ClassVar[str] = "tenant.disabled"

    name: str


@dataclass(frozen=True)
class TenantEnabled(Event):
    """Who belongs to a tenant that was disabled may act again."""

    kind: ClassVar[str] = "tenant.enabled"

    name: str


@dataclass(frozen=True)
class PasswordChanged(Event):
    """A person has chosen another password; their sessions and tokens ended with the old one."""

    kind: ClassVar[str] = "person.password_changed"


@dataclass(frozen=True)
class PasswordReset(Event):
    """Somebody else gave a person another password; their sessions and tokens ended."""

    kind: ClassVar[str] = "person.password_reset"


@dataclass(frozen=True)
class CredentialsEnded(Event):
    """All sessions and tokens of a person were ended."""

    kind: ClassVar[str] = "person.credentials_ended"


def disable_person(work: Work, person_id: str) -> None:
    """Let a person log in no more; sessions and tokens end with it, for good.

    Raises:
        NotFound: there is no such person, or it is another tenant's.
        Conflict: it is the last administrator of the platform.
    """
    person = person_of(work, person_id)
    if person.disabled:
        return
    gone = _outdated(replace(person, disabled=True))
    demand_not_last(work, person, gone)
    event = PersonDisabled(subject=person.id, tenant=person.tenant, name=person.name)
    store.save(work, gone, event)


def enable_person(work: Work, person_id: str) -> None:
    """Let a person log in again.

    Raises:
        NotFound: there is no such person, or it is another tenant's.
    """
    person = person_of(work, person_id)
    if person.disabled:
        event = PersonEnabled(subject=person.id, tenant=person.tenant, name=person.name)
        store.save(work, replace(person, disabled=False), event)


def disable_account(work: Work, account_id: str) -> None:
    """Let a program act no more.

    Raises:
        NotFound: there is no such account, or it is another tenant's.
    """
    account = account_of(work, account_id)
    if not account.disabled:
        event = ServiceAccountDisabled(subject=account.id, tenant=account.tenant, name=account.name)
        store.save(work, replace(account, disabled=True), event)


def enable_account(work: Work, account_id: str) -> None:
    """Let a program act again.

    Raises:
        NotFound: there is no such account, or it is another tenant's.
    """
    account = account_of(work, account_id)
    if account.disabled:
        event = ServiceAccountEnabled(subject=account.id, tenant=account.tenant, name=account.name)
        store.save(work, replace(account, disabled=False), event)


def disable_tenant(work: Work, tenant_id: str) -> None:
    """Let nobody act any more who belongs to a tenant.

    Raises:
        NotPermitted: that is for the fleet to say.
        NotFound: there is no such tenant.
    """
    tenant = _tenant_of(work, tenant_id)
    if not tenant.disabled:
        event = TenantDisabled(subject=tenant.id, tenant=tenant.id, name=tenant.name)
        store.save(work, replace(tenant, disabled=True), event)


def enable_tenant(work: Work, tenant_id: str) -> None:
    """Let who belongs to a tenant act again.

    Raises:
        NotPermitted: that is for the fleet to say.
        NotFound: there is no such tenant.
    """
    tenant = _tenant_of(work, tenant_id)
    if tenant.disabled:
        event = TenantEnabled(subject=tenant.id, tenant=tenant.id, name=tenant.name)
        store.save(work, replace(tenant, disabled=False), event)


def change_password(work: Work, person: Person, fresh: str) -> Person:
    """Give a person, whose password was right just now, the one that they have chosen.

    Args:
        person: As they were when the password was looked at.
        fresh: The hash of the new one.

    Raises:
        Conflict: something of them was changed meanwhile.
    """
    changed = _outdated(replace(person, password_hash=fresh))
    event = PasswordChanged(subject=person.id, tenant=person.tenant)
    store.save(work, changed, event)
    return replace(changed, revision=changed.revision + 1)


def reset_password(work: Work, person_id: str, fresh: str) -> None:
    """Give a person another password, of which `fresh` is the hash.

    Raises:
        NotFound: there is no such person, or it is another tenant's.
        Conflict: it is one's own, for which the present one is asked.
    """
    person = person_of(work, person_id)
    if person.id == work.actor.person:
        raise Conflict(
            "this is your own password", remedy="change it, with the present one, instead"
        )
    event = PasswordReset(subject=person.id, tenant=person.tenant)
    store.save(work, _outdated(replace(person, password_hash=fresh)), event)


def end_credentials(work: Work, person_id: str) -> None:
    """End all sessions and tokens of a person.

    Raises:
        NotFound: there is no such person, or it is another tenant's.
    """
    person = person_of(work, person_id)
    event = CredentialsEnded(subject=person.id, tenant=person.tenant)
    store.save(work, _outdated(person), event)


def demand_other(present: str, fresh: str) -> None:
    """Make sure that a new password is another one.

    Raises:
        InvalidInput: it is the present one.
    """
    if present == fresh:
        raise InvalidInput("this is your present password", field="new_password")


def new_hash(password: str) -> str:
    """The hash of a new password, to be computed before a transaction begins: it takes a tenth
    of a second on purpose, and nobody else shall wait for it.

    Raises:
        InvalidInput: it is too easy to guess.
    """
    return passwords.hash_password(password, field="new_password")


def _outdated(person: Person) -> Person:
    return replace(person, generation=person.generation + 1)


def _tenant_of(work: Work, tenant_id: str) -> Tenant:
    demand_fleet(work.actor)
    return store.tenant(work, tenant_id)
