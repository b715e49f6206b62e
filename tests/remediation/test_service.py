"""The verbs of a remedy over a real database: each once, twice, late and out of turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from trimtab.artifacts.envelope import key_id
from trimtab.kernel.errors import (
    Conflict,
    InvalidInput,
    InvalidMove,
    NotPermitted,
    PolicyRefused,
)
from trimtab.kernel.ids import IncidentId
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.remediation import endings, kill_switches, service, store
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.recovery import Measured, Metric, Window, measure
from trimtab.remediation.switches import Scope

MINUTE = timedelta(minutes=1)
LEASE = 10 * MINUTE


def executed(house: Any, remedy: Remediation) -> Remediation:
    done: Remediation = house.do(
        service.executed, remedy.id, fence=remedy.fence, result={"stable": "1.0.0"}, patience=LEASE
    )
    return done


def verifying(house: Any, **changes: Any) -> Remediation:
    done = executed(house, house.run(**changes))
    now = house.clock.now()
    moved: Remediation = house.do(
        endings.begin_verifying, done.id, look_at=now + 60 * MINUTE, deadline=now + 600 * MINUTE
    )
    return moved


def measured(house: Any, *values: float | None) -> Measured:
    demands = load_preset("standard").tier(3).remediation
    now = house.clock.now()

    def windows(*values: float | None) -> list[Window]:
        return [Window(f"win_{i}", now, value, 4000) for i, value in enumerate(values)]

    return measure(
        Metric("false_positive_rate"),
        before=windows(0.01, 0.01),
        during=windows(0.3),
        after=windows(*values),
        demands=demands.recovery,
        triggers=demands.rollback_triggers,
    )


def conclude(house: Any, remedy: Remediation, found: Measured) -> Remediation:
    moved: Remediation = house.do(
        endings.conclude,
        remedy.id,
        found,
        look_at=house.clock.now() + 60 * MINUTE,
        patience=LEASE,
    )
    return moved


def test_the_whole_way_to_measured_recovery(house: Any) -> None:
    remedy = verifying(house)
    waiting = conclude(house, remedy, measured(house, 0.3))
    assert (waiting.phase, waiting.due_at) == (Phase.VERIFYING, house.clock.now() + 60 * MINUTE)
    ended = conclude(house, remedy, measured(house, 0.3, 0.011))
    assert ended.phase is Phase.SUCCEEDED
    assert ended.measured_recovery is not None
    assert ended.measured_recovery["after"] == 0.011
    assert ended.deadline is None
    assert [k for k in house.kinds() if k.startswith(("remediation", "action_permit"))] == [
        "remediation.proposed",
        "action_permit.issued",
        "remediation.permitted",
        "action_permit.consumed",
        "remediation.started",
        "remediation.executed",
        "remediation.verifying",
        "remediation.verifying",
        "remediation.recovered",
    ]


def test_every_verb_twice_changes_nothing(house: Any) -> None:
    proposed = house.propose()
    assert house.propose() == proposed
    answer = house.ask(proposed)
    for _ in range(2):
        permitted = house.do(service.record_decision, answer, trusted=house.trusted)
    started = house.started(permitted)
    assert house.started(permitted) == started
    done = executed(house, started)
    assert executed(house, started) == done
    before = len(house.kinds())
    look_at, deadline = house.clock.now() + MINUTE, house.clock.now() + LEASE
    for _ in range(2):
        moved = house.do(endings.begin_verifying, done.id, look_at=look_at, deadline=deadline)
    assert conclude(house, moved, measured(house)) == conclude(house, moved, measured(house))
    ended = conclude(house, moved, measured(house, 0.01))
    assert conclude(house, moved, measured(house, 0.3)) == ended
    assert len(house.kinds()) == before + 3


@pytest.mark.parametrize("fence", [0, 2])
def test_an_older_fence_is_refused(house: Any, fence: int) -> None:
    remedy = house.run()
    with pytest.raises(Conflict, match="not the one in force"):
        house.do(service.executed, remedy.id, fence=fence, result={}, patience=LEASE)
    with pytest.raises(Conflict, match="not the one in force"):
        house.do(service.heartbeat, remedy.id, fence=fence, lease=LEASE)


def test_fences_grow_with_every_start(house: Any) -> None:
    fences = []
    for _ in range(3):
        remedy = house.run()
        fences.append(remedy.fence)
        house.settle(remedy)
        house.step(5)
    assert fences == [1, 2, 3]
    with house.records.look() as reading:
        assert [r.attempt for r in store.of_incident(reading, remedy.incident)] == [1, 2, 3]


def test_heartbeats_extend_the_lease_and_are_few(house: Any) -> None:
    remedy = house.run()
    for _ in range(4):
        house.step(1)
        remedy = house.do(service.heartbeat, remedy.id, fence=1, lease=LEASE)
    assert house.kinds().count("remediation.heartbeat") == 0
    house.step(1)
    remedy = house.do(service.heartbeat, remedy.id, fence=1, lease=LEASE)
    assert remedy.deadline == house.clock.now() + LEASE
    assert house.kinds().count("remediation.heartbeat") == 1


def test_stuck_ends_itself_in_every_phase(house: Any) -> None:
    def late(remedy: Remediation) -> Remediation:
        assert house.do(endings.expire, remedy.id, patience=LEASE) == remedy
        house.clock.step_to(remedy.deadline)
        with house.records.look() as reading:
            assert store.due(reading, reading.now) == [remedy.id]
        ended: Remediation = house.do(endings.expire, remedy.id, patience=LEASE)
        return ended

    assert late(house.propose()).phase is Phase.ABORTED
    assert late(house.decided(house.propose())).phase is Phase.ABORTED
    failed = late(house.run())
    assert (failed.phase, failed.reason) == (Phase.FAILED, "it stopped answering")
    with pytest.raises(InvalidMove):
        house.do(service.executed, failed.id, fence=1, result={}, patience=LEASE)
    assert late(failed).phase is Phase.ESCALATED
    house.step(5)
    unwatched = late(executed(house, house.run()))
    assert (unwatched.phase, unwatched.reason) == (Phase.FAILED, "nobody measured it")
    house.do(endings.escalate, unwatched.id, "a person")
    house.step(5)
    unmeasured = verifying(house)
    house.clock.step_to(unmeasured.deadline)
    ended = house.do(endings.expire, unmeasured.id, patience=LEASE)
    assert (ended.phase, ended.reason) == (
        Phase.ESCALATED,
        "recovery could not be measured in time",
    )
    with house.records.look() as reading:
        assert store.next_due(reading) is None


def test_a_look_that_is_due_is_not_a_deadline(house: Any) -> None:
    remedy = verifying(house)
    house.clock.step_to(remedy.due_at)
    assert house.do(endings.expire, remedy.id, patience=LEASE) == remedy


def test_no_effect_is_recorded_and_handed_on(house: Any) -> None:
    remedy = conclude(house, verifying(house), measured(house, *[0.3] * 7))
    assert remedy.phase is Phase.NO_EFFECT
    assert house.do(endings.escalate, remedy.id, "a person").phase is Phase.ESCALATED


def test_what_nobody_could_measure_goes_to_a_person(house: Any) -> None:
    remedy = conclude(house, verifying(house), measured(house, *[None] * 7))
    assert remedy.phase is Phase.ESCALATED


def test_what_made_it_worse_is_undone(house: Any) -> None:
    remedy = conclude(house, verifying(house), measured(house, 0.5))
    assert remedy.phase is Phase.FAILED
    assert house.refusals(house.propose()) >= {"in_flight"}
    for _ in range(2):
        undone = house.do(endings.compensate, remedy.id, {"stable": "1.1.0"})
        assert undone.phase is Phase.COMPENSATED
    assert house.kinds()[-1] == "remediation.compensated"


def test_what_has_no_inverse_is_not_undone(house: Any) -> None:
    remedy = house.run(action=ActionName.NOTIFY_TEAM, args=house.notify)
    house.do(endings.fail, remedy.id, "the mail server refused", patience=LEASE)
    with pytest.raises(PolicyRefused, match="cannot be undone"):
        house.do(endings.compensate, remedy.id, {})
    assert house.do(endings.escalate, remedy.id, "call them").phase is Phase.ESCALATED


def test_telling_somebody_is_proved_by_a_receipt(house: Any) -> None:
    remedy = verifying(house, action=ActionName.NOTIFY_TEAM, args=house.notify)
    with pytest.raises(InvalidInput, match="not verified by recovery"):
        conclude(house, remedy, measured(house, 0.01))
    with pytest.raises(InvalidInput, match="proves nothing"):
        house.do(endings.confirm_receipt, remedy.id, {})
    told = house.do(endings.confirm_receipt, remedy.id, {"inbox": "7"})
    assert told.phase is Phase.SUCCEEDED
    rollback = verifying(house)
    with pytest.raises(InvalidInput, match="not verified by receipt"):
        house.do(endings.confirm_receipt, rollback.id, {"inbox": "7"})


def test_a_challenger_that_was_not_better_is_no_effect(house: Any) -> None:
    remedy = verifying(house)
    ended = house.do(endings.without_effect, remedy.id, "the champion was kept")
    assert ended.phase is Phase.NO_EFFECT


@pytest.mark.parametrize("stage", ["proposed", "permitted", "executing", "verifying"])
def test_an_abort_is_possible_and_audited_everywhere(house: Any, stage: str) -> None:
    remedy = house.propose()
    if stage != "proposed":
        remedy = house.decided(remedy)
    if stage == "executing":
        remedy = house.started(remedy)
    if stage == "verifying":
        house.settle(remedy)
        remedy = verifying(house)
    for _ in range(2):
        assert house.settle(remedy).phase is Phase.ABORTED
    assert house.kinds()[-1] == "remediation.aborted"
    assert house.kinds().count("remediation.aborted") == (2 if stage == "verifying" else 1)
    with pytest.raises(InvalidMove):
        house.started(remedy)


def test_automatic_is_what_no_person_asked_for(house: Any) -> None:
    from trimtab.kernel.actor import Actor, ActorKind

    owned = Actor("svc_1", ActorKind.SERVICE, None, frozenset(), "script", "per_x")
    assert [
        house.propose(actor, confidence=c).automatic
        for actor, c in ((house.repair, 0.1), (owned, 0.2))
    ] == [True, True]
    assert not house.propose(house.person, incident=IncidentId("inc-2015-03-03-005")).automatic


@pytest.mark.parametrize("confidence", [float("nan"), -0.1, 1.5])
def test_a_confidence_that_is_none(house: Any, confidence: float) -> None:
    with pytest.raises(InvalidInput):
        house.propose(confidence=confidence)


def test_kill_switches_are_set_by_anybody_and_cleared_by_people(house: Any) -> None:
    first = house.do(kill_switches.engage, Scope.FLEET)
    assert house.do(kill_switches.engage, Scope.FLEET) == first
    with pytest.raises(NotPermitted):
        house.do(kill_switches.clear, Scope.FLEET)
    cleared = house.do(kill_switches.clear, Scope.FLEET, actor=house.person)
    assert house.do(kill_switches.clear, Scope.FLEET, actor=house.person) == cleared
    assert house.do(kill_switches.clear, Scope.TENANT, "UA", actor=house.person) is None
    assert house.do(kill_switches.engage, Scope.FLEET).set
    for scope, name in ((Scope.FLEET, "x"), (Scope.MODEL, ""), (Scope.TENANT, "")):
        with pytest.raises(InvalidInput):
            house.do(kill_switches.engage, scope, name)
    assert [k for k in house.kinds() if k.startswith("kill_switch")] == [
        "kill_switch.set",
        "kill_switch.cleared",
        "kill_switch.set",
    ]


def test_rows_come_back_as_they_were(house: Any) -> None:
    remedy = verifying(house)
    with house.records.look() as reading:
        assert store.get(reading, remedy.id) == remedy
        assert store.listed(reading, model="air-time") == [remedy]
        assert store.listed(reading, before=remedy.id) == []
        assert store.of_incident(reading, remedy.incident) == [remedy]
        permit = store.permit_by_id(reading, remedy.permit or "")
    assert permit.consumed_at == remedy.started_at
    assert key_id(house.key.public_key()) in house.trusted
    assert replace(remedy) == remedy
