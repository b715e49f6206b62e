"""Rows of late arrivals: one for each window that was closed, and one for the time before the
first of a model. Counts are of rows as they were sent; whether they repeat others is seen when
the window is judged again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.monitoring import store
from trimtab.monitoring.late import (
    Counted,
    Late,
    Moments,
    What,
    is_late,
    reopens,
    rows_before,
    rows_inside,
)
from trimtab.monitoring.model import Window
from trimtab.platform.database import Kind, Moment, plain_table
from trimtab.policies.operation import Monitoring

LATE_ROWS = plain_table(
    "late_rows",
    Kind.CURSOR,
    sa.Column("model", sa.String(63), primary_key=True),
    sa.Column("window", sa.String(80), primary_key=True),
    sa.Column("came", sa.Integer, nullable=False),
    sa.Column("judged", sa.Integer, nullable=False),
    sa.Column("due_at", Moment, index=True),
    sa.Column("predictions", sa.Integer, nullable=False),
    sa.Column("labels", sa.Integer, nullable=False),
    sa.Column("predictions_too_late", sa.Integer, nullable=False),
    sa.Column("labels_too_late", sa.Integer, nullable=False),
)
_L = LATE_ROWS.c

NO_WINDOW = ""
"""Stands for the time before a model's first window."""


def expect(work: Work, model: str, window: str = NO_WINDOW) -> None:
    """Begin to count, so that whoever brings late rows has only to add to it."""
    work.append(LATE_ROWS, [vars(Late(model, window))])


def note(
    work: Work,
    model: str,
    what: What,
    span: tuple[datetime, datetime],
    moments: Callable[[], Moments],
    demands: Monitoring,
) -> Counted:
    """Count the rows of a batch that came late; to be called where the batch is kept.

    Args:
        work: The transaction that keeps it.
        model: Whose rows.
        what: Predictions or labels.
        span: The first and the last moment that any of their predictions was made.
        moments: Reads all of these moments; asked only where some row may be late.
        demands: The monitoring slice of the policy.
    """
    windows = store.of_fleet_between(work, model, *span)
    first = None
    if not windows or windows[0].start > span[0]:  # else the first one lies before the batch
        first = store.first_scheduled(work, model)
    late = [window for window in windows if is_late(window, what)]
    before = first is not None and span[0] < first.start
    if not late and not before:
        return Counted()
    made = moments()
    counted = Counted()
    if first is not None and before:
        rows = rows_before(made, first.start)
        _add(work, model, NO_WINDOW, what, rows, due_at=None)
        counted = Counted(too_late=rows)
    for window in late:
        counted += _note(work, window, what, made, demands)
    return counted


def note_unseen(work: Work, window: Window, what: What, rows: int, demands: Monitoring) -> None:
    """Rows came between the look at a window and the transaction that wrote it down."""
    _add(work, window.model, window.id, what, rows, due_at=_next(work, demands))


def of_windows(reading: Reading, windows: Sequence[Window]) -> dict[str, Late]:
    """What came late for each of these windows; none where nothing did."""
    query = sa.select(LATE_ROWS).where(_L.window.in_([w.id for w in windows]))
    return {row["window"]: Late(**row) for row in reading.rows(query)}


def of_model(reading: Reading, model: str) -> Late:
    """What came late for a model, over all windows and before the first."""
    names = ("predictions", "labels", "predictions_too_late", "labels_too_late")
    sums = [sa.func.coalesce(sa.func.sum(_L[name]), 0).label(name) for name in names]
    row = reading.row(sa.select(*sums).where(_L.model == model))
    assert row is not None
    counts = (int(row[name]) for name in names)
    return Late(model, NO_WINDOW, 0, 0, None, *counts)


_DUE = (
    sa.select(LATE_ROWS)
    .join(store.WINDOWS, store.WINDOWS.c.id == _L.window)
    .where(_L.due_at <= sa.bindparam("now"))
    .order_by(_L.model, store.WINDOWS.c.start)
)


def due(reading: Reading, now: datetime) -> list[Late]:
    """Windows that are to be judged again by now; of each model the oldest, for which of them
    counts depends on what the later ones could tell."""
    oldest: dict[str, Late] = {}
    for row in reading.rows(_DUE, {"now": now}):
        oldest.setdefault(row["model"], Late(**row))
    return list(oldest.values())


def judged(work: Work, late: Late, demands: Monitoring) -> None:
    """A window was judged with everything that had come when `late` was read."""
    here = (_L.model == late.model) & (_L.window == late.window)
    more = sa.case((_L.came > late.came, sa.bindparam("at", _next(work, demands), Moment)))
    work.execute(sa.update(LATE_ROWS).where(here).values(judged=late.came, due_at=more))


def _note(work: Work, window: Window, what: What, made: Moments, demands: Monitoring) -> Counted:
    rows = rows_inside(made, window.start, window.end)
    if not rows:
        return Counted()
    if reopens(window, work.now, demands):
        _add(work, window.model, window.id, what, rows, due_at=_next(work, demands))
        return Counted(late=rows)
    _add(work, window.model, window.id, what, rows, due_at=None)
    return Counted(too_late=rows)


def _add(
    work: Work, model: str, window: str, what: What, rows: int, *, due_at: datetime | None
) -> None:
    """Count rows; with a `due_at` they re-open the window, at the latest then."""
    counter = what.value if due_at is not None else f"{what.value}_too_late"
    changes = {counter: _L[counter] + rows}
    if due_at is not None:
        changes["came"] = _L.came + 1
        changes["due_at"] = sa.func.coalesce(_L.due_at, sa.bindparam("at", due_at, Moment))
    here = (_L.model == model) & (_L.window == window)
    if work.execute(sa.update(LATE_ROWS).where(here).values(changes)):
        return
    known = {counter: rows, "came": int(due_at is not None), "due_at": due_at}
    work.append(LATE_ROWS, [{**vars(Late(model, window)), **known}])


def _next(work: Work, demands: Monitoring) -> datetime:
    """When to look again: rows that come late seldom come alone."""
    return work.now + timedelta(minutes=demands.performance_every_minutes)
