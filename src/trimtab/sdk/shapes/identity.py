"""Tenants, people, service accounts, and how they log in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from trimtab.sdk.shapes.base import (
    EMAIL,
    NO_NUL,
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
    """Name by which requests call it; for ever."""
    name: Name
    """What people call it."""
    reason: Reason = "set-up"


class ConditionalRole(Request):
    """A role that holds for some things only: all that is said here must be so.

    `statuses` are those of versions, `max_traffic_percent` is the greatest share of the traffic
    that an act may lead to. What looks at records is limited by `tenants` alone.
    """

    role: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the role."""
    tiers: Annotated[list[int], Field(min_length=1, max_length=4)] | None = None
    """Only for models of these risk tiers."""
    statuses: Words | None = None
    """Only for versions of these statuses."""
    tenants: Words | None = None
    """Only for what is these tenants'."""
    environments: Words | None = None
    """Only in these environments."""
    max_traffic_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Only for acts that lead to no greater share of the traffic."""


Roles = Annotated[Sequence[str | ConditionalRole], Field(min_length=1, max_length=20)]
"""A role by its name, or with conditions."""


class NewRoles(Request):
    """The roles that somebody is to hold from now on, instead of those they hold."""

    roles: Roles
    """All that they are to hold: names of roles, or roles with conditions."""
    reason: Reason


class TenantShape(Answer):
    """A tenant."""

    id: str
    name: str


class NewPerson(Request):
    """A person to add."""

    email: Annotated[str, Field(min_length=3, max_length=255), Line, described(EMAIL)]
    """Address to log in with."""
    name: Name
    """What others read where this person acted."""
    roles: Roles
    """Names of roles, or roles with conditions."""
    password: Annotated[str, Field(min_length=1, max_length=500), described(NO_NUL)]
    """First password, which they can change."""
    tenant: TenantName | None = None
    """Tenant that this person is of; null: the fleet."""
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
    """What others read where this program acted."""
    roles: Roles
    """Names of roles, or roles with conditions."""
    tenant: TenantName | None = None
    """Tenant that it acts for; null: the fleet."""
    owner: Annotated[str, Field(min_length=1, max_length=80), described(NO_NUL)] | None = None
    """Id of the person who answers for it; null: whoever asks."""
    default_model: ModelName | None = None
    """Model that is meant where a request names none."""
    reason: Reason = "set-up"


class IssuedKey(Answer):
    """A key, whose text is shown this once."""

    account: str
    key_id: str
    key: str
    scopes: list[str]


class Credentials(Request):
    """Address and password."""

    email: Annotated[str, Field(min_length=1, max_length=255), described(NO_NUL)]
    """Address of whoever logs in."""
    password: Annotated[str, Field(min_length=1, max_length=500), described(NO_NUL)]
    """Their password."""


class TokenShape(Answer):
    """A short-lived bearer token."""

    access_token: str
    token_type: str
    expires_in: int
