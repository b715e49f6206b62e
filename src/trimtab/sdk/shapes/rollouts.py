"""Releases of versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trimtab.sdk.shapes.base import Answer, ModelName, Reason, Request, VersionName


class RolloutShape(Answer):
    """A version on its way."""

    id: str
    model: str
    tenant: str | None
    environment: str
    version: str
    version_id: str
    digest: str
    active_version: str | None
    approval: str
    policy_digest: str
    steps: list[float]
    step: int
    intended_percent: float
    observed_percent: float
    phase: str
    looks_undecided: int
    started_at: datetime
    step_since: datetime
    due_at: datetime | None
    last_analysis: dict[str, Any] | None
    outcome_reason: str | None


class NewRollout(Request):
    """The approved version to release."""

    model: ModelName
    """Name of the model."""
    version: VersionName
    """An approved version of it."""
    reason: Reason
