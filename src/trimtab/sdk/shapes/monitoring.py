"""Windows of drift and performance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trimtab.sdk.shapes.base import Answer


class ReceiptShape(Answer):
    """What became of a batch; what is said here is durable."""

    rows: int
    duplicate: bool


class TotalsShape(Answer):
    """Rows that were taken in since the beginning, each batch once."""

    predictions: int
    labels: int


class LateShape(Answer):
    """Rows, as they were sent, that came after their window was judged: those that re-open it,
    and those that came too late for that, which are kept and count nowhere. `due_at` is when
    it is to be judged again."""

    predictions: int
    labels: int
    predictions_too_late: int
    labels_too_late: int
    due_at: datetime | None


class WindowShape(Answer):
    """A stretch of time that was looked at.

    `revisions` says how often late rows have changed what was found; `late` is counted over
    all tenants, and so None in a tenant's own window.
    """

    id: str
    model: str
    tenant: str | None
    start: datetime
    end: datetime
    phase: str
    rows: int
    labels: int
    drift: list[dict[str, Any]]
    performance: list[dict[str, Any]]
    revisions: int
    late: LateShape | None
