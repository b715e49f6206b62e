"""The presets hold the numbers that they promise."""

from __future__ import annotations

import hashlib
from importlib import resources
from itertools import combinations
from typing import Any

import pytest

from trimtab.kernel.errors import NotFound
from trimtab.policies.admission import Approvals, ApprovalStep, CheckName, Environment
from trimtab.policies.loader import load_preset, preset_names
from trimtab.policies.model import Policy, Tier, TierPolicy
from trimtab.policies.monotone import asks_enough
from trimtab.policies.operation import ActionName, OnTie
from trimtab.policies.schema import keys, value_at
from trimtab.policies.units import Direction

TIERED_BY_TIER: dict[str, tuple[float, float, float]] = {
    # drift detection and retraining triggers: tiers 1, 2, 3
    "monitoring.triggers.accuracy_decay_percent_points": (0.5, 1.0, 2.0),
    "monitoring.triggers.precision_decay_percent_points": (0.5, 1.0, 2.0),
    "monitoring.triggers.recall_decay_percent_points": (1.0, 2.0, 3.0),
    "monitoring.triggers.data_psi_nats": (0.05, 0.10, 0.15),
    "monitoring.triggers.concept_psi_nats": (0.03, 0.05, 0.10),
    "monitoring.triggers.null_rate_increase_share": (0.003, 0.005, 0.010),
    "monitoring.triggers.brier_increase": (0.005, 0.010, 0.020),
    "retraining.new_rows": (50_000, 100_000, 250_000),
    "retraining.every_days": (7, 14, 30),  # weekly, bi-weekly, monthly
    # cadence: hourly, daily and weekly drift; 15-minute, hourly and daily performance
    "monitoring.drift_every_minutes": (60, 24 * 60, 7 * 24 * 60),
    "monitoring.performance_every_minutes": (15, 60, 24 * 60),
}

TIERED_EVERYWHERE: dict[str, Any] = {
    "checks.performance.max_regression_percent_points": 1.0,
    "checks.performance.max_p_value_share": 0.05,
    "rollout.steps_percent": (10.0, 25.0, 50.0, 100.0),
    "rollout.max_error_rate": 0.005,
    "rollout.max_accuracy_drop_percent_points": 0.5,
    "monitoring.max_null_rate_increase_share": 0.005,
    "approvals.auto_approve.min_retrained_gain_percent_points": 1.0,
    "retraining.validation_share": 0.20,
    "retraining.max_null_rate": 0.01,
    "retraining.max_p_value_share": 0.05,
    "retraining.min_gain_percent_points": 0.0,
    "retraining.on_tie": OnTie.KEEP_CHAMPION,
}

SHARED_EVERYWHERE: dict[str, Any] = {
    "rollout.max_false_positive_rate": 0.05,
    "rollout.max_ratio_to_active": 2.0,
    "rollout.look_interval_minutes": 30,
    "monitoring.max_false_positive_rate": 0.05,
    "monitoring.psi_bands.low_nats": 0.10,
    "monitoring.psi_bands.medium_nats": 0.25,
    "monitoring.psi_bands.high_nats": 0.50,
    "approvals.auto_approve.max_metric_change_percent": 5.0,
    "approvals.auto_approve.max_traffic_percent": 10.0,
    "monitoring.effects_global.ks_d": 0.20,
    "monitoring.effects_global.wasserstein_scaled": 0.45,
    "monitoring.effects_global.psi_nats": 0.25,
    "monitoring.effects_tenant.ks_d": 0.26,
    "monitoring.effects_tenant.wasserstein_scaled": 0.75,
    "monitoring.effects_tenant.psi_nats": 0.40,
    "remediation.max_retries": 3,
    "remediation.cooldown_minutes": 5,
    "remediation.max_cpu_cores": 4,
    "remediation.max_memory_gib": 8,
    "remediation.rollback_triggers.error_rate_increase": 0.20,
    "remediation.rollback_triggers.latency_increase": 0.50,
    "retraining.max_false_positive_rate": 0.02,
}


def at(policy: Policy, tier: Tier | int, key: str) -> Any:
    return value_at(policy.tier(tier), tuple(key.split(".")))


def signatures(approvals: Approvals) -> list[tuple[str, int]]:
    return [(step.role, step.people) for step in approvals.steps]


def test_two_presets_come_with_the_package() -> None:
    assert preset_names() == ("standard", "tiered")


@pytest.mark.parametrize("name", ["standard", "tiered"])
def test_a_preset_has_its_file_name_and_the_digest_of_its_exact_bytes(name: str) -> None:
    policy = load_preset(name)
    exact = (resources.files("trimtab.policies") / "presets" / f"{name}.yaml").read_bytes()
    assert policy.name == name
    assert policy.digest == "sha256:" + hashlib.sha256(exact).hexdigest()
    assert policy.text.encode() == exact


@pytest.mark.parametrize("key", TIERED_BY_TIER)
def test_tiered_has_its_number_in_each_tier(key: str) -> None:
    policy = load_preset("tiered")
    assert tuple(at(policy, tier, key) for tier in (1, 2, 3)) == TIERED_BY_TIER[key]


@pytest.mark.parametrize("key", TIERED_EVERYWHERE)
@pytest.mark.parametrize("tier", [1, 2, 3])
def test_tiered_has_its_number_in_every_tier(tier: int, key: str) -> None:
    assert at(load_preset("tiered"), tier, key) == TIERED_EVERYWHERE[key]


