"""What PostgreSQL is asked to guarantee: one writer, one snapshot, bounded waits, and an
answer to whether a commit was made whose connection was lost."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
import sqlalchemy as sa
from tests.bounced import own_server
from tests.patience import PATIENCE_SECONDS
from tests.platform.cutting import Cut, Line

from trimtab.audit import ledger
from trimtab.audit.tables import SIZE, WHOLE
from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidInput, Unavailable
from trimtab.kernel.events import Event
from trimtab.platform import postgresql as server
from trimtab.platform.database import Database, Kind, decision_table, metadata, plain_table
from trimtab.platform.durable_dbos_store import open_engine
from trimtab.platform.postgresql import Waits

ROWS = plain_table(
    "test_postgresql_rows",
    Kind.OBSERVATION,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("name", sa.String(5)),
)
LAMPS = decision_table("test_postgresql_lamps", sa.Column("lit", sa.Boolean, nullable=False))
SHORT = 0.4
SOMEBODY = system("test")


@dataclass(frozen=True)
class LampSwitched(Event):
    """A lamp was switched."""

    kind: ClassVar[str] = "lamp.switched"

    lit: bool = False


def switched(lit: bool) -> LampSwitched:
    return LampSwitched(subject="lamp", tenant=None, lit=lit)


@pytest.fixture
def address(postgresql: Callable[[], str]) -> str:
    """A database with every table."""
    made = postgresql()
    database = Database(made)
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
        connection.execute(ROWS.insert(), [{"id": n, "n": 0} for n in (1, 2)])
    database.close()
    return made


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    opened = Database(address, pool_size=4, pool_timeout_seconds=SHORT)
    yield opened
    opened.close()


def impatient(address: str, **waits: float) -> Database:
    return Database(address, waits=Waits(**waits))


def add_one(connection: sa.Connection, row: int) -> None:
    connection.execute(ROWS.update().where(ROWS.c.id == row).values(n=ROWS.c.n + 1))


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(sa.select(ROWS.c.n).order_by(ROWS.c.id)).scalars())


def test_what_a_writer_has_read_stays_so_until_it_ends(database: Database) -> None:
    """A rule over several rows, which no constraint keeps: at most one of them is lit."""

    def light(number: int) -> bool:
        with database.write() as connection:
            lit = sa.select(sa.func.count()).select_from(LAMPS).where(LAMPS.c.lit)
            if connection.execute(lit).scalar_one():
                return False
            time.sleep(0.01)
            row = {"id": f"lamp-{number}", "revision": 1, "lit": True}
            connection.execute(LAMPS.insert(), row)
            return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(light, range(8))).count(True) == 1


def test_what_is_sent_before_its_turn_holds_nobody_up(database: Database) -> None:
    sent, ended = threading.Event(), threading.Event()

    def send(connection: sa.Connection) -> None:
        connection.execute(ROWS.insert(), {"id": 3, "n": 0})
        sent.set()

    def second() -> list[int]:
        with database.write(send) as connection:
            assert ended.is_set(), "the first one writes still"
            add_one(connection, 3)
            return list(connection.execute(sa.select(ROWS.c.n).order_by(ROWS.c.id)).scalars())

    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            add_one(connection, 1)
            seen = pool.submit(second)
            assert sent.wait(PATIENCE_SECONDS)
            add_one(connection, 2)
            ended.set()
        assert seen.result() == [1, 1, 1], "what was committed before its turn is seen in it"


def test_what_was_sent_before_its_turn_goes_with_the_rest(database: Database) -> None:
    def send(connection: sa.Connection) -> None:
        connection.execute(ROWS.insert(), {"id": 3, "n": 0})

    with pytest.raises(ZeroDivisionError), database.write(send):
        raise ZeroDivisionError
    other = impatient(str(database.url.render_as_string(hide_password=False)), lock=SHORT)
    with database.write(), pytest.raises(Unavailable), other.write(send):
        pass
    other.close()
    assert numbers(database) == [0, 0]


def test_a_reader_sees_one_moment_and_writes_nothing(database: Database) -> None:
    with database.read() as connection:
        query = sa.select(sa.func.sum(ROWS.c.n))
        assert connection.execute(query).scalar_one() == 0
        with database.write() as writing:
            add_one(writing, 1)
        assert connection.execute(query).scalar_one() == 0
    assert sum(numbers(database)) == 1
    with pytest.raises(sa.exc.InternalError), database.read() as connection:
        add_one(connection, 1)
    with database.write() as writing:  # a connection is not left as a reader had it
        add_one(writing, 1)
    assert sum(numbers(database)) == 2


def test_a_wait_for_another_writer_is_bounded(database: Database, address: str) -> None:
    other = impatient(address, lock=SHORT)
    with database.write() as connection:
        add_one(connection, 1)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="lock timeout") as refused, other.write() as waiting:
            add_one(waiting, 2)
        assert SHORT <= time.monotonic() - began < PATIENCE_SECONDS
        assert "try again" in (refused.value.remedy or "")
    assert numbers(database) == [1, 0]
    with other.write() as waiting:
        add_one(waiting, 2)
    assert numbers(database) == [1, 1]
    other.close()


def test_a_statement_is_bounded(address: str) -> None:
    database = impatient(address, statement=SHORT)
    with pytest.raises(Unavailable, match="statement timeout"), database.write() as connection:
        add_one(connection, 1)
        connection.execute(sa.text("SELECT pg_sleep(60)"))
    assert numbers(database) == [0, 0]
    database.close()


def test_a_writer_that_hangs_holds_nobody_up(database: Database, address: str) -> None:
    hanging = impatient(address, idle=SHORT)
    began = threading.Event()

    def hang() -> None:
        with hanging.write() as connection:
            add_one(connection, 1)
            began.set()
            time.sleep(3 * SHORT)
            add_one(connection, 1)

    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(hang)
        began.wait()
        with database.write() as connection:
            add_one(connection, 2)
        with pytest.raises(Unavailable):
            hung.result()
    assert numbers(database) == [0, 1]
    hanging.close()


def test_a_writer_that_was_stopped_costs_the_others_a_wait_and_no_refusal(address: str) -> None:
    """With the same limits for all of them: its pause ends before the others' patience does."""
    alike = [impatient(address, lock=4.0) for _ in range(2)]
    began = threading.Event()

    def hang() -> None:
        with alike[0].write() as connection:
            add_one(connection, 1)
            began.set()
            time.sleep(6.0)
            add_one(connection, 1)

    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(hang)
        began.wait()
        with alike[1].write() as connection:
            add_one(connection, 2)
        with pytest.raises(Unavailable):
            hung.result()
    assert numbers(alike[1]) == [0, 1]
    for one in alike:
        one.close()


