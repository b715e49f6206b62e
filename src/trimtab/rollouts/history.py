"""The newest look at the canaries of versions, now or at a moment that is past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.rollouts import store
from trimtab.rollouts.model import Judged, RolledBack, Rollout, StepIntended, StepObserved


@dataclass(frozen=True)
class Looked:
    """What the judge found last of a version, while it was a canary.

    `since` is when its present share was reached.
    """

    version_id: str
    tenant: str | None
    started_at: datetime
    since: datetime
    analysis: Mapping[str, Any]


def looks(
    reading: Reading, version_ids: Sequence[str], *, at: datetime | None = None
) -> list[Looked]:
    """The newest look of each rollout of these versions; with `at`, as it stood then.

    What an entry of the ledger said and retention has removed is not known any more, and
    left out.
    """
    rollouts = store.of_versions(reading, version_ids)
    if at is None:
        return of_rollouts(rollouts)
    begun = [rollout for rollout in rollouts if rollout.started_at <= at]
    ids = [rollout.id for rollout in begun]
    seen = ledger.about(reading.connection, (StepObserved.kind,), ids, until=at)
    told = [
        ledger.newest_about(reading.connection, (kind,), ids, until=at)
        for kind in (Judged.kind, StepIntended.kind, RolledBack.kind)
    ]
    found = []
    for rollout in begun:
        analysis = _last_analysis(entries[rollout.id] for entries in told if rollout.id in entries)
        since = _since(rollout, seen.get(rollout.id, ()))
        if analysis is not None:
            found.append(_looked(rollout, since, analysis))
    return found


def of_rollouts(rollouts: Iterable[Rollout]) -> list[Looked]:
    """The newest look of each of these, where there was one."""
    return [_looked(r, r.step_since, r.last_analysis) for r in rollouts if r.last_analysis]


def _looked(rollout: Rollout, since: datetime, analysis: Mapping[str, Any]) -> Looked:
    return Looked(rollout.version_id, rollout.tenant, rollout.started_at, since, analysis)


def _last_analysis(entries: Iterable[Entry]) -> Mapping[str, Any] | None:
    for entry in sorted(entries, key=lambda e: e.sequence, reverse=True):
        analysis: Mapping[str, Any] | None = (entry.data or {}).get("analysis")
        if analysis is not None:
            return analysis
    return None


def _since(rollout: Rollout, seen: Sequence[Entry]) -> datetime:
    for entry in reversed(seen):
        data = entry.data or {}
        if data and data["observed_percent"] == data["intended_percent"]:
            return entry.at
    return rollout.started_at
