"""Domain time is passed in; nothing below the surfaces asks the machine for it."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where domain time comes from.

    Within `grain` all moments are one for whatever is done once at each moment.
    """

    grain: timedelta

    def now(self) -> datetime:
        """The present moment, timezone-aware, in UTC."""
        ...


class SystemClock:
    """Domain time is the machine's time."""

    grain = timedelta(minutes=1)
    """What is due and does not move gets a turn a minute, not one at each look."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteppedClock:
    """Domain time that stands still until somebody moves it; it never goes back."""

    grain = timedelta(0)
    """It makes the moments itself."""

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


def begin_of(moment: datetime, grain: timedelta) -> datetime:
    """When the stretch of `grain` began in which `moment` lies; `moment` itself if that is 0."""
    return moment - (moment - _EPOCH) % grain if grain else moment


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


def parse_end(text: str) -> datetime:
    """When something ends that is to last until `text`: a moment, or a day, which is meant as it
    ends.

    Raises:
        ValueError: neither a day nor a moment with an offset.
    """
    if len(text) != len("2026-11-03"):
        return parse_iso(text)
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC) + timedelta(days=1)
    except OverflowError as error:
        raise ValueError(f"{text} is behind all days") from error
