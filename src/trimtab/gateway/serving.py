"""What is served right now: one immutable value, replaced as a whole."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trimtab.gateway.sessions import LoadedVersion
from trimtab.kernel.errors import IntegrityFailed, TrimtabError
from trimtab.sdk.routing import (
    ModelRoutes,
    Resolution,
    Route,
    RoutingTable,
    TableClock,
    Target,
    VersionEntry,
    resolve,
)

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_RANDOM_BITS = 48
_COUNTER_LOW = 62 - _RANDOM_BITS
_COUNTER_BITS = 12 + _COUNTER_LOW
"""Of the 74 bits of a UUIDv7 that are not time, version or variant: more answers than a
millisecond can hold, and enough chance to tell gateways apart that count alike."""

Slot = tuple[str, str | None, str, str]
"""Model, the route's tenant, version, digest."""
Load = Callable[[VersionEntry], LoadedVersion]


class DomainTime:
    """Domain time as far as a gateway can tell: that of its table, moved as the table says.

    Args:
        table: Whose `now` is the start, and whose `clock` says how it moves.
        age_seconds: How long ago the table was issued; for tables from disk.
    """

    def __init__(self, table: RoutingTable, age_seconds: float = 0.0):
        self._start = (table.now - _EPOCH) // _MICROSECOND
        self._expires = (table.expires_at - _EPOCH) // _MICROSECOND
        self._moves = table.clock is TableClock.REAL
        self._from = time.monotonic() - age_seconds

    def now_us(self) -> int:
        """Microseconds since 1970, domain time."""
        if not self._moves:
            return self._start
        return self._start + int((time.monotonic() - self._from) * 1e6)

    def age_seconds(self) -> float:
        """How long ago the table was issued, as far as is known."""
        return time.monotonic() - self._from

    def expired(self) -> bool:
        """Whether the table's time is over."""
        return self.now_us() >= self._expires


