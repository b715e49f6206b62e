"""Moved, severity, confirmed: three answers about real flights, and the findings beside them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from trimtab.demo.data import Column
from trimtab.demo.story import MILES_TO_KILOMETRES, Fault
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.columns import FeatureKind
from trimtab.monitoring.drift import DriftType, FeatureDrift, Scope, Severity, look_at
from trimtab.monitoring.reference import Reference, References
from trimtab.monitoring.structure import Finding
from trimtab.monitoring.survey import survey
from trimtab.observations.frame import Frame
from trimtab.policies.operation import Monitoring

Day = Callable[..., Frame]
KILOMETRES = Fault("distance_miles", MILES_TO_KILOMETRES)
CALM = date(2015, 5, 12)
NUMBERS = ("distance_miles", "departure_delay_min", "taxi_out_min")


@pytest.fixture(scope="module")
def look(
    reference: Reference, demands: Monitoring, day: Day
) -> Callable[..., dict[str, FeatureDrift]]:
    def at(when: date, *faults: Fault, **changes: object) -> dict[str, FeatureDrift]:
        frame = day(when, *faults, **changes)
        found = look_at(reference, frame.features, demands, Scope.GLOBAL)
        return {one.feature: one for one in found}

    return at


def numeric(values: Column, demands: Monitoring, current: Column) -> FeatureDrift:
    kept = Reference.from_columns({"x": values}, {"x": "numeric"})
    (found,) = look_at(kept, {"x": current}, demands, Scope.GLOBAL)
    return found


def findings(one: FeatureDrift) -> list[Finding]:
    return [found.finding for found in one.structural]


@pytest.mark.parametrize("offset", range(0, 122, 13))
def test_calm_days_of_spring_are_calm(
    offset: int, references: References, demands: Monitoring, day: Day
) -> None:
    found = survey(day(date(2015, 3, 1) + timedelta(offset)), references, demands)
    assert found.fleet.drift.verdict is Verdict.PASS
    assert not any(one.moved or one.alarming for one in found.fleet.features)


def test_kilometres_are_seen_on_distance_alone(
    look: Callable[..., dict[str, FeatureDrift]],
) -> None:
    found = look(CALM, KILOMETRES)
    hit = found["distance_miles"]
    assert hit.moved
    assert hit.confirmed
    assert hit.drift_type is DriftType.DATA
    assert hit.measures.direction == "up"
    assert hit.severity in (Severity.MEDIUM, Severity.HIGH)
    assert {v.detector for v in hit.votes if v.alarmed} == {"ks", "psi", "wasserstein"}
    assert [name for name, one in found.items() if one.moved or one.alarming] == ["distance_miles"]


def test_each_vote_says_what_it_saw(
    look: Callable[..., dict[str, FeatureDrift]], demands: Monitoring
) -> None:
    votes = {vote.detector: vote for vote in look(CALM, KILOMETRES)["distance_miles"].votes}
    assert set(votes) == {detector.name for detector in demands.quorum.detectors}
    ks = votes["ks"]
    assert ks.threshold == demands.effects_global.ks_d
    assert ks.value is not None
    assert ks.value >= ks.threshold
    assert ks.rows > demands.min_rows_global
    assert votes["ddm"].value is None
    assert not votes["ddm"].alarmed
    assert "does not speak" in votes["ddm"].reason


def test_one_detector_alone_does_not_confirm(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    deaf = demands.model_copy(
        update={
            "effects_global": demands.effects_global.model_copy(
                update={"psi_nats": 1.0, "wasserstein_scaled": 10.0}
            )
        }
    )
    found = look_at(reference, day(CALM, KILOMETRES).features, deaf, Scope.GLOBAL)
    hit = next(one for one in found if one.feature == "distance_miles")
    assert [vote.detector for vote in hit.votes if vote.alarmed] == ["ks"]
    assert hit.moved
    assert not hit.confirmed
    assert hit.votes_cast == 1.0


def test_a_tiny_effect_is_not_drift_however_sure(demands: Monitoring) -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=20_000), rng.normal(0.1, size=20_000)
    found = numeric(before, demands, now)
    assert found.measures.p_value is not None
    assert found.measures.p_value < 1e-9
    assert found.moved is False
    assert found.severity is Severity.NONE


def test_a_large_effect_that_noise_may_make_is_not_drift(demands: Monitoring) -> None:
    small = demands.model_copy(update={"min_rows_global": 10})
    rng = np.random.default_rng(6)
    for _ in range(40):
        found = numeric(rng.normal(size=12), small, rng.normal(size=12))
        large = found.measures.ks_d is not None and found.measures.ks_d >= 0.2
        if large and found.measures.p_value is not None and found.measures.p_value > 0.05:
            assert found.moved is None  # not calm either: nobody can tell
            assert "too few rows to tell" in (found.insufficient or "")
            assert "noise may do that" in next(v for v in found.votes if v.detector == "ks").reason
            return
    pytest.fail("no such sample was drawn")


def test_false_discoveries_are_controlled_over_features(demands: Monitoring) -> None:
    rng = np.random.default_rng(2)
    tight = demands.effects_global.model_copy(update={"ks_d": 0.001, "wasserstein_scaled": 0.001})
    alert = demands.model_copy(update={"effects_global": tight})
    names = [f"f{i:02d}" for i in range(40)]
    false_alarms = 0
    for _ in range(20):
        kept = Reference.from_columns(
            {n: rng.normal(size=600) for n in names}, dict.fromkeys(names, "numeric")
        )
        found = look_at(kept, {n: rng.normal(size=500) for n in names}, alert, Scope.GLOBAL)
        false_alarms += any(one.moved for one in found)
    # By single p-values 0.87 of the looks would have an alarm; by the adjusted ones 0.05.
    assert false_alarms <= 4


@pytest.mark.parametrize(
    ("shift", "severity"),
    [(0.0, Severity.NONE), (0.42, Severity.LOW), (0.6, Severity.MEDIUM), (1.2, Severity.HIGH)],
)
def test_severity_follows_the_bands(shift: float, severity: Severity, demands: Monitoring) -> None:
    grid = np.sort(np.random.default_rng(3).normal(size=8000))
    assert numeric(grid, demands, grid[::2] + shift).severity is severity


def test_too_few_rows_are_said_so_and_never_no_drift(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    some = day(CALM).where(np.arange(len(day(CALM))) < 399)
    for one in look_at(reference, some.features, demands, Scope.GLOBAL):
        assert one.insufficient == "1 more rows needed"
        assert one.moved is None
        assert one.severity is None
        assert not one.confirmed
    found = survey(some, References(reference), demands)
    assert found.fleet.drift.verdict is Verdict.INCONCLUSIVE


def test_a_small_reference_is_insufficient_too(demands: Monitoring) -> None:
    rng = np.random.default_rng(4)
    found = numeric(rng.normal(size=100), demands, rng.normal(5, size=1000))
    assert found.moved is None
    assert found.insufficient == "the reference has 100 values, 300 more are needed"


def test_a_null_spike_is_a_finding_without_quorum(
    look: Callable[..., dict[str, FeatureDrift]],
) -> None:
    def holes(column: Column) -> Column:
        column[::20] = np.nan
        return column

    found = look(CALM, columns={"taxi_out_min": holes})
    (one,) = found["taxi_out_min"].structural
    assert one.finding is Finding.NULL_RATE
    assert one.value == pytest.approx(0.05, abs=0.001)
    assert not found["taxi_out_min"].confirmed
    assert [name for name, it in found.items() if it.alarming] == ["taxi_out_min"]


def test_infinite_values_count_as_missing(look: Callable[..., dict[str, FeatureDrift]]) -> None:
    def blown(column: Column) -> Column:
        column[::20] = np.inf
        return column

    assert findings(look(CALM, columns={"taxi_out_min": blown})["taxi_out_min"]) == [
        Finding.NULL_RATE
    ]


def test_a_column_of_nothing_but_nulls_is_a_finding_and_not_calm(
    look: Callable[..., dict[str, FeatureDrift]],
) -> None:
    found = look(CALM, columns={"distance_miles": lambda c: np.full_like(c, np.nan)})
    one = found["distance_miles"]
    assert findings(one) == [Finding.NULL_RATE]
    assert one.moved is None
    assert one.insufficient


def test_few_nulls_that_chance_explains_are_none(
    look: Callable[..., dict[str, FeatureDrift]],
) -> None:
    def one_hole(column: Column) -> Column:
        column[:25] = np.nan  # 0.47 %: within the tolerance of half a percent
        return column

    assert look(CALM, columns={"taxi_out_min": one_hole})["taxi_out_min"].structural == ()


def test_a_new_category_is_named(look: Callable[..., dict[str, FeatureDrift]]) -> None:
    def renamed(column: Column) -> Column:
        column[::40] = "ZZ" * 60
        return column

    (one,) = look(CALM, columns={"airline": renamed})["airline"].structural
    assert one.finding is Finding.NEW_CATEGORY
    assert one.items == ("ZZ" * 40,)
    assert one.value == pytest.approx(0.025, abs=0.001)


def test_a_handful_of_unseen_rows_is_tolerated(
    look: Callable[..., dict[str, FeatureDrift]],
) -> None:
    def renamed(column: Column) -> Column:
        column[:10] = "ZZ"
        return column

    assert look(CALM, columns={"airline": renamed})["airline"].structural == ()


def test_a_long_tail_of_rare_categories_is_not_news(demands: Monitoring) -> None:
    rng = np.random.default_rng(5)

    def drawn(size: int) -> Column:
        return np.asarray([f"c{k}" for k in rng.zipf(1.6, size=size)], dtype=object)

    kept = Reference.from_columns({"x": drawn(6000)}, {"x": "category"})
    (found,) = look_at(kept, {"x": drawn(3000)}, demands, Scope.GLOBAL)
    assert Finding.NEW_CATEGORY not in findings(found)


def test_an_airline_that_is_gone_is_named(look: Callable[..., dict[str, FeatureDrift]]) -> None:
    (one,) = look(date(2015, 7, 3))["airline"].structural
    assert one.finding is Finding.VANISHED_CATEGORY
    assert one.items == ("US",)
    assert one.value == pytest.approx(0.087, abs=0.005)


def test_a_rare_category_may_be_absent_by_chance(demands: Monitoring) -> None:
    before = np.asarray(["a"] * 2950 + ["rare"] * 50, dtype=object)
    kept = Reference.from_columns({"x": before}, {"x": "category"})
    few = demands.model_copy(update={"min_rows_global": 10})
    (found,) = look_at(kept, {"x": np.asarray(["a"] * 60, dtype=object)}, few, Scope.GLOBAL)
    assert found.structural == ()
    assert found.undecided == ("rare",)
    (gone,) = look_at(kept, {"x": np.asarray(["a"] * 3000, dtype=object)}, few, Scope.GLOBAL)
    assert findings(gone) == [Finding.VANISHED_CATEGORY]
    assert gone.undecided == ()


def test_a_constant_column_is_a_finding(look: Callable[..., dict[str, FeatureDrift]]) -> None:
    found = look(CALM, columns={"taxi_out_min": lambda c: np.full_like(c, 12.0)})
    assert findings(found["taxi_out_min"]) == [Finding.CONSTANT]


def test_a_column_that_freezes_half_way_is_a_finding(
    look: Callable[..., dict[str, FeatureDrift]],
) -> None:
    def stuck(column: Column) -> Column:
        column[-450:] = column[-450]
        return column

    found = look(CALM, columns={"taxi_out_min": stuck})
    assert findings(found["taxi_out_min"]) == [Finding.FROZEN]


def test_a_column_that_always_was_constant_is_calm(demands: Monitoring) -> None:
    found = numeric(np.ones(1000), demands, np.ones(1000))
    assert (found.moved, found.structural, found.measures.psi) == (False, (), None)


def test_a_mostly_constant_column_may_be_constant_by_chance(demands: Monitoring) -> None:
    before = np.zeros(4000)
    before[:4] = 1.0
    assert numeric(before, demands, np.zeros(500)).structural == ()


def test_a_feature_that_does_not_come_is_a_finding(
    reference: Reference, demands: Monitoring, day: Day
) -> None:
    columns = {name: c for name, c in day(CALM).features.items() if name != "taxi_out_min"}
    found = {one.feature: one for one in look_at(reference, columns, demands, Scope.GLOBAL)}
    assert findings(found["taxi_out_min"]) == [Finding.MISSING_COLUMN]
    assert found["taxi_out_min"].moved is None


def test_text_where_numbers_were_is_a_finding(look: Callable[..., dict[str, FeatureDrift]]) -> None:
    found = look(
        CALM, columns={"taxi_out_min": lambda c: np.asarray(["12"] * c.size, dtype=object)}
    )
    assert findings(found["taxi_out_min"]) == [Finding.TYPE_CHANGED]


def test_categories_move_without_any_new_one(look: Callable[..., dict[str, FeatureDrift]]) -> None:
    def merged(column: Column) -> Column:
        column[(column == "WN") & (np.arange(column.size) % 20 != 0)] = "AA"
        return column

    one = look(CALM, columns={"airline": merged})["airline"]
    assert one.kind is FeatureKind.CATEGORY
    assert one.structural == ()
    assert one.moved
    assert one.confirmed  # the moved mass and the stability index
    assert one.measures.category_mass == pytest.approx(0.3, abs=0.08)


def test_the_answers_are_looked_at_beside_the_inputs(demands: Monitoring, day: Day) -> None:
    calm, broken = day(date(2015, 5, 10)), day(CALM, KILOMETRES)
    kept = Reference.from_columns(
        calm.features, dict.fromkeys(NUMBERS, "numeric"), scores=calm.score
    )
    found = look_at(kept, broken.features, demands, Scope.GLOBAL, score=broken.score)
    score = next(one for one in found if one.feature == "score")
    assert score.drift_type is DriftType.PREDICTION
    assert score.moved
    assert score.confirmed
