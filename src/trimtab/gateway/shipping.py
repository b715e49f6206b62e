"""Predictions on their way to the control plane: a bounded buffer and a thread.

No inference ever waits for this. What does not fit is shed and counted:
accepted = shipped + shed + buffered, in rows, at every moment.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from trimtab.gateway.batches import Batch, Captured, Stream, encode

log = logging.getLogger(__name__)

Outcome = Literal["shipped", "refused", "retry"]
Send = Callable[[Batch], Outcome]


@dataclass(frozen=True)
class Counts:
    """Rows so far; `shed` by reason: full, refused (by the control plane), shutdown."""

    accepted: int
    shipped: int
    shed: dict[str, int]
    buffered: int
    buffered_bytes: int


@dataclass
class Queue:
    """Calls of one stream, oldest first, each with its place in the order of all."""

    calls: deque[tuple[int, Captured]] = field(default_factory=deque)
    rows: int = 0

    def push(self, sequence: int, call: Captured) -> None:
        self.calls.append((sequence, call))
        self.rows += call.rows

    def pop(self) -> Captured:
        _, call = self.calls.popleft()
        self.rows -= call.rows
        return call


@dataclass
class Buffer:
    """Calls that wait, oldest first within a stream; all methods are safe from any thread.

    Args:
        max_rows: Rows that wait at most, those being sent included.
        max_bytes: Bytes of tensors that wait at most, likewise.
        shed_oldest: When full, drop the oldest that is not being sent; else the newest.
    """

    max_rows: int
    max_bytes: int
    shed_oldest: bool
    _queues: dict[Stream, Queue] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sequence: int = 0
    _rows: int = 0
    _bytes: int = 0
    _accepted: int = 0
    _shipped: int = 0
    _shed: dict[str, int] = field(default_factory=lambda: {"full": 0, "refused": 0, "shutdown": 0})

    def put(self, call: Captured) -> int:
        """Take a call, or shed; returns the rows of its stream that wait now. Never blocks for
        room."""
        with self._lock:
            self._accepted += call.rows
            while self._over(call) and self.shed_oldest and self._queues:
                self._drop_oldest()
            if self._over(call):
                self._shed["full"] += call.rows
                return 0
            self._sequence += 1
            queue = self._queues.setdefault(call.stream, Queue())
            queue.push(self._sequence, call)
            self._rows += call.rows
            self._bytes += call.size
            return queue.rows

    def take(self, max_rows: int, *, least_rows: int = 1) -> list[Captured]:
        """The oldest calls of the stream that has waited longest among those in which at least
        `least_rows` wait; none if there is no such stream.

        They count as buffered until `settle`.
        """
        with self._lock:
            long = [s for s, queue in self._queues.items() if queue.rows >= least_rows]
            if not long:
                return []
            stream = self._oldest(long)
            queue = self._queues[stream]
            taken = [queue.pop()]
            rows = taken[0].rows
            while queue.calls and rows + queue.calls[0][1].rows <= max_rows:
                taken.append(queue.pop())
                rows += taken[-1].rows
            if not queue.calls:
                del self._queues[stream]
            return taken

    def settle(self, calls: list[Captured], shed_because: str | None = None) -> None:
        """Count calls that `take` gave as shipped, or as shed."""
        with self._lock:
            for call in calls:
                self._forget(call)
                if shed_because is None:
                    self._shipped += call.rows
                else:
                    self._shed[shed_because] += call.rows

    def counts(self) -> Counts:
        """All counters at one moment."""
        with self._lock:
            return Counts(self._accepted, self._shipped, dict(self._shed), self._rows, self._bytes)

    def _over(self, call: Captured) -> bool:
        return self._rows + call.rows > self.max_rows or self._bytes + call.size > self.max_bytes

    def _oldest(self, among: Iterable[Stream]) -> Stream:
        return min(among, key=lambda stream: self._queues[stream].calls[0][0])

    def _drop_oldest(self) -> None:
        stream = self._oldest(self._queues)
        call = self._queues[stream].pop()
        if not self._queues[stream].calls:
            del self._queues[stream]
        self._forget(call)
        self._shed["full"] += call.rows

    def _forget(self, call: Captured) -> None:
        self._rows -= call.rows
        self._bytes -= call.size


@dataclass(frozen=True)
class Pace:
    """When the shipper sends, and how long it waits after a failure (full jitter)."""

    batch_rows: int
    flush_seconds: float
    backoff_seconds: float
    backoff_max_seconds: float


class Shipper:
    """The thread that ships what waits in `buffer`."""

    def __init__(self, buffer: Buffer, send: Send, pace: Pace):
        self._buffer = buffer
        self._send = send
        self._pace = pace
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to ship."""
        self._thread.start()

    def accept(self, call: Captured) -> None:
        """Take a call of which the answer has been computed. Never blocks for room."""
        if self._buffer.put(call) >= self._pace.batch_rows:
            self._wake.set()

    def drain(self, seconds: float) -> None:
        """Ship what waits, for at most `seconds`; what is left is shed, and counted so."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        flushed_at = time.monotonic()
        while not self._stopping.is_set():
            left = flushed_at + self._pace.flush_seconds - time.monotonic()
            if left > 0:
                self._wake.wait(left)
                self._wake.clear()
                # Full batches alone: a post costs the same, however few rows it has.
                self._ship(least_rows=self._pace.batch_rows)
            else:
                flushed_at = time.monotonic()
                self._ship(least_rows=1)
        self._ship(least_rows=1)

    def _ship(self, *, least_rows: int) -> None:
        while calls := self._buffer.take(self._pace.batch_rows, least_rows=least_rows):
            outcome = self._deliver(encode(calls))
            self._buffer.settle(calls, None if outcome == "shipped" else outcome)

    def _deliver(self, batch: Batch) -> str:
        """Send until it is answered; the same batch id each time, so it counts once."""
        pause = self._pace.backoff_seconds
        while True:
            if time.monotonic() >= self._deadline:
                return "shutdown"
            outcome = self._send(batch)
            if outcome != "retry":
                if outcome == "refused":
                    log.error("the control plane refused %s of %d rows", batch.id, batch.rows)
                return outcome
            left = self._deadline - time.monotonic()
            wait = min(random.uniform(0, pause), max(left, 0))
            pause = min(pause * 2, self._pace.backoff_max_seconds)
            if self._stopping.is_set():
                time.sleep(wait)
            else:
                self._stopping.wait(wait)
