"""Who looks at the pages: a cookie, a token in every form, and where a form came from.

The cookie alone never suffices to change anything: a form must carry the session's token,
and the browser must say that it was sent from a page of ours.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Form, Request, Response

from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.identity.reach import demand_say
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotPermitted, NotYours
from trimtab.kernel.ids import TenantId
from trimtab.platform.settings import Profile
from trimtab.workflows.parts import Parts

LIFETIME = timedelta(hours=12)
"""Of a session, in real time: a working day; a property of the pages, not of a model."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

OPEN = "open"
"""Said of a page that anybody may ask for: logging in, the style sheet."""


def parts_of(request: Request) -> Parts:
    """The parts that this process is made of."""
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True)
class Visitor:
    """Who looks, the roles they hold at this moment, and the token of their forms."""

    actor: Actor
    roles: frozenset[str]
    csrf: str

    @property
    def tenant(self) -> TenantId | None:
        """Whose objects they see beside the global ones; None sees everybody's."""
        return self.actor.tenant

    def may(self, permission: str) -> bool:
        """Whether they have `permission`."""
        return self.actor.may(permission)

    def sees(self, tenant: TenantId | None) -> bool:
        """Whether something that belongs to `tenant` is there at all for them."""
        return self.actor.tenant is None or tenant is None or tenant == self.actor.tenant

    def demand_sight(self, tenant: TenantId | None, what: str) -> None:
        """Make sure that they see what belongs to `tenant`.

        Raises:
            NotFound: they do not; the same answer as for what does not exist.
        """
        if not self.sees(tenant):
            raise NotYours(f"there is no such {what}", field=what)

    def demand_say(self, tenant: TenantId | None) -> None:
        """Make sure that what belongs to `tenant` is theirs to change.

        Raises:
            NotPermitted: they see it, because it is global, but it is not theirs.
        """
        demand_say(self.actor, tenant)


@dataclass(frozen=True)
class Demand:
    """The demand of a permission of whoever looks; calling it gives the visitor."""

    permission: str

    def __call__(self, request: Request) -> Visitor:
        visitor = visitor_of(request)
        request.state.needed = self.permission
        demand_permission(visitor, self.permission)
        return visitor


@dataclass(frozen=True)
class FormDemand:
    """The demand of a permission of whoever sent a form, and that the form is ours."""

    permission: str

    def __call__(
        self, request: Request, csrf: Annotated[str, Form(max_length=200)] = ""
    ) -> Visitor:
        demand_origin(request)
        visitor = visitor_of(request)
        if not hmac.compare_digest(csrf.encode(), visitor.csrf.encode()):
            raise NotPermitted(
                "this form does not belong to your session",
                remedy="go back, load the page again, and send the form from there",
            )
        request.state.needed = self.permission
        demand_permission(visitor, self.permission)
        return visitor


def looking(permission: str) -> Any:
    """A dependency that demands `permission` and gives the visitor."""
    return Depends(Demand(permission))


def sending(permission: str) -> Any:
    """The same for a form, which must be one of ours."""
    return Depends(FormDemand(permission))


def open_to_all() -> None:
    """A dependency that says: this page is open on purpose."""


def demand_permission(visitor: Visitor, permission: str) -> None:
    """Make sure that `visitor` has `permission`.

    Raises:
        NotPermitted: they do not.
    """
    if permission != OPEN and not visitor.may(permission):
        raise NotPermitted(
            f"this needs the permission {permission}, which you do not have",
            remedy="ask an administrator for a role that has it",
        )


def visitor_of(request: Request) -> Visitor:
    """Whose session the cookie opens.

    Raises:
        NotAuthenticated: nobody's.
    """
    parts = parts_of(request)
    token = request.cookies.get(cookie_name(parts), "")
    with parts.records.look() as reading:
        actor, csrf = identity.authenticate_session(reading, token, at=parts.real_clock.now())
        roles = people.person(reading, actor.id).roles
    request.state.actor = actor  # a refusal is put on record with who was refused
    return Visitor(actor, frozenset(roles), csrf)


def demand_origin(request: Request) -> None:
    """Make sure that a form was sent from a page of ours.

    Raises:
        NotPermitted: the browser says that it was not, or does not say.
    """
    origins = request.headers.getlist("origin")
    if len(origins) != 1 or origins[0] not in _ours(parts_of(request)):
        raise NotPermitted(
            "this form was not sent from a page of this service",
            remedy="open the page at "
            + parts_of(request).settings.public_origin()
            + " and send the form from there",
        )


def set_cookie(response: Response, parts: Parts, token: str) -> None:
    """Let the browser keep a session: for us alone, unseen by scripts."""
    response.set_cookie(
        cookie_name(parts),
        token,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=_secure(parts),
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, parts: Parts) -> None:
    """Let the browser forget the session."""
    response.delete_cookie(
        cookie_name(parts), path="/", secure=_secure(parts), httponly=True, samesite="strict"
    )


def cookie_name(parts: Parts) -> str:
    """Where the connection is encrypted, a name that browsers tie to this very host."""
    return "__Host-trimtab" if _secure(parts) else "trimtab"


def _secure(parts: Parts) -> bool:
    return parts.settings.public_origin().startswith("https:")


def _ours(parts: Parts) -> set[str]:
    """Where pages of ours can come from: on one's own machine, under each of its names."""
    origin = parts.settings.public_origin()
    address = urlsplit(origin)
    host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
    if parts.settings.profile is not Profile.LOCAL or host not in _LOOPBACK:
        return {origin}
    port = f":{address.port}" if address.port else ""
    return {f"{address.scheme}://{name}{port}" for name in _LOOPBACK}
