"""Random sequences of verbs against a model of what exposure may do.

The oracle knows four rules: nothing grows without a permit that is fresh, fitting and large
enough; a permit works once; one stable and one canary for each place; tenants are apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.registry.conftest import MODEL, PLACE

from trimtab.kernel.errors import Conflict, InvalidMove, NotFound, PolicyRefused
from trimtab.kernel.ids import TenantId
from trimtab.registry import deployment_store
from trimtab.registry.deployments import Deployment

AA = TenantId("aa")
VERSIONS = ["1.0.0", "2.0.0", "3.0.0"]
OWNERS: dict[str, TenantId | None] = {"1.0.0": None, "2.0.0": None, "3.0.0": AA}
REFUSALS = (Conflict, InvalidMove, NotFound, PolicyRefused)

version = st.sampled_from(VERSIONS)
percent = st.sampled_from([1.0, 10.0, 25.0, 50.0, 100.0, float("nan"), -5.0, 150.0])
cap = st.sampled_from([5.0, 10.0, 50.0, 100.0])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("permit"), version, cap),
        st.tuples(st.just("canary"), version, percent),
        st.tuples(st.just("promote"), version, st.just(100.0)),
        st.tuples(st.just("withdraw"), version, st.just(0.0)),
        st.tuples(st.just("back"), version, st.just(100.0)),
        st.tuples(st.just("wait"), version, st.just(0.0)),
    ),
    max_size=25,
)


def run(house: Any, act: str, version: Any, share: float, permits: dict[str, Any]) -> bool:
    """Do one step; whether it was allowed. Permits are taken by version, used or not."""
    try:
        match act:
            case "permit":
                permits[version.version] = house.permit(version, share)
            case "canary":
                house.canary(version, share, permits[version.version])
            case "promote":
                house.promote(version, permits[version.version])
            case "withdraw":
                house.withdraw(version)
            case "back":
                house.roll_back(permits[version.version], version.tenant)
            case "wait":
                for permit in permits.values():
                    house.clock.step_to(permit.expires_at)
    except (*REFUSALS, KeyError):
        return False
    return True


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_exposure_never_grows_without_a_fresh_permit(
    fresh_house: Any, steps: list[tuple[str, str, float]]
) -> None:
    house = fresh_house()
    versions = {v: house.approved(v, tenant=OWNERS[v]) for v in VERSIONS}
    permits: dict[str, Any] = {}
    spent: set[str] = set()
    for act, name, share in steps:
        before, entries = house.exposure(), house.kinds()
        now = house.clock.now()
        leave = permits.get(name)
        allowed = run(house, act, versions[name], share, permits)
        after = house.exposure()
        grown = {place for place in after if after[place] > before.get(place, 0.0)}
        if not allowed:
            assert (after, house.kinds()) == (before, entries), "a refusal left a trace"
        for owner, grew in grown:
            assert (owner, grew) == (OWNERS[name], name), "another place or version grew"
            assert leave is not None
            assert leave.id not in spent, "a permit was used twice"
            assert now < leave.expires_at
            assert after[owner, grew] <= leave.max_percent
            spent.add(leave.id)
        changed = {place for place in before | after if before.get(place) != after.get(place)}
        assert {owner for owner, _ in changed} <= {OWNERS[name]}, "tenants are not apart"
        for tenant in (None, AA):
            states = [house.in_place(s, tenant) for s in (Deployment.STABLE, Deployment.CANARY)]
            stable, canary = states
            assert stable is None or stable.percent == 100
            here = {v for owner, v in after if owner == tenant}
            assert here == {d.version for d in (stable, canary) if d is not None}
        assert all(0 < value <= 100 for value in after.values())
        if grown:
            assert house.kinds().count("permit.consumed") == entries.count("permit.consumed") + 1


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(["release", "canary", "back"]), version), max_size=12))
def test_what_was_stable_then_is_what_stood_then(
    fresh_house: Any, acts: list[tuple[str, str]]
) -> None:
    """A minute between two steps; the oracle is what stood before each of them."""
    house = fresh_house()
    versions = {v: house.approved(v, tenant=OWNERS[v]) for v in VERSIONS}
    seen: list[tuple[datetime, set[tuple[TenantId | None, str]]]] = []
    for act, name in acts:
        house.clock.step_to(house.clock.now() + timedelta(minutes=1))
        seen.append((house.clock.now(), stable_now(house)))
        leave = {name: house.permit(versions[name])}
        if act == "release":
            run(house, "canary", versions[name], 10.0, leave)
            act, leave = "promote", {name: house.permit(versions[name])}
        run(house, act, versions[name], 10.0, leave)
    for moment, expected in seen:
        with house.records.look() as reading:
            found = deployment_store.stable_before(reading, MODEL, PLACE, moment)
        assert {(d.tenant, d.version) for d in found} == expected


def stable_now(house: Any) -> set[tuple[TenantId | None, str]]:
    with house.records.look() as reading:
        placed = deployment_store.carrying(reading, PLACE)
    return {(d.tenant, d.version) for d in placed if d.state is Deployment.STABLE}
