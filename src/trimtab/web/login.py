"""Logging in and out, and the static files: what is open to everybody."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from trimtab.identity import entry, sessions
from trimtab.identity.demands import OPEN
from trimtab.kernel.actor import system
from trimtab.kernel.errors import NotAuthenticated, NotFound, NotPermitted, TooManyRequests
from trimtab.web.refusals import PageRoute
from trimtab.web.rendering import HEADERS, STATIC, page, see_other, static
from trimtab.web.session import (
    PartsOf,
    Visitor,
    address_of,
    clear_cookie,
    cookie_name,
    demand_origin,
    open_for,
    open_to_all,
    sending,
    set_cookie,
)
from trimtab.workflows.parts import Parts
from trimtab.workflows.refusals import Refused

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PAGES = system("pages")
_FORM_COOKIE = "trimtab-login"
_FORM_SECONDS = 3600
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True)
class LoginPage:
    """The form, and why it is shown again."""

    next: str
    email: str
    refusal: str | None
    token: str


@router.get("/login", dependencies=[Depends(open_to_all)])
def login_form(request: Request, next: str = "/") -> Response:  # noqa: A002  # what it is called in the address
    """The form."""
    return _form(request, LoginPage(_inside(next), "", None, ""))


@router.post("/login", dependencies=[Depends(open_to_all)])
def log_in(
    request: Request,
    parts: PartsOf,
    email: Annotated[str, Form(max_length=320)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    csrf: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Open a session under a fresh token, whatever cookie came along."""
    demand_origin(request)
    expected = request.cookies.get(_FORM_COOKIE, "")
    if not expected or not hmac.compare_digest(csrf.encode(), expected.encode()):
        raise NotPermitted(
            "this form is too old, or was not made for you",
            remedy="load the page again and log in there",
        )
    try:
        token = _session(request, parts, email.strip(), password)
    except (NotAuthenticated, TooManyRequests) as error:
        request.state.refused = Refused.by(error)
        return _again(request, LoginPage(_inside(next), email, None, ""), error)
    response = see_other(_inside(next))
    set_cookie(response, parts, token)
    response.delete_cookie(_FORM_COOKIE, path="/login", httponly=True, samesite="strict")
    return response


@router.post("/logout")
def log_out(
    request: Request, parts: PartsOf, visitor: Annotated[Visitor, sending(OPEN)]
) -> Response:
    """End the session."""
    with parts.records.begin(visitor.actor, reason="logged out") as work:
        sessions.log_out(work, request.cookies.get(cookie_name(parts), ""))
    response = see_other("/login")
    clear_cookie(response, parts)
    return response


@router.get("/static/{name}", dependencies=[Depends(open_to_all)])
def static_file(name: str, v: str = "") -> Response:
    """One of our own files; its address changes with its content, by the `v` in it."""
    del v
    if name not in STATIC:
        raise NotFound("there is no such file")
    headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(static(name)[0], headers=headers, media_type=STATIC[name])


def _session(request: Request, parts: Parts, email: str, password: str) -> str:
    """Log in.

    Raises:
        NotAuthenticated: address and password do not fit.
        TooManyRequests: they did not fit too often.
    """
    at, address = parts.real_clock.now(), address_of(request)
    person = entry.enter(parts.records, parts.brakes, email, password, address=address, at=at)
    with parts.records.begin(_PAGES, reason="address and password fit") as work:
        return open_for(work, parts, person, address=address, at=at)


def _again(
    request: Request, shown: LoginPage, error: NotAuthenticated | TooManyRequests
) -> Response:
    """The form, and why it is shown again."""
    if isinstance(error, NotAuthenticated):
        refused = replace(shown, refusal="The address and the password do not fit.")
        return _form(request, refused, HTTPStatus.UNAUTHORIZED)
    wait = error.retry_after_seconds
    refusal = f"There were too many attempts that failed. Try again in {wait} s."
    response = _form(request, replace(shown, refusal=refusal), HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = str(wait)
    return response


def _form(request: Request, shown: LoginPage, status: HTTPStatus = HTTPStatus.OK) -> Response:
    known = request.cookies.get(_FORM_COOKIE, "")
    # Kept while it lasts: a second tab must not make the form in the first one useless.
    token = known if _TOKEN.match(known) else secrets.token_urlsafe(32)
    named = LoginPage(shown.next, shown.email, shown.refusal, token)
    response = page(request, "login.html", named, title="Log in", status=status)
    response.set_cookie(
        _FORM_COOKIE, token, _FORM_SECONDS, path="/login", httponly=True, samesite="strict"
    )
    return response


def _inside(address: str) -> str:
    """`address` if it stays on this site, else the home page."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if plain and address.isprintable() and "\\" not in address else "/"
