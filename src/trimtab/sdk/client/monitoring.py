"""Windows, incidents, and whether a table has moved."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, sent

Table = str | bytes | Mapping[str, Sequence[Any]]
"""A table: its address, a stored profile, or the values of each column by its name."""


class Monitoring(Noun):
    """Windows and incidents."""

    def totals(self) -> shapes.TotalsShape:
        """Predictions and labels that are on record."""
        return self._wire.get("/api/v1/monitoring/totals", shapes.TotalsShape)

    def windows(
        self, model: str, *, tenant: str | None = None, since: datetime | None = None
    ) -> Iterator[shapes.WindowShape]:
        """Windows that were looked at, the newest hundred first; each hundred oldest first."""
        path = f"/api/v1/monitoring/models/{model}/windows"
        return self._wire.pages(path, shapes.WindowShape, tenant=tenant, since=sent(since))

    def incidents(
        self, *, all_of_them: bool = False, model: str | None = None
    ) -> Iterator[shapes.IncidentShape]:
        """Incidents: those that are open, or all."""
        state = "all" if all_of_them else "active"
        return self._wire.pages(
            "/api/v1/monitoring/incidents", shapes.IncidentShape, state=state, model=model
        )

    def incident(self, incident: str) -> shapes.IncidentShape:
        """One incident, with its timeline."""
        return self._wire.get(f"/api/v1/monitoring/incidents/{incident}", shapes.IncidentShape)

    def root_cause(self, incident: str) -> shapes.RootCauseShape:
        """What broke, with the evidence for and against."""
        return self._wire.get(f"/api/v1/analysis/rca/{incident}", shapes.RootCauseShape)

    def drift_check(
        self,
        current_data: Table,
        reference_data: Table | None = None,
        *,
        model_id: str | None = None,
        features: Sequence[str] | None = None,
        threshold: float | None = None,
        detection_config: Mapping[str, Any] | None = None,
        policy: str | None = None,
        tier: int | None = None,
        tenant: str | None = None,
    ) -> shapes.DriftCheckShape:
        """Compare a table with how it was; without `reference_data`, with what the stable version
        of the model was trained on."""
        given = {
            "current_data": _table(current_data),
            "reference_data": None if reference_data is None else _table(reference_data),
            "model_id": model_id,
            "features": None if features is None else list(features),
            "threshold": threshold,
            "detection_config": detection_config,
            "policy": policy,
            "tier": tier,
            "tenant": tenant,
        }
        body = {name: value for name, value in given.items() if value is not None}
        return self._wire.post("/api/v1/monitoring/drift-check", body, shapes.DriftCheckShape)


def _table(data: Table) -> str | dict[str, Any]:
    if isinstance(data, str):
        return data
    if isinstance(data, bytes):
        return {"profile": base64.b64encode(data).decode()}
    return {"columns": {name: list(values) for name, values in data.items()}}
