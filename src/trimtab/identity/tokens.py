"""Short-lived bearer tokens: RS256 and nothing else, from a key pair made at first start."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.types import Options

from trimtab.artifacts.keys import read_private, write_private
from trimtab.kernel.clock import Clock
from trimtab.kernel.errors import InvalidInput, NotAuthenticated

ALGORITHM = "RS256"
MAX_BYTES = 4096
_REQUIRED = ["exp", "iat", "nbf", "sub", "aud", "iss"]
_TIMES = ("exp", "iat", "nbf")

_OPTIONS: Options = {
    "require": _REQUIRED,
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}
"""Times are judged by `Tokens` itself, by the clock that it was given."""


class Tokens:
    """Issues and reads tokens of one issuer. Tokens live in real time, like TLS.

    Args:
        issuer: Who issues them, and whom alone they are for.
        key: Signs them.
        clock: Real time.
        max_lifetime: A token that lasts longer is not issued, and not believed.
        max_skew: How far ahead of this clock another one of ours may be.
    """

    def __init__(
        self,
        issuer: str,
        key: rsa.RSAPrivateKey,
        clock: Clock,
        *,
        max_lifetime: timedelta = timedelta(hours=24),
        max_skew: timedelta = timedelta(seconds=60),
    ):
        self._issuer = issuer
        self._key = key
        self._clock = clock
        self._max_lifetime = max_lifetime
        self._max_skew = max_skew
        public = key.public_key()
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._kid = hashlib.sha256(der).hexdigest()[:16]
        self._known = {self._kid: public}

    def issue(self, subject: str, *, lifetime: timedelta) -> str:
        """A token for `subject`, an id of a person or of a service account.

        Raises:
            InvalidInput: it would last longer than any token may.
        """
        if lifetime > self._max_lifetime:
            raise InvalidInput(f"a token may last {self._max_lifetime} at most", field="lifetime")
        now = self._clock.now()
        claims = {
            "sub": subject,
            "iss": self._issuer,
            "aud": self._issuer,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._kid})

    def subject(self, token: str) -> str:
        """Whom a token was issued to.

        Raises:
            NotAuthenticated: anything about it is not as we issue them.
        """
        if len(token) > MAX_BYTES:
            raise NotAuthenticated("this token is too long to be ours")
        try:
            header = jwt.get_unverified_header(token)
            key = self._known.get(str(header.get("kid")))
            if key is None or header.get("alg") != ALGORITHM or "crit" in header:
                raise NotAuthenticated("this token was not issued here")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._issuer,
                issuer=self._issuer,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _refused() from error
        if not self._timely(claims):
            raise _refused()
        return str(claims["sub"])

    def _timely(self, claims: dict[str, Any]) -> bool:
        """Whether a token is valid now. The library reads `"9"`, 9.5 and true as times, and
        the machine's clock instead of ours."""
        times: list[int] = [claims[name] for name in _TIMES]
        if any(type(moment) is not int for moment in times):
            return False
        expires, issued, begins = times
        now, skew = self._clock.now().timestamp(), self._max_skew.total_seconds()
        begun = max(issued, begins) <= now + skew
        return begun and now < expires <= issued + self._max_lifetime.total_seconds()


def _refused() -> NotAuthenticated:
    return NotAuthenticated(
        "this token is not valid", remedy="log in again, or ask for a fresh token"
    )


def load_or_create_rsa(path: Path) -> rsa.RSAPrivateKey:
    """The key pair at `path`, made at first use with mode 0600.

    Safe to call from several processes at once: one key wins and all return it.

    Raises:
        InvalidInput: the file is no regular file of ours, others may read it, or it holds
            no RSA key.
        OSError: the file or its folder cannot be read or written.
    """
    if not (path.exists() or path.is_symlink()):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = fresh.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(path, pem)
    try:
        key = serialization.load_pem_private_key(read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} holds no unencrypted private key", field="key_path") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidInput(f"{path} does not hold an RSA key", field="key_path")
    return key
