"""Turns for heavy work: so many at a time, and half of them for one tenant at most."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from trimtab.kernel.errors import TooManyRequests

_AFTER_SECONDS = 2


class Turns:
    """Lets as many work at a time as there are turns; who comes beyond is told to come again,
    for to wait would hold a thread that others are answered with."""

    def __init__(self, most: int, what: str):
        self._most = most
        self._of_one = max(1, most // 2)
        self._what = what
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, tenant: str | None) -> Iterator[None]:
        """Hold a turn; the fleet's own people may take them all.

        Raises:
            TooManyRequests: there is none.
        """
        name = tenant or ""
        with self._lock:
            full = self._taken.total() >= self._most
            if full or (tenant is not None and self._taken[name] >= self._of_one):
                raise TooManyRequests(
                    f"{self._most} {self._what} are worked on at a time",
                    retry_after_seconds=_AFTER_SECONDS,
                )
            self._taken[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[name] -= 1
                self._taken += Counter()  # names of nobody are forgotten
