"""The moment whose knowledge a page shows: a day or a moment, as it stands in the address."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from trimtab.kernel.clock import parse_iso
from trimtab.kernel.errors import InvalidInput


def moment_of(said: str, now: datetime) -> datetime | None:
    """What `as_of` says; None where it says nothing. A day is meant as it ended, today as it is
    now.

    Raises:
        InvalidInput: it is neither a day nor a moment, or lies ahead.
    """
    if not said:
        return None
    try:
        if len(said) == len("2026-11-03"):
            begin = datetime.combine(date.fromisoformat(said), time(), UTC)
            moment = begin if begin > now else min(begin + timedelta(days=1), now)
        else:
            moment = parse_iso(said)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{ascii(said)[:60]} is no moment",
            field="as_of",
            remedy="write a day such as 2026-11-03, or a moment such as 2026-11-03T09:30:00Z",
        ) from error
    if moment > now:
        raise InvalidInput(
            "nobody knows yet how it will stand then", field="as_of", remedy="ask for the past"
        )
    return moment
