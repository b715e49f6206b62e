"""Answers that are kept, so that a request that is repeated acts once and is answered the same.

An answer is kept in the transaction of the effect that it tells of: whoever was cut off, or
whose answer died with the process, asks again and gets it. It is sealed with the key that the
caller chose, of which only a digest is kept: who reads the database reads no answer.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import InvalidInput
from trimtab.platform.database import Kind, Moment, plain_table

ANSWERS = plain_table(
    "kept_answers",
    Kind.IDEMPOTENCY,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("request", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("kept_at", Moment, nullable=False),
    sa.Index("ix_kept_answers_kept_at", "kept_at"),
)
"""`id` is a digest of the caller and their key, `request` one of what was asked."""

KEPT = timedelta(hours=48)
"""In real time. A day is promised; the rest is for clocks that differ."""

FORGOTTEN_AT_ONCE = 100
"""Old answers that go with each new one, so that nothing has to come and sweep."""

_NONCE_BYTES = 12


@dataclass(frozen=True)
class Request:
    """What was asked under which key: `caller` is whoever may ask for the answer again."""

    caller: str
    key: str
    digest: str

    @property
    def id(self) -> str:
        """Under which its answer is kept; tells neither the caller nor the key."""
        return hashlib.sha256(f"{self.caller}\n{self.key}".encode()).hexdigest()

    def cipher(self) -> AESGCM:
        """Seals and opens its answer."""
        return AESGCM(hashlib.sha256(f"answer\n{self.caller}\n{self.key}".encode()).digest())


@dataclass(frozen=True)
class Answer:
    """What was answered."""

    status: int
    body: bytes


def keep(work: Work, request: Request, answer: Answer, now: datetime) -> None:
    """Keep an answer with the effect that it tells of; `now` is real time.

    Raises:
        Conflict: one is kept already; nothing of this transaction is then done.
    """
    old = (
        sa.select(ANSWERS.c.id)
        .where(ANSWERS.c.kept_at < now - KEPT)
        .order_by(ANSWERS.c.kept_at)
        .limit(FORGOTTEN_AT_ONCE)
    )
    work.execute(ANSWERS.delete().where(ANSWERS.c.id.in_(old)))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + request.cipher().encrypt(nonce, answer.body, request.digest.encode())
    row = {"id": request.id, "request": request.digest, "status": answer.status}
    work.append(ANSWERS, [{**row, "sealed": sealed, "kept_at": now}])


def kept(reading: Reading, request: Request) -> Answer | None:
    """The answer that this request got before; None where it has done nothing yet.

    Raises:
        InvalidInput: the key stands for another request.
    """
    row = reading.row(sa.select(ANSWERS).where(ANSWERS.c.id == request.id))
    if row is None:
        return None
    if row["request"] != request.digest:
        raise InvalidInput(
            "this key stands for another request",
            field="Idempotency-Key",
            remedy="send each request under a key of its own, and the same one again as it was",
        )
    nonce, sealed = row["sealed"][:_NONCE_BYTES], row["sealed"][_NONCE_BYTES:]
    return Answer(row["status"], request.cipher().decrypt(nonce, sealed, request.digest.encode()))
