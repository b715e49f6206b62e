"""PostgreSQL as we use it: one writer at a time, readers on one snapshot, every wait bounded.

What a decision rests on is read in the transaction that writes it. On SQLite nobody else
writes meanwhile, and the rules are written for that; here a lock gives the same. It is the
first thing a writing transaction takes, and goes with it, so that in `READ COMMITTED` every
statement behind it sees all that was committed, and nothing that is still being decided. Only
what no decision rests on, and takes long to send, is written before it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab.platform.outages import DATABASE

WRITERS = 7_141_592_654
"""Of PostgreSQL's advisory locks, which are apart for each database: that of the one writer."""

_IDLE = "idle_in_transaction_session_timeout"
_BEGIN = f"SELECT pg_advisory_xact_lock({WRITERS}), CAST(pg_current_xact_id() AS text) AS id"
_BEGIN_BOUNDED = f"{_BEGIN}, set_config('{_IDLE}', '{{idle_ms}}', true)"
_ID = "trimtab_transaction"

_USED = "trimtab_used"
_FRESH_SECONDS = 1.0

ATTENTIVE: Final[Mapping[str, int]] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""How each connection notices that the server, or the way to it, is gone without a word: after
10 s of silence it is asked every 5 s whether it is there, three times; what it has not confirmed
after 30,000 ms ends the connection. Without these, a job would wait for a quarter of an hour."""

_RESOLVE_SECONDS = 5.0
_RESOLVE_AGAIN_SECONDS = 0.05

_AS_READERS = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_AS_WRITERS = {"isolation_level": "READ COMMITTED", "postgresql_readonly": None}
"""Not `False`, which asks for `READ WRITE`, and so overrules a server that was set to read only."""

_READ_ONLY = "25006"
"""What PostgreSQL calls a write where only reading is allowed (SQLSTATE)."""
READ_ONLY_REMEDY = (
    "nothing was written, and reading goes on. If somebody set the database to read only: ALTER "
    "DATABASE name SET default_transaction_read_only = off. If it follows another server: let "
    "DATABASE_URL lead to that one"
)


@dataclass(frozen=True)
class Waits:
    """How long PostgreSQL lets us wait, in seconds, before it gives up on our behalf.

    Args:
        lock: For a lock, that of the one writer before all.
        statement: For one statement.
        idle: For the next statement of a transaction.
    """

    lock: float = 20.0
    statement: float = 60.0
    idle: float = 60.0

    @property
    def idle_writer(self) -> float:
        """The same for the one who writes: shorter than the others wait for the lock. A process
        that was stopped in the middle of a write costs them a wait, and no refusal."""
        return min(self.idle, self.lock / 2)


def engine(url: sa.URL, pool_size: int, pool_timeout_seconds: float, waits: Waits) -> Engine:
    """An engine on this server, whose sessions wait for nothing without end."""
    made = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size * 4,
        pool_timeout=pool_timeout_seconds,
        connect_args={**ATTENTIVE, "options": _options(url, waits)},
    )
    begin = _BEGIN_BOUNDED.format(idle_ms=max(1, round(waits.idle_writer * 1000)))
    if _IDLE in _their_options(url):  # what the address says wins
        begin = _BEGIN
    event.listen(made, "begin", lambda connection: _begun(connection, begin))
    event.listen(made, "checkin", _given_back)
    event.listen(made, "checkout", _taken)
    DATABASE.watch(made)
    return made


def _given_back(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _taken(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Ask a connection that has rested whether it is still one, and have it replaced if not.

    Not one that was used just now: to ask costs as much as a query. Where the server ended it
    since, its first statement says so, nothing is done, and the caller is asked to try again.
    """
    if time.monotonic() - record.info.get(_USED, time.monotonic()) < _FRESH_SECONDS:
        return
    try:
        connection.execute("")
        connection.rollback()
    except connection.Error as error:  # the driver's own, which SQLite has no need to load
        DATABASE.lost(time.monotonic())
        raise sa.exc.DisconnectionError(str(error)) from error


def _options(url: sa.URL, waits: Waits) -> str:
    """What every session begins with; what the address itself says comes after, and wins."""
    limits = {
        "lock_timeout": waits.lock,
        "statement_timeout": waits.statement,
        _IDLE: waits.idle,
    }
    ours = [f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items()]
    return " ".join([*ours, _their_options(url)]).strip()


def _their_options(url: sa.URL) -> str:
    theirs = url.query.get("options", "")
    return theirs if isinstance(theirs, str) else " ".join(theirs)


def options_of(*, writes: bool) -> dict[str, Any]:
    """How a transaction is isolated: a reader sees one snapshot, a writer is the only one."""
    return _AS_WRITERS if writes else _AS_READERS


def is_read_only(error: BaseException | None) -> bool:
    """Whether the server refused a write because it is there for reading alone just now."""
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _begun(connection: Connection, begin: str) -> None:
    options = connection.get_execution_options()
    if options.get("trimtab_write", True):
        if before := options.get("trimtab_before"):
            before(connection)
        row = connection.exec_driver_sql(begin).one()
        connection.info[_ID] = row.id


def transaction_id(connection: Connection) -> str | None:
    """The server's name of the writing transaction that `connection` is in."""
    return connection.info.get(_ID)


def was_committed(engine: Engine, transaction: str) -> bool | None:
    """Whether a transaction was committed whose connection was lost meanwhile; None while
    nobody can say: the server is gone, or has not yet noticed that we are."""
    query = sa.text("SELECT pg_xact_status(CAST(:id AS xid8))")
    deadline = time.monotonic() + _RESOLVE_SECONDS
    while time.monotonic() < deadline:
        try:
            with engine.connect().execution_options(trimtab_write=False) as connection:
                status = connection.execute(query, {"id": transaction}).scalar_one()
        except (sa.exc.DBAPIError, sa.exc.TimeoutError):
            status = "unknown"
        if status in ("committed", "aborted"):
            return bool(status == "committed")
        time.sleep(_RESOLVE_AGAIN_SECONDS)
    return None
