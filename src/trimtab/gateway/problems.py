"""Errors as the gateway's callers read them: RFC 9457 problems."""

from __future__ import annotations

import json

from trimtab.kernel.errors import (
    Conflict,
    IntegrityFailed,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    TrimtabError,
    Unavailable,
)

_STATUS: dict[type[TrimtabError], int] = {
    InvalidInput: 422,
    NotAuthenticated: 401,
    NotPermitted: 403,
    NotFound: 404,
    Conflict: 409,
    IntegrityFailed: 503,
    Unavailable: 503,
}


class Refused(TrimtabError):
    """The HTTP exchange itself is refused: size, method, encoding or time.

    Args:
        status: The HTTP status that says so.
        code: Stable and documented.
    """

    def __init__(self, status: int, code: str, message: str, *, remedy: str | None = None):
        super().__init__(message, remedy=remedy)
        self.status = status
        self.reason = code


def status_of(error: TrimtabError) -> int:
    """The HTTP status of `error`."""
    if isinstance(error, Refused):
        return error.status
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def problem(error: TrimtabError) -> bytes:
    """The body of `application/problem+json` for `error`."""
    code = error.reason if isinstance(error, Refused) else error.code
    body: dict[str, object] = {
        "type": f"urn:trimtab:error:{code}",
        "title": code.replace("_", " "),
        "status": status_of(error),
        "code": code,
        "detail": error.message,
    }
    if error.field is not None:
        body["field"] = error.field
    if error.remedy is not None:
        body["remedy"] = error.remedy
    return json.dumps(body).encode()
