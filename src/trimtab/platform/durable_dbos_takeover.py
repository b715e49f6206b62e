"""Jobs that have begun, and that nobody works on: what is found, and handed back to its queue.

Two kinds. What an executor that is dead had begun. And what this executor has claimed without
knowing it: where the connection is lost between the commit of a claim and its answer, the row
says that the job runs here, and no thread runs it. Without a look it would stay so for as long
as this process lives, and hold a place in its queue.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

import sqlalchemy as sa

from trimtab.kernel.errors import Conflict, Unavailable
from trimtab.platform.durable_dbos_store import BEGUN_HERE, DEAD_AND_IDLE, DEAD_EXECUTORS
from trimtab.platform.durable_lease import RowLease
from trimtab.platform.executors import FORGET_EXECUTORS
from trimtab.platform.logs import logger
from trimtab.platform.outages import DATABASE

log = logger(__name__)

UNHEARD_SECONDS = 5.0
"""How long a claimed job may be without a thread: much longer than a thread takes to start."""

FORGET_DEAD_SECONDS = 86_400.0
"""How long the row stays of an executor that is dead and had begun nothing: it is one for each
process that was killed. One that wakes before that goes on; after it, it ends, and is started
anew."""

FORGET_EVERY_SECONDS = 3600.0
"""Between two looks for such rows; the first is as soon as this one may take anything over."""


class Takeover:
    """Looks from time to time, as long as `looking` lasts.

    Args:
        lease: This executor's own; nobody takes anything over who is not steady.
        executor_id: This executor.
        reading: Gives a connection to the database of jobs.
        recover: Takes over what executors had begun; how many jobs that were.
        running: The keys of the jobs that this process has threads for.
        hand_back: Puts a job that is claimed here back into its queue.
    """

    def __init__(
        self,
        lease: RowLease,
        executor_id: str,
        *,
        reading: Callable[[], AbstractContextManager[sa.Connection]],
        recover: Callable[[Sequence[str]], int],
        running: Callable[[], Collection[str]],
        hand_back: Callable[[str], object],
    ):
        self._lease = lease
        self._own = {"own": executor_id}
        self._lasting = {"seconds": lease.seconds}
        self._idle: set[tuple[str, datetime]] = set()
        self._reading = reading
        self._recover = recover
        self._running = running
        self._hand_back = hand_back
        self._unheard: dict[tuple[str, int], float] = {}
        self._forgot = -FORGET_EVERY_SECONDS

    @contextlib.contextmanager
    def looking(self, every_seconds: float) -> Iterator[None]:
        """Look so often, in a thread, until the block ends."""
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(every_seconds):
                try:
                    if self._lease.steady:
                        self._of_the_dead()
                        self._forget()
                    self._of_nobody()
                except (Conflict, Unavailable) as error:  # it came back, or the database is gone
                    say = log.debug if DATABASE.explains(error) else log.warning
                    say("nothing was taken over", why=error.message)

        watcher = threading.Thread(target=look, name="takeover", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def _of_the_dead(self) -> None:
        with self._reading() as conn:
            dead = list(conn.execute(DEAD_EXECUTORS, self._own | self._lasting).tuples())
            idle = set(conn.execute(DEAD_AND_IDLE, self._own | self._lasting).tuples())
        for executor_id, last_seen in dead:
            _say_dead(executor_id, last_seen, self._recover([executor_id]))
        for executor_id, last_seen in sorted(idle - self._idle):
            _say_dead(executor_id, last_seen, 0)
        self._idle = idle

    def _forget(self) -> None:
        """Remove the rows of those who died long ago. Only one that is steady may: after an outage
        of a day the rows of all the living are as old."""
        now = time.monotonic()
        if now - self._forgot < FORGET_EVERY_SECONDS:
            return
        with self._reading() as conn:
            conn.execute(FORGET_EXECUTORS, {"dead_seconds": FORGET_DEAD_SECONDS})
            conn.commit()
        self._forgot = now

    def _of_nobody(self) -> None:
        with self._reading() as conn:
            begun = [(row[0], row[1]) for row in conn.execute(BEGUN_HERE, self._own)]
        running, now = set(self._running()), time.monotonic()
        unheard = [claim for claim in begun if claim[0] not in running]
        self._unheard = {claim: self._unheard.get(claim, now) for claim in unheard}
        for (key, _started), since in list(self._unheard.items()):
            if now - since >= UNHEARD_SECONDS:
                self._hand_back(key)
                log.warning("a job was claimed here and not begun", job_key=key)


def _say_dead(executor_id: str, last_seen: datetime | None, taken: int) -> None:
    log.warning(
        "an executor is dead", executor=executor_id, last_seen=last_seen, jobs_taken_over=taken
    )
