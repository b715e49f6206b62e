"""The clock, and what gateways and feeds send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, read

ARROW = "application/vnd.apache.arrow.stream"

_STEP_SECONDS = 150.0
"""How long a step of the clock is waited for: longer than the control plane waits itself."""


class ClockNoun(Noun):
    """Domain time."""

    def now(self) -> shapes.ClockShape:
        """Domain time, and whether everything due has been done."""
        return self._wire.get("/api/v1/clock", shapes.ClockShape)

    def step(self, to: datetime) -> shapes.ClockShape:
        """Step the clock, and wait until what became due has been done."""
        path, body = "/api/v1/clock/step", {"to": to.isoformat()}
        answer = self._wire.send("POST", path, json_body=body, seconds=_STEP_SECONDS)
        return read(shapes.ClockShape, answer)


class Gateways(Noun):
    """What gateways and feeds fetch and send; they have programs of their own for it."""

    def routing(self) -> dict[str, Any]:
        """The newest routing table, in its envelope, which is to be verified."""
        found: dict[str, Any] = self._wire.send("GET", "/api/v1/routing").json()
        return found

    def report(self, name: str, report: dict[str, Any]) -> None:
        """What a gateway has applied, loaded, refused and shed."""
        self._wire.send("PUT", f"/api/v1/gateways/{name}", json_body=report)

    def send_predictions(self, batch_id: str, body: bytes) -> shapes.ReceiptShape:
        """Send predictions as an Arrow stream; the same batch again is counted once."""
        return self._batch("/api/v1/predictions", batch_id, body, {})

    def send_labels(self, model: str, batch_id: str, body: bytes) -> shapes.ReceiptShape:
        """Send labels as an Arrow stream; the same batch again is counted once."""
        return self._batch("/api/v1/labels", batch_id, body, {"model": model})

    def _batch(
        self, path: str, batch_id: str, body: bytes, query: dict[str, str]
    ) -> shapes.ReceiptShape:
        headers = {"Content-Type": ARROW, "Idempotency-Key": batch_id}
        answer = self._wire.send("POST", path, params=query, content=body, headers=headers)
        return read(shapes.ReceiptShape, answer)


class Operations(Noun):
    """How the processes are, and how much they say."""

    def live(self) -> shapes.ProbeShape:
        """Whether the process answers."""
        return self._wire.get("/health/live", shapes.ProbeShape)

    def ready(self) -> shapes.ProbeShape:
        """Whether requests may be sent to it; also when they may not."""
        answer = self._wire.send("GET", "/health/ready", accept=(200, 503))
        return read(shapes.ProbeShape, answer)

    def log_level(self) -> shapes.LogLevelShape:
        """From which level up every process logs."""
        return self._wire.get("/api/v1/log-level", shapes.LogLevelShape)

    def set_log_level(self, level: shapes.SetLogLevel) -> shapes.LogLevelShape:
        """Log from this level up for some minutes, in every process."""
        answer = self._wire.send("PUT", "/api/v1/log-level", json_body=level.model_dump())
        return read(shapes.LogLevelShape, answer)
