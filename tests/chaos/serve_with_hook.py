"""The control plane as it is, which kills itself at instants that it was told.

    serve_with_hook.py FOLDER [INSTANT ...]

Everything is `trimtab.app` and `trimtab.worker`; only the engine's own hook, and the
database's own events, are listened to. Instants are:

- `enqueued:JOB`          a job was handed to the engine; whoever did it has not noted that
- `before:JOB`            a job begins
- `commit:JOB:KINDS`      a transaction that wrote entries of these kinds is to be committed
- `committed:JOB:KINDS`   it has been committed, and nobody knows it yet
- `after:JOB`             a job that has written something is over; the engine does not know

It dies once at each; at `INSTANT@N` only if N processes have died before. Every instant is
a line in FOLDER/passed, every death one in FOLDER/deaths. Only SIGKILL is used: nothing is
flushed, closed or handed back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trimtab.app import Application
from trimtab.platform.database import Database
from trimtab.platform.logs import configure_logs
from trimtab.platform.settings import load_settings
from trimtab.worker import run


class Reaper:
    """Notes every instant, and ends the process at some of them."""

    def __init__(self, folder: Path, fatal: Sequence[str]):
        self._deaths = folder / "deaths"
        died = self._deaths.read_text("ascii").split() if self._deaths.exists() else []
        self._passed = (folder / "passed").open("a", encoding="ascii", buffering=1)
        due = (name.partition("@") for name in fatal if name not in died)
        self._fatal = {
            instant: instant + at + number
            for instant, at, number in due
            if not at or int(number) == len(died)
        }
        self._lock = threading.Lock()
        self._thread = threading.local()

    def step(self, instant: str) -> None:
        """Hear of a step of the engine; called in the thread that takes it."""
        when, _, job = instant.partition(":")
        if when == "before":
            self._thread.job, self._thread.wrote = job, False
        if when == "after":
            self._thread.job = None
            if not self._thread.wrote:
                return  # nothing was changed: dying here is dying before the next job
        self._pass(instant)

    def listen(self, database: Database) -> None:
        """Hear of every commit of a job."""
        sa.event.listen(database.engine, "begin", self._began)
        sa.event.listen(database.engine, "commit", self._commits)
        sa.event.listen(database.engine, "after_cursor_execute", _counted)

    def _began(self, connection: sa.Connection) -> None:
        if getattr(self._thread, "job", None) is not None:
            driver = _driver(connection)
            connection.info["changes"] = _changes(connection)
            connection.info["newest"] = driver.execute(_NEWEST).fetchone()[0]

    def _commits(self, connection: sa.Connection) -> None:
        job, driver = getattr(self._thread, "job", None), _driver(connection)
        if job is None or _changes(connection) == connection.info["changes"]:
            return
        self._thread.wrote = True
        kinds = [kind for (kind,) in driver.execute(_SINCE.format(connection.info["newest"]))]
        step = f"{job}:{'+'.join(dict.fromkeys(kinds)) or 'nothing'}"
        self._pass(f"commit:{step}")
        driver.execute("COMMIT")  # SQLAlchemy's own, which follows, then finds nothing open
        self._pass(f"committed:{step}")

    def _pass(self, instant: str) -> None:
        with self._lock:
            self._passed.write(instant + "\n")
            if instant in self._fatal:
                with self._deaths.open("a", encoding="ascii") as deaths:
                    deaths.write(self._fatal[instant] + "\n")
                os.kill(os.getpid(), signal.SIGKILL)


_NEWEST = "SELECT coalesce(max(sequence), 0) FROM ledger_entries"
_SINCE = "SELECT kind FROM ledger_entries WHERE sequence > {} ORDER BY sequence"
_WRITES = ("INSERT", "UPDATE", "DELETE")


def _changes(connection: sa.Connection) -> int:
    """A number that grows with every change that this connection makes."""
    if connection.dialect.name == "sqlite":
        return int(_driver(connection).total_changes)
    return int(connection.info.get("written", 0))


def _counted(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
    if statement.lstrip().startswith(_WRITES) and cursor.rowcount:
        connection.info["written"] = connection.info.get("written", 0) + 1


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.dbapi_connection


def main() -> None:
    folder, *fatal = sys.argv[1:]
    reaper = Reaper(Path(folder), fatal)
    settings = load_settings(env_file=None)
    configure_logs(settings.log_level)
    application = Application(settings, hook=reaper.step)
    reaper.listen(application.parts.records.database)
    run(application)


if __name__ == "__main__":
    main()
