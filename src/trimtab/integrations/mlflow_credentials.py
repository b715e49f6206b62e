"""Who we are at an MLflow server."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trimtab.kernel.errors import InvalidInput

_LONGEST = 8192
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_WELL_KNOWN = frozenset({"password", "password1234"})


class Kind(StrEnum):
    """How somebody shows who they are."""

    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"
    HEADERS = "headers"


@dataclass(frozen=True)
class Credentials:
    """What is sent to be let in. No value of it is shown by `repr`.

    Use `none`, `basic`, `bearer` or `of_headers`.
    """

    kind: Kind
    username: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    well_known: bool = field(default=False, repr=False)
    """Whether this is the name and password that servers were once delivered with."""

    @classmethod
    def none(cls) -> Credentials:
        """Nobody in particular."""
        return cls(Kind.NONE)

    @classmethod
    def basic(cls, username: str, password: str) -> Credentials:
        """A name and a password.

        Raises:
            InvalidInput: they cannot be sent.
        """
        if not username or ":" in username:
            raise InvalidInput(
                "the user name is empty, or has a colon", field="username", remedy="correct it"
            )
        _demand_sendable(username, "username", ascii_only=False)
        _demand_sendable(password, "password", ascii_only=False)
        coded = base64.b64encode(f"{username}:{password}".encode()).decode()
        return cls(
            Kind.BASIC,
            username,
            {"Authorization": f"Basic {coded}"},
            (password, coded),
            username == "admin" and password in _WELL_KNOWN,
        )

    @classmethod
    def bearer(cls, token: str) -> Credentials:
        """A token.

        Raises:
            InvalidInput: it cannot be sent.
        """
        _demand_sendable(token, "token")
        return cls(Kind.BEARER, "", {"Authorization": f"Bearer {token}"}, (token,))

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Credentials:
        """Headers that a proxy before the server asks for.

        Raises:
            InvalidInput: a name that is none, or that is ours to send, or a value that cannot be
                sent.
        """
        for name, value in headers.items():
            if not name or not set(name.lower()) <= _TOKEN or name.lower() in _OURS:
                raise InvalidInput(
                    "one of the headers has a name that cannot be given",
                    field="headers",
                    remedy="give names as Authorization or X-Api-Key",
                )
            _demand_sendable(value, "headers")
        return cls(Kind.HEADERS, "", dict(headers), tuple(headers.values()))

    @property
    def identity(self) -> str:
        """Who we are there, as it may be put on record."""
        if self.kind is Kind.BASIC:
            return f"user {self.username}"
        names = ", ".join(sorted(self.headers))
        shown = {
            Kind.NONE: "nobody",
            Kind.BEARER: "the holder of a token",
            Kind.HEADERS: f"the sender of the headers {names}",
        }
        return shown[self.kind]


def _demand_sendable(value: str, name: str, *, ascii_only: bool = True) -> None:
    plain = value.isascii() or not ascii_only
    if not value or len(value) > _LONGEST or not plain or not value.isprintable():
        raise InvalidInput(
            f"the {name} cannot be sent: it is empty, too long, or has unusual characters",
            field=name,
            remedy="give it again, without line breaks",
        )
