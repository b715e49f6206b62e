"""No tenant keeps the others waiting: how many requests, and how many of them at a time.

Decided before a request takes a thread, a connection or a look at the records. Who a caller is
was found out with their first request: a credential belongs to one tenant for life. The fleet's
own people and programs are not limited. `X-Tenant-Id` plays no part: whoever narrows themselves
for a request does not use up what is the tenant's.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from trimtab.api import problems
from trimtab.kernel.actor import Actor
from trimtab.platform.buckets import Buckets, Pace
from trimtab.platform.metrics import Metrics
from trimtab.platform.settings import Settings

FLEET = ""
"""In place of a tenant: the fleet itself. No tenant has this name."""

_MOST_CALLERS = 20_000
"""Credentials whose tenant is remembered."""

_CARRIERS = (b"x-api-key", b"authorization", b"cookie")


@dataclass(frozen=True)
class Limits:
    """What a tenant may ask for. One credential has `credential_percent` of each pace, so that
    one broken program does not use up its tenant's."""

    paces: dict[str, Pace]
    credential_percent: float
    at_a_time: int
    waiting: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As the settings say."""
        seconds = settings.limit_burst_seconds
        reads, writes = settings.limit_reads_per_second, settings.limit_writes_per_second
        uploads = settings.limit_uploads_per_minute
        return cls(
            {
                "reads": Pace(reads, reads * seconds),
                "writes": Pace(writes, writes * seconds),
                "uploads": Pace(uploads / 60, uploads),
            },
            settings.limit_credential_percent,
            settings.limit_requests_at_a_time,
            settings.limit_requests_waiting,
        )


@dataclass
class _Room:
    """Where the requests of one tenant are, or wait to be."""

    places: asyncio.Semaphore
    present: int = 0


class Fairness:
    """Lets requests in: those of each tenant within its limits, in the order they came.

    Args:
        now: Seconds of the machine, that only grow.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        now: Callable[[], float] = time.monotonic,
    ):
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._now = now
        self._buckets = Buckets()
        self._tenants: OrderedDict[bytes, str] = OrderedDict()
        self._rooms: dict[str, _Room] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, now or when it is its turn; answer in its place where there is
        no turn for it."""
        caller = _caller(scope)
        if caller is None:
            await self._app(scope, receive, send)
            return
        tenant = self._tenants.get(caller)
        if tenant == FLEET:
            await self._app(scope, receive, send)
            return
        refusal = None if tenant is None else self._too_many(scope, tenant, caller)
        if refusal is not None:
            await self._refuse(*refusal, scope, receive, send)
            return
        # Until it is known whose it is, a credential is alone in its room.
        await self._in_turn(tenant or caller.hex(), caller, scope, receive, send)

    async def _in_turn(
        self, name: str, caller: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(asyncio.Semaphore(self._limits.at_a_time))
        if room.present >= self._limits.at_a_time + self._limits.waiting:
            await self._refuse("requests at a time", 1.0, scope, receive, send)
            return
        room.present += 1
        try:
            async with room.places:  # no turn of the loop is waited for where there is one
                await self._app(scope, receive, send)
        finally:
            room.present -= 1
            if not room.present:
                self._rooms.pop(name, None)
            self._learn(caller, scope)

    def _learn(self, caller: bytes, scope: Scope) -> None:
        actor: Actor | None = scope.get("state", {}).get("actor")
        if actor is not None:
            self._tenants[caller] = FLEET if actor.tenant is None else str(actor.tenant)
            self._tenants.move_to_end(caller)
            while len(self._tenants) > _MOST_CALLERS:
                self._tenants.popitem(last=False)

    def _too_many(self, scope: Scope, tenant: str, caller: bytes) -> tuple[str, float] | None:
        """The limit that this request is above, and for how many seconds; else it is counted."""
        kind, now = kind_of(scope), self._now()
        pace = self._limits.paces[kind]
        share = pace.share(self._limits.credential_percent)
        asked = (((tenant, kind), pace, kind), ((caller, kind), share, f"{kind} of one credential"))
        for key, allowed, name in asked:
            seconds = self._buckets.wait_seconds(key, allowed, now)
            if seconds > 0:
                return name, seconds
        for key, allowed, _ in asked:
            self._buckets.take(key, allowed, now)
        return None

    async def _refuse(
        self, limit: str, seconds: float, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._metrics.requests_refused.labels("too_many_requests").inc()
        after = math.ceil(seconds)
        answer = problems.problem(
            429,
            "too_many_requests",
            f"above the limit of your tenant: {limit}",
            remedy=f"ask again in {after} s, and more slowly",
        )
        answer.headers["Retry-After"] = str(after)
        answer.headers["X-Trimtab-Limit"] = limit
        await answer(scope, receive, send)


def kind_of(scope: Scope) -> str:
    """Which pace a request is counted by."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return "reads"
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    form = any(value.lower().startswith(b"multipart/") for value in kinds)
    return "uploads" if form else "writes"


def _caller(scope: Scope) -> bytes | None:
    """A digest of the credential that a request carries; None where it carries none."""
    if scope["type"] != "http":
        return None
    carried = [(name, value) for name, value in scope["headers"] if name in _CARRIERS]
    if not carried:
        return None
    digest = hashlib.sha256()
    for name, value in carried:
        digest.update(name + b"\0" + value + b"\0")
    return digest.digest()
