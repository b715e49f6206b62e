"""Copies of a database that is in use: of one moment, whole, and looked at before they count.

SQLite is copied with its own online backup inside one reading transaction, so the copy is of
the moment at which it began, however much is written meanwhile. PostgreSQL is copied by its
own `pg_dump`, of a snapshot that the caller has looked at too.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from trimtab.kernel.errors import Unavailable
from trimtab.platform.database import Database

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

_PAGES = 2000  # copied between two words about it
_FILES = ("", "-wal", "-shm")
_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"


def copy_sqlite(source: Path, target: Path, told: Progress) -> None:
    """Copy the database `source`, which others may be writing, to the new file `target`.

    Raises:
        Unavailable: it cannot be read, or the copy cannot be written.
    """
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.close(descriptor)
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            # One reading transaction: else the copy would begin anew at each foreign write,
            # and under load never end.
            original.isolation_level = None
            original.execute("BEGIN")
            original.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            original.backup(
                copy,
                pages=_PAGES,
                progress=lambda _, left, all_: told(source.name, all_ - left, all_),
            )
    except sqlite3.Error as error:
        raise Unavailable(
            f"{source} could not be copied: {error}",
            remedy="see that it is a database in order, and that there is room for the copy",
        ) from error
    _left_alone(target)


def _left_alone(path: Path) -> None:
    """Make a copy durable, without the files that SQLite lays beside one in use."""
    for suffix in _FILES[1:]:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def opened_copy(path: Path) -> Iterator[sa.Connection]:
    """Read a copy that nobody writes; nothing is laid beside it."""
    engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&immutable=1&uri=true")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def sqlite_files(path: Path) -> list[Path]:
    """Those of the files of an SQLite database that are there."""
    return [found for suffix in _FILES if (found := path.with_name(path.name + suffix)).exists()]


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[sa.Connection, str]]:
    """A look at one moment of a PostgreSQL database, and the name by which others see it too."""
    with database.engine.connect() as connection:
        reading = connection.execution_options(isolation_level="REPEATABLE READ")
        with reading.begin():
            name = reading.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
            yield reading, str(name)


def dump_postgresql(
    database: Database, snapshot_name: str, target: Path, tools: Path | None
) -> None:
    """Write what `snapshot` saw to `target`, with PostgreSQL's own program.

    Raises:
        Unavailable: the program is not there, is older than the server, or failed.
    """
    with _address(database.url) as url:
        _run(
            [
                _tool("pg_dump", tools),
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                f"--snapshot={snapshot_name}",
                f"--file={target}",
                f"--dbname={url}",
            ]
        )
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.chmod(0o600)


def restore_postgresql(database: Database, dump: Path, tools: Path | None) -> None:
    """Fill an empty database from a dump: all of it, or nothing.

    Raises:
        Unavailable: the program is not there, or failed.
    """
    with _address(database.url) as url:
        _run(
            [
                _tool("pg_restore", tools),
                "--single-transaction",
                "--exit-on-error",
                "--no-owner",
                "--no-privileges",
                f"--dbname={url}",
                str(dump),
            ]
        )
    with database.write() as connection:  # a dump has no statistics; plans would be guesses
        connection.exec_driver_sql("ANALYZE")


def content_of_postgresql(database: Database) -> list[str]:
    """Names of the tables that a PostgreSQL database holds."""
    tables = (
        "SELECT n.nspname || '.' || c.relname FROM pg_class c "
        f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {_OURS} "
        "ORDER BY 1"
    )
    with database.read() as connection:
        return list(connection.execute(sa.text(tables)).scalars())


def _tool(name: str, folder: Path | None) -> str:
    found = shutil.which(name, path=None if folder is None else str(folder))
    if found is None:
        raise Unavailable(
            f"{name} is not installed here",
            remedy="install PostgreSQL's client programs (Debian: apt-get install "
            "postgresql-client), as new as the server, or name their folder with --pg-bin",
        )
    return found


@contextmanager
def _address(url: sa.URL) -> Iterator[str]:
    """The address as PostgreSQL's programs read it. A password goes through a file for this
    user only: whoever lists processes sees their arguments."""
    plain = url.set(drivername="postgresql")
    if not plain.password:
        yield plain.render_as_string(hide_password=False)
        return
    with tempfile.NamedTemporaryFile("w", prefix="trimtab-", encoding="utf-8") as file:
        secret = str(plain.password).replace("\\", "\\\\").replace(":", "\\:")
        file.write(f"*:*:*:*:{secret}\n")
        file.flush()
        open_ = sa.URL.create(
            "postgresql", plain.username, None, plain.host, plain.port, plain.database, plain.query
        )
        yield open_.update_query_dict({"passfile": file.name}).render_as_string()


def _run(command: Sequence[str]) -> None:
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        program, said = Path(command[0]).name, ended.stderr.strip().splitlines()
        raise Unavailable(
            f"{program} failed: {said[0] if said else f'exit status {ended.returncode}'}",
            remedy="it must be as new as the server, and the role must be able to read, or "
            "to make, every table; --pg-bin names the folder of another one",
        )
