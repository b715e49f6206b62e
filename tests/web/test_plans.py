"""What is said of a plan: in the order of time, without contradicting itself, and in words."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from trimtab.diagnosis.model import Advice, Analysis, Verdict
from trimtab.incidents.model import Kind
from trimtab.policies.operation import ActionName
from trimtab.remediation.model import Phase
from trimtab.web import plans

RETRAIN, ROLLBACK = ActionName.RETRAIN_MODEL, ActionName.ROLLBACK_MODEL
LATER = datetime(2015, 4, 4, tzinfo=UTC)


def analysis(action: ActionName, *, refused: bool = False) -> Analysis:
    advised = (Advice(action, refused, "it helps"),)
    return Analysis(Verdict.CAUSE_FOUND, "it moved", (), advised, (), None, None)


def told(action: ActionName, found: Analysis, kind: Kind, *remedies: Any) -> plans.Line:
    steps = [{"action": action.value, "course": "refused", "reason": "39 more rows are needed"}]
    incident: Any = SimpleNamespace(kind=kind)
    return plans.plan(steps, incident, found, remedies)[0]


def remedy(phase: Phase) -> Any:
    return SimpleNamespace(action=RETRAIN, phase=phase, proposed_at=LATER)


def test_what_had_to_wait_and_was_done_later_is_told_in_the_order_of_time() -> None:
    line = told(RETRAIN, analysis(RETRAIN), Kind.DATA_DRIFT, remedy(Phase.SUCCEEDED))
    assert line.status.word == "had to wait first"
    assert line.why == "39 more rows are needed; begun 2015-04-04 00:00 UTC, see below"


def test_what_is_advised_and_not_possible_yet_has_to_wait() -> None:
    line = told(RETRAIN, analysis(RETRAIN), Kind.DATA_DRIFT)
    assert (line.status.word, line.why) == ("has to wait", "39 more rows are needed")


@pytest.mark.parametrize("remedies", [(), (remedy(Phase.REFUSED),)])
def test_what_is_advised_against_stays_refused(remedies: Any) -> None:
    found = analysis(RETRAIN, refused=True)
    assert told(RETRAIN, found, Kind.DATA_DRIFT, *remedies).status.word == "refused"


def test_a_canary_that_is_gone_is_not_to_be_taken_back_again() -> None:
    found = analysis(ROLLBACK)
    line = told(ROLLBACK, found, Kind.ROLLOUT_ROLLED_BACK)
    assert line.status.word == "done already"
    assert [each.status.word for each in plans.advice(found, [line])] == ["done already"]
    assert [each.status.word for each in plans.advice(found, [])] == ["advised"]


def test_a_recovery_is_told_in_words() -> None:
    window = {"id": "win_x", "start": "2015-04-16T00:00:00.000000Z", "value": 0.56544, "rows": 1440}
    measured = {
        "outcome": "not_yet", "reason": "", "metric": "false_positive_rate", "before": 0.55,
        "during": 0.4, "after": 0.56544, "change": 0.16, "limit": 0.539, "remaining_share": -0.067,
        "healthy_in_a_row": 1, "more_windows": 0,
        "windows": [window, {**window, "value": None, "start": "2015-04-17T00:00:00.000000Z"}],
    }  # fmt: skip
    said = {number.name: number.value for number in plans.recovery(measured)}
    assert said["windows"] == "2015-04-16: 0.5654 in 1\u202f440 rows; 2015-04-17: no figure"
    assert said["harm that is left"] == "none"
    assert said["metric"] == "false positive rate"
    assert "{" not in " ".join(said.values())


def test_what_came_back_of_a_message_is_told_as_it_is() -> None:
    assert [n.name for n in plans.recovery({"receipt": {"channel": "inbox"}})] == ["receipt"]
    assert plans.recovery(None) == ()
