"""Every limit of the gate, driven just below and just above."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.ids import TenantId
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import ActionName
from trimtab.remediation.actions import ACTIONS
from trimtab.remediation.causes import Cause
from trimtab.remediation.guards import Carried, Facts, Limits, Machine, judge
from trimtab.remediation.resources import measure
from trimtab.remediation.switches import Scope, Switch, stopping

NOW = datetime(2015, 5, 12, 12, tzinfo=UTC)
TIER = load_preset("standard").tier(3)
LIMITS = Limits(TIER.remediation, TIER.diagnosis, TIER.retraining)
OLD, NEW = Carried("1.0.0", "sha256:a"), Carried("1.1.0", "sha256:b")
ROLLBACK = Facts(
    now=NOW,
    action=ACTIONS[ActionName.ROLLBACK_MODEL],
    args={
        "from_version": "1.1.0",
        "from_digest": "sha256:b",
        "to_version": "1.0.0",
        "to_digest": "sha256:a",
    },
    target="air-time/*/production",
    expected_target="air-time/*/production",
    tier=3,
    automatic=True,
    cause=Cause.BAD_RELEASE,
    confidence=0.97,
    named_policy_digest="sha256:p",
    policy_digest="sha256:p",
    last_acted_at=None,
    acted_in_day=0,
    attempts_started=0,
    in_flight=None,
    switches=(),
    stable=NEW,
    predecessor=OLD,
    machine=Machine(cores=2, memory_mib=16_000),
)
RETRAIN = replace(
    ROLLBACK,
    action=ACTIONS[ActionName.RETRAIN_MODEL],
    args={"champion_version": "1.1.0", "champion_digest": "sha256:b"},
    cause=Cause.POPULATION_CHANGE,
)
NOTIFY = replace(
    ROLLBACK,
    action=ACTIONS[ActionName.NOTIFY_TEAM],
    args={"team": "a", "summary": "b"},
    stable=None,
    predecessor=None,
)


def refused(facts: Facts, limits: Limits = LIMITS) -> list[str]:
    return [check.name for check in judge(facts, limits) if not check.passed]


def test_sound_facts_pass_every_check() -> None:
    for facts in (ROLLBACK, RETRAIN, NOTIFY):
        assert refused(facts) == []
        assert all(check.reason for check in judge(facts, LIMITS))


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("target", {}, {"target": "air-time//production"}),
        ("policy", {}, {"named_policy_digest": "sha256:q"}),
        ("kill_switch", {}, {"switches": ("fleet",)}),
        ("in_flight", {}, {"in_flight": "rem_2"}),
        (
            "cooldown",
            {"last_acted_at": NOW - timedelta(minutes=5)},
            {"last_acted_at": NOW - timedelta(minutes=5) + timedelta(microseconds=1)},
        ),
        ("cooldown", {}, {"last_acted_at": NOW + timedelta(days=1)}),
        ("actions_per_day", {"acted_in_day": 5}, {"acted_in_day": 6}),
        ("retries", {"attempts_started": 3}, {"attempts_started": 4}),
        ("automatic", {"confidence": 0.8}, {"confidence": math.nextafter(0.8, 0)}),
        ("automatic", {}, {"confidence": None}),
        ("automatic", {}, {"confidence": math.nan}),
        ("automatic", {}, {"cause": None}),
        ("automatic", {}, {"cause": Cause.NONE_FOUND}),
        ("stable", {}, {"stable": None}),
        ("stable", {}, {"stable": Carried("1.1.0", "sha256:c")}),
        ("stable", {}, {"stable": Carried("1.2.0", "sha256:b")}),
        ("predecessor", {}, {"predecessor": None}),
        ("predecessor", {}, {"predecessor": Carried("0.9.0", "sha256:a")}),
        ("predecessor", {}, {"predecessor": Carried("1.0.0", "sha256:z")}),
        ("cores", {"machine": Machine(1, 100)}, {"machine": Machine(0, 100)}),
        ("cores", {}, {"machine": Machine(None, 100)}),
        ("memory", {"machine": Machine(1, 0)}, {"machine": Machine(1, None)}),
    ],
)
def test_a_limit_from_both_sides(name: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert refused(replace(ROLLBACK, **good)) == []
    assert refused(replace(ROLLBACK, **bad)) == [name]


def test_training_needs_the_memory_that_it_may_take() -> None:
    needed = LIMITS.retraining.max_memory_mib
    assert refused(replace(RETRAIN, machine=Machine(2, needed))) == []
    assert refused(replace(RETRAIN, machine=Machine(2, needed - 1))) == ["memory"]
    small = Limits(
        LIMITS.remediation.model_copy(update={"max_memory_gib": 3}),
        LIMITS.diagnosis,
        LIMITS.retraining,
    )
    assert refused(RETRAIN, small) == ["memory"]


def test_nobody_trains_on_a_broken_feed() -> None:
    for automatic in (True, False):
        facts = replace(RETRAIN, cause=Cause.DATA_QUALITY_FAULT, automatic=automatic)
        assert "cause" in refused(facts)


def test_a_person_may_ask_for_what_is_not_automatic_but_for_no_more() -> None:
    unsure = replace(ROLLBACK, automatic=False, confidence=None, cause=None)
    assert refused(unsure) == []
    assert refused(replace(unsure, in_flight="rem_2")) == ["in_flight"]


def test_what_cannot_be_undone_is_not_automatic_in_the_high_tiers() -> None:
    lax = Limits(
        LIMITS.remediation.model_copy(update={"automatic_actions": tuple(ActionName)}),
        LIMITS.diagnosis,
        LIMITS.retraining,
    )
    assert [refused(replace(RETRAIN, tier=tier), lax) for tier in (1, 2, 3)] == [
        ["automatic"],
        ["automatic"],
        [],
    ]


def test_people_are_told_even_when_everything_is_stopped() -> None:
    assert refused(replace(NOTIFY, switches=("fleet",), confidence=None, cause=None)) == []


def test_all_reasons_are_given_at_once() -> None:
    bad = replace(ROLLBACK, in_flight="rem_2", acted_in_day=99, confidence=0.1)
    assert refused(bad) == ["in_flight", "actions_per_day", "automatic"]


@given(st.timedeltas(timedelta(-400), timedelta(400)))
def test_no_clock_shortens_the_cooldown(passed: timedelta) -> None:
    facts = replace(ROLLBACK, last_acted_at=NOW - passed)
    assert (refused(facts) == []) is (passed >= timedelta(minutes=5))


def switch(scope: Scope, name: str, on: bool = True) -> Switch:
    return Switch("ksw_1", scope, name, on, "", "", NOW)


def test_which_switch_stops_what() -> None:
    everything = [
        switch(Scope.FLEET, "", on=False),
        switch(Scope.MODEL, "air-time"),
        switch(Scope.MODEL, "homes"),
        switch(Scope.TENANT, "UA"),
    ]
    assert stopping(everything, model="air-time", tenant=None) == ("model air-time",)
    assert stopping(everything, model="other", tenant=TenantId("UA")) == ("tenant UA",)
    assert stopping(everything, model="other", tenant=TenantId("WN")) == ()
    assert stopping([switch(Scope.FLEET, "")], model="x", tenant=None) == ("fleet",)


def test_memory_is_the_least_of_machine_and_group(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable: 2097152 kB\n")
    assert measure(meminfo, tmp_path).memory_mib == 2048
    (tmp_path / "memory.max").write_text("max\n")
    assert measure(meminfo, tmp_path).memory_mib == 2048
    (tmp_path / "memory.max").write_text(str(1000 << 20))
    (tmp_path / "memory.current").write_text(str(900 << 20))
    assert measure(meminfo, tmp_path).memory_mib == 100
    (tmp_path / "memory.current").write_text("what")
    assert measure(meminfo, tmp_path).memory_mib is None
    assert measure(tmp_path / "none", tmp_path).memory_mib is None
    assert measure().cores
