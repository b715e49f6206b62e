"""The routing table: what every gateway may serve, signed, and told apart by its epoch.

The table is derived from the deployments, the keys and the clock; it decides nothing by
itself. An epoch is used once: a table with other content has a higher one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trimtab.artifacts import envelope
from trimtab.audit.work import Reading, Wanted, Work
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Json, Kind, Moment, plain_table
from trimtab.registry import deployment_store, history
from trimtab.registry.deployment_store import Place
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.store import Facts
from trimtab.sdk.routing import (
    PAYLOAD_TYPE,
    ApiKey,
    Canary,
    ModelRoutes,
    Resolution,
    Route,
    RoutingTable,
    TableClock,
    Target,
    VersionEntry,
    resolve,
    serialise,
)

PUBLISHED = plain_table(
    "routing_tables",
    Kind.OBSERVATION,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("content", sa.String(64), nullable=False),
    sa.Column("exposure", sa.String(64), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
"""Every table that was handed out. `exposure` is the digest of its routes alone."""

GATEWAYS = plain_table(
    "gateways",
    Kind.OBSERVATION,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("report", Json, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
)
"""What each gateway said last. `seen_at` is real time: it tells who is alive."""


_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


def build(
    reading: Reading,
    *,
    origin: str,
    environment: str,
    keys: Sequence[ApiKey],
    lifetime: timedelta,
    clock: TableClock,
) -> RoutingTable:
    """The table that follows from the present records; its epoch is not set yet (0)."""
    placed = deployment_store.carrying(reading, environment)
    return RoutingTable(
        origin=origin,
        epoch=0,
        now=reading.now,
        expires_at=reading.now + lifetime,
        models=routes(placed),
        keys=tuple(keys),
        versions=_entries(placed),
        clock=clock,
    )


def routes(placed: Sequence[Deployed]) -> tuple[ModelRoutes, ...]:
    """Deployments as routes, by model and tenant."""
    by_place: dict[tuple[str, TenantId | None], Route] = {}
    for deployed in placed:
        place = (deployed.model, deployed.tenant)
        route = by_place.get(place, Route(deployed.tenant, None, None))
        if deployed.state is Deployment.STABLE:
            target = Target(deployed.version, deployed.digest, deployed.permit)
            by_place[place] = replace(route, stable=target)
        elif deployed.state is Deployment.CANARY:
            canary = Canary(
                deployed.version, deployed.digest, deployed.permit, deployed.percent, deployed.salt
            )
            by_place[place] = replace(route, canary=canary)
    names = sorted({model for model, _ in by_place})
    return tuple(
        ModelRoutes(
            name,
            tuple(r for (model, _), r in sorted(by_place.items(), key=_place) if model == name),
        )
        for name in names
    )


def publish(
    work: Work, table: RoutingTable, key: Ed25519PrivateKey, *, at_least: int = 1
) -> tuple[int, bytes]:
    """Seal `table` under the next epoch, or give what was published if that still stands.

    What was published below the epoch `at_least` does not stand, and the next one is not
    below it either.
    """
    newest = latest(work)
    last = 0 if newest is None else int(newest["epoch"])
    if newest is not None and last >= at_least and not outdated(newest, table):
        return last, bytes(newest["sealed"])
    epoch = max(last + 1, at_least)
    sealed = envelope.seal(serialise(replace(table, epoch=epoch)), PAYLOAD_TYPE, key)
    row = {
        "epoch": epoch,
        "content": _content_digest(table),
        "exposure": exposure_digest(table),
        "sealed": sealed,
        "at": work.now,
    }
    work.append(PUBLISHED, [row])
    return epoch, sealed


_NEWEST = sa.select(PUBLISHED).order_by(PUBLISHED.c.epoch.desc()).limit(1)


def latest(reading: Reading) -> sa.RowMapping | None:
    """The row of the newest published table, or None."""
    return reading.row(_NEWEST)


def outdated(newest: sa.RowMapping, table: RoutingTable) -> bool:
    """Whether `table` has to be published after the newest one: it says something else, it
    carries a clock that has been stepped, or half of the newest one's time is over."""
    half = newest["at"] + (table.expires_at - table.now) / 2
    stepped = table.clock is TableClock.STEPPED and newest["at"] != table.now
    return bool(newest["content"] != _content_digest(table) or stepped or table.now >= half)


