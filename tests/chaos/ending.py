"""What is left of a home when a story is over: what must be equal, and what must hold.

Ids are drawn anew in every run, and reactions to entries of the same moment may be carried
out in any order; so rows and entries are compared as they read without their ids, however
they are ordered. Everything else is compared, times and revisions too.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.databases import opened_at

import trimtab.app  # noqa: F401 - every table is known once the house is joined
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.platform.database import Database, Kind, metadata

Rows = dict[str, list[dict[str, Any]]]

_ID = re.compile(r"\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{16}\b")
_FREE = re.compile(r"\d+ MiB free")
_COMPARED_TOO = (
    "inbox_messages",
    "incident_signals",
    "prediction_batches",
    "label_batches",
    "late_rows",
)
_MEASURED = {"sealed", "signature", "password_hash", "sha256", "seconds", "checks_digest"}
"""Fields that are random, or hold a measurement of this machine, or follow from one."""

_AT_ONCE = {"incident.signal_added": {"signals"}, "invariants.checked": {"after", "upto"}}
"""What depends on which of two entries of the same moment is heard first."""

_NUMBERS = {"cause", "sequence", "signal"}
"""Fields that hold the number of an entry; it is read as that entry's kind."""

_DEAD = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


@dataclass(frozen=True)
class Ending:
    """Everything that one run has left behind."""

    rows: Rows
    entries: list[Entry]
    jobs: Counter[str]
    """How many jobs of the engine are in each state."""

    def story(self) -> Counter[str]:
        """What has to be the same with and without a fault, as readable lines."""
        kinds = {entry.sequence: entry.kind for entry in self.entries}
        lines = Counter(
            f"{table} {_plain(row, kinds)}" for table, rows in self.rows.items() for row in rows
        )
        for entry in self.entries:
            at_once = _AT_ONCE.get(entry.kind, set())
            told = {
                "at": entry.at,
                "tenant": entry.tenant,
                "actor": entry.actor,
                "subject": entry.subject,
                "reason": entry.reason,
                "cause": entry.cause,
                "data": {k: v for k, v in (entry.data or {}).items() if k not in at_once},
            }
            lines[f"ledger {entry.kind} {_plain(told, kinds)}"] += 1
        return lines


def read_ending(home: Path) -> Ending:
    """Read what nobody writes any more."""
    database = Database(opened_at(home))
    rows: Rows = {}
    with database.read() as connection:
        there = set(sa.inspect(connection).get_table_names())  # other tests declare tables too
        for table in (table for table in metadata.sorted_tables if table.name in there):
            decision = table.info.get("kind") is Kind.DECISION
            if decision or table.name in _COMPARED_TOO:
                found = connection.execute(sa.select(table)).mappings().all()
                rows[table.name] = [dict(row) for row in found]
        entries = ledger.entries(connection, limit=1_000_000)
        states = _states(connection, home)
    database.close()
    return Ending(rows, list(entries), states)


def _states(connection: sa.Connection, home: Path) -> Counter[str]:
    """How the jobs stand: in a file of their own, or beside the records on a server."""
    if connection.dialect.name == "postgresql":
        found = connection.execute(sa.text("SELECT status FROM dbos.workflow_status"))
        return Counter(found.scalars())
    with sqlite3.connect(home / "jobs.sqlite") as jobs:
        return Counter(state for (state,) in jobs.execute("SELECT status FROM workflow_status"))


def difference(expected: Ending, found: Ending) -> str:
    """What is missing, and what is too much; empty if nothing is.

    What has a counterpart of the same kind is told by the fields that differ.
    """
    before, after = expected.story(), found.story()
    missing, added = sorted((before - after).elements()), sorted((after - before).elements())
    lines = []
    for line in missing:
        twins = [other for other in added if _head(other) == _head(line)]
        twin = min(twins, key=lambda other: len(_fields(line, other)), default=None)
        if twin is None:
            lines.append(f"- {line[:1000]}")
            continue
        added.remove(twin)
        lines += [f"~ {_head(line)}", *_fields(line, twin)]
    return "\n".join([*lines, *(f"+ {line[:1000]}" for line in added)])


def _head(line: str) -> str:
    return line.partition(" {")[0]


