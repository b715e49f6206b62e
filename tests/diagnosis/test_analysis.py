"""The right cause for real rows: faults, shifts, releases, groups that leave, and calm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from trimtab.demo.story import MILES_TO_KILOMETRES, Fault
from trimtab.diagnosis.analysis import analyse
from trimtab.diagnosis.evidence import Change, Evidence, Stretch
from trimtab.diagnosis.model import Analysis, CauseType, Verdict
from trimtab.kernel.errors import InvalidInput
from trimtab.policies.model import TierPolicy
from trimtab.policies.operation import ActionName

pytestmark = pytest.mark.slow

FEATURES = ("distance_miles", "taxi_out_min", "departure_delay_min")
FACTORS = (1.609344, 0.3048, 2.5, 60.0, 10.0, 0.5)

Diagnose = Callable[[Evidence], Analysis]
Make = Any
"""The fixtures `flights` and `homes`: see conftest."""


@pytest.fixture
def diagnose(policy: TierPolicy) -> Diagnose:
    return lambda evidence: analyse(evidence, demands=policy.diagnosis, watch=policy.monitoring)


def actions(found: Analysis, *, refused: bool) -> set[ActionName]:
    return {advice.action for advice in found.advice if advice.refused is refused}


def right(found: Analysis, fault: Fault) -> bool:
    """Whether type, feature and factor (within 3 %) of the first cause are those of the fault."""
    cause = found.cause
    return (
        cause is not None
        and cause.type is CauseType.DATA_QUALITY_FAULT
        and cause.feature == fault.feature
        and abs(cause.values.get("factor", 0.0) / fault.factor - 1.0) <= 0.03
    )


def test_kilometres_are_told_from_a_shift(flights: Make, diagnose: Diagnose) -> None:
    evidence = flights.evidence(date(2015, 5, 11), Fault("distance_miles", MILES_TO_KILOMETRES))
    note = Change(datetime(2015, 5, 11, tzinfo=UTC), "new export", feature="distance_miles")
    found = diagnose(replace(evidence, changes=(note,)))
    cause = found.cause
    assert cause is not None
    assert (cause.type, cause.feature, cause.fault) == (
        CauseType.DATA_QUALITY_FAULT,
        "distance_miles",
        "unit_change",
    )
    assert (cause.values["unit_before"], cause.values["unit_after"]) == ("miles", "kilometres")
    assert cause.values["factor"] == pytest.approx(MILES_TO_KILOMETRES, rel=1e-5)
    assert any("2015-05-11" in sentence for sentence in cause.evidence_for)
    assert actions(found, refused=False) == {ActionName.NOTIFY_TEAM}
    assert actions(found, refused=True) == {ActionName.RETRAIN_MODEL}
    assert found.factors[0].factor == "distance_miles"
    assert sum(factor.weight for factor in found.factors) == pytest.approx(1.0)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_factor_without_a_name_is_a_fault_too(
    flights: Make, diagnose: Diagnose, feature: str
) -> None:
    fault = Fault(feature, 2.7)
    found = diagnose(flights.evidence(date(2015, 5, 11), fault))
    assert right(found, fault)
    assert found.cause is not None
    assert found.cause.values["unit_after"] is None
    assert any("no step between units" in words for words in found.cause.evidence_against)


@pytest.mark.parametrize("days", [1, 3])
@pytest.mark.parametrize(
    "months", [(4, 10), pytest.param((2, 6, 8, 12), marks=pytest.mark.chaos)], ids=["few", "many"]
)
def test_faults_are_named_right(
    flights: Make, diagnose: Diagnose, months: tuple[int, ...], days: int
) -> None:
    """Days and draws on which nothing here was chosen."""
    named = [
        right(diagnose(flights.evidence(date(2015, month, 20), fault, days=days, seed=99)), fault)
        for month in months
        for feature in FEATURES
        for factor in FACTORS
        for fault in [Fault(feature, factor)]
    ]
    assert np.mean(named) >= 0.9


def test_a_calm_week_has_no_cause(flights: Make, diagnose: Diagnose) -> None:
    found = diagnose(flights.evidence(date(2015, 5, 4)))
    assert found.verdict is Verdict.NONE_FOUND
    assert found.factors == ()
    assert ActionName.RETRAIN_MODEL in actions(found, refused=True)


@pytest.mark.slow
def test_calm_windows_have_no_cause(flights: Make, diagnose: Diagnose) -> None:
    """Save for the days on which an airline really left."""
    left = {date(2015, 7, day) for day in range(1, 15)}
    days = [date(2015, 2, 1) + timedelta(6 * n) for n in range(54)]
    blamed = [
        day
        for day in days
        if day not in left
        and diagnose(flights.evidence(day, days=1, seed=99)).verdict is not Verdict.NONE_FOUND
    ]
    assert len(blamed) <= 0.1 * len(days), blamed


def test_a_broken_canary_is_a_bad_release(flights: Make, diagnose: Diagnose) -> None:
    evidence = flights.evidence(date(2015, 3, 23), canary=True)
    started = Change(datetime(2015, 3, 23, tzinfo=UTC), "canary of 1.1.0 started", "1.1.0")
    found = diagnose(replace(evidence, changes=(started,)))
    cause = found.cause
    assert cause is not None
    assert cause.type is CauseType.BAD_RELEASE
    assert cause.values["version"] == "1.1.0"
    assert any("canary of 1.1.0 started" in words for words in cause.evidence_for)
    assert actions(found, refused=False) == {ActionName.ROLLBACK_MODEL}


def test_a_feeds_fault_is_not_blamed_on_a_canary(flights: Make, diagnose: Diagnose) -> None:
    """Both versions suffer alike: the canary is no cause."""
    evidence = flights.evidence(date(2015, 5, 11), Fault("distance_miles", 1.609344))
    after = evidence.after
    version = after.version.copy()
    version[::5] = "1.1.0"
    both = {"1.0.0": evidence.cutoffs["1.0.0"], "1.1.0": evidence.cutoffs["1.0.0"]}
    found = diagnose(replace(evidence, after=replace(after, version=version), cutoffs=both))
    assert found.cause is not None
    assert found.cause.type is CauseType.DATA_QUALITY_FAULT
    assert CauseType.BAD_RELEASE not in {cause.type for cause in found.causes}


def test_a_version_that_took_over_alone_is_suspected(flights: Make, diagnose: Diagnose) -> None:
    evidence = flights.evidence(date(2015, 3, 23))
    after, cutoffs = evidence.after, {"1.0.0": evidence.cutoffs["1.0.0"], "1.2.0": 0.02}
    version = np.full(len(after), "1.2.0", dtype=object)
    found = diagnose(replace(evidence, after=replace(after, version=version), cutoffs=cutoffs))
    release = next(c for c in found.causes if c.type is CauseType.BAD_RELEASE)
    assert any("nothing runs beside it" in words for words in release.evidence_against)


def test_an_airline_that_leaves_is_no_harm(flights: Make, diagnose: Diagnose) -> None:
    found = diagnose(flights.evidence(date(2015, 7, 1)))
    cause = found.cause
    assert cause is not None
    assert (cause.type, cause.feature) == (CauseType.POPULATION_CHANGE, "airline")
    assert list(cause.values["vanished"]) == ["US"]
    assert actions(found, refused=False) == {ActionName.NOTIFY_TEAM}


@pytest.mark.parametrize("seed", range(2015, 2023))
def test_an_airline_that_leaves_is_named_from_the_second_day_on(
    flights: Make, diagnose: Diagnose, seed: int
) -> None:
    """Two days are few rows: a rate that is lower by chance is no harm."""
    found = diagnose(flights.evidence(date(2015, 7, 1), days=2, seed=seed))
    assert found.cause is not None
    assert found.cause.type is CauseType.POPULATION_CHANGE
    assert list(found.cause.values["vanished"]) == ["US"]
    assert found.harmed is False


def test_without_outcomes_harm_is_not_known(flights: Make, diagnose: Diagnose) -> None:
    evidence = flights.evidence(date(2015, 7, 1))
    unlabelled = replace(evidence.after, label=np.full(len(evidence.after), -1, dtype=np.int8))
    found = diagnose(replace(evidence, after=unlabelled))
    assert found.cause is not None
    assert found.cause.type is CauseType.POPULATION_CHANGE
    assert found.waits_for_outcomes
    assert actions(found, refused=True) == {ActionName.RETRAIN_MODEL}
    assert "harm is not known" in next(a.why for a in found.advice if a.refused)


def test_a_group_that_leaves_beside_harm_is_not_all_there_is(
    flights: Make, diagnose: Diagnose
) -> None:
    evidence = flights.evidence(date(2015, 7, 1))
    turned = np.random.default_rng(2).random(len(evidence.after)) < 0.2
    label = np.where(turned, 1 - evidence.after.label, evidence.after.label).astype(np.int8)
    found = diagnose(replace(evidence, after=replace(evidence.after, label=label)))
    left = next(c for c in found.causes if c.type is CauseType.POPULATION_CHANGE)
    assert left.confidence < 0.5
    assert any("became worse" in words for words in left.evidence_against)
    assert found.cause is not None
    assert found.cause.type is CauseType.CONCEPT_SHIFT


@pytest.mark.parametrize("day", [date(2015, 3, 22), date(2015, 5, 31), date(2015, 6, 7)])
def test_new_places_are_a_shift_and_never_a_unit(
    homes: Make, diagnose: Diagnose, day: date
) -> None:
    found = diagnose(homes.evidence(date(2015, 3, 2), day))
    assert found.cause is not None
    assert found.cause.type in (CauseType.COVARIATE_SHIFT, CauseType.CONCEPT_SHIFT)
    blamed = [c.confidence for c in found.causes if c.type is CauseType.DATA_QUALITY_FAULT]
    assert max(blamed, default=0.0) < 0.3


def test_only_a_shift_that_harms_calls_for_retraining(homes: Make, diagnose: Diagnose) -> None:
    harmful = diagnose(homes.evidence(date(2015, 3, 2), date(2015, 5, 31)))
    assert ActionName.RETRAIN_MODEL in actions(harmful, refused=False)
    evidence = homes.evidence(date(2015, 3, 2), date(2015, 5, 31))
    unlabelled = replace(evidence.after, label=np.full(len(evidence.after), -1, dtype=np.int8))
    unknown = diagnose(replace(evidence, after=unlabelled))
    assert unknown.cause is not None
    assert ActionName.RETRAIN_MODEL in actions(unknown, refused=True)


def test_other_outcomes_at_the_same_score_are_a_concept_shift(
    flights: Make, diagnose: Diagnose
) -> None:
    evidence = flights.evidence(date(2015, 5, 4))
    after = evidence.after
    far = after.features["distance_miles"] > 600
    turned = far & (np.random.default_rng(1).random(len(after)) < 0.3)
    label = np.where(turned, 1 - after.label, after.label).astype(np.int8)
    found = diagnose(replace(evidence, after=replace(after, label=label)))
    assert found.cause is not None
    assert found.cause.type is CauseType.CONCEPT_SHIFT
    assert actions(found, refused=False) == {ActionName.RETRAIN_MODEL}


def test_too_few_rows_are_said_to_be_too_few(flights: Make, diagnose: Diagnose) -> None:
    evidence = flights.evidence(date(2015, 5, 4))
    few = evidence.after.where(np.arange(len(evidence.after)) < 150)
    found = diagnose(replace(evidence, after=few))
    assert found.verdict is Verdict.INSUFFICIENT_DATA
    assert "150" in found.summary
    assert actions(found, refused=False) == {ActionName.NOTIFY_TEAM}


def test_without_calm_rows_the_training_table_stands_in(flights: Make, diagnose: Diagnose) -> None:
    fault = Fault("distance_miles", 60.0)
    evidence = flights.evidence(date(2015, 3, 9), fault)
    empty = evidence.before.where(np.zeros(len(evidence.before), dtype=np.bool_))
    assert right(diagnose(replace(evidence, before=empty)), fault)


def test_two_causes_that_fit_alike_are_not_told_apart(flights: Make, policy: TierPolicy) -> None:
    evidence = flights.evidence(date(2015, 7, 1), Fault("taxi_out_min", 60.0))
    strict = policy.diagnosis.model_copy(update={"min_lead_share": 0.9})
    found = analyse(evidence, demands=strict, watch=policy.monitoring)
    assert found.verdict is Verdict.NONE_FOUND
    assert "two causes fit alike" in found.summary
    assert len(found.causes) >= 2


def test_the_order_is_that_of_confidence(flights: Make, diagnose: Diagnose) -> None:
    found = diagnose(flights.evidence(date(2015, 7, 1), Fault("taxi_out_min", 60.0)))
    confidences = [cause.confidence for cause in found.causes]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0.0 <= confidence <= 1.0 for confidence in confidences)


def test_other_features_than_the_references_are_refused(flights: Make, diagnose: Diagnose) -> None:
    evidence = flights.evidence(date(2015, 5, 4))
    fewer = {n: c for n, c in evidence.after.features.items() if n != "taxi_out_min"}
    with pytest.raises(InvalidInput, match="taxi_out_min"):
        diagnose(replace(evidence, after=replace(evidence.after, features=fewer)))
    with pytest.raises(InvalidInput, match="shape"):
        Stretch({}, np.zeros(3), np.zeros(2), np.zeros(2), np.zeros(2))
