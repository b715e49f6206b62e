"""Rows of records: one for each version of a registry, and one for each of its revisions.

What is shown of a moment is the revisions that held then: those that hold now are the ones
without an end. A revision is never changed, but for its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.inventory.compliance import Outcome
from trimtab.inventory.model import Entry, Placement
from trimtab.inventory.record import Record, Stage
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Kind, Moment, decision_table, plain_table

RECORDS = decision_table(
    "inventory_records",
    sa.Column("connection", sa.String(80), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("key", sa.String(80), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("removed", sa.Boolean, nullable=False),
    sa.Index("uq_inventory_records_key", "connection", "key", unique=True),
)
"""`key` stands for the name and the number of a version: a name may be longer than an index
takes."""

REVISIONS = plain_table(
    "inventory_revisions",
    Kind.OBSERVATION,
    sa.Column("record", sa.String(80), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("connection", sa.String(80), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("until", Moment),
    sa.Column("removed", sa.Boolean, nullable=False),
    sa.Column("stage", sa.String(12), nullable=False),
    sa.Column("aliases", Json, nullable=False),
    sa.Column("owner", sa.Text),  # whom a tag names; who happened to start a run is none
    sa.Column("privacy", sa.Text),  # only where the assessment is completed
    sa.Column("inspection", sa.String(12)),
    sa.Column("incomplete", sa.Boolean, nullable=False),
    sa.Column("listed", sa.Boolean, nullable=False),
    sa.Column("gaps", sa.Text, nullable=False),
    sa.Column("judged_by", sa.String(71), nullable=False),
    sa.Column("rulebook", sa.String(71), nullable=False),
    sa.Column("outcomes", sa.Text, nullable=False),  # a letter for each rule, in their order
    sa.Column("document", Json, nullable=False),
    sa.Column("compliance", Json, nullable=False),
    sa.Index(
        "ix_inventory_revisions_current",
        "connection",
        "record",
        unique=True,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    ),
    sa.Index(
        "ix_inventory_revisions_listed",
        "model",
        sa.text("version DESC"),
        "record",
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    ),
    sa.Index(
        "ix_inventory_revisions_judged",
        "connection",
        "judged_by",
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    ),
    sa.Index("ix_inventory_revisions_since", "connection", "since"),
)
_R = REVISIONS.c
_ASSUMED = "owner_assumed"
_COMPLETED = "completed"
_NAME_CHARS = 400
"""Letters of a name that an index takes: PostgreSQL's pages hold 2,700 bytes of one."""
_LETTERS = {
    Outcome.PASS: "p",
    Outcome.FAIL: "f",
    Outcome.INCONCLUSIVE: "i",
    Outcome.WAIVED: "w",
    Outcome.NOT_APPLICABLE: "n",
}
_OUTCOMES = {letter: outcome for outcome, letter in _LETTERS.items()}


@dataclass(frozen=True)
class Head:
    """Which record stands for a version of a registry. `number` is that of its newest revision."""

    id: str
    connection: str
    tenant: TenantId | None
    key: str
    number: int
    removed: bool
    revision: int = 0


@dataclass(frozen=True)
class Filter:
    """Which records are wanted. What is None or False leaves its question open; but of what
    registries have no more there is nothing, or with `removed` nothing else. `text` is part of
    a model's name, `gap` a rule, and the inspection `none` is that nobody has looked."""

    connection: str | None = None
    model: str | None = None
    text: str | None = None
    stage: Stage | None = None
    without_owner: bool = False
    gap: str | None = None
    inspection: str | None = None
    incomplete: bool = False
    removed: bool = False


def key_of(model: str, version: int) -> str:
    """What stands for a version among those of its registry."""
    return f"{hashlib.sha256(model.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}:{version}"


def stored_name(name: str) -> str:
    """A name as it is found and sorted by: the one letter that a database may not be able to
    hold is shown by its picture, and of one that is longer than an index takes the end is its
    hash. The record itself has the name as it is."""
    shown = name.replace("\0", "\u2400")
    if len(shown) <= _NAME_CHARS:
        return shown
    told = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{shown[: _NAME_CHARS - len(told)]}{told}"


def heads(reading: Reading, connection: str, keys: Sequence[str]) -> dict[str, Head]:
    """The records that there are for these keys."""
    query = sa.select(RECORDS).where(RECORDS.c.connection == connection, RECORDS.c.key.in_(keys))
    return {row["key"]: Head(**row) for row in reading.rows(query)}