def _fields(expected: str, found: str) -> list[str]:
    old, new = (dict(_leaves(json.loads(line[len(_head(line)) :]))) for line in (expected, found))
    return [
        f"    {path}: {str(old.get(path))[:300]} -> {str(new.get(path))[:300]}"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _leaves(inner, f"{path}.{key}")
        case list():
            for number, inner in enumerate(value):
                yield from _leaves(inner, f"{path}[{number}]")
        case _:
            yield path, value


def _plain(value: Mapping[str, Any], kinds: Mapping[int, str]) -> str:
    return _ID.sub(r"\1_", json.dumps(_json(value, kinds), sort_keys=True, ensure_ascii=True))


def _json(value: Any, kinds: Mapping[int, str]) -> Any:
    match value:
        case Mapping():
            if _FREE.search(str(value.get("reason"))):  # a guard on the memory of this machine
                value = {**value, "value": None, "reason": _FREE.sub("free", value["reason"])}
            return {
                key: kinds.get(inner, inner)
                if key in _NUMBERS and isinstance(inner, int)
                else _json(inner, kinds)
                for key, inner in value.items()
                if key not in _MEASURED
            }
        case list() | tuple():
            return sorted((_json(inner, kinds) for inner in value), key=_unnamed)
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return value


def _unnamed(value: Any) -> str:
    """Order of what a list holds, whatever ids are in it."""
    return _ID.sub(r"\1_", json.dumps(value, sort_keys=True))


def broken_laws(ending: Ending, shipped: Mapping[str, int]) -> list[str]:
    """What must hold at the end of every story, and does not."""
    return [
        *_places(ending),
        *_exposures(ending),
        *_remedies(ending),
        *_once(ending),
        *_acknowledged(ending, shipped),
        *(f"{state}: {n} jobs" for state, n in ending.jobs.items() if state != "SUCCESS"),
    ]


def _places(ending: Ending) -> list[str]:
    """At most one stable and one canary in a place, each with a permit of its own approval."""
    found = []
    permits = {row["id"]: row for row in ending.rows["permits"]}
    approvals = {row["id"]: row for row in ending.rows["approvals"]}
    carrying = [r for r in ending.rows["deployments"] if r["state"] in ("stable", "canary")]
    places = Counter((r["model"], r["tenant"], r["environment"], r["state"]) for r in carrying)
    found += [f"{n} at {place}" for place, n in places.items() if n > 1]
    for row in carrying:
        permit = permits.get(row["permit"])
        if permit is None or permit["consumed_at"] is None:
            found.append(f"{row['version']} carries traffic without a consumed permit")
            continue
        approval = approvals[permit["approval"]]
        bound = {permit["digest"], row["digest"], approval["target"]["digest"]}
        if len(bound) != 1 or approval["phase"] != "approved":
            found.append(f"{row['version']} carries traffic without an approval of its bytes")
        if row["percent"] > permit["max_percent"]:
            found.append(f"{row['version']} carries more than its permit allows")
    return found


def _exposures(ending: Ending) -> list[str]:
    """The ledger tells the exposure that the deployments have."""
    told: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for entry in ending.entries:
        if entry.kind == "deployment.moved" and entry.data is not None:
            place = (entry.data["model"], entry.tenant, entry.data["version"])
            told[place] = (entry.data["after"], entry.data["percent_after"])
    recorded = {
        (row["model"], row["tenant"], row["version"]): (row["state"], row["percent"])
        for row in ending.rows["deployments"]
    }
    return [] if told == recorded else [f"exposure: told {told}, recorded {recorded}"]


def _remedies(ending: Ending) -> list[str]:
    """What was begun has used up a permit of its own, and no permit was used for nothing."""
    begun = {r["id"] for r in ending.rows["remediations"] if r["started_at"] is not None}
    used = [
        row["remediation"]
        for row in ending.rows["action_permits"]
        if row["consumed_at"] is not None
    ]
    once = len(used) == len(set(used))
    return [] if begun == set(used) and once else [f"begun {begun}, permits used for {used}"]


def _once(ending: Ending) -> list[str]:
    """Things that happen to one subject once in its life."""
    kinds = {
        "permit.issued",
        "permit.consumed",
        "action_permit.issued",
        "action_permit.consumed",
        "version.registered",
        "rollout.started",
        "incident.opened",
        "remediation.proposed",
        "remediation.started",
        "remediation.executed",
        "window.scheduled",
        "window.closed",
        "retraining.requested",
        "retraining.submitted",
    }
    counts = Counter((e.kind, e.subject) for e in ending.entries if e.kind in kinds)
    told = [f"{kind} of {subject}: {n} times" for (kind, subject), n in counts.items() if n > 1]
    sent = Counter(row["id"] for row in ending.rows["inbox_messages"])
    notified = {
        row["id"]
        for row in ending.rows["remediations"]
        if row["action"] == "notify_team" and row["executed_at"] is not None
    }
    return told + ([] if set(sent) == notified else [f"sent {sent}, notified {notified}"])


def _acknowledged(ending: Ending, shipped: Mapping[str, int]) -> list[str]:
    """Every batch that was acknowledged is there, whole, and no other."""
    kept = {row["id"]: row["rows"] for row in ending.rows["prediction_batches"]}
    return [] if kept == dict(shipped) else [f"acknowledged {dict(shipped)}, kept {kept}"]
