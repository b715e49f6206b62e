"""Tenants, people, service accounts, and how they log in."""

from __future__ import annotations

from typing import Annotated

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


class NewTenant(Request):
    """A tenant to add."""

    id: Annotated[str, Field(min_length=1, max_length=63), described(SLUG)]
    name: Name
    reason: Reason = "set-up"


class TenantShape(Answer):
    """A tenant."""

    id: str
    name: str


class NewPerson(Request):
    """A person to add."""

    email: Annotated[str, Field(min_length=3, max_length=255), Line, described(EMAIL)]
    name: Name
    roles: Annotated[list[str], Field(min_length=1, max_length=20)]
    password: Annotated[str, Field(min_length=1, max_length=500)]
    tenant: TenantName | None = None
    reason: Reason = "set-up"


class PersonShape(Answer):
    """A person; never the password."""

    id: str
    email: str
    name: str
    tenant: str | None
    roles: list[str]
    disabled: bool


class NewAccount(Request):
    """A service account to add, with a first key."""

    name: Name
    roles: Annotated[list[str], Field(min_length=1, max_length=20)]
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
