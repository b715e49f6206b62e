"""A database that goes away is told once by each process, and once that it is back."""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from tests.apart import Installation
from tests.bounced import WAYS, Server, own_server
from tests.patience import PATIENCE_SECONDS

from trimtab.demo.processes import free_port
from trimtab.kernel.errors import Unavailable
from trimtab.platform import durable_dbos_store, outages, postgresql
from trimtab.platform.database import Database
from trimtab.platform.durable_dbos_store import open_engine
from trimtab.platform.outages import Outage
from trimtab.platform.postgresql import Waits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.either,
]

AWAY, STILL, BACK = (
    "the database does not answer",
    "the database still does not answer",
    "the database answers again",
)
OUT_SECONDS = 6.0
"""Longer than any loop pauses between two tries."""


@pytest.fixture
def server() -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder,
        own_server(Path(folder)) as found,
    ):
        yield found


def test_each_outage_is_two_lines_in_each_process(server: Server, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home", server.database("outages"))
    processes = ("serve", "work")

    def told(name: str) -> list[dict[str, Any]]:
        lines = [line for line in installation.said(name).splitlines() if line.startswith("{")]
        found = [json.loads(line) for line in lines]
        return [line for line in found if line["level"] in ("warning", "error", "critical")]

    try:
        installation.serve()
        installation.start("work", "work", "--port", str(free_port()))
        installation.until(lambda: "listening on" in installation.said("work"), "work")
        before = {name: len(told(name)) for name in processes}
        for outage, way in enumerate(WAYS, start=1):
            server.stop(way)
            installation.answers()  # somebody asks, too
            time.sleep(OUT_SECONDS)
            server.start()
            for name in processes:
                installation.until(
                    lambda name=name, outage=outage: (  # type: ignore[misc]
                        [line["event"] for line in told(name)].count(BACK) == outage
                    )
                )
            time.sleep(outages.SETTLED_SECONDS + 1)
        for name in processes:
            lines = told(name)[before[name] :]
            assert [line["event"] for line in lines] == [AWAY, BACK] * len(WAYS), lines
            assert all("DATABASE_URL" in line["remedy"] for line in lines[::2])
            assert all(line["why"] for line in lines[::2])
            assert all(line["away_seconds"] >= OUT_SECONDS - 3 for line in lines[1::2]), lines
    finally:
        installation.close()


def test_one_that_lasts_is_reminded_of_and_explains_itself_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "REMIND_SECONDS", 1.0)
    monkeypatch.setattr(postgresql, "DATABASE", found := Outage())
    database = Database(server.database("lasting"))
    with capture_logs() as said:
        other = refused_column(database)
        assert not found.explains(other)
        server.stop("fast")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            with pytest.raises(Unavailable) as away, database.read() as connection:
                connection.execute(sa.text("SELECT 1"))  # one used just now is not asked before
            assert found.explains(away.value)
            assert found.explains("(psycopg.OperationalError) connection is bad")
            assert not found.explains(other)
            assert not found.explains("a queue has no name")
            assert not found.explains(Unavailable("the bucket does not answer"))
            time.sleep(0.05)
        server.start()
        with database.read():
            pass
        assert found.explains(away.value), "its echo is still on the way"
        monkeypatch.setattr(outages, "SETTLED_SECONDS", 0.0)
        assert not found.explains(away.value)
    ours = [line for line in said if line["event"] in (AWAY, STILL, BACK)]
    first, *reminders, last = ours
    assert (first["event"], last["event"]) == (AWAY, BACK)
    assert {line["event"] for line in reminders} == {STILL}
    since = [line["seconds"] for line in reminders]
    assert since == sorted(set(since)), "more than one in a second"
    assert since[0] >= 1
    database.close()


def test_an_address_that_is_wrong_is_the_affair_of_the_start(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "DATABASE", Outage())
    nowhere = sa.make_url(server.database("somewhere")).set(database="nowhere")
    with capture_logs() as said, pytest.raises(Unavailable, match="nowhere"):
        Database(nowhere.render_as_string(hide_password=False))
    assert said == []


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """One of this test's own, which every engine that it opens is watched by."""
    found = Outage()
    monkeypatch.setattr(postgresql, "DATABASE", found)
    monkeypatch.setattr(durable_dbos_store, "DATABASE", found)
    return found


@pytest.fixture
def address(postgresql: Callable[[], str], outage: Outage) -> str:
    return postgresql()


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    """With room for one connection at rest, and four more."""
    opened = Database(address, pool_size=1)
    yield opened
    opened.close()


def test_a_pool_that_makes_no_new_connection_finds_that_it_is_over(
    outage: Outage, database: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "SETTLED_SECONDS", 0.0)
    with capture_logs() as said, database.read() as earlier:
        ask(earlier)
        with letting_nobody_in(address), pytest.raises(Unavailable) as refused, database.read():
            pass
        ask(earlier)
        assert events(said) == [AWAY], "what was taken before says nothing about now"
        assert outage.explains(refused.value)
    with capture_logs() as later, database.read() as connection:
        ask(connection)
    assert events(later) == [BACK]
    assert not outage.explains(refused.value)


