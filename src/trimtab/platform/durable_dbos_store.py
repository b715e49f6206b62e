"""What the job engine keeps and says through DBOS: its database, its rows, its log.

The statements here only read DBOS's tables, in the shape they have in version 3.4; every
change of a row goes through DBOS itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from dbos._error import DBOSMaxStepRetriesExceeded
from dbos._serialization import Serializer
from sqlalchemy import event

from trimtab.kernel.errors import InvalidInput, Unavailable
from trimtab.platform.durable import FailedJob
from trimtab.platform.outages import DATABASE
from trimtab.platform.postgresql import ATTENTIVE
from trimtab.platform.private import owner_only

log = logging.getLogger(__name__)

DEAD = ["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_UNFINISHED = "status IN ('ENQUEUED', 'PENDING')"  # verbatim: partial indexes match on it


class JsonSerializer(Serializer):
    """Values and errors as JSON text; an error comes back as `StoredError`."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, DBOSMaxStepRetriesExceeded):
            return json.dumps({"error": _told(data.errors[-1]), "attempts": len(data.errors)})
        if isinstance(data, StoredError):
            return json.dumps({"error": str(data), "attempts": data.attempts})
        if isinstance(data, Exception):
            return json.dumps({"error": _told(data), "attempts": 1})
        return json.dumps({"value": data}, allow_nan=False)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - the base names it so
        stored = json.loads(serialized_data)
        if "error" in stored:
            return StoredError(stored["error"], stored["attempts"])
        return stored["value"]

    def name(self) -> str:
        return "trimtab_json"


class StoredError(Exception):
    def __init__(self, text: str, attempts: int):
        super().__init__(text)
        self.attempts = attempts


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def failed_job(row: Any) -> FailedJob:
    if isinstance(row.error, StoredError):
        return FailedJob(row.workflow_id, row.name, row.error.attempts, str(row.error))
    starts = int(row.recovery_attempts or 0)
    return FailedJob(row.workflow_id, row.name, starts, "begun again and again, never finished")


def open_engine(url: str, connections: int) -> sa.Engine:
    """The engine that DBOS works on, with the settings that it does not make itself.

    Raises:
        InvalidInput: neither SQLite nor PostgreSQL.
    """
    options: dict[str, Any] = {"pool_size": connections, "max_overflow": connections}
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        owner_only(address)
        engine = sa.create_engine(address, **options)
        event.listen(engine, "connect", _durable_sqlite)
        return engine
    if address.get_backend_name() != "postgresql":
        raise InvalidInput(
            f"jobs cannot be kept in {address.get_backend_name()}",
            field="url",
            remedy="give sqlite:///<file> or postgresql://...",
        )
    address = address.set(drivername="postgresql+psycopg")
    connect = {
        # A process that is stopped in the middle of a transaction holds up whoever takes over.
        "options": "-c idle_in_transaction_session_timeout=10000",
        **ATTENTIVE,
    }
    engine = sa.create_engine(address, pool_pre_ping=True, connect_args=connect, **options)
    DATABASE.watch(engine)
    return engine


def _durable_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout=30000")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def assert_durable(engine: sa.Engine) -> None:
    """Read back what makes an acknowledged enqueue survive a power cut.

    Raises:
        Unavailable: SQLite is not in WAL mode, or does not sync every commit.
    """
    with engine.connect() as conn:
        journal = conn.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        synchronous = conn.exec_driver_sql("PRAGMA synchronous").scalar_one()
    if journal != "wal" or synchronous != 2:
        raise Unavailable(
            f"the job database has journal_mode={journal}, synchronous={synchronous}",
            remedy="keep it on a local disk, where SQLite can use WAL with synchronous=FULL",
        )


@contextlib.contextmanager
def forwarded_logs() -> Iterator[None]:
    """What DBOS says goes to our logger, from warnings upwards, and nowhere else."""
    theirs = logging.getLogger("dbos")
    handler = _Forward()
    before = (theirs.handlers[:], theirs.propagate, theirs.level)
    theirs.handlers[:] = [handler]  # with a handler there, DBOS adds none for the console
    theirs.propagate = False
    try:
        yield
    finally:
        theirs.handlers[:], theirs.propagate, level = before
        theirs.setLevel(level)


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            return
        if DATABASE.explains(record.getMessage()):
            record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        if log.isEnabledFor(record.levelno):
            record.name = log.name
            log.handle(record)


def _on_both(sql: str) -> dict[str, sa.TextClause]:
    return {
        "sqlite": sa.text(sql.format(jobs="workflow_status")),
        "postgresql": sa.text(sql.format(jobs="dbos.workflow_status")),
    }


UNFINISHED_JOBS = _on_both(f"SELECT 1 FROM {{jobs}} WHERE {_UNFINISHED} LIMIT 1")
COUNTS = _on_both("SELECT status, count(*) FROM {jobs} GROUP BY status")
LEFT = _on_both(
    f"SELECT queue_name, name, count(*) FROM {{jobs}} WHERE {_UNFINISHED} GROUP BY 1, 2"
)
FAILED = _on_both(
    "SELECT name, count(*) FROM {jobs} WHERE status IN ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')"
    " GROUP BY 1"
)
CLAIMED = _on_both("SELECT 1 FROM {jobs} WHERE status = 'PENDING' AND executor_id = :own LIMIT 1")
DONE = _on_both(
    "SELECT workflow_uuid FROM {jobs} WHERE completed_at < :before AND status = 'SUCCESS'"
    " LIMIT :batch"
)
EXECUTORS = sa.text(
    "SELECT DISTINCT executor_id FROM workflow_status"
    " WHERE status = 'PENDING' AND executor_id <> :own"
)

BEGUN_HERE = sa.text(
    "SELECT workflow_uuid, started_at_epoch_ms FROM dbos.workflow_status"
    " WHERE status = 'PENDING' AND executor_id = :own"
)
_LAST_SEEN = "expires_at - make_interval(secs => :seconds) AS last_seen"
DEAD_EXECUTORS = sa.text(
    f"SELECT DISTINCT executor_id AS id, {_LAST_SEEN} FROM dbos.workflow_status"
    " LEFT JOIN executors ON executors.id = executor_id"
    " WHERE status = 'PENDING' AND executor_id <> :own"
    " AND (expires_at <= clock_timestamp()) IS NOT FALSE"
)
"""Those on PostgreSQL that have begun something and whose lease, of so many seconds, has run
out; one whose row is gone was seen nobody knows when."""

DEAD_AND_IDLE = sa.text(
    f"SELECT id, {_LAST_SEEN} FROM executors WHERE expires_at <= clock_timestamp()"
    " AND expires_at > (SELECT started_at FROM executors WHERE id = :own)"
    " AND NOT EXISTS (SELECT FROM dbos.workflow_status"
    " WHERE status = 'PENDING' AND executor_id = executors.id)"
)
"""Those that have begun nothing, and whose lease has run out since this one started. Their
rows stay for a while: such a one may wake and go on, for there is nothing that it could do
twice."""
