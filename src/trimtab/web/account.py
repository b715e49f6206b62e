"""One's own account: who am I here, what may I do, where am I logged in?"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from trimtab.audit.work import Reading
from trimtab.identity import entry, sessions, standing, store
from trimtab.identity.credential_store import Session
from trimtab.identity.demands import OPEN
from trimtab.identity.model import ApiKey, Person, ServiceAccount
from trimtab.identity.roles import ROLES, Role
from trimtab.kernel.errors import InvalidInput, NotAuthenticated, TooManyRequests
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import page, see_other
from trimtab.web.session import (
    PartsOf,
    Visitor,
    address_of,
    clear_cookie,
    looking,
    open_for,
    sending,
    set_cookie,
)
from trimtab.workflows.parts import Parts
from trimtab.workflows.refusals import Refused

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class HeldRole:
    """A role that somebody holds, on what conditions, and what it lets them do."""

    name: str
    conditions: str
    permissions: tuple[str, ...]

    @classmethod
    def of(cls, role: Role) -> HeldRole:
        """`role`, as it is shown."""
        name = role if isinstance(role, str) else role.role
        conditions = "" if isinstance(role, str) else str(role.conditions)
        return cls(name, conditions, tuple(sorted(ROLES.get(name, ()))))


@dataclass(frozen=True)
class Program:
    """A program that this person answers for, and its keys that can still be used."""

    account: ServiceAccount
    keys: tuple[ApiKey, ...]


@dataclass(frozen=True)
class Account:
    """Who looks, what they may do, and where they are logged in."""

    person: Person
    roles: tuple[HeldRole, ...]
    programs: tuple[Program, ...]
    sessions: tuple[Session, ...]
    present: str
    """The id of the session that they look in."""
    refusal: str | None = None
    """Why a new password was not taken."""


@router.get("/account")
def account(
    request: Request, parts: PartsOf, visitor: Annotated[Visitor, looking(OPEN)]
) -> Response:
    """Oneself, as the records have it."""
    return _shown(request, parts, visitor)


@router.post("/account/sessions/{session}/end")
def end_session(
    session: str, parts: PartsOf, visitor: Annotated[Visitor, sending(OPEN)]
) -> Response:
    """End one of one's own sessions."""
    with parts.records.begin(visitor.actor, reason="ended from another session") as work:
        sessions.end_session(work, session)
    return see_other("/account")


@router.post("/account/log-out-everywhere")
def log_out_everywhere(parts: PartsOf, visitor: Annotated[Visitor, sending(OPEN)]) -> Response:
    """End all of one's own sessions and tokens, this one too."""
    with parts.records.begin(visitor.actor, reason="logged out everywhere") as work:
        standing.end_credentials(work, visitor.actor.id)
    response = see_other("/login")
    clear_cookie(response, parts)
    return response


@router.post("/account/password")
def change_password(
    request: Request,
    parts: PartsOf,
    visitor: Annotated[Visitor, sending(OPEN)],
    password: Annotated[str, Form(max_length=500)] = "",
    new_password: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Change one's own password; all other sessions and tokens end, and this one is opened
    anew."""
    try:
        token = _changed(request, parts, visitor, password, new_password)
    except (InvalidInput, NotAuthenticated, TooManyRequests) as error:
        request.state.refused = Refused.by(error)
        return _shown(request, parts, visitor, _why(error))
    response = see_other("/account")
    set_cookie(response, parts, token)
    return response


def _changed(
    request: Request, parts: Parts, visitor: Visitor, password: str, new_password: str
) -> str:
    """Change the password, and open a session under it; return its token."""
    address, at = address_of(request), parts.real_clock.now()
    with parts.records.look() as reading:
        email = store.person(reading, visitor.actor.id).email
    person = entry.enter(parts.records, parts.brakes, email, password, address=address, at=at)
    standing.demand_other(password, new_password)
    fresh = standing.new_hash(new_password)
    with parts.records.begin(visitor.actor, reason="chose another password") as work:
        changed = standing.change_password(work, person, fresh)
        return open_for(work, parts, changed, address=address, at=at)


def _why(error: InvalidInput | NotAuthenticated | TooManyRequests) -> str:
    if isinstance(error, NotAuthenticated):
        return "This is not your present password."
    said = error.message[:1].upper() + error.message[1:]
    return f"{said}: {error.remedy}." if error.remedy else f"{said}."


def _shown(
    request: Request, parts: Parts, visitor: Visitor, refusal: str | None = None
) -> Response:
    at, idle = parts.real_clock.now(), parts.settings.session_idle()
    with parts.records.look() as reading:
        person = store.person(reading, visitor.actor.id)
        shown = Account(
            person=person,
            roles=tuple(HeldRole.of(role) for role in person.roles),
            programs=_programs(reading, visitor),
            sessions=tuple(sessions.sessions_of(reading, person, at=at, idle=idle)),
            present=visitor.session,
            refusal=refusal,
        )
    status = HTTPStatus.OK if refusal is None else HTTPStatus.UNPROCESSABLE_ENTITY
    return page(
        request,
        "account.html",
        shown,
        title="My account",
        active="account",
        visitor=visitor,
        status=status,
    )


def _programs(reading: Reading, visitor: Visitor) -> tuple[Program, ...]:
    keys = [k for k in store.keys(reading, tenant=visitor.tenant) if k.usable(reading.now)]
    own = [a for a in store.accounts(reading, tenant=visitor.tenant) if a.owner == visitor.actor.id]
    return tuple(Program(a, tuple(k for k in keys if k.account == a.id)) for a in own)
