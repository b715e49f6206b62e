"""Windows and incidents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, sent


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
