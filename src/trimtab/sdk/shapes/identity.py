"""Tenants, people, service accounts, and how they log in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from trimtab.sdk.shapes.base import (
    EMAIL,
    SLUG,
    Answer,
    Line,
    ModelName,
    Name,
    Reason,
    Request,
    TenantName,
    described,
)

Words = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=63)]], Field(min_length=1, max_length=20)
]


class NewTenant(Request):
    """A tenant to add."""

    id: Annotated[str, Field(min_length=1, max_length=63), described(SLUG)]
    name: Name
    reason: Reason = "set-up"


class ConditionalRole(Request):
    """A role that holds for some things only: all that is said here must be so.

    `statuses` are those of versions, `max_traffic_percent` is the greatest share of the traffic
    that an act may lead to. What looks at records is limited by `tenants` alone.
    """

    role: Annotated[str, Field(min_length=1, max_length=63)]
    tiers: Annotated[list[int], Field(min_length=1, max_length=4)] | None = None
    statuses: Words | None = None
    tenants: Words | None = None
    environments: Words | None = None
    max_traffic_percent: Annotated[float, Field(ge=0, le=100)] | None = None


Roles = Annotated[Sequence[str | ConditionalRole], Field(min_length=1, max_length=20)]
"""A role by its name, or with conditions."""


class NewRoles(Request):
    """The roles that somebody is to hold from now on, instead of those they hold."""

    roles: Roles
    reason: Reason


class TenantShape(Answer):
    """A tenant."""

    id: str
    name: str


class NewPerson(Request):
    """A person to add."""

    email: Annotated[str, Field(min_length=3, max_length=255), Line, described(EMAIL)]
    name: Name
    roles: Roles
    password: Annotated[str, Field(min_length=1, max_length=500)]
    tenant: TenantName | None = None
    reason: Reason = "set-up"


class PersonShape(Answer):
    """A person; never the password."""

    id: str
    email: str
    name: str
    tenant: str | None
    roles: list[str | dict[str, Any]]
    disabled: bool


class NewAccount(Request):
    """A service account to add, with a first key."""

    name: Name
    roles: Roles
    tenant: TenantName | None = None
    owner: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    default_model: ModelName | None = None
    reason: Reason = "set-up"


class IssuedKey(Answer):
    """A key, whose text is shown this once."""

    account: str
    key_id: str
    key: str
    scopes: list[str]


class Credentials(Request):
    """Address and password."""

    email: Annotated[str, Field(min_length=1, max_length=255)]
    password: Annotated[str, Field(min_length=1, max_length=500)]


class TokenShape(Answer):
    """A short-lived bearer token."""

    access_token: str
    token_type: str
    expires_in: int
