"""Who only serves gets the bytes of what is deployed to them, and of the way back; no others."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab.kernel.ids import TenantId
from trimtab.registry import reach
from trimtab.registry.model import Lifecycle, Version

AA, BB = TenantId("aa"), TenantId("bb")
PLACE = "production"


def deployed(house: Any, version: Version, tenant: TenantId | None = None) -> bool:
    with house.records.look() as reading:
        return reach.deployed_to(reading, version, tenant, PLACE)


def test_before_there_is_a_deployment_there_is_nothing(house: Any) -> None:
    registered = house.register("1.0.0")
    assert not deployed(house, registered)
    assert not deployed(house, house.moved(registered, Lifecycle.STAGING))
    assert not deployed(house, house.approved("1.1.0"))


def test_canary_and_stable_are_deployed_and_what_was_taken_back_is_not(house: Any) -> None:
    first, second = house.stable("1.0.0"), house.approved("1.1.0")
    house.canary(second, 10)
    assert deployed(house, first)
    assert deployed(house, second)
    house.withdraw(second)
    assert deployed(house, first)
    assert not deployed(house, second)


def test_of_the_predecessors_the_way_back_is_deployed(house: Any) -> None:
    versions = [house.stable(text) for text in ("1.0.0", "1.1.0", "1.2.0")]
    assert [deployed(house, v) for v in versions] == [False, True, True]
    house.moved(versions[1], Lifecycle.DEPRECATED)
    assert [deployed(house, v) for v in versions] == [True, False, True]


@pytest.mark.parametrize(("asker", "own", "everybodys"), [(AA, True, True), (BB, False, True)])
def test_a_tenants_version_is_deployed_to_it_alone(
    house: Any, asker: TenantId, own: bool, everybodys: bool
) -> None:
    theirs, all_of_us = house.stable("1.0.0", tenant=AA), house.stable("1.1.0")
    assert deployed(house, theirs, asker) == own
    assert deployed(house, all_of_us, asker) == everybodys
    assert not deployed(house, theirs, None)


def test_another_place_does_not_count(house: Any) -> None:
    version = house.approved("1.0.0")
    house.canary(version, 10, place="test")
    assert not deployed(house, version)