def head(reading: Reading, record_id: str) -> Head:
    """The record with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(RECORDS, record_id)
    if row is None:
        raise NotFound("there is no such record", field="record")
    return Head(**row)


def add(work: Work, fresh: Head, entry: Entry, because: Event) -> None:
    """Keep a version that was not known."""
    work.create(RECORDS, _without_revision(fresh), because=because)
    work.append(REVISIONS, [_row(entry)])


def move(work: Work, moved: Head, entry: Entry, because: Event) -> None:
    """Keep another revision of a record over the one that it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(RECORDS, {**_without_revision(moved), "revision": moved.revision}, because=because)
    ended = REVISIONS.update().where(_R.record == moved.id, _R.until.is_(None))
    work.execute(ended.values(until=entry.since))
    work.append(REVISIONS, [_row(entry)])


def current(reading: Reading, record_ids: Sequence[str]) -> dict[str, Entry]:
    """How each of these records stands."""
    query = sa.select(REVISIONS).where(_R.record.in_(record_ids), _R.until.is_(None))
    return {row["record"]: _entry(row) for row in reading.rows(query)}


def at(reading: Reading, record_id: str, moment: datetime | None = None) -> Entry | None:
    """How a record stands, or stood at `moment`; None: it was not known then."""
    query = sa.select(REVISIONS).where(_R.record == record_id, _held(moment))
    row = reading.row(query)
    return None if row is None else _entry(row)


def revisions(reading: Reading, record_id: str, *, limit: int = 200) -> list[Entry]:
    """Revisions of a record, newest first."""
    query = sa.select(REVISIONS).where(_R.record == record_id)
    rows = reading.rows(query.order_by(_R.number.desc()).limit(limit))
    return [_entry(row) for row in rows]


