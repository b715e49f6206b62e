"""The routing table: derived, signed, numbered upwards, and explained by the same rule."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.artifacts import envelope
from trimtab.artifacts.keys import key_id
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import TenantId
from trimtab.registry import deployment_store, routing
from trimtab.registry.deployment_store import Place
from trimtab.sdk.routing import (
    PAYLOAD_TYPE,
    ApiKey,
    Deployment,
    RoutingTable,
    TableClock,
    bucket_of,
    parse,
    resolve,
)

AA = TenantId("aa")
KEYS = (ApiKey("ak_1", "0" * 64, "aa"),)


def built(house: Any, clock: TableClock = TableClock.REAL, **changes: Any) -> RoutingTable:
    with house.records.look() as reading:
        table = routing.build(
            reading,
            origin="trimtab.example",
            environment="production",
            keys=KEYS,
            lifetime=timedelta(hours=2),
            clock=clock,
        )
    return replace(table, **changes)


def published(house: Any, table: RoutingTable | None = None) -> tuple[int, bytes]:
    with house.work() as work:
        found: tuple[int, bytes] = routing.publish(work, table or built(house), house.key)
    return found


def opened(house: Any, sealed: bytes) -> RoutingTable:
    public = house.key.public_key()
    trusted = {key_id(public): public}
    payload = envelope.open_sealed(sealed, PAYLOAD_TYPE, trusted, max_bytes=1 << 20)
    return parse(payload)


def test_what_is_published_is_what_was_built_under_its_epoch(house: Any) -> None:
    house.stable("1.0.0")
    house.canary(house.approved("2.0.0"), 25)
    epoch, sealed = published(house)
    assert epoch == 1
    assert opened(house, sealed) == replace(built(house), epoch=1)


def test_the_same_again_is_the_same_table(house: Any) -> None:
    house.stable("1.0.0")
    first = published(house)
    house.clock.step_to(house.clock.now() + timedelta(minutes=59))
    assert published(house) == first


def test_half_of_its_time_is_over(house: Any) -> None:
    house.stable("1.0.0")
    first = published(house)
    house.clock.step_to(house.clock.now() + timedelta(hours=1))
    epoch, sealed = published(house)
    assert (epoch, sealed != first[1]) == (2, True)
    assert opened(house, sealed).expires_at == house.clock.now() + timedelta(hours=2)


def test_a_stepped_clock_travels_with_every_step(house: Any) -> None:
    assert published(house, built(house, TableClock.STEPPED))[0] == 1
    assert published(house, built(house, TableClock.STEPPED))[0] == 1
    house.clock.step_to(house.clock.now() + timedelta(seconds=1))
    assert published(house, built(house, TableClock.STEPPED))[0] == 2


@pytest.mark.parametrize("changes", [{"keys": ()}, {"origin": "other"}])
def test_anything_else_that_it_says_is_a_new_epoch(house: Any, changes: dict[str, Any]) -> None:
    published(house)
    assert published(house, built(house, **changes))[0] == 2


@pytest.mark.parametrize("contents", [1, 8])
def test_published_at_once_each_content_has_an_epoch_of_its_own(house: Any, contents: int) -> None:
    """Two processes may publish at the same moment."""
    tables = [built(house, origin=f"origin-{n % contents}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda table: published(house, table), tables))
    epochs = dict(found)
    assert sorted(epochs) == list(range(1, contents + 1))
    assert all(epochs[epoch] == sealed for epoch, sealed in found)
    assert {opened(house, sealed).epoch for sealed in epochs.values()} == set(epochs)


def test_reports_at_once_of_a_new_gateway_are_one_row(house: Any) -> None:
    def report(epoch: int) -> None:
        with house.work() as work:
            routing.note_report(work, "gate-1", epoch, {"epoch": epoch}, work.now)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, range(8)))
    with house.records.look() as reading:
        (row,) = routing.gateways(reading)
    assert row["report"] == {"epoch": row["epoch"]}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(["step", "back", "wait", "idle"]), max_size=10))
def test_epochs_only_rise_and_stand_for_one_content(fresh_house: Any, acts: list[str]) -> None:
    house = fresh_house()
    version = house.approved("1.0.0")
    seen: dict[int, bytes] = {}
    last, share = 0, 0.0
    for act in acts:
        if act == "step" and share < 50:
            share += 10
            house.canary(version, share)
        elif act == "back" and share:
            house.withdraw(version)
            share = 0.0
        elif act == "wait":
            house.clock.step_to(house.clock.now() + timedelta(minutes=40))
        epoch, sealed = published(house)
        assert last <= epoch <= last + 1
        assert seen.setdefault(epoch, sealed) == sealed
        table = opened(house, sealed)
        assert (table.epoch, table.models) == (epoch, built(house).models)
        assert table.expires_at > house.clock.now()
        last = epoch


def test_since_when_what_is_exposed_now_was_exposed(house: Any) -> None:
    def since() -> int | None:
        with house.records.look() as reading:
            return routing.exposure_since(reading)

    assert since() is None
    version = house.approved("1.0.0")
    published(house)
    assert since() == 1
    house.canary(version, 10)
    published(house)
    house.clock.step_to(house.clock.now() + timedelta(hours=1))
    published(house)
    assert since() == 2, "a renewal exposes nothing new"
    house.withdraw(version)
    assert published(house)[0] == 4
    assert since() == 4, "as at the beginning, but not since then"


def test_the_present_is_resolved_as_every_gateway_does(house: Any) -> None:
    house.stable("1.0.0")
    house.canary(house.approved("2.0.0"), 30)
    house.stable("3.0.0", tenant=AA)
    table = built(house)
    for tenant in (None, "aa", "bb"):
        for n in range(60):
            with house.records.look() as reading:
                owner = TenantId(tenant) if tenant else None
                place = Place("production", "delays", owner)
                now, _ = routing.resolve_now(reading, place, f"e{n}")
            assert now == resolve(table, "delays", tenant, f"e{n}")
            in_canary = bucket_of("salt", f"e{n}") < 3000
            wanted = "3.0.0" if tenant == "aa" else "2.0.0" if in_canary else "1.0.0"
            assert now.version == wanted


def test_a_resolution_says_why_and_what_was_passed_over(house: Any) -> None:
    house.stable("1.0.0")
    house.canary(house.approved("2.0.0"), 1)
    outside = next(f"e{n}" for n in range(1000) if bucket_of("salt", f"e{n}") >= 100)
    before = house.kinds()
    with house.records.look() as reading:
        found, _ = routing.resolve_now(reading, Place("production", "delays", AA), outside)
    assert (found.version, found.deployment, found.tenant) == ("1.0.0", Deployment.STABLE, None)
    assert found.reason == "global stable"
    assert [r.rule for r in found.rejected] == ["tenant route", "global canary"]
    assert "outside 1 %" in found.rejected[1].reason
    assert house.kinds() == before, "a resolution writes nothing"


def test_nothing_answers(house: Any) -> None:
    house.stable("1.0.0", tenant=AA)
    with house.records.look() as reading:
        for place in (
            Place("production", "delays", TenantId("bb")),
            Place("production", "delays", None),
            Place("staging", "delays", AA),
            Place("production", "unknown", AA),
        ):
            with pytest.raises(NotFound):
                routing.resolve_now(reading, place, "e")


def test_each_place_is_answered_as_if_it_were_asked_about_alone(house: Any) -> None:
    house.stable("1.0.0")
    house.canary(house.approved("2.0.0"), 30)
    house.stable("3.0.0", tenant=AA)
    places = [
        Place(environment, model, tenant)
        for environment in ("production", "staging")
        for model in ("delays", "unknown")
        for tenant in (None, AA, TenantId("bb"))
    ]
    with house.records.look() as reading:
        together = deployment_store.answering(reading, places)
        alone = [deployment_store.answering(reading, [place])[place] for place in places]
    assert [together[place] for place in places] == alone
    versions = [{d.version for d, _ in found} for found in alone[:3]]
    assert versions == [{"1.0.0", "2.0.0"}, {"1.0.0", "2.0.0", "3.0.0"}, {"1.0.0", "2.0.0"}]
    assert not any(alone[3:])


def test_what_a_gateway_says_last_counts(house: Any) -> None:
    for epoch in (1, 2):
        with house.work() as work:
            routing.note_report(work, "g1", epoch, {"refused": []}, house.clock.now())
    with house.records.look() as reading:
        (row,) = routing.gateways(reading)
    assert (row["name"], row["epoch"]) == ("g1", 2)
