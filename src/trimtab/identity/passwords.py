"""Passwords: argon2id, and the same time for a person who does not exist."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from trimtab.kernel.errors import InvalidInput

MIN_LENGTH = 12
"""Characters; length is what makes a password hard to guess, so nothing else is demanded."""

_WEAK = ("change-me", "changeme", "password", "trimtab", "123456", "admin", "letmein", "qwerty")
_hasher = PasswordHasher()
_AT_ONCE = threading.BoundedSemaphore(4)
"""Each hash takes 64 MiB: a flood of log-ins must not take all the memory."""
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA"
    "$GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo"
)


def hash_password(password: str, *, field: str = "password") -> str:
    """The argon2id hash of a password; `field` is where somebody gave it.

    Raises:
        InvalidInput: too short, or made of what everybody tries first.
    """
    plain = password.lower()
    rest = plain
    for weak in _WEAK:
        rest = rest.replace(weak, "")
    if len(password) < MIN_LENGTH or len(rest) < MIN_LENGTH // 2:
        raise InvalidInput(
            "this password is too easy to guess",
            field=field,
            remedy=f"use at least {MIN_LENGTH} characters, for instance four unrelated words",
        )
    return _hasher.hash(password)


def fits(password_hash: str | None, password: str) -> bool:
    """Whether the password is right; with no hash the time is spent all the same, so that
    nobody learns from the clock who exists."""
    try:
        with _AT_ONCE:
            right = _hasher.verify(password_hash or _NOBODY, password)
        return right and password_hash is not None
    except (VerifyMismatchError, InvalidHashError):
        return False