def test_a_deadlock_with_somebody_elses_session_is_ended(database: Database, address: str) -> None:
    """Ours are one after the other; a person at a console may take locks in any order."""
    with psycopg.connect(address) as theirs, ThreadPoolExecutor(1) as pool:
        theirs.execute("SET deadlock_timeout = '60s'")  # or their session might be the victim
        theirs.execute("UPDATE test_postgresql_rows SET n = 10 WHERE id = 1")
        inside = threading.Event()

        def ours() -> None:
            with database.write() as connection:
                add_one(connection, 2)
                inside.set()
                add_one(connection, 1)

        waiting = pool.submit(ours)
        inside.wait()
        theirs.execute("UPDATE test_postgresql_rows SET n = 10 WHERE id = 2")
        with pytest.raises(Unavailable, match="deadlock"):
            waiting.result()
    assert numbers(database) == [10, 10]


def test_when_every_connection_is_in_use_that_is_said_soon(database: Database) -> None:
    with ExitStack() as held:
        for _ in range(20):
            held.enter_context(database.read())
        with pytest.raises(Unavailable, match="every connection"), database.write():
            pass
    with database.write() as connection:
        add_one(connection, 1)


@pytest.mark.parametrize(
    "values", [{"name": "a\0b"}, {"name": "longer than five"}, {"n": 1 << 40}, {"n": 1 << 70}]
)
def test_what_cannot_be_held_is_the_fault_of_who_sent_it(
    database: Database, values: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput) as refused, database.write() as connection:
        add_one(connection, 2)
        connection.execute(ROWS.update().where(ROWS.c.id == 1).values(values))
    assert refused.value.remedy
    assert numbers(database) == [0, 0]


@pytest.fixture
def line(address: str) -> Iterator[Line]:
    made = Line(address)
    yield made
    made.close()


def test_every_connection_notices_that_the_server_is_gone_without_a_word(line: Line) -> None:
    """Read off the sockets: those of the records, and those of the job engine."""
    database = Database(line.address)
    jobs = open_engine(line.address, 1)
    for engine in (database.engine, jobs):
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            with socket.socket(fileno=os.dup(driver.fileno())) as wire:
                options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
                found = [wire.getsockopt(socket.IPPROTO_TCP, option) for option in options]
                assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert found == [10, 5, 30_000], engine
        engine.dispose()
    database.close()


def test_callers_are_not_told_where_the_server_is(line: Line) -> None:
    database = Database(line.address)
    line.close()
    with pytest.raises(Unavailable) as refused:
        for _ in range(5):  # it may take one more, which was on its way
            database.engine.dispose()
            with database.read():
                pass
    assert "could not take this now" in refused.value.message
    assert "127.0.0.1" not in f"{refused.value.message} {refused.value.remedy}"
    assert "127.0.0.1" in str(refused.value.__cause__), "the log has it"
    database.close()


@pytest.fixture
def records(line: Line, clock: SteppedClock) -> Iterator[Records]:
    """The records, by the line that can be cut."""
    database = Database(line.address)
    yield Records(database, clock)
    database.close()


def switch_on(records: Records) -> None:
    with records.begin(SOMEBODY, reason="it is dark") as work:
        work.create(LAMPS, {"id": "lamp", "lit": True}, because=switched(True))


