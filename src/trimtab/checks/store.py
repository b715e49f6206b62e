"""Rows of check runs."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.checks.model import CheckFinished, CheckRun
from trimtab.kernel.verdict import Verdict
from trimtab.platform.database import Json, Moment, decision_table

RUNS = decision_table(
    "check_runs",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("version_id", sa.String(80), nullable=False),
    sa.Column("version", sa.String(23), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("verdict", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("numbers", Json, nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("due_at", Moment, index=True),
    sa.Index("uq_check_runs_attempt", "version_id", "name", "attempt", unique=True),
)


def add(work: Work, run: CheckRun, because: CheckFinished) -> CheckRun:
    """Keep a run.

    Raises:
        Conflict: this attempt of this check was kept before.
    """
    row = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
    work.create(RUNS, {**row, "verdict": run.verdict.value}, because=because)
    return dataclasses.replace(run, revision=1)


_NEWER = RUNS.alias("newer")
_TRIED = sa.exists().where(
    _NEWER.c.version_id == RUNS.c.version_id,
    _NEWER.c.name == RUNS.c.name,
    _NEWER.c.attempt > RUNS.c.attempt,
)
_DUE = (
    sa.select(RUNS.c.version_id, sa.func.max(RUNS.c.attempt).label("attempt"))
    .where(RUNS.c.due_at <= sa.bindparam("now"), ~_TRIED)
    .group_by(RUNS.c.version_id)
    .order_by(RUNS.c.version_id)
)


def due(reading: Reading, now: datetime) -> list[tuple[str, int]]:
    """Versions with a check that is to be tried again, each with its newest attempt."""
    rows = reading.rows(_DUE, {"now": now})
    return [(str(row["version_id"]), int(row["attempt"])) for row in rows]


def of_version(reading: Reading, version_id: str) -> list[CheckRun]:
    """Every run on a version, in the order in which they were made."""
    query = sa.select(RUNS).where(RUNS.c.version_id == version_id)
    rows = reading.rows(query.order_by(RUNS.c.at, RUNS.c.attempt, RUNS.c.name))
    return [CheckRun(**{**row, "verdict": Verdict(row["verdict"])}) for row in rows]
