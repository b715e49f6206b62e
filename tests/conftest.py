"""What every test may ask for: a clock that is stepped, a real database, the records in it."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import httpx
import httpx._transports.default as httpx_transports
import hypothesis
import pytest
from argon2 import PasswordHasher
from tests import databases
from tests.mlflow_server import starting
from tests.objects import ObjectServer, start_object_server

from trimtab.audit.tables import SIZE, WHOLE
from trimtab.audit.work import Records
from trimtab.identity import passwords
from trimtab.kernel import garbage
from trimtab.kernel.clock import SteppedClock
from trimtab.platform.database import Database, metadata

passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""In this process alone. What a password costs on purpose is paid by whoever guesses, not by
every test that adds somebody; processes that tests start pay it."""

vars(httpx_transports).update(create_ssl_context=cache(httpx.create_ssl_context))
"""In this process alone. Whose certificates are believed is read once, not by each of hundreds
of clients, of which a test that waits for a server makes twenty in a second."""

hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")
"""How long an example takes says something of the machine, and of what runs beside it."""

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30


def _room_in_memory() -> bool:
    """Whether the folders of the tests may lie in memory. Nobody cuts the power of a test, and
    to wait for a disk at every commit is a good part of a run on SQLite."""
    if not os.access(MEMORY, os.W_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= ROOM_BYTES


if _room_in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

CHOICE = "TRIMTAB_TEST_DATABASE"
OF_TESTS = (CHOICE, starting.WHERE)
databases.choose(os.environ.get(CHOICE, databases.SQLITE))


def pytest_configure(config: pytest.Config) -> None:
    """What tests start has no such settings, and would refuse their names. Only a process that
    runs no test itself, and starts those that do, keeps them for those."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        for name in OF_TESTS:
            os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that are on both databases anyway are marked, so that a second run leaves them out."""
    for item in items:
        if "either_database" in getattr(item, "fixturenames", ()):
            item.add_marker("either")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests are loaded as the application is: nobody looks for garbage meanwhile, nor, again and
    again, through what is loaded by then."""
    with garbage.loading():
        found = yield
    garbage.settle()
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is about SQLite itself is left out elsewhere, and the reason is told."""
    only = item.get_closest_marker("sqlite_only")
    if only is not None and databases.chosen() != databases.SQLITE:
        pytest.skip(f"about SQLite: {only.args[0]}")


def pytest_sessionfinish() -> None:
    """Nothing that this run has started is left."""
    databases.end()


@pytest.fixture(autouse=True)
def _forgotten(request: pytest.FixtureRequest) -> Iterator[None]:
    """The databases of the homes of a test go with it."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        databases.forget_below(folder)


@pytest.fixture
def clock() -> SteppedClock:
    """Domain time, standing at the first of March 2015."""
    return SteppedClock(datetime(2015, 3, 1, tzinfo=UTC))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A fresh database, on what this run is on, with every table that has been imported."""
    with _opened(databases.chosen(), tmp_path) as opened:
        yield opened


@pytest.fixture
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Database]]:
    """Call it for as many as are needed, each like `database`."""
    with ExitStack() as kept:
        yield lambda: kept.enter_context(
            _opened(databases.chosen(), tmp_path_factory.mktemp("database"))
        )


@pytest.fixture
def records(database: Database, clock: SteppedClock) -> Records:
    """Where units of work begin."""
    return Records(database, clock)


@pytest.fixture(scope="session")
def postgresql() -> Callable[[], str]:
    """A real PostgreSQL server; call it for the address of a new, empty database."""
    return databases.server().create


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """A real server that speaks S3; each test takes a bucket of its own."""
    server = start_object_server()
    yield server
    server.stop()


_EITHER = databases.CHOICES if databases.chosen() == databases.SQLITE else [databases.POSTGRESQL]


@pytest.fixture(params=_EITHER)
def either_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The same test on both databases; on PostgreSQL alone where the whole run is on it."""
    with _opened(request.param, tmp_path) as opened:
        yield opened


@contextmanager
def _opened(kind: str, folder: Path) -> Iterator[Database]:
    if kind == databases.SQLITE:
        database = Database(f"sqlite:///{folder}/trimtab.sqlite")
        _create_tables(database)
        yield database
        database.close()
        return
    address = databases.server().create(like=_template())
    database = Database(address)
    yield database
    database.close()
    databases.server().drop(address)


_templates: dict[frozenset[str], str] = {}


def _template() -> str:
    """A database with every table that has been imported by now, to be copied."""
    tables = frozenset(metadata.tables)
    if tables not in _templates:
        address = databases.server().create()
        database = Database(address)
        _create_tables(database)
        database.close()
        _templates[tables] = address
    return _templates[tables]


def _create_tables(database: Database) -> None:
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})


pytest_plugins = ("tests.mlflow_server.fixtures",)
