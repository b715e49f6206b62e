"""Approved without a person: for as much as the policy grants, on what was measured here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.workflows import handing_in
from tests.workflows.handing_in import FACTS
from tests.workflows.releasing import Plane, Told, going_on, told

from trimtab.approvals.model import Phase
from trimtab.kernel.actor import system
from trimtab.registry.model import Lifecycle, TrainingTrigger

pytestmark = pytest.mark.slow

ORDINARY = replace(FACTS, annual_financial_impact_usd=0.0)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Told:
    def story(plane: Plane) -> None:
        plane.change_policy("steps_percent: [10, 25, 50, 100]", "steps_percent: [10, 50, 100]")
        plane.change_policy("min_hold_hours: 4", "min_hold_hours: 1")
        plane.hours = 2
        plane.register(facts=ORDINARY)
        plane.release("1.0.0")

    return told(tmp_path_factory.mktemp("released") / "plane", story)


@pytest.fixture
def served(released: Told, tmp_path: Path) -> Iterator[Plane]:
    """A model of tier 3 whose first version people have approved, and which is stable."""
    with going_on(released, tmp_path / "plane") as plane:
        yield plane


def criterion(plane: Plane, number: str, name: str) -> dict[str, Any]:
    (found,) = [c for c in plane.requests(number)[0].criteria if c["name"] == name]
    return found


def test_from_an_automatic_approval_to_stable_with_people_for_the_rest(served: Plane) -> None:
    served.hand_in("1.1.0")
    served.settle()
    (given,) = served.requests("1.1.0")
    assert given.automatic, [c for c in given.criteria if not c["met"]]
    assert (given.phase, given.target.max_percent) == (Phase.APPROVED, 10)
    assert all(c["met"] for c in given.criteria)
    assert served.version("1.1.0").lifecycle is Lifecycle.APPROVED
    assert served.rollout("1.1.0").observed_percent == 10

    served.day()
    served.day()
    rollout = served.rollout("1.1.0")
    assert (rollout.phase.value, rollout.intended_percent) == ("running", 10), "it stays there"
    assert rollout.last_analysis is not None
    assert "the rest needs people" in rollout.last_analysis["reason"]
    _, rest = served.requests("1.1.0")
    assert (rest.phase, rest.automatic, rest.target.max_percent) == (Phase.PENDING, False, 100)
    assert [(s.role, s.people) for s in rest.steps] == [("peer_reviewer", 1), ("ml_engineer", 1)]
    assert rest.target.digest == served.version("1.1.0").digest

    served.sign("1.1.0")
    assert served.rollout("1.1.0").intended_percent == 10, "votes move nothing by themselves"
    for _ in range(4):
        served.day()
    stable = served.stable()
    assert stable is not None
    assert stable.version == "1.1.0"
    used = [e.data for e in served.entries("permit.consumed") if e.data is not None]
    assert [
        (u["percent"], u["approval"]) for u in used if u["approval"] in (given.id, rest.id)
    ] == [
        (10.0, given.id),
        (50.0, rest.id),
        (100.0, rest.id),
    ]


def test_a_no_to_the_rest_takes_the_canary_back(served: Plane) -> None:
    served.hand_in("1.1.0")
    served.settle()
    served.day()
    _, rest = served.requests("1.1.0")
    served.vote(rest, approve=False)
    served.day()
    rollout = served.rollout("1.1.0")
    assert (rollout.phase.value, rollout.observed_percent) == ("rolled_back", 0)
    assert f"approval {rest.id} is rejected" in str(rollout.outcome_reason)
    assert served.version("1.1.0").lifecycle is Lifecycle.REJECTED
    served.settle(after=timedelta(days=1))
    assert len(served.requests("1.1.0")) == 2, "nobody is asked a second time"


def test_what_the_sender_says_of_its_metrics_does_not_count(served: Plane) -> None:
    claims = {"accuracy": 1.0, "precision": 1.0, "recall": 1.0, "false_positive_rate": 0.0}
    served.hand_in("1.1.0", cutoff=0.7, training_metrics=claims)
    served.settle()
    (asked,) = served.requests("1.1.0")
    assert (asked.automatic, asked.target.max_percent) == (False, 100)
    change = criterion(served, "1.1.0", "metric_change_percent")
    assert not change["met"]
    assert change["value"] > 5
    met = {c["name"] for c in asked.criteria if c["met"]}
    assert {c["name"] for c in asked.criteria} - met == {"metric_change_percent"}


def test_what_no_person_has_handed_in_is_taken_for_retrained(
    served: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_in, "ACTOR", system("pipeline"))
    served.hand_in("1.1.0", training_trigger=TrainingTrigger.MANUAL)
    served.settle()
    (asked,) = served.requests("1.1.0")
    assert not asked.automatic
    assert criterion(served, "1.1.0", "gain_percent_points")["value"] == 0


def test_a_canary_stays_while_people_are_asked_though_its_own_approval_ran_out(
    served: Plane,
) -> None:
    served.hand_in("1.1.0")
    served.settle()
    served.day()
    given, rest = served.requests("1.1.0")
    assert (given.phase, rest.phase) == (Phase.APPROVED, Phase.PENDING)
    assert given.due_at is not None
    served.settle(after=given.due_at - served.now - timedelta(hours=1))
    served.day()
    given, rest = served.requests("1.1.0")
    assert (given.phase, rest.phase) == (Phase.EXPIRED, Phase.PENDING)
    rollout = served.rollout("1.1.0")
    assert (rollout.phase.value, rollout.observed_percent) == ("running", 10)


def test_a_retrained_version_without_a_measured_gain_is_put_before_people(served: Plane) -> None:
    served.hand_in(
        "1.1.0",
        training_trigger=TrainingTrigger.DRIFT,
        training_metrics={"accuracy": 1.0},
    )
    served.settle()
    (asked,) = served.requests("1.1.0")
    assert not asked.automatic
    assert criterion(served, "1.1.0", "gain_percent_points")["value"] == 0


@pytest.mark.parametrize(("granted", "automatic"), [(9, False), (10, True)])
def test_where_the_first_step_is_more_than_is_granted_people_are_asked(
    served: Plane, granted: int, automatic: bool
) -> None:
    served.change_policy(
        "        max_traffic_percent: 10\n", f"        max_traffic_percent: {granted}\n"
    )
    served.hand_in("1.1.0")
    served.settle()
    (asked,) = served.requests("1.1.0")
    assert asked.automatic is automatic
    share = criterion(served, "1.1.0", "traffic_percent")
    assert (share["value"], share["threshold"], share["met"]) == (10, granted, automatic)
