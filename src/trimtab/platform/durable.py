"""Durable execution: what the rest of the house may ask of a job engine.

A job is a plain synchronous function. Once `enqueue` has returned, the job runs **at
least once**, whatever is killed in between; it may run again at any moment, so it
re-reads, compares and only then acts, and everything it does outside carries the job's
key as its idempotency key. Order between jobs is promised only where a queue has one
place: there each begins when the one that was handed over before it has ended. What is
promised is that one key is one piece of work, that no more jobs of a queue run at once than
its limit says, and that a job which cannot be finished ends among the dead letters, in sight.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from trimtab.kernel.errors import InvalidInput

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

Hook: TypeAlias = Callable[[str], None]
"""Called at `enqueued:<job>`, `before:<job>` and `after:<job>`; a test kills there."""

MAX_KEY_LENGTH = 200  # characters; a property of the stored form, not something to tune

_KEY = re.compile(r"[!-~]+")  # printable ASCII without white space


@dataclass(frozen=True)
class JobArgs:
    """What one run of a job is given: its key, and the values it was enqueued with."""

    key: str
    values: Mapping[str, JSON]


@dataclass(frozen=True)
class Job:
    """A named function that the engine runs; handed over before `start`.

    `run` is tried at most `max_attempts` times in a row, the pause between two tries
    starting at `backoff_seconds` and doubling; after that the job is a dead letter.
    The pause holds one of the queue's places.
    """

    name: str
    run: Callable[[JobArgs], None]
    queue: str = "default"
    max_attempts: int = field(kw_only=True)
    backoff_seconds: float = field(default=0.5, kw_only=True)


@dataclass(frozen=True)
class FailedJob:
    """A dead letter: a job that the engine has stopped trying."""

    key: str
    name: str
    attempts: int
    """Tries in the last run if it raised; starts if it took its process down each time."""
    error: str


@dataclass(frozen=True)
class Counts:
    """How many jobs there are in each state; `done` only as far back as history is kept."""

    waiting: int
    running: int
    done: int
    failed: int


class Engine(Protocol):
    """A durable job engine. One per process; all methods may be called from any thread."""

    def register(self, job: Job) -> None:
        """Make `job` known under its name.

        Raises:
            Conflict: the name is taken, or the engine has been started.
            InvalidInput: an attempt limit below one, or a queue nobody configured.
        """
        ...

    def start(self) -> None:
        """Take up work, beginning with what a killed run of the same executor left.

        Raises:
            Conflict: another executor holds the database, or the executor's name.
            Unavailable: the database does not answer, or would not keep what it says.
        """
        ...

    def stop(self, drain_seconds: float) -> bool:
        """Take no new job, wait for the running ones, let go; whether all had finished."""
        ...

    def enqueue(self, job_name: str, key: str, args: Mapping[str, JSON]) -> bool:
        """Promise to run the job; False if `key` is known already, and nothing changes.

        The promise is on disk when this returns. A key stays known for as long as
        finished jobs are kept (see `prune`).

        Raises:
            NotFound: no job has this name.
            InvalidInput: an empty, over-long or unprintable key, or args that are not JSON.
            Conflict: the key belongs to another job.
            Unavailable: the engine is not running.
        """
        ...

    def idle(self) -> bool:
        """Whether nothing waits and nothing runs, over all executors of the database.

        One indexed read. Never true between the return of an `enqueue` and the end of
        its job, nor while a job that is about to enqueue another still runs.
        """
        ...

    def wait_idle(self, timeout: float) -> bool:
        """Wait until `idle`, at most `timeout` seconds; whether it came to that."""
        ...

    def failed(self) -> Sequence[FailedJob]:
        """The dead letters, oldest first."""
        ...

    def retry(self, key: str) -> None:
        """Give a dead letter a fresh set of attempts.

        Raises:
            NotFound: no job has this key.
            InvalidMove: the job waits, runs, or is done.
        """
        ...

    def counts(self) -> Counts:
        """How many jobs wait, run, are done, have failed."""
        ...

    def unfinished(self) -> Mapping[str, int]:
        """How many jobs wait or run, by queue; a queue without any is 0."""
        ...

    def dead_letters(self) -> Mapping[str, int]:
        """How many dead letters there are, by the name of the job."""
        ...

    def recover(self, executor_ids: Sequence[str]) -> int:
        """Take over what executors that are gone had begun; how many jobs that were.

        For processes beside this one that have died; what an earlier run of this executor
        left, `start` takes up. With one process for each database nobody needs to call it.

        Raises:
            Conflict: one of them is alive, or is this executor.
        """
        ...

    def prune(self, keep_seconds: float) -> int:
        """Forget jobs that were done more than `keep_seconds` ago; how many that were.

        Their keys are new again after that, so `keep_seconds` is the period over which
        a repeated `enqueue` is recognised. Dead letters stay.
        """
        ...


def checked_key(key: str) -> str:
    """`key`, if it can name a piece of work.

    Raises:
        InvalidInput: empty, longer than 200 characters, or with anything in it that is
            not printable ASCII.
    """
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise InvalidInput(
            f"{key[:40]!r} cannot name a job",
            field="key",
            remedy=f"use 1 to {MAX_KEY_LENGTH} printable ASCII characters without spaces",
        )
    return key


def checked_values(args: Mapping[str, JSON]) -> dict[str, JSON]:
    """`args` as they will come back from the database.

    Raises:
        InvalidInput: something in it has no JSON form, or is not a finite number.
    """
    try:
        values: dict[str, JSON] = json.loads(json.dumps(dict(args), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"not JSON: {error}", field="args") from error
    return values
