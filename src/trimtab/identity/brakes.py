"""Limits of guessing: whoever fails too often waits, twice as long each time, and never for long.

What is counted is kept in the memory of one process, so several processes allow as many times
more as there are of them, and a restart forgets. The limits are such that this is of no use to
who guesses: see docs/threats.md. Time is the machine's.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from trimtab.kernel.errors import TooManyRequests

MOST_NAMES = 20_000
"""Names that one brake tells apart; beyond that the one that failed longest ago is forgotten."""


@dataclass(frozen=True)
class Limit:
    """How often somebody may fail for free, and how long they wait then.

    The first wait is `first_seconds`, each further one twice as long, up to `most_seconds`.
    After `forgotten_seconds` without a failure everything is free again.
    """

    free: int
    first_seconds: float
    most_seconds: float
    forgotten_seconds: float


@dataclass(frozen=True)
class Allowance:
    """How often an address may fail: at once, and then for each second. Many people may sit
    behind it, so it does not wait longer and longer for what one of them does."""

    at_once: int
    per_second: float


LOG_INS = Allowance(at_once=30, per_second=1 / 6)
"""Passwords that do not fit, from one address."""

CREDENTIALS = Allowance(at_once=60, per_second=1.0)
"""Keys, tokens and signatures that are of no use, from one address."""

ACCOUNT = Limit(free=5, first_seconds=1, most_seconds=30, forgotten_seconds=3600)
"""Of one account, from wherever it is tried."""

PLACE = Limit(free=5, first_seconds=1, most_seconds=30, forgotten_seconds=3600)
"""Of one account from one address where its owner has logged in before."""

KEY = Limit(free=10, first_seconds=1, most_seconds=60, forgotten_seconds=900)
"""Of one key or token from one address."""

GOOD_SECONDS = 3600.0
"""A credential that was good from an address is looked at for so long, whoever else fails there."""


@dataclass
class _Tally:
    failures: int
    last: float
    until: float


class Brake:
    """Failures by name, and how long each has to wait; thread-safe.

    Args:
        limit: When to wait, and how long.
        seconds: Tells real time.
    """

    def __init__(self, limit: Limit, seconds: Callable[[], float] = time.monotonic):
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    def wait(self, name: str) -> float:
        """Seconds until `name` may try again; 0 for now."""
        with self._lock:
            tally = self._known(name)
            return 0.0 if tally is None else max(0.0, tally.until - self._seconds())

    def failed(self, name: str) -> None:
        """`name` failed once more, or begins an attempt that counts until it succeeds."""
        limit, now = self._limit, self._seconds()
        with self._lock:
            tally = self._known(name) or _Tally(0, now, 0.0)
            tally.failures += 1
            tally.last = now
            over = tally.failures - limit.free
            if over >= 0:
                # Beyond some power of two only the longest wait is left.
                wait = limit.first_seconds * 2.0 ** min(over, 30)
                tally.until = now + min(limit.most_seconds, wait)
            self._tallies[name] = tally
            self._tallies.move_to_end(name)
            while len(self._tallies) > MOST_NAMES:
                self._tallies.popitem(last=False)

    def forgive(self, name: str) -> None:
        """The attempt of `name` that was counted was none: take it back."""
        with self._lock:
            tally = self._known(name)
            if tally is not None:
                tally.failures -= 1
                tally.until = 0.0

    def forget(self, name: str) -> None:
        """`name` has succeeded: nothing counts any more."""
        with self._lock:
            self._tallies.pop(name, None)

    def _known(self, name: str) -> _Tally | None:
        tally = self._tallies.get(name)
        if tally is not None and self._seconds() >= tally.last + self._limit.forgotten_seconds:
            del self._tallies[name]
            return None
        return tally


class Meter:
    """Failures by address, against an allowance; thread-safe."""

    def __init__(self, allowance: Allowance, seconds: Callable[[], float] = time.monotonic):
        self._allowance = allowance
        self._seconds = seconds
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until `address` may fail again; 0 for now."""
        with self._lock:
            missing = 1.0 - self._now(address)
        return max(0.0, missing / self._allowance.per_second)

    def failed(self, address: str, times: int = 1) -> None:
        """`address` failed; minus one takes back an attempt that was counted and was none."""
        with self._lock:
            left = min(self._now(address) - times, self._allowance.at_once)
            self._left[address] = (left, self._seconds())
            self._left.move_to_end(address)
            while len(self._left) > MOST_NAMES:
                self._left.popitem(last=False)

    def _now(self, address: str) -> float:
        left, at = self._left.get(address, (float(self._allowance.at_once), 0.0))
        regained = (self._seconds() - at) * self._allowance.per_second
        return min(left + regained, float(self._allowance.at_once))