def told(database: Database) -> tuple[int, int]:
    """How many lamps there are, and how many entries."""
    with database.read() as connection:
        lamps = connection.execute(sa.select(sa.func.count()).select_from(LAMPS)).scalar_one()
        return lamps, ledger.size(connection)


def test_a_commit_whose_answer_is_lost_was_made_once(
    line: Line, records: Records, database: Database
) -> None:
    line.cut = Cut.AFTER
    switch_on(records)
    assert line.cuts == 1
    assert told(database) == (1, 1)
    assert records.entered.is_set()
    with records.begin(SOMEBODY, reason="it is light") as work:
        row = work.row(sa.select(LAMPS))
        assert row is not None
        work.replace(LAMPS, {**row, "lit": False}, because=switched(False))
    assert told(database) == (1, 2)


def test_a_commit_that_never_arrives_leaves_nothing(
    line: Line, records: Records, database: Database
) -> None:
    line.cut = Cut.BEFORE
    with pytest.raises(Unavailable) as refused:
        switch_on(records)
    assert "nothing was written" in (refused.value.remedy or "")
    assert line.cuts == 1
    assert told(database) == (0, 0)
    assert not records.entered.is_set()
    switch_on(records)
    assert told(database) == (1, 1)


def test_a_commit_of_which_nobody_knows_is_not_called_undone(
    line: Line, records: Records, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_RESOLVE_SECONDS", SHORT)
    line.cut = Cut.HELD
    with pytest.raises(Unavailable, match="not known") as refused:
        switch_on(records)
    assert "look whether it is there" in (refused.value.remedy or "")
    assert told(database) == (0, 0)
    line.let_go.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while told(database) != (1, 1) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(Conflict):  # who sends it again without a look does it no second time
        switch_on(records)
    assert told(database) == (1, 1)


def test_who_may_not_write_there_is_told_what_to_do(postgresql: Callable[[], str]) -> None:
    address, role = sa.make_url(postgresql()), "r" + uuid.uuid4().hex
    owner = Database(address.render_as_string(hide_password=False))
    with owner.write() as connection:
        connection.execute(sa.text("CREATE TABLE test_postgresql_owned (n integer)"))
        connection.execute(sa.text(f"CREATE ROLE {role}"))
    guest = address.update_query_dict({"options": f"-c role={role}"})
    found = Database(guest.render_as_string(hide_password=False))
    with (
        pytest.raises(Unavailable, match="the database refuses: permission denied") as refused,
        found.write() as connection,
    ):
        connection.execute(sa.text("INSERT INTO test_postgresql_owned VALUES (1)"))
    assert "OWNER TO" in (refused.value.remedy or "")
    found.close()
    with owner.write() as connection:
        connection.execute(sa.text(f"DROP ROLE {role}"))
    owner.close()


def refuses_writes_and_reads(database: Database) -> None:
    query = sa.text("SELECT count(*) FROM test_postgresql_read_only")
    for _ in range(2):
        with (
            pytest.raises(Unavailable, match="the database is read-only: cannot exec") as refused,
            database.write() as connection,
        ):
            connection.execute(sa.text("INSERT INTO test_postgresql_read_only VALUES (1)"))
        assert "reading goes on" in (refused.value.remedy or "")
        with database.read() as connection:
            assert connection.execute(query).scalar_one() == 0


def test_a_server_that_is_there_to_be_read_is_read_and_not_overruled() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder,
        own_server(Path(folder)) as own,
    ):
        address = own.database("read_only")
        found = Database(address)
        with found.write() as connection:
            connection.execute(sa.text("CREATE TABLE test_postgresql_read_only (n integer)"))
        somebody = psycopg.connect(address, autocommit=True)
        setting = "ALTER DATABASE read_only SET default_transaction_read_only = "
        somebody.execute(f"{setting} on".encode())
        found.engine.dispose()
        refuses_writes_and_reads(found)
        somebody.execute(f"{setting} off".encode())
        somebody.close()
        own.stop("fast")
        own.follow(True)
        own.start()
        found.engine.dispose()
        refuses_writes_and_reads(found)
        time.sleep(server._FRESH_SECONDS + 0.1)
        refuses_writes_and_reads(found)  # over connections that have rested
        own.stop("fast")
        own.follow(False)
        own.start()
        found.engine.dispose()
        with found.write() as connection:
            connection.execute(sa.text("INSERT INTO test_postgresql_read_only VALUES (1)"))
        found.close()


def test_a_connection_that_the_server_ended_while_it_rested_is_replaced(
    postgresql: Callable[[], str],
) -> None:
    found = Database(postgresql(), pool_size=1)
    who = sa.text("SELECT pg_backend_pid()")
    with found.read() as connection:
        first = connection.execute(who).scalar_one()
    other = sa.create_engine(found.engine.url, poolclass=sa.NullPool)
    with other.connect() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
    other.dispose()
    time.sleep(server._FRESH_SECONDS + 0.1)
    with found.read() as connection:
        assert connection.execute(who).scalar_one() != first
    found.close()
