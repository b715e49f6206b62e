"""Who looks at the pages: a cookie, a token in every form, and where a form came from.

The cookie alone never suffices to change anything: a form must carry the session's token,
and the browser must say that it was sent from a page of ours.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Form, Request, Response

from trimtab.approvals.model import Voter
from trimtab.audit.work import Work
from trimtab.identity import sessions
from trimtab.identity import store as people
from trimtab.identity.credential_store import Session
from trimtab.identity.demands import OPEN, Reach, RouteDemand
from trimtab.identity.model import Person
from trimtab.identity.reach import demand_say, granted
from trimtab.identity.roles import Role, held
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import NotPermitted, NotYours, Unavailable
from trimtab.kernel.grants import Subject
from trimtab.kernel.ids import TenantId
from trimtab.platform.logs import know_caller, logger
from trimtab.platform.settings import Profile
from trimtab.workflows.parts import Parts
from trimtab.workflows.refusals import source

log = logger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def parts_of(request: Request) -> Parts:
    """The parts that this process is made of."""
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True)
class Visitor:
    """Who looks, the roles they hold at this moment, and the token of their forms."""

    actor: Actor
    roles: frozenset[Role]
    csrf: str
    session: str = ""
    """The id of the session that they look in."""

    @property
    def tenant(self) -> TenantId | None:
        """Whose objects they see beside the global ones; None sees everybody's."""
        return self.actor.tenant

    @property
    def in_order(self) -> tuple[Role, ...]:
        """Their roles, as they are listed."""
        return tuple(sorted(self.roles, key=str))

    def may(self, permission: str) -> bool:
        """Whether they have `permission`."""
        return self.actor.may(permission)

    def voter(self, about: Subject) -> Voter:
        """Them, in the roles that hold for what is to be decided."""
        roles = held(self.roles, about)
        return Voter(self.actor.person or self.actor.id, self.actor.name, roles)

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
class Demand(RouteDemand):
    """The demand of a permission of whoever looks; calling it gives the visitor."""

    def __call__(self, request: Request) -> Visitor:
        request.state.needed = self.permission
        return permitted(visitor_of(request), self, request.method)


@dataclass(frozen=True)
class FormDemand(RouteDemand):
    """The demand of a permission of whoever sent a form, and that the form is ours."""

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
        return permitted(visitor, self, request.method)


def looking(permission: str, *, reach: Reach | None = None) -> Any:
    """A dependency that demands `permission` and gives the visitor; `reach` says whose things
    the page shows, where it is not what the method says."""
    return Depends(Demand(permission, reach))


def sending(permission: str, *, reach: Reach | None = None, asks_about: bool = False) -> Any:
    """The same for a form, which must be one of ours; `asks_about` says that the route calls
    `demand_grant` with what is acted on."""
    return Depends(FormDemand(permission, reach, asks_about))


def open_to_all() -> None:
    """A dependency that says: this page is open on purpose."""


def permitted(visitor: Visitor, demand: RouteDemand, method: str) -> Visitor:
    """`visitor` within the tenant that what a page demands is granted for.

    Raises:
        NotPermitted: it is not granted.
    """
    if demand.permission == OPEN:
        return visitor
    later = demand.only_looks_or_asks(method)
    actor = granted(visitor.actor, demand.permission, asked_later=later)
    return replace(visitor, actor=actor)


def visitor_of(request: Request) -> Visitor:
    """Whose session the cookie opens.

    Raises:
        NotAuthenticated: nobody's.
    """
    parts = parts_of(request)
    token = request.cookies.get(cookie_name(parts), "")
    at = parts.real_clock.now()
    with parts.records.look() as reading:
        idle = parts.settings.session_idle()
        actor, session = sessions.authenticate_session(reading, token, at=at, idle=idle)
        roles = people.person(reading, actor.id).roles
    request.state.actor = actor  # a refusal is put on record with who was refused
    know_caller(actor.id, actor.tenant)
    if (at - session.seen_at).total_seconds() >= sessions.SEEN_SECONDS:
        _note(parts, session, at)
    return Visitor(actor, frozenset(roles), session.csrf, session.id)


def _note(parts: Parts, session: Session, at: datetime) -> None:
    """Note that a session is in use; a page is shown all the same where that cannot be written."""
    try:
        with parts.records.begin(system("pages"), reason="in use") as work:
            sessions.seen(work, session, at=at)
    except Unavailable as error:
        log.warning("that a session is in use could not be noted", why=error.message)


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
        max_age=int(parts.settings.session_life().total_seconds()),
        path="/",
        secure=_secure(parts),
        httponly=True,
        samesite="strict",
    )


def open_for(work: Work, parts: Parts, person: Person, *, address: str, at: datetime) -> str:
    """Open a session under a fresh token, and return that."""
    until = at + parts.settings.session_life()
    token, _csrf = sessions.open_session(work, person, at=at, until=until, address=address)
    return token


def address_of(request: Request) -> str:
    """Where a request comes from; of IPv6, the network."""
    return source(request.client.host if request.client else None).address


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
