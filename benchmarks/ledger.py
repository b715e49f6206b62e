"""Decisions a second: a row and its audit entry, in one durable transaction.

Two floors. The share is of a commit of the same row without its entry, through the same
`Database`, made in turn with ours: what the audit costs. The rate of commits is that of the
driver alone, on the same settings: what the disk can do at all.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa

from benchmarks.floor import Figure, Goal, medians_in_turn, rate
from benchmarks.processes import postgresql
from benchmarks.seeding import empty
from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId, new_id
from trimtab.platform.database import Database, Kind, decision_table, plain_table

SOMEBODY = system("benchmark")
WRITERS = 16
TENANTS = 10

DECISIONS = decision_table(
    "benchmark_decisions",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("percent", sa.Double, nullable=False),
)
PLAIN = plain_table(
    "benchmark_rows",
    Kind.OBSERVATION,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("percent", sa.Double, nullable=False),
)


@dataclass(frozen=True)
class ShareMoved(Event):
    """An event of about the size that decisions have."""

    kind: ClassVar[str] = "benchmark.share_moved"

    model: str
    environment: str
    version: str
    digest: str
    percent_before: float
    percent_after: float
    permit: str
    why: str


class Writer:
    """Makes decisions, some in one transaction."""

    def __init__(self, database: Database):
        self._records = Records(database, SteppedClock(datetime(2015, 7, 1, tzinfo=UTC)))
        self._database = database
        self._mark = "?" if database.is_sqlite else "%s"

    def decide(self, count: int = 1) -> None:
        """One transaction of `count` rows, each with its entry."""
        with self._records.begin(SOMEBODY, reason="step judged by its own numbers") as work:
            for number in range(count):
                subject = new_id("dep")
                row = {"id": subject, "model": "delays", "percent": 25.0}
                work.create(DECISIONS, row, because=_event(subject, number % TENANTS))

    def unaudited(self) -> None:
        """A commit of one row, as somebody would write it who leaves nothing behind."""
        with self._database.write() as connection:
            row = {"id": new_id("dep"), "model": "delays", "percent": 25.0}
            connection.execute(PLAIN.insert(), row)

    def bare(self) -> None:
        """A commit of one row, by the driver alone."""
        connection = self._database.engine.raw_connection()
        try:
            cursor = connection.cursor()
            if self._database.is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            marks = ", ".join([self._mark] * 3)
            cursor.execute(
                f"INSERT INTO {PLAIN.name} (id, model, percent) VALUES ({marks})",
                (new_id("dep"), "delays", 25.0),
            )
            connection.commit()
        finally:
            connection.close()


def measure(*, tiny: bool) -> list[Figure]:
    """Tens, single ones, and many writers, on both databases."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        figures += _on("SQLite", f"sqlite:///{Path(folder) / 'ledger.sqlite'}", tiny)
    with postgresql() as url:
        figures += _on("PostgreSQL", url, tiny)
    return figures


def _on(name: str, url: str, tiny: bool) -> list[Figure]:
    seconds, runs, pairs = (0.1, 1, 5) if tiny else (1.5, 3, 200)
    with empty(url) as database:
        writer = Writer(database)
        writer.decide(10)
        writer.bare()
        tens, commits, shares, crowds = [], [], [], []
        for _ in range(runs):
            tens.append(10 * rate(lambda: writer.decide(10), seconds))
            commits.append(rate(writer.bare, seconds / 2))
            times = medians_in_turn(writer.decide, writer.unaudited, pairs)
            shares.append(100 * statistics.median(times.floor) / statistics.median(times.ours))
            crowds.append(_crowd(writer.decide, seconds))
    bare = "commits of one row by the driver"
    return [
        Figure(
            f"{name}: entries, ten a transaction",
            "entries/s",
            tens,
            commits,
            bare,
            Goal(1000, at_least=True),
        ),
        Figure(
            f"{name}: single entries by unaudited rows",
            "%",
            shares,
            goal=Goal(50, at_least=True),
        ),
        Figure(f"{name}: single entries, {WRITERS} writers", "entries/s", crowds, commits, bare),
    ]


def _crowd(one: Callable[[], object], seconds: float) -> float:
    """Calls a second by many threads together."""
    end = time.perf_counter() + seconds
    done = [0] * WRITERS

    def write(index: int) -> None:
        while time.perf_counter() < end:
            one()
            done[index] += 1

    threads = [threading.Thread(target=write, args=(index,)) for index in range(WRITERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def _event(subject: str, tenant: int) -> ShareMoved:
    return ShareMoved(
        subject=subject,
        tenant=TenantId(f"tenant-{tenant}"),
        model="delays",
        environment="production",
        version="1.2.3",
        digest="sha256:" + "ab" * 32,
        percent_before=5.0,
        percent_after=25.0,
        permit=new_id("per"),
        why="the canary's false positives are not above the stable version's",
    )
