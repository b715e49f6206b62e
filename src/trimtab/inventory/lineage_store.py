"""Rows of lineage: what leads to what, and from when until when that was so.

Things are found by keys: what they are called may be longer than an index takes. A dataset or a
commit is one thing for all registries of a tenant; all else belongs to the registry that it was
read from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.inventory.lineage import Edge, Kind, Node, edges
from trimtab.inventory.model import Connection
from trimtab.inventory.record import Record
from trimtab.kernel.ids import TenantId
from trimtab.platform import database
from trimtab.platform.database import Json, Moment, plain_table

EDGES = plain_table(
    "lineage_edges",
    database.Kind.OBSERVATION,
    sa.Column("record", sa.String(80), primary_key=True),
    sa.Column("upstream", sa.String(40), primary_key=True),
    sa.Column("downstream", sa.String(40), primary_key=True),
    sa.Column("since", Moment, primary_key=True),
    sa.Column("until", Moment),
    sa.Column("connection", sa.String(80), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("relation", sa.String(20), nullable=False),
    sa.Column("said", Json, nullable=False),
    sa.Index("ix_lineage_edges_upstream", "upstream"),
    sa.Index("ix_lineage_edges_downstream", "downstream"),
)
_E = EDGES.c
SHARED = (Kind.DATASET, Kind.CODE)
"""What belongs to no registry in particular."""


@dataclass(frozen=True)
class Led:
    """That one thing led to another: who said so, since when, and until when (None: still)."""

    record: str
    connection: str
    upstream: str
    downstream: str
    relation: str
    start: Node
    end: Node
    since: datetime
    until: datetime | None


def key_of(connection: str, node: Node) -> str:
    """What stands for a thing."""
    scope = "" if node.kind in SHARED else connection
    told = f"{scope}\n{node.kind.value}\n{node.id}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(told).hexdigest()[:40]


def put(work: Work, connection: Connection, record_id: str, record: Record) -> None:
    """Write what a record says of its lineage, where that is another than it was."""
    fresh = {
        (key_of(connection.id, edge.start), key_of(connection.id, edge.end)): edge
        for edge in edges(record)
    }
    query = sa.select(_E.upstream, _E.downstream, _E.since).where(
        _E.record == record_id, _E.until.is_(None)
    )
    known = {(row["upstream"], row["downstream"]): row["since"] for row in work.rows(query)}
    for gone in known.keys() - fresh.keys():
        _end(work, _E.record == record_id, _E.upstream == gone[0], _E.downstream == gone[1])
    rows = [
        {
            "record": record_id,
            "upstream": keys[0],
            "downstream": keys[1],
            "since": work.now,
            "until": None,
            "connection": connection.id,
            "tenant": connection.tenant,
            "relation": edge.relation.value,
            "said": _said(edge),
        }
        for keys, edge in fresh.items()
        if keys not in known
    ]
    if rows:
        # Moved there and back within one moment of domain time: it never was away.
        again = EDGES.delete().where(_E.record == record_id, _E.since == work.now)
        work.execute(again.where(_E.until == work.now))
        work.append(EDGES, rows)


def end(work: Work, record_id: str) -> None:
    """A version is not there any more, and stands nowhere."""
    _end(work, _E.record == record_id, _E.relation == "placed")


def end_all(work: Work, record_id: str) -> None:
    """Nobody says any more what led to a version, and what it led to."""
    _end(work, _E.record == record_id)


def around(
    reading: Reading,
    keys: Sequence[str],
    *,
    down: bool,
    tenant: TenantId | None,
    moment: datetime | None,
    limit: int,
) -> list[Led]:
    """What these things led to, or (not `down`) came from, now or at `moment`."""
    near = _E.upstream if down else _E.downstream
    query = sa.select(EDGES).where(near.in_(keys))
    if tenant is not None:
        query = query.where(_E.tenant == tenant)
    if moment is None:
        query = query.where(_E.until.is_(None))
    else:
        held = sa.or_(_E.until.is_(None), _E.until > moment)
        query = query.where(_E.since <= moment, held)
    rows = reading.rows(query.order_by(_E.upstream, _E.downstream, _E.record).limit(limit))
    return [_led(row) for row in rows]


def _end(work: Work, *which: sa.ColumnElement[bool]) -> None:
    work.execute(EDGES.update().where(*which, _E.until.is_(None)).values(until=work.now))


def _said(edge: Edge) -> dict[str, Any]:
    return {
        "start": [edge.start.kind.value, edge.start.id, edge.start.label],
        "end": [edge.end.kind.value, edge.end.id, edge.end.label],
        "by": edge.said_by,
    }


def _led(row: sa.RowMapping) -> Led:
    start, end_ = (row["said"][name] for name in ("start", "end"))
    return Led(
        row["record"],
        row["connection"],
        row["upstream"],
        row["downstream"],
        row["relation"],
        Node(Kind(start[0]), start[1], start[2]),
        Node(Kind(end_[0]), end_[1], end_[2]),
        row["since"],
        row["until"],
    )