@pytest.mark.parametrize("key", SHARED_EVERYWHERE)
@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("name", ["standard", "tiered"])
def test_the_shared_numbers_stand_in_every_tier(name: str, tier: Tier, key: str) -> None:
    assert at(load_preset(name), tier, key) == SHARED_EVERYWHERE[key]


def test_tiered_asks_people_to_sign_in_every_tier_that_reaches_production() -> None:
    policy = load_preset("tiered")
    assert [policy.tier(t).approvals.auto_approve.allowed for t in (1, 2, 3)] == [False] * 3
    assert signatures(policy.tier(1).approvals) == [
        ("ml_review_board", 4),
        ("compliance", 1),
        ("legal", 1),
        ("business_owner", 1),
    ]
    assert signatures(policy.tier(2).approvals) == [("ml_lead", 1), ("business_owner", 1)]
    assert signatures(policy.tier(3).approvals) == [("peer_reviewer", 1), ("ml_engineer", 1)]


def test_tier_4_stays_out_of_production_and_ends_after_90_days() -> None:
    for name in preset_names():
        demands = load_preset(name).tier(4)
        assert Environment.PRODUCTION not in demands.rollout.environments
        assert demands.approvals.expires_days == 90


def test_standard_approves_low_risk_without_a_person_and_high_risk_as_tiered_does() -> None:
    standard, tiered = load_preset("standard"), load_preset("tiered")
    allowed = [standard.tier(tier).approvals.auto_approve.allowed for tier in Tier]
    assert allowed == [False, False, True, True]
    for tier in (1, 2):
        theirs = signatures(tiered.tier(tier).approvals)
        assert signatures(standard.tier(tier).approvals) == theirs
    assert all(
        standard.tier(t).approvals.auto_approve.first_deployment_needs_person for t in (1, 2, 3)
    )


@pytest.mark.parametrize("tier", Tier)
def test_no_threshold_of_another_preset_is_stricter_than_that_of_standard(tier: Tier) -> None:
    standard = load_preset("standard").tier(tier)
    for name in preset_names():
        other = load_preset(name).tier(tier)
        for key in keys(TierPolicy):
            if key.path[0] == "approvals":  # who signs is chosen on purpose, not the strictest
                continue
            ours, theirs = value_at(standard, key.path), value_at(other, key.path)
            assert asks_enough(key.direction, ours, theirs), f"{name}: {key.name}"


def test_all_checks_are_required_of_every_tier() -> None:
    for name in preset_names():
        for tier in Tier:
            assert set(load_preset(name).tier(tier).checks.required) == set(CheckName)


def test_what_has_no_inverse_is_not_automatic_above_tier_3() -> None:
    for name in preset_names():
        for tier in (1, 2):
            automatic = load_preset(name).tier(tier).remediation.automatic_actions
            assert ActionName.RETRAIN_MODEL not in automatic
        for tier in Tier:
            automatic = load_preset(name).tier(tier).remediation.automatic_actions
            assert ActionName.UPDATE_THRESHOLDS not in automatic


def test_any_two_detectors_confirm_drift_and_one_alone_never_does() -> None:
    quorum = load_preset("standard").tier(2).monitoring.quorum
    names = [detector.name for detector in quorum.detectors]
    assert all(quorum.votes([one]) < quorum.min_votes for one in names)
    assert all(quorum.votes([a, b]) >= quorum.min_votes for a, b in combinations(names, 2))
    assert quorum.votes([]) == 0


def test_a_second_witness_of_one_group_counts_less_than_one_of_another() -> None:
    quorum = load_preset("standard").tier(2).monitoring.quorum
    assert quorum.votes(["ks", "psi"]) == 1.5
    assert quorum.votes(["ks", "psi", "wasserstein"]) == 2
    assert quorum.votes(["ks", "adwin"]) == 2
    assert quorum.votes(["ks", "ks", "unheard_of"]) == 1


def test_one_trigger_suffices_under_tiered() -> None:
    quorum = load_preset("tiered").tier(1).monitoring.quorum
    assert quorum.votes(["psi"]) >= quorum.min_votes


def test_the_requester_is_excluded_and_no_key_says_otherwise() -> None:
    assert Approvals.excludes_requester is True
    assert not [key.name for key in keys(TierPolicy) if "exclude" in key.name]
    assert "excludes_requester" not in Approvals.model_fields


@pytest.mark.parametrize("name", ["", "nope", "../presets/tiered", "tiered.yaml", "x" * 10_000])
def test_an_unknown_preset_is_not_found_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        load_preset(name)
    assert caught.value.remedy == "The presets are standard, tiered."
    assert len(caught.value.message) < 200


def test_a_policy_cannot_be_changed() -> None:
    policy = load_preset("standard")
    with pytest.raises(ValueError, match="frozen"):
        policy.tier(1).rollout.max_error_rate = 0.4


def test_a_list_direction_is_used_by_steps_of_people() -> None:
    (steps,) = [key for key in keys(TierPolicy) if key.name == "approvals.steps"]
    assert steps.direction is Direction.PEOPLE
    assert asks_enough(steps.direction, (ApprovalStep(role="a", people=2),), ())


@pytest.mark.parametrize("tier", [0, 5, -1])
def test_there_are_four_tiers(tier: int) -> None:
    with pytest.raises(ValueError, match="not a valid Tier"):
        load_preset("standard").tier(tier)