class Brakes:
    """All limits of one process on failed log-ins and failed credentials."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic):
        self._seconds = seconds
        self._entry = threading.Lock()
        self.log_ins = Meter(LOG_INS, seconds)
        self.accounts = Brake(ACCOUNT, seconds)
        self.places = Brake(PLACE, seconds)
        self.addresses = Meter(CREDENTIALS, seconds)
        self.keys = Brake(KEY, seconds)
        self._good: OrderedDict[tuple[str, str], float] = OrderedDict()

    def attempt(self, address: str, email: str, *, known: bool) -> None:
        """Begin a log-in, which counts as failed until `succeeded` says otherwise: many at once
        are not free.

        Args:
            address: Where it comes from.
            email: Whom it is for, whether or not there is such a person.
            known: Whether they have logged in from there before: then what others do to the
                account from elsewhere does not hold them up.

        Raises:
            TooManyRequests: it has to wait; the password was not looked at.
        """
        brake, name = self._of(address, email, known)
        with self._entry:
            demand_wait(max(brake.wait(name), self.log_ins.wait(address)))
            brake.failed(name)
            self.log_ins.failed(address)

    def succeeded(self, address: str, email: str, *, known: bool) -> None:
        """The log-in that began so was right."""
        brake, name = self._of(address, email, known)
        self.log_ins.failed(address, -1)
        if brake is self.places:
            brake.forget(name)
        else:  # others may be failing there meanwhile: what they did stays
            brake.forgive(name)

    def look_at(self, address: str, name: str) -> None:
        """Whether a key or token may be looked at, before it is.

        Raises:
            TooManyRequests: it has to wait. One that was good from there does not, whoever
                else is behind the address.
        """
        wait = self.keys.wait(f"{address} {name}")
        if not self._was_good(address, name):
            wait = max(wait, self.addresses.wait(address))
        demand_wait(wait)

    def refused(self, address: str, name: str) -> None:
        """A key or token was of no use."""
        self.addresses.failed(address)
        self.keys.failed(f"{address} {name}")
        with self._entry:
            self._good.pop((address, name), None)

    def good(self, address: str, name: str) -> None:
        """A key or token was good: what it failed for before counts no more."""
        self.keys.forget(f"{address} {name}")
        with self._entry:
            self._good[address, name] = self._seconds()
            self._good.move_to_end((address, name))
            while len(self._good) > MOST_NAMES:
                self._good.popitem(last=False)

    def _was_good(self, address: str, name: str) -> bool:
        with self._entry:
            at = self._good.get((address, name))
        return at is not None and self._seconds() < at + GOOD_SECONDS

    def _of(self, address: str, email: str, known: bool) -> tuple[Brake, str]:
        account = email.lower()
        return (self.places, f"{address} {account}") if known else (self.accounts, account)


def demand_wait(seconds: float) -> None:
    """Make sure that there is nothing to wait for.

    Raises:
        TooManyRequests: there is.
    """
    if seconds > 0:
        whole = math.ceil(seconds)
        raise TooManyRequests("there were too many attempts that failed", retry_after_seconds=whole)
