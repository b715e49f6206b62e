"""That somebody had two tables compared: no record changes by it, and it can be shown later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from trimtab.kernel.events import Note


@dataclass(frozen=True)
class DriftChecked(Note):
    """Somebody had two tables compared; the digests are of the profiles that were."""

    kind: ClassVar[str] = "drift.checked"

    model: str | None
    reference_digest: str
    current_digest: str
    rows_reference: int
    rows_current: int
    compared: int
    verdict: str
    drift_score: float
    affected: list[str]
    threshold: float
    config: dict[str, Any]
    tier: int
    policy_digest: str
