"""Rates by version and deployment, judged by their intervals and never by silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.demo.story import MILES_TO_KILOMETRES, Fault
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.drift import Scope
from trimtab.monitoring.performance import (
    Judgement,
    Tally,
    VersionFacts,
    judge,
    outcomes,
    together,
    verdict_of,
)
from trimtab.observations.frame import Frame
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Monitoring
from trimtab.stats.confusion import Confusion

Day = Callable[..., Frame]
CALM = date(2015, 5, 12)
FACTS = {"1.0.0": VersionFacts(0.5, {"accuracy": 0.93, "precision": 0.95, "recall": 0.80})}
DEMANDS = load_preset("standard").tier(3).monitoring


def a_tally(
    fp: int = 0,
    tn: int = 0,
    tp: int = 0,
    fn: int = 0,
    rows: int | None = None,
    deployment: str = "stable",
) -> Tally:
    counted = Confusion(tp=tp, fp=fp, tn=tn, fn=fn)
    return Tally(None, "1.0.0", deployment, rows or counted.total, counted.total, 0, counted)


def judged(tally: Tally, scope: Scope = Scope.GLOBAL) -> dict[str, Judgement]:
    return {one.metric: one for one in judge([tally], FACTS, DEMANDS, scope)}


def test_the_counts_are_those_of_a_plain_loop(day: Day) -> None:
    frame = day(CALM)
    frame = replace(
        frame,
        label=np.where(np.arange(len(frame)) % 7 == 0, -1, frame.label),
        score=np.where(np.arange(len(frame)) % 11 == 0, np.nan, frame.score),
        version=np.where(np.arange(len(frame)) % 5 == 0, "1.1.0", frame.version),
        deployment=np.where(np.arange(len(frame)) % 5 == 0, "canary", frame.deployment),
    )
    found = {
        (t.tenant, t.version, t.deployment): t
        for t in outcomes(frame, {"1.0.0": 0.5, "1.1.0": 0.3})
    }
    assert len(found) == 14
    for (tenant, version, deployment), tally in found.items():
        cutoff = {"1.0.0": 0.5, "1.1.0": 0.3}[version]
        rows = (
            (frame.tenant == tenant) & (frame.version == version) & (frame.deployment == deployment)
        )
        label, score = frame.label[rows], frame.score[rows]
        known = (label >= 0) & np.isfinite(score)
        assert tally.rows == rows.sum()
        assert tally.labelled == (label >= 0).sum()
        assert tally.unscored == ((label >= 0) & ~np.isfinite(score)).sum()
        assert tally.confusion == Confusion.from_arrays(score[known] >= cutoff, label[known])
        assert tally.negatives == (label[known] == 0).sum()


def test_a_score_at_the_cut_off_is_flagged(day: Day) -> None:
    frame = day(CALM)
    frame = replace(frame, score=np.full(len(frame), 0.5))
    (tally,) = together(outcomes(frame, {"1.0.0": 0.5}))
    assert tally.confusion is not None
    assert (tally.confusion.tn, tally.confusion.fn) == (0, 0)


def test_tallies_of_tenants_add_up_to_the_fleet(day: Day) -> None:
    frame = day(CALM)
    (whole,) = together(outcomes(frame, {"1.0.0": 0.5}))
    assert whole.confusion == Confusion.from_arrays(frame.score >= 0.5, frame.label)


def test_a_version_without_a_known_cut_off_is_not_judged(day: Day) -> None:
    tallies = outcomes(day(CALM), {})
    assert {tally.confusion for tally in tallies} == {None}
    found = judge(together(tallies), {}, DEMANDS, Scope.GLOBAL)
    assert verdict_of(found) is Verdict.INCONCLUSIVE
    assert "not known" in found[0].reason


def test_a_calm_day_passes_and_kilometres_fail(day: Day, demands: Monitoring) -> None:
    for faults, verdict in (
        ((), Verdict.PASS),
        ((Fault("distance_miles", MILES_TO_KILOMETRES),), Verdict.FAIL),
    ):
        tallies = together(outcomes(day(CALM, *faults), {"1.0.0": 0.5}))
        found = {one.metric: one for one in judge(tallies, FACTS, demands, Scope.GLOBAL)}
        assert found["false_positive_rate"].verdict is verdict
        assert found["false_positive_rate"].limit == 0.05


@pytest.mark.parametrize(
    ("fp", "verdict", "calm"),
    [
        (30, Verdict.PASS, True),
        (45, Verdict.INCONCLUSIVE, True),
        (57, Verdict.INCONCLUSIVE, False),
        (80, Verdict.FAIL, False),
    ],
)
def test_only_an_interval_wholly_beyond_the_limit_fails(
    fp: int, verdict: Verdict, calm: bool
) -> None:
    found = judged(a_tally(fp=fp, tn=1000 - fp, tp=200))["false_positive_rate"]
    assert (found.verdict, found.calm) == (verdict, calm)


@given(st.integers(0, 400), st.integers(400, 2000))
def test_a_verdict_agrees_with_its_interval(fp: int, negatives: int) -> None:
    found = judged(a_tally(fp=fp, tn=negatives - fp, tp=100))["false_positive_rate"]
    assert found.interval is not None
    low, high = found.interval
    assert (found.verdict is Verdict.FAIL) == (low > 0.05)
    assert (found.verdict is Verdict.PASS) == (high <= 0.05)
    assert not (found.calm and found.verdict is Verdict.FAIL)


def test_a_decay_is_judged_against_training() -> None:
    good = judged(a_tally(tp=820, fn=180, tn=2900, fp=20))["recall"]
    assert (good.verdict, good.baseline) == (Verdict.PASS, 0.80)
    assert good.limit == pytest.approx(0.77)
    assert judged(a_tally(tp=600, fn=400, tn=2900, fp=20))["recall"].verdict is Verdict.FAIL


def test_a_metric_that_training_did_not_measure_is_not_judged() -> None:
    found = judge([a_tally(tp=900, tn=900)], {"1.0.0": VersionFacts(0.5)}, DEMANDS, Scope.GLOBAL)
    assert [one.metric for one in found] == ["false_positive_rate"]


def test_too_few_labels_are_inconclusive_and_say_how_many_more() -> None:
    found = judged(a_tally(tn=499, rows=1000))["false_positive_rate"]
    assert (found.verdict, found.calm) == (Verdict.INCONCLUSIVE, False)
    assert found.reason == "1 more labels needed: 499 of 1000 rows have one"
    assert judged(a_tally(tn=500, rows=1000))["false_positive_rate"].verdict is Verdict.PASS


def test_too_few_rows_are_inconclusive_in_each_scope() -> None:
    few = a_tally(tn=350)
    assert judged(few)["false_positive_rate"].reason == "50 more rows needed"
    assert judged(few, Scope.TENANT)["false_positive_rate"].verdict is Verdict.PASS


def test_without_a_single_negative_there_is_no_rate_and_no_health() -> None:
    found = judged(a_tally(tp=900, fn=10))["false_positive_rate"]
    assert (found.verdict, found.value, found.calm) == (Verdict.INCONCLUSIVE, None, False)


def test_canaries_are_left_to_their_rollout() -> None:
    assert judged(a_tally(fp=900, tn=100, deployment="canary")) == {}


def test_a_tenants_own_version_answers_in_that_tenants_window() -> None:
    facts = {"1.0.0": VersionFacts(0.5, tenant="UA")}
    tally = a_tally(fp=900, tn=100)
    assert judge([tally], facts, DEMANDS, Scope.GLOBAL) == ()
    (found,) = judge([tally], facts, DEMANDS, Scope.TENANT)
    assert found.verdict is Verdict.FAIL


def test_a_tenant_that_is_harder_than_the_fleet_has_not_decayed() -> None:
    hard = a_tally(tp=100, fn=100, tn=400, fp=4)
    assert set(judged(hard, Scope.TENANT)) == {"false_positive_rate"}
    own = {"1.0.0": replace(FACTS["1.0.0"], tenant="UA")}
    found = {one.metric: one.verdict for one in judge([hard], own, DEMANDS, Scope.TENANT)}
    assert found["recall"] is Verdict.FAIL


def test_nothing_judged_is_inconclusive() -> None:
    assert verdict_of([]) is Verdict.INCONCLUSIVE
    assert outcomes(_empty(), {}) == ()


def _empty() -> Frame:
    nothing = np.empty(0, dtype=object)
    numbers = np.empty(0)
    return Frame(nothing, nothing, nothing, nothing, numbers, numbers, numbers, numbers, {})
