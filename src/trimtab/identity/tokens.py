"""Short-lived bearer tokens: RS256 and nothing else, from a key pair made at first start."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from trimtab.kernel.clock import Clock
from trimtab.kernel.errors import NotAuthenticated

ALGORITHM = "RS256"
MAX_BYTES = 4096
_REQUIRED = ["exp", "iat", "sub", "aud", "iss"]


class Tokens:
    """Issues and reads tokens of one issuer. Tokens live in real time, like TLS."""

    def __init__(self, issuer: str, key: rsa.RSAPrivateKey, clock: Clock):
        self._issuer = issuer
        self._key = key
        self._clock = clock
        public = key.public_key()
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._kid = hashlib.sha256(der).hexdigest()[:16]
        self._known = {self._kid: public}

    def issue(self, subject: str, *, lifetime: timedelta) -> str:
        """A token for `subject`, an id of a person or of a service account."""
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
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.PyJWTError as error:
            raise NotAuthenticated(
                "this token is not valid", remedy="log in again, or ask for a fresh token"
            ) from error
        return str(claims["sub"])


def load_or_create_rsa(path: Path) -> rsa.RSAPrivateKey:
    """The key pair at `path`, made at first use with mode 0600."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = fresh.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
