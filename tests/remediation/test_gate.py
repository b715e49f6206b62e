"""The gate over a real database: what it reads by itself, and every way round that is none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trimtab.kernel.errors import IntegrityFailed, InvalidInput, NotFound
from trimtab.kernel.ids import IncidentId, TenantId
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.registry import service as registry
from trimtab.registry import store as registry_store
from trimtab.registry.model import Lifecycle
from trimtab.remediation import gate, kill_switches, service, store
from trimtab.remediation.causes import Cause
from trimtab.remediation.guards import Answer
from trimtab.remediation.model import Phase
from trimtab.remediation.switches import Scope

RETRAIN = {"champion_version": "1.1.0", "champion_digest": "sha256:" + "b" * 64}
COOLDOWN = 5.0
OTHER_INCIDENT = IncidentId("inc-2015-03-03-002")


def test_it_permits_what_keeps_every_limit(house: Any) -> None:
    answer = house.ask(house.propose())
    assert answer.permitted
    assert {check["name"] for check in answer.shown["checks"]} == {
        "target",
        "policy",
        "kill_switch",
        "in_flight",
        "cooldown",
        "actions_per_day",
        "retries",
        "cause",
        "cores",
        "memory",
        "automatic",
        "stable",
        "predecessor",
    }


@pytest.mark.parametrize(
    "extra",
    [
        {"safety_check": False},
        {"safety_check": "false"},
        {"now": "2030-01-01T00:00:00Z"},
        {"force": True},
        {"checks": []},
        {"predecessor": "1.0.0"},
        {"policy": "lax"},
    ],
)
def test_a_question_takes_nothing_else(house: Any, extra: dict[str, Any]) -> None:
    proposed = house.propose()
    line = json.dumps({"nonce": "n", "remediation": proposed.id} | extra).encode()
    with pytest.raises(InvalidInput) as refused:
        gate.question(line)
    assert refused.value.field == next(iter(extra))
    assert "no check of the gate can be switched off" in str(refused.value.remedy)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b'{"nonce": "n"}',
        b'{"nonce": 1, "remediation": "rem_1"}',
        b'{"nonce": "n", "remediation": null}',
        b'{"nonce": "n", "remediation": "a", "remediation": "b"}',
        b'{"nonce": "n", "remediation": "' + b"x" * 5000 + b'"}',
        b"\xff",
    ],
)
def test_what_is_no_question_is_not_answered(line: bytes) -> None:
    with pytest.raises((InvalidInput, IntegrityFailed)):
        gate.question(line)


def test_what_was_decided_is_not_decided_again(house: Any) -> None:
    permitted = house.decided(house.propose())
    line = json.dumps({"nonce": "n", "remediation": permitted.id}).encode()
    told = gate.answer(line, house.database, gate.policies_in(None), house.key)
    assert told["error"]["code"] == "conflict"
    assert "permit" not in told


def test_a_permit_is_for_the_row_as_it_is(house: Any) -> None:
    with pytest.raises(AssertionError, match="not_found"):
        house.ask(replace(house.propose(), id="rem_none"))


def test_the_versions_are_those_of_the_registry(house: Any) -> None:
    for args in (
        {"to_digest": "sha256:" + "c" * 64},
        {"to_version": "0.9.0"},
    ):
        proposed = house.propose(args=house.rollback | args)
        assert house.refusals(proposed) == {"predecessor"}
    for args in ({"from_version": "1.0.0"}, {"from_digest": "sha256:" + "a" * 64}):
        proposed = house.propose(args=house.rollback | args)
        assert house.refusals(proposed) == {"stable"}


def test_a_predecessor_that_may_not_carry_traffic_is_none(house: Any) -> None:
    with house.records.look() as reading:
        version = registry_store.find_version(reading, "air-time", "1.0.0")
    assert version is not None
    house.do(registry.move_version, version.id, Lifecycle.QUARANTINED, why="bytes differ")
    assert house.refusals(house.propose()) == {"predecessor"}


def test_a_predecessor_with_other_bytes_than_registered_is_none(house: Any) -> None:
    """Somebody writes another digest into the deployment, and asks for just that one."""
    with house.database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE deployments SET digest = 'sha256:{'c' * 64}' WHERE version = '1.0.0'"
        )
    proposed = house.propose(args=house.rollback | {"to_digest": "sha256:" + "c" * 64})
    assert house.refusals(proposed) == {"predecessor"}


def test_another_place_has_another_stable_version(house: Any) -> None:
    for change in ({"tenant": TenantId("UA")}, {"environment": "staging"}):
        assert house.refusals(house.propose(**change)) == {"stable", "predecessor"}


def test_a_model_that_nobody_registered(house: Any) -> None:
    with pytest.raises(AssertionError, match="not_found"):
        house.ask(house.propose(model="air-time-alias"))


def test_a_policy_that_changed_since(house: Any) -> None:
    proposed = house.propose(policy_digest="sha256:" + "0" * 64)
    assert house.refusals(proposed) == {"policy"}


def test_the_tier_is_the_registrys(tier_one: Any) -> None:
    assert tier_one.refusals(tier_one.propose(confidence=0.94)) == {"automatic"}
    assert tier_one.ask(tier_one.propose(confidence=0.96)).shown["tier"] == 1


def test_training_on_a_broken_feed_is_refused_whoever_asks(house: Any) -> None:
    for actor in (house.repair, house.person):
        proposed = house.propose(
            actor,
            action=ActionName.RETRAIN_MODEL,
            args=RETRAIN,
            cause=Cause.DATA_QUALITY_FAULT,
        )
        assert house.refusals(proposed) == {"cause"}
        house.decided(proposed)


def test_cooldown_to_the_minute(house: Any) -> None:
    house.settle(house.run())
    house.step(COOLDOWN - 0.01)
    early = house.propose(incident=OTHER_INCIDENT)
    assert house.refusals(early) == {"cooldown"}
    house.decided(early)
    house.step(0.01)
    assert house.ask(house.propose(incident=OTHER_INCIDENT)).permitted


def test_the_cooldown_counts_from_the_end_of_the_action_too(house: Any) -> None:
    running = house.run()
    house.step(8)
    house.do(service.executed, running.id, fence=1, result={}, patience=timedelta(minutes=9))
    house.settle(running)
    house.step(COOLDOWN - 0.01)
    assert house.refusals(house.propose()) == {"cooldown"}


def test_no_other_name_and_no_other_incident_ends_a_cooldown(house: Any) -> None:
    house.settle(house.run())
    dodges: list[dict[str, Any]] = [
        {"incident": OTHER_INCIDENT},
        {"action": ActionName.RETRAIN_MODEL, "args": RETRAIN, "cause": Cause.CONCEPT_SHIFT},
    ]
    for change in dodges:
        assert "cooldown" in house.refusals(house.propose(**change))
    for alias in ("", "*", "UA/x"):
        with pytest.raises(InvalidInput):
            house.propose(tenant=TenantId(alias))


def test_a_target_under_another_name_is_refused(house: Any) -> None:
    """Somebody writes a row with a target of their own into the database."""
    house.settle(house.run())
    proposed = house.propose()
    with house.database.engine.begin() as connection:
        connection.execute(
            store.REMEDIATIONS.update()
            .where(store.REMEDIATIONS.c.id == proposed.id)
            .values(target="air-time/fleet/production")
        )
    assert house.refusals(proposed) == {"target"}


def test_a_clock_set_back_ends_no_cooldown(house: Any) -> None:
    from trimtab.audit.work import Records
    from trimtab.kernel.clock import SteppedClock

    house.settle(house.run())
    for days in (-30, -1, 0):
        house.records = Records(
            house.database, SteppedClock(house.clock.now() + timedelta(days=days))
        )
        proposed = house.propose()
        assert "cooldown" in house.refusals(proposed)
        house.decided(proposed)


def test_abort_and_run_again_counts(house: Any) -> None:
    limit = load_preset("standard").tier(3).remediation.max_retries + 1
    for _ in range(limit):
        house.settle(house.run())
        house.step(COOLDOWN)
    assert house.refusals(house.propose()) == {"retries"}
    last = house.propose(incident=OTHER_INCIDENT)
    assert house.ask(last).permitted


def test_the_day_is_full(house: Any) -> None:
    limit = load_preset("standard").tier(3).remediation.max_actions_per_day
    for number in range(limit):
        house.settle(house.run(incident=IncidentId(f"inc-2015-03-03-{number:03}")))
        house.step(COOLDOWN)
    proposed = house.propose()
    assert house.refusals(proposed) == {"actions_per_day"}
    house.decided(proposed)
    house.step(24 * 60 - limit * COOLDOWN)
    assert house.ask(house.propose()).permitted


def test_what_was_refused_or_only_permitted_starts_no_cooldown(house: Any) -> None:
    house.decided(house.propose(confidence=0.1))
    house.settle(house.decided(house.propose()))
    assert house.ask(house.propose()).permitted


def test_one_in_flight(house: Any) -> None:
    first = house.decided(house.propose())
    assert house.refusals(house.propose(incident=OTHER_INCIDENT)) == {"in_flight"}
    assert house.ask(house.propose(action=ActionName.NOTIFY_TEAM, args=house.notify)).permitted
    house.settle(first)
    assert house.ask(house.propose(incident=OTHER_INCIDENT)).permitted


@pytest.mark.parametrize(
    ("scope", "name", "stops"),
    [
        (Scope.FLEET, "", True),
        (Scope.MODEL, "air-time", True),
        (Scope.MODEL, "homes", False),
        (Scope.TENANT, "UA", False),
    ],
)
def test_kill_switches(house: Any, scope: Scope, name: str, stops: bool) -> None:
    house.do(kill_switches.engage, scope, name)
    proposed = house.propose()
    assert house.refusals(proposed) == ({"kill_switch"} if stops else set())
    house.do(kill_switches.clear, scope, name, actor=house.person)
    assert house.ask(proposed).permitted


def test_policies_from_a_folder(house: Any, tmp_path: Path) -> None:
    text = load_preset("standard").text.replace("cooldown_minutes: 5", "cooldown_minutes: 50")
    (tmp_path / "house.yaml").write_text(text)
    find = gate.policies_in(tmp_path)
    assert find("house").tier(3).remediation.cooldown_minutes == 50
    assert find("standard") is load_preset("standard")
    for name in ("none", "../house", "/etc/passwd", "house.yaml"):
        with pytest.raises(NotFound):
            find(name)
    with pytest.raises(NotFound):
        gate.policies_in(None)("house")


def test_a_refusal_stands_on_record_with_every_check(house: Any) -> None:
    refused = house.decided(house.propose(confidence=0.5, args=house.rollback))
    assert refused.phase is Phase.REFUSED
    assert "50% sure" in refused.reason
    assert [c["name"] for c in refused.gate["checks"] if not c["passed"]] == ["automatic"]
    assert house.kinds()[-1] == "remediation.refused"


def test_an_answer_is_not_believed_without_its_seal(house: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    proposed = house.propose()
    honest = house.ask(proposed)
    house.key, kept = Ed25519PrivateKey.generate(), house.key
    forged = house.ask(proposed)
    house.key = kept
    for answer in (forged, Answer(proposed.id, True, "", "{}", {})):
        with pytest.raises(IntegrityFailed):
            house.do(service.record_decision, answer, trusted=house.trusted)
    assert house.get(proposed).phase is Phase.PROPOSED
    allowed = house.do(service.record_decision, honest, trusted=house.trusted)
    assert allowed.phase is Phase.PERMITTED


def test_the_permit_of_another_remedy_is_refused(house: Any) -> None:
    first, second = house.propose(), house.propose(incident=OTHER_INCIDENT)
    crossed = replace(house.ask(first), remediation=second.id)
    with pytest.raises(IntegrityFailed, match="something else"):
        house.do(service.record_decision, crossed, trusted=house.trusted)
