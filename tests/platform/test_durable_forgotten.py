"""Rows of executors that are dead for long: who is forgotten, and what one that wakes may do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from tests.patience import PATIENCE_SECONDS

from trimtab.kernel.errors import Unavailable
from trimtab.platform import durable_dbos_takeover
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.durable_dbos import DbosEngine, DbosSettings
from trimtab.platform.durable_dbos_store import open_engine
from trimtab.platform.durable_lease import RowLease
from trimtab.platform.executors import EXECUTORS, FORGET_EXECUTORS, Claim

pytestmark = pytest.mark.slow

LEASE_SECONDS = 2.0
LONG = durable_dbos_takeover.FORGET_DEAD_SECONDS

EXPIRED = sa.text(
    "UPDATE executors SET expires_at = clock_timestamp() - make_interval(secs => :seconds)"
    " WHERE id = :id"
)


@pytest.fixture
def database(postgresql: Callable[[], str]) -> Iterator[sa.Engine]:
    engine = open_engine(postgresql(), 4)
    EXECUTORS.create(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def started(database: sa.Engine) -> Iterator[Callable[..., DbosEngine]]:
    """Call it for an executor in this process; the one before it is stopped first."""
    running: list[DbosEngine] = []

    def start(executor: str, runs: list[str], **settings: object) -> DbosEngine:
        if running:
            running.pop().stop(5)
        url = database.url.render_as_string(hide_password=False)
        engine = DbosEngine(
            DbosSettings(url, executor, lease_seconds=LEASE_SECONDS, **settings)  # type: ignore[arg-type]  # by name
        )

        def act(args: JobArgs) -> None:
            runs.append(args.key)

        engine.register(Job("a.job", act, max_attempts=1))
        engine.start()
        running.append(engine)
        return engine

    yield start
    while running:
        running.pop().stop(5)


def killed(database: sa.Engine, executor: str, dead_seconds: float) -> None:
    """A process was, and its row is left."""
    assert Claim(database, executor, (), LEASE_SECONDS).acquire()
    expire(database, executor, dead_seconds)


def expire(database: sa.Engine, executor: str, dead_seconds: float) -> None:
    with database.begin() as connection:
        connection.execute(EXPIRED, {"id": executor, "seconds": dead_seconds})


def forget(database: sa.Engine) -> int:
    with database.begin() as connection:
        return connection.execute(FORGET_EXECUTORS, {"dead_seconds": LONG}).rowcount


def known(database: sa.Engine) -> set[str]:
    with database.connect() as connection:
        return set(connection.execute(sa.select(EXECUTORS.c.id)).scalars())


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_only_who_is_dead_for_a_day_and_had_begun_nothing_is_forgotten(
    database: sa.Engine, started: Callable[..., DbosEngine]
) -> None:
    started("asleep", [], listen=frozenset()).enqueue("a.job", "begun", {})
    killed(database, "old", LONG + 60)
    killed(database, "older", 40 * LONG)
    killed(database, "recent", LONG - 3600)
    killed(database, "busy", LONG + 60)
    killed(database, "waking", LONG + 60)
    with database.begin() as connection:
        begun = "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'busy'"
        assert connection.execute(sa.text(begun)).rowcount == 1
    with database.begin() as waking:  # it is renewed just now, and nobody waits for that
        waking.execute(EXPIRED, {"id": "waking", "seconds": -60})
        assert forget(database) == 2
    assert forget(database) == 0
    assert known(database) == {"asleep", "busy", "recent", "waking"}


def test_they_are_forgotten_by_one_that_may_take_over(
    database: sa.Engine, started: Callable[..., DbosEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before: after an outage of the database everybody's row may be as old."""
    monkeypatch.setattr(durable_dbos_takeover, "FORGET_EVERY_SECONDS", 0.2)
    killed(database, "old", LONG + 60)
    killed(database, "recent", LONG - 3600)
    began = time.monotonic()
    started("heir", [], takeover_seconds=0.1)
    until(lambda: known(database) == {"heir", "recent"})
    assert time.monotonic() - began >= LEASE_SECONDS
    killed(database, "later", LONG + 60)
    until(lambda: known(database) == {"heir", "recent"})


def test_one_that_wakes_when_it_is_forgotten_writes_nothing_and_ends(
    database: sa.Engine, started: Callable[..., DbosEngine]
) -> None:
    """A row that is gone is as one that was taken, and nobody puts it back."""
    started("other", [], takeover_seconds=3600.0)
    claim, lost = Claim(database, "sleeper", (), LEASE_SECONDS), threading.Event()
    with RowLease(claim, LEASE_SECONDS).held(0.0, lost.set):
        with database.begin() as connection:
            claim.demand(connection)
        with database.begin() as connection:  # nothing is renewed in between
            connection.execute(EXPIRED, {"id": "sleeper", "seconds": LONG + 60})
            connection.execute(FORGET_EXECUTORS, {"dead_seconds": LONG})
        with pytest.raises(Unavailable, match="taken over"), database.begin() as connection:
            claim.demand(connection)
        assert lost.wait(PATIENCE_SECONDS)
        assert known(database) == {"other"}
    assert known(database) == {"other"}


def test_what_one_that_wakes_claims_is_done_by_who_lives(
    database: sa.Engine, started: Callable[..., DbosEngine]
) -> None:
    """Before it finds that it was forgotten."""
    runs: list[str] = []
    asleep = started("asleep", [], listen=frozenset())
    asleep.enqueue("a.job", "claimed", {})
    with database.begin() as connection:
        claimed = "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'sleeper'"
        assert connection.execute(sa.text(claimed)).rowcount == 1
    assert "sleeper" not in known(database)
    heir = started("heir", runs, takeover_seconds=0.1)
    assert heir.wait_idle(PATIENCE_SECONDS)
    assert runs == ["claimed"]
