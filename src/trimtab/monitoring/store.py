"""Rows of windows and watches. A stretch of time of one model and tenant has one window."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event, plain
from trimtab.kernel.ids import TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.model import Drift, Performance, Phase, Window
from trimtab.monitoring.watch import Subject, Watch, WatchPhase
from trimtab.observations.store import PREDICTIONS
from trimtab.platform.database import Json, Moment, decision_table
from trimtab.registry.store import MODELS

WINDOWS = decision_table(
    "windows",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("start", Moment, nullable=False),
    sa.Column("end", Moment, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("due_at", Moment, index=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("drift", Json),
    sa.Column("performance", Json),
    sa.Column("skipped", Json, nullable=False),
    sa.Column("policy_digest", sa.String(71), nullable=False),
    sa.Column("closed_at", Moment),
    sa.Column("settled_at", Moment),
    sa.Column("revisions", sa.Integer, nullable=False),
)
sa.Index(
    "uq_windows_place",
    WINDOWS.c.model,
    sa.func.coalesce(WINDOWS.c.tenant, sa.literal_column("''")),
    WINDOWS.c.start,
    unique=True,
)
sa.Index("ix_windows_start", WINDOWS.c.model, WINDOWS.c.start)

WATCHES = decision_table(
    "watches",
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("subject", sa.String(20), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("alarming", sa.Integer, nullable=False),
    sa.Column("calm", sa.Integer, nullable=False),
    sa.Column("since", Moment),
    sa.Column("judged_through", Moment),
    sa.Column("window", sa.String(80)),
)
sa.Index(
    "uq_watches_subject",
    WATCHES.c.model,
    sa.func.coalesce(WATCHES.c.tenant, sa.literal_column("''")),
    WATCHES.c.subject,
    WATCHES.c.name,
    unique=True,
)


def add(work: Work, window: Window, because: Event) -> Window:
    """Keep a new window.

    Raises:
        Conflict: this stretch of the model and tenant has one.
    """
    work.create(WINDOWS, _row(window), because=because)
    return dataclasses.replace(window, revision=1)


def save(work: Work, window: Window, because: Event) -> Window:
    """Keep a moved window over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(WINDOWS, _row(window), because=because)
    return dataclasses.replace(window, revision=window.revision + 1)


def keep_watch(work: Work, watch: Watch, because: Event) -> Watch:
    """Keep a watch, a new one or a moved one.

    Raises:
        Conflict: somebody moved it, or began the same, meanwhile.
    """
    row = {**_fields(watch), "subject": watch.subject.value, "phase": watch.phase.value}
    if watch.revision:
        work.replace(WATCHES, row, because=because)
    else:
        work.create(WATCHES, row, because=because)
    return dataclasses.replace(watch, revision=watch.revision + 1)


def get(reading: Reading, window_id: str) -> Window:
    """The window with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(WINDOWS, window_id)
    if row is None:
        raise NotFound("there is no such window", field="window")
    return from_row(row)


def last_scheduled(reading: Reading, model: str) -> Window | None:
    """The fleet's window that lies furthest ahead."""
    return _first(reading, _of(model, None))


_FURTHEST_END = (
    sa.select(WINDOWS.c.end)
    .where(WINDOWS.c.model == MODELS.c.name, WINDOWS.c.tenant.is_(None))
    .order_by(WINDOWS.c.start.desc())
    .limit(1)
    .scalar_subquery()
)
_UNSCHEDULED = (
    sa.select(MODELS.c.name)
    .where(
        sa.func.coalesce(
            sa.bindparam("now", type_=Moment) >= _FURTHEST_END,
            sa.exists().where(PREDICTIONS.c.model == MODELS.c.name),
        )
    )
    .order_by(MODELS.c.name)
)


def unscheduled(reading: Reading) -> list[str]:
    """Models that predict and have no window yet that goes on now: all in one query, for it
    is asked with every pass of the loop."""
    return [row["name"] for row in reading.rows(_UNSCHEDULED, {"now": reading.now})]


def latest(reading: Reading, model: str, tenant: TenantId | None = None) -> Window | None:
    """The newest window that was looked at, of a tenant or of the fleet."""
    return _first(reading, _of(model, tenant).where(WINDOWS.c.phase != Phase.SCHEDULED.value))


