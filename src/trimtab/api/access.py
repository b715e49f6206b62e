"""Who asks, and whether they may: every route declares one permission, or that it is open.

`may("models:read")` is a dependency that gives the actor; the permission stands on the
route, so that a test can read it off the table of routes. A route that declares nothing
fails the build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from trimtab.audit.work import Reading
from trimtab.identity import service as identity
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotAuthenticated, NotPermitted
from trimtab.workflows.parts import Parts

__all__ = ["Actor", "May", "PartsOf", "authenticated", "may", "open_to_all", "parts_of"]


def parts_of(request: Request) -> Parts:
    """The parts that this process is made of."""
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]


@dataclass(frozen=True)
class May:
    """The demand of a permission; calling it gives the actor who has it."""

    permission: str

    def __call__(self, request: Request) -> Actor:
        actor = authenticated(request)
        if not actor.may(self.permission):
            raise NotPermitted(
                f"this needs the permission {self.permission}, which you do not have",
                remedy="ask an administrator for a role that has it",
            )
        return actor


def may(permission: str) -> Any:
    """A dependency that demands `permission` and gives the actor."""
    return Depends(May(permission))


def open_to_all() -> None:
    """A dependency that says: this route is open on purpose."""


def authenticated(request: Request) -> Actor:
    """The actor behind a request, within the tenant that its header narrows to.

    Raises:
        NotAuthenticated: no credential, two of them, or one that is of no use.
        NotPermitted: the header names another tenant than the credential's.
    """
    parts = parts_of(request)
    credential = _credential(request)
    with parts.records.look() as reading:
        actor = credential(reading, parts)
    return identity.narrow(actor, _one(request, "x-tenant-id"))


Credential = Callable[[Reading, Parts], Actor]


def _credential(request: Request) -> Credential:
    key, bearer = _one(request, "x-api-key"), _one(request, "authorization")
    if (key is None) == (bearer is None):
        raise NotAuthenticated(
            "send one credential",
            remedy="a key in X-Api-Key, or a token in Authorization: Bearer",
        )
    if key is not None:
        return lambda reading, _parts: identity.authenticate_key(reading, key)
    scheme, _, token = (bearer or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("the Authorization header is not a bearer token")
    if token.startswith("ak_"):
        return lambda reading, _parts: identity.authenticate_key(reading, token)
    return lambda reading, parts: identity.authenticate_subject(
        reading, parts.tokens.subject(token)
    )


def _one(request: Request, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise NotAuthenticated(f"the header {header} stands there twice")
    return values[0] if values else None
