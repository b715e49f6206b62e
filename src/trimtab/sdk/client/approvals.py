"""Requests for approval, and the votes on them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from trimtab.kernel.errors import Unavailable
from trimtab.sdk import shapes
from trimtab.sdk.client.models import Models
from trimtab.sdk.client.wire import Noun, Wire

_POLL_SECONDS = 0.25


class Approvals(Noun):
    """Requests for approval."""

    def __init__(self, wire: Wire, models: Models):
        super().__init__(wire)
        self._models = models

    def list(self, phase: str | None = None) -> Iterator[shapes.ApprovalShape]:
        """Requests, newest first."""
        return self._wire.pages("/api/v1/approvals", shapes.ApprovalShape, phase=phase)

    def get(self, approval: str) -> shapes.ApprovalShape:
        """One request."""
        return self._wire.get(f"/api/v1/approvals/{approval}", shapes.ApprovalShape)

    def wait(self, model: str, version: str, *, seconds: float = 60.0) -> shapes.ApprovalShape:
        """The pending request for a version, once its checks have brought it about.

        Raises:
            Unavailable: there is none after so many seconds; the remedy says what keeps it: a
                policy, or which checks did not pass, and why.
        """
        deadline = time.monotonic() + seconds
        while True:
            for found in self.list(phase="pending"):
                if (found.target.model, found.target.version) == (model, version):
                    return found
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        held = self._models.version(model, version).held_because
        checks = list(self._models.checks(model, version))
        said = [held] if held else []
        said += [f"{c.name} {c.verdict}: {c.reason}" for c in checks if c.verdict != "pass"]
        raise Unavailable(
            f"no approval of {model} {version} is pending after {seconds:g} seconds",
            remedy="; ".join(said) or f"of its checks, {len(checks)} have passed so far",
        )

    def vote(
        self, approval: str, *, approve: bool, digest: str, reason: str
    ) -> shapes.ApprovalShape:
        """Say yes or no to the bytes that were looked at."""
        body = {"approve": approve, "digest": digest, "reason": reason}
        return self._wire.post(f"/api/v1/approvals/{approval}/votes", body, shapes.ApprovalShape)

    def withdraw(self, approval: str, *, reason: str) -> shapes.ApprovalShape:
        """Take back a request for a version that oneself has contributed to."""
        path, body = f"/api/v1/approvals/{approval}/withdraw", {"reason": reason}
        return self._wire.post(path, body, shapes.ApprovalShape)
