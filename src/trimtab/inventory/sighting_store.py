"""What a scan last showed of each version, and what is to be read of it again.

It decides nothing: without these rows everything would be read once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.inventory.record import Stage
from trimtab.inventory.store import REVISIONS, key_of
from trimtab.platform.database import Kind, Moment, plain_table

SIGHTINGS = plain_table(
    "inventory_sightings",
    Kind.CURSOR,
    sa.Column("record", sa.String(80), primary_key=True),
    sa.Column("connection", sa.String(80), nullable=False),
    sa.Column("key", sa.String(80), nullable=False),
    sa.Column("source_hash", sa.String(71), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("retry_at", Moment),
    sa.Column("inspect_attempts", sa.Integer, nullable=False),
    sa.Column("inspect_retry_at", Moment),
    sa.Column("scanner", sa.Text),
    sa.Index("ix_inventory_sightings_key", "connection", "key", unique=True),
    sa.Index("ix_inventory_sightings_scanner", "connection", "scanner"),
    sa.Index(
        "ix_inventory_sightings_again",
        "connection",
        "inspect_retry_at",
        sqlite_where=sa.text("inspect_retry_at IS NOT NULL"),
        postgresql_where=sa.text("inspect_retry_at IS NOT NULL"),
    ),
)

_S = SIGHTINGS.c
_R = REVISIONS.c


@dataclass(frozen=True)
class Sighting:
    """A version that a registry has.

    `source_hash` is that of what a scan shows of it, when it was last read. `attempts` counts
    how often it could not be read in full since then; it is tried again from `retry_at` on.
    `inspect_attempts` and `inspect_retry_at` are the same of its files: before that moment
    nobody looks into them again. `scanner` is which one looked into them last; None: nobody
    has, since they are as they are.
    """

    record: str
    connection: str
    key: str
    source_hash: str
    attempts: int = 0
    retry_at: datetime | None = None
    inspect_attempts: int = 0
    inspect_retry_at: datetime | None = None
    scanner: str | None = None


def of(reading: Reading, connection: str, keys: Sequence[str]) -> dict[str, Sighting]:
    """What was seen of these versions."""
    query = sa.select(SIGHTINGS).where(
        SIGHTINGS.c.connection == connection, SIGHTINGS.c.key.in_(keys)
    )
    return {row["key"]: Sighting(**row) for row in reading.rows(query)}


def keys(
    reading: Reading, connection: str, *, model: str | None = None
) -> Iterator[tuple[str, str]]:
    """Key and record of every version that is taken to be there, of all models or of one."""
    query = sa.select(SIGHTINGS.c.key, SIGHTINGS.c.record).where(
        SIGHTINGS.c.connection == connection
    )
    if model is not None:
        query = query.where(SIGHTINGS.c.key.startswith(key_of(model, 0)[:-1], autoescape=True))
    for row in reading.rows(query):
        yield str(row["key"]), str(row["record"])


def put(work: Work, seen: Sighting) -> None:
    """Write what was seen of a version."""
    forget(work, seen.record)
    work.append(SIGHTINGS, [vars(seen)])


def inspect_attempts(reading: Reading, record: str) -> int:
    """How often the files of a version could not be had since it was last looked into."""
    row = reading.row(sa.select(_S.inspect_attempts).where(_S.record == record))
    return 0 if row is None else int(row["inspect_attempts"])


def inspect_again(work: Work, record: str, attempts: int, at: datetime) -> None:
    """Have the files of a version looked into again then."""
    seen = SIGHTINGS.update().where(_S.record == record)
    work.execute(seen.values(inspect_attempts=attempts, inspect_retry_at=at))


def inspected(work: Work, record: str, scanner: str) -> None:
    """The files of a version were looked into by this scanner; they are again where they
    change, another scanner comes, or everything is read."""
    seen = SIGHTINGS.update().where(_S.record == record)
    work.execute(seen.values(inspect_attempts=0, inspect_retry_at=None, scanner=scanner))


def uninspected(reading: Reading, connection: str, scanner: str, *, limit: int) -> list[str]:
    """Records whose files are to be looked into now, by this scanner: those first that nobody
    has looked into, and of these what stands in production. Those whose files could not be
    listed wait for that."""
    stage = sa.case(
        (_R.stage == Stage.PRODUCTION.value, 0), (_R.stage == Stage.STAGING.value, 1), else_=2
    )
    of = sa.select(_S.record).where(_S.connection == connection)
    fresh = of.where(_S.inspect_retry_at.is_(None))
    # Each is a range that an index has, and nearly always nothing is in any.
    others = (_S.scanner.is_(None), _S.scanner < scanner, _S.scanner > scanner)
    ranges = [of.where(_S.inspect_retry_at <= reading.now), *(fresh.where(one) for one in others)]
    query = (
        sa.select(_R.record)
        .where(
            _R.connection == connection,
            _R.record.in_(sa.union_all(*ranges)),
            _R.until.is_(None),
            ~_R.removed,
            sa.or_(_R.listed, ~_R.incomplete),
        )
        .order_by(_R.inspection.is_not(None), stage, _R.model, _R.version.desc())
        .limit(limit)
    )
    return [str(row["record"]) for row in reading.rows(query)]


def forget(work: Work, record: str) -> None:
    """A version is not there any more, or is to be read again as if it were new."""
    work.execute(SIGHTINGS.delete().where(SIGHTINGS.c.record == record))
