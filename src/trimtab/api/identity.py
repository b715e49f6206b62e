"""Tenants, people, service accounts, keys, tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may, open_to_all, whose
from trimtab.api.paging import Pages, whole
from trimtab.api.repeats import Repeats
from trimtab.identity import service, store
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import PersonId
from trimtab.registry import store as registry
from trimtab.sdk import shapes

router = strict.router("/api/v1", tag="identity")

Manager = Annotated[Actor, may("identity:manage")]


@router.post("/tenants", status_code=201, summary="Add a tenant")
def create_tenant(
    body: shapes.NewTenant,
    actor: Annotated[Actor, may("identity:manage", fleet=True)],
    parts: PartsOf,
    repeat: Repeats,
) -> shapes.TenantShape:
    """Add a tenant."""
    with parts.records.begin(actor, reason=body.reason) as work:
        tenant = service.create_tenant(work, body.id, body.name)
        return repeat.keep(work, shapes.TenantShape.model_validate(tenant))


@router.get("/tenants", summary="List tenants")
def list_tenants(actor: Manager, parts: PartsOf, pages: Pages) -> shapes.Page[shapes.TenantShape]:
    """All tenants; a tenant sees itself."""
    with parts.records.look() as reading:
        found = store.tenants(reading, tenant=actor.tenant)
    return whole(pages, actor, found, lambda t: t.id, shapes.TenantShape.model_validate)


@router.post("/people", status_code=201, summary="Add a person")
def add_person(
    body: shapes.NewPerson, actor: Manager, parts: PartsOf, repeat: Repeats
) -> shapes.PersonShape:
    """Add a person who may log in; a tenant's credential adds people of its tenant only."""
    with parts.records.begin(actor, reason=body.reason) as work:
        person = service.add_person(
            work,
            email=body.email,
            name=body.name,
            roles=tuple(body.roles),
            password=body.password,
            tenant=whose(actor, body),
        )
        return repeat.keep(work, shapes.PersonShape.model_validate(person))


@router.get("/people", summary="List people")
def list_people(actor: Manager, parts: PartsOf, pages: Pages) -> shapes.Page[shapes.PersonShape]:
    """All people, a tenant its own; never a password."""
    with parts.records.look() as reading:
        found = store.people(reading, tenant=actor.tenant)
    return whole(pages, actor, found, lambda p: p.id, shapes.PersonShape.model_validate)


@router.post("/service-accounts", status_code=201, summary="Add a service account")
def add_account(
    body: shapes.NewAccount, actor: Manager, parts: PartsOf, repeat: Repeats
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
            roles=tuple(body.roles),
            tenant=whose(actor, body),
        )
        key, text = service.issue_key(work, account, default_model=body.default_model)
        scopes = list(key.scopes)
        issued = shapes.IssuedKey(account=account.id, key_id=key.id, key=text, scopes=scopes)
        return repeat.keep(work, issued)


@router.delete("/keys/{key}", status_code=204, summary="Revoke a key")
def revoke_key(key: str, actor: Manager, parts: PartsOf) -> None:
    """Make a key useless; gateways refuse it with their next routing table."""
    with parts.records.begin(actor, reason="revoked") as work:
        service.revoke_key(work, key)


@router.post("/tokens", summary="Log in for a token", dependencies=[Depends(open_to_all)])
def log_in(body: shapes.Credentials, parts: PartsOf) -> shapes.TokenShape:
    """A short-lived bearer token for address and password."""
    person = service.authenticate_password(parts.records, body.email, body.password)
    return _token(parts, person.id)


def _token(parts: PartsOf, subject: str) -> shapes.TokenShape:
    return shapes.TokenShape(
        access_token=parts.tokens.issue(subject, lifetime=service.TOKEN_LIFETIME),
        token_type="Bearer",
        expires_in=int(service.TOKEN_LIFETIME.total_seconds()),
    )
