"""What drives the loops: reactions to the ledger, and sweeps over rows that are due.

A pass only hands work over to the durable engine, under keys that make the effect once; it
may be repeated, interrupted, and run by several at once. Domain timers are rows with a due
time, found here under the injected clock: the engine's own sleeps carry no meaning.

In lockstep a pass waits until what the one before it has handed over is done and the
gateways serve what is recorded, and jobs run one after the other. The same calls then write
the same ledger, entry by entry.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from trimtab.audit import reactions
from trimtab.audit.reactions import Reaction
from trimtab.audit.work import Reading
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.logs import logger
from trimtab.registry import routing
from trimtab.workflows import release
from trimtab.workflows.jobs import IN_ORDER
from trimtab.workflows.parts import Parts

log = logger(__name__)

Due = Callable[[Reading], Sequence[tuple[str, str]]]
"""Rows that are to get a turn now: id, and what tells this turn from the next one."""

_PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class Sweep:
    """Finds what is due; `job` gives each one turn."""

    job: Job
    due: Due


@dataclass(frozen=True)
class Program:
    """Everything that the loops of this house consist of."""

    reactions: Sequence[Reaction]
    jobs: Sequence[Job]
    sweeps: Sequence[Sweep]


def _queue_of(program: Program, reaction: Reaction) -> str:
    return next(job.queue for job in program.jobs if job.name == reaction.job)


class Loop:
    """One pass after the other, by whoever asks.

    Args:
        parts: What the process is made of.
        program: Everything that is to be done.
        served: Queues of this process: it hands over work for these. All jobs are known to its
            engine all the same, since a row of any of them may be asked about here.
    """

    def __init__(self, parts: Parts, program: Program, served: Collection[str]):
        self._parts = parts
        self._program = program
        self._reactions = [r for r in program.reactions if _queue_of(program, r) in served]
        self._sweeps = [sweep for sweep in program.sweeps if sweep.job.queue in served]
        self._lockstep = parts.settings.lockstep
        self._lock = threading.Lock()
        self._handed = 0
        self._due: frozenset[str] = frozenset()
        """Keys that the last pass found due, all of which the engine knows: what goes on being
        due without moving is no work for it at every pass."""

    def register(self) -> None:
        """Tell the engine every job, before it starts."""
        for job in (*self._program.jobs, *(sweep.job for sweep in self._program.sweeps)):
            timed = replace(job, run=self._timed(job))
            self._parts.engine.register(replace(timed, queue=IN_ORDER) if self._lockstep else timed)

    def _timed(self, job: Job) -> Callable[[JobArgs], None]:
        def run(args: JobArgs) -> None:
            started, outcome = time.perf_counter(), "failed"
            followed = self._parts.following
            try:
                with nullcontext() if followed is None else followed.job(job.name, args):
                    self._tried(job, args)
                outcome = "done"
            finally:
                seconds = time.perf_counter() - started
                self._parts.metrics.job_seconds.labels(job.name, outcome).observe(seconds)

        return run

    @staticmethod
    def _tried(job: Job, args: JobArgs) -> None:
        try:
            job.run(args)
        except Exception as error:
            log.warning("a try of a job failed", job=job.name, key=args.key, what=repr(error))
            raise

    def go_on(self) -> int:
        """What a thread in the background does: a pass. In lockstep nothing, for when it came
        by would be chance: whoever steps the clock makes the passes."""
        return 0 if self._lockstep else self.turn()

    def turn(self) -> int:
        """Hand over what has happened and what is due; return how much was new."""
        parts = self._parts
        with self._lock:
            handed = reactions.dispatch(parts.records.database, parts.engine, self._reactions)
            due = self._looked()
            for key, (job, row_id) in due.items():
                if key not in self._due:
                    handed += parts.engine.enqueue(job, key, {"id": row_id})
            self._due = frozenset(due)
            self._handed += handed
        return handed

    def _looked(self) -> dict[str, tuple[str, str]]:
        """Job and row of everything that is due now, by its key."""
        with self._parts.records.look() as reading:
            return {
                f"{sweep.job.name}:{row_id}:{mark}": (sweep.job.name, row_id)
                for sweep in self._sweeps
                for row_id, mark in sweep.due(reading)
            }

    def settle(self, timeout: float) -> bool:
        """Go on until nothing is left to do at the present domain time; whether it came to
        that within `timeout` seconds.

        Where gateways are alive it also waits until they have applied the newest table and
        until every rollout's intended share has been observed.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            release.publish_routing(self._parts)
            before = self._handed
            # Idle first, then the pass: a job that ends after a pass leaves entries behind
            # that nobody has handed on; and no other thread may have handed anything over.
            idle = self._parts.engine.wait_idle(max(0.0, deadline - time.monotonic()))
            if not self._lockstep or (idle and self._followed()):
                new = self.turn()
                if idle and new == 0 and self._handed == before and self._quiet():
                    return True
            time.sleep(_PAUSE_SECONDS)
        return False

    def _followed(self) -> bool:
        """Whether every live gateway has applied the table as it has to be now."""
        epoch, _ = release.publish_routing(self._parts)
        with self._parts.records.look() as reading:
            live = release.live_gateways(self._parts, reading)
        return all(gateway["epoch"] >= epoch for gateway in live)

    def _quiet(self) -> bool:
        with self._parts.records.look() as reading:
            newest = routing.latest(reading)
            live = release.live_gateways(self._parts, reading)
            behind = [g for g in live if newest is not None and g["epoch"] < newest["epoch"]]
            waiting = bool(live) and bool(release.unobserved(reading))
        return not behind and not waiting
