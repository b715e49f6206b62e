"""A durable engine in this thread: what waits is kept, and somebody else says what runs next.

It keeps the promises of the port and no others: each key is one piece of work, which is done
at least once, in any order but that of the queue with one place, and which is a dead letter
after its last try. What it holds survives the death of the process, as a file would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.simulation.faults import Killed

from trimtab.kernel.errors import Conflict, InvalidMove, NotFound
from trimtab.platform.durable import (
    JSON,
    Counts,
    FailedJob,
    Job,
    JobArgs,
    checked_key,
    checked_values,
)
from trimtab.workflows.jobs import IN_ORDER, queues

QUEUES = queues(4)


@dataclass
class Waiting:
    """A piece of work that is not done: its tries so far, and how often it was killed."""

    name: str
    key: str
    values: dict[str, JSON]
    tries: int = 0
    deaths: int = 0


@dataclass
class Kept:
    """What is on the engine's disk."""

    waiting: dict[str, Waiting] = field(default_factory=dict)
    done: dict[str, Waiting] = field(default_factory=dict)
    dead: dict[str, FailedJob] = field(default_factory=dict)

    def copy(self) -> Kept:
        """The same, to go on from."""
        waiting = {k: Waiting(w.name, k, dict(w.values)) for k, w in self.waiting.items()}
        return Kept(waiting, dict(self.done), dict(self.dead))


class SteppedEngine:
    """An `Engine` whose jobs run when `run` is called, in the thread that calls it."""

    def __init__(self, kept: Kept):
        self.kept = kept
        self._jobs: dict[str, Job] = {}

    def register(self, job: Job) -> None:
        if job.name in self._jobs:
            raise Conflict(f"job {job.name} is registered")
        assert job.queue in QUEUES
        self._jobs[job.name] = job

    def start(self) -> None:
        """Nothing to do: nobody runs by itself."""

    def stop(self, drain_seconds: float) -> bool:
        return True

    def enqueue(self, job_name: str, key: str, args: Mapping[str, JSON]) -> bool:
        if job_name not in self._jobs:
            raise NotFound(f"no job is called {job_name}")
        kept, key = self.kept, checked_key(key)
        if key in kept.waiting or key in kept.done or key in kept.dead:
            return False
        kept.waiting[key] = Waiting(job_name, key, checked_values(args))
        return True

    def runnable(self) -> list[str]:
        """Keys of what may run now: of the queue with one place only the first."""
        found, taken = [], False
        for key, work in self.kept.waiting.items():
            if self._jobs[work.name].queue == IN_ORDER:
                if taken:
                    continue
                taken = True
            found.append(key)
        return found

    def run(self, key: str) -> str:
        """Run one piece of work; return how it ended: done, failed, dead or killed.

        Raises:
            Killed: the process is gone; what had been begun waits again.
        """
        work = self.kept.waiting[key]
        job = self._jobs[work.name]
        try:
            job.run(JobArgs(key, work.values))
        except Killed:
            work.deaths += 1
            raise
        except Exception as error:  # noqa: BLE001 - as the real engine does: whatever it was
            return self._failed(work, job, error)
        self.kept.done[key] = self.kept.waiting.pop(key)
        return "done"

    def _failed(self, work: Waiting, job: Job, error: Exception) -> str:
        work.tries += 1
        if work.tries < job.max_attempts:
            return f"failed: {error!r}"
        del self.kept.waiting[work.key]
        self.kept.dead[work.key] = FailedJob(work.key, work.name, work.tries, repr(error))
        return f"dead: {error!r}"

    def again(self, key: str) -> None:
        """Deliver something a second time that was done before."""
        self.kept.waiting[key] = self.kept.done.pop(key)

    def idle(self) -> bool:
        return not self.kept.waiting

    def wait_idle(self, timeout: float) -> bool:
        return self.idle()

    def failed(self) -> Sequence[FailedJob]:
        return list(self.kept.dead.values())

    def retry(self, key: str) -> None:
        if key not in self.kept.dead:
            raise InvalidMove(f"{key} is no dead letter")
        dead = self.kept.dead.pop(key)
        name, sequence = dead.name, key.split(":")[1]
        values: dict[str, JSON] = (
            {"sequence": int(sequence)} if sequence.isdigit() else {"id": sequence}
        )
        self.kept.waiting[key] = Waiting(name, key, values)

    def counts(self) -> Counts:
        kept = self.kept
        return Counts(len(kept.waiting), 0, len(kept.done), len(kept.dead))

    def unfinished(self) -> Mapping[str, int]:
        found = Counter(self._jobs[work.name].queue for work in self.kept.waiting.values())
        return {queue: found[queue] for queue in QUEUES}

    def dead_letters(self) -> Mapping[str, int]:
        return Counter(dead.name for dead in self.kept.dead.values())

    def recover(self, executor_ids: Sequence[str]) -> int:
        return 0

    def prune(self, keep_seconds: float) -> int:
        return 0
