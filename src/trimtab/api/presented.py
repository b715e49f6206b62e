"""The one credential that a request shows: a key, a bearer token, or a signature."""

from __future__ import annotations

import hashlib
from typing import Protocol

from fastapi import Request

from trimtab.audit.work import Reading, Wanted
from trimtab.identity import service as identity
from trimtab.identity import signed
from trimtab.identity.model import split_key
from trimtab.kernel.actor import Actor
from trimtab.kernel.errors import NotAuthenticated
from trimtab.sdk import request_signing
from trimtab.workflows.parts import Parts

TAKEN = "signature_taken"
"""Left at a request whose nonce was claimed: it may be looked at more than once."""


class Credential(Protocol):
    """Tells whom a request speaks for, by the records. `name` is what failures are counted by;
    `writes` says whether `take` does, which may wait for others who write; `wanted` is what
    `actor` looks for, as far as that is known before."""

    name: str
    writes: bool
    wanted: tuple[Wanted, ...]

    def take(self, parts: Parts) -> None:
        """What has to be committed before anything is done for the request."""
        ...

    def actor(self, reading: Reading, parts: Parts) -> Actor:
        """Whom it speaks for.

        Raises:
            NotAuthenticated: it is of no use.
        """
        ...


class Key:
    """An API key."""

    writes = False

    def __init__(self, text: str):
        self._text = text
        self._id = (split_key(text) or ("",))[0]
        self.name = self._id or _short(text)
        self.wanted: tuple[Wanted, ...] = (identity.wanted_key(self._id),)

    def take(self, parts: Parts) -> None:
        """Nothing."""

    def actor(self, reading: Reading, parts: Parts) -> Actor:
        """The account of the key."""
        actor = identity.authenticate_key(reading, self._text)
        parts.key_uses.note(self._id)
        return actor


class Bearer:
    """A token that we issued."""

    writes = False
    wanted: tuple[Wanted, ...] = ()

    def __init__(self, token: str):
        self._token = token
        self.name = _short(token)

    def take(self, parts: Parts) -> None:
        """Nothing."""

    def actor(self, reading: Reading, parts: Parts) -> Actor:
        """Whom the token was issued to."""
        claims = parts.tokens.read(self._token)
        actor = identity.authenticate_token(reading, claims)
        if claims.key is not None:
            parts.key_uses.note(claims.key)
        return actor


class Signed:
    """A signature by an API key, of this very request, which is taken once."""

    writes = True

    def __init__(self, request: Request, authorization: str):
        said = request_signing.parse(authorization)
        if said is None:
            raise NotAuthenticated(
                "the Authorization header is not a signature as it must be",
                remedy="send key, timestamp, nonce, digest and signature, in this order",
            )
        headers = {name: _single(request, name) for name in request_signing.SIGNED_HEADERS}
        self._state = request.state
        self._request = signed.SignedRequest(said, request.method, target_of(request), headers)
        self.name = said.key
        self.wanted: tuple[Wanted, ...] = (identity.wanted_key(said.key),)

    def take(self, parts: Parts) -> None:
        """Verify the signature, and claim its nonce."""
        if hasattr(self._state, TAKEN):
            return
        at = parts.real_clock.now()
        with parts.records.look() as reading:
            signed.authenticate_signature(reading, parts.wrapping, self._request, at=at)
        parts.nonces.claim(self._request.said, at=at)
        setattr(self._state, TAKEN, True)

    def actor(self, reading: Reading, parts: Parts) -> Actor:
        """The account of the key that has signed."""
        at = parts.real_clock.now()
        actor = signed.authenticate_signature(reading, parts.wrapping, self._request, at=at)
        parts.key_uses.note(self._request.said.key)
        return actor


def presented(request: Request, key: str | None, authorization: str | None) -> Credential:
    """The credential of a request with these headers.

    Raises:
        NotAuthenticated: there is none, there are two, or it has not the form of one.
    """
    if (key is None) == (authorization is None):
        raise NotAuthenticated(
            "send one credential",
            remedy="a key in X-Api-Key, or a token in Authorization: Bearer",
        )
    if key is not None:
        return Key(key)
    shown = authorization or ""
    if request_signing.is_signed(shown):
        return Signed(request, shown)
    scheme, _, token = shown.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("the Authorization header is not a bearer token")
    return Key(token) if token.startswith("ak_") else Bearer(token)


def target_of(request: Request) -> str:
    """Path and query of a request, as they stood in its first line."""
    path, query = request.scope.get("raw_path", b""), request.scope.get("query_string", b"")
    target: bytes = path + b"?" + query if query else path
    return target.decode("latin-1")


def _single(request: Request, name: str) -> str:
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise NotAuthenticated(f"the header {name} stands there twice")
    return values[0] if values else ""


def _short(text: str) -> str:
    """A name for a secret that does not give it away."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