def last_of_models(reading: Reading, phases: Sequence[Phase], *, limit: int) -> list[Window]:
    """Of each model the newest stretch that has reached one of `phases`: the fleet's window and
    its tenants', at most `limit` of them.

    The stretch of each model is found from the end of an index, so that a long history costs
    nothing.
    """
    names = [phase.value for phase in phases]
    fleet, mine = WINDOWS.alias("fleet"), WINDOWS
    newest = (
        sa.select(fleet.c.start)
        .where(fleet.c.model == MODELS.c.name, fleet.c.tenant.is_(None), fleet.c.phase.in_(names))
        .order_by(fleet.c.start.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        sa.select(mine)
        .join(MODELS, MODELS.c.name == mine.c.model)
        .where(mine.c.start == newest, mine.c.phase.in_(names))
        .order_by(mine.c.tenant.is_not(None), mine.c.model, mine.c.tenant)
        .limit(limit)
    )
    return [from_row(row) for row in reading.rows(query)]


def beside(reading: Reading, window: Window) -> list[Window]:
    """The windows of the same stretch: the fleet's first, then the tenants' by name."""
    query = (
        sa.select(WINDOWS)
        .where(WINDOWS.c.model == window.model, WINDOWS.c.start == window.start)
        .order_by(WINDOWS.c.tenant.is_not(None), WINDOWS.c.tenant)
    )
    return [from_row(row) for row in reading.rows(query)]


_LATER = (
    sa.select(WINDOWS.c.id)
    .where(
        WINDOWS.c.model == sa.bindparam("model"),
        WINDOWS.c.tenant.is_(None),
        WINDOWS.c.start > sa.bindparam("start"),
        WINDOWS.c.phase.in_(sa.bindparam("phases", expanding=True)),
    )
    .limit(1)
)


def has_newer(reading: Reading, window: Window, phases: Sequence[Phase]) -> bool:
    """Whether a later window of the fleet has reached one of `phases`."""
    asked = {
        "model": window.model,
        "start": window.start,
        "phases": [phase.value for phase in phases],
    }
    return reading.row(_LATER, asked) is not None


def looked_at_after(reading: Reading, window: Window) -> list[Window]:
    """Later windows, of the fleet and of tenants, that were looked at."""
    query = sa.select(WINDOWS).where(
        WINDOWS.c.model == window.model,
        WINDOWS.c.start > window.start,
        WINDOWS.c.phase != Phase.SCHEDULED.value,
    )
    return [from_row(row) for row in reading.rows(query)]


def last_rows(reading: Reading, model: str) -> dict[str, int]:
    """Each tenant that ever had a window, with the rows of its newest one."""
    newest = (
        sa.select(WINDOWS.c.tenant, sa.func.max(WINDOWS.c.start).label("start"))
        .where(WINDOWS.c.model == model, WINDOWS.c.tenant.is_not(None))
        .group_by(WINDOWS.c.tenant)
        .subquery()
    )
    query = sa.select(WINDOWS.c.tenant, WINDOWS.c.rows).join(
        newest,
        sa.and_(WINDOWS.c.tenant == newest.c.tenant, WINDOWS.c.start == newest.c.start),
    )
    rows = reading.rows(query.where(WINDOWS.c.model == model))
    return {row["tenant"]: row["rows"] for row in rows}


_DUE = (
    sa.select(WINDOWS.c.id)
    .where(WINDOWS.c.due_at <= sa.bindparam("now"))
    .order_by(WINDOWS.c.due_at, WINDOWS.c.start, WINDOWS.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def due(reading: Reading, now: datetime, *, limit: int = 100) -> list[str]:
    """Ids of the windows that something is to be done with by now, oldest first."""
    return [row["id"] for row in reading.rows(_DUE, {"now": now, "most": limit})]


def next_due(reading: Reading) -> datetime | None:
    """When something is to be done next, or None."""
    row = reading.row(sa.select(sa.func.min(WINDOWS.c.due_at).label("at")))
    return None if row is None else row["at"]


def of_fleet_between(reading: Reading, model: str, first: datetime, last: datetime) -> list[Window]:
    """The fleet's windows that hold a moment of [first, last], oldest first.

    They are held as they are until the transaction ends: whoever keeps a batch learns of a
    window that is just being closed, and who closes it then sees the batch.
    """
    fleet = _of(model, None)
    before = reading.row(
        fleet.with_only_columns(WINDOWS.c.start)
        .where(WINDOWS.c.start <= first)
        .order_by(WINDOWS.c.start.desc())
        .limit(1)
    )
    earliest = first if before is None else before["start"]
    query = fleet.where(
        WINDOWS.c.start >= earliest, WINDOWS.c.start <= last, WINDOWS.c.end > first
    ).with_for_update(read=True)
    return [from_row(row) for row in reading.rows(query.order_by(WINDOWS.c.start))]


def first_scheduled(reading: Reading, model: str) -> Window | None:
    """The fleet's oldest window."""
    row = reading.row(_of(model, None).order_by(WINDOWS.c.start).limit(1))
    return None if row is None else from_row(row)


def missed_windows(
    reading: Reading, model: str, now: datetime, *, grace: timedelta
) -> list[tuple[datetime, datetime]]:
    """Stretches that ended more than `grace` ago and that nobody has looked at: scheduled and
    not closed, or not even scheduled. Oldest first; a monitor that stands still shows here."""
    query = (
        sa.select(WINDOWS.c.start, WINDOWS.c.end)
        .where(
            WINDOWS.c.model == model,
            WINDOWS.c.tenant.is_(None),
            WINDOWS.c.phase == Phase.SCHEDULED.value,
            WINDOWS.c.end <= now - grace,
        )
        .order_by(WINDOWS.c.start)
    )
    missed = [(row["start"], row["end"]) for row in reading.rows(query)]
    last = last_scheduled(reading, model)
    if last is not None and last.end <= now - grace:
        length = last.end - last.start
        whole = (now - grace - last.end) // length
        missed += [(last.end + i * length, last.end + (i + 1) * length) for i in range(whole)]
    return missed


def last_outcomes(reading: Reading, model: str, tenant: TenantId | None = None) -> datetime | None:
    """The end of the last window in which any outcome was judged, of a tenant or the fleet."""
    query = (
        _of(model, tenant)
        .with_only_columns(WINDOWS.c.end)
        .where(WINDOWS.c.performance["labels"].as_integer() > 0)
        .order_by(WINDOWS.c.start.desc())
        .limit(1)
    )
    row = reading.row(query)
    return None if row is None else row["end"]


def windows(
    reading: Reading,
    model: str,
    tenant: TenantId | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 400,
) -> list[Window]:
    """Windows that were looked at and began in [since, until), newest `limit` of them, oldest
    first."""
    query = _of(model, tenant).where(WINDOWS.c.phase != Phase.SCHEDULED.value)
    if since is not None:
        query = query.where(WINDOWS.c.start >= since)
    if until is not None:
        query = query.where(WINDOWS.c.start < until)
    rows = reading.rows(query.order_by(WINDOWS.c.start.desc()).limit(limit))
    return [from_row(row) for row in reversed(rows)]


def settled(
    reading: Reading,
    model: str,
    tenants: Collection[TenantId | None],
    *,
    until: datetime | None = None,
    limit: int,
) -> Sequence[sa.RowMapping]:
    """What settled windows of these tenants (None: of the fleet) found of the output, the
    newest `limit` of each, oldest first; with `until`, of those that were over by then.

    The look at the input, which is long, is left where it is.
    """
    named = WINDOWS.c.tenant.in_([tenant for tenant in tenants if tenant is not None])
    mine = named | WINDOWS.c.tenant.is_(None) if None in tenants else named
    place = sa.func.row_number().over(
        partition_by=WINDOWS.c.tenant, order_by=WINDOWS.c.start.desc()
    )
    columns = [WINDOWS.c[name] for name in ("id", "tenant", "start", "end", "performance")]
    query = sa.select(*columns, place.label("place")).where(
        WINDOWS.c.model == model, mine, WINDOWS.c.phase == Phase.SETTLED.value
    )
    if until is not None:
        query = query.where(WINDOWS.c.end <= until)
    ranked = query.subquery()
    own = [ranked.c[column.name] for column in columns]
    return reading.rows(sa.select(*own).where(ranked.c.place <= limit).order_by(ranked.c.start))


_WATCHED = (
    sa.select(WATCHES)
    .where(
        WATCHES.c.model == sa.bindparam("model"),
        WATCHES.c.subject.in_(sa.bindparam("subjects", expanding=True)),
    )
    .order_by(WATCHES.c.tenant.is_not(None), WATCHES.c.tenant, WATCHES.c.name)
)


def watches(
    reading: Reading, model: str, *, subjects: Sequence[Subject] = tuple(Subject)
) -> list[Watch]:
    """All watches of a model, of the fleet and of its tenants."""
    asked = {"model": model, "subjects": [subject.value for subject in subjects]}
    return [_watch(row) for row in reading.rows(_WATCHED, asked)]


def _of(model: str, tenant: TenantId | None) -> sa.Select[Any]:
    mine = WINDOWS.c.tenant.is_(None) if tenant is None else WINDOWS.c.tenant == tenant
    return sa.select(WINDOWS).where(WINDOWS.c.model == model, mine)


def _first(reading: Reading, query: sa.Select[Any]) -> Window | None:
    row = reading.row(query.order_by(WINDOWS.c.start.desc()).limit(1))
    return None if row is None else from_row(row)


def _fields(thing: Window | Watch) -> dict[str, Any]:
    return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}


def _row(window: Window) -> dict[str, Any]:
    return {
        **_fields(window),
        "phase": window.phase.value,
        "drift": plain(window.drift),
        "performance": plain(window.performance),
        "skipped": list(window.skipped),
    }


def from_row(row: sa.RowMapping) -> Window:
    """A window from its row."""
    drift, performance = row["drift"], row["performance"]
    return Window(
        **{
            **row,
            "phase": Phase(row["phase"]),
            "skipped": tuple(row["skipped"]),
            "drift": drift and Drift(**{**drift, "verdict": Verdict(drift["verdict"])}),
            "performance": performance
            and Performance(**{**performance, "verdict": Verdict(performance["verdict"])}),
        }
    )


def _watch(row: sa.RowMapping) -> Watch:
    return Watch(**{**row, "subject": Subject(row["subject"]), "phase": WatchPhase(row["phase"])})
