"""Domain time is passed in; nothing below the surfaces asks the machine for it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where domain time comes from."""

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""
        ...


class SystemClock:
    """Domain time is the machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteppedClock:
    """Domain time that stands still until somebody moves it; it never goes back."""

    def __init__(self, start: datetime):
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def step_to(self, moment: datetime) -> datetime:
        """Move to `moment` if it lies ahead; return the time that now is."""
        with self._lock:
            self._now = max(self._now, moment.astimezone(UTC))
            return self._now


def iso(moment: datetime) -> str:
    """`moment` in UTC as RFC 3339 with microseconds: `2015-07-01T00:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_iso(text: str) -> datetime:
    """The moment that `iso` wrote; also any RFC 3339 text with an offset.

    Raises:
        ValueError: not a time, or one without an offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return moment.astimezone(UTC)
