"""Keys and tokens, and what is done with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from trimtab.sdk.shapes.base import Answer, ModelName, Reason, Request

NewPassword = Annotated[str, Field(min_length=1, max_length=500)]


class PasswordReset(Request):
    """Another password for somebody else."""

    new_password: NewPassword
    reason: Reason


class PasswordChange(Request):
    """Another password of one's own, with the present one."""

    email: Annotated[str, Field(min_length=1, max_length=255)]
    password: NewPassword
    new_password: NewPassword


class Exchange(Request):
    """Narrower scopes for the token that is given for a key; null for all that the key has."""

    scopes: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None


class NewKey(Request):
    """A further key of a service account."""

    scopes: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None
    lifetime_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    default_model: ModelName | None = None
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


class TokenKeyShape(Answer):
    """A key pair for tokens: its thumbprint, and when it begins to sign, in real time."""

    kid: str
    begins_at: datetime


class KeySetShape(Answer):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]
