"""Keys and tokens, and what is done with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from trimtab.sdk.shapes.base import (
    NO_NUL,
    PERMISSION,
    Answer,
    ModelName,
    Reason,
    Request,
    described,
)

NewPassword = Annotated[str, Field(min_length=1, max_length=500), described(NO_NUL)]


class PasswordReset(Request):
    """Another password for somebody else."""

    new_password: NewPassword
    """What they log in with from now on."""
    reason: Reason


class PasswordChange(Request):
    """Another password of one's own, with the present one."""

    email: Annotated[str, Field(min_length=1, max_length=255), described(NO_NUL)]
    """Address of whoever changes it."""
    password: NewPassword
    """The present one."""
    new_password: NewPassword
    """The next one."""


Scope = Annotated[str, described(PERMISSION)]
"""A permission, as roles name them."""


class Exchange(Request):
    """Narrower scopes for the token that is given for a key; null for all that the key has."""

    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)] | None = None
    """Permissions that the token is to have, of those of the key; null: all of them."""


class NewKey(Request):
    """A further key of a service account."""

    scopes: Annotated[list[Scope], Field(min_length=1, max_length=100)] | None = None
    """Permissions that the key is to have, of those of its account; null: all of them."""
    lifetime_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Days until it is of no use any more; null: it does not end by itself."""
    default_model: ModelName | None = None
    """Model that is meant where a request names none."""
    reason: Reason


class KeyShape(Answer):
    """A key; its text is not known here. `last_used_at` is real time, to the minute."""

    id: str
    account: str
    tenant: str | None
    scopes: list[str]
    default_model: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = None


class TokenKeyRotation(Request):
    """A new key pair for tokens. `at_once` ends every token that is out: for a stolen key."""

    reason: Reason
    at_once: bool = False
    """Whether every token that is out ends: for a stolen key."""


class TokenKeyShape(Answer):
    """A key pair for tokens: its thumbprint, and when it begins to sign, in real time."""

    kid: str
    begins_at: datetime


class KeySetShape(Answer):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]
