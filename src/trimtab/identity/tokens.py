"""Short-lived bearer tokens: RS256 and nothing else, by one key of a set.

What a token says of its reader's rights is nothing but who it was issued to: roles, and whether
somebody is still welcome, are read from the records with each request.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
from jwt.types import Options

from trimtab.artifacts import strictjson
from trimtab.identity.keyring import Ring, jwk
from trimtab.kernel.clock import Clock
from trimtab.kernel.errors import InvalidInput, NotAuthenticated
from trimtab.kernel.ids import TenantId, new_id

ALGORITHM = "RS256"
MAX_BYTES = 4096
MAX_LIFETIME = timedelta(hours=1)
"""A token that lasts longer is not issued, and not believed."""
MAX_SKEW = timedelta(seconds=60)
"""How far ahead of this clock another one of ours may be."""
OVERLAP = MAX_LIFETIME + MAX_SKEW
"""How long a key verifies after the next one has begun to sign."""

_HEADER = {"alg", "kid", "typ"}
_CLAIMS = ["exp", "iat", "nbf", "sub", "aud", "iss", "tenant", "gen"]
_TIMES = ("exp", "iat", "nbf")
_COMPACT = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]+", re.ASCII)

_OPTIONS: Options = {
    "require": [name for name in _CLAIMS if name != "tenant"],  # which is null for the fleet
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}
"""Times are judged by `Tokens` itself, by the clock that it was given."""


@dataclass(frozen=True)
class Claims:
    """Whom a token was issued to.

    `generation` is how often all credentials of a person had been ended by then. A token that
    was got for an API key names the key, and the scopes that it is bounded by.
    """

    subject: str
    tenant: TenantId | None = None
    generation: int = 0
    key: str | None = None
    scopes: tuple[str, ...] = ()


class Tokens:
    """Issues and reads tokens of one issuer. Tokens live in real time, like TLS.

    Args:
        issuer: Who issues them, and whom alone they are for.
        ring: Tells the keys as they are now.
        clock: Real time.
        max_lifetime: See `MAX_LIFETIME`.
    """

    def __init__(
        self,
        issuer: str,
        ring: Callable[[], Ring],
        clock: Clock,
        *,
        max_lifetime: timedelta = MAX_LIFETIME,
    ):
        self._issuer = issuer
        self._ring = ring
        self._clock = clock
        self._max_lifetime = max_lifetime

    def issue(self, claims: Claims, *, lifetime: timedelta) -> str:
        """A token for a person or a service account.

        Raises:
            InvalidInput: it would last longer than any token may.
            Unavailable: there is no key to sign it with.
        """
        if lifetime > self._max_lifetime:
            raise InvalidInput(f"a token may last {self._max_lifetime} at most", field="lifetime")
        now = self._clock.now()
        key = self._ring().signing(now)
        said: dict[str, Any] = {
            "sub": claims.subject,
            "tenant": claims.tenant,
            "gen": claims.generation,
            "iss": self._issuer,
            "aud": self._issuer,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "jti": new_id("tok"),
        }
        if claims.key is not None:
            said |= {"key": claims.key, "scope": " ".join(claims.scopes)}
        return jwt.encode(said, key.private, algorithm=ALGORITHM, headers={"kid": key.kid})

    def read(self, token: str) -> Claims:
        """Whom a token was issued to.

        Raises:
            NotAuthenticated: anything about it is not as we issue them.
        """
        if len(token) > MAX_BYTES:
            raise NotAuthenticated("this token is too long to be ours")
        try:
            header, claims = _parts(token)
            key = self._ring().known(self._clock.now()).get(_key_id(header))
            if key is None:
                raise _refused()
            jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                audience=self._issuer,
                issuer=self._issuer,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _refused() from error
        if not self._timely(claims):
            raise _refused()
        return _claims(claims)

    def key_set(self) -> list[dict[str, str]]:
        """The public keys that verify tokens now, each as a JSON Web Key."""
        return [jwk(key) for key in self._ring().known(self._clock.now()).values()]

    def _timely(self, claims: dict[str, Any]) -> bool:
        """Whether a token is valid now. The library reads `"9"`, 9.5 and true as times, and
        the machine's clock instead of ours."""
        times: list[int] = [claims[name] for name in _TIMES]
        if any(type(moment) is not int for moment in times):
            return False
        expires, issued, begins = times
        now, skew = self._clock.now().timestamp(), MAX_SKEW.total_seconds()
        begun = max(issued, begins) <= now + skew
        return begun and now < expires <= issued + self._max_lifetime.total_seconds()


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, read before any cryptography and more strictly than the library does:
    a name that stands there twice is not the last of the two.

    Raises:
        ValueError: it is not a token in three parts, or one of them is not as we write it.
    """
    compact = _COMPACT.fullmatch(token)
    if compact is None:
        raise ValueError("not three parts")
    header, claims = (strictjson.read(_decoded(part)) for part in compact.groups())
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("a part is no object")
    return header, claims


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _key_id(header: dict[str, Any]) -> str:
    """The name of the key. Of a header we take what we write and nothing else: no key or
    address of one that the token brings along, no extension, no compression.

    Raises:
        ValueError: there is something else in it.
    """
    kid = header.get("kid")
    if header.keys() != _HEADER or header["alg"] != ALGORITHM or not isinstance(kid, str):
        raise ValueError("not a header of ours")
    return kid


def _claims(said: dict[str, Any]) -> Claims:
    """The claims of a token that was signed by us.

    Raises:
        NotAuthenticated: they have not the form in which we write them.
    """
    tenant, generation = said.get("tenant", 0), said["gen"]
    key, scope = said.get("key"), said.get("scope")
    plain = tenant is None or isinstance(tenant, str)
    bound = (key is None and scope is None) or (isinstance(key, str) and isinstance(scope, str))
    if not plain or not bound or type(generation) is not int:
        raise _refused()
    owner = None if tenant is None else TenantId(tenant)
    scopes = () if scope is None else tuple(scope.split())
    return Claims(str(said["sub"]), owner, generation, key, scopes)


def _refused() -> NotAuthenticated:
    return NotAuthenticated(
        "this token is not valid", remedy="log in again, or ask for a fresh token"
    )
