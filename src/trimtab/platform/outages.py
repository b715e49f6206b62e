"""A database server that is away: said when it begins, once a minute, and when it is over.

Every loop of a process notices the same outage, again and again, each in its own words. Here
it is told once for all of them, by what the connections themselves meet; a loop whose failure
that explains says it at DEBUG only.

It begins when no new connection can be made, or when one that took the place of a lost one is
lost as well before it was of use. A connection that ends alone (a session that somebody ended, a
firewall) is replaced, and is no outage. It is over with the next new connection, or with a
statement that succeeds on a connection that was taken from the pool since it began: a pool at
rest makes no new ones. Of a server that merely has no room for one more (`53300`) the same would
not be true, for it runs and answers, and there is something else to do: that is told in words of
its own, and explains nothing.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab.platform.logs import logger

log = logger(__name__)

REMIND_SECONDS = 60.0
"""Between two lines about an outage that lasts."""

SETTLED_SECONDS = 5.0
"""From the end of an outage: what fails within is its echo, and begins none of its own. From the
loss of a connection: what fails within, too, has been told with it."""

_REMEDY = (
    "look whether PostgreSQL runs, and can be reached from here under DATABASE_URL; what was "
    "under way goes on by itself once it answers"
)
_FULL_REMEDY = (
    "raise max_connections of PostgreSQL, or lower DATABASE_POOL_SIZE of the processes: each "
    "keeps up to five times as many"
)

_AWAY_CLASS = "08"
_AWAY = frozenset({"57P01", "57P02", "57P03"})
"""SQLSTATE: the connection itself failed; the server is shutting down, has crashed, or starts."""
_FULL = "53300"
_FULL_SAID = re.compile(
    r"too many clients already|too many connections for |connection slots are reserved"
)
"""What the server says of it to whoever connects, where the driver is told no SQLSTATE. One that
speaks another language than English is taken for one that is away, until a statement succeeds."""

_SAID = re.compile(
    r"psycopg\.(OperationalError|InterfaceError|errors\."
    r"(AdminShutdown|CrashShutdown|CannotConnectNow|ConnectionTimeout|ConnectionException"
    r"|ConnectionDoesNotExist|ConnectionFailure|SqlclientUnableToEstablishSqlconnection"
    r"|SqlserverRejectedEstablishmentOfSqlconnection|TransactionResolutionUnknown"
    r"|ProtocolViolation))\b"
)
"""The same in what a library says of an error of the driver, whose classes are named after it."""

_MADE, _TAKEN = "trimtab_made", "trimtab_taken"
"""On a connection: when it was made, and in which doubt it was taken from its pool."""


class Outage:
    """Whether the database of this process is away, as its connections find it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._was_there = False
        self._doubtful = False  # all that is read where nothing is wrong
        self._doubt = 0
        self._since: float | None = None
        self._lost: float | None = None
        self._said = 0.0
        self._over = -SETTLED_SECONDS
        self._met = -SETTLED_SECONDS
        self._full_said = -REMIND_SECONDS

    def watch(self, engine: Engine) -> None:
        """From now on, learn from the connections of `engine`."""
        event.listen(engine, "handle_error", self._failed)
        event.listen(engine, "connect", self._connected)
        event.listen(engine, "checkout", self._taken)
        event.listen(engine, "after_cursor_execute", self._executed)

    def explains(self, failure: BaseException | str) -> bool:
        """Whether an error, or what a library says of one, is nothing but this outage, or the
        loss of a connection that was told just now."""
        with self._lock:
            recent = time.monotonic() - max(self._over, self._met) < SETTLED_SECONDS
            if self._since is None and not recent:
                return False
        if isinstance(failure, str):
            return _SAID.search(failure) is not None and _FULL_SAID.search(failure) is None
        cause: BaseException | None = failure
        while cause is not None and not isinstance(cause, sa.exc.DBAPIError):
            cause = cause.__cause__
        return cause is not None and _is_away(cause)

    def _failed(self, context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if not isinstance(error, sa.exc.DBAPIError):
            return
        connection, now = context.connection, time.monotonic()
        why = str(context.original_exception).partition("\n")[0]
        if context.is_pre_ping:  # it is replaced, and nobody has noticed
            if context.is_disconnect:
                self.lost(now)
        elif connection is None or connection.invalidated:
            if _is_full(error):
                self._not_let_in(now, why)
            elif _is_away(error):
                with self._lock:
                    self._not_reached(now, why)
        elif context.is_disconnect:
            self._ended(_notes(connection).get(_MADE, 0.0), now, why)

    def lost(self, now: float) -> None:
        """A connection that rested turned out to be none any more, and is being replaced."""
        with self._lock:
            self._lost = now
            self._be_doubtful()

    def _ended(self, made: float, now: float, why: str) -> None:
        """A connection was lost in the middle of its work."""
        with self._lock:
            if self._since is not None or (self._lost is not None and made > self._lost):
                self._not_reached(now, why)
            elif now - max(self._over, self._met) >= SETTLED_SECONDS:
                log.info("a connection to the database was lost, and is replaced", why=why)
            self._lost = self._met = now
            self._be_doubtful()

    def _not_reached(self, now: float, why: str) -> None:
        """It could not be reached; under the lock."""
        if not self._was_there:
            return  # an address that is wrong, which is told to whoever starts this process
        if self._since is None:
            if now - self._over < SETTLED_SECONDS:
                return  # if it lasts, it is met again
            self._since = self._said = now
            self._be_doubtful()
            log.error("the database does not answer", why=why, remedy=_REMEDY)
        elif now - self._said >= REMIND_SECONDS:
            self._said = now
            seconds = round(now - self._since)
            log.warning("the database still does not answer", why=why, seconds=seconds)

    def _not_let_in(self, now: float, why: str) -> None:
        with self._lock:
            if self._was_there and now - self._full_said >= REMIND_SECONDS:
                self._full_said = now
                log.error(
                    "the database has no room for another connection", why=why, remedy=_FULL_REMEDY
                )

    def _be_doubtful(self) -> None:
        """What is taken from a pool from now on, and works, ends the doubt; under the lock."""
        self._doubt += 1
        self._doubtful = True

    def _connected(self, _connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_MADE] = now = time.monotonic()
        with self._lock:
            self._was_there = True
            if self._since is not None:
                self._is_back(now)

    def _taken(self, _connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if self._doubtful:
            record.info[_TAKEN] = self._doubt

    def _executed(self, connection: Connection, *_: object) -> None:
        if self._doubtful:
            with self._lock:
                # Else it may have been sent before, and say nothing about now.
                if _notes(connection).get(_TAKEN) == self._doubt:
                    self._is_back(time.monotonic())

    def _is_back(self, now: float) -> None:
        """It answers; under the lock."""
        since, self._since, self._lost = self._since, None, None
        self._doubtful = False
        if since is not None:
            self._over = now
            log.warning("the database answers again", away_seconds=round(now - since, 1))


def _notes(connection: Connection) -> Mapping[str, Any]:
    """What was noted on a connection; nothing on the one by which SQLAlchemy gets to know a server,
    which comes from no pool."""
    try:
        return connection.info
    except NotImplementedError:
        return {}


def _is_away(error: sa.exc.DBAPIError) -> bool:
    """Whether it says that there is no connection any more, or none could be made. Much else is
    an OperationalError, too: a wait that was too long, a deadlock, a disk that is full."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # it was not the server that said it
        return isinstance(error, sa.exc.OperationalError) and not _is_full(error)
    return state.startswith(_AWAY_CLASS) or state in _AWAY


def _is_full(error: sa.exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state == _FULL or (state is None and bool(_FULL_SAID.search(str(error.orig))))


DATABASE = Outage()
"""That of the one server that a process works on."""
