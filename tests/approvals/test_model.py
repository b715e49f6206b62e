"""An approval is given by distinct persons, to exact bytes, for a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.approvals.automatic import Facts, all_met, criteria
from trimtab.approvals.model import MOVES, Approval, Phase, Step, Target, Voter
from trimtab.kernel.errors import Conflict, InvalidMove, NotPermitted, PolicyRefused
from trimtab.kernel.ids import ApprovalId, Digest, TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.policies.admission import AutoApproval
from trimtab.policies.loader import load_preset

NOW = datetime(2015, 3, 1, tzinfo=UTC)
DUE = NOW + timedelta(days=14)
BYTES = Digest("sha256:" + "a" * 64)
TARGET = Target(
    model="delays",
    version_id="ver_1",
    version="1.0.0",
    digest=BYTES,
    tenant=None,
    environment="production",
    max_percent=25.0,
    checks_digest="sha256:c",
    policy_digest="sha256:p",
)
REQUEST = Approval(
    id=ApprovalId("apr_1"),
    target=TARGET,
    requested_by="svc_ci",
    requested_person="usr_asker",
    comment="",
    steps=(Step("board", 2), Step("legal", 1)),
    min_people=3,
    excluded=frozenset({"usr_asker", "usr_trainer"}),
    votes=(),
    criteria=(),
    automatic=False,
    phase=Phase.PENDING,
    requested_at=NOW,
    decided_at=None,
    due_at=DUE,
    revision=1,
)
AUTO = AutoApproval(
    allowed=True,
    max_traffic_percent=10,
    max_metric_change_percent=5.0,
    min_retrained_gain_percent_points=0.0,
    first_deployment_needs_person=True,
)
GOOD = Facts(
    checks={"schema": Verdict.PASS, "performance": Verdict.PASS},
    required_checks=("schema", "performance"),
    first_of_model=False,
    percent=10,
    metric_change_percent=1.0,
    gain_percent_points=0.5,
    retrained=True,
)
NAN, INF = float("nan"), float("inf")


def voter(person: str, *roles: str) -> Voter:
    return Voter(person, person, frozenset(roles))


def vote(request: Approval, who: Voter, *, approve: bool = True, **changes: Any) -> Approval:
    given_: dict[str, Any] = {"digest": BYTES, "reason": "r", "at": NOW} | changes
    return request.vote(who, approve=approve, **given_)[0]


def approved() -> Approval:
    request = REQUEST
    for who in (voter("usr_1", "board"), voter("usr_2", "board"), voter("usr_3", "legal")):
        assert request.phase is Phase.PENDING
        request = vote(request, who)
    assert request.phase is Phase.APPROVED
    return request


def demand(approval: Approval, **changes: Any) -> None:
    wish: dict[str, Any] = {
        "digest": BYTES,
        "policy_digest": "sha256:p",
        "tenant": None,
        "environment": "production",
        "percent": 25.0,
        "eligible": {"usr_1", "usr_2", "usr_3"},
        "now": NOW,
    } | changes
    approval.demand(**wish)


def test_the_last_signature_approves() -> None:
    demand(approved())


def test_one_no_is_enough() -> None:
    half = vote(REQUEST, voter("usr_1", "board"))
    rejected = vote(half, voter("usr_2", "board"), approve=False)
    assert (rejected.phase, rejected.due_at) == (Phase.REJECTED, None)
    with pytest.raises(InvalidMove):
        vote(rejected, voter("usr_3", "legal"))


@pytest.mark.parametrize(
    "who",
    [
        voter("usr_asker", "board"),
        voter("usr_trainer", "board"),
        voter("usr_5", "admin"),
        voter("usr_5"),
    ],
    ids=lambda v: v.person,
)
def test_who_may_not_vote(who: Voter) -> None:
    for approve in (True, False):
        with pytest.raises(NotPermitted):
            vote(REQUEST, who, approve=approve)


def test_nobody_votes_twice_not_even_in_another_role() -> None:
    half = vote(REQUEST, voter("usr_1", "board"))
    for again in (voter("usr_1", "board"), voter("usr_1", "legal"), voter("usr_1", "board")):
        with pytest.raises(NotPermitted, match="one vote"):
            vote(half, again)


def test_a_person_of_two_roles_signs_one_line() -> None:
    half = vote(REQUEST, voter("usr_1", "board", "legal"))
    assert half.open_steps() == (Step("board", 1), Step("legal", 1))


def test_a_full_line_takes_no_more() -> None:
    request = vote(REQUEST, voter("usr_3", "legal"))
    with pytest.raises(NotPermitted, match="waits for board"):
        vote(request, voter("usr_4", "legal"))


def test_other_bytes_on_the_page_than_asked() -> None:
    with pytest.raises(Conflict):
        vote(REQUEST, voter("usr_1", "board"), digest="sha256:" + "b" * 64)


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=1)])
def test_a_vote_after_its_time_counts_no_more(late: timedelta) -> None:
    with pytest.raises(InvalidMove, match="in time"):
        vote(REQUEST, voter("usr_1", "board"), at=DUE + late)
    vote(REQUEST, voter("usr_1", "board"), at=DUE - timedelta(microseconds=1))


@pytest.mark.parametrize(
    "wish",
    [
        {"digest": "sha256:" + "b" * 64},
        {"policy_digest": "sha256:q"},
        {"tenant": TenantId("aa")},
        {"environment": "staging"},
        {"percent": 25.001},
        {"percent": NAN},
        {"percent": INF},
        {"now": DUE},
        {"now": DUE + timedelta(days=3650)},
        {"eligible": ["usr_1", "usr_2"]},
        {"eligible": ["usr_1", "usr_3"]},
        {"eligible": ["usr_1", "usr_3", "usr_9"]},
        {"eligible": []},
    ],
    ids=str,
)
def test_an_approval_allows_what_was_asked_and_nothing_else(wish: dict[str, Any]) -> None:
    with pytest.raises(PolicyRefused):
        demand(approved(), **wish)


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.APPROVED])
def test_only_an_approval_allows(phase: Phase) -> None:
    with pytest.raises(PolicyRefused):
        demand(replace(approved(), phase=phase))


def test_a_request_without_lines_to_sign_is_never_enough() -> None:
    empty = replace(approved(), steps=(), min_people=0)
    with pytest.raises(PolicyRefused):
        demand(empty)


@given(st.lists(st.sampled_from(Phase), max_size=6))
def test_no_end_outside_the_table(wishes: list[Phase]) -> None:
    request = REQUEST
    for to in wishes:
        ends = to in MOVES[request.phase] and to not in (Phase.APPROVED, Phase.REJECTED)
        if ends:
            request, event = request.end(to, "why", NOW)
            assert (event.after, request.due_at) == (to.value, None)
        else:
            with pytest.raises(InvalidMove):
                request.end(to, "why", NOW)


def test_an_approval_is_made_by_votes_alone() -> None:
    for start in (REQUEST, approved()):
        for to in (Phase.APPROVED, Phase.REJECTED):
            with pytest.raises(InvalidMove):
                start.end(to, "why", NOW)


people = st.sampled_from([f"usr_{n}" for n in range(5)] + ["usr_asker", "usr_trainer"])
roles = st.frozensets(st.sampled_from(["board", "legal", "admin"]), max_size=3)
votes = st.lists(st.tuples(people, roles, st.booleans()), max_size=12)


@settings(max_examples=200)
@given(votes)
def test_no_crowd_approves_without_a_quorum_of_persons(
    tried: list[tuple[str, frozenset[str], bool]],
) -> None:
    request = REQUEST
    for person, held, approve in tried:
        try:
            request = vote(request, Voter(person, person, held), approve=approve)
        except (NotPermitted, InvalidMove):
            continue
    said = [v.person for v in request.votes]
    assert len(said) == len(set(said))
    assert not {"usr_asker", "usr_trainer"} & set(said)
    yes = [v for v in request.votes if v.approve]
    full = sum(v.role == "board" for v in yes) == 2 and sum(v.role == "legal" for v in yes) == 1
    assert (request.phase is Phase.APPROVED) == (full and len(yes) == len(said))
    assert (request.phase is Phase.REJECTED) == (len(yes) < len(said))


def test_every_criterion_met() -> None:
    found = criteria(GOOD, AUTO)
    assert all_met(found)
    assert all(set(c) == {"name", "value", "threshold", "met"} for c in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"metric_change_percent": None},
        {"metric_change_percent": NAN},
        {"metric_change_percent": INF},
        {"metric_change_percent": 5.001},
        {"metric_change_percent": -5.001},
        {"gain_percent_points": None},
        {"gain_percent_points": NAN},
        {"gain_percent_points": 0.0},
        {"gain_percent_points": -1.0},
        {"percent": 10.001},
        {"percent": NAN},
        {"first_of_model": True},
        {"checks": {"performance": Verdict.PASS}},
        {"checks": {"schema": Verdict.PASS}},
        *(
            {"checks": {"schema": Verdict.PASS, "performance": verdict}}
            for verdict in Verdict
            if verdict is not Verdict.PASS
        ),
    ],
    ids=str,
)
def test_one_criterion_not_met_needs_a_person(changes: dict[str, Any]) -> None:
    found = criteria(replace(GOOD, **changes), AUTO)
    assert not all_met(found)
    assert sum(not c["met"] for c in found) == 1, "the reason is not to be told from the rest"


def test_a_policy_that_allows_none_allows_none() -> None:
    assert not all_met(criteria(GOOD, AUTO.model_copy(update={"allowed": False})))
    assert not all_met(())
    for tier in (1, 2):
        demands = load_preset("standard").tier(tier).approvals.auto_approve
        assert not all_met(criteria(GOOD, demands))
