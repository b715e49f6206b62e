"""Appending to the ledger, and reading it: entries, timelines, roots and proofs.

An entry is a header, which alone is the leaf of the tree, and a payload whose exact bytes
are stored as hashed. `docs/reference/ledger.md` describes the format for verifiers.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.engine.default import DefaultDialect

from trimtab.audit.merkle import FANOUT, Tree, complete_root, leaf_hash
from trimtab.audit.tables import ENTRIES, FLEET, MENTIONS, NODES, PAYLOADS, SIZE, WHOLE
from trimtab.kernel.clock import iso
from trimtab.kernel.events import Event, canonical
from trimtab.kernel.ids import TenantId

SALT_BYTES = 16
_ID = re.compile(r"(?:[a-z]{2,4}_[0-9a-z]{16}|inc-\d{4}-\d{2}-\d{2}-\d{3,})\Z")

_TAKE_WHOLE = sa.text(
    f"UPDATE {SIZE.name} SET size = size + :entries WHERE tenant = '{WHOLE}' RETURNING size"
)
_TAKE_TENANT = sa.text(
    f"INSERT INTO {SIZE.name} (tenant, size) VALUES (:tenant, :entries) "
    f"ON CONFLICT (tenant) DO UPDATE SET size = {SIZE.name}.size + excluded.size RETURNING size"
)


@dataclass(frozen=True)
class Draft:
    """An entry on its way: what happened, by whom, why, and because of which entry."""

    event: Event
    actor: str
    reason: str
    cause: int | None
    at: datetime


@dataclass(frozen=True)
class Entry:
    """An entry as it stands. `data` is None where retention has blanked the payload."""

    sequence: int
    tenant: TenantId | None
    tenant_sequence: int
    kind: str
    actor: str
    at: datetime
    subject: str
    reason: str | None
    cause: int | None
    data: dict[str, Any] | None
    leaf: bytes

    @property
    def key(self) -> str:
        """What a reaction to this entry is called: its number and its hash, so that a
        restored backup, which numbers other entries alike, cannot swallow one."""
        return f"{self.sequence}:{self.leaf.hex()[:16]}"


def is_id(text: str) -> bool:
    """Whether a text is one of our ids, which say nothing about anybody."""
    return bool(_ID.match(text))


def append(connection: Connection, drafts: Sequence[Draft]) -> int:
    """Write `drafts` in order; return the sequence of the last.

    Takes the ledger's lock, which is held until the transaction ends, so that the order
    of sequences is the order of commits and a reader never meets a gap. To be called as
    the last thing before a commit.
    """
    sql = _sql(connection.dialect.name)
    counts = Counter(_tenant_row(draft.event.tenant) for draft in drafts)
    last, reached = _take(connection, sql, len(drafts), counts)
    sequence = last - len(drafts)
    tenant_sequences = {row: reached[row] - count for row, count in counts.items()}
    entries: list[dict[str, Any]] = []
    payloads: list[dict[str, Any]] = []
    mentions: list[dict[str, Any]] = []
    for draft in drafts:
        row = _tenant_row(draft.event.tenant)
        sequence += 1
        tenant_sequences[row] += 1
        data = draft.event.payload()
        entry, payload = _rows(draft, data, sequence, tenant_sequences[row])
        entries.append({**entry, "at": sql.moment(draft.at)})
        payloads.append(payload)
        refs = sorted(_mentioned(draft.event.subject, data))
        mentions += [{"ref": ref, "sequence": sequence} for ref in refs]
    for insert, rows in (
        (sql.insert_entry, entries),
        (sql.insert_payload, payloads),
        (sql.insert_mention, mentions),
    ):
        connection.exec_driver_sql(insert, rows if len(rows) > 1 else rows[0])
    _complete_nodes(connection, last - len(drafts), last)
    return last


_SIZE = sa.select(SIZE.c.size).where(SIZE.c.tenant == WHOLE)


def size(connection: Connection) -> int:
    """How many entries the ledger has."""
    found = connection.execute(_SIZE).scalar()
    return found or 0


def count_kinds(connection: Connection, *, after: int = 0) -> tuple[int, Counter[str]]:
    """How many entries behind `after` there are of each kind, and the last of them.

    All of them are counted along an index, once; the few that came since, one by one.
    """
    last = size(connection)
    if after == 0:
        number = sa.func.count().label("n")
        rows = connection.execute(
            sa.select(ENTRIES.c.kind, number)
            .where(ENTRIES.c.sequence <= last)
            .group_by(ENTRIES.c.kind)
        )
        return last, Counter({row.kind: row.n for row in rows})
    query = sa.select(ENTRIES.c.kind).where(ENTRIES.c.sequence > after)
    return last, Counter(connection.execute(query.order_by(ENTRIES.c.sequence)).scalars())


def tree(connection: Connection, upto: int | None = None) -> Tree:
    """The tree over the first `upto` entries (default: all); valid within the transaction."""

    def fetch(level: int, first: int, count: int) -> Sequence[bytes]:
        if level == 0:
            query = (
                sa.select(ENTRIES.c.leaf)
                .where(ENTRIES.c.sequence.between(first + 1, first + count))
                .order_by(ENTRIES.c.sequence)
            )
        else:
            query = (
                sa.select(NODES.c.hash)
                .where(NODES.c.level == level, NODES.c.position.between(first, first + count - 1))
                .order_by(NODES.c.position)
            )
        return [bytes(row[0]) for row in connection.execute(query)]

    return Tree(size(connection) if upto is None else upto, fetch)


def entries(
    connection: Connection,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int = 100,
    tenant: TenantId | None = None,
    kinds: Sequence[str] = (),
    ref: str | None = None,
    newest_first: bool = False,
) -> list[Entry]:
    """Entries with a sequence above `after`, oldest first unless asked otherwise.

    Args:
        connection: A reading or writing transaction.
        after: Leave out this sequence and those before it.
        before: Leave out this sequence and those after it.
        limit: At most so many.
        tenant: Only this tenant's; None for everybody's.
        kinds: Only these kinds of events; empty for all.
        ref: Only entries that mention this id.
        newest_first: Turn the order round.
    """
    given = {"before": before, "tenant": tenant, "kinds": list(kinds) or None, "ref": ref}
    asked = {name: value for name, value in given.items() if value is not None}
    query = _asked(frozenset(asked), newest_first)
    return [
        _entry(row) for row in connection.execute(query, {**asked, "after": after, "most": limit})
    ]


@cache
def _asked(by: frozenset[str], newest_first: bool) -> sa.Select[Any]:
    """The statement that asks for entries by these, built once."""
    query, number = _whole_entries(), ENTRIES.c.sequence
    if "ref" in by:
        # Walked along the mentions, of which an id has few, whatever the database knows of it.
        query = query.join(MENTIONS, MENTIONS.c.sequence == ENTRIES.c.sequence)
        query, number = query.where(MENTIONS.c.ref == sa.bindparam("ref")), MENTIONS.c.sequence
    query = query.where(number > sa.bindparam("after"))
    if "before" in by:
        query = query.where(number < sa.bindparam("before"))
    if "tenant" in by:
        query = query.where(ENTRIES.c.tenant == sa.bindparam("tenant"))
    if "kinds" in by:
        query = query.where(ENTRIES.c.kind.in_(sa.bindparam("kinds", expanding=True)))
    order = number.desc() if newest_first else number
    return query.order_by(order).limit(sa.bindparam("most", type_=sa.Integer))


_AT_ONCE = 5000
"""Subjects that are asked for in one statement; databases bound its parameters."""


def about(
    connection: Connection, kinds: Sequence[str], subjects: Sequence[str], *, until: datetime
) -> dict[str, list[Entry]]:
    """For each of `subjects`, its entries of these kinds up to and including `until`, in order.

    One statement for many subjects; a subject without such an entry is left out.
    """
    found: dict[str, list[Entry]] = {}
    for some in _portions(subjects):
        query = _whole_entries().where(ENTRIES.c.sequence.in_(_numbers(kinds, some, until)))
        for row in connection.execute(query.order_by(ENTRIES.c.sequence)):
            found.setdefault(row.subject, []).append(_entry(row))
    return found


def newest_about(
    connection: Connection, kinds: Sequence[str], subjects: Sequence[str], *, until: datetime
) -> dict[str, Entry]:
    """For each of `subjects`, its last entry of any of these kinds up to and including `until`.

    One statement for many subjects; a subject without such an entry is left out.
    """
    found: dict[str, Entry] = {}
    for some in _portions(subjects):
        numbers = _numbers(kinds, some, until)
        last = numbers.with_only_columns(sa.func.max(ENTRIES.c.sequence))
        query = _whole_entries().where(
            ENTRIES.c.sequence.in_(last.group_by(ENTRIES.c.subject).scalar_subquery())
        )
        for row in connection.execute(query):
            found[row.subject] = _entry(row)
    return found


def _portions(subjects: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(subjects), _AT_ONCE):
        yield subjects[first : first + _AT_ONCE]


def _whole_entries() -> sa.Select[Any]:
    return sa.select(ENTRIES, PAYLOADS.c.body).join(
        PAYLOADS, PAYLOADS.c.sequence == ENTRIES.c.sequence
    )


def _numbers(kinds: Sequence[str], subjects: Sequence[str], until: datetime) -> sa.Select[Any]:
    """The sequences of entries of `kinds` about `subjects`; what merely mentions them is not."""
    return (
        sa.select(ENTRIES.c.sequence)
        .join(MENTIONS, MENTIONS.c.sequence == ENTRIES.c.sequence)
        .where(
            MENTIONS.c.ref.in_(subjects),
            ENTRIES.c.subject == MENTIONS.c.ref,
            ENTRIES.c.kind.in_(kinds),
            ENTRIES.c.at <= until,
        )
    )


def stored(
    connection: Connection, *, tenant: TenantId | None = None, chunk: int = 2000
) -> Iterator[tuple[int, bytes, bytes | None, bytes | None, bytes]]:
    """Every entry as stored, in order: (sequence, header, salt, payload, kept leaf hash)."""
    last = 0
    query = (
        sa.select(
            ENTRIES.c.sequence, ENTRIES.c.header, PAYLOADS.c.salt, PAYLOADS.c.body, ENTRIES.c.leaf
        )
        .outerjoin(PAYLOADS, PAYLOADS.c.sequence == ENTRIES.c.sequence)
        .order_by(ENTRIES.c.sequence)
        .limit(chunk)
    )
    if tenant is not None:
        query = query.where(ENTRIES.c.tenant == tenant)
    while True:
        rows = connection.execute(query.where(ENTRIES.c.sequence > last)).all()
        for row in rows:
            last = row[0]
            yield row[0], bytes(row[1]), _bytes(row[2]), _bytes(row[3]), bytes(row[4])
        if len(rows) < chunk:
            return


@dataclass(frozen=True)
class _Sql:
    """The statements of an append as the driver takes them, and a moment as it does.

    An append is at the end of every transaction, under the lock: here SQLAlchemy's care for
    each statement, which is the same every time, would cost more than the database itself.
    """

    take_whole: str
    take_tenant: str
    insert_entry: str
    insert_payload: str
    insert_mention: str
    moment: Callable[[datetime], Any]


@cache
def _sql(dialect_name: str) -> _Sql:
    embedded = dialect_name == "sqlite"
    style = DefaultDialect(paramstyle="named" if embedded else "pyformat")

    def text(statement: sa.ClauseElement) -> str:
        return str(statement.compile(dialect=style))

    return _Sql(
        take_whole=text(_TAKE_WHOLE),
        take_tenant=text(_TAKE_TENANT),
        insert_entry=text(ENTRIES.insert()),
        insert_payload=text(PAYLOADS.insert()),
        insert_mention=text(MENTIONS.insert()),
        moment=iso if embedded else lambda at: at,  # as `Moment` keeps it
    )


def _take(
    connection: Connection, sql: _Sql, entries: int, counts: Mapping[str, int]
) -> tuple[int, dict[str, int]]:
    """Take the next `entries` numbers of the whole, and `counts` of each tenant.

    Returns the last number taken of the whole, and of each tenant. The row of the whole
    comes first: on PostgreSQL to change it is the lock, and each change adds to what was
    committed last, so what is returned is the newest. On SQLite the writing transaction
    is itself the lock.
    """

    def taken(statement: str, **values: Any) -> int | None:
        found: int | None = connection.exec_driver_sql(statement, values).scalar()
        return found

    last = taken(sql.take_whole, entries=entries)
    if last is None:
        raise LookupError("the ledger has no size row; run the migrations")
    reached = {
        tenant: taken(sql.take_tenant, tenant=tenant, entries=count) or 0
        for tenant, count in sorted(counts.items())
    }
    return last, reached


def _rows(
    draft: Draft, data: dict[str, Any], sequence: int, tenant_sequence: int
) -> tuple[dict[str, Any], ...]:
    event = draft.event
    body = canonical(
        {
            "subject": event.subject,
            "reason": draft.reason,
            "cause": draft.cause,
            "data": data,
        }
    )
    salt = secrets.token_bytes(SALT_BYTES)
    header = canonical(
        {
            "v": 1,
            "sequence": sequence,
            "tenant": event.tenant,
            "tenant_sequence": tenant_sequence,
            "kind": event.kind,
            "actor": draft.actor,
            "at": draft.at,
            "payload_digest": "sha256:" + hashlib.sha256(salt + body).hexdigest(),
        }
    )
    entry = {
        "sequence": sequence,
        "tenant": _tenant_row(event.tenant),
        "tenant_sequence": tenant_sequence,
        "kind": event.kind,
        "actor": draft.actor,
        "subject": event.subject,
        "header": header,
        "leaf": leaf_hash(header),
    }
    return entry, {"sequence": sequence, "salt": salt, "body": body}


def _complete_nodes(connection: Connection, before: int, after: int) -> None:
    """Keep the root of each subtree of 256 ** level leaves that has become complete."""
    level = 1
    while after >> (8 * level):
        for position in range(before >> (8 * level), after >> (8 * level)):
            below = tree(connection, after)._fetch(level - 1, position * FANOUT, FANOUT)
            connection.execute(
                NODES.insert(),
                {"level": level, "position": position, "hash": complete_root(below)},
            )
        level += 1


def _mentioned(subject: str, data: dict[str, Any]) -> set[str]:
    """Every id that an event speaks of in its `data`, however deep, and its subject."""
    found = {subject}
    waiting: list[Any] = [data]
    while waiting:
        match waiting.pop():
            case dict() as inner:
                waiting.extend(inner.values())
            case list() as inner:
                waiting.extend(inner)
            case str() as text if is_id(text):
                found.add(text)
    return found


def _entry(row: sa.Row[Any]) -> Entry:
    body = json.loads(row.body) if row.body is not None else None
    return Entry(
        sequence=row.sequence,
        tenant=TenantId(row.tenant) if row.tenant != FLEET else None,
        tenant_sequence=row.tenant_sequence,
        kind=row.kind,
        actor=row.actor,
        at=row.at,
        subject=row.subject,
        reason=body and body["reason"],
        cause=body and body["cause"],
        data=body and body["data"],
        leaf=bytes(row.leaf),
    )


def _tenant_row(tenant: TenantId | None) -> str:
    return FLEET if tenant is None else tenant


def _bytes(value: Any) -> bytes | None:
    """What a row holds; text where bytes were written is somebody's change, to be reported
    by the verifier and not to stop it."""
    return value.encode() if isinstance(value, str) else None if value is None else bytes(value)
