"""Versions, permits and exposure on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from trimtab.kernel.errors import Conflict, InvalidInput, InvalidMove, NotFound, PolicyRefused
from trimtab.kernel.ids import Digest, TenantId, new_id
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployed, Deployment, begun
from trimtab.registry.model import Lifecycle, TrainingTrigger

OTHER = Digest("sha256:" + "0" * 64)
AA, BB = TenantId("aa"), TenantId("bb")


def test_the_same_bytes_twice_are_one_version(house: Any) -> None:
    first, again = house.register("1.0.0"), house.register("1.0.0")
    assert first.id == again.id
    assert house.kinds().count("version.registered") == 1


def test_other_bytes_or_another_tenant_are_a_conflict(house: Any) -> None:
    first = house.register("1.0.0")
    with pytest.raises(Conflict):
        house.register("1.0.0", digest=house.registration("9.9.9").digest)
    with pytest.raises(Conflict):
        house.register("1.0.0", tenant=AA)
    with house.records.look() as reading:
        assert store.versions_of(reading, "delays", everyone=True) == [first]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"digest": OTHER}, "artifact"),
        ({"tenant": "aa"}, "tenant"),
        ({"cutoff": 0.6}, "cutoff"),
        ({"framework": "other"}, "framework"),
        ({"training_metrics": {"accuracy": 0.9}}, "training_metrics"),
        ({"training_trigger": TrainingTrigger.DRIFT}, "training_trigger"),
        ({"parent": "1.0.0"}, "parent"),
        ({"reference_digest": OTHER}, "reference"),
        ({"holdout_digest": OTHER}, "holdout"),
        ({"lineage": {"rows": 1}}, "lineage"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_same_number_with_anything_else_is_a_conflict_that_names_it(
    house: Any, change: dict[str, Any], field: str
) -> None:
    house.register("1.0.0")
    house.register("1.1.0")
    with pytest.raises(Conflict) as refused:
        house.register("1.1.0", **change)
    assert refused.value.field == field
    assert "next" in str(refused.value.remedy)


def test_what_follows_from_the_rest_makes_no_other_version(house: Any) -> None:
    """A signature is drawn anew each time, and somebody else may send the same again."""
    first = house.register("1.0.0", lineage={"rows": [1, 2.0], "at": None})
    again = house.register(
        "1.0.0", lineage={"at": None, "rows": (1, 2)}, signature="t", contributors=("usr_x",)
    )
    assert again == first


def test_uploads_at_once_of_one_number_leave_one_winner(house: Any) -> None:
    def upload(n: int) -> str:
        other = house.registration(f"{n % 4}.9.9").digest
        try:
            return str(house.register("1.0.0", digest=other).digest)
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(upload, range(16)))
    with house.records.look() as reading:
        (kept,) = store.versions_of(reading, "delays", everyone=True)
    assert set(found) == {"conflict", kept.digest}
    assert found.count(kept.digest) == 4
    assert house.kinds().count("version.registered") == 1


def test_a_version_needs_its_model_and_a_canonical_number(house: Any) -> None:
    with pytest.raises(NotFound):
        house.register("1.0.0", model="unknown")
    with pytest.raises(InvalidInput):
        house.register("1.0.0\n")
    with pytest.raises(Conflict):
        house.model()


@pytest.mark.parametrize("state", [Lifecycle.DEVELOPMENT, Lifecycle.STAGING, Lifecycle.REJECTED])
def test_no_permit_for_what_is_not_approved(house: Any, state: Lifecycle) -> None:
    version = house.register("1.0.0")
    if state is not Lifecycle.DEVELOPMENT:
        house.moved(version, state)
    with pytest.raises(PolicyRefused):
        house.permit(version)


def test_a_permit_raises_exposure_once(house: Any) -> None:
    version = house.approved("1.0.0")
    permit = house.permit(version, 25)
    house.canary(version, 10, permit)
    with pytest.raises((PolicyRefused, Conflict)):
        house.canary(version, 25, permit)
    with house.records.look() as reading:
        used = deployment_store.permit_by_id(reading, permit.id)
    with pytest.raises(PolicyRefused, match="used before"):
        house.canary(version, 25, used)
    assert house.exposure() == {(None, "1.0.0"): 10}


def test_a_permit_raced_for_is_used_once(house: Any) -> None:
    version = house.approved("1.0.0")
    permit = house.permit(version, 50)

    def use(n: int) -> str:
        try:
            house.canary(version, 10 + n, permit)
        except (PolicyRefused, Conflict) as refused:
            return type(refused).__name__
        return "used"

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(use, range(16)))
    assert found.count("used") == 1
    assert house.kinds().count("permit.consumed") == 1


def test_permits_for_something_else(house: Any) -> None:
    one, two = house.approved("1.0.0"), house.approved("2.0.0")
    theirs = house.approved("3.0.0", tenant=AA)
    twin = house.approved("4.0.0", digest=one.digest)
    for permit in (
        house.permit(two, 10),
        house.permit(theirs, 10),
        house.permit(twin, 10),
        house.permit(one, 5),
        house.permit(one, 10, environment="staging"),
        house.permit(one, 10, lifetime=timedelta(0)),
        replace(house.permit(one, 10), id=new_id("per")),
    ):
        with pytest.raises((PolicyRefused, Conflict)):
            house.canary(one, 10, permit)
    assert house.exposure() == {}
    assert "permit.consumed" not in house.kinds()


def test_time_only_ever_takes_a_permit_away(house: Any) -> None:
    version = house.approved("1.0.0")
    permit = house.permit(version, 10)
    house.clock.step_to(permit.expires_at)
    with pytest.raises(PolicyRefused, match="expired"):
        house.canary(version, 10, permit)


@pytest.mark.parametrize("state", [Lifecycle.QUARANTINED, Lifecycle.REJECTED])
def test_a_permit_outlives_no_quarantine(house: Any, state: Lifecycle) -> None:
    version = house.approved("1.0.0")
    permit = house.permit(version, 10)
    house.moved(version, state)
    with pytest.raises(PolicyRefused):
        house.canary(version, 10, permit)


def test_a_quarantine_between_the_steps_stops_the_promotion(house: Any) -> None:
    version = house.approved("1.0.0")
    house.canary(version, 10)
    permit = house.permit(version)
    house.moved(version, Lifecycle.QUARANTINED)
    with pytest.raises(InvalidMove):
        house.promote(version, permit)
    assert house.exposure() == {(None, "1.0.0"): 10}


def test_one_canary_at_a_time(house: Any) -> None:
    one, two = house.approved("1.0.0"), house.approved("2.0.0")
    house.canary(one, 10)
    with pytest.raises(Conflict):
        house.canary(two, 10)


def test_the_steps_again_change_nothing(house: Any) -> None:
    version = house.approved("1.0.0")
    house.canary(version, 10)
    before = house.kinds()
    house.canary(version, 10, house.permit(version, 10))
    assert house.kinds() == [*before, "permit.issued"]
    house.promote(version)
    before = house.kinds()
    house.promote(version, house.permit(version))
    assert house.withdraw(version) is None
    assert house.kinds() == [*before, "permit.issued"]


def test_promotion_retires_the_predecessor_in_the_same_work(house: Any) -> None:
    house.stable("1.0.0")
    two = house.stable("2.0.0")
    assert house.exposure() == {(None, "2.0.0"): 100}
    assert house.target() == "1.0.0"
    with house.records.look() as reading:
        assert store.version_by_id(reading, two.id).lifecycle is Lifecycle.PRODUCTION


def test_a_promotion_that_fails_half_way_leaves_all_as_it_was(house: Any) -> None:
    """The version cannot become production: its move is the last part of a promotion."""
    house.stable("1.0.0")
    two = house.approved("2.0.0")
    house.canary(two, 10)
    permit = house.permit(two)
    house.moved(two, Lifecycle.REJECTED)
    before, entries = house.exposure(), house.kinds()
    with pytest.raises(InvalidMove):
        house.promote(two, permit)
    assert (house.exposure(), house.kinds()) == (before, entries)
    with house.records.look() as reading:
        assert deployment_store.permit_by_id(reading, permit.id).consumed_at is None


def test_only_the_canary_is_promoted(house: Any) -> None:
    one, two = house.approved("1.0.0"), house.approved("2.0.0")
    house.canary(one, 10)
    with pytest.raises(InvalidMove):
        house.promote(two)
    house.withdraw(one)
    with pytest.raises(InvalidMove):
        house.promote(one)


def test_back_to_the_predecessor_and_with_a_permit_for_it(house: Any) -> None:
    one, two = house.stable("1.0.0"), house.stable("2.0.0")
    with pytest.raises(PolicyRefused):
        house.roll_back(house.permit(two))
    back = house.roll_back(house.permit(one))
    assert (back.version, back.state, back.percent) == ("1.0.0", Deployment.STABLE, 100)
    assert house.exposure() == {(None, "1.0.0"): 100}
    assert house.target() is None
    with pytest.raises(NotFound):
        house.roll_back(house.permit(one))


def test_a_predecessor_that_may_not_serve_is_passed_over(house: Any) -> None:
    house.stable("1.0.0")
    two = house.stable("2.0.0")
    house.stable("3.0.0")
    assert house.target() == "2.0.0"
    house.moved(two, Lifecycle.QUARANTINED)
    assert house.target() == "1.0.0"
    with house.records.look() as reading:
        one = store.find_version(reading, "delays", "1.0.0")
    assert one is not None
    house.moved(one, Lifecycle.DEPRECATED)
    assert house.target() is None


def test_a_tenants_own_way_never_touches_the_global_one(house: Any) -> None:
    house.stable("1.0.0")
    house.stable("2.0.0", tenant=AA)
    mine = house.approved("3.0.0", tenant=AA)
    house.canary(mine, 25)
    house.approved("4.0.0", tenant=BB)
    assert house.exposure() == {(None, "1.0.0"): 100, (AA, "2.0.0"): 100, (AA, "3.0.0"): 25}
    house.withdraw(mine)
    assert house.target(AA) is None
    assert house.target() is None
    assert house.exposure() == {(None, "1.0.0"): 100, (AA, "2.0.0"): 100}


def test_the_database_itself_allows_one_of_each(house: Any) -> None:
    """Sixteen writers that do not ask first, on a real file."""
    version = house.approved("1.0.0")

    def place(n: int) -> str:
        state = Deployment.STABLE if n % 2 else Deployment.CANARY
        tenant = None if n % 4 < 2 else AA
        row = Deployed(
            id=new_id("dep"),
            model="delays",
            tenant=tenant,
            environment="production",
            version=version.version,
            digest=version.digest,
            state=state,
            percent=1.0,
            salt="s",
            permit=new_id("per"),  # type: ignore[arg-type]  # any will do here
            since=house.clock.now(),
        )
        try:
            with house.work() as work:
                deployment_store.begin(work, row, begun(row, "race"))
        except Conflict:
            return "conflict"
        return f"{tenant} {state.value}"

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(place, range(32)))
    assert sorted(f for f in found if f != "conflict") == [
        "None canary",
        "None stable",
        "aa canary",
        "aa stable",
    ]
    with house.records.look() as reading:
        rows = reading.rows(sa.select(deployment_store.DEPLOYMENTS))
    assert len(rows) == 4
    assert house.kinds().count("deployment.moved") == 4


def test_promotion_and_withdrawal_at_once_have_one_order(house: Any) -> None:
    for round_ in range(4):
        version = house.approved(f"{round_ + 1}.0.0")
        house.canary(version, 10)
        permit = house.permit(version)

        def act(n: int, version: Any = version, permit: Any = permit) -> str:
            try:
                if n % 2:
                    house.promote(version, permit)
                    return "promoted"
                return "nothing" if house.withdraw(version) is None else "withdrawn"
            except (Conflict, InvalidMove, PolicyRefused):
                return "refused"

        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(act, range(8)))
        share = house.exposure().get((None, version.version), 0)
        assert ("promoted" in found, "withdrawn" in found) in ((True, False), (False, True))
        assert share == (100 if "promoted" in found else 0)
