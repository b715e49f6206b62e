"""Rows of observations: batches as they came, byte for byte. Acknowledged means durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Early, Reading, Work
from trimtab.kernel.errors import Conflict
from trimtab.observations.batches import Parsed
from trimtab.platform.database import Kind, Moment, plain_table


def _batches(name: str) -> sa.Table:
    return plain_table(
        name,
        Kind.OBSERVATION,
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("source", sa.String(80), primary_key=True),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("first_at", Moment, nullable=False),
        sa.Column("last_at", Moment, nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        # Columns of numbers: for PostgreSQL to pack them takes longer than to write them.
        sa.Column("body", sa.LargeBinary, nullable=False, info={"postgresql_storage": "EXTERNAL"}),
        sa.Index(f"ix_{name}_model_time", "model", "first_at", "last_at"),
    )


PREDICTIONS = _batches("prediction_batches")
LABELS = _batches("label_batches")


@dataclass(frozen=True)
class Receipt:
    """What became of a batch: how many rows are durable, and whether they were before."""

    rows: int
    duplicate: bool


class Delivery:
    """A batch on its way in: first it is brought, while others write, for that takes long; then
    it is kept, in its turn.

    Args:
        table: Where it is kept.
        batch_id: The sender's own id of it.
        batch: What was sent.
    """

    def __init__(self, table: sa.Table, batch_id: str, batch: Parsed):
        self._table = table
        self._id = batch_id
        self._batch = batch
        self._is_new = False

    def bring(self, early: Early) -> None:
        """Send the bytes to the database, unless they are there."""
        batch = self._batch
        row = {
            "id": self._id,
            "source": early.actor.id,
            "model": batch.model,
            "rows": batch.rows,
            "first_at": batch.first_at,
            "last_at": batch.last_at,
            "received_at": early.now,
            "body": batch.body,
        }
        self._is_new = early.bring(self._table, row)

    def keep(self, work: Work) -> Receipt:
        """Keep what was brought; the same id from the same sender again changes nothing.

        Raises:
            Conflict: the id stands for other content.
        """
        table = self._table
        key = (table.c.id == self._id) & (table.c.source == work.actor.id)
        if self._is_new:
            # It was received when others could see it, not when its turn was still to come.
            work.execute(table.update().where(key).values(received_at=work.now))
            return Receipt(self._batch.rows, duplicate=False)
        known = work.row(sa.select(table.c.rows, table.c.body).where(key))
        if known is None or bytes(known["body"]) != self._batch.body:
            raise Conflict(
                "this id was used for another batch",
                field="Idempotency-Key",
                remedy="give every batch an id of its own",
            )
        return Receipt(known["rows"], duplicate=True)


@cache
def _bodies(table: sa.Table) -> sa.Select[Any]:
    return (
        sa.select(table.c.body)
        .where(
            table.c.model == sa.bindparam("model"),
            table.c.last_at >= sa.bindparam("start"),
            table.c.first_at < sa.bindparam("end"),
        )
        .order_by(table.c.received_at, table.c.id)
    )


def bodies(
    reading: Reading,
    table: sa.Table,
    model: str,
    start: datetime,
    end: datetime,
    *,
    received_by: datetime | None = None,
) -> Sequence[bytes]:
    """Batches that may hold rows of [start, end), in the order in which they arrived; with
    `received_by`, only those that came no later."""
    query = _bodies(table)
    if received_by is not None:
        query = query.where(table.c.received_at <= received_by)
    rows = reading.rows(query, {"model": model, "start": start, "end": end})
    return [bytes(row["body"]) for row in rows]


@cache
def _counted(table: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.coalesce(sa.func.sum(table.c.rows), 0).label("rows")).where(
        table.c.model == sa.bindparam("model"),
        table.c.last_at >= sa.bindparam("start"),
        table.c.first_at < sa.bindparam("end"),
    )


def count_between(
    reading: Reading, table: sa.Table, model: str, start: datetime, end: datetime
) -> int:
    """Rows of the batches that may touch [start, end): cheap, an upper bound."""
    row = reading.row(_counted(table), {"model": model, "start": start, "end": end})
    return 0 if row is None else int(row["rows"])


def last_arrival(
    reading: Reading, table: sa.Table, model: str, start: datetime, end: datetime
) -> datetime | None:
    """When the newest batch that may touch [start, end) arrived, or None."""
    query = sa.select(sa.func.max(table.c.received_at).label("at")).where(
        table.c.model == model, table.c.last_at >= start, table.c.first_at < end
    )
    row = reading.row(query)
    return None if row is None else row["at"]


def first_prediction(reading: Reading, model: str) -> datetime | None:
    """When the oldest prediction of a model was made, or None."""
    query = sa.select(sa.func.min(PREDICTIONS.c.first_at).label("at")).where(
        PREDICTIONS.c.model == model
    )
    row = reading.row(query)
    return None if row is None else row["at"]


def totals(reading: Reading) -> tuple[int, int]:
    """Rows of predictions and of labels that were taken in."""
    found = [
        reading.row(sa.select(sa.func.coalesce(sa.func.sum(table.c.rows), 0).label("rows")))
        for table in (PREDICTIONS, LABELS)
    ]
    predictions, labels = (0 if row is None else int(row["rows"]) for row in found)
    return predictions, labels
