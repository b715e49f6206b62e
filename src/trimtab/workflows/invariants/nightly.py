"""Once a day of domain time: are the records as they must be? What was found is an entry.

The entries since the last check are looked at one by one, and everything that is present as a
whole. `trimtab audit invariants` looks at all entries there are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa

from trimtab.audit import ledger
from trimtab.audit.tables import ENTRIES
from trimtab.audit.work import Reading
from trimtab.kernel.actor import system
from trimtab.kernel.clock import begin_of, iso
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.events import Note
from trimtab.platform.logs import logger
from trimtab.workflows.invariants.catalogue import EVERY, HEADS, OF_A_LOOK, violations
from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Violation
from trimtab.workflows.parts import Parts

log = logger(__name__)

EVERY_SO_OFTEN = timedelta(days=1)
ENTRIES_AT_ONCE = 2000
MOST_NAMED = 50
"""Exceptions that the entry names; all of them are counted."""

SUBJECT = "records"

_at = ENTRIES.c.at
_checked = sa.select(sa.func.max(ENTRIES.c.sequence)).where(ENTRIES.c.kind == sa.bindparam("kind"))
_SINCE = sa.select(
    sa.select(_at).where(ENTRIES.c.sequence == _checked.scalar_subquery()).scalar_subquery()
    .label("checked"),
    sa.select(_at).where(ENTRIES.c.sequence == 1).scalar_subquery().label("began"),
)  # fmt: skip
"""When the last check was, and when the ledger began: asked with every pass of the loop."""


@dataclass(frozen=True)
class InvariantsChecked(Note):
    """Somebody looked whether the records are as they must be; `violated` counts exceptions."""

    kind: ClassVar[str] = "invariants.checked"

    after: int
    upto: int
    violated: dict[str, int]
    violations: list[dict[str, Any]]


@dataclass(frozen=True)
class Report:
    """What was looked at, the entries behind `after` up to `upto`, and every exception."""

    after: int
    upto: int
    violations: tuple[Violation, ...]

    @property
    def counted(self) -> dict[str, int]:
        """How many exceptions there are, by the invariant; 0 for those that hold."""
        found = Counter(violation.invariant for violation in self.violations)
        return {name: found[name] for name in (*(i.name for i in EVERY), HEADS)}


def look_through(parts: Parts, *, after: int = 0, waited_since: datetime | None = None) -> Report:
    """Check every invariant: the entries behind `after` one by one, the rest as a whole.

    What was due by `waited_since` and did not move is stuck.
    """
    policies = {policy.digest: policy for policy in parts.policies.values()}
    found: dict[Violation, None] = {}
    reached = after
    with parts.records.look() as reading:
        while True:
            entries = ledger.entries(reading.connection, after=reached, limit=ENTRIES_AT_ONCE)
            reached = entries[-1].sequence if entries else reached
            last = len(entries) < ENTRIES_AT_ONCE
            look = Look(
                reading,
                entries,
                policies=policies,
                has=parts.blobs.has if last else None,
                waited_since=waited_since,
            )
            found |= dict.fromkeys(violations(look, EVERY if last else OF_A_LOOK))
            if last:
                break
    found |= dict.fromkeys(_heads(parts))
    return Report(after, reached, tuple(found))


def check(parts: Parts, _subject: str) -> None:
    """Look at what came since the last check, and put what was found into the ledger."""
    with parts.records.look() as reading:
        newest = last_check(reading)
        if newest is not None and reading.now - newest.at < EVERY_SO_OFTEN:
            return
    after = 0 if newest is None or newest.data is None else int(newest.data["upto"])
    # A clock that was set forward makes much due at once: stuck is what was so a check ago too.
    report = look_through(parts, after=after, waited_since=None if newest is None else newest.at)
    for violation in report.violations[:MOST_NAMED]:
        log.error("an invariant is violated", invariant=violation.invariant, what=violation.what)
    named = [vars(v) | {"ids": list(v.ids)} for v in report.violations[:MOST_NAMED]]
    with parts.records.begin(system("audit"), reason="once a day") as work:
        again = last_check(work)
        if again is not None and work.now - again.at < EVERY_SO_OFTEN:
            return  # somebody was faster
        work.record(
            InvariantsChecked(
                subject=SUBJECT,
                tenant=None,
                after=report.after,
                upto=report.upto,
                violated={name: n for name, n in report.counted.items() if n},
                violations=named,
            )
        )


def due(reading: Reading) -> list[tuple[str, str]]:
    """The records, once a day since they began. A day whose turn has failed for good does not
    keep the next one from its own."""
    row = reading.row(_SINCE, {"kind": InvariantsChecked.kind})
    since = None if row is None else row["checked"] or row["began"]
    if since is None or reading.now - since < EVERY_SO_OFTEN:
        return []
    return [(SUBJECT, iso(begin_of(reading.now, EVERY_SO_OFTEN)))]


def last_check(reading: Reading) -> ledger.Entry | None:
    """The entry of the newest check, or None."""
    kinds = (InvariantsChecked.kind,)
    found = ledger.entries(reading.connection, kinds=kinds, newest_first=True, limit=1)
    return found[0] if found else None


def _heads(parts: Parts) -> list[Violation]:
    try:
        parts.heads.confirm()
    except IntegrityFailed as error:
        return [Violation(HEADS, error.message, ("*",))]
    return []
