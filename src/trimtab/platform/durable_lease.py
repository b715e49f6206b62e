"""Proof that an executor is alive, which the system itself takes back when it dies.

On SQLite one file has one executor: the lock is on a file beside the database. On
PostgreSQL a name has one executor: the lock is an advisory one, held by a session of its
own (so no pooler in transaction mode may stand between), and asked for again when the
server has dropped that session.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from trimtab.kernel.errors import Conflict, Unavailable

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.05
_CHECK_SECONDS = 1.0


class Lease(Protocol):
    """The right to be this executor."""

    def held(
        self, wait_seconds: float, on_lost: Callable[[], None] | None = None
    ) -> AbstractContextManager[None]:
        """Hold the lease for the length of a `with`, waiting for it up to `wait_seconds`.

        `on_lost` is called, from a thread of its own, once somebody else holds it.

        Raises:
            Conflict: it is held, so that executor is alive.
            Unavailable: the database does not answer.
        """
        ...


def lease_for(engine: sa.Engine, executor_id: str) -> Lease:
    """The lease that an executor of this name needs on this database."""
    if engine.dialect.name == "sqlite":
        return FileLease(Path(str(engine.url.database)))
    return AdvisoryLease(engine, executor_id)


class FileLease:
    """One executor per SQLite file."""

    def __init__(self, database: Path):
        self._path = database.with_name(database.name + ".lock")

    @contextmanager
    def held(
        self, wait_seconds: float, on_lost: Callable[[], None] | None = None
    ) -> Iterator[None]:
        # flock, not lockf: that one is dropped when any descriptor of the file is closed.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _until(lambda: _flocked(descriptor), wait_seconds, self._refusal)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)  # for whoever is refused
            yield
        finally:
            os.close(descriptor)  # the file stays: unlinking it would race with the next one

    def _refusal(self) -> Conflict:
        holder = self._path.read_text("ascii", errors="replace").strip()
        who = f" (process {holder})" if holder.isdigit() else ""
        return Conflict(
            f"another executor holds {self._path}{who}; SQLite has room for one",
            remedy="stop the other process, or move the job database to PostgreSQL",
        )


def _flocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class AdvisoryLease:
    """One executor per name on PostgreSQL."""

    def __init__(self, engine: sa.Engine, executor_id: str):
        self._engine = engine
        self._executor_id = executor_id
        name = f"trimtab.executor.{executor_id}"
        digest = hashlib.sha256(name.encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._session: sa.Connection | None = None

    @contextmanager
    def held(
        self, wait_seconds: float, on_lost: Callable[[], None] | None = None
    ) -> Iterator[None]:
        try:
            _until(self._locked, wait_seconds, self._refusal)
        except SQLAlchemyError as error:
            self._drop()
            raise Unavailable(f"the job database does not answer: {error}") from error
        except Conflict:
            self._drop()
            raise
        stop = threading.Event()
        keeper = threading.Thread(
            target=self._keep, args=(stop, on_lost), name="executor-lease", daemon=True
        )
        keeper.start()
        try:
            yield
        finally:
            stop.set()
            keeper.join()
            self._unlock()
            self._drop()

    def _unlock(self) -> None:
        """Free the lock before the session goes: the server ends a session when it likes, and
        whoever asks next must not meet a lease of nobody."""
        if self._session is not None:
            # A session that is broken frees its lock by itself.
            with contextlib.suppress(SQLAlchemyError):
                self._asked("SELECT pg_advisory_unlock(:key)", {"key": self._key})

    def _locked(self) -> bool:
        return bool(self._asked("SELECT pg_try_advisory_lock(:key)", {"key": self._key}))

    def _asked(self, sql: str, values: dict[str, int]) -> object:
        if self._session is None:
            session = self._engine.connect()
            self._session = session.execution_options(isolation_level="AUTOCOMMIT")
        return self._session.execute(sa.text(sql), values).scalar_one()

    def _drop(self) -> None:
        if self._session is not None:
            self._session.invalidate()  # closes the session itself, which frees the lock
            self._session.close()
            self._session = None

    def _keep(self, stop: threading.Event, on_lost: Callable[[], None] | None) -> None:
        """Notice a dropped session, and ask for the lock again."""
        while not stop.wait(_CHECK_SECONDS):
            try:
                if self._session is None:
                    if not self._locked():
                        log.critical("executor %s was taken over", self._executor_id)
                        if on_lost is not None:
                            on_lost()
                        return
                    log.warning("executor %s holds its lease again", self._executor_id)
                self._asked("SELECT 1", {})
            except SQLAlchemyError as error:
                log.warning("executor %s has no lease now: %s", self._executor_id, error)
                self._drop()

    def _refusal(self) -> Conflict:
        return Conflict(
            f"executor {self._executor_id!r} is alive, or being taken over: its lease is held",
            field="executor_id",
            remedy="give each process a name of its own, or end that session first",
        )


def _until(done: Callable[[], bool], seconds: float, refusal: Callable[[], Conflict]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= deadline:
            raise refusal()
        time.sleep(_RETRY_SECONDS)
