"""Tenants, people, service accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may, whose
from trimtab.api.paging import Pages, whole
from trimtab.api.repeats import Repeats
from trimtab.identity import assigning, service, standing, store
from trimtab.identity.model import Person
from trimtab.identity.passwords import hash_password
from trimtab.identity.roles import Assignment, Role, plain_roles
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import PersonId
from trimtab.registry import store as registry
from trimtab.sdk import shapes
from trimtab.workflows import quotas

router = strict.router("/api/v1", tag="identity")

Reader = Annotated[Actor, may("identity:read", reach=Reach.OWN)]
Manager = Annotated[Actor, may("identity:manage", reach=Reach.OWN)]
Adder = Annotated[Actor, may("identity:manage", reach=Reach.ADDED)]
Host = Annotated[Actor, may("identity:manage", fleet=True)]


@router.post("/tenants", status_code=201, summary="Add a tenant")
def create_tenant(
    body: shapes.NewTenant,
    actor: Host,
    parts: PartsOf,
    repeat: Repeats,
) -> shapes.TenantShape:
    """Add a tenant."""
    with parts.records.begin(actor, reason=body.reason) as work:
        tenant = service.create_tenant(work, body.id, body.name)
        return repeat.keep(work, shapes.TenantShape.model_validate(tenant))


@router.get("/tenants", summary="List tenants")
def list_tenants(actor: Reader, parts: PartsOf, pages: Pages) -> shapes.Page[shapes.TenantShape]:
    """All tenants; a tenant sees itself."""
    with parts.records.look() as reading:
        found = store.tenants(reading, tenant=actor.tenant)
    return whole(pages, actor, found, lambda t: t.id, shapes.TenantShape.model_validate)


@router.post("/tenants/{tenant}/disable", status_code=204, summary="Disable a tenant")
def disable_tenant(tenant: str, body: shapes.Because, actor: Host, parts: PartsOf) -> None:
    """Let nobody act any more who belongs to a tenant; its models keep serving others."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.disable_tenant(work, tenant)


@router.post("/tenants/{tenant}/enable", status_code=204, summary="Enable a tenant")
def enable_tenant(tenant: str, body: shapes.Because, actor: Host, parts: PartsOf) -> None:
    """Let who belongs to a tenant act again."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.enable_tenant(work, tenant)


@router.post("/people", status_code=201, summary="Add a person")
def add_person(
    body: shapes.NewPerson, actor: Adder, parts: PartsOf, repeat: Repeats
) -> shapes.PersonShape:
    """Add a person who may log in; a tenant's credential adds people of its tenant only."""
    password_hash = hash_password(body.password)
    with parts.records.begin(actor, reason=body.reason) as work:
        person = service.add_person(
            work,
            email=body.email,
            name=body.name,
            roles=_roles(body.roles),
            password_hash=password_hash,
            tenant=whose(actor, body),
        )
        quotas.demand_people(work, parts.settings, person.tenant)
        return repeat.keep(work, _person(person))


@router.get("/people", summary="List people")
def list_people(actor: Reader, parts: PartsOf, pages: Pages) -> shapes.Page[shapes.PersonShape]:
    """All people, a tenant its own; never a password."""
    with parts.records.look() as reading:
        found = store.people(reading, tenant=actor.tenant)
    return whole(pages, actor, found, lambda p: p.id, _person)


@router.put("/people/{person}/roles", summary="Change a person's roles")
def change_roles(
    person: str, body: shapes.NewRoles, actor: Manager, parts: PartsOf
) -> shapes.PersonShape:
    """Let a person hold these roles instead, from their next request on. Nobody changes their
    own, and the last administrator of the platform stays. Safe to repeat."""
    with parts.records.begin(actor, reason=body.reason) as work:
        changed = assigning.change_roles(work, person, _roles(body.roles))
    return _person(changed)


@router.post("/people/{person}/disable", status_code=204, summary="Disable a person")
def disable_person(person: str, body: shapes.Because, actor: Manager, parts: PartsOf) -> None:
    """Let a person log in no more; their sessions and tokens end for good. The last
    administrator of the platform stays."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.disable_person(work, person)


@router.post("/people/{person}/enable", status_code=204, summary="Enable a person")
def enable_person(person: str, body: shapes.Because, actor: Manager, parts: PartsOf) -> None:
    """Let a person who was disabled log in again."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.enable_person(work, person)


@router.put("/people/{person}/password", status_code=204, summary="Reset a password")
def reset_password(person: str, body: shapes.PasswordReset, actor: Manager, parts: PartsOf) -> None:
    """Give a person another password; their sessions and tokens end."""
    fresh = standing.new_hash(body.new_password)
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.reset_password(work, person, fresh)


@router.post(
    "/people/{person}/end-credentials", status_code=204, summary="Log a person out everywhere"
)
def end_credentials(person: str, body: shapes.Because, actor: Manager, parts: PartsOf) -> None:
    """End all sessions and tokens of a person, who may log in again."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.end_credentials(work, person)


@router.post("/service-accounts", status_code=201, summary="Add a service account")
def add_account(
    body: shapes.NewAccount, actor: Adder, parts: PartsOf, repeat: Repeats
) -> shapes.IssuedKey:
    """Add a service account, and give out its first key; its text is shown this once. A
    tenant's credential adds accounts of its tenant only."""
    owner = body.owner or actor.person
    if owner is None:
        raise InvalidInput("a service account has a person as its owner", field="owner")
    with parts.records.begin(actor, reason=body.reason) as work:
        if body.default_model is not None:
            registry.model_named(work, body.default_model, field="default_model")
        account = service.add_account(
            work,
            name=body.name,
            owner=PersonId(owner),
            roles=_roles(body.roles),
            tenant=whose(actor, body),
        )
        key, text = service.issue_key(
            work, account, default_model=body.default_model, wrapping=parts.wrapping
        )
        quotas.demand_keys(work, parts.settings, account.tenant)
        scopes = list(key.scopes)
        issued = shapes.IssuedKey(account=account.id, key_id=key.id, key=text, scopes=scopes)
        return repeat.keep(work, issued)


@router.post(
    "/service-accounts/{account}/disable", status_code=204, summary="Disable a service account"
)
def disable_account(account: str, body: shapes.Because, actor: Manager, parts: PartsOf) -> None:
    """Let a program act no more; gateways refuse its keys with their next routing table."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.disable_account(work, account)


@router.post(
    "/service-accounts/{account}/enable", status_code=204, summary="Enable a service account"
)
def enable_account(account: str, body: shapes.Because, actor: Manager, parts: PartsOf) -> None:
    """Let a program that was disabled act again, with the keys that are left."""
    with parts.records.begin(actor, reason=body.reason) as work:
        standing.enable_account(work, account)


def _roles(given: Sequence[str | shapes.ConditionalRole]) -> tuple[Role, ...]:
    return tuple(
        role if isinstance(role, str) else Assignment.read(role.model_dump()) for role in given
    )


def _person(person: Person) -> shapes.PersonShape:
    known = {**vars(person), "roles": plain_roles(person.roles)}
    return shapes.PersonShape.model_validate(known)
