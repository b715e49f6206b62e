"""Refusals on record: what somebody known was refused for a grave reason, and how often nobody
known asked.

An entry costs a commit, so nobody is given one for each request. What is refused to a known
actor is entered soon after the answer; the same again within a minute is counted, and entered
once when the minute is over. Requests without a credential are counted by address and minute.
What is kept in memory meanwhile is bounded. Nothing is written while a request waits: the
answer is neither slower nor faster for it, and so does not tell what is there.

Minutes are of real time; entries are dated by domain time, like all others.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from trimtab.audit.work import Records
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import TrimtabError
from trimtab.kernel.events import Note
from trimtab.kernel.ids import TenantId
from trimtab.platform.logs import logger
from trimtab.platform.outages import DATABASE

log = logger(__name__)

MINUTE_SECONDS = 60.0
MOST_TARGETS = 30
"""Different refusals of one actor that are told apart in a minute; the rest is one sum."""
MOST_SOURCES = 100
"""Different addresses that are told apart in a minute; the rest is one sum."""
OTHERS = "others"
UNKNOWN = "unknown"

_ACCESS = system("access")
_IPV6_NETWORK = 64


@dataclass(frozen=True)
class RequestRefused(Note):
    """Somebody known was refused for a reason of security, `count` times the same.

    `route` is the template of the address, never what was sent. Model and version stand there
    where they were named in a form that names can have. Beyond so many different refusals in a
    minute, the rest of them is one entry whose route is `others`.
    """

    kind: ClassVar[str] = "request.refused"

    method: str
    route: str
    code: str
    field: str | None
    model: str | None
    version: str | None
    count: int


@dataclass(frozen=True)
class AccessRefused(Note):
    """Within a minute, `count` requests from an address had no credential that is of use.

    The subject is the address, of IPv6 the network; beyond so many different ones in a minute
    the rest is one entry, with the subject `others`.
    """

    kind: ClassVar[str] = "access.refused"

    count: int


@dataclass(frozen=True)
class Refused:
    """Why a request was refused; the surfaces leave it at the request."""

    code: str
    field: str | None = None
    grave: bool = False

    @classmethod
    def by(cls, error: TrimtabError) -> Refused:
        """The refusal that an error stands for."""
        return cls(error.code, error.field, error.grave)


@dataclass(frozen=True)
class Refusal:
    """A refusal of a known actor; equal ones are counted."""

    actor: Actor
    method: str
    route: str
    code: str
    field: str | None = None
    model: str | None = None
    version: str | None = None

    at_once: ClassVar[bool] = True
    reason: ClassVar[str] = "refused"

    def event(self, count: int) -> Note:
        """The entry of `count` of them."""
        return RequestRefused(
            subject=self.actor.id,
            tenant=self.actor.tenant,
            method=self.method,
            route=self.route,
            code=self.code,
            field=self.field,
            model=self.model,
            version=self.version,
            count=count,
        )


@dataclass(frozen=True)
class Source:
    """Where a request came from whose sender is not known."""

    address: str

    at_once: ClassVar[bool] = False
    reason: ClassVar[str] = "no credential that is of use"
    actor: ClassVar[Actor] = _ACCESS

    def event(self, count: int) -> Note:
        """The entry of `count` of them."""
        nobodys: TenantId | None = None
        return AccessRefused(subject=self.address, tenant=nobodys, count=count)


Key: TypeAlias = Refusal | Source


@dataclass
class _Tally:
    until: float
    waiting: int = 0
    entered: bool = False


class Refusals:
    """Counts refusals, and enters them; all methods may be called from any thread.

    Args:
        records: Where they are entered.
        seconds: Tells real time, for minutes.
    """

    def __init__(self, records: Records, seconds: Callable[[], float] = time.monotonic):
        self._records = records
        self._seconds = seconds
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._tallies: dict[Key, _Tally] = {}
        self._kept: Counter[str] = Counter()
        self.failing: str | None = None
        """Why refusals could not be entered the last time; None while they can."""

    def note(self, key: Key) -> None:
        """Count a refusal. Takes no time, and writes nothing yet."""
        with self._lock:
            if key not in self._tallies:
                key = self._within_bounds(key)
            self._tally(key).waiting += 1

    def flush(self, *, everything: bool = False) -> None:
        """Enter what is due, or, at an orderly end, everything. Safe to repeat.

        What cannot be written now is kept for another minute, logged, and shown in `failing`.
        """
        with self._writing:
            by_actor: dict[Actor, dict[Key, int]] = {}
            for key, count in self._due(everything).items():
                by_actor.setdefault(key.actor, {})[key] = count
            try:
                for actor in list(by_actor):
                    self._enter(actor, by_actor.pop(actor))
            finally:
                for found in by_actor.values():  # those that an unforeseen error kept waiting
                    self._give_back(found)

    def _enter(self, actor: Actor, found: dict[Key, int]) -> None:
        reason = next(iter(found)).reason
        entered = False
        try:
            with self._records.begin(actor, reason=reason) as work:
                for key, count in found.items():
                    work.record(key.event(count))
            entered, self.failing = True, None
        except TrimtabError as error:
            self.failing = error.message
            count = sum(found.values())
            say = log.debug if DATABASE.explains(error) else log.error
            say("refusals could not be entered", count=count, why=error.message)
        finally:
            if not entered:
                self._give_back(found)

    def _due(self, everything: bool) -> dict[Key, int]:
        """What is to be entered now; tallies whose minute is over are forgotten."""
        due: dict[Key, int] = {}
        now = self._seconds()
        with self._lock:
            for key, tally in list(self._tallies.items()):
                over = everything or now >= tally.until
                if tally.waiting and (over or (key.at_once and not tally.entered)):
                    due[key] = tally.waiting
                    tally.waiting, tally.entered = 0, True
                if over:
                    del self._tallies[key]
                    self._kept[_kept_for(key)] -= 1
            self._kept = +self._kept  # those without any left are dropped
        return due

    def _give_back(self, found: dict[Key, int]) -> None:
        with self._lock:
            for key, count in found.items():
                tally = self._tally(key)
                tally.waiting += count
                tally.entered = True  # it is tried again when the minute is over

    def _within_bounds(self, key: Key) -> Key:
        """`key`, or the sum that it belongs to where there are too many already."""
        if self._kept[_kept_for(key)] < (MOST_TARGETS if key.at_once else MOST_SOURCES):
            return key
        if isinstance(key, Source):
            return Source(OTHERS)
        return replace(key, method="", route=OTHERS, field=None, model=None, version=None)

    def _tally(self, key: Key) -> _Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally(self._seconds() + MINUTE_SECONDS)
            self._kept[_kept_for(key)] += 1
        return tally


def source(host: str | None) -> Source:
    """Where a request came from, told by the address of its connection."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return Source(UNKNOWN)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        # Whoever has one address of a network usually has all of them.
        network = ipaddress.ip_network((int(address), _IPV6_NETWORK), strict=False)
        return Source(str(network))
    return Source(str(getattr(address, "ipv4_mapped", None) or address))


def _kept_for(key: Key) -> str:
    return key.actor.id
