"""Serving a queue: DBOS's own loop, woken instead of asleep.

DBOS looks at a queue, sleeps for the polling interval (a second by default) and looks
again. Here the same loop waits on a signal that every enqueue and every finished job of
this process gives, so a job starts within milliseconds and an idle loop costs nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dbos import DBOS
from dbos._core import ActiveWorkflowById
from dbos._queue import queue_worker_thread

from trimtab.kernel.errors import Unavailable


class _Wake(threading.Event):
    """The stop signal of a DBOS queue loop, whose wait can also be cut short.

    Args:
        longest: Seconds to wait at most, as things are.
    """

    def __init__(self, longest: Callable[[], float]) -> None:
        super().__init__()
        self._longest = longest
        self._nudged = threading.Event()

    def nudge(self) -> None:
        self._nudged.set()

    def set(self) -> None:
        super().set()
        self._nudged.set()

    def wait(self, timeout: float | None = None) -> bool:
        longest = self._longest()
        self._nudged.wait(longest if timeout is None else min(timeout, longest))
        self._nudged.clear()  # before the look that follows, so that no nudge is lost
        return self.is_set()


class Loop:
    """One queue, served: DBOS's own loop, woken when there may be something to take.

    `backlog` is how many jobs this process knows to be unfinished. It decides only
    whether a finished job is worth another look, and how soon to look again by itself
    (`busy_seconds`: DBOS hands back what a dead process left in its own time), never what is
    true: on PostgreSQL other processes add and take too, and their doings are seen at the
    polling interval.
    """

    def __init__(self, dbos: DBOS, queue_name: str, backlog: int, busy_seconds: float):
        self.wake = _Wake(lambda: busy_seconds if self._backlog else threading.TIMEOUT_MAX)
        self._backlog = backlog
        self._lock = threading.Lock()
        queue = DBOS.retrieve_queue(queue_name)
        if queue is None:
            raise Unavailable(f"queue {queue_name!r} was removed from the job database")
        queue.database_backed_queue = False  # else its limits are read again at every look
        self.thread = threading.Thread(
            target=queue_worker_thread,
            args=(self.wake, dbos, queue),
            name=f"jobs-{queue_name}",
            daemon=True,
        )
        self.thread.start()

    def added(self) -> None:
        with self._lock:
            self._backlog += 1
        self.wake.nudge()

    def finished(self) -> None:
        with self._lock:
            self._backlog = max(0, self._backlog - 1)
            more = self._backlog > 0
        if more:
            self.wake.nudge()


class Active(ActiveWorkflowById):
    """DBOS's list of running jobs, which tells when one has left it, outcome stored."""

    def __init__(self, on_finished: Callable[[str | None], None]):
        super().__init__()
        self._on_finished = on_finished

    def _remove(self, key: str, bucket: tuple[str, str | None] | None) -> None:
        super()._remove(key, bucket)
        self._on_finished(bucket[0] if bucket else None)
