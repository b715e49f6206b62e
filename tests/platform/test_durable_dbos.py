"""The engine in one process, on both databases."""

import json
import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dbos
import pytest
import sqlalchemy as sa
from dbos import SetWorkflowID
from dbos._dbos import _get_dbos_instance
from dbos._error import DBOSException
from dbos._sys_db import SystemDatabase
from tests.patience import PATIENCE_SECONDS

from trimtab.kernel.errors import Conflict, InvalidInput, InvalidMove, NotFound, Unavailable
from trimtab.platform.durable import Counts, Engine, Job, JobArgs
from trimtab.platform.durable_dbos import DbosEngine, DbosSettings
from trimtab.platform.durable_dbos_store import assert_durable, open_engine
from trimtab.platform.executors import EXECUTORS

pytestmark = pytest.mark.slow

Run = Callable[[JobArgs], None]


ASLEEP: dict[str, Any] = {"poll_seconds": 3600.0, "busy_poll_seconds": 3600.0}
"""Nothing is looked at unless somebody says so."""


class Bench:
    """Starts engines over one database, and stops what it started."""

    def __init__(self, url: str):
        self.url = url
        self._engine: DbosEngine | None = None

    def start(self, jobs: Mapping[str, Run] | list[Job], **settings: object) -> Engine:
        self.stop()
        chosen = replace(DbosSettings(self.url, "one"), **settings)  # type: ignore[arg-type]  # by name
        engine = DbosEngine(chosen)
        listed = jobs if isinstance(jobs, list) else _jobs(jobs)
        for job in listed:
            engine.register(job)
        engine.start()
        self._engine = engine
        return engine

    def stop(self) -> None:
        if self._engine is not None:
            self._engine.stop(10)
            self._engine = None


def _jobs(runs: Mapping[str, Run]) -> list[Job]:
    return [Job(name, run, max_attempts=3, backoff_seconds=0.01) for name, run in runs.items()]


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path}/jobs.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")()
        engine = open_engine(url, 1)
        EXECUTORS.create(engine)
        engine.dispose()
    bench = Bench(url)
    yield bench
    bench.stop()


class Runs:
    """A job that notes who ran, and how many at once; none ends before `together` have met."""

    def __init__(self, seconds: float = 0.0, together: int = 1):
        self.keys: list[str] = []
        self.most = 0
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()
        self._together = together
        self._met = threading.Event()

    def __call__(self, args: JobArgs) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.keys.append(args.key)
            if self._now >= self._together:
                self._met.set()
        _pass(self._met)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1


def _pass(gate: threading.Event) -> None:
    assert gate.wait(PATIENCE_SECONDS)


def test_a_job_runs_once_with_its_key_and_values(bench: Bench) -> None:
    given: list[JobArgs] = []
    engine = bench.start({"note": given.append})
    assert engine.enqueue("note", "reaction:1:ab", {"model": "m", "shares": [0.5, None]})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert [(a.key, a.values) for a in given] == [
        ("reaction:1:ab", {"model": "m", "shares": [0.5, None]})
    ]
    assert engine.counts().done == 1
    assert engine.counts().waiting == engine.counts().running == engine.counts().failed == 0


