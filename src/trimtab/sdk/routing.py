"""The routing table: which version answers whom, as the control plane signs it.

One parser and one `resolve` for both sides: what the control plane explains is what the
gateway does. A table is sealed in a DSSE envelope of `PAYLOAD_TYPE`; nothing here checks
signatures, it only reads bytes that somebody has verified.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

from trimtab.kernel.clock import parse_iso
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.kernel.events import canonical, plain

PAYLOAD_TYPE = "application/vnd.trimtab.routing+json"
FORMAT = "trimtab-routing/1"
BUCKETS = 10_000


class Deployment(StrEnum):
    """Under which exposure a version answered."""

    STABLE = "stable"
    CANARY = "canary"


class TableClock(StrEnum):
    """How domain time moves between two tables."""

    REAL = "real"
    """With the seconds of the machine."""
    STEPPED = "stepped"
    """Not at all: it stands still until the next table."""


@dataclass(frozen=True)
class Target:
    """One version that a permit allows to answer."""

    version: str
    digest: str
    permit: str


@dataclass(frozen=True)
class Canary(Target):
    """A version on trial: `percent` (0 to 100, two decimals) of the endpoints, drawn by `salt`."""

    percent: float
    salt: str

    def takes(self, bucket: int) -> bool:
        """Whether an endpoint of this bucket is in; a larger percent only ever adds buckets."""
        return bucket < round(self.percent * BUCKETS / 100)


@dataclass(frozen=True)
class Route:
    """What answers one tenant; tenant None is everybody without a route of their own."""

    tenant: str | None
    stable: Target | None
    canary: Canary | None


@dataclass(frozen=True)
class InputSpec:
    """One tensor that callers must send; -1 in `shape` is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelRoutes:
    """All routes of one model, and, when stated, the inputs that its callers send."""

    model: str
    routes: tuple[Route, ...]
    input: tuple[InputSpec, ...] | None = None


@dataclass(frozen=True)
class ApiKey:
    """A credential by the SHA-256 of its secret; tenant None is the fleet."""

    id: str
    sha256: str
    tenant: str | None


@dataclass(frozen=True)
class VersionEntry:
    """Where the bytes of a routed version and their signature are fetched (paths, or None)."""

    digest: str
    model: str
    version: str
    tenant: str | None
    download_url: str | None = None
    signature_url: str | None = None


@dataclass(frozen=True)
class RoutingTable:
    """Everything that a gateway needs in order to serve alone. Times are domain time."""

    origin: str
    epoch: int
    now: datetime
    expires_at: datetime
    models: tuple[ModelRoutes, ...]
    keys: tuple[ApiKey, ...]
    versions: tuple[VersionEntry, ...]
    clock: TableClock = TableClock.REAL

    @cached_property
    def by_model(self) -> Mapping[str, Mapping[str | None, Route]]:
        """Routes by model, then by tenant."""
        return {m.model: {r.tenant: r for r in m.routes} for m in self.models}

    @cached_property
    def by_key(self) -> Mapping[str, ApiKey]:
        """Credentials by their public id."""
        return {key.id: key for key in self.keys}

    def entry(self, model: str, tenant: str | None, target: Target) -> VersionEntry:
        """The listed version that `target` of this route means, the tenant's own first.

        Raises:
            NotFound: the table lists no such version that this tenant may be served.
        """
        wanted = (target.digest, model, target.version)
        for owner in (tenant, None):
            for entry in self.versions:
                if (entry.digest, entry.model, entry.version, entry.tenant) == (*wanted, owner):
                    return entry
        raise NotFound(f"{model} {target.version} ({target.digest}) is not among the versions")


@dataclass(frozen=True)
class Rejected:
    """A candidate that did not answer, and why."""

    rule: str
    version: str | None
    reason: str


@dataclass(frozen=True)
class Resolution:
    """Which version answers, by which rule, and what was passed over on the way.

    `bucket` (0 to 9999) is the endpoint's bucket under the salt of the canary that was
    asked last; None when no canary was asked.
    """

    version: str
    digest: str
    deployment: Deployment
    reason: str
    tenant: str | None
    """Whose route answered: the caller's tenant, or None for the global one."""
    bucket: int | None = None
    rejected: tuple[Rejected, ...] = ()


