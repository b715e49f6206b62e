"""The moves of a rollout: one step at a time, and a way back from everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidMove
from trimtab.kernel.ids import ApprovalId, Digest, RolloutId
from trimtab.rollouts.model import MOVES, SETTLED, Phase, Rollout

NOW = datetime(2015, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
LADDER = (10.0, 25.0, 50.0, 100.0)
GOOD = {"verdict": "pass", "reason": "fine"}
UNSURE = {"verdict": "inconclusive", "reason": "few"}


def a_rollout(steps: tuple[float, ...] = LADDER) -> Rollout:
    return Rollout(
        id=RolloutId("rol_1"),
        model="delays",
        tenant=None,
        environment="production",
        version_id="ver_2",
        version="2.0.0",
        digest=Digest("sha256:" + "a" * 64),
        active_version="1.0.0",
        approval=ApprovalId("apr_1"),
        policy_digest="sha256:p",
        steps=steps,
        step=0,
        intended_percent=steps[0],
        observed_percent=0.0,
        phase=Phase.RUNNING,
        looks_undecided=0,
        started_at=NOW,
        step_since=NOW,
        due_at=NOW,
        last_analysis=None,
        outcome_reason=None,
    )


def act(rollout: Rollout, what: str) -> Rollout:
    moves: dict[str, Any] = {
        "see": lambda: rollout.see(rollout.intended_percent, NOW, LATER),
        "see part": lambda: rollout.see(rollout.observed_percent, NOW, LATER),
        "forward": lambda: rollout.step_forward(GOOD),
        "wait": lambda: rollout.wait(UNSURE, LATER),
        "back": lambda: rollout.roll_back("harm", None),
        "hold": lambda: rollout.hold("a person"),
        "resume": lambda: rollout.resume("a person", LATER),
        "abort": lambda: rollout.abort("a person"),
        "overtake": lambda: rollout.overtake("a roll-back"),
    }
    moved: Rollout
    moved, event = moves[what]()
    assert event.subject == rollout.id
    return moved


ACTS = ["see", "see part", "forward", "wait", "back", "hold", "resume", "abort", "overtake"]
ladders = st.lists(st.sampled_from([1.0, 5.0, 10.0, 25.0, 50.0]), unique=True, max_size=4).map(
    lambda found: (*sorted(found), 100.0)
)


@settings(max_examples=300)
@given(ladders, st.lists(st.sampled_from([*ACTS, "see", "forward"]), max_size=25))
def test_what_holds_whatever_is_done(steps: tuple[float, ...], acts: list[str]) -> None:
    rollout, overtaken = a_rollout(steps), False
    for what in acts:
        try:
            moved = act(rollout, what)
        except InvalidMove:
            continue
        assert not rollout.settled, "settled has no exit"
        same = moved.phase is rollout.phase
        assert same or moved.phase in MOVES[rollout.phase]
        grew = moved.intended_percent > rollout.intended_percent
        if grew and what == "overtake":
            assert (moved.phase, moved.intended_percent) == (Phase.PROMOTING, 100.0)
        elif grew:
            assert what == "forward"
            assert (rollout.phase, rollout.observed) == (Phase.RUNNING, True)
            assert moved.step == rollout.step + 1, "no step is skipped"
        overtaken = overtaken or what == "overtake"
        reached = 100.0 if overtaken else steps[moved.step]
        assert moved.intended_percent in (0.0, reached)
        if moved.phase is Phase.PROMOTING:
            assert overtaken or moved.may_have_promoted
        if moved.phase is Phase.PROMOTED:
            assert (moved.observed_percent, moved.intended_percent) == (100.0, 100.0)
        if moved.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            assert moved.intended_percent == 0.0, "what goes back does not come again"
        assert (moved.due_at is None) == moved.settled
        rollout = moved


@given(st.lists(st.sampled_from(["see", "see part", "wait", "forward", "hold"]), max_size=12))
def test_held_by_a_person_automation_takes_no_step_forward(acts: list[str]) -> None:
    rollout = act(act(a_rollout(), "see"), "hold")
    for what in acts:
        try:
            rollout = act(rollout, what)
        except InvalidMove:
            continue
        assert (rollout.phase, rollout.intended_percent) == (Phase.HELD, 10.0)
    assert act(rollout, "back").phase is Phase.ROLLING_BACK, "holding keeps no harm in place"
    assert act(act(rollout, "resume"), "see").phase is Phase.RUNNING


@pytest.mark.parametrize("phase", [p for p in Phase if p not in SETTLED])
def test_every_open_phase_has_a_way_back(phase: Phase) -> None:
    waiting, seen = [phase], set()
    while waiting:
        at = waiting.pop()
        if at not in seen:
            seen.add(at)
            waiting += MOVES[at]
    assert Phase.ROLLED_BACK in seen


def test_nothing_grows_before_it_was_seen() -> None:
    with pytest.raises(InvalidMove):
        act(a_rollout(), "forward")
    half = act(act(a_rollout(), "see"), "forward")
    with pytest.raises(InvalidMove):
        act(half, "forward")


def test_the_whole_ladder() -> None:
    rollout, shares = a_rollout(), []
    while not rollout.settled:
        rollout = act(rollout, "see")
        shares.append(rollout.observed_percent)
        if not rollout.settled:
            rollout = act(rollout, "forward")
    assert (tuple(shares), rollout.phase) == (LADDER, Phase.PROMOTED)


def test_a_ladder_of_one_step_is_judged_before_it_is_promoted() -> None:
    rollout = act(a_rollout((100.0,)), "see")
    assert rollout.phase is Phase.RUNNING
    rollout = act(rollout, "forward")
    assert (rollout.phase, rollout.intended_percent) == (Phase.PROMOTING, 100.0)
    assert act(rollout, "see").phase is Phase.PROMOTED


def test_undecided_looks_are_counted_by_step() -> None:
    rollout = act(act(act(a_rollout(), "see"), "wait"), "wait")
    assert rollout.looks_undecided == 2
    assert act(rollout, "forward").looks_undecided == 0
