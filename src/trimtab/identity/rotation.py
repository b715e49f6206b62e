"""A new key pair for tokens, on record before it counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trimtab.audit.work import Records
from trimtab.identity.keyring import KeyFolder, TokenKey
from trimtab.identity.reach import demand_fleet
from trimtab.kernel.actor import Actor
from trimtab.kernel.events import Note


@dataclass(frozen=True)
class TokenKeyRotated(Note):
    """Tokens are signed with another key pair from `begins_at` on, in real time.

    `at_once` says that every token which was signed before is of no use from now on.
    """

    kind: ClassVar[str] = "token_key.rotated"

    begins_at: datetime
    at_once: bool


def rotate(
    records: Records, actor: Actor, keys: KeyFolder, *, reason: str, at_once: bool = False
) -> TokenKey:
    """Make a key pair that signs tokens from now on, or, to give everybody time to see it, in
    a minute. Tokens that are out stay good until they end, except `at_once`.

    The files cannot be part of the transaction. The entry comes first: between it and the key
    an entry may stand without its key, which a repetition makes good, and never the opposite.

    Raises:
        NotPermitted: whoever acts for one tenant does not decide on everybody's tokens.
    """
    demand_fleet(actor)
    fresh = keys.prepare(at_once=at_once)
    try:
        with records.begin(actor, reason=reason) as work:
            event = TokenKeyRotated(
                subject=fresh.kid, tenant=None, begins_at=fresh.begins, at_once=at_once
            )
            work.record(event)
    except BaseException:
        keys.discard(fresh)
        raise
    keys.adopt(fresh, at_once=at_once)
    return fresh
