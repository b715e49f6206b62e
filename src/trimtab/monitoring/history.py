"""What windows found of the output of versions, now or at a moment that is past."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import store
from trimtab.monitoring.model import WindowRevised, WindowSettled

_LOOKED_BACK = 400
"""The newest windows of a tenant, or of the fleet, that are asked."""


@dataclass(frozen=True)
class Judged:
    """What a window of `tenant` (None: the fleet's) found of each version and metric."""

    tenant: str | None
    start: datetime
    end: datetime
    judgements: Sequence[Mapping[str, Any]]


def judged(
    reading: Reading,
    model: str,
    tenants: Collection[TenantId | None],
    *,
    at: datetime | None = None,
) -> list[Judged]:
    """The settled windows of these tenants, in one query; with `at`, as they stood then.

    What an entry of the ledger said and retention has removed is not known any more, and
    left out.
    """
    rows = store.settled(reading, model, tenants, until=at, limit=_LOOKED_BACK)
    if at is None:
        found = [(row, (row["performance"] or {}).get("judgements", ())) for row in rows]
    else:
        kinds = (WindowSettled.kind, WindowRevised.kind)
        said = ledger.newest_about(reading.connection, kinds, [row["id"] for row in rows], until=at)
        found = [
            (row, (said[row["id"]].data or {}).get("performance", ()))
            for row in rows
            if row["id"] in said
        ]
    return [Judged(row["tenant"], row["start"], row["end"], told) for row, told in found]
