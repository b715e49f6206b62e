"""The web inbox: messages to teams, kept where the pages and the interface show them.

A message has the id of what it was sent for, so that sending again is the same message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.platform.database import Kind, Moment, plain_table

MESSAGES = plain_table(
    "inbox_messages",
    Kind.OBSERVATION,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("team", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("at", Moment, nullable=False, index=True),
)


def send(
    work: Work, message_id: str, *, team: str, text: str, tenant: str | None
) -> dict[str, Any]:
    """Put a message into the inbox; return the receipt. Safe to repeat."""
    known = work.row(sa.select(MESSAGES).where(MESSAGES.c.id == message_id))
    if known is None:
        row = {"id": message_id, "team": team, "text": text, "tenant": tenant, "at": work.now}
        work.append(MESSAGES, [row])
    return {"channel": "inbox", "message": message_id, "team": team}


def sent(reading: Reading, message_ids: Sequence[str]) -> set[str]:
    """Which of these messages there are."""
    query = sa.select(MESSAGES.c.id).where(MESSAGES.c.id.in_(message_ids))
    return {str(row["id"]) for row in reading.rows(query)}


def newest(reading: Reading, *, limit: int = 50) -> Sequence[sa.RowMapping]:
    """The newest messages first."""
    return reading.rows(
        sa.select(MESSAGES).order_by(MESSAGES.c.at.desc(), MESSAGES.c.id.desc()).limit(limit)
    )
