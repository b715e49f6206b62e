"""Proof that an executor is alive.

On SQLite one file has one executor: the lock is on a file beside the database, and the system
takes it back when the process dies. On PostgreSQL there are many: each has a row that it renews,
and that runs out by the time of the database (`executors.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from trimtab.kernel.errors import Conflict, Unavailable
from trimtab.platform.executors import Claim
from trimtab.platform.outages import DATABASE

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.05

RENEWALS = 5
"""Of a lease within its time: one that is late does not cost it."""


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


class RowLease:
    """One executor per name on PostgreSQL, alive for as long as its row says so."""

    def __init__(self, claim: Claim, seconds: float):
        self._claim = claim
        self.seconds = seconds
        self._steady_since: float | None = None

    @property
    def steady(self) -> bool:
        """Whether it was renewed without a break for as long as a lease lasts.

        After an outage of the database every lease has run out. Whoever took work over at
        once would take it from the living, who had no chance to renew theirs.
        """
        since = self._steady_since
        return since is not None and time.monotonic() - since >= self.seconds

    @contextmanager
    def held(
        self, wait_seconds: float, on_lost: Callable[[], None] | None = None
    ) -> Iterator[None]:
        try:
            _until(self._claim.acquire, wait_seconds, self._refusal)
        except SQLAlchemyError as error:
            raise Unavailable(f"the job database does not answer: {error}") from error
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
            with contextlib.suppress(SQLAlchemyError):  # it runs out by itself
                self._claim.release()

    def _keep(self, stop: threading.Event, on_lost: Callable[[], None] | None) -> None:
        """Renew in good time; say so once when somebody has taken over."""
        renewed = self._steady_since = time.monotonic()
        while not stop.wait(self.seconds / RENEWALS):
            try:
                held = self._claim.renew()
            except SQLAlchemyError as error:
                level = logging.DEBUG if DATABASE.explains(error) else logging.WARNING
                log.log(level, "executor %s is not renewed: %s", self._claim.executor_id, error)
                self._steady_since = None
                continue
            if not held:
                log.critical("executor %s was taken over", self._claim.executor_id)
                if on_lost is not None:
                    on_lost()
                return
            now = time.monotonic()
            if self._steady_since is None or now - renewed > self.seconds:
                self._steady_since = now
            renewed = now

    def _refusal(self) -> Conflict:
        return Conflict(
            f"executor {self._claim.executor_id!r} is alive: its lease has not run out",
            field="executor_id",
            remedy="give each process a name of its own, or end that process first",
        )


def _until(done: Callable[[], bool], seconds: float, refusal: Callable[[], Conflict]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= deadline:
            raise refusal()
        time.sleep(_RETRY_SECONDS)