def listed(
    reading: Reading,
    wanted: Filter,
    *,
    tenant: TenantId | None = None,
    moment: datetime | None = None,
    after: tuple[str, int, str] | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Records by model, newest version first.

    Args:
        tenant: Only this tenant's; None for everybody's.
        moment: As they stood then.
        after: Model, version and record of the last one of the page before.
    """
    query = sa.select(REVISIONS).where(*_conditions(wanted, tenant, moment))
    if after is not None:
        model, version, record = after
        query = query.where(
            _R.model >= model,  # what an index can begin at
            sa.or_(
                _R.model > model,
                sa.and_(_R.model == model, _R.version < version),
                sa.and_(_R.model == model, _R.version == version, _R.record > record),
            ),
        )
    order = (_R.model, _R.version.desc(), _R.record)
    return [_entry(row) for row in reading.rows(query.order_by(*order).limit(limit))]


@dataclass(frozen=True)
class Tally:
    """How many records there are, by what is asked of an inventory. An owner who is only assumed
    is none, and a privacy assessment that is not completed is none."""

    models: int = 0
    versions: int = 0
    in_production: int = 0
    without_owner: int = 0
    without_privacy_assessment: int = 0
    incomplete: int = 0
    inspected: int = 0
    suspicious: int = 0
    malicious: int = 0
    unreadable: int = 0
    gaps: int = 0


def tally(
    reading: Reading,
    wanted: Filter,
    *,
    tenant: TenantId | None = None,
    moment: datetime | None = None,
) -> Tally:
    """Counts of the records that `wanted` asks for."""

    def of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    names = sa.func.count(sa.distinct(_R.connection + sa.literal("/") + _R.model))
    query = sa.select(
        names.label("models"),
        sa.func.count().label("versions"),
        of(_R.stage == Stage.PRODUCTION.value).label("in_production"),
        of(_R.owner.is_(None)).label("without_owner"),
        of(_R.privacy.is_(None)).label("without_privacy_assessment"),
        of(_R.incomplete).label("incomplete"),
        of(_R.inspection.is_not(None)).label("inspected"),
        *(
            of(_R.inspection == result).label(result)
            for result in ("suspicious", "malicious", "unreadable")
        ),
        of(_R.gaps != "").label("gaps"),
    ).where(*_conditions(wanted, tenant, moment))
    row = reading.row(query)
    assert row is not None
    return Tally(**{name: int(value) for name, value in row.items()})


def outcomes(
    reading: Reading, *, tenant: TenantId | None = None
) -> list[tuple[str, tuple[Outcome, ...], int]]:
    """How the records that there are were judged last: by which rulebook (its digest), with
    which outcome of each of its rules, and how many so."""
    query = sa.select(_R.rulebook, _R.outcomes, sa.func.count().label("records"))
    query = query.where(*_conditions(Filter(), tenant, None)).group_by(_R.rulebook, _R.outcomes)
    return [
        (row["rulebook"], tuple(_OUTCOMES[one] for one in row["outcomes"]), row["records"])
        for row in reading.rows(query)
    ]


def stale(reading: Reading, connection: str, judged_by: str, *, limit: int) -> list[str]:
    """Records of a connection that were last judged by something else than this."""
    there = (_R.connection == connection, _R.until.is_(None), ~_R.removed)
    found = list[str]()
    # Each is a range that an index has, and nearly always nothing is in either.
    for other in (_R.judged_by < judged_by, _R.judged_by > judged_by):
        query = sa.select(_R.record).where(*there, other).limit(limit - len(found))
        found += (str(row["record"]) for row in reading.rows(query))
    return found


def judged_alike(work: Work, record_ids: Sequence[str], judged_by: str, rulebook: str) -> None:
    """Note that these records stand by other rules and waivers as they stood before: by the
    rules, in their order, of the rulebook with this digest."""
    current = REVISIONS.update().where(_R.record.in_(record_ids), _R.until.is_(None))
    work.execute(current.values(judged_by=judged_by, rulebook=rulebook))


def first_seen(reading: Reading, record_id: str) -> datetime | None:
    """Since when a record is known."""
    query = sa.select(_R.since).where(_R.record == record_id, _R.number == 1)
    row = reading.row(query)
    return None if row is None else row["since"]


def _held(moment: datetime | None) -> sa.ColumnElement[bool]:
    if moment is None:
        return _R.until.is_(None)
    return sa.and_(_R.since <= moment, sa.or_(_R.until.is_(None), _R.until > moment))


def _conditions(
    wanted: Filter, tenant: TenantId | None, moment: datetime | None
) -> list[sa.ColumnElement[bool]]:
    found = [_held(moment), _R.removed if wanted.removed else ~_R.removed]
    exact = {"connection": wanted.connection, "tenant": tenant}
    if wanted.model is not None:
        exact["model"] = stored_name(wanted.model)
    found += [_R[name] == value for name, value in exact.items() if value is not None]
    if wanted.stage is not None:
        found.append(_R.stage == wanted.stage.value)
    if wanted.text:
        found.append(_R.model.icontains(wanted.text, autoescape=True))
    if wanted.without_owner:
        found.append(_R.owner.is_(None))
    if wanted.incomplete:
        found.append(_R.incomplete)
    if wanted.gap is not None:
        found.append(_R.gaps.contains(f",{wanted.gap},", autoescape=True))
    if wanted.inspection is not None:
        none = wanted.inspection == "none"
        found.append(_R.inspection.is_(None) if none else _R.inspection == wanted.inspection)
    return found


def _without_revision(head: Head) -> dict[str, Any]:
    return {name: value for name, value in vars(head).items() if name != "revision"}


def _row(entry: Entry) -> dict[str, Any]:
    placement = Placement.of(entry.record)
    assumed = any(finding.code == _ASSUMED for finding in entry.record.findings)
    owner = None if assumed else entry.record.value("owner")
    privacy = entry.record.value("privacy_assessment_status")
    gaps = entry.compliance.get("gaps", ())
    return {
        "record": entry.id,
        "number": entry.number,
        "connection": entry.connection,
        "tenant": entry.tenant,
        "model": stored_name(entry.record.model),
        "version": entry.record.version,
        "since": entry.since,
        "until": None,
        "removed": entry.removed,
        "stage": placement.stage.value,
        "aliases": list(placement.aliases),
        "owner": None if owner is None else stored_name(str(owner)),
        "privacy": privacy if privacy == _COMPLETED else None,
        "inspection": entry.inspection,
        "incomplete": entry.record.incomplete is not None,
        "listed": bool(entry.record.value("artifact_manifest")),
        "gaps": f",{','.join(gaps)}," if gaps else "",
        "judged_by": str(entry.compliance.get("judged_by", "")),
        "rulebook": str(entry.compliance.get("digest", "")),
        "outcomes": "".join(
            _LETTERS[Outcome(rule["outcome"])] for rule in entry.compliance.get("rules", ())
        ),
        "document": entry.record.plain(),
        "compliance": dict(entry.compliance),
    }


def _entry(row: Mapping[Any, Any]) -> Entry:
    own = ("connection", "tenant", "number", "since", "removed", "inspection", "compliance")
    return Entry(
        id=row["record"],
        record=Record.read(row["document"]),
        **{name: row[name] for name in own},
    )
