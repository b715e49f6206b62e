"""The clock, and how the control plane is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from trimtab.sdk.shapes.base import Answer, Because, Moment, Request


class StepTo(Request):
    """Where the stepped clock is to go."""

    to: Moment
    """Moment at which the clock is to stand: none before the present one."""


class ClockShape(Answer):
    """Domain time, and whether everything that was due has been done."""

    now: datetime
    idle: bool
    failed_jobs: int


class SetLogLevel(Because):
    """For so many minutes, what has this level or a higher one is logged."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    """Lowest level that is logged."""
    minutes: int = Field(default=15, ge=1, le=240)
    """How long; then each process goes back by itself."""


class LogLevelShape(Answer):
    """The level from which up is logged; `until` is null where it is the setting."""

    level: str
    until: datetime | None


class ProbeShape(Answer):
    """One word about this process: alive, ready, unready or leaving."""

    status: str


class HealthShape(Answer):
    """How the control plane is; a part that is not in use is `not configured`."""

    status: str
    components: dict[str, str]
    version: str
    uptime: str
