"""Signed requests: HMAC-SHA256 by an API key whose secret never travels.

    Authorization: Trimtab-HMAC-SHA256 key=..., timestamp=..., nonce=..., digest=..., signature=...

What is signed is the text that `canonical` makes; docs/reference/authentication.md has it in
words, with an example to check another implementation by.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trimtab.kernel.clock import Clock, SystemClock

SCHEME = "Trimtab-HMAC-SHA256"
SIGNED_HEADERS = ("content-type", "idempotency-key", "x-tenant-id")
"""What decides, beside address and body, what a request means. One that is absent is empty."""

_INFO = b"trimtab request signing v1"
_FIELDS = re.compile(
    r"key=(?P<key>ak_[0-9a-z]{16}), timestamp=(?P<timestamp>[1-9][0-9]{0,10}), "
    r"nonce=(?P<nonce>[A-Za-z0-9_-]{22,64}), digest=(?P<digest>[0-9a-f]{64}), "
    r"signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Signature:
    """The fields of the header. `digest` is the SHA-256 of the body, in hexadecimal digits."""

    key: str
    timestamp: int
    nonce: str
    digest: str
    signature: str = ""

    def header(self) -> str:
        """The value of `Authorization`."""
        return (
            f"{SCHEME} key={self.key}, timestamp={self.timestamp}, nonce={self.nonce}, "
            f"digest={self.digest}, signature={self.signature}"
        )


def is_signed(authorization: str) -> bool:
    """Whether the value of `Authorization` says that the request is signed."""
    return authorization.partition(" ")[0].lower() == SCHEME.lower()


def parse(authorization: str) -> Signature | None:
    """The fields of the header, or None if it is not exactly in the form above."""
    found = _FIELDS.fullmatch(authorization.partition(" ")[2])
    if not is_signed(authorization) or found is None:
        return None
    timestamp = int(found["timestamp"])
    return Signature(found["key"], timestamp, found["nonce"], found["digest"], found["signature"])


def canonical(said: Signature, method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The text that is signed: one line for each thing, in this order.

    Args:
        said: Key, timestamp, nonce and digest; its signature does not matter.
        method: In upper case.
        target: Path and query, as they stand in the request line.
        headers: Those of the request, by their names in lower case.
    """
    lines = [SCHEME, said.key, str(said.timestamp), said.nonce, method, target, said.digest]
    lines += [f"{name}:{headers.get(name, '')}" for name in SIGNED_HEADERS]
    return "\n".join(lines).encode("latin-1")


def signing_key(secret: str) -> bytes:
    """The key of the HMAC, derived from the secret of an API key: who has it can sign, and
    cannot find the secret."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=_INFO).derive(secret.encode())


def sign(key: bytes, text: bytes) -> str:
    """The signature of a canonical text, in hexadecimal digits."""
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def verify(key: bytes, text: bytes, signature: str) -> bool:
    """Whether `signature` is that of the text, compared in constant time."""
    return hmac.compare_digest(sign(key, text), signature)


class Signer(httpx.Auth):
    """Signs every request of a client with an API key.

    Args:
        key: The text of the key.
        clock: Real time.
    """

    requires_request_body = True

    def __init__(self, key: str, clock: Clock | None = None):
        self._id, _, secret = key.partition(".")
        self._key = signing_key(secret)
        self._clock = clock or SystemClock()

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]  # a generator there, and it is one
        """The request, signed."""
        digest = hashlib.sha256(request.content).hexdigest()
        said = Signature(
            self._id, int(self._clock.now().timestamp()), secrets.token_urlsafe(16), digest
        )
        target = request.url.raw_path.decode("ascii")
        text = canonical(said, request.method, target, request.headers)
        signature = sign(self._key, text)
        fields = Signature(said.key, said.timestamp, said.nonce, said.digest, signature)
        request.headers["Authorization"] = fields.header()
        yield request
