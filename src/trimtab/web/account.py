"""One's own account: where one is logged in, and the password."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from trimtab.identity import entry, sessions, standing
from trimtab.identity import store as people
from trimtab.identity.credential_store import Session
from trimtab.identity.demands import OPEN
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
class Account:
    """Whoever looks, their sessions, and why a new password was not taken."""

    email: str
    sessions: tuple[Session, ...]
    present: str
    refusal: str | None = None


@router.get("/account")
def account(
    request: Request, parts: PartsOf, visitor: Annotated[Visitor, looking(OPEN)]
) -> Response:
    """Where am I logged in?"""
    return page(request, "account.html", _account(parts, visitor), title="Account", visitor=visitor)


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
        said = _account(parts, visitor, _why(error))
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return page(request, "account.html", said, title="Account", visitor=visitor, status=status)
    response = see_other("/account")
    set_cookie(response, parts, token)
    return response


def _changed(
    request: Request, parts: Parts, visitor: Visitor, password: str, new_password: str
) -> str:
    """Change the password, and open a session under it; return its token."""
    address, at = address_of(request), parts.real_clock.now()
    email = _email(parts, visitor)
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


def _email(parts: Parts, visitor: Visitor) -> str:
    with parts.records.look() as reading:
        return people.person(reading, visitor.actor.id).email


def _account(parts: Parts, visitor: Visitor, refusal: str | None = None) -> Account:
    at, idle = parts.real_clock.now(), parts.settings.session_idle()
    with parts.records.look() as reading:
        person = people.person(reading, visitor.actor.id)
        found = sessions.sessions_of(reading, person, at=at, idle=idle)
    return Account(person.email, tuple(found), visitor.session, refusal)