def exposure_since(reading: Reading) -> int | None:
    """The first epoch that exposes versions as the newest table does, or None.

    A gateway that has applied this epoch or a later one serves what is recorded now.
    """
    newest = latest(reading)
    if newest is None:
        return None
    other = sa.select(sa.func.max(PUBLISHED.c.epoch).label("epoch")).where(
        PUBLISHED.c.exposure != newest["exposure"]
    )
    row = reading.row(other)
    return 1 if row is None or row["epoch"] is None else int(row["epoch"]) + 1


def exposure_digest(table: RoutingTable) -> str:
    """What tells two tables apart that expose versions differently."""
    return hashlib.sha256(repr(table.models).encode()).hexdigest()


def note_report(
    work: Work, name: str, epoch: int, report: dict[str, object], seen_at: object
) -> None:
    """Keep what a gateway says of itself."""
    row = {"epoch": epoch, "report": report, "seen_at": seen_at}
    if not work.execute(GATEWAYS.update().where(GATEWAYS.c.name == name).values(**row)):
        work.append(GATEWAYS, [{"name": name, **row}])


_HEARD = sa.select(GATEWAYS).order_by(GATEWAYS.c.name)


def gateways(reading: Reading) -> Sequence[sa.RowMapping]:
    """What every gateway said last, by name."""
    return reading.rows(_HEARD)


def wanted_now(place: Place) -> Wanted:
    """What `resolve_now` looks for."""
    return Wanted(deployment_store.answering, place)


def resolve_now(reading: Reading, place: Place, endpoint: str) -> tuple[Resolution, Facts]:
    """Which version answers an endpoint in `place` by the present records, and why; and what
    the endpoint is told of that version.

    The same rule that every gateway follows. Writes nothing.

    Raises:
        NotFound: nothing answers here.
    """
    placed = reading.get(deployment_store.answering, place) or []
    found = _resolved([d for d, _ in placed], place, endpoint, reading.now)
    return found, next(facts for d, facts in placed if d.version == found.version)


def resolve_then(reading: Reading, place: Place, endpoint: str, at: datetime) -> Resolution:
    """Which version answered an endpoint in `place` at the moment `at`, and why, by what is
    recorded of then. What moved at that very moment has moved. Writes nothing.

    Raises:
        NotFound: nothing answered here.
    """
    then = history.deployments_then(reading, (place.model,), at)
    return _resolved([d for d in then if place.is_answered_by(d)], place, endpoint, at)


def _resolved(placed: Sequence[Deployed], place: Place, endpoint: str, at: datetime) -> Resolution:
    table = RoutingTable("", 0, at, at, routes(placed), (), ())
    return resolve(table, place.model, place.tenant, endpoint)


def _content_digest(table: RoutingTable) -> str:
    """What tells two tables apart, their times and epochs aside."""
    timeless = replace(table, epoch=0, now=_EPOCH_START, expires_at=_EPOCH_START)
    return hashlib.sha256(serialise(timeless)).hexdigest()


def _entries(placed: Sequence[Deployed]) -> tuple[VersionEntry, ...]:
    unique = {(d.digest, d.model, d.version, d.tenant) for d in placed}
    return tuple(
        VersionEntry(
            digest,
            model,
            version,
            tenant,
            f"/api/ml/model/download?model={model}&version={version}&type=onnx",
            f"/api/v1/models/{model}/versions/{version}/signature",
        )
        for digest, model, version, tenant in sorted(unique, key=str)
    )


def _place(item: tuple[tuple[str, TenantId | None], Route]) -> tuple[str, str]:
    (model, tenant), _ = item
    return model, tenant or ""
