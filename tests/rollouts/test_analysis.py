"""One look: silence is not health, few is not enough, and nonsense is an error."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.kernel.events import canonical
from trimtab.kernel.verdict import Verdict
from trimtab.policies.loader import load_preset
from trimtab.rollouts.analysis import Analysis, Evidence, Look, judge

DEMANDS = load_preset("standard").tier(2).rollout
OLD = timedelta(days=30)


def look_at(*looks: Look, **changes: object) -> Analysis:
    events = sum(max(0, look.canary_negatives) for look in looks)
    evidence = Evidence(looks, events, OLD, True)
    return judge(replace(evidence, **changes), DEMANDS)  # type: ignore[arg-type]  # a test's


GOOD = Look(20, 4000, 600, 36_000)


def test_enough_of_health_passes_and_says_its_numbers() -> None:
    analysis = look_at(GOOD)
    assert analysis.verdict is Verdict.PASS
    assert {r.name for r in analysis.rules} == {"false_positive_rate", "ratio_to_active"}
    assert (analysis.canary_negatives, analysis.active_false_positives) == (4000, 600)
    assert canonical(analysis.plain())


@pytest.mark.parametrize(
    "looks",
    [(), (Look(0, 0, 0, 0),), (Look(0, 0, 0, 10**6),), (Look(0, 0, 500, 10_000),) * 48],
    ids=["none", "empty", "active only", "active only, long"],
)
def test_no_outcome_of_the_canary_is_no_verdict(looks: tuple[Look, ...]) -> None:
    analysis = look_at(*looks)
    assert analysis.verdict is Verdict.INCONCLUSIVE
    assert analysis.more_needed == DEMANDS.min_events_per_step


@pytest.mark.parametrize("active", [(0, 0), (0, 40), (0, 1000)], ids=str)
def test_a_baseline_that_says_nothing_lets_nobody_through(active: tuple[int, int]) -> None:
    assert look_at(Look(80, 4000, *active)).verdict is not Verdict.PASS
    assert look_at(Look(0, 40, *active)).verdict is Verdict.INCONCLUSIVE


def test_a_baseline_without_an_error_needs_no_division() -> None:
    analysis = look_at(Look(40, 4000, 0, 36_000))
    ratio = next(r for r in analysis.rules if r.name == "ratio_to_active")
    assert (ratio.value, ratio.harmful) == (None, True)
    assert analysis.verdict is Verdict.FAIL
    assert "many times" in analysis.reason


@pytest.mark.parametrize(
    "looks",
    [
        (Look(-1, 10, 1, 100),),
        (Look(0, -500, 1, 100), GOOD),
        (Look(11, 10, 1, 100),),
        (GOOD, Look(1, 10, 101, 100)),
        (GOOD, Look(0, 10, 0, -1)),
    ],
    ids=str,
)
def test_counts_that_cannot_be_are_an_error_and_no_verdict(looks: tuple[Look, ...]) -> None:
    analysis = look_at(*looks)
    assert (analysis.verdict, analysis.rules) == (Verdict.ERROR, ())
    assert "cannot be" in analysis.reason


@pytest.mark.parametrize(("harmful", "known"), [(13, 270), (14, 290), (15, 310), (16, 330)])
def test_a_rate_just_below_its_limit_is_undecided_and_no_crash(harmful: int, known: int) -> None:
    assert look_at(Look(harmful, known, 0, 0)).verdict is Verdict.INCONCLUSIVE


def test_evidence_that_cannot_be_read_is_an_error_however_good_it_looks() -> None:
    analysis = look_at(GOOD, unreadable="the join timed out")
    assert (analysis.verdict, analysis.reason) == (Verdict.ERROR, "the join timed out")


def test_the_minimum_of_the_step_and_its_hold() -> None:
    few = DEMANDS.min_events_per_step - 1
    hold = timedelta(hours=DEMANDS.min_hold_hours)
    assert look_at(GOOD, step_events=few).verdict is Verdict.INCONCLUSIVE
    assert "1 more" in look_at(GOOD, step_events=few).reason
    assert look_at(GOOD, step_events=few + 1).verdict is Verdict.PASS
    early = look_at(GOOD, step_age=hold - timedelta(microseconds=1))
    assert early.verdict is Verdict.INCONCLUSIVE
    assert look_at(GOOD, step_age=hold).verdict is Verdict.PASS


def test_gross_harm_waits_for_no_minimum() -> None:
    analysis = look_at(Look(12, 30, 2, 270), step_events=30, step_age=timedelta(minutes=30))
    assert analysis.verdict is Verdict.FAIL
    assert look_at(Look(1, 2, 0, 20)).verdict is Verdict.INCONCLUSIVE


def test_gross_harm_is_a_ground_of_its_own() -> None:
    sure = DEMANDS.model_copy(update={"max_wrong_rollback_rate": 1e-12})
    evidence = Evidence((Look(12, 30, 2, 270),), 30, timedelta(minutes=30), True)
    analysis = judge(evidence, sure)
    assert (analysis.verdict, analysis.reason[:10]) == (Verdict.FAIL, "gross harm")
    few = Evidence((Look(9, 9, 0, 81),), 9, timedelta(minutes=30), True)
    assert judge(few, sure).verdict is Verdict.INCONCLUSIVE


def test_a_first_release_is_judged_by_the_absolute_rule_alone() -> None:
    alone = look_at(Look(20, 4000, 0, 0), has_active=False)
    assert (alone.verdict, len(alone.rules)) == (Verdict.PASS, 1)
    assert look_at(Look(400, 4000, 0, 0), has_active=False).verdict is Verdict.FAIL


@pytest.mark.parametrize("million", [10**6, 10**9, 10**12])
def test_huge_counts_do_not_overflow(million: int) -> None:
    good = look_at(Look(million // 100, million, 9 * million // 50, 9 * million))
    bad = look_at(Look(million // 10, million, 9 * million // 50, 9 * million))
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert canonical(good.plain())
    assert canonical(bad.plain())


def side(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(0, most).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


looks = st.lists(
    st.tuples(side(400), side(4000)).map(lambda s: Look(*s[0], *s[1])), max_size=6
).map(tuple)


@settings(max_examples=100, deadline=None)
@given(looks, st.booleans(), st.integers(0, 10_000), st.integers(0, 100))
def test_a_pass_has_every_demand_behind_it(
    looks: tuple[Look, ...], has_active: bool, step_events: int, hours: int
) -> None:
    evidence = Evidence(looks, step_events, timedelta(hours=hours), has_active)
    analysis = judge(evidence, DEMANDS)
    if analysis.verdict is Verdict.PASS:
        assert step_events >= DEMANDS.min_events_per_step
        assert hours >= DEMANDS.min_hold_hours
        assert all(rule.harmless and not rule.harmful for rule in analysis.rules)
        assert analysis.canary_negatives > 0
    if analysis.verdict is Verdict.INCONCLUSIVE and analysis.more_needed is not None:
        assert analysis.more_needed > 0


@settings(max_examples=50, deadline=None)
@given(looks)
def test_without_the_canarys_outcomes_nothing_passes(looks: tuple[Look, ...]) -> None:
    silent = tuple(replace(x, canary_false_positives=0, canary_negatives=0) for x in looks)
    assert look_at(*silent).verdict is Verdict.INCONCLUSIVE


@settings(max_examples=50, deadline=None)
@given(looks, st.integers(1, 300))
def test_more_errors_never_turn_a_failure_into_a_pass(looks: tuple[Look, ...], more: int) -> None:
    before = look_at(*looks).verdict
    after = look_at(*looks, Look(more, more, 0, 0)).verdict
    assert not (before is Verdict.FAIL and after is Verdict.PASS)
