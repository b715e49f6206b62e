"""Units of work: the only way to write, and it demands the reason.

`create` and `replace` are the only write methods for tables of decisions, and both need
the event that explains the change: forgetting to audit is a type error. The events are
collected and appended to the ledger just before the commit, in the same transaction, so
the ledger's lock is always the last one taken, and both commit or neither does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from trimtab.audit import ledger
from trimtab.kernel.actor import Actor
from trimtab.kernel.clock import Clock, begin_of, iso
from trimtab.kernel.errors import Conflict
from trimtab.kernel.events import Event, Note
from trimtab.platform.database import Database, Kind

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")

_FREE = {Kind.OBSERVATION, Kind.CURSOR, Kind.IDEMPOTENCY, Kind.SESSION}


class Reading:
    """A look at one snapshot of the records.

    `moment` tells what is done once at each moment which one this is.
    """

    def __init__(self, connection: Connection, now: datetime, grain: timedelta = timedelta(0)):
        self.connection = connection
        self.now = now
        self.moment = iso(begin_of(now, grain))

    def rows(
        self, query: sa.Select[Any], values: Mapping[str, Any] | None = None
    ) -> Sequence[sa.RowMapping]:
        """All rows of a query; `values` are those of its bind parameters.

        A query that is asked often is built once, with bind parameters: to compose it anew
        costs more than to run it.
        """
        return self.connection.execute(query, values).mappings().all()

    def row(
        self, query: sa.Select[Any], values: Mapping[str, Any] | None = None
    ) -> sa.RowMapping | None:
        """The one row of a query, or None; `values` as for `rows`."""
        return self.connection.execute(query, values).mappings().one_or_none()

    def with_id(self, table: sa.Table, row_id: str) -> sa.RowMapping | None:
        """The row of `table` with this id, or None."""
        return self.row(_with_id(table), {"id": row_id})

    def get(
        self, find: Callable[[Reading, Sequence[Key]], Mapping[Key, Found]], key: Key
    ) -> Found | None:
        """What `find` finds for `key`, or None.

        `find` gives what there is for each of some keys, in one query; a key may stand among
        them more than once.
        """
        return find(self, (key,)).get(key)


class Wanted(NamedTuple):
    """What will be looked for: `get` of a finder, with this key."""

    find: Callable[[Reading, Sequence[Any]], Mapping[Any, Any]]
    key: Hashable


class Look(Reading):
    """A look that nobody writes in: what was found once stays so until it ends."""

    def __init__(self, connection: Connection, now: datetime, grain: timedelta = timedelta(0)):
        super().__init__(connection, now, grain)
        self._found: dict[Any, dict[Any, Any]] = {}

    def fetch(self, wanted: Iterable[Wanted]) -> None:
        """Look for all of these, each kind of them in one query; `get` then has them."""
        kinds: dict[Any, dict[Any, None]] = {}
        for find, key in wanted:
            kinds.setdefault(find, {})[key] = None
        for find, keys in kinds.items():
            found = find(self, _of_few_lengths(list(keys)))
            self._found.setdefault(find, {}).update((key, found.get(key)) for key in keys)

    def get(
        self, find: Callable[[Reading, Sequence[Key]], Mapping[Key, Found]], key: Key
    ) -> Found | None:
        """As in any reading; what was fetched is not asked for again."""
        if key not in self._found.get(find, {}):
            self.fetch((Wanted(find, key),))
        found: Found | None = self._found[find][key]
        return found


class Work(Reading):
    """One transaction by one actor for one reason."""

    def __init__(
        self, connection: Connection, now: datetime, actor: Actor, reason: str, cause: int | None
    ):
        super().__init__(connection, now)
        self.actor = actor
        self.reason = reason
        self.cause = cause
        self._drafts: list[ledger.Draft] = []

    def create(self, table: sa.Table, row: Mapping[str, Any], *, because: Event) -> None:
        """Insert a row of decisions at revision 1.

        Raises:
            Conflict: the id exists, or a constraint of the database refuses the row.
        """
        _demand(table, {Kind.DECISION})
        self.connection.execute(_insert(table), {**row, "revision": 1})
        self._enter(because)

    def replace(self, table: sa.Table, row: Mapping[str, Any], *, because: Event) -> None:
        """Write a row of decisions over the revision that it was computed from.

        `row["revision"]` is the revision that was read; the row then has the next one.

        Raises:
            Conflict: somebody moved it meanwhile.
        """
        _demand(table, {Kind.DECISION})
        seen = row["revision"]
        changed = self.connection.execute(
            _update(table),
            {**row, "revision": seen + 1, "seen_id": row["id"], "seen_revision": seen},
        )
        if changed.rowcount != 1:
            raise Conflict(
                f"{table.name} {row['id']} was moved by somebody else since it was read",
                remedy="look at it again, then decide again",
            )
        self._enter(because)

    def record(self, note: Note) -> None:
        """Put into the ledger what changes no row: a download, a refusal."""
        self._enter(note)

    def _enter(self, event: Event) -> None:
        self._drafts.append(ledger.Draft(event, self.actor.id, self.reason, self.cause, self.now))

    def append(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows that are no decisions: observations, cursors, keys, sessions."""
        _demand(table, _FREE)
        if rows:
            self.connection.execute(_insert(table), [dict(row) for row in rows])

    def execute(self, statement: sa.Update | sa.Delete) -> int:
        """Change rows that are no decisions; return how many."""
        table = statement.table
        assert isinstance(table, sa.Table)
        _demand(table, _FREE)
        return self.connection.execute(statement).rowcount

    @property
    def drafted(self) -> int:
        """How many entries it leaves."""
        return len(self._drafts)

    def close(self) -> int | None:
        """Append what was collected; return the last sequence, or None if there is none."""
        return ledger.append(self.connection, self._drafts) if self._drafts else None