def bucket_of(salt: str, endpoint_id: str) -> int:
    """The endpoint's bucket, 0 to 9999: the same for ever under the same salt.

    First 8 bytes of SHA-256(salt, 0x00, endpoint), big-endian, modulo 10000; the bias of
    the modulo is below 1e-15.
    """
    digest = hashlib.sha256(salt.encode() + b"\0" + endpoint_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def resolve(
    table: RoutingTable,
    model: str,
    tenant: str | None,
    endpoint_id: str,
    *,
    expired: bool = False,
) -> Resolution:
    """Decide which version answers `endpoint_id` of `tenant`.

    Order: tenant canary (if in its bucket), tenant stable, global canary (if in its
    bucket), global stable. No other tenant's route is ever looked at.

    Args:
        expired: The table has expired: canaries return to 0, stable keeps serving.

    Raises:
        NotFound: no route of this model may answer this tenant.
    """
    routes = table.by_model.get(model, {})
    rejected: list[Rejected] = []
    bucket: int | None = None
    owners = [("global", None)] if tenant is None else [("tenant", tenant), ("global", None)]
    for scope, owner in owners:
        route = routes.get(owner)
        if route is None:
            rejected.append(Rejected(f"{scope} route", None, "there is none"))
            continue
        if route.canary is not None:
            rule = f"{scope} canary"
            bucket = bucket_of(route.canary.salt, endpoint_id)
            if expired:
                rejected.append(Rejected(rule, route.canary.version, "the table has expired"))
            elif route.canary.takes(bucket):
                reason = f"{rule}: bucket {bucket} is within {route.canary.percent:g} %"
                chosen, passed = route.canary, tuple(rejected)
                return Resolution(
                    chosen.version, chosen.digest, Deployment.CANARY, reason, owner, bucket, passed
                )
            else:
                outside = f"bucket {bucket} is outside {route.canary.percent:g} %"
                rejected.append(Rejected(rule, route.canary.version, outside))
        if route.stable is not None:
            stable, reason, passed = route.stable, f"{scope} stable", tuple(rejected)
            return Resolution(
                stable.version, stable.digest, Deployment.STABLE, reason, owner, bucket, passed
            )
        rejected.append(Rejected(f"{scope} stable", None, "there is none"))
    raise NotFound(
        f"no version of {model!r} answers here", field="model", remedy=_way_in(rejected, expired)
    )


def _way_in(rejected: list[Rejected], expired: bool) -> str | None:
    """What whoever is answered by nobody can do, where a canary was passed over."""
    passed = [r for r in rejected if r.version is not None]
    if not passed:
        return None
    seen = f"version {passed[-1].version} is a {passed[-1].rule}, and {passed[-1].reason}"
    if expired:
        return f"{seen}; canaries are served again with the next table of the control plane"
    return (
        f"{seen} of {BUCKETS} buckets; another X-Endpoint-Id is in another bucket, and everybody "
        "is answered once a version is stable"
    )


def serialise(table: RoutingTable) -> bytes:
    """`table` as the canonical JSON bytes that are sealed; `parse` reads them back."""
    return canonical({"format": FORMAT} | plain(table))


def parse(payload: bytes) -> RoutingTable:
    """Read a verified payload, strictly: nothing missing, unknown, repeated or dangling.

    Raises:
        InvalidInput: not a table of this format; `field` is the dotted path at fault.
    """
    try:
        raw = json.loads(payload, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the routing table is not JSON: {error}", field="table") from error
    if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
        raise InvalidInput(f"the format is not {FORMAT!r}", field="format")
    table = _TABLE(raw, "table")
    _check_whole(table)
    return table


def _check_whole(table: RoutingTable) -> None:
    """Names are unique, and every routed version is listed for that tenant or for all."""
    _unique([m.model for m in table.models], "table.models")
    _unique([k.id for k in table.keys], "table.keys")
    for i, model in enumerate(table.models):
        _unique([r.tenant for r in model.routes], f"table.models.{i}.routes")
        for j, route in enumerate(model.routes):
            for target in filter(None, (route.stable, route.canary)):
                try:
                    table.entry(model.model, route.tenant, target)
                except NotFound as error:
                    where = f"table.models.{i}.routes.{j}"
                    raise InvalidInput(error.message, field=where) from error


def _unique(names: list[Any], where: str) -> None:
    if len(set(names)) != len(names):
        raise InvalidInput(f"{where} names one thing twice", field=where)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return dict(pairs)


# A reader takes a JSON value and its dotted path and returns our type, or raises InvalidInput.
T = TypeVar("T")
Reader = Callable[[Any, str], T]


def _text(pattern: str) -> Reader[str]:
    allowed = re.compile(pattern)

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or not allowed.fullmatch(value):
            raise InvalidInput(f"{where} is {value!r}, which is not allowed there", field=where)
        return value

    return read


def _maybe(reader: Reader[T]) -> Reader[T | None]:
    return lambda value, where: None if value is None else reader(value, where)


def _list(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    def read(value: Any, where: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise InvalidInput(f"{where} is not a list", field=where)
        return tuple(reader(item, f"{where}.{i}") for i, item in enumerate(value))

    return read


def _whole(at_least: int) -> Reader[int]:
    def read(value: Any, where: str) -> int:
        if type(value) is not int or value < at_least:
            raise InvalidInput(f"{where} is not a whole number from {at_least}", field=where)
        return value

    return read


def _percent(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 100:
        raise InvalidInput(f"{where} is not a number from 0 to 100", field=where)
    number: float = value  # 50 stays 50, so that a table has one spelling
    return number


def _moment(value: Any, where: str) -> datetime:
    try:
        return parse_iso(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{where} is not a time: {error}", field=where) from error


def _record(cls: type[T], **readers: Reader[Any]) -> Reader[T]:
    """A reader of objects with these keys; those whose field has a default may be left out."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # all are
    required = {name for name in readers if fields[name].default is dataclasses.MISSING}

    def read(value: Any, where: str) -> T:
        if not isinstance(value, dict):
            raise InvalidInput(f"{where} is not an object", field=where)
        for name in sorted(required - value.keys()):
            raise InvalidInput(f"{where} has no {name!r}", field=f"{where}.{name}")
        for name in sorted(value.keys() - readers.keys()):
            raise InvalidInput(f"{where} has an unknown key {name!r}", field=f"{where}.{name}")
        return cls(**{n: readers[n](v, f"{where}.{n}") for n, v in value.items()})

    return read


_NAME = _text("[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_DIGEST = _text("sha256:[0-9a-f]{64}")
_TOKEN = _text("[!-~]{1,128}")
_ANY = _text(".{1,256}")
_PATH = _text("/(?!/)[!-~]*")  # never another host

_BOUND: dict[str, Reader[Any]] = {"version": _NAME, "digest": _DIGEST, "permit": _TOKEN}
_ROUTE = _record(
    Route,
    tenant=_maybe(_NAME),
    stable=_maybe(_record(Target, **_BOUND)),
    canary=_maybe(_record(Canary, **_BOUND, percent=_percent, salt=_TOKEN)),
)
_MODEL = _record(
    ModelRoutes,
    model=_NAME,
    routes=_list(_ROUTE),
    input=_maybe(
        _list(_record(InputSpec, name=_ANY, datatype=_TOKEN, shape=_list(_whole(-1)))),
    ),
)
_VERSION = _record(
    VersionEntry,
    digest=_DIGEST,
    model=_NAME,
    version=_NAME,
    tenant=_maybe(_NAME),
    download_url=_maybe(_PATH),
    signature_url=_maybe(_PATH),
)
_TABLE = _record(
    RoutingTable,
    origin=_ANY,
    epoch=_whole(0),
    clock=lambda value, where: TableClock(_text("real|stepped")(value, where)),
    now=_moment,
    expires_at=_moment,
    models=_list(_MODEL),
    keys=_list(_record(ApiKey, id=_NAME, sha256=_text("[0-9a-f]{64}"), tenant=_maybe(_NAME))),
    versions=_list(_VERSION),
)