def test_a_queue_with_one_place_keeps_the_order(bench: Bench) -> None:
    """Also where a job has to be tried again."""
    runs, tried = Runs(), Counter[str]()

    def stumble(args: JobArgs) -> None:
        tried[args.key] += 1
        if int(args.key) % 10 == 0 and tried[args.key] == 1:
            raise Conflict("somebody was faster")
        runs(args)

    job = Job("note", stumble, "one", max_attempts=2, backoff_seconds=0.01)
    engine = bench.start([job], queues={"default": 4, "one": 1})
    keys = [str(number) for number in range(100, 160)]
    for key in keys:
        engine.enqueue("note", key, {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == keys


def test_a_known_key_changes_nothing(bench: Bench) -> None:
    runs, other = Runs(), Runs()
    engine = bench.start({"note": runs, "other": other})
    assert engine.enqueue("note", "k", {})
    assert not engine.enqueue("note", "k", {"now": "different"})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert not engine.enqueue("note", "k", {})
    with pytest.raises(Conflict, match="note"):
        engine.enqueue("other", "k", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == ["k"]
    assert other.keys == []


@pytest.mark.parametrize("key", ["", "  ", "k" * 201])
def test_a_key_that_names_nothing_leaves_no_row(bench: Bench, key: str) -> None:
    engine = bench.start({"note": Runs()})
    with pytest.raises(InvalidInput):
        engine.enqueue("note", key, {})
    assert engine.idle()
    assert engine.counts() == Counts(0, 0, 0, 0)
    # Not ours alone: DBOS once stored an empty id, and could never be rid of it again.
    if not key.strip():
        with pytest.raises(DBOSException, match="empty"), SetWorkflowID(key):
            pass


def test_one_key_from_sixteen_threads_is_one_run(bench: Bench) -> None:
    runs = Runs()
    engine = bench.start({"note": runs})
    barrier = threading.Barrier(16)
    accepted: list[bool] = []

    def ask(number: int) -> None:
        barrier.wait()
        accepted.append(engine.enqueue("note", "same", {"number": number}))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert sorted(accepted) == [False] * 15 + [True]
    assert runs.keys == ["same"]


def test_no_more_jobs_of_a_queue_run_at_once_than_its_limit(bench: Bench) -> None:
    few, many = Runs(0.01, together=2), Runs(0.01)
    engine = bench.start(
        [Job("few", few, "few", max_attempts=2), Job("many", many, "many", max_attempts=2)],
        queues={"few": 2, "many": 6},
    )
    for number in range(40):
        engine.enqueue("few", f"few:{number}", {})
        engine.enqueue("many", f"many:{number}", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert few.most == 2
    assert many.most <= 6
    assert len(set(few.keys)) == len(few.keys) == len(set(many.keys)) == len(many.keys) == 40


def test_nothing_waits_for_the_polling_interval(bench: Bench) -> None:
    runs = Runs()
    engine = bench.start({"note": runs}, queues={"default": 1}, **ASLEEP)
    for number in range(20):
        engine.enqueue("note", f"k{number}", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert len(runs.keys) == 20


def test_work_left_waiting_is_taken_up_without_polling(bench: Bench) -> None:
    asleep = bench.start({"note": Runs()}, listen=frozenset())
    for number in range(12):
        asleep.enqueue("note", f"k{number}", {})
    assert not asleep.idle()
    runs = Runs()
    awake = bench.start({"note": runs}, queues={"default": 1}, executor_id="two", **ASLEEP)
    awake.enqueue("note", "k12", {})
    assert awake.wait_idle(PATIENCE_SECONDS)
    assert sorted(runs.keys) == sorted(f"k{n}" for n in range(13))


def test_work_left_waiting_is_taken_up_though_nobody_says_anything(bench: Bench) -> None:
    asleep = bench.start({"note": Runs()}, listen=frozenset())
    asleep.enqueue("note", "k0", {})
    runs = Runs()
    awake = bench.start({"note": runs}, executor_id="two", poll_seconds=3600.0)
    assert awake.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == ["k0"]


def test_a_job_that_raises_is_tried_again_then_set_aside_while_others_flow(bench: Bench) -> None:
    tries: list[str] = []
    healed = threading.Event()
    runs = Runs()

    def poison(args: JobArgs) -> None:
        tries.append(args.key)
        if not healed.is_set():
            raise ValueError("bad feature \u2260 good")

    engine = bench.start({"poison": poison, "note": runs})
    engine.enqueue("poison", "p", {})
    for number in range(10):
        engine.enqueue("note", f"k{number}", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert tries == ["p"] * 3
    assert len(runs.keys) == 10
    (dead,) = engine.failed()
    assert (dead.key, dead.name, dead.attempts) == ("p", "poison", 3)
    assert dead.error == "ValueError: bad feature \u2260 good"
    assert engine.counts().failed == 1
    assert not engine.enqueue("poison", "p", {})

    healed.set()
    engine.retry("p")
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert tries == ["p"] * 4
    assert engine.failed() == []
    with pytest.raises(InvalidMove):
        engine.retry("p")
    with pytest.raises(NotFound):
        engine.retry("nobody")


def test_a_job_tried_once_and_one_that_exits_are_dead_letters_too(bench: Bench) -> None:
    def raises(_args: JobArgs) -> None:
        raise KeyError("x")

    def exits(_args: JobArgs) -> None:
        raise SystemExit(3)

    engine = bench.start(
        [Job("raises", raises, max_attempts=1), Job("exits", exits, max_attempts=1)]
    )
    engine.enqueue("raises", "a", {})
    engine.enqueue("exits", "b", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert {(f.key, f.attempts) for f in engine.failed()} == {("a", 1), ("b", 1)}


def test_a_chain_is_never_idle_before_its_end(bench: Bench) -> None:
    done: list[int] = []
    engine: Engine

    def link(args: JobArgs) -> None:
        left = args.values["left"]
        assert isinstance(left, int)
        if left:
            engine.enqueue("link", f"link:{left - 1}", {"left": left - 1})
        done.append(left)

    engine = bench.start({"link": link})
    engine.enqueue("link", "link:30", {"left": 30})
    seen_idle_after: list[int] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not seen_idle_after and time.monotonic() < deadline:
        if engine.idle():
            seen_idle_after.append(len(done))
    assert seen_idle_after == [31]


def test_an_accepted_job_is_not_idle_until_it_has_ended(bench: Bench) -> None:
    gate = threading.Event()
    engine = bench.start({"wait": lambda _args: _pass(gate)})
    lies: list[int] = []

    def produce(first: int) -> None:
        for number in range(first, first + 10):
            engine.enqueue("wait", f"k{number}", {})
            if engine.idle():
                lies.append(number)

    threads = [threading.Thread(target=produce, args=(n * 100,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not engine.wait_idle(0.2)
    gate.set()
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert lies == []


def test_done_keys_are_forgotten_after_their_time_and_dead_letters_are_not(bench: Bench) -> None:
    runs, gate = Runs(), threading.Event()

    def poison(_args: JobArgs) -> None:
        raise ValueError

    engine = bench.start({"note": runs, "poison": poison, "wait": lambda _args: _pass(gate)})
    engine.enqueue("note", "k", {})
    engine.enqueue("poison", "p", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    engine.enqueue("wait", "w", {})
    assert engine.prune(keep_seconds=60) == 0
    assert not engine.enqueue("note", "k", {})
    time.sleep(0.01)
    assert engine.prune(keep_seconds=0) == 1
    assert [f.key for f in engine.failed()] == ["p"]
    assert not engine.idle()
    assert engine.enqueue("note", "k", {})
    gate.set()
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == ["k", "k"]


def test_a_job_that_this_release_no_longer_has_becomes_a_dead_letter(bench: Bench) -> None:
    bench.start({"old": Runs()}, listen=frozenset()).enqueue("old", "k", {})
    runs = Runs()
    engine = bench.start({"new": runs}, queues={"default": 1})
    engine.enqueue("new", "n", {})
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert [(f.key, f.name) for f in engine.failed()] == [("k", "old")]
    assert runs.keys == ["n"]
    again = bench.start({"old": runs})
    again.retry("k")
    assert again.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == ["n", "k"]


def test_recovery_takes_nothing_that_another_executor_runs(bench: Bench) -> None:
    gate, runs = threading.Event(), Runs()

    def wait(args: JobArgs) -> None:
        runs(args)
        gate.wait(PATIENCE_SECONDS)

    engine = bench.start({"wait": wait})
    engine.enqueue("wait", "k", {})
    while not runs.keys:
        time.sleep(0.005)
    # As when the list of a dead executor's jobs was read before this one claimed the job.
    assert not _dbos_store().reenqueue_for_recovery("k", ["somebody"], "default")
    assert engine.counts().running == 1
    gate.set()
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == ["k"]


def _dbos_store() -> SystemDatabase:
    return _get_dbos_instance()._sys_db


def test_no_pickle_is_stored(bench: Bench) -> None:
    def poison(_args: JobArgs) -> None:
        raise ValueError("no")

    engine = bench.start({"poison": poison})
    engine.enqueue("poison", "p", {"a": 1})
    assert engine.wait_idle(PATIENCE_SECONDS)
    bench.stop()
    store = open_engine(bench.url, 1)
    schema = "" if store.dialect.name == "sqlite" else "dbos."
    with store.connect() as conn:
        texts = [
            text
            for column, table in (
                ("inputs", "workflow_input"),
                ("error", "workflow_output"),
                ("error", "operation_outputs"),
            )
            for text in conn.execute(sa.text(f"SELECT {column} FROM {schema}{table}")).scalars()
        ]
    store.dispose()
    assert len(texts) == 3
    assert all(json.loads(text) for text in texts)


def test_what_cannot_be_registered_or_asked(bench: Bench) -> None:
    engine = DbosEngine(DbosSettings(bench.url, "one"))
    with pytest.raises(Unavailable):
        engine.idle()
    with pytest.raises(InvalidInput):
        engine.register(Job("a", Runs(), "nowhere", max_attempts=1))
    with pytest.raises(InvalidInput):
        engine.register(Job("a", Runs(), max_attempts=0))
    engine.register(Job("a", Runs(), max_attempts=1))
    with pytest.raises(Conflict):
        engine.register(Job("a", Runs(), max_attempts=1))
    with pytest.raises(Unavailable):
        engine.enqueue("a", "k", {})
    running = bench.start({"a": Runs()})
    with pytest.raises(NotFound):
        running.enqueue("b", "k", {})
    with pytest.raises(Conflict):
        running.register(Job("b", Runs(), max_attempts=1))
    with pytest.raises(Conflict, match="this process"):
        engine.start()


def test_stopping_waits_for_what_runs(bench: Bench) -> None:
    gate, runs = threading.Event(), Runs()

    def wait(args: JobArgs) -> None:
        gate.wait(PATIENCE_SECONDS)
        runs(args)

    engine = bench.start({"wait": wait}, queues={"default": 1})
    engine.enqueue("wait", "a", {})
    engine.enqueue("wait", "b", {})
    while engine.counts().running == 0:
        time.sleep(0.005)
    threading.Timer(0.2, gate.set).start()
    assert engine.stop(10)
    assert runs.keys == ["a"]
    again = bench.start({"wait": wait})
    assert again.wait_idle(PATIENCE_SECONDS)
    assert runs.keys == ["a", "b"]


def test_what_dbos_says_goes_to_our_log_only(
    bench: Bench, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def poison(_args: JobArgs) -> None:
        raise ValueError("seen")

    with caplog.at_level(logging.INFO):
        engine = bench.start({"poison": poison})
        engine.enqueue("poison", "p", {})
        assert engine.wait_idle(PATIENCE_SECONDS)
        bench.stop()
    assert capsys.readouterr() == ("", "")
    # By where it was said: a house of other tests may speak in this process meanwhile.
    said = [r for r in caplog.records if Path(r.pathname).parent == Path(dbos.__file__).parent]
    assert {r.name for r in said} == {"trimtab.platform.durable_dbos_store"}
    assert all(r.levelno >= logging.WARNING for r in said)


def test_a_sqlite_that_would_lose_acknowledged_work_is_refused(tmp_path: Path) -> None:
    plain = sa.create_engine(f"sqlite:///{tmp_path}/jobs.sqlite")
    with pytest.raises(Unavailable, match="journal_mode=delete"):
        assert_durable(plain)
    ours = open_engine(f"sqlite:///{tmp_path}/jobs.sqlite", 1)
    assert_durable(ours)
    ours.dispose()
    # Once in WAL mode a file stays there; synchronous belongs to each connection.
    plain.dispose()
    sa.event.listen(plain, "connect", _lazy)
    with pytest.raises(Unavailable, match="synchronous=1"):
        assert_durable(plain)
    plain.dispose()


def _lazy(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def test_other_databases_are_refused() -> None:
    with pytest.raises(InvalidInput):
        open_engine("mysql://host/db", 1)


def test_dbos_works_on_the_engine_whose_settings_were_read_back(tmp_path: Path) -> None:
    bench = Bench(f"sqlite:///{tmp_path}/jobs.sqlite")
    bench.start({"note": Runs()})
    try:
        assert_durable(_dbos_store().engine)
    finally:
        bench.stop()
