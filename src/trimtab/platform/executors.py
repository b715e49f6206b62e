"""Which processes do the work of an installation on PostgreSQL, and which of them are alive.

An executor's row is a lease by the database's own time: it is renewed while the process lives,
and runs out when the process is dead, stopped, or cut off. Whoever takes the work over
replaces the row's token under a lock. A process that wakes after that finds that its token is
not the one that counts, and every transaction that it still has open is refused at its end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from trimtab.kernel.errors import Conflict, Unavailable
from trimtab.platform.database import Kind, Moment, plain_table

EXECUTORS = plain_table(
    "executors",
    Kind.LEASE,
    sa.Column("id", sa.String(120), primary_key=True),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("host", sa.String(120), nullable=False),
    sa.Column("process", sa.BigInteger, nullable=False),
    sa.Column("roles", sa.String(200), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)

_LATER = "clock_timestamp() + make_interval(secs => :seconds)"
_ACQUIRE = sa.text(
    "INSERT INTO executors (id, token, host, process, roles, started_at, expires_at) "
    f"VALUES (:id, :token, :host, :process, :roles, clock_timestamp(), {_LATER}) "
    "ON CONFLICT (id) DO UPDATE SET token = excluded.token, host = excluded.host, "
    "process = excluded.process, roles = excluded.roles, started_at = excluded.started_at, "
    "expires_at = excluded.expires_at WHERE executors.expires_at <= clock_timestamp() "
    "RETURNING id"
)
_RENEW = sa.text(
    f"UPDATE executors SET expires_at = {_LATER} WHERE id = :id AND token = :token RETURNING id"
)
_RELEASE = sa.text("DELETE FROM executors WHERE id = :id AND token = :token")
_HOLDS = sa.text(
    "SELECT token = :token FROM executors WHERE id = :id FOR KEY SHARE"  # lets renewals pass
)
_ALIVE = sa.text("SELECT expires_at > clock_timestamp() FROM executors WHERE id = :id FOR UPDATE")
_FENCE_OFF = sa.text("DELETE FROM executors WHERE id = :id")
_LIVING = sa.text(
    "SELECT id, host, process, roles FROM executors WHERE expires_at > clock_timestamp() "
    "ORDER BY id"
)

FORGET_EXECUTORS = sa.text(
    "DELETE FROM executors WHERE id IN (SELECT id FROM executors"
    " WHERE expires_at <= clock_timestamp() - make_interval(secs => :dead_seconds)"
    " AND NOT EXISTS (SELECT FROM dbos.workflow_status"
    " WHERE status = 'PENDING' AND executor_id = executors.id)"
    " FOR UPDATE SKIP LOCKED)"
)
"""Those that have begun nothing and have been dead for so many seconds. One that wakes after that
has no lease to renew, is refused whatever a job of it would write, and ends; one that is just
renewing it is passed over."""


@dataclass(frozen=True)
class Executor:
    """A process that is alive, and what work it takes up."""

    id: str
    host: str
    process: int
    roles: tuple[str, ...]


def living(connection: Connection) -> Sequence[Executor]:
    """The executors whose lease has not run out, by the time of the database."""
    if connection.dialect.name != "postgresql":
        return ()
    return [
        Executor(row.id, row.host, row.process, tuple(row.roles.split()))
        for row in connection.execute(_LIVING)
    ]


def new_executor_id() -> str:
    """A name that no process had before: what a dead one left is taken over, not inherited."""
    return f"{socket.gethostname()[:60]}-{os.getpid()}-{secrets.token_hex(4)}"


class Claim:
    """One executor's own row, as it stands in the database."""

    def __init__(self, engine: Engine, executor_id: str, roles: Sequence[str], seconds: float):
        self._engine = engine
        self.executor_id = executor_id
        self._roles = " ".join(roles)
        self._seconds = seconds
        self._token = secrets.token_hex(16)

    def acquire(self) -> bool:
        """Write the row; False if somebody alive has this name."""
        values = {
            "host": socket.gethostname()[:120],
            "process": os.getpid(),
            "roles": self._roles,
            "seconds": self._seconds,
        }
        return self._wrote(_ACQUIRE, values)

    def renew(self) -> bool:
        """Make it last again; False if it was taken over."""
        return self._wrote(_RENEW, {"seconds": self._seconds})

    def release(self) -> None:
        """Give it back: what is left is free for others at once."""
        with self._engine.begin() as connection:
            connection.execute(_RELEASE, self._own())

    def demand(self, connection: Connection) -> None:
        """Make sure, until the transaction of `connection` ends, that nobody takes over.

        Raises:
            Unavailable: somebody has.
        """
        if not connection.execute(_HOLDS, self._own()).scalar():
            raise Unavailable(
                f"the work of executor {self.executor_id} was taken over by another process",
                remedy="this process ends by itself; nothing was written",
            )

    def _wrote(self, statement: sa.TextClause, values: dict[str, object]) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(statement, {**self._own(), **values}).first() is not None

    def _own(self) -> dict[str, object]:
        return {"id": self.executor_id, "token": self._token}


@contextlib.contextmanager
def taken_over(engine: Engine, executor_id: str) -> Iterator[None]:
    """Fence off an executor that is dead; nobody starts under its name within the block.

    Waits for transactions that the executor has open: each ends before this, and counts, or
    after it, and is refused.

    Raises:
        Conflict: it is alive.
    """
    with engine.begin() as connection:
        alive = connection.execute(_ALIVE, {"id": executor_id}).scalar()
        if alive:
            raise Conflict(
                f"executor {executor_id!r} is alive: its lease has not run out",
                field="executor_id",
                remedy="end that process, or wait until its lease has run out",
            )
        yield
        connection.execute(_FENCE_OFF, {"id": executor_id})