class Early:
    """A transaction whose turn to write has not come: others write meanwhile, so that it reads
    nothing, and what it brings must be nothing that a decision rests on until it is committed."""

    def __init__(self, connection: Connection, now: datetime, actor: Actor):
        self.now = now
        self.actor = actor
        self._connection = connection

    def bring(self, table: sa.Table, row: Mapping[str, Any]) -> bool:
        """Insert a row that is no decision, unless there is one with its key: whether it was
        inserted. Where another transaction is about to insert it, that one is waited for."""
        _demand(table, _FREE)
        statement = _insert_if_new(table, self._connection.dialect.name)
        return self._connection.execute(statement, dict(row)).rowcount == 1


class Records:
    """Where units of work and looks begin."""

    def __init__(self, database: Database, clock: Clock):
        self.database = database
        self.clock = clock
        self.fence: Callable[[Connection], None] | None = None
        """Asked at the end of every unit of work whether it may still be written."""
        self.entered = threading.Event()
        """Set after each unit of work of this process that left an entry; whoever waits for
        the next one clears it."""
        self.written: Callable[[int, int], None] | None = None
        """Told the first and last sequence of each such unit, after its commit. It must not
        fail: what was written is written."""

    @contextmanager
    def begin(
        self,
        actor: Actor,
        *,
        reason: str,
        cause: int | None = None,
        before: Callable[[Early], None] | None = None,
    ) -> Iterator[Work]:
        """A transaction of `actor`, for `reason`, because of ledger entry `cause`.

        Args:
            before: Brings in the same transaction what is large, before it is its turn to write.

        Raises:
            Conflict, Unavailable: see `Database.write`. Nothing is then written at all.
        """
        early = None if before is None else lambda c: before(Early(c, self.clock.now(), actor))
        with self.database.write(early) as connection:
            work = Work(connection, self.clock.now(), actor, reason, cause)
            yield work
            if self.fence is not None:
                self.fence(connection)
            newest = work.close()
        if newest is not None:
            if self.written is not None:
                self.written(newest - work.drafted + 1, newest)
            self.entered.set()

    @contextmanager
    def look(self) -> Iterator[Look]:
        """A reading transaction over one snapshot."""
        with self.database.read() as connection:
            yield Look(connection, self.clock.now(), self.clock.grain)


def _of_few_lengths(keys: list[Key]) -> list[Key]:
    """These and the last one again, until their number is a power of two: a statement for each
    number is prepared by the driver, and it keeps only so many."""
    length = 1 << (len(keys) - 1).bit_length()
    return keys + keys[-1:] * (length - len(keys))


@cache
def _with_id(table: sa.Table) -> sa.Select[Any]:
    """The statement that reads the row `id` of `table`, built once."""
    return sa.select(table).where(table.c.id == sa.bindparam("id"))


@cache
def _insert(table: sa.Table) -> sa.Insert:
    """The statement that inserts into `table`, built once: the columns come with the row."""
    return table.insert()


@cache
def _insert_if_new(table: sa.Table, dialect: str) -> sa.Insert:
    """The same, of rows whose key is not there yet."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


@cache
def _update(table: sa.Table) -> sa.Update:
    """The statement that writes over the revision `seen_revision` of the row `seen_id`."""
    return table.update().where(
        table.c.id == sa.bindparam("seen_id"), table.c.revision == sa.bindparam("seen_revision")
    )


def _demand(table: sa.Table, kinds: set[Kind]) -> None:
    kind = table.info.get("kind")
    if kind not in kinds:
        allowed = ", ".join(sorted(kinds))
        raise TypeError(f"table {table.name} is of kind {kind}; this writes only: {allowed}")
