"""The false-positive rate that a version was seen to have in production, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.monitoring.history import Judged
from trimtab.monitoring.performance import FALSE_POSITIVE_RATE
from trimtab.rollouts.history import Looked


class Source(StrEnum):
    """What measured it."""

    WINDOW = "window"
    """A window of monitoring, settled by the labels that were in."""
    CANARY = "canary"
    """The last look at it as a canary, over everything since its rollout began."""


@dataclass(frozen=True)
class Measured:
    """A false-positive rate in production, with what it rests on.

    `tenant` is whose rows they are, None for the fleet's. `end` is None where it was
    measured up to the last look at a canary.
    """

    value: float
    low: float | None
    high: float | None
    limit: float | None
    rows: int
    source: Source
    tenant: str | None
    start: datetime
    end: datetime | None


def newest_rate(
    version: str, windows: Iterable[Judged], looks: Iterable[Looked]
) -> Measured | None:
    """The newest rate of a version: in one of these windows, or at one of these looks at its
    own canaries. None where nobody has measured it."""
    found = [(w.end, m) for w in windows if (m := _in_window(version, w)) is not None]
    found += [(x.since, m) for x in looks if (m := _at_look(x)) is not None]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _in_window(version: str, window: Judged) -> Measured | None:
    own = [
        j
        for j in window.judgements
        if j["metric"] == FALSE_POSITIVE_RATE and j["version"] == version and j["value"] is not None
    ]
    if not own:
        return None
    most = max(own, key=lambda j: int(j["rows"]))
    return _measured(
        most, int(most["rows"]), Source.WINDOW, window.tenant, window.start, window.end
    )


def _at_look(look: Looked) -> Measured | None:
    rules = [r for r in look.analysis.get("rules", ()) if r["name"] == FALSE_POSITIVE_RATE]
    if not rules or rules[0]["value"] is None:
        return None
    rows = int(look.analysis["canary_negatives"])
    return _measured(rules[0], rows, Source.CANARY, look.tenant, look.started_at, None)


def _measured(
    found: Mapping[str, Any],
    rows: int,
    source: Source,
    tenant: str | None,
    start: datetime,
    end: datetime | None,
) -> Measured:
    low, high = found["interval"] or (None, None)
    value, limit = float(found["value"]), found["limit"]
    return Measured(value, low, high, limit, rows, source, tenant, start, end)
