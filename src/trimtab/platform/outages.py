"""A database server that is away: said when it begins, once a minute, and when it is over.

Every loop of a process notices the same outage, again and again, each in its own words. Here
it is told once for all of them, by what the connections themselves meet; a loop whose failure
that explains says it at DEBUG only.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext

from trimtab.platform.logs import logger

log = logger(__name__)

REMIND_SECONDS = 60.0
"""Between two lines about an outage that lasts."""

SETTLED_SECONDS = 5.0
"""From the end of an outage: what fails within is its echo, and begins none of its own."""

_REMEDY = (
    "look whether PostgreSQL runs, and can be reached from here under DATABASE_URL; what was "
    "under way goes on by itself once it answers"
)
_DRIVER = "psycopg."
"""In what a library says of an error of the driver."""


class Outage:
    """Whether the database of this process is away, as its connections find it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._was_there = False
        self._since: float | None = None
        self._said = 0.0
        self._over = -SETTLED_SECONDS

    def watch(self, engine: Engine) -> None:
        """From now on, learn from the connections of `engine`."""
        event.listen(engine, "handle_error", self._failed)
        event.listen(engine, "connect", self._connected)

    def explains(self, failure: BaseException | str) -> bool:
        """Whether an error, or what a library says of one, is nothing but this outage."""
        with self._lock:
            recent = time.monotonic() - self._over < SETTLED_SECONDS
            if self._since is None and not recent:
                return False
        if isinstance(failure, str):
            return _DRIVER in failure
        cause: BaseException | None = failure
        while cause is not None and not isinstance(cause, sa.exc.DBAPIError):
            cause = cause.__cause__
        return cause is not None and _is_away(cause)

    def _failed(self, context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        # Without a connection: none could be made.
        if not (context.is_disconnect or (context.connection is None and _is_away(error))):
            return
        now, why = time.monotonic(), str(context.original_exception).partition("\n")[0]
        with self._lock:
            if not self._was_there:
                return  # an address that is wrong, which is told to whoever starts this process
            if self._since is None:
                if now - self._over < SETTLED_SECONDS:
                    return  # if it lasts, it is met again
                self._since = self._said = now
                log.error("the database does not answer", why=why, remedy=_REMEDY)
            elif now - self._said >= REMIND_SECONDS:
                self._said = now
                seconds = round(now - self._since)
                log.warning("the database still does not answer", why=why, seconds=seconds)

    def _connected(self, _connection: Any, _record: object) -> None:
        now = time.monotonic()
        with self._lock:
            self._was_there = True
            if self._since is not None:
                seconds = round(now - self._since, 1)
                self._since, self._over = None, now
                log.warning("the database answers again", away_seconds=seconds)


def _is_away(error: BaseException | None) -> bool:
    return isinstance(error, sa.exc.DBAPIError) and (
        error.connection_invalidated or isinstance(error, sa.exc.OperationalError)
    )


DATABASE = Outage()
"""That of the one server that a process works on."""
