"""One pass over a window: the fleet and its tenants."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from trimtab.demo.story import MILES_TO_KILOMETRES, Fault
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.columns import profiled, profiled_groups
from trimtab.monitoring.reference import Reference, References
from trimtab.monitoring.survey import survey
from trimtab.observations.frame import Frame
from trimtab.policies.operation import Monitoring
from trimtab.profiles import codec
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, merged

Day = Callable[..., Frame]
CALM = date(2015, 5, 12)
KINDS = {"distance_miles": "numeric", "airline": "category"}


def test_tenants_are_compared_with_their_own_rows(
    references: References, demands: Monitoring, day: Day
) -> None:
    found = survey(day(CALM), references, demands)
    assert set(found.tenants) == {"AA", "DL", "EV", "OO", "UA", "US", "WN"}
    assert {look.drift.verdict for look in found.tenants.values()} == {Verdict.PASS}


def test_without_tenants_in_the_reference_the_whole_is_taken(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    whole = Reference(reference.rows, reference.features, digest=reference.digest)
    found = survey(day(CALM), References(whole), demands)
    assert found.tenants["WN"].drift.verdict is Verdict.FAIL  # one airline is not the fleet


def test_a_version_of_its_own_brings_its_own_reference(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    swapped = References(reference, {"UA": reference.tenants["EV"]})
    found = survey(day(CALM), swapped, demands)
    assert found.tenants["UA"].drift.verdict is Verdict.FAIL
    assert found.tenants["AA"].drift.verdict is Verdict.PASS


def test_a_tenant_that_the_reference_does_not_know_is_inconclusive(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    others = {name: one for name, one in reference.tenants.items() if name != "UA"}
    known = Reference(reference.rows, reference.features, tenants=others)
    found = survey(day(CALM), References(known), demands).tenants["UA"].drift
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no reference data" in found.reason


def test_no_stable_version_and_no_prediction_are_inconclusive(
    references: References, demands: Monitoring, day: Day
) -> None:
    assert survey(day(CALM), References(None), demands).fleet.drift.verdict is Verdict.INCONCLUSIVE
    empty = survey(None, references, demands)
    assert empty.fleet.drift.verdict is Verdict.INCONCLUSIVE
    assert empty.fleet.drift.reason == "no prediction was made"


def test_a_fault_of_one_tenant_shows_there_and_not_in_the_fleet(
    references: References, demands: Monitoring, day: Day
) -> None:
    good, bad = day(CALM), day(CALM, Fault("distance_miles", MILES_TO_KILOMETRES))
    mixed = np.where(
        good.tenant == "UA", bad.features["distance_miles"], good.features["distance_miles"]
    )
    frame = day(CALM, columns={"distance_miles": lambda _: mixed})
    found = survey(frame, references, demands)
    assert found.fleet.drift.verdict is Verdict.PASS
    alarmed = [n for n, look in found.tenants.items() if look.drift.verdict is Verdict.FAIL]
    assert alarmed == ["UA"]


def test_rows_of_the_fleet_itself_have_no_tenant_window(
    references: References, demands: Monitoring, day: Day
) -> None:
    frame = day(CALM)
    nobody = Frame(**{**vars(frame), "tenant": np.full(len(frame), None, dtype=object)})
    found = survey(nobody, references, demands)
    assert (dict(found.tenants), dict(found.short)) == ({}, {})


def test_the_order_of_rows_is_that_of_time(
    references: References, demands: Monitoring, day: Day
) -> None:
    frame = day(CALM)
    back = frame.where(np.arange(len(frame))[::-1])
    one, other = survey(frame, references, demands), survey(back, references, demands)
    assert one.fleet.drift.verdict == other.fleet.drift.verdict
    assert [f.measures.ks_d for f in one.fleet.features] == [
        f.measures.ks_d for f in other.fleet.features
    ]


def test_a_large_reference_is_read_in_parts_to_the_same_numbers(
    reference: Reference, reference_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.monitoring.reference._BATCH_ROWS", 997)
    parts = Reference.from_parquet(reference_bytes, KINDS, tenant_column="airline")
    assert set(parts.tenants) == {"AA", "DL", "EV", "OO", "UA", "US", "WN"}
    for one, other in [(parts, reference), (parts.tenants["WN"], reference.tenants["WN"])]:
        assert one.rows == other.rows
        before, after = (quantiles(kept.features["distance_miles"]) for kept in (one, other))
        assert before == pytest.approx(after, abs=1.0)


def quantiles(profile: Profile) -> list[float]:
    assert isinstance(profile, NumericProfile)
    return [profile.quantile(share) for share in (0.05, 0.5, 0.95)]


def test_the_fleet_is_its_tenants_together(
    reference: Reference, day: Day, demands: Monitoring
) -> None:
    frame = day(CALM)
    whole = profiled(frame.features, reference.features)
    codes = np.unique(frame.tenant.astype(str), return_inverse=True)[1].astype(np.int64)
    parts = profiled_groups(frame.features, codes, codes.max() + 1, reference.features)
    assert len(parts) > 1
    assert codec.to_bytes(merged(parts)) == codec.to_bytes(whole)


@pytest.mark.parametrize(
    ("content", "kinds", "field"),
    [
        (b"PAR1 this is none", KINDS, "reference"),
        (None, {"altitude": "numeric"}, "altitude"),
        (None, {"airline": "numeric"}, "airline"),
    ],
)
def test_a_reference_that_cannot_be_read_is_refused(
    content: bytes | None, kinds: dict[str, str], field: str, reference_bytes: bytes
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Reference.from_parquet(content or reference_bytes, kinds)
    assert caught.value.field == field


def test_a_day_of_seven_tenants_costs_little(
    references: References, demands: Monitoring, day: Day
) -> None:
    """In units of plain Python on the same machine in the same moments: 60 ms where it is quiet."""

    def seconds(act: Callable[[], object]) -> float:
        start = time.process_time()
        act()
        return time.process_time() - start

    frame = day(CALM)
    survey(frame, references, demands)
    spent = [
        seconds(lambda: survey(frame, references, demands))
        / seconds(lambda: sum(number * number for number in range(300_000)))
        for _ in range(7)
    ]
    assert statistics.median(spent) < 4.5
