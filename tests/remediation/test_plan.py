"""From a cause to a plan: what is done, what is offered, what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.remediation.actions import ACTIONS
from trimtab.remediation.causes import FITTING, Cause, why_forbidden, why_unfit
from trimtab.remediation.plan import Course, DiagnosisSummary, Step, draw_up

POLICY = load_preset("standard")
RETRAIN, ROLLBACK = ActionName.RETRAIN_MODEL, ActionName.ROLLBACK_MODEL
NOTIFY = ActionName.NOTIFY_TEAM


def plan(
    cause: Cause,
    confidence: float | None = 0.99,
    tier: int = 3,
    recommended: tuple[ActionName, ...] = (),
) -> dict[ActionName, Step]:
    demands = POLICY.tier(tier)
    steps = draw_up(
        DiagnosisSummary(cause, "distance_miles", confidence, recommended),
        demands.remediation,
        tier=tier,
        min_action_confidence=demands.diagnosis.min_action_confidence,
    )
    assert len({step.action for step in steps}) == len(steps)
    return {step.action: step for step in steps}


def test_a_broken_feed_is_told_and_never_trained_on() -> None:
    steps = plan(Cause.DATA_QUALITY_FAULT, recommended=(RETRAIN, ROLLBACK))
    assert steps[NOTIFY].course is Course.AUTOMATIC
    assert steps[RETRAIN].course is Course.REFUSED
    assert "retraining on a broken feed makes it worse" in steps[RETRAIN].reason
    assert steps[ROLLBACK].course is Course.REFUSED


def test_a_bad_release_is_taken_back_first() -> None:
    steps = plan(Cause.BAD_RELEASE)
    assert list(steps) == [ROLLBACK, NOTIFY, RETRAIN]
    assert [step.course for step in steps.values()] == [
        Course.AUTOMATIC,
        Course.AUTOMATIC,
        Course.REFUSED,
    ]


def test_confidence_just_below_and_at_the_limit() -> None:
    limit = POLICY.tier(3).diagnosis.min_action_confidence
    below = plan(Cause.BAD_RELEASE, math.nextafter(limit, 0))
    assert below[ROLLBACK].course is Course.ASK
    assert below[NOTIFY].course is Course.AUTOMATIC
    assert plan(Cause.BAD_RELEASE, limit)[ROLLBACK].course is Course.AUTOMATIC


@pytest.mark.parametrize(
    ("tier", "course"), [(1, Course.ASK), (2, Course.ASK), (3, Course.AUTOMATIC)]
)
def test_what_cannot_be_undone_is_left_to_people_in_the_high_tiers(
    tier: int, course: Course
) -> None:
    assert plan(Cause.COVARIATE_SHIFT, tier=tier)[RETRAIN].course is course


def test_an_inverse_is_demanded_even_where_the_policy_is_lax() -> None:
    lax = POLICY.tier(2).remediation.model_copy(update={"automatic_actions": tuple(ActionName)})
    steps = draw_up(
        DiagnosisSummary(Cause.CONCEPT_SHIFT, None, 1.0, ()), lax, tier=2, min_action_confidence=0.5
    )
    step = next(step for step in steps if step.action is RETRAIN)
    assert (step.course, "cannot be undone" in step.reason) == (Course.ASK, True)


def test_what_nobody_has_declared_is_refused() -> None:
    steps = plan(Cause.CONCEPT_SHIFT, recommended=(ActionName.UPDATE_THRESHOLDS,))
    assert steps[ActionName.UPDATE_THRESHOLDS].course is Course.REFUSED


def test_where_no_cause_is_named_nobody_is_said_to_be_sure_of_it() -> None:
    told = plan(Cause.NONE_FOUND, None)[NOTIFY]
    assert told.course is Course.AUTOMATIC
    assert told.reason.startswith("no cause was found: ")
    assert "sure" not in told.reason


@pytest.mark.parametrize("confidence", [math.nan, -0.1, 1.1, math.inf, None])
def test_a_confidence_that_is_none_makes_no_plan(confidence: float | None) -> None:
    with pytest.raises(InvalidInput):
        plan(Cause.BAD_RELEASE, confidence)


@given(
    st.sampled_from(Cause),
    st.floats(0, 1),
    st.integers(1, 4),
    st.lists(st.sampled_from(ActionName), max_size=5),
)
def test_laws_of_every_plan(
    cause: Cause, confidence: float, tier: int, recommended: list[ActionName]
) -> None:
    steps = plan(cause, confidence, tier, tuple(recommended))
    courses = [step.course for step in steps.values()]
    assert set(ACTIONS) | set(recommended) == set(steps)
    assert all(step.reason for step in steps.values())
    assert courses == sorted(courses, key=lambda course: course is Course.REFUSED)
    assert steps[NOTIFY].course is Course.AUTOMATIC
    for name, step in steps.items():
        if step.course is Course.AUTOMATIC and ACTIONS[name].changes_something:
            assert confidence >= POLICY.tier(tier).diagnosis.min_action_confidence
            assert ACTIONS[name].inverse or tier >= 3
    if cause is Cause.NONE_FOUND:
        assert [n for n, s in steps.items() if s.course is not Course.REFUSED] == [NOTIFY]


def test_every_pair_of_cause_and_action_has_an_answer() -> None:
    for cause in Cause:
        for action in ACTIONS:
            assert (action in FITTING[cause]) is (why_unfit(cause, action) is None)
            if why_forbidden(cause, action):
                assert why_unfit(cause, action)
