"""Measured recovery: how much of the harm is gone, and when nobody can tell."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.policies.operation import Recovery, RollbackTriggers
from trimtab.remediation.recovery import Measured, Metric, Outcome, Window, measure

START = datetime(2015, 5, 1, tzinfo=UTC)
DEMANDS = Recovery(healthy_windows=2, max_windows=4, tolerance_share=0.1, windows_before=6)
TRIGGERS = RollbackTriggers(error_rate_increase=0.2, latency_increase=0.5)
FPR = Metric("false_positive_rate")


def windows(*values: float | None, latency: float | None = None) -> list[Window]:
    return [
        Window(
            f"win_{i}", START + timedelta(days=i), value, 4000 if value is not None else 0, latency
        )
        for i, value in enumerate(values)
    ]


def after(
    *values: float | None,
    metric: Metric = FPR,
    latency: float | None = None,
    demands: Recovery = DEMANDS,
) -> Measured:
    """What is measured after an incident from 1 % to 30 %."""
    up = metric.more_is_better
    return measure(
        metric,
        before=windows(*((0.95, 0.96, 0.95) if up else (0.01, 0.02, 0.01)), latency=10.0),
        during=windows(*((0.8, 0.79) if up else (0.30, 0.31, 0.29))),
        after=windows(*values, latency=latency),
        demands=demands,
        triggers=TRIGGERS,
    )


def test_recovered_with_numbers() -> None:
    found = after(0.30, 0.012, 0.011)
    assert found.outcome is Outcome.RECOVERED
    assert (found.before, found.during, found.after) == (0.01, 0.30, 0.011)
    assert found.change == pytest.approx(-0.289)
    assert found.remaining_share == pytest.approx(0.001 / 0.29)
    assert found.limit == pytest.approx(0.01 + 0.1 * 0.29)
    assert found.plain()["outcome"] == "recovered"


@pytest.mark.parametrize(("healthy", "said"), [(1, "for 1 window;"), (2, "2 windows in a row;")])
def test_one_window_is_no_row_of_them(healthy: int, said: str) -> None:
    assert (
        said
        in after(
            0.30,
            *[0.011] * healthy,
            demands=DEMANDS.model_copy(update={"healthy_windows": healthy}),
        ).reason
    )


def test_what_is_still_needed_is_counted_in_words_that_fit() -> None:
    assert after(0.30).reason == "2 more healthy windows of false_positive_rate are needed"
    assert after(0.011).reason == "1 more healthy window of false_positive_rate is needed"


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.0389, Outcome.RECOVERED), (0.0391, Outcome.NOT_YET)]
)
def test_just_below_and_above_the_tolerance(value: float, outcome: Outcome) -> None:
    assert after(value, value).outcome is outcome


def test_too_early_says_how_many_more() -> None:
    assert [after(*x).more_windows for x in ((), (0.01,), (0.3,), (0.01, 0.3))] == [2, 1, 2, 2]
    assert after().outcome is Outcome.NOT_YET
    assert after().after is None


def test_patience_ends_without_effect() -> None:
    found = after(0.3, 0.28, 0.29, 0.3)
    assert found.outcome is Outcome.NO_EFFECT
    assert found.remaining_share == pytest.approx(1.0)


def test_missing_windows_are_never_health() -> None:
    assert after(0.01, None).outcome is Outcome.NOT_YET
    assert after(None, 0.01).outcome is Outcome.NOT_YET
    assert after(0.01, None, 0.01).outcome is Outcome.NOT_YET
    assert after(None, None, None, None).outcome is Outcome.UNMEASURED
    assert after(None, None, None, 0.01).outcome is Outcome.UNMEASURED


def test_worse_is_told_at_once() -> None:
    assert after(0.359).outcome is Outcome.NOT_YET
    assert after(0.361).outcome is Outcome.WORSE
    assert after(0.361, 0.01, 0.01).outcome is Outcome.WORSE


def test_slower_is_worse() -> None:
    assert after(0.01, 0.01, latency=15.0).outcome is Outcome.RECOVERED
    slow = after(0.01, 0.01, latency=15.1)
    assert slow.outcome is Outcome.WORSE
    assert "latency" in slow.reason


def test_a_figure_of_which_less_is_worse() -> None:
    accuracy = Metric("accuracy", more_is_better=True)
    found = after(0.94, 0.95, metric=accuracy)
    assert found.outcome is Outcome.RECOVERED
    assert found.before == pytest.approx(0.95)
    assert found.change == pytest.approx(0.95 - 0.795)
    assert after(0.80, 0.80, metric=accuracy).outcome is Outcome.NOT_YET
    assert after(0.70, metric=accuracy).outcome is Outcome.WORSE


def test_what_came_back_before_the_remedy_is_not_its_merit() -> None:
    found = measure(
        FPR,
        before=windows(0.01),
        during=windows(0.3, 0.31, 0.011),
        after=windows(0.01, 0.01),
        demands=DEMANDS,
        triggers=TRIGGERS,
    )
    assert found.outcome is Outcome.NO_EFFECT
    assert "before the remedy" in found.reason


@pytest.mark.parametrize(
    ("before", "during"), [((), (0.3,)), ((None,), (0.3,)), ((0.01,), ()), ((0.01,), (None,))]
)
def test_without_a_level_nothing_can_be_measured(
    before: tuple[float | None, ...], during: tuple[float | None, ...]
) -> None:
    with pytest.raises(TooFewValues):
        measure(
            FPR,
            before=windows(*before),
            during=windows(*during),
            after=windows(0.01, 0.01),
            demands=DEMANDS,
            triggers=TRIGGERS,
        )


def test_a_figure_that_showed_no_harm_cannot_show_recovery() -> None:
    with pytest.raises(InvalidInput, match="no worse during"):
        measure(
            FPR,
            before=windows(0.01),
            during=windows(0.01),
            after=windows(0.01, 0.01),
            demands=DEMANDS,
            triggers=TRIGGERS,
        )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="not a number"):
        after(0.01, value)


values = st.lists(st.none() | st.floats(0, 1), max_size=8)


@given(values)
def test_health_is_only_ever_what_was_seen(seen: list[float | None]) -> None:
    found = after(*seen)
    if found.outcome is Outcome.RECOVERED:
        last = seen[-DEMANDS.healthy_windows :]
        assert len(last) == DEMANDS.healthy_windows
        assert all(value is not None and value <= found.limit for value in last)
    if found.outcome is Outcome.NOT_YET:
        assert len(seen) < DEMANDS.max_windows
        assert found.more_windows > 0


@given(values, st.integers(0, 7))
def test_losing_a_window_never_makes_it_healthier(seen: list[float | None], which: int) -> None:
    if which >= len(seen):
        return
    lost = [None if i == which else value for i, value in enumerate(seen)]
    if after(*lost).outcome is Outcome.RECOVERED:
        assert after(*seen).outcome in (Outcome.RECOVERED, Outcome.WORSE)