def test_what_a_server_that_answers_refuses_is_no_outage(
    outage: Outage, database: Database, address: str
) -> None:
    """Also while there is one: a wait that was too long is told as what it is."""
    short = Database(address, waits=Waits(lock=0.2, statement=1.0))
    with capture_logs() as said:
        with pytest.raises(Unavailable, match="statement timeout") as slow, short.read() as asked:
            asked.execute(sa.text("SELECT pg_sleep(60)"))
        refusal = pytest.raises(Unavailable, match="lock timeout")
        with database.write(), refusal as locked, short.write():
            pass
        assert said == []
        with letting_nobody_in(address):
            short.engine.dispose()
            with pytest.raises(Unavailable) as away, short.read():
                pass
        assert outage.explains(away.value)
        for refused in (slow.value, locked.value):
            assert not outage.explains(refused)
        for name in ("LockNotAvailable", "QueryCanceled", "DeadlockDetected", "DiskFull"):
            assert not outage.explains(f"(psycopg.errors.{name}) canceling")
        for name in ("AdminShutdown", "CannotConnectNow", "ConnectionFailure"):
            assert outage.explains(f"(psycopg.errors.{name}) terminating")
    assert events(said) == [AWAY]
    short.close()


@pytest.mark.parametrize("ends", ["at rest", "at rest, of the jobs", "at work"])
def test_a_connection_that_ends_alone_is_replaced_and_is_no_outage(
    outage: Outage, database: Database, address: str, ends: str
) -> None:
    jobs = open_engine(address, 1)
    engine = jobs if ends == "at rest, of the jobs" else database.engine
    with capture_logs() as said:
        for _ in range(3):
            with engine.connect() as connection:
                pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
                if ends == "at work":
                    end_session(address, pid)
                    with pytest.raises(sa.exc.DBAPIError) as lost:
                        ask(connection)
                    assert outage.explains(lost.value), "it is told once, here"
            if ends != "at work":
                end_session(address, pid)
                time.sleep(postgresql._FRESH_SECONDS + 0.1)
            with engine.connect() as connection:
                ask(connection)
    assert [line for line in said if line["log_level"] != "info"] == []
    told = [line["event"] for line in said]
    lost_one = "a connection to the database was lost, and is replaced"
    assert told == ([lost_one] if ends == "at work" else [])
    assert not outage.explains("a queue has no name")
    jobs.dispose()


def test_one_that_is_lost_again_as_soon_as_it_is_replaced_is_an_outage(
    outage: Outage, database: Database, address: str
) -> None:
    """As with a pooler that lets everybody in, and has no server behind it."""
    with capture_logs() as said:
        for _ in range(2):
            with pytest.raises(sa.exc.DBAPIError), database.engine.connect() as connection:
                driver = connection.connection.driver_connection
                assert isinstance(driver, psycopg.Connection)
                end_session(address, driver.info.backend_pid)
                ask(connection)
        assert events(said) == [AWAY]
        other = Database(address)  # what gets to know the server in the middle of it
        other.close()
        with database.read() as connection:
            ask(connection)
    assert events(said) == [AWAY, BACK]


def test_a_server_without_room_for_one_more_is_told_as_what_it_is(
    outage: Outage, monkeypatch: pytest.MonkeyPatch, database: Database, address: str
) -> None:
    """It runs and answers: to look whether it does would be in vain."""
    full = "the database has no room for another connection"
    limit = f"ALTER DATABASE {sa.make_url(address).database} CONNECTION LIMIT"
    user = f"u{uuid.uuid4().hex}"
    with database.engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {user} LOGIN"))
    theirs = sa.make_url(address).set(username=user).render_as_string(hide_password=False)
    crowded = Database(theirs, pool_size=1)
    with database.engine.begin() as connection:
        connection.execute(sa.text(f"{limit} 2"))
    with capture_logs() as said:
        with crowded.read():
            for _ in range(2):
                with pytest.raises(Unavailable) as refused, crowded.read():
                    pass
        assert not outage.explains(refused.value)
        assert not outage.explains(str(refused.value.__cause__))
    (line,) = said
    assert (line["event"], line["log_level"]) == (full, "error")
    assert "too many connections" in line["why"]
    assert "max_connections" in line["remedy"]
    crowded.close()


def test_where_nothing_is_wrong_a_statement_costs_one_look(
    outage: Outage, database: Database
) -> None:
    """No lock is taken on the way of a query: whoever held it would hold up all of them."""
    with outage._lock, ThreadPoolExecutor(1) as pool:

        def asks() -> None:
            with database.read() as connection:
                ask(connection)

        pool.submit(asks).result(PATIENCE_SECONDS)


def events(said: Sequence[MutableMapping[str, Any]]) -> list[str]:
    """What was said of an outage."""
    return [line["event"] for line in said if line["event"] in (AWAY, STILL, BACK)]


def ask(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT 1"))


@contextmanager
def elsewhere(address: str) -> Iterator[psycopg.Connection]:
    """A session that nobody watches, on another database of the same server."""
    url = sa.make_url(address).set(database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as session:
        yield session


@contextmanager
def letting_nobody_in(address: str) -> Iterator[None]:
    """Whoever is in goes on."""
    allow = f"ALTER DATABASE {sa.make_url(address).database} ALLOW_CONNECTIONS"
    with elsewhere(address) as session:
        session.execute(f"{allow} false".encode())
        try:
            yield
        finally:
            session.execute(f"{allow} true".encode())


def end_session(address: str, pid: int) -> None:
    """As somebody at a console does, or a firewall; it has ended when this returns."""
    with elsewhere(address) as session:
        session.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


def refused_column(database: Database) -> BaseException:
    """What a statement raises that the database does not understand."""
    with pytest.raises(sa.exc.ProgrammingError) as found, database.read() as connection:
        connection.execute(sa.text("SELECT nothing_of_this_name"))
    return found.value
