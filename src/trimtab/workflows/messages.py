"""Messages of registries: something happened there. They are signed, small, and taken once.

A message wakes a cycle that reads the registry itself; nothing else in it is believed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from anyio import to_thread

from trimtab.audit.work import Work
from trimtab.identity import credential_store
from trimtab.inventory import connection_store
from trimtab.inventory.model import Connection, Scope
from trimtab.kernel.actor import system
from trimtab.kernel.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, Unavailable
from trimtab.platform.settings import Settings
from trimtab.sdk import shapes
from trimtab.workflows.parts import Parts
from trimtab.workflows.registries import secrets_of

MOST_BYTES = 65_536
SKEW = timedelta(minutes=5)
"""How far the timestamp of a message may be from our time, either way."""

EVENTS = (
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
)
"""What a registry is to be asked to tell, by the names that MLflow has for it."""

_ID, _TIME, _SIGNATURE = "x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"
_REFUSED = "this message is not one of a registry that is read here"
_LONGEST_ID = 200
_LONGEST_NAME = 1_000


def address(settings: Settings, connection_id: str) -> str:
    """Where the messages about a connection are sent to."""
    return f"{settings.public_origin()}/api/v1/connections/{connection_id}/messages"


async def taken_from(
    parts: Parts, connection_id: str, headers: Mapping[str, str], body: AsyncIterable[bytes]
) -> shapes.MessageTaken:
    """Take the message in a request, whose body is read no further than a message is long.

    Raises:
        InvalidInput: it is too long, or no message.
        NotAuthenticated: it was not signed with this connection's secret, or not now; always
            the same words, whether or not there is such a connection.
        Conflict: it was taken before.
    """
    content = bytearray()
    async for piece in body:
        content += piece
        if len(content) > MOST_BYTES:
            raise InvalidInput(f"a message has {MOST_BYTES} bytes at most", field="body")
    return await to_thread.run_sync(take, parts, connection_id, dict(headers), bytes(content))


def take(
    parts: Parts, connection_id: str, headers: Mapping[str, str], body: bytes
) -> shapes.MessageTaken:
    """Verify a message and have read what it is about; raises as `taken_from`."""
    now = parts.real_clock.now()
    delivery, stamp = headers.get(_ID, ""), headers.get(_TIME, "")
    connection = _verified(parts, connection_id, delivery, stamp, headers, body)
    if abs(now - _moment(stamp)) > SKEW:
        raise NotAuthenticated(_REFUSED)
    model = _model(body)
    seen = hashlib.sha256(delivery.encode()).hexdigest()
    try:
        with parts.records.begin(system("ingest"), reason="told by the registry") as work:
            credential_store.add_nonce(work, connection.id, seen, until=now + 2 * SKEW)
            if not connection.paused:
                _wake(work, connection, model)
    except Conflict:
        raise Conflict("this message came before", remedy="there is nothing to do") from None
    return shapes.MessageTaken(taken=not connection.paused, model=model)


def _verified(
    parts: Parts,
    connection_id: str,
    delivery: str,
    stamp: str,
    headers: Mapping[str, str],
    body: bytes,
) -> Connection:
    try:
        with parts.records.look() as reading:
            connection = connection_store.get(reading, connection_id)
    except NotFound:
        raise NotAuthenticated(_REFUSED) from None
    known = connection.removed_at is None and 0 < len(delivery) <= _LONGEST_ID
    if connection.webhook is None or not known:
        raise NotAuthenticated(_REFUSED)
    try:
        secret = secrets_of(parts.settings).read(
            connection.webhook, tenant=connection.tenant, where="webhook"
        )
    except (InvalidInput, Unavailable):
        raise NotAuthenticated(_REFUSED) from None
    if not secret.strip():  # anybody could sign with that
        raise NotAuthenticated(_REFUSED)
    signed = f"{delivery}.{stamp}.".encode() + body
    made = hmac.digest(secret.encode(), signed, "sha256")
    wanted = b"v1," + base64.b64encode(made)
    given = headers.get(_SIGNATURE, "").encode("utf-8", "replace")
    if not hmac.compare_digest(wanted, given):
        raise NotAuthenticated(_REFUSED)
    return connection


def _moment(stamp: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        raise NotAuthenticated(_REFUSED) from None


def _model(body: bytes) -> str | None:
    """The model that a message is about, where it says so by a name that can be kept."""
    try:
        told: Any = json.loads(body)
        data = told["data"]
        name = data.get("name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInput("this is no message of a registry", field="body") from None
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        return None
    return None if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name) else name


def _wake(work: Work, connection: Connection, model: str | None) -> None:
    """Have read what a message is about; with what was asked for before, all that changed."""
    wish = {
        "scope": (Scope.CHANGES if model is None else Scope.MODEL).value,
        "model": model,
        "by": "the registry",
        "reason": "it sent a message",
    }
    connection_store.ask(work, connection.id, wish)
