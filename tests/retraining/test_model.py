"""The pure rules of a retraining."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput, InvalidMove
from trimtab.kernel.ids import Digest, RetrainingId, VersionId
from trimtab.registry.model import TrainingTrigger, version_key
from trimtab.retraining.model import MOVES, SETTLED, Decision, Phase, Retraining, next_minor

AT = datetime(2015, 6, 1, tzinfo=UTC)


def a_run(phase: Phase, decision: Decision | None = None) -> Retraining:
    later = phase not in (Phase.REQUESTED, Phase.DATA_CHECKED, Phase.REFUSED)
    return Retraining(
        id=RetrainingId("ret_1"),
        model="homes",
        tenant=None,
        trigger=TrainingTrigger.DRIFT,
        incident=None,
        champion="1.0.0",
        champion_digest=Digest("sha256:a"),
        proposed_version="1.1.0",
        policy_digest="sha256:p",
        data_from=AT,
        data_until=AT,
        phase=phase,
        requested_at=AT,
        attempts=0,
        data_digest=None,
        rows=None,
        data_report=None,
        challenger_digest=Digest("sha256:b") if later else None,
        cutoff=0.5,
        metrics=None,
        comparison={"decision": decision.value} if decision else None,
        version_id=None,
        reason=None,
        settled_at=None,
        due_at=AT,
    )


MOVE_CALLS: dict[str, Any] = {
    "refuse": lambda r: r.refuse("why", None, AT),
    "accept_data": lambda r: r.accept_data(Digest("sha256:d"), 1, {}, AT),
    "try_again": lambda r: r.try_again("why", AT),
    "receive": lambda r: r.receive(Digest("sha256:b"), 0.5, {}, AT),
    "judge": lambda r: r.judge(Decision.PROMOTE, "why", {"decision": "promote"}, AT),
    "submit": lambda r: r.submit(VersionId("ver_1"), "1.1.0", AT),
    "keep": lambda r: r.keep("why", AT),
    "fail": lambda r: r.fail("why", AT),
}


@given(st.sampled_from(Phase), st.sampled_from(sorted(MOVE_CALLS)))
def test_a_move_follows_the_table_or_is_refused(phase: Phase, name: str) -> None:
    run = a_run(phase, Decision.PROMOTE)
    try:
        moved, event = MOVE_CALLS[name](run)
    except InvalidMove:
        return
    assert moved.phase in MOVES[phase]
    assert event.subject == run.id
    assert (moved.settled_at is not None) == moved.settled
    assert (moved.due_at is None) == moved.settled


@given(st.lists(st.sampled_from(sorted(MOVE_CALLS)), max_size=12))
def test_nothing_is_submitted_that_was_not_checked_trained_and_judged(names: list[str]) -> None:
    run = a_run(Phase.REQUESTED)
    seen = [run.phase]
    for name in names:
        try:
            run, _event = MOVE_CALLS[name](run)
        except InvalidMove:
            continue
        seen.append(run.phase)
    if Phase.SUBMITTED in seen:
        way = [Phase.REQUESTED, Phase.DATA_CHECKED, Phase.TRAINED, Phase.JUDGED, Phase.SUBMITTED]
        assert list(dict.fromkeys(seen)) == way


@pytest.mark.parametrize("phase", sorted(SETTLED))
@pytest.mark.parametrize("name", sorted(MOVE_CALLS))
def test_what_is_settled_stays(phase: Phase, name: str) -> None:
    with pytest.raises(InvalidMove):
        MOVE_CALLS[name](a_run(phase, Decision.PROMOTE))


@pytest.mark.parametrize("decision", [Decision.KEEP, Decision.INCONCLUSIVE, None])
def test_only_a_comparison_that_says_so_submits(decision: Decision | None) -> None:
    with pytest.raises(InvalidMove, match="does not say so"):
        a_run(Phase.JUDGED, decision).submit(VersionId("ver_1"), "1.1.0", AT)


def test_every_phase_can_be_reached() -> None:
    reached = {Phase.REQUESTED}
    for _ in Phase:
        reached |= {to for phase in reached for to in MOVES[phase]}
    assert reached == set(Phase)


versions = st.builds("{}.{}.{}".format, *[st.integers(0, 30)] * 3)


@given(versions, st.frozensets(versions, max_size=40))
def test_a_version_number_is_free_and_above_the_champion(
    champion: str, taken: frozenset[str]
) -> None:
    number = next_minor(champion, taken)
    assert number not in taken
    assert version_key(number) > version_key(champion)
    assert version_key(number)[0] == version_key(champion)[0]


def test_a_champion_without_a_version_has_no_next() -> None:
    with pytest.raises(InvalidInput):
        next_minor("1.0", ())
