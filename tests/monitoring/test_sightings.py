"""What a window says to the watches: an absent finding is gone, or could not be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pytest

from trimtab.kernel.verdict import Verdict
from trimtab.monitoring import sightings
from trimtab.monitoring.columns import FeatureKind
from trimtab.monitoring.drift import FeatureDrift, Scope, look_at
from trimtab.monitoring.performance import Judgement
from trimtab.monitoring.reference import Reference
from trimtab.monitoring.watch import DriftEvidence, Outcome, PerformanceEvidence, Subject
from trimtab.observations.frame import Frame
from trimtab.policies.operation import Monitoring

Day = Callable[..., Frame]
CALM = date(2015, 5, 12)
GONE = "airline/vanished_category/US"


def said(looks: Sequence[FeatureDrift], name: str, demands: Monitoring) -> Outcome:
    found = sightings.of_features(looks, [name], demands, Scope.GLOBAL)
    (outcome,) = [one.outcome for one in found if one.name == name]
    return outcome


def looked(
    reference: Reference, demands: Monitoring, frame: Frame, rows: int | None = None
) -> tuple[FeatureDrift, ...]:
    some = frame.where(np.arange(len(frame)) < (rows or len(frame)))
    return look_at(reference, some.features, demands, Scope.GLOBAL)


def test_too_few_rows_say_nothing_about_anything(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    looks = looked(reference, demands, day(CALM), rows=100)
    found = sightings.of_features(looks, [GONE], demands, Scope.GLOBAL)
    assert {one.outcome for one in found} == {Outcome.UNKNOWN}
    assert len(found) == 5


@pytest.mark.parametrize(
    "name",
    [GONE, "taxi_out_min/null_rate", "taxi_out_min/constant", "taxi_out_min/missing_column"],
)
def test_what_was_looked_for_and_not_found_is_calm(
    name: str, reference: Reference, demands: Monitoring, day: Day
) -> None:
    assert said(looked(reference, demands, day(CALM)), name, demands) is Outcome.CALM


def test_a_category_whose_absence_may_be_chance_is_neither_gone_nor_back(
    demands: Monitoring,
) -> None:
    few = demands.model_copy(update={"min_rows_global": 10})
    before = np.asarray(["a"] * 2950 + ["rare"] * 50, dtype=object)
    kept = Reference.from_columns({"x": before}, {"x": "category"})
    name = "x/vanished_category/rare"
    for current, outcome in (
        (["a"] * 60, Outcome.UNKNOWN),
        (["a"] * 3000, Outcome.ALARM),
        (["a"] * 59 + ["rare"], Outcome.CALM),
    ):
        looks = look_at(kept, {"x": np.asarray(current, dtype=object)}, few, Scope.GLOBAL)
        assert said(looks, name, few) is outcome


def test_a_column_that_cannot_be_read_clears_nothing(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    columns = {n: c for n, c in day(CALM).features.items() if n != "airline"}
    looks = look_at(reference, columns, demands, Scope.GLOBAL)
    assert said(looks, GONE, demands) is Outcome.UNKNOWN
    assert said(looks, "airline/missing_column", demands) is Outcome.ALARM


def test_a_feature_full_of_nulls_clears_its_null_rate_only_when_they_are_gone(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    frame = day(CALM, columns={"taxi_out_min": lambda c: np.full_like(c, np.nan)})
    looks = looked(reference, demands, frame)
    assert said(looks, "taxi_out_min/null_rate", demands) is Outcome.ALARM
    assert said(looks, "taxi_out_min/frozen", demands) is Outcome.UNKNOWN


def test_a_feature_that_is_no_longer_read_is_over(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    looks = looked(reference, demands, day(CALM))
    assert said(looks, "altitude/null_rate", demands) is Outcome.CALM
    assert sightings.of_features((), ["altitude/null_rate"], demands, Scope.GLOBAL) == []


def test_a_category_may_be_called_anything(demands: Monitoring) -> None:
    odd = "a/null_rate/b\n/constant"
    before = np.asarray(["a"] * 900 + [odd] * 900, dtype=object)
    kept = Reference.from_columns({"x": before}, {"x": "category"})
    gone = look_at(kept, {"x": np.asarray(["a"] * 900, dtype=object)}, demands, Scope.GLOBAL)
    found = sightings.of_features(gone, [], demands, Scope.GLOBAL)
    name = next(one.name for one in found if one.subject is Subject.STRUCTURE)
    back = look_at(kept, {"x": before}, demands, Scope.GLOBAL)
    assert said(back, name, demands) is Outcome.CALM
    (evidence,) = [
        one.evidence
        for one in sightings.of_features(back, [name], demands, Scope.GLOBAL)
        if one.name == name
    ]
    assert isinstance(evidence, DriftEvidence)
    assert (evidence.feature, evidence.items) == ("x", [odd])


def a_judgement(verdict: Verdict, rows: int, *, calm: bool = False) -> Judgement:
    return Judgement(
        metric="recall",
        version=f"1.0.{rows}",
        deployment="stable",
        verdict=verdict,
        value=0.8,
        limit=0.7,
        interval=(0.7, 0.9),
        baseline=0.8,
        rows=rows,
        reason="said",
        calm=calm,
    )


def test_any_failing_version_alarms_else_the_one_with_most_rows_speaks(
    demands: Monitoring,
) -> None:
    large = a_judgement(Verdict.PASS, 900, calm=True)
    small = a_judgement(Verdict.INCONCLUSIVE, 90)
    failed = a_judgement(Verdict.FAIL, 100)
    for judgements, outcome, version in (
        ([small, large], Outcome.CALM, "1.0.900"),
        ([small], Outcome.UNKNOWN, "1.0.90"),
        ([large, failed, small], Outcome.ALARM, "1.0.100"),
    ):
        (found,) = sightings.of_metrics(judgements, demands)
        assert found.outcome is outcome
        assert isinstance(found.evidence, PerformanceEvidence)
        assert found.evidence.version == version
    assert sightings.of_metrics([], demands) == []


def test_kinds_are_the_words_of_the_registry() -> None:
    assert {kind.value for kind in FeatureKind} == {"numeric", "category"}
