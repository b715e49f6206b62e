"""Token buckets: so many at once, so many a second, for each of many callers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How fast something may go on: `burst` at once, then `per_second`."""

    per_second: float
    burst: float

    def share(self, percent: float) -> Pace:
        """A part of it; at least one at once, or nothing would ever go."""
        part = percent / 100
        return Pace(self.per_second * part, max(1.0, self.burst * part))


@dataclass
class _Bucket:
    tokens: float
    at: float


class Buckets:
    """One bucket for each key, all full at first. What was not asked for longest is forgotten:
    it was full again, or its owner begins anew with a full one.

    Args:
        most: How many keys are remembered.
    """

    def __init__(self, most: int = 20_000):
        self._most = most
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def wait_seconds(self, key: Hashable, pace: Pace, now: float) -> float:
        """How long until there is a token for `key`, in seconds; 0 where there is one now."""
        bucket = self._filled(key, pace, now)
        return 0.0 if bucket.tokens >= 1 else (1 - bucket.tokens) / pace.per_second

    def take(self, key: Hashable, pace: Pace, now: float) -> None:
        """Take the token that `wait_seconds` has found."""
        self._filled(key, pace, now).tokens -= 1

    def _filled(self, key: Hashable, pace: Pace, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(pace.burst, now)
            while len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        earned = max(0.0, now - bucket.at) * pace.per_second
        bucket.tokens, bucket.at = min(pace.burst, bucket.tokens + earned), now
        return bucket
