"""The clock, and how the control plane is."""

from __future__ import annotations

from datetime import datetime

from trimtab.sdk.shapes.base import Answer, Moment, Request


class StepTo(Request):
    """Where the stepped clock is to go."""

    to: Moment


class ClockShape(Answer):
    """Domain time, and whether everything that was due has been done."""

    now: datetime
    idle: bool
    failed_jobs: int


class HealthShape(Answer):
    """How the control plane is; a part that is not in use is `not configured`."""

    status: str
    components: dict[str, str]
    version: str
    uptime: str
