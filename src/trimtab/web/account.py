"""One's own account: who am I here, and what may I do?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response

from trimtab.identity import store
from trimtab.identity.model import ApiKey, Person, ServiceAccount, secret_digest
from trimtab.identity.roles import ROLES
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page
from trimtab.web.session import OPEN, PartsOf, Visitor, cookie_name, looking

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Role:
    """A role that somebody holds, and what it lets them do."""

    name: str
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A program that this person answers for, and its keys that can still be used."""

    account: ServiceAccount
    keys: tuple[ApiKey, ...]


@dataclass(frozen=True)
class Account:
    """Who looks, and what they may do."""

    person: Person
    roles: tuple[Role, ...]
    until: datetime | None
    """When this session ends, in real time."""
    programs: tuple[Program, ...]


@router.get("/account")
def account(
    request: Request, parts: PartsOf, visitor: Annotated[Visitor, looking(OPEN)]
) -> Response:
    """Oneself, as the records have it."""
    token = secret_digest(request.cookies.get(cookie_name(parts), ""))
    with parts.records.look() as reading:
        person = store.person(reading, visitor.actor.id)
        session = store.session(reading, token)
        keys = [k for k in store.keys(reading, tenant=visitor.tenant) if k.usable(reading.now)]
        own = [
            a for a in store.accounts(reading, tenant=visitor.tenant) if a.owner == visitor.actor.id
        ]
    shown = Account(
        person=person,
        roles=tuple(Role(r, tuple(sorted(ROLES.get(r, ())))) for r in sorted(visitor.roles)),
        until=None if session is None else session["expires_at"],
        programs=tuple(Program(a, tuple(k for k in keys if k.account == a.id)) for a in own),
    )
    return page(
        request, "account.html", shown, title="My account", active="account", visitor=visitor
    )
