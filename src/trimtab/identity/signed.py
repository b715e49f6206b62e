"""Requests that a service signs: the key's secret does not travel, and nothing is taken twice."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trimtab.audit.work import Reading, Records
from trimtab.identity import credential_store as rows
from trimtab.identity.service import REFUSED, acting_key
from trimtab.identity.wrapping import Wrapping
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import Conflict, NotAuthenticated
from trimtab.sdk import request_signing
from trimtab.sdk.request_signing import Signature

SKEW = timedelta(minutes=5)
"""How far the timestamp of a request may be from our time, either way."""

_PRUNED = timedelta(minutes=1)
_ACCESS = system("access")


@dataclass(frozen=True)
class SignedRequest:
    """A request as it came, with what its signature says."""

    said: Signature
    method: str
    target: str
    headers: Mapping[str, str]


def authenticate_signature(
    reading: Reading, wrapping: Wrapping, request: SignedRequest, *, at: datetime
) -> Actor:
    """Whom a signed request speaks for. That its body has the digest which was signed is seen
    to where the body is read.

    Args:
        at: Real time.

    Raises:
        NotAuthenticated: the key cannot be used or cannot sign, the signature is not of this
            request, or its time is not now; always the same words.
        Unavailable: the key that unwraps is another one.
    """
    said = request.said
    key, account = acting_key(reading, said.key)
    if key.wrapped is None:
        raise NotAuthenticated(REFUSED)
    text = request_signing.canonical(said, request.method, request.target, request.headers)
    if not request_signing.verify(wrapping.unwrap(key.wrapped, key.id), text, said.signature):
        raise NotAuthenticated(REFUSED)
    if abs(at - datetime.fromtimestamp(said.timestamp, UTC)) > SKEW:
        raise NotAuthenticated(
            "the timestamp of this request is more than five minutes from our time",
            remedy="set the clock, then sign the request anew",
        )
    return account.actor(frozenset(key.scopes))


class Nonces:
    """Takes each signed request once, for all processes that share the database.

    Args:
        records: Where nonces are kept until their timestamps are too old anyway.
    """

    def __init__(self, records: Records):
        self._records = records
        self._lock = threading.Lock()
        self._pruned_at: datetime | None = None

    def claim(self, said: Signature, *, at: datetime) -> None:
        """Take a request whose signature was verified. It is committed before anything is done
        for the request, so that of two at once only one goes on.

        Raises:
            NotAuthenticated: it was taken before.
        """
        until = at + 2 * SKEW  # the timestamp may lie ahead by as much as it may lie behind
        try:
            with self._records.begin(_ACCESS, reason="signed") as work:
                if self._due(at):
                    rows.forget_nonces(work, at)
                rows.add_nonce(work, said.key, said.nonce, until=until)
        except Conflict:
            raise NotAuthenticated(
                "this signed request came before", remedy="sign each request anew"
            ) from None

    def _due(self, at: datetime) -> bool:
        with self._lock:
            due = self._pruned_at is None or at >= self._pruned_at + _PRUNED
            if due:
                self._pruned_at = at
        return due
