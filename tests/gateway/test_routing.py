"""Resolution: one pure function for the control plane and its gateways."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.sdk.routing import (
    ApiKey,
    Canary,
    Deployment,
    InputSpec,
    ModelRoutes,
    Route,
    RoutingTable,
    TableClock,
    Target,
    VersionEntry,
    bucket_of,
    parse,
    resolve,
    serialise,
)

NOW = datetime(2015, 7, 1, 12, tzinfo=UTC)


def target(version: str) -> Target:
    return Target(version, "sha256:" + version[0] * 64, f"per_{version}")


def canary(version: str, percent: float, salt: str = "rol_1") -> Canary:
    return Canary(version, "sha256:" + version[0] * 64, f"per_{version}", percent, salt)


def table(*routes: Route) -> RoutingTable:
    versions = {
        VersionEntry(t.digest, "m", t.version, route.tenant): None
        for route in routes
        for t in (route.stable, route.canary)
        if t is not None
    }
    return RoutingTable(
        "trimtab/test",
        7,
        NOW,
        NOW + timedelta(hours=1),
        (ModelRoutes("m", routes, (InputSpec("X", "FP32", (-1, 3)),)),),
        (ApiKey("ak_1", "0" * 64, None),),
        tuple(versions),
        TableClock.STEPPED,
    )


GLOBAL = Route(None, target("1.0"), canary("2.0", 50))
TENANT = Route("aa", target("3.0"), canary("4.0", 50, salt="rol_2"))
endpoints = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
percents = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)


def test_the_order_is_tenant_canary_tenant_stable_global_canary_global_stable() -> None:
    def version(*routes: Route, tenant: str | None = "aa") -> str:
        return resolve(table(*routes), "m", tenant, "e").version

    everyone, nobody = canary("2.0", 100), canary("2.0", 0)
    full = Route(None, target("1.0"), everyone)
    assert version(full, Route("aa", target("3.0"), canary("4.0", 100))) == "4.0"
    assert version(full, Route("aa", target("3.0"), canary("4.0", 0))) == "3.0"
    assert version(full, Route("aa", None, canary("4.0", 0))) == "2.0"
    assert version(full, Route("aa", None, None)) == "2.0"
    assert version(Route(None, target("1.0"), nobody)) == "1.0"
    assert version(full, Route("aa", target("3.0"), None), tenant=None) == "2.0"


def test_the_answer_says_what_was_passed_over() -> None:
    routes = table(GLOBAL, Route("aa", None, canary("4.0", 0, salt="rol_2")))
    found = resolve(routes, "m", "aa", "e", expired=True)
    assert (found.version, found.deployment, found.tenant) == ("1.0", Deployment.STABLE, None)
    assert found.reason == "global stable"
    assert [(r.rule, r.version) for r in found.rejected] == [
        ("tenant canary", "4.0"),
        ("tenant stable", None),
        ("global canary", "2.0"),
    ]
    assert found.rejected[2].reason == "the table has expired"


def test_bucket_is_pinned_for_ever() -> None:
    # Computed by hand: int(sha256("rol_1\0endpoint-1")[:16 hex digits], 16) % 10000.
    assert bucket_of("rol_1", "endpoint-1") == 6650


@given(endpoints, percents)
def test_an_endpoint_stays_where_it_is(endpoint: str, percent: float) -> None:
    routes = table(Route(None, target("1.0"), canary("2.0", percent)))
    first = resolve(routes, "m", None, endpoint)
    again = resolve(dataclasses.replace(routes, epoch=99), "m", None, endpoint)
    assert first == again


@given(endpoints, percents, percents)
def test_raising_the_percent_never_takes_an_endpoint_out(
    endpoint: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))

    def is_in(percent: float) -> bool:
        routes = table(Route(None, target("1.0"), canary("2.0", percent)))
        return resolve(routes, "m", None, endpoint).deployment is Deployment.CANARY

    assert is_in(high) or not is_in(low)
    assert not is_in(0)
    assert is_in(100)


@pytest.mark.parametrize("percent", [1, 10, 25, 50, 99])
def test_the_share_of_endpoints_is_the_percent(percent: float) -> None:
    n = 20_000
    routes = table(Route(None, target("1.0"), canary("2.0", percent, salt=f"rol_{percent}")))
    inside = sum(
        resolve(routes, "m", None, f"endpoint-{i}").deployment is Deployment.CANARY
        for i in range(n)
    )
    low, high = binom.interval(0.9999, n, percent / 100)
    assert low <= inside <= high


@given(endpoints, st.sampled_from([None, "aa", "bb", "cc", "AA", "a", ""]), st.booleans())
def test_a_tenant_sees_its_own_routes_and_the_global_ones_only(
    endpoint: str, tenant: str | None, expired: bool
) -> None:
    routes = table(GLOBAL, TENANT, Route("bb", target("5.0"), canary("6.0", 50)))
    found = resolve(routes, "m", tenant, endpoint, expired=expired)
    own = {"aa": {"3.0", "4.0"}, "bb": {"5.0", "6.0"}}.get(tenant or "", {"1.0", "2.0"})
    assert found.version in own
    assert found.tenant in (tenant, None)
    assert not (expired and found.deployment is Deployment.CANARY)
    without_others = table(*(r for r in routes.models[0].routes if r.tenant in (tenant, None)))
    assert resolve(without_others, "m", tenant, endpoint, expired=expired) == found


def test_no_route_is_not_found() -> None:
    for routes in (table(TENANT), table(Route(None, None, canary("2.0", 0)))):
        with pytest.raises(NotFound):
            resolve(routes, "m", "bb", "e")
    with pytest.raises(NotFound):
        resolve(table(GLOBAL), "other", None, "e")


def test_a_table_survives_its_bytes() -> None:
    whole = table(GLOBAL, TENANT)
    assert parse(serialise(whole)) == whole
    assert serialise(parse(serialise(whole))) == serialise(whole)


def test_optional_keys_may_be_left_out() -> None:
    raw = json.loads(serialise(table(GLOBAL)))
    del raw["clock"], raw["models"][0]["input"]
    for version in raw["versions"]:
        del version["download_url"], version["signature_url"]
    found = parse(json.dumps(raw).encode())
    assert found.clock is TableClock.REAL
    assert found.models[0].input is None


def damaged(*path: Any, value: Any) -> bytes:
    raw = json.loads(serialise(table(GLOBAL, TENANT)))
    holder = raw
    for step in path[:-1]:
        holder = holder[step]
    if value is KeyError:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return json.dumps(raw).encode()


ROUTE = ("models", 0, "routes", 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "trimtab-routing/2"),
        (("epoch",), KeyError),
        (("epoch",), -1),
        (("epoch",), 1.0),
        (("epoch",), True),
        (("now",), "2015-07-01T12:00:00"),
        (("now",), 5),
        (("clock",), "broken"),
        (("surprise",), 1),
        (("models",), {}),
        ((*ROUTE, "tenant"), None),  # a second global route
        ((*ROUTE, "tenant"), "bb"),  # another tenant's version
        ((*ROUTE, "tenant"), "a b"),
        ((*ROUTE, "stable", "digest"), "sha256:" + "A" * 64),
        ((*ROUTE, "stable", "digest"), "sha256:" + "9" * 64),
        ((*ROUTE, "stable", "version"), "9.9"),
        ((*ROUTE, "stable"), KeyError),
        ((*ROUTE, "canary", "percent"), 101),
        ((*ROUTE, "canary", "percent"), -1),
        ((*ROUTE, "canary", "percent"), True),
        ((*ROUTE, "canary", "salt"), ""),
        (("keys", 0, "sha256"), "x"),
        (("keys", 0, "secret"), "x"),
        (("versions", 0, "download_url"), "https://elsewhere.example/x"),
        (("versions", 0, "download_url"), "//elsewhere.example/x"),
        (("versions",), []),
        (("models", 0, "input", 0, "shape"), [-2]),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        parse(damaged(*path, value=value))
    assert error.value.field


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"epoch": 1, "epoch": 2}', b"[" * 10**6])
def test_what_is_no_table_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(payload)


def test_who_is_outside_a_first_canary_is_told_so() -> None:
    found = table(Route(None, None, canary("2.0.0", 10)))
    outside = next(n for n in map(str, range(99)) if bucket_of("rol_1", n) >= 1000)
    with pytest.raises(NotFound) as refused:
        resolve(found, "m", None, outside)
    assert str(refused.value.remedy).startswith(
        "version 2.0.0 is a global canary, and "
        f"bucket {bucket_of('rol_1', outside)} is outside 10 % of 10000 buckets; another X-Endpoint"
    )
    with pytest.raises(NotFound) as refused:
        resolve(found, "m", None, outside, expired=True)
    assert "the table has expired; canaries are served again" in str(refused.value.remedy)
    with pytest.raises(NotFound) as refused:
        resolve(found, "other", None, outside)
    assert refused.value.remedy is None, "nothing is known of a model that is not routed"
