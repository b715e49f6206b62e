"""Releases on their way."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun


class Rollouts(Noun):
    """Releases on their way."""

    def list(self, model: str | None = None) -> Iterator[shapes.RolloutShape]:
        """Rollouts, newest first."""
        return self._wire.pages("/api/v1/rollouts", shapes.RolloutShape, model=model)

    def get(self, rollout: str) -> shapes.RolloutShape:
        """One rollout."""
        return self._wire.get(f"/api/v1/rollouts/{rollout}", shapes.RolloutShape)

    def start(self, model: str, version: str, *, reason: str) -> shapes.RolloutShape:
        """Release an approved version."""
        body = {"model": model, "version": version, "reason": reason}
        return self._wire.post("/api/v1/rollouts", body, shapes.RolloutShape)

    def hold(self, rollout: str, *, reason: str) -> shapes.RolloutShape:
        """Freeze traffic where it stands."""
        return self._verb(rollout, "hold", reason)

    def resume(self, rollout: str, *, reason: str) -> shapes.RolloutShape:
        """Let a held rollout run on."""
        return self._verb(rollout, "resume", reason)

    def abort(self, rollout: str, *, reason: str) -> shapes.RolloutShape:
        """Take a rollout back for good."""
        return self._verb(rollout, "abort", reason)

    def _verb(self, rollout: str, verb: str, reason: str) -> shapes.RolloutShape:
        path = f"/api/v1/rollouts/{rollout}/{verb}"
        return self._wire.post(path, {"reason": reason}, shapes.RolloutShape)