class PredictionIds:
    """UUIDs of version 7 (RFC 9562) whose time is domain time, in milliseconds.

    Those of one millisecond are told apart by a counter (RFC 9562, section 6.2, method 1), so
    that their order is the order of the answers: a stepped clock gives one time to a whole
    day. The counter begins anew with every millisecond, and so tells nobody how much others
    ask. For one thread.
    """

    def __init__(self) -> None:
        self._millisecond = -1
        self._count = 0

    def next(self, now_us: int) -> str:
        """An id that no other prediction has."""
        millisecond = now_us // 1000
        self._count = self._count + 1 if millisecond == self._millisecond else 0
        self._millisecond = millisecond
        count = self._count & (1 << _COUNTER_BITS) - 1
        value = (millisecond & (1 << 48) - 1) << 80 | 0x7 << 76 | 0x2 << 62
        value |= count >> _COUNTER_LOW << 64
        value |= (count & (1 << _COUNTER_LOW) - 1) << _RANDOM_BITS
        value |= int.from_bytes(os.urandom(_RANDOM_BITS // 8), "big")
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True)
class Refusal:
    """A routed version that does not serve, and why."""

    model: str
    tenant: str | None
    version: str
    digest: str
    deployment: str
    reason: str


@dataclass(frozen=True)
class Serving:
    """A table whose every route is loaded, and the sessions behind it.

    `table` is the signed one, less the versions that were refused; where a stable was
    refused, the one that served before still stands in its place.
    """

    table: RoutingTable
    loaded: Mapping[Slot, LoadedVersion]
    refused: tuple[Refusal, ...]
    time: DomainTime

    def resolve(
        self, model: str, tenant: str | None, endpoint: str
    ) -> tuple[Resolution, LoadedVersion]:
        """Which version answers, and its session.

        Raises:
            NotFound: no route of this model may answer this tenant.
        """
        found = resolve(self.table, model, tenant, endpoint, expired=self.time.expired())
        return found, self.loaded[(model, found.tenant, found.version, found.digest)]

    def stables(self, model: str, tenant: str | None) -> list[tuple[str | None, Target]]:
        """Stable versions that this tenant may name itself: its own, then the global one.

        Canaries are not among them: naming one would be a way around its percentage.
        """
        routes = self.table.by_model.get(model, {})
        owners = [None] if tenant is None else [tenant, None]
        found = [(owner, routes[owner]) for owner in owners if owner in routes]
        return [(owner, route.stable) for owner, route in found if route.stable is not None]


def build(
    table: RoutingTable, load: Load, previous: Serving | None, age_seconds: float = 0.0
) -> Serving:
    """Load what `table` routes to; what does not load leaves the old stable in place.

    Raises nothing for a version: refusals are part of the result. A refused canary takes
    no traffic. Sessions of `previous` are taken over where nothing about them changed.
    """
    return _Builder(table, load, previous).build(age_seconds)


class _Builder:
    def __init__(self, table: RoutingTable, load: Load, previous: Serving | None):
        self._table = table
        self._load = load
        self._previous = previous
        self._loaded: dict[Slot, LoadedVersion] = {}
        self._refused: list[Refusal] = []
        self._ready = {_identity(v.entry): v for v in previous.loaded.values()} if previous else {}

    def build(self, age_seconds: float) -> Serving:
        models = tuple(
            dataclasses.replace(model, routes=tuple(self._route(model, r) for r in model.routes))
            for model in self._table.models
        )
        return Serving(
            dataclasses.replace(self._table, models=models),
            self._loaded,
            tuple(self._refused),
            DomainTime(self._table, age_seconds),
        )

    def _route(self, model: ModelRoutes, route: Route) -> Route:
        stable, canary = route.stable, route.canary
        if canary is not None and not self._take(model, route.tenant, canary, "canary"):
            canary = None
        if stable is not None and not self._take(model, route.tenant, stable, "stable"):
            stable = self._kept(model.model, route.tenant)
        return Route(route.tenant, stable, canary)

    def _take(self, model: ModelRoutes, tenant: str | None, target: Target, what: str) -> bool:
        slot = (model.model, tenant, target.version, target.digest)
        try:
            entry = self._table.entry(model.model, tenant, target)
            version = self._ready.get(_identity(entry)) or self._load(entry)
            if model.input is not None:
                version.require_inputs(model.input)
        except TrimtabError as error:
            log.warning("refused %s %s: %s", model.model, target.version, error)
            self._refused.append(
                Refusal(model.model, tenant, target.version, target.digest, what, error.message)
            )
            return False
        self._ready[_identity(entry)] = version
        self._loaded[slot] = version
        return True

    def _kept(self, model: str, tenant: str | None) -> Target | None:
        """The stable that served this route before, with its session."""
        if self._previous is None:
            return None
        route = self._previous.table.by_model.get(model, {}).get(tenant)
        if route is None or route.stable is None:
            return None
        slot = (model, tenant, route.stable.version, route.stable.digest)
        self._loaded[slot] = self._previous.loaded[slot]
        return route.stable


def _identity(entry: VersionEntry) -> tuple[str, str, str, str | None]:
    return (entry.digest, entry.model, entry.version, entry.tenant)


def require_successor(new: RoutingTable, last: RoutingTable | None, origin: str) -> None:
    """Check that `new` may follow `last`.

    The same epoch may come again with a later time, but never with other content.

    Raises:
        IntegrityFailed: another origin, a lower epoch, or another table of this epoch.
    """
    expected = origin or (last.origin if last is not None else new.origin)
    if new.origin != expected:
        raise IntegrityFailed(f"a table of {new.origin}, not of {expected}", field="origin")
    if last is None or new.epoch > last.epoch:
        return
    if new.epoch < last.epoch:
        raise IntegrityFailed(f"epoch {new.epoch} is older than {last.epoch}", field="epoch")
    if new.now < last.now or (new.models, new.keys, new.versions) != (
        last.models,
        last.keys,
        last.versions,
    ):
        raise IntegrityFailed(f"another table of epoch {new.epoch}", field="epoch")
