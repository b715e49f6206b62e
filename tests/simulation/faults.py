"""A process that dies at an instant: before or after a transaction of a job has been committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from trimtab.platform.database import Database


class Killed(BaseException):
    """The process is gone. Nobody catches it but who starts the next one."""


class Plan:
    """When the process is to die: at the `nth` commit from now on, before or after it."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._before = False
        self.fired = ""

    def set(self, nth: int, *, before: bool) -> None:
        """Die at the `nth` commit, counted from 1."""
        self._left, self._before, self.fired = nth, before, ""

    def clear(self) -> None:
        """Die no more."""
        self._left = None

    def committing(self) -> None:
        """A commit is about to happen."""
        if self._left is not None:
            self._left -= 1
            if self._left == 0 and self._before:
                self._die("before")

    def committed(self) -> None:
        """A commit has happened."""
        if self._left == 0 and not self._before:
            self._die("after")

    def _die(self, when: str) -> None:
        self._left = None
        self.fired = f"{when} a commit"
        raise Killed(self.fired)


class FragileDatabase(Database):
    """The real database, in a process that may die around each of its commits."""

    def __init__(self, url: str, plan: Plan):
        super().__init__(url)
        self.plan = plan

    def reopen(self, plan: Plan) -> None:
        """Go on with the file that has this name now; statements stay compiled."""
        self.close()
        self.plan, self._stopped, self._file = plan, None, self._file_now()

    @contextmanager
    def write(self, before: Callable[[Connection], None] | None = None) -> Iterator[Connection]:
        """A writing transaction, as ever."""
        with super().write(before) as connection:
            yield connection
            self.plan.committing()
        self.plan.committed()
