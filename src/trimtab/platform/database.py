"""One way to open the database, on SQLite and on PostgreSQL, and the kinds of tables.

SQLite runs in WAL mode with `synchronous=FULL`, and every writing transaction begins with
`BEGIN IMMEDIATE`: a deferred one that reads first fails with a busy snapshot that no
time-out can cure. The settings are read back at start, because wrappers change them. On
PostgreSQL a lock gives writers the same order: see `platform.postgresql`.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine

from trimtab.kernel.clock import iso, parse_iso
from trimtab.kernel.errors import Conflict, InvalidInput, Unavailable
from trimtab.platform import postgresql as server
from trimtab.platform import soundness
from trimtab.platform.logs import logger
from trimtab.platform.private import owner_only

log = logger(__name__)

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Kind(StrEnum):
    """What a table holds, and so who may write it, and how."""

    DECISION = "decision"
    """Written only with the event that explains it, in the same transaction."""
    OBSERVATION = "observation"
    """Facts that were measured; appended, never judged here."""
    CURSOR = "cursor"
    """How far a reader has come."""
    IDEMPOTENCY = "idempotency"
    """Answers kept so that a repeated request gets the same one."""
    SESSION = "session"
    """Who is logged in."""
    LEASE = "lease"
    """Which process does the work; written by `platform` alone."""
    LEDGER = "ledger"
    """The audit ledger itself; written by `audit` alone."""


class Moment(sa.types.TypeDecorator[datetime]):
    """A moment in UTC: `timestamptz` on PostgreSQL, sortable RFC 3339 text on SQLite."""

    impl = sa.String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else iso(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return None if value is None else value.astimezone(UTC)
        return parse_iso(value)


Json = sa.JSON(none_as_null=True)
"""Kept as the text that was written, on PostgreSQL too: `jsonb` would sort keys, turn 1e22
into an integer and -0.0 into 0.0, and refuse NUL; and what was hashed is hashed again."""


def decision_table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    """A table whose rows are decisions: `id`, `revision`, and `parts`.

    `revision` counts the writes of a row; a writer who did not see the newest loses.
    """
    return _table(
        name,
        Kind.DECISION,
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        *parts,
    )


def plain_table(name: str, kind: Kind, *parts: sa.schema.SchemaItem) -> sa.Table:
    """A table that is not one of decisions; `kind` says why its writes need no event."""
    if kind is Kind.DECISION:
        raise ValueError("a decision table is made by decision_table()")
    return _table(name, kind, *parts)


def _table(name: str, kind: Kind, *parts: sa.schema.SchemaItem) -> sa.Table:
    for part in parts:
        if isinstance(part, sa.Column) and isinstance(part.type, sa.String):
            part.type = _by_code_point(part.type)
    return sa.Table(name, metadata, *parts, info={"kind": kind})


def _by_code_point(text: sa.String) -> sa.String:
    """Text that is compared as SQLite and Python compare it, whatever language the server is
    set to: pages go on after a name, and an index outlives a new version of a language."""
    return text.with_variant(type(text)(text.length, collation="C"), "postgresql")


@dataclass(frozen=True)
class _Stop:
    """Why nothing more is written, until the process is started anew."""

    state: str
    why: str
    remedy: str


_INSUFFICIENT_PRIVILEGE = "42501"
"""What PostgreSQL calls it (SQLSTATE)."""

_DISK = _Stop(
    "failing",
    "the disk reported an input/output error",
    "repair the disk, verify the ledger, then restart",
)
_DAMAGE = _Stop("damaged", "the database file is damaged", soundness.REMEDY)


class Database:
    """An engine with the guarantees we rely on, asserted when it is opened.

    Raises:
        Unavailable: it cannot be reached, or does not give the durability that we need.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        pool_timeout_seconds: float = 10.0,
        waits: server.Waits | None = None,
    ):
        self.url = sa.make_url(url)
        self.engine = _engine(self.url, pool_size, pool_timeout_seconds, waits or server.Waits())
        # A start that is refused half-way leaves nobody who could close it.
        weakref.finalize(self, self.engine.dispose)
        self._stopped: _Stop | None = None
        self._lock = threading.Lock()
        self._demand_reachable()
        self._assert_durable()
        self._file = self._file_now()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database: one file, one writer at a time."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def write(self, before: Callable[[Connection], None] | None = None) -> Iterator[Connection]:
        """A writing transaction: committed at the end, rolled back on any exception.

        There is one at a time: what is read in it stays so until it ends.

        Args:
            before: Done in the same transaction before its turn has come, on PostgreSQL while
                others write: it inserts what no decision rests on, and reads nothing.

        Raises:
            Unavailable: the disk is full, the database is gone or there to be read alone, its
                lock did not come free, or an earlier use of it met an input/output error or
                damage, after which nothing more is written: what the disk then holds is not
                known, and a second try would not be one.
            Conflict: a constraint of the database refused the change.
            InvalidInput: a value that the database cannot hold.
        """
        if self._stopped:
            raise Unavailable(
                f"writing has stopped: {self._stopped.why}", remedy=self._stopped.remedy
            )
        with self._translated(writes=True), self.engine.connect() as connection:
            options = self._isolated(connection, writes=True)
            if before is not None:
                options = options.execution_options(trimtab_before=before)
            transaction = options.begin()
            with _rolled_back(transaction):
                yield options
                self._commit(options, transaction)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reading transaction over one snapshot."""
        with self._translated(writes=False), self.engine.connect() as connection:
            options = self._isolated(connection, writes=False)
            with options.begin():
                yield options

    def _isolated(self, connection: Connection, *, writes: bool) -> Connection:
        own = {} if self.is_sqlite else server.options_of(writes=writes)
        return connection.execution_options(trimtab_write=writes, **own)

    def _commit(self, connection: Connection, transaction: sa.RootTransaction) -> None:
        """Commit. Where the connection is lost just then, the server is asked what became of
        the transaction: to do it again blindly could do it twice."""
        own = None if self.is_sqlite else server.transaction_id(connection)
        try:
            transaction.commit()
        except sa.exc.DBAPIError as error:
            if own is None or not error.connection_invalidated:
                raise
            committed = server.was_committed(self.engine, own)
            if committed is None:
                raise Unavailable(
                    "the connection to the database was lost at the commit, and whether this "
                    "was written is not known yet",
                    remedy="look whether it is there before you send it again; what carries an "
                    "Idempotency-Key may be sent again as it is",
                ) from error
            if not committed:
                raise

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def healthy(self) -> bool:
        """Whether a read works now and no write has failed for good."""
        return self.state() == "connected"

    def state(self) -> str:
        """How it is: connected, unreachable, gone, or for what reason nothing is written to
        it. Gone is a file that is removed or replaced: what is open is still read and written,
        but ends with this process."""
        if self._file_now() != self._file:
            return "gone"
        try:
            with self.read() as connection:
                connection.execute(sa.text("SELECT 1"))
        except Unavailable:
            return "unreachable" if self._stopped is None else self._stopped.state
        return "connected" if self._stopped is None else self._stopped.state

    def _file_now(self) -> tuple[int, int] | None:
        """Which file has the database's name; None where there is none, and on a server."""
        if not self.is_sqlite:
            return None
        try:
            found = Path(str(self.url.database)).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def _translated(self, *, writes: bool) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError as error:
            raise _conflict(str(error.orig)) from error
        except sa.exc.TimeoutError as error:
            raise Unavailable(
                "every connection to the database is in use", remedy="try again shortly"
            ) from error
        except sa.exc.DataError as error:
            raise InvalidInput(
                "the database cannot hold a value of this: " + str(error.orig).splitlines()[0],
                remedy="send a shorter text, a smaller number, and no character NUL",
            ) from error
        except sa.exc.DBAPIError as error:
            text = str(error.orig).lower()
            if "disk i/o error" in text:
                self._stop(_DISK)
            if soundness.damaged(error.orig):
                self._stop(_DAMAGE)
                raise Unavailable(
                    "the database file is damaged: " + str(error.orig).splitlines()[0],
                    remedy=soundness.REMEDY,
                ) from error
            if getattr(error.orig, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
                raise Unavailable(
                    "the database refuses: " + str(error.orig).splitlines()[0],
                    remedy="let the user of DATABASE_URL own the database: "
                    "ALTER DATABASE name OWNER TO user",
                ) from error
            if writes and server.is_read_only(error.orig):  # in a reader it is our own fault
                raise Unavailable(
                    "the database is read-only: " + str(error.orig).splitlines()[0],
                    remedy=server.READ_ONLY_REMEDY,
                ) from error
            if _is_outage(error, text):
                why = "" if self._tells_where(error) else f": {_first_line(error)}"
                raise Unavailable(
                    f"the database could not take this now{why}",
                    remedy="nothing was written; try again shortly",
                ) from error
            raise

    def _tells_where(self, error: sa.exc.DBAPIError) -> bool:
        """Whether its text has the address of the server, as where none could be reached: that is
        for the log of this process, and not for callers."""
        answered = getattr(error.orig, "sqlstate", None) is not None
        return not (self.is_sqlite or answered) and error.statement is None

    def _stop(self, reason: _Stop) -> None:
        """Write nothing more; the first reason counts."""
        with self._lock:
            if self._stopped is not None:
                return
            self._stopped = reason
        log.error("nothing more is written", why=reason.why, remedy=reason.remedy)

    def _demand_reachable(self) -> None:
        """At the start it is more often the address that is wrong than the server."""
        if self.is_sqlite:
            return
        try:
            with self.read():
                return
        except Unavailable as error:
            cause = error.__cause__
            why = f": {_first_line(cause)}" if isinstance(cause, sa.exc.DBAPIError) else ""
            raise Unavailable(f"the database cannot be used{why}", remedy=_UNREACHABLE) from error

    def _assert_durable(self) -> None:
        with self.read() as connection:
            if not self.is_sqlite:
                commit = connection.execute(sa.text("SHOW synchronous_commit")).scalar_one()
                if commit == "off":
                    raise Unavailable(
                        "PostgreSQL runs with synchronous_commit=off: an acknowledged write "
                        "could be lost",
                        remedy="set synchronous_commit to on",
                    )
                return
            journal = connection.execute(sa.text("PRAGMA journal_mode")).scalar_one()
            synchronous = connection.execute(sa.text("PRAGMA synchronous")).scalar_one()
            if (journal, synchronous) != ("wal", 2):
                raise Unavailable(
                    f"SQLite runs with journal_mode={journal}, synchronous={synchronous}; "
                    "we need wal and 2 (FULL)",
                    remedy="put the database on a local disk that supports WAL",
                )


def _first_line(error: sa.exc.DBAPIError) -> str:
    """What the driver says, without its hints."""
    return str(error.orig).partition("\n")[0]


_UNREACHABLE = (
    "is PostgreSQL running, and does DATABASE_URL name its host and port, a user, the password, "
    "and a database that exists? What is special in a password is percent-encoded there"
)

_SQLITE_CONNECTIONS = 50
"""More than the threads that answer requests; a connection to a file is a file handle."""


_TAKEN = re.compile(
    r"UNIQUE constraint failed: (?:.*, )?\w+\.(\w+)|Key \((?:[^)]*, )?(\w+)\)=.* already exists"
)
"""What SQLite and PostgreSQL say of a value that is taken, with the last of its columns."""


def _conflict(said: str) -> Conflict:
    taken = _TAKEN.search(said)
    if taken is not None:
        column = taken[1] or taken[2]
        return Conflict(
            f"this {column} is taken",
            field=column,
            remedy="choose another one, or look at what has it",
        )
    return Conflict(
        "a constraint of the database refused the change: " + said.splitlines()[0],
        remedy="read the present state, then decide again",
    )


def _engine(
    url: sa.URL, pool_size: int, pool_timeout_seconds: float, waits: server.Waits
) -> Engine:
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InvalidInput(
                "the database must be a file: what is acknowledged must be durable",
                field="DATABASE_URL",
                remedy="use sqlite:///path/to/trimtab.sqlite or postgresql://...",
            )
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        owner_only(url)
        engine = sa.create_engine(
            url,
            connect_args={"timeout": 30, "isolation_level": None},
            # All are kept: opening one costs more than the queries that it is opened for, and
            # a crowd would open and close one for each of its requests.
            pool_size=_SQLITE_CONNECTIONS,
            max_overflow=0,
            pool_timeout=pool_timeout_seconds,
        )
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    if url.get_backend_name() == "postgresql":
        return server.engine(url, pool_size, pool_timeout_seconds, waits)
    raise InvalidInput(
        f"{url.get_backend_name()} is not a database we know",
        field="DATABASE_URL",
        remedy="use sqlite:///path or postgresql://user@host/name",
    )


def _sqlite_connect(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("trimtab_write", True) else "BEGIN")
    if before := options.get("trimtab_before"):
        before(connection)


@contextmanager
def _rolled_back(transaction: sa.RootTransaction) -> Iterator[None]:
    """Roll back on any exception; a rollback that was done already is not an error.

    After a failed commit (disk full, I/O error) SQLite has rolled back by itself, and
    the explicit ROLLBACK raises again, which would hide the first reason.
    """
    try:
        yield
    except BaseException:
        try:
            transaction.rollback()
        except sa.exc.OperationalError as again:
            if "no transaction is active" not in str(again.orig):
                raise
        raise


def _is_outage(error: sa.exc.DBAPIError, text: str) -> bool:
    full = "disk is full" in text or "no space left" in text or "readonly database" in text
    busy = "database is locked" in text
    return (
        full
        or busy
        or "disk i/o error" in text
        or "unable to open database" in text
        or error.connection_invalidated
        or isinstance(error, sa.exc.InterfaceError)
        or (isinstance(error, sa.exc.OperationalError) and not _from_sqlite(error))
    )


def _from_sqlite(error: sa.exc.DBAPIError) -> bool:
    return "sqlite" in type(error.orig).__module__
