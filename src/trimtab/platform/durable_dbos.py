"""The job engine on DBOS, which only this module and its store know.

DBOS keeps the rows, claims them under a limit, fences the outcome of a run that has lost
its claim, retries and recovers. Added here is what it leaves open:

- On SQLite it sets neither journal mode nor synchronous; both are set and read back.
- Two executors under one name would each take the other's running jobs for its own
  leftovers. A lease (a locked file on SQLite, a row on PostgreSQL) is held for life; without
  it nobody starts, and what an executor whose lease has run out had begun is taken over by
  one that lives.
- Its queue loops sleep between two looks. Ours run the same loop, but are woken by every
  enqueue and every finished job; the polling interval only bounds how late work that
  *another process* enqueued is seen.
- A loop counts a claimed job as running only once its thread has begun, so the limit per
  worker can be overrun when it looks again at once. The limit per queue is used instead:
  it is counted in the database, inside the claim.
- Arguments and errors are stored as JSON. Its default is pickle, and whoever can write
  the database could then run code here.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetWorkflowID
from dbos._error import DBOSWorkflowIDInUseError
from sqlalchemy.exc import SQLAlchemyError

from trimtab.kernel.clock import SystemClock
from trimtab.kernel.errors import Conflict, InvalidInput, InvalidMove, NotFound, Unavailable
from trimtab.platform.durable import (
    JSON,
    Counts,
    FailedJob,
    Hook,
    Job,
    JobArgs,
    checked_key,
    checked_values,
)
from trimtab.platform.durable_dbos_loop import Active, Loop
from trimtab.platform.durable_dbos_store import (
    CLAIMED,
    COUNTS,
    DEAD,
    DONE,
    EXECUTORS,
    FAILED,
    LEFT,
    UNFINISHED_JOBS,
    JsonSerializer,
    assert_durable,
    failed_job,
    forwarded_logs,
    open_engine,
)
from trimtab.platform.durable_dbos_takeover import Takeover
from trimtab.platform.durable_lease import FileLease, RowLease
from trimtab.platform.executors import Claim, taken_over

APPLICATION = "trimtab"
JOB_FORMAT = "trimtab-jobs-1"
"""What DBOS calls the application version: rows of another one are left alone, so it
changes only when jobs enqueued by an older release can no longer be run."""

_PRUNE_BATCH = 500
_in_job: contextvars.ContextVar[bool] = contextvars.ContextVar("in_job", default=False)
_in_use = threading.Lock()  # DBOS is one object per process, so is its user


@dataclass(frozen=True)
class DbosSettings:
    """Where the engine keeps its rows, and how hard it works.

    `url` is `sqlite:///<file>`, a file of its own, or `postgresql+psycopg://...`.
    `queues` maps each queue to how many of its jobs may run at once, over all processes.
    `listen` names the queues served by this process; None is all of them.
    """

    url: str
    executor_id: str
    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 4})
    listen: frozenset[str] | None = None
    poll_seconds: float = 0.25
    """Between two looks at a queue of which nobody told us anything."""
    busy_poll_seconds: float = 0.25
    """The same while a job of the queue is known to be unfinished."""
    max_recoveries: int = 20
    """How often a job whose process died under it is begun again, before it is a dead
    letter. A job that runs beside the one to blame is begun again as often, so few would
    take the innocent along."""
    lease_wait_seconds: float = 0.0
    lease_seconds: float = 10.0
    """How long an executor on PostgreSQL is held to be alive after its last sign of life."""
    takeover_seconds: float = 1.0
    """Between two looks for what the dead have left."""
    roles: tuple[str, ...] = ()
    """What this process says that it does, for people."""

    @property
    def served(self) -> Mapping[str, int]:
        """The queues that this process takes jobs from, with their limits."""
        if self.listen is None:
            return self.queues
        return {name: self.queues[name] for name in self.listen}

    @property
    def connections(self) -> int:
        """One for each place in a queue and each loop, and some for those who ask."""
        return sum(self.served.values()) + len(self.served) + 8


class DbosEngine:
    """`Engine` on DBOS, over SQLite or PostgreSQL."""

    def __init__(
        self,
        settings: DbosSettings,
        *,
        hook: Hook | None = None,
        on_lost: Callable[[], None] | None = None,
    ):
        self._settings = settings
        self._hook: Hook = hook or (lambda _instant: None)
        self._on_lost = on_lost
        self._claim: Claim | None = None
        self._jobs: dict[str, Job] = {}
        self._workflows: dict[str, Callable[[str, dict[str, JSON]], None]] = {}
        self._loops: dict[str, Loop] = {}
        self._finished = threading.Condition()
        self._running: contextlib.ExitStack | None = None
        self._engine: sa.Engine | None = None
        self._dbos: DBOS | None = None

    def register(self, job: Job) -> None:
        if self._running is not None:
            raise Conflict("jobs are registered before the engine starts", field="job")
        if job.name in self._jobs:
            raise Conflict(f"there is a job named {job.name!r} already", field="job.name")
        if job.max_attempts < 1:
            raise InvalidInput("a job is tried at least once", field="job.max_attempts")
        if job.queue not in self._settings.queues:
            known = ", ".join(sorted(self._settings.queues))
            raise InvalidInput(
                f"no queue {job.queue!r}", field="job.queue", remedy=f"use one of: {known}"
            )
        self._jobs[job.name] = job

    def start(self) -> None:
        if self._running is not None:
            raise Conflict("the engine is running")
        if not _in_use.acquire(blocking=False):
            raise Conflict("another engine runs in this process")
        with self._answering(), contextlib.ExitStack() as undo:
            undo.callback(_in_use.release)
            engine = open_engine(self._settings.url, self._settings.connections)
            undo.callback(engine.dispose)
            lease = self._lease(engine)
            undo.enter_context(lease.held(self._settings.lease_wait_seconds, self._lost))
            if engine.dialect.name == "sqlite":
                assert_durable(engine)
            self._launch(engine, undo)
            self._engine = engine
            if isinstance(lease, RowLease):
                every = self._settings.takeover_seconds
                undo.enter_context(self._takeover(lease).looking(every))
            self._running = undo.pop_all()

    def _lease(self, engine: sa.Engine) -> FileLease | RowLease:
        settings = self._settings
        if engine.dialect.name == "sqlite":
            return FileLease(Path(str(engine.url.database)))
        self._claim = Claim(engine, settings.executor_id, settings.roles, settings.lease_seconds)
        return RowLease(self._claim, settings.lease_seconds)

    def fence(self, connection: sa.Connection) -> None:
        """In a job: make sure that nobody has taken this executor's work over, until the
        transaction of `connection` ends. On SQLite nobody can.

        Raises:
            Unavailable: somebody has. Nothing of this transaction may be written.
        """
        if self._claim is not None and _in_job.get():
            self._claim.demand(connection)

    def _takeover(self, lease: RowLease) -> Takeover:
        assert self._dbos is not None
        rows, own = self._dbos._sys_db, self._settings.executor_id
        return Takeover(
            lease,
            own,
            reading=self._reading,
            recover=self.recover,
            running=self._dbos._active_workflows_set.activeList,
            hand_back=lambda key: rows.reenqueue_for_recovery(key, [own], ""),
        )

    def _lost(self) -> None:
        self._halt()
        if self._on_lost is not None:
            self._on_lost()

    def _launch(self, engine: sa.Engine, undo: contextlib.ExitStack) -> None:
        undo.enter_context(forwarded_logs())
        undo.callback(DBOS.destroy, destroy_registry=True)
        self._workflows = {job.name: self._workflow(job) for job in self._jobs.values()}
        self._dbos = DBOS(config=_config(self._settings, engine))
        self._dbos._active_workflows_set = Active(self._on_finished)
        DBOS.listen_queues([])  # the loops are ours
        DBOS.launch()
        if engine.dialect.name == "sqlite":
            _adopt_leftovers(engine, self._settings.executor_id)
        for name, limit in self._settings.queues.items():
            DBOS.register_queue(
                name,
                global_concurrency=limit,
                polling_interval_sec=self._settings.poll_seconds,
                on_conflict="always_update",
            )
        undo.callback(self._loops.clear)
        undo.callback(self._stop_loops)
        left = self._leftovers(engine)
        for name in self._settings.served:
            self._loops[name] = Loop(self._dbos, name, left[name], self._settings.busy_poll_seconds)

    def _leftovers(self, engine: sa.Engine) -> Counter[str]:
        """How many jobs of each queue are unfinished from before.

        One whose name this release does not know would stay claimed for ever and hold a
        place in its queue; it is given a body that fails, and so becomes a dead letter.
        """
        left: Counter[str] = Counter()
        with engine.connect() as conn:
            for queue, name, number in conn.execute(LEFT[conn.dialect.name]):
                left[queue] += number
                if name not in self._workflows:
                    self._workflows[name] = self._workflow(Job(name, _unknown, max_attempts=1))
        return left

    def _halt(self) -> None:
        """Take no new job; those that run go on, and DBOS drops the outcome of lost ones."""
        for loop in list(self._loops.values()):
            loop.wake.set()

    def _stop_loops(self) -> None:
        self._halt()
        for loop in self._loops.values():
            loop.thread.join()

    def stop(self, drain_seconds: float) -> bool:
        if self._running is None or self._dbos is None:
            return True
        self._stop_loops()
        deadline = time.monotonic() + drain_seconds
        with self._finished:
            while (busy := self._may_be_busy()) and (left := deadline - time.monotonic()) > 0:
                self._finished.wait(min(left, 0.05))
        self._running.close()
        self._running = None
        return not busy

    def _may_be_busy(self) -> bool:
        """Whether something runs; while the database does not answer nobody can say no."""
        try:
            return self._busy()
        except Unavailable:
            return True

    def _busy(self) -> bool:
        # From the database: a claimed job is in DBOS's own list only once its thread runs.
        with self._reading() as conn:
            own = {"own": self._settings.executor_id}
            return conn.execute(CLAIMED[conn.dialect.name], own).first() is not None

    def enqueue(self, job_name: str, key: str, args: Mapping[str, JSON]) -> bool:
        job = self._jobs.get(job_name)
        if job is None:
            raise NotFound(f"no job {job_name!r}", field="job_name")
        values = checked_values(args)
        with self._reading():
            pass  # DBOS would wait, without end, for a server that is down
        try:
            # An empty context: DBOS forbids an enqueue inside a step, and in the body of a
            # workflow records a child by position, so that a repeated run has no choice.
            contextvars.Context().run(self._insert, job, checked_key(key), values)
        except DBOSWorkflowIDInUseError as in_use:
            if in_use.workflow_name != job.name:
                raise Conflict(
                    f"{key!r} is a key of job {in_use.workflow_name!r}", field="key"
                ) from in_use
            return False
        self._hook(f"enqueued:{job.name}")
        self._added(job.queue)
        return True

    def _added(self, queue: str) -> None:
        if loop := self._loops.get(queue):
            loop.added()

    def _insert(self, job: Job, key: str, values: dict[str, JSON]) -> None:
        with SetWorkflowID(key, workflow_id_reuse_policy="reject"):
            DBOS.enqueue_workflow(job.queue, self._workflows[job.name], key, values)

    def _workflow(self, job: Job) -> Callable[[str, dict[str, JSON]], None]:
        def attempt(key: str, values: dict[str, JSON]) -> bool:
            self._hook(f"before:{job.name}")
            _in_job.set(True)  # in the context of this run, which DBOS makes anew for each
            try:
                job.run(JobArgs(key, values))
            except SystemExit as left:  # DBOS takes note of an Exception only
                raise RuntimeError(f"the job asked to exit with {left.code!r}") from left
            finally:
                _in_job.set(False)
            self._hook(f"after:{job.name}")
            return True  # DBOS cannot tell a stored None from nothing stored

        def run(key: str, values: dict[str, JSON]) -> None:
            if job.max_attempts == 1:
                attempt(key, values)  # no step: a quarter cheaper, and nothing to retry
                return
            options: Any = {
                "name": job.name,
                "retries_allowed": True,
                "max_attempts": job.max_attempts,
                "interval_seconds": job.backoff_seconds,
                "backoff_rate": 2.0,
            }
            DBOS.run_step(options, attempt, key, values)

        decorate = DBOS.workflow(name=job.name, max_recovery_attempts=self._settings.max_recoveries)
        return decorate(run)

    def _on_finished(self, queue: str | None) -> None:
        if queue is not None and (loop := self._loops.get(queue)):
            loop.finished()
        with self._finished:
            self._finished.notify_all()

    def idle(self) -> bool:
        with self._reading() as conn:
            unfinished = conn.execute(UNFINISHED_JOBS[conn.dialect.name]).first()
        return unfinished is None

    def wait_idle(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self.idle():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._finished:
                self._finished.wait(min(left, 0.01))
        return True

    def failed(self) -> list[FailedJob]:
        self._started()
        rows = DBOS.list_workflows(status=DEAD, load_input=False)
        return [failed_job(row) for row in rows]

    def retry(self, key: str) -> None:
        self._started()
        rows = DBOS.list_workflows(workflow_ids=[key], load_input=False)
        if not rows:
            raise NotFound(f"no job has the key {key!r}", field="key")
        job = self._jobs.get(rows[0].name)
        if job is None:
            raise NotFound(f"no job {rows[0].name!r}", field="job_name")
        if rows[0].status not in DEAD:
            raise InvalidMove(f"job {key!r} has not failed", field="key")
        # Not "resume": that replays the recorded failure instead of running the job.
        DBOS.rewind_workflow(key, queue_name=job.queue)
        self._added(job.queue)

    def counts(self) -> Counts:
        with self._reading() as conn:
            by = {row[0]: row[1] for row in conn.execute(COUNTS[conn.dialect.name])}
        return Counts(
            by.get("ENQUEUED", 0),
            by.get("PENDING", 0),
            by.get("SUCCESS", 0),
            sum(by.get(status, 0) for status in DEAD),
        )

    def unfinished(self) -> dict[str, int]:
        found = dict.fromkeys(self._settings.queues, 0)
        with self._reading() as conn:
            for queue, _name, number in conn.execute(LEFT[conn.dialect.name]):
                found[queue] = found.get(queue, 0) + number
        return found

    def dead_letters(self) -> dict[str, int]:
        with self._reading() as conn:
            return {row[0]: row[1] for row in conn.execute(FAILED[conn.dialect.name])}

    def recover(self, executor_ids: Sequence[str]) -> int:
        engine, taken = self._started(), 0
        if engine.dialect.name == "sqlite":
            return 0  # done at start: whoever holds the file is alone with it
        for executor_id in executor_ids:
            if executor_id == self._settings.executor_id:
                raise Conflict(f"{executor_id!r} is this executor", field="executor_ids")
            with self._answering(), taken_over(engine, executor_id):
                taken += len(DBOS._recover_pending_workflows([executor_id]))
        for loop in self._loops.values():
            loop.wake.nudge()
        return taken

    def prune(self, keep_seconds: float) -> int:
        forgotten = 0
        before = SystemClock().now() - timedelta(seconds=keep_seconds)
        bounds = {"before": int(before.timestamp() * 1000), "batch": _PRUNE_BATCH}
        while True:
            with self._reading() as conn:
                keys = list(conn.execute(DONE[conn.dialect.name], bounds).scalars())
            if not keys:
                return forgotten
            contextvars.Context().run(DBOS.delete_workflows, keys)
            forgotten += len(keys)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._answering(), self._started().connect() as conn:
            yield conn

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise Unavailable(f"the job database does not answer: {error}") from error

    def _started(self) -> sa.Engine:
        if self._running is None or self._engine is None:
            raise Unavailable("the job engine is not running", remedy="start it first")
        return self._engine


def _unknown(args: JobArgs) -> None:
    raise NotFound(f"this release has no job for {args.key!r}", field="job_name")


def _config(settings: DbosSettings, engine: sa.Engine) -> DBOSConfig:
    return DBOSConfig(
        name=APPLICATION,
        system_database_url=engine.url.render_as_string(hide_password=False),
        system_database_engine=engine,
        application_version=JOB_FORMAT,
        executor_id=settings.executor_id,
        serializer=JsonSerializer(),
        enable_otlp=False,
        log_level="WARNING",
        use_listen_notify=False,
        max_executor_threads=sum(settings.served.values()) + 2,
        notification_listener_polling_interval_sec=0.05,  # unused; how long a stop may take
    )


def _adopt_leftovers(engine: sa.Engine, executor_id: str) -> None:
    """Take over what this file's executor began under a former name."""
    with engine.connect() as conn:
        names = conn.execute(EXECUTORS, {"own": executor_id}).scalars().all()
    if names:
        DBOS._recover_pending_workflows(list(names))
