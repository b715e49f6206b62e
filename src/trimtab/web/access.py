"""Access: who may come in, which programs may act, and the keys that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from trimtab.audit.work import Reading
from trimtab.identity import service, standing, store
from trimtab.identity.demands import Reach
from trimtab.identity.model import ApiKey, Person, ServiceAccount, Tenant
from trimtab.identity.passwords import hash_password
from trimtab.identity.reach import owns
from trimtab.identity.roles import ROLES
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.kernel.ids import PersonId, TenantId
from trimtab.registry import store as registry
from trimtab.web import telling
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import PartsOf, Visitor, looking, sending
from trimtab.web.versions import checked_reason
from trimtab.workflows import quotas

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PROGRAMS = ("gateway", "endpoint", "feed")
"""Roles that are meant for programs; they come first where one is given to a program."""

_PLATFORM = "-"
"""Names the platform in a form; no tenant can be called that."""

Word = Annotated[str, Form(max_length=320)]
Why = Annotated[str, Form(max_length=2000)]
Roles = Annotated[list[str], Form(max_length=len(ROLES))]
Reader = Annotated[Visitor, looking("identity:read", reach=Reach.OWN)]
Managing = Annotated[Visitor, sending("identity:manage", reach=Reach.OWN)]
Adding = Annotated[Visitor, sending("identity:manage", reach=Reach.ADDED)]


@dataclass(frozen=True)
class KeyRow:
    """A key, and whether it can still be used."""

    key: ApiKey
    usable: bool
    at: datetime

    @property
    def state(self) -> str:
        """What became of it."""
        if self.usable:
            return "usable"
        return "revoked" if self.key.revoked_at is not None else "expired"


@dataclass(frozen=True)
class Program:
    """A program, who answers for it, and its keys."""

    account: ServiceAccount
    owner: str
    keys: tuple[KeyRow, ...]


@dataclass(frozen=True)
class Access:
    """Everybody who may come in."""

    people: tuple[Person, ...]
    programs: tuple[Program, ...]
    tenants: tuple[Tenant, ...]
    models: tuple[str, ...]
    roles: tuple[str, ...]
    program_roles: tuple[str, ...]
    me: str


@dataclass(frozen=True)
class FreshKey:
    """A key that was given out just now: its text is on this page alone."""

    account: ServiceAccount
    key: ApiKey
    text: str


@router.get("/access")
def access(request: Request, parts: PartsOf, visitor: Reader) -> Response:
    """People, programs and keys."""
    with parts.records.look() as reading:
        shown = read(reading, visitor)
    return page(request, "access.html", shown, title="Access", active="account", visitor=visitor)


@router.post("/access/people")
def add_person(
    parts: PartsOf,
    visitor: Adding,
    email: Word = "",
    name: Word = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    tenant: Word = "",
    roles: Roles = [],  # noqa: B006  # a default of a form, which nobody changes
    reason: Why = "",
) -> Response:
    """Let somebody come in."""
    said = checked_reason(reason)
    if not name.strip():
        raise InvalidInput("a person has a name", field="name")
    password_hash = hash_password(password)
    with parts.records.begin(visitor.actor, reason=said) as work:
        person = service.add_person(
            work,
            email=email.strip(),
            name=name.strip(),
            roles=tuple(roles),
            password_hash=password_hash,
            tenant=_whose(visitor, tenant),
        )
        quotas.demand_people(work, parts.settings, person.tenant)
    return see_other("/access?done=person_added")


@router.post("/access/people/{person}/disable")
def disable_person(parts: PartsOf, visitor: Managing, person: str, reason: Why = "") -> Response:
    """Let somebody come in no more; what they have open ends with it."""
    said = checked_reason(reason)
    if person == visitor.actor.id:
        raise InvalidInput(
            "you would lock yourself out", field="person", remedy="ask another administrator"
        )
    with parts.records.begin(visitor.actor, reason=said) as work:
        standing.disable_person(work, person)
    return see_other("/access?done=person_disabled")


@router.post("/access/accounts")
def add_account(
    request: Request,
    parts: PartsOf,
    visitor: Adding,
    name: Word = "",
    tenant: Word = "",
    roles: Roles = [],  # noqa: B006
    model: Word = "",
    reason: Why = "",
) -> Response:
    """Let a program act, and give out its first key."""
    said = checked_reason(reason)
    if not name.strip():
        raise InvalidInput("a program has a name", field="name")
    with parts.records.begin(visitor.actor, reason=said) as work:
        if model:
            registry.model_named(work, model, field="model")
        account = service.add_account(
            work,
            name=name.strip(),
            owner=PersonId(visitor.actor.person or visitor.actor.id),
            roles=tuple(roles),
            tenant=_whose(visitor, tenant),
        )
        key, text = service.issue_key(
            work, account, default_model=model or None, wrapping=parts.wrapping
        )
        quotas.demand_keys(work, parts.settings, account.tenant)
    return _shown_once(request, visitor, FreshKey(account, key, text))


@router.post("/access/accounts/{account}/keys")
def issue_key(
    request: Request,
    parts: PartsOf,
    visitor: Managing,
    account: str,
    model: Word = "",
    reason: Why = "",
) -> Response:
    """Give out another key; the ones before it stay as they are."""
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        found = store.account(work, account)
        if found is None or not owns(visitor.actor, found.tenant):
            raise NotFound("there is no such service account", field="account")
        if model:
            registry.model_named(work, model, field="model")
        key, text = service.issue_key(
            work, found, default_model=model or None, wrapping=parts.wrapping
        )
        quotas.demand_keys(work, parts.settings, found.tenant)
    return _shown_once(request, visitor, FreshKey(found, key, text))


@router.post("/access/keys/{key}/revoke")
def revoke_key(parts: PartsOf, visitor: Managing, key: str, reason: Why = "") -> Response:
    """Make a key useless."""
    with parts.records.begin(visitor.actor, reason=checked_reason(reason)) as work:
        service.revoke_key(work, key)
    return see_other("/access?done=key_revoked")


def read(reading: Reading, visitor: Visitor) -> Access:
    """The page, from one look at the records; a tenant's people see their own alone."""
    whose = visitor.tenant
    names = telling.names(reading)
    keys = store.keys(reading, tenant=whose)
    people = store.people(reading, tenant=whose)
    return Access(
        people=tuple(sorted(people, key=lambda p: (p.disabled, p.email))),
        programs=tuple(
            Program(a, names.get(a.owner, a.owner), _rows(keys, a, reading.now))
            for a in store.accounts(reading, tenant=whose)
        ),
        tenants=tuple(store.tenants(reading, tenant=whose)),
        models=tuple(model.name for model in registry.models(reading, limit=500)),
        roles=tuple(sorted(r for r in ROLES if r not in _PROGRAMS)),
        program_roles=(*_PROGRAMS, *sorted(r for r in ROLES if r not in _PROGRAMS)),
        me=visitor.actor.id,
    )


def _rows(keys: Sequence[ApiKey], account: ServiceAccount, now: datetime) -> tuple[KeyRow, ...]:
    own = (key for key in keys if key.account == account.id)
    return tuple(KeyRow(key, key.usable(now), now) for key in own)


def _whose(visitor: Visitor, tenant: str) -> TenantId | None:
    """Whom what is added is to belong to: whoever adds it, where nobody is named."""
    if tenant == _PLATFORM:
        return None
    return TenantId(tenant) if tenant else visitor.tenant


def _shown_once(request: Request, visitor: Visitor, fresh: FreshKey) -> Response:
    return page(request, "key.html", fresh, title="A new key", active="account", visitor=visitor)
