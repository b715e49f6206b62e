"""Keys of service accounts: listed, used, exchanged for a short token."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from trimtab.audit.work import Reading, Records
from trimtab.identity import credential_store as rows
from trimtab.identity import service, store
from trimtab.identity.model import ApiKey, split_key
from trimtab.identity.tokens import Claims
from trimtab.kernel.actor import system
from trimtab.kernel.clock import Clock
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.kernel.ids import TenantId
from trimtab.platform.logs import logger

log = logger(__name__)

NOTED = timedelta(minutes=1)
"""That a key is used is written so often, and not with every request, in real time."""

_USES = system("access")


class KeyUses:
    """When keys were last used; all methods may be called from any thread.

    A use is noted in memory and written soon after, so that a request that only reads stays
    one. What was noted in the last moments before a kill is lost.

    Args:
        records: Where uses are written.
        clock: Real time.
    """

    def __init__(self, records: Records, clock: Clock):
        self._records = records
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        """A key was used now. Takes no time, and writes nothing yet."""
        now = self._clock.now()
        with self._lock:
            last = self._written.get(key_id)
            if last is None or now >= last + NOTED:
                self._waiting[key_id] = now

    def flush(self) -> None:
        """Write what is waiting. Safe to repeat; what cannot be written now is tried again."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            old = self._clock.now() - NOTED
            self._written = {k: at for k, at in self._written.items() if at > old} | waiting
        if not waiting:
            return
        try:
            with self._records.begin(_USES, reason="in use") as work:
                for key_id, at in sorted(waiting.items()):
                    rows.note_use(work, key_id, at)
        except BaseException:
            with self._lock:
                self._waiting = waiting | self._waiting
            raise


def listed(
    reading: Reading,
    *,
    tenant: TenantId | None,
    account: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[tuple[ApiKey, datetime | None]]:
    """Keys in the order in which they were issued, each with its last use in real time.

    Args:
        tenant: A tenant sees its own; None is everybody.
        account: Of this account only.
        after: Go on after this key.

    Raises:
        NotFound: the key to go on after is not there.
    """
    if after is not None:
        one = store.key(reading, after)
        if one is None or (tenant is not None and one.tenant != tenant):
            raise NotFound("there is no such key", field="after")
    return rows.keys(reading, tenant=tenant, account=account, after=after, limit=limit)


def exchanged(reading: Reading, text: str, scopes: list[str] | None) -> Claims:
    """What a short token is to say that somebody gets for a key.

    Args:
        text: The key.
        scopes: What the token may do, at most what the key may; None for all of that.

    Raises:
        NotAuthenticated: it is not the text of a key that can be used.
        InvalidInput: a scope that the key does not have.
    """
    actor = service.authenticate_key(reading, text)
    parts = split_key(text)
    assert parts is not None  # it was one just now
    key = store.key(reading, parts[0])
    assert key is not None
    own = frozenset(key.scopes)
    wanted = own if scopes is None else frozenset(scopes)
    if wanted - own:
        raise InvalidInput(
            f"this key may not do {', '.join(sorted(wanted - own))} itself"[:500],
            field="scopes",
            remedy="leave the scopes out, or name some of the key's own: " + ", ".join(key.scopes),
        )
    return Claims(actor.id, key.tenant, 0, key.id, tuple(sorted(wanted)))
