"""The engine under kill -9, and several of them at once: real processes, both databases."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.patience import PATIENCE_SECONDS

from trimtab.kernel.errors import Conflict, Unavailable
from trimtab.platform import durable_dbos_takeover
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.durable_dbos import DbosEngine, DbosSettings
from trimtab.platform.durable_dbos_store import open_engine
from trimtab.platform.durable_lease import RowLease
from trimtab.platform.executors import EXECUTORS, Claim, taken_over

LEASE_SECONDS = 2.0
"""As the children of the script have it."""

SCRIPT = Path(__file__).parent / "durable_scenarios" / "crash.py"


class Yard:
    """A folder with a ledger of effects, and the processes that write in it."""

    def __init__(self, folder: Path, url: str):
        self.folder, self.url = folder, url
        if url.startswith("postgresql"):
            engine = open_engine(url, 1)
            EXECUTORS.create(engine)
            engine.dispose()
        self._children: list[subprocess.Popen[str]] = []
        self._engines: list[DbosEngine] = []
        with sqlite3.connect(folder / "effects.sqlite") as ledger:
            ledger.execute("PRAGMA journal_mode=WAL")
            ledger.execute("CREATE TABLE effects (key TEXT PRIMARY KEY, executor TEXT)")
        ledger.close()

    def spawn(self, executor: str, mode: str, keys: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), self.url, executor, str(self.folder), mode]
        child = subprocess.Popen([*command, str(keys)], stdout=subprocess.PIPE, text=True)
        self._children.append(child)
        return child

    def finished(self, child: subprocess.Popen[str]) -> int:
        """How many starts it took, once it has ended well."""
        said, _ = child.communicate(timeout=120)
        assert child.returncode == 0
        return int(said.split()[-1])

    def effects(self) -> dict[str, str]:
        ledger = sqlite3.connect(self.folder / "effects.sqlite")
        found = dict(ledger.execute("SELECT key, executor FROM effects"))
        ledger.close()
        return found

    def runs(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.lines("runs"))

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def until_begun(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.lines("runs")) < number:
            assert time.monotonic() < deadline, "the child begins nothing"
            time.sleep(0.01)

    def engine(
        self, executor: str, run: Callable[[JobArgs], None], *, alone: bool = False
    ) -> DbosEngine:
        """An engine in this process, knowing the jobs of the children; not yet started.

        `alone` does not look by itself for what the dead have left.
        """
        looks = 3600.0 if alone else 0.1
        engine = DbosEngine(
            DbosSettings(
                self.url,
                executor,
                {"default": 2},
                lease_seconds=LEASE_SECONDS,
                takeover_seconds=looks,
            )
        )
        for number in range(8):
            engine.register(Job(f"job-{number}", run, max_attempts=3))
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        for engine in self._engines:
            engine.stop(5)
        for child in self._children:
            child.kill()
            child.communicate()


@pytest.fixture
def yard_at(tmp_path: Path) -> Iterator[Callable[[str], Yard]]:
    yards: list[Yard] = []

    def at(url: str) -> Yard:
        yards.append(Yard(tmp_path, url))
        return yards[-1]

    yield at
    for yard in yards:
        yard.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def yard(request: pytest.FixtureRequest, tmp_path: Path, yard_at: Callable[[str], Yard]) -> Yard:
    if request.param == "sqlite":
        return yard_at(f"sqlite:///{tmp_path}/jobs.sqlite")
    return yard_at(request.getfixturevalue("postgresql")())


@pytest.fixture
def shared(postgresql: Callable[[], str], yard_at: Callable[[str], Yard]) -> Yard:
    return yard_at(postgresql())


EIGHT = {f"key:{number}" for number in range(8)}


@pytest.mark.slow
def test_killed_at_every_instant_each_effect_happens_once(yard: Yard) -> None:
    starts = yard.finished(yard.spawn("one", "each-instant"))
    assert starts == 25  # killed after each enqueue, before and after each job, then whole
    assert set(yard.effects()) == EIGHT
    assert set(yard.runs()) == EIGHT
    assert all(times >= 2 for times in yard.runs().values())  # killed after acting: run again


@pytest.mark.slow
def test_a_job_that_kills_its_process_is_set_aside_and_the_others_flow(yard: Yard) -> None:
    starts = yard.finished(yard.spawn("one", "poison"))
    assert starts == 7  # begun once, begun again five times, then set aside
    assert set(yard.effects()) == EIGHT - {"key:0"}
    assert [line.split()[0] for line in yard.lines("dead")] == ["key:0"]


@pytest.mark.slow
def test_killed_again_and_again_while_it_starts(yard: Yard) -> None:
    yard.finished(yard.spawn("one", "at-start"))
    assert set(yard.effects()) == EIGHT
    assert yard.lines("dead") == []


@pytest.mark.slow
def test_one_sqlite_file_has_one_executor(tmp_path: Path, yard_at: Callable[[str], Yard]) -> None:
    yard = yard_at(f"sqlite:///{tmp_path}/jobs.sqlite")
    holder = yard.spawn("one", "hold", 4)
    yard.until_begun(2)
    done: list[str] = []
    second = yard.engine("two", lambda args: done.append(args.key))
    with pytest.raises(Conflict, match="another executor holds"):
        second.start()
    assert done == []
    holder.kill()
    holder.wait()
    second.start()  # freed by the death; what the other name had begun is taken over
    assert second.wait_idle(PATIENCE_SECONDS)
    assert second.stop(5)
    assert sorted(done) == [f"key:{number}" for number in range(4)]


@pytest.mark.slow
def test_a_dead_executor_is_taken_over_and_a_living_one_is_not(shared: Yard) -> None:
    holder = shared.spawn("dead", "hold", 2)
    shared.until_begun(2)
    done: list[str] = []
    with pytest.raises(Conflict, match="alive"):
        shared.engine("dead", lambda _args: None).start()
    rescuer = shared.engine("rescuer", lambda args: done.append(args.key), alone=True)
    rescuer.start()
    time.sleep(1.5 * LEASE_SECONDS)  # it is renewed, so it does not run out
    with pytest.raises(Conflict, match="alive"):
        rescuer.recover(["dead"])
    with pytest.raises(Conflict, match="this executor"):
        rescuer.recover(["rescuer"])
    holder.kill()
    holder.wait()
    assert not rescuer.wait_idle(LEASE_SECONDS / 4)  # begun jobs stay with it until then
    taken = [0] * 4
    askers = [threading.Thread(target=_ask, args=(rescuer, taken, n)) for n in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert sum(taken) == 2
    assert rescuer.wait_idle(PATIENCE_SECONDS)
    assert rescuer.recover(["dead", "never-was"]) == 0
    assert rescuer.stop(5)
    assert sorted(done) == ["key:0", "key:1"]


@pytest.mark.slow
def test_what_the_dead_have_left_is_found_by_whoever_lives(shared: Yard) -> None:
    """And what the living do is left to them."""
    holder = shared.spawn("dead", "hold", 2)
    shared.until_begun(2)
    done: list[str] = []
    rescuer = shared.engine("rescuer", lambda args: done.append(args.key))
    rescuer.start()
    time.sleep(2 * LEASE_SECONDS)
    assert done == []
    holder.kill()
    holder.wait()
    assert rescuer.wait_idle(PATIENCE_SECONDS)
    assert rescuer.stop(5)
    assert sorted(done) == ["key:0", "key:1"]


def _ask(rescuer: DbosEngine, taken: list[int], number: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            taken[number] = rescuer.recover(["dead"])
            return
        except Conflict:  # another thread is at it, or the server still has the old session
            time.sleep(0.02)


@pytest.mark.slow
def test_a_zombie_does_not_change_what_was_done_without_it(shared: Yard) -> None:
    """Stopped for longer than its lease lasts, then woken: neither the outcome of its job nor
    anything that the job still wants to write counts."""
    zombie = shared.spawn("zombie", "hold", 1)
    shared.until_begun(1)
    os.kill(zombie.pid, signal.SIGSTOP)
    done: list[str] = []
    heir = shared.engine("heir", lambda args: done.append(args.key))
    heir.start()
    assert heir.wait_idle(PATIENCE_SECONDS)
    assert done == ["key:0"]
    before = heir.counts()
    (shared.folder / "go").touch()
    os.kill(zombie.pid, signal.SIGCONT)
    shared.finished(zombie)  # it ends its run, finds that the job is not its own, and ends
    assert heir.counts() == before
    assert shared.lines("refused") == ["key:0 zombie"]
    assert shared.effects() == {}
    assert heir.stop(5)
    assert done == ["key:0"]


@pytest.mark.slow
def test_a_stopped_transaction_does_not_hold_up_whoever_takes_over(shared: Yard) -> None:
    """The server ends it; what was open in it is not written."""
    engine = open_engine(shared.url, 2)
    claim = Claim(engine, "stopped", (), LEASE_SECONDS)
    assert claim.acquire()
    with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
        claim.demand(connection)
        time.sleep(0.1)
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            taking = pool.submit(_taken, shared.url, "stopped")
            assert taking.result(PATIENCE_SECONDS) > LEASE_SECONDS / 2
        assert time.monotonic() - began > 5
        connection.execute(sa.text("SELECT 1"))  # its session is gone
    with pytest.raises(Unavailable, match="taken over"), engine.begin() as connection:
        claim.demand(connection)
    engine.dispose()


def _taken(url: str, executor: str) -> float:
    engine, began = open_engine(url, 2), time.monotonic()
    try:
        while True:
            try:
                with taken_over(engine, executor):
                    return time.monotonic() - began
            except Conflict:
                time.sleep(0.05)
    finally:
        engine.dispose()


@pytest.mark.slow
def test_after_an_outage_nobody_takes_from_the_living(shared: Yard) -> None:
    """Every lease has run out then; each has the time to renew its own first."""
    holder = shared.spawn("living", "hold", 2)
    shared.until_begun(2)
    done: list[str] = []
    other = shared.engine("other", lambda args: done.append(args.key))
    other.start()
    time.sleep(1.5 * LEASE_SECONDS)
    with _nobody_connects(shared.url):
        time.sleep(2 * LEASE_SECONDS)
    time.sleep(2 * LEASE_SECONDS)
    assert done == []
    (shared.folder / "go").touch()
    shared.finished(holder)
    assert set(shared.effects()) == {"key:0", "key:1"}
    assert other.stop(5)


@contextmanager
def _nobody_connects(url: str) -> Iterator[None]:
    """An outage of this database, and of no other on the server."""
    address = sa.make_url(url)
    engine = open_engine(address.set(database="postgres").render_as_string(False), 1)
    allow = f"ALTER DATABASE {address.database} ALLOW_CONNECTIONS"
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text(f"{allow} false"))
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": address.database},
        )
        yield
        connection.execute(sa.text(f"{allow} true"))
    engine.dispose()


def _end_sessions(url: str) -> None:
    engine = open_engine(url, 1)
    with engine.connect() as conn:
        conn.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


@pytest.mark.slow
def test_two_processes_share_five_hundred_jobs(shared: Yard) -> None:
    first = shared.spawn("one", "share", 500)
    second = shared.spawn("two", "share", 500)
    shared.finished(first)
    shared.finished(second)
    assert set(shared.runs()) == {f"key:{number}" for number in range(500)}
    assert max(shared.runs().values()) == 1
    share = Counter(shared.effects().values())
    assert min(share["one"], share["two"]) > 50


@pytest.mark.slow
def test_sessions_that_the_server_drops_lose_nothing(shared: Yard) -> None:
    runs: list[str] = []
    lock = threading.Lock()

    def act(args: JobArgs) -> None:
        time.sleep(0.02)
        with lock:
            runs.append(args.key)

    engine = shared.engine("one", act)
    engine.start()
    accepted = set()
    for number in range(60):
        if number % 20 == 10:
            _end_sessions(shared.url)
        key = f"key:{number}"
        for _ in range(20):
            try:
                engine.enqueue(f"job-{number % 8}", key, {})
                accepted.add(key)
                break
            except Unavailable:
                time.sleep(0.05)
    assert engine.wait_idle(PATIENCE_SECONDS)
    time.sleep(LEASE_SECONDS)  # it was renewed all the same
    with pytest.raises(Conflict, match="alive"):
        _lease_of(shared.url, "one")
    assert engine.stop(5)
    assert set(runs) == accepted == {f"key:{number}" for number in range(60)}


def _lease_of(url: str, executor: str) -> None:
    engine = open_engine(url, 2)
    try:
        with RowLease(Claim(engine, executor, (), LEASE_SECONDS), LEASE_SECONDS).held(0.0):
            pass
    finally:
        engine.dispose()


@pytest.mark.slow
def test_a_claim_that_nobody_heard_of_is_handed_back(
    shared: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection was lost between the commit of the claim and its answer. What has a thread
    is left alone, however long it takes."""
    monkeypatch.setattr(durable_dbos_takeover, "UNHEARD_SECONDS", 0.5)
    going, runs = threading.Event(), list[str]()

    def act(args: JobArgs) -> None:
        runs.append(args.key)
        assert args.key == "unheard" or going.wait(PATIENCE_SECONDS)

    engine = shared.engine("one", act)
    engine.start()
    for number in range(2):  # as many as may run at once, so that nothing else is claimed
        engine.enqueue("job-0", f"long-{number}", {})
    while len(runs) < 2:
        time.sleep(0.01)
    engine.enqueue("job-1", "unheard", {})
    database = open_engine(shared.url, 1)
    with database.begin() as connection:
        claimed = connection.execute(
            sa.text(
                "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'one',"
                " started_at_epoch_ms = 1 WHERE workflow_uuid = 'unheard'"
            )
        )
        assert claimed.rowcount == 1
    database.dispose()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while engine.counts().waiting != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.5)
    assert sorted(runs) == ["long-0", "long-1"]
    going.set()
    assert engine.wait_idle(PATIENCE_SECONDS)
    assert engine.stop(5)
    assert sorted(runs) == ["long-0", "long-1", "unheard"]


def test_a_job_that_kills_its_process_is_begun_again_as_often_as_is_said() -> None:
    """What is shipped is what the threats page says, and nothing in the product changes it."""
    root = Path(__file__).parents[2]
    shipped = DbosSettings("sqlite:///jobs.sqlite", "one").max_recoveries
    words = {20: "twenty"}
    said = (root / "docs" / "threats.md").read_text("utf-8")
    assert f"set aside after it has been begun {words[shipped]} times more" in said
    elsewhere = [
        path.name
        for path in (root / "src").rglob("*.py")
        if "max_recoveries" in path.read_text("utf-8") and path.name != "durable_dbos.py"
    ]
    assert not elsewhere
