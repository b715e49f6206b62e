"""What was done about incidents, and what stops that."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, read


class Remediations(Noun):
    """What was done about incidents."""

    def list(self) -> Iterator[shapes.RemediationShape]:
        """Remediations, newest first."""
        return self._wire.pages("/api/v1/remediation", shapes.RemediationShape)

    def get(self, remediation: str) -> shapes.RemediationShape:
        """One remedy."""
        return self._wire.get(f"/api/v1/remediation/{remediation}", shapes.RemediationShape)

    def abort(self, remediation: str, *, reason: str) -> shapes.RemediationShape:
        """Stop a remedy; what it has done so far stands."""
        path = f"/api/v1/remediation/{remediation}"
        answer = self._wire.send("DELETE", path, params={"reason": reason})
        return read(shapes.RemediationShape, answer)

    def retrainings(self) -> Iterator[shapes.RetrainingShape]:
        """Runs that were to make a challenger, newest first."""
        return self._wire.pages("/api/v1/retraining", shapes.RetrainingShape)

    def execute(self, incident: str, action: str, *, reason: str) -> shapes.RemediationShape:
        """Ask for an action; the safety gate decides."""
        body = {"incident_id": incident, "action": action, "reason": reason}
        return self._wire.post("/api/v1/remediation/execute", body, shapes.RemediationShape)

    def kill_switches(self) -> Iterator[shapes.KillSwitchShape]:
        """What stops actions now."""
        return self._wire.pages("/api/v1/kill-switches", shapes.KillSwitchShape)

    def stop(self, scope: str, name: str = "", *, reason: str) -> shapes.KillSwitchShape:
        """Stop every action on the `fleet`, or on a `model` or `tenant` of this name."""
        answer = self._wire.send(
            "PUT",
            f"/api/v1/kill-switches/{scope}",
            params={"name": name},
            json_body={"reason": reason},
        )
        return read(shapes.KillSwitchShape, answer)

    def go_on(self, scope: str, name: str = "", *, reason: str) -> None:
        """Clear a kill switch; only a person can."""
        query = {"name": name, "reason": reason}
        self._wire.send("DELETE", f"/api/v1/kill-switches/{scope}", params=query)
