"""One look at the records for all who ask at the same time.

To change threads, and to begin and end a transaction, costs as much as what is asked within it,
and so does each query by itself. While few ask, each has a look of their own; in a crowd those who
wait are answered together, step by step: what all of them look for next is one query. So a crowd
costs each of them less, and nobody stands behind all that came before.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from trimtab.audit.work import Look, Records, Wanted
from trimtab.kernel.errors import TrimtabError, Unavailable

Answer = TypeVar("Answer")
Steps: TypeAlias = Generator[Sequence[Wanted], None, Answer]
"""A question, step by step: it gives what it will look for next, and at last its answer."""

_AT_ONCE = 16
"""Questions to a look at most: its snapshot is not to grow old."""


@dataclass
class _Asked:
    """A question, and what has come of it."""

    question: Callable[[Look], Steps[Any]]
    loop: asyncio.AbstractEventLoop
    told: asyncio.Future[Any]
    context: Context = field(default_factory=copy_context)
    steps: Steps[Any] | None = None
    answer: Any = None
    error: Exception | None = None
    done: bool = False

    @property
    def waits(self) -> bool:
        """Whether there is still somebody to be told."""
        return not (self.done or self.told.done() or self.loop.is_closed())

    def begin(self, look: Look) -> None:
        """From the first step, in this look."""
        self.steps = self.context.run(self.question, look)

    def go_on(self) -> Sequence[Wanted]:
        """One step: what is looked for after it, or nothing where it was the last. What is refused
        concerns nobody else; any other error ends the look."""
        assert self.steps is not None
        try:
            return self.context.run(next, self.steps)
        except StopIteration as ended:
            self.answer = ended.value
        except TrimtabError as error:
            self.error = error
        self.done = True
        return ()

    def fail(self, error: BaseException) -> None:
        """This is what has come of it. What would end a loop, or a generator, is told in words."""
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = RuntimeError(f"a question was ended by {error!r}")
        self.error, self.done = error, True

    def tell(self) -> None:
        """Within the loop: whoever asked goes on, if they still wait."""
        if self.told.done():
            return
        if self.error is not None:
            self.told.set_exception(self.error)
        else:
            self.told.set_result(self.answer)


class SharedLooks:
    """Answers what only looks, in one thread: a second one would mostly take turns with the first
    at the interpreter, and a crowd would be answered later by both.

    Args:
        records: What is looked at.
    """

    def __init__(self, records: Records):
        self._records = records
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="looks")
        self._waiting: deque[_Asked] = deque()
        self._running = False
        self._closed = False
        self._lock = threading.Lock()

    async def ask(self, question: Callable[[Look], Steps[Answer]]) -> Answer:
        """The answer to a question, in a look that begins after it was asked.

        Args:
            question: Reads and does nothing else. It may be asked again, in another look, where
                the first one failed because of somebody else's.

        Raises:
            TrimtabError: what the question raises; the records cannot be looked at.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(question, loop, loop.create_future())
        with self._lock:
            if self._closed:
                raise _ending()
            self._waiting.append(asked)
            if not self._running:
                self._thread.submit(self._run)
                self._running = True
        answer: Answer = await asked.told
        return answer

    def close(self) -> None:
        """Begin no more looks, and tell whoever waits for one; within the loop."""
        with self._lock:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
        for one in left:
            one.fail(_ending())
            one.tell()
        self._thread.shutdown(wait=False)

    def _run(self) -> None:
        while batch := self._next():
            while left := [one for one in batch if one.waits]:
                self._look(left)
            for loop in {one.loop for one in batch}:
                with suppress(RuntimeError):  # the loop has ended, and whoever waited with it
                    loop.call_soon_threadsafe(_tell, [one for one in batch if one.loop is loop])

    def _next(self) -> list[_Asked]:
        """Some of those who wait; where nobody does, the thread is free."""
        with self._lock:
            found = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            self._running = bool(found)
            return found

    def _look(self, batch: Sequence[_Asked]) -> None:
        """Answer these, up to the first whose error ends the look: that one is told it, and the
        others are left for another look. Where it is what they look for together, that is for
        each to find out alone."""
        current: Sequence[_Asked] = batch  # without a look there is no answer for any of them
        try:
            with self._records.look() as look:
                for one in batch:
                    one.begin(look)
                while current:
                    going, wanted = current, list[Wanted]()
                    for one in going:
                        current = (one,)
                        wanted += one.go_on()
                    current = [one for one in going if not one.done]
                    _fetch(look, wanted, current)
        except BaseException as error:  # noqa: BLE001 - whoever asked is told
            if len(current) == 1 or isinstance(error, Unavailable):
                for one in current:
                    one.fail(error)
            else:
                for one in current:
                    self._look((one,))


def _fetch(look: Look, wanted: Sequence[Wanted], those: Sequence[_Asked]) -> None:
    """What one of them wants alone is logged as theirs."""
    if len(those) == 1:
        those[0].context.run(look.fetch, wanted)
    else:
        look.fetch(wanted)


def _ending() -> Unavailable:
    return Unavailable("this process is ending", remedy="ask again: another one answers")


def _tell(batch: Sequence[_Asked]) -> None:
    for one in batch:
        one.tell()
