"""A watch announces each episode once when it is believed, and once when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId, WindowId
from trimtab.monitoring.watch import (
    DriftCleared,
    DriftConfirmed,
    DriftEvidence,
    Outcome,
    PerformanceDegraded,
    PerformanceEvidence,
    PerformanceRecovered,
    Sighting,
    Subject,
    Watch,
    WatchMoved,
    WatchPhase,
)

START = datetime(2015, 3, 1, tzinfo=UTC)
A, C, U = Outcome.ALARM, Outcome.CALM, Outcome.UNKNOWN
DRIFT = DriftEvidence(
    feature="distance_miles",
    drift_type="data_drift",
    finding="moved",
    direction="up",
    values={"ks_d": 0.3},
    thresholds={"ks": 0.2},
    votes=[],
    severity="high",
    items=[],
    reason="2 votes of the quorum",
)
METRIC = PerformanceEvidence("false_positive_rate", "1.0.0", 0.3, 0.05, [0.2, 0.4], 0.02, "beyond")
outcomes = st.lists(st.sampled_from(Outcome), max_size=40)


def a_watch(subject: Subject = Subject.DRIFT) -> Watch:
    return Watch(
        id="wat_1",
        model="flights",
        tenant=TenantId("UA"),
        subject=subject,
        name="distance_miles",
        phase=WatchPhase.CALM,
        alarming=0,
        calm=0,
        since=None,
        judged_through=None,
        window=None,
    )


def through(
    said: list[Outcome], needed: int, subject: Subject = Subject.DRIFT
) -> tuple[list[Watch], list[Event | None]]:
    """The watch before each window and after the last, and what each window announced."""
    watch, states, events = a_watch(subject), [a_watch(subject)], []
    evidence = METRIC if subject is Subject.PERFORMANCE else DRIFT
    for i, outcome in enumerate(said):
        sighting = Sighting(subject, watch.name, outcome, evidence, needed)
        moved = watch.see(sighting, WindowId(f"win_{i}"), START + i * timedelta(days=1))
        watch, event = moved or (watch, None)
        states.append(watch)
        events.append(event)
    return states, events


def test_it_takes_windows_in_a_row_to_be_believed() -> None:
    states, events = through([A, C, A, A, A], needed=2)
    assert [w.phase.value for w in states[1:]] == [
        "suspected",
        "calm",
        "suspected",
        "confirmed",
        "confirmed",
    ]
    assert [type(event) for event in events] == [
        WatchMoved,
        WatchMoved,
        WatchMoved,
        DriftConfirmed,
        type(None),
    ]
    confirmed = events[3]
    assert isinstance(confirmed, DriftConfirmed)
    assert (confirmed.consecutive, confirmed.since) == (2, START + timedelta(days=2))
    assert (confirmed.window, confirmed.tenant, confirmed.model) == ("win_3", "UA", "flights")
    assert (confirmed.values, confirmed.thresholds) == ({"ks_d": 0.3}, {"ks": 0.2})


def test_it_takes_as_many_calm_windows_in_a_row_to_be_over() -> None:
    states, events = through([A, A, C, A, C, U, C, C], needed=2)
    assert [w.phase.value for w in states[3:]] == [
        *["confirmed"] * 4,
        "calm",
        "calm",
    ]
    cleared = events[6]
    assert isinstance(cleared, DriftCleared)
    assert (cleared.since, cleared.until) == (START, START + timedelta(days=6))
    assert [type(e) for e in events].count(DriftCleared) == 1


def test_a_metric_degrades_and_recovers_by_its_own_names() -> None:
    _, events = through([A, A, C, C], needed=2, subject=Subject.PERFORMANCE)
    assert isinstance(events[1], PerformanceDegraded)
    assert not isinstance(events[1], PerformanceRecovered)
    assert (events[1].metric, events[1].limit, events[1].interval) == (
        "false_positive_rate",
        0.05,
        [0.2, 0.4],
    )
    assert isinstance(events[3], PerformanceRecovered)


def test_one_window_suffices_where_one_is_needed() -> None:
    states, events = through([A, C], needed=1)
    assert [w.phase.value for w in states[1:]] == ["confirmed", "calm"]
    assert [event.kind for event in events if event] == ["drift.confirmed", "drift.cleared"]


@given(outcomes, st.integers(1, 4))
def test_announcements_alternate_and_agree_with_the_phase(said: list[Outcome], needed: int) -> None:
    states, events = through(said, needed)
    announced = [e.kind for e in events if isinstance(e, DriftConfirmed)]
    assert announced == (["drift.confirmed", "drift.cleared"] * len(said))[: len(announced)]
    assert (len(announced) % 2 == 1) == (states[-1].phase is WatchPhase.CONFIRMED)


@given(outcomes, st.integers(1, 4))
def test_nothing_is_believed_before_enough_windows_in_a_row(
    said: list[Outcome], needed: int
) -> None:
    states, _ = through(said, needed)
    for i, outcome in enumerate(said):
        before, after = states[i].phase, states[i + 1].phase
        told = [one for one in said[: i + 1] if one is not U]
        if before is not WatchPhase.CONFIRMED and after is WatchPhase.CONFIRMED:
            assert told[-needed:] == [A] * needed
        if before is WatchPhase.CONFIRMED and after is not WatchPhase.CONFIRMED:
            assert after is WatchPhase.CALM
            assert told[-needed:] == [C] * needed
        if outcome is U:
            assert states[i] == states[i + 1]


@given(outcomes, st.integers(1, 4))
def test_windows_that_cannot_tell_leave_no_trace(said: list[Outcome], needed: int) -> None:
    _, with_them = through(said, needed)
    _, without = through([one for one in said if one is not U], needed)
    assert [e.kind for e in with_them if e] == [e.kind for e in without if e]


@given(outcomes, st.integers(1, 4))
def test_no_event_no_move_and_no_move_no_event(said: list[Outcome], needed: int) -> None:
    states, events = through(said, needed)
    for before, after, event in zip(states, states[1:], events, strict=False):
        assert (before == after) == (event is None)


@given(outcomes, st.integers(1, 4))
def test_a_window_counts_once_and_an_older_one_never(said: list[Outcome], needed: int) -> None:
    watch = through(said, needed)[0][-1]
    if watch.judged_through is None:
        return
    for when in (watch.judged_through, watch.judged_through - timedelta(days=1)):
        for outcome in Outcome:
            again = Sighting(Subject.DRIFT, watch.name, outcome, DRIFT, needed)
            assert watch.see(again, WindowId("win_again"), when) is None
