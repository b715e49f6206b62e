"""The ledger tells every change once, without a gap, keeps what it has to keep, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from trimtab.artifacts.redaction import secrets_in
from trimtab.audit.tables import ENTRIES, FLEET, PAYLOADS, SIZE, WHOLE
from trimtab.kernel.events import Note, canonical, kinds
from trimtab.platform.database import Kind, metadata
from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Found
from trimtab.workflows.loss import LossAccepted  # which a command enters, and no control plane

RETENTION = timedelta(days=7 * 366)
"""What is younger is never blanked."""

_CREDENTIALS = {"private_key", "cloud_key", "service_token", "json_web_token"}
_MOST = 50
"""Exceptions that are named; a table that was rewritten would have them all."""


@cache
def _differences(there: frozenset[str]) -> sa.Select[Any]:
    """Rows and subjects whose numbers differ, over the tables of decisions that are `there`."""
    known = (t for t in metadata.sorted_tables if t.info.get("kind") is Kind.DECISION)
    tables = [t for t in known if t.name in there]
    written = sa.union_all(*(sa.select(t.c.id, t.c.revision) for t in tables)).subquery()
    entered = (
        sa.select(ENTRIES.c.subject, sa.func.count().label("number"))
        .where(ENTRIES.c.kind.not_in(sorted(kinds(Note) | {LossAccepted.kind})))
        .group_by(ENTRIES.c.subject)
        .subquery()
    )
    joined = written.outerjoin(entered, entered.c.subject == written.c.id, full=True)
    return (
        sa.select(written.c.id, written.c.revision, entered.c.subject, entered.c.number)
        .select_from(joined)
        .where(sa.func.coalesce(written.c.revision, 0) != sa.func.coalesce(entered.c.number, 0))
        .limit(_MOST)
    )


def every_change_is_entered(look: Look) -> Iterator[Found]:
    """A row of decisions has as many revisions as the ledger has entries of changes to it."""
    there = frozenset(sa.inspect(look.reading.connection).get_table_names())
    for row in look.reading.rows(_differences(there)):
        name = row["id"] or row["subject"]
        what = f"{name} was written {row['revision'] or 0} times and entered {row['number'] or 0}"
        yield Found(f"{what} times", (name,))


def entries_have_no_gap(look: Look) -> Iterator[Found]:
    """Entries are numbered one by one, for the whole and for each tenant."""
    last: dict[str, int] = {}
    for entry in look.entries:
        for name, number in (
            (WHOLE, entry.sequence),
            (entry.tenant or FLEET, entry.tenant_sequence),
        ):
            known = last.get(name)
            if known is not None and number != known + 1:
                what = f"entry {number} follows on {known} in the ledger of {name or 'the fleet'}"
                yield Found(what, (str(entry.sequence),))
            last[name] = number
    e = ENTRIES.c
    counted = sa.select(
        e.tenant,
        sa.func.count().label("number"),
        sa.func.max(e.tenant_sequence).label("newest"),
    ).group_by(e.tenant)
    tenants = {row["tenant"]: row for row in look.reading.rows(counted)}
    sizes = {row["tenant"]: row["size"] for row in look.reading.rows(sa.select(SIZE))}
    for name, row in tenants.items():
        if not row["number"] == row["newest"] == sizes.get(name):
            what = f"the ledger of {name or 'the fleet'} has {row['number']} entries"
            yield Found(f"{what}, numbered to {row['newest']}, of {sizes.get(name)}", (name,))
    if sum(row["number"] for row in tenants.values()) != sizes.get(WHOLE, 0):
        yield Found(f"the ledger does not have the {sizes.get(WHOLE)} entries that it says", ("*",))


def payloads_are_kept(look: Look) -> Iterator[Found]:
    """No payload is blanked before its time."""
    joined = ENTRIES.join(PAYLOADS, PAYLOADS.c.sequence == ENTRIES.c.sequence, isouter=True)
    query = sa.select(ENTRIES.c.sequence).select_from(joined)
    query = query.where(PAYLOADS.c.body.is_(None), ENTRIES.c.at > look.now - RETENTION)
    for row in look.reading.rows(query.order_by(ENTRIES.c.sequence).limit(_MOST)):
        yield Found(f"the payload of entry {row['sequence']} is gone", (str(row["sequence"]),))


def no_secret_is_entered(look: Look) -> Iterator[Found]:
    """No entry holds a key, a token or a key of somebody else's."""
    for entry in look.entries:
        kinds = _CREDENTIALS.intersection(secrets_in(canonical([entry.data, entry.reason])))
        if kinds:
            what = f"entry {entry.sequence} holds what looks like a {', '.join(sorted(kinds))}"
            yield Found(what, (str(entry.sequence),))
