"""Keys and tokens, and what is done with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from trimtab.sdk.shapes.base import Answer, Reason, Request

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
