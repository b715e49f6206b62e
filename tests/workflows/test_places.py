"""Where the versions of a tier can go: nothing is asked, begun or permitted elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.workflows.handing_in import ACTOR, FACTS, MODEL
from tests.workflows.releasing import Plane

from trimtab.kernel.actor import system
from trimtab.kernel.errors import PolicyRefused
from trimtab.policies.loader import load_preset, preset_names
from trimtab.policies.model import Tier
from trimtab.policies.risk import EnvironmentCap, RiskFacts
from trimtab.registry import store
from trimtab.registry.model import Lifecycle
from trimtab.workflows import inventory, permits, release
from trimtab.workflows.parts import ENVIRONMENT, demand_place, policy_of

pytestmark = pytest.mark.slow

ORDINARY = replace(FACTS, annual_financial_impact_usd=0.0)
CAPPED = replace(ORDINARY, environment_cap=EnvironmentCap.NON_PRODUCTION)
WHY = "can enter development, staging, and not production"
LIST = "environments: [development, staging, production]"
SHORTER = "environments: [development, staging]"


def test_a_tier_that_stays_out_of_production_is_never_asked_for_and_says_so(plane: Plane) -> None:
    plane.register(facts=CAPPED)
    plane.hand_in("1.0.0")
    plane.settle(after=timedelta(days=1))
    version = plane.version("1.0.0")
    assert version.lifecycle is Lifecycle.STAGING
    assert version.held_because is not None
    assert WHY in version.held_because
    assert "register it under another name" in version.held_because
    assert plane.requests("1.0.0") == []
    (held,) = plane.entries("version.held")
    assert held.data is not None
    assert held.data["why"] == version.held_because
    with plane.application.parts.records.look() as reading:
        record = inventory.version(
            reading, plane.application.parts, ACTOR, inventory.NOW, version.model, "1.0.0"
        )
    assert record.version.held_because == version.held_because


@pytest.mark.parametrize("facts", [ORDINARY, FACTS])
def test_a_tier_that_reaches_production_is_asked_for(plane: Plane, facts: RiskFacts) -> None:
    plane.register(facts=facts)
    plane.hand_in("1.0.0")
    plane.settle()
    (asked,) = plane.requests("1.0.0")
    assert asked.target.environment == ENVIRONMENT
    assert plane.version("1.0.0").held_because is None
    plane.sign("1.0.0")
    assert plane.rollout("1.0.0").observed_percent == 10


def test_a_policy_that_has_become_stricter_stops_the_start_and_every_permit(plane: Plane) -> None:
    plane.register()
    plane.hand_in("1.0.0")
    plane.settle()
    plane.change_policy(LIST, SHORTER)
    plane.sign("1.0.0")
    version = plane.version("1.0.0")
    assert version.lifecycle is Lifecycle.APPROVED
    assert version.held_because is not None
    assert WHY in version.held_because
    parts = plane.application.parts
    with parts.records.begin(system("test"), reason="by hand") as work:
        demands, _ = policy_of(parts, store.model_named(work, MODEL))
        with pytest.raises(PolicyRefused, match=WHY):
            release.start(parts, work, version)
        with pytest.raises(PolicyRefused, match=WHY):
            permits.permit_for(parts, work, version, 10, demands)
    assert plane.entries("rollout.started", "permit.issued") == []


def test_a_canary_of_a_tier_that_may_be_there_no_more_is_taken_back(plane: Plane) -> None:
    plane.register()
    plane.hand_in("1.0.0")
    plane.settle()
    plane.sign("1.0.0")
    plane.day()
    plane.change_policy(LIST, SHORTER)
    plane.day()
    plane.day()
    rollout = plane.rollout("1.0.0")
    assert (rollout.phase.value, rollout.observed_percent) == ("rolled_back", 0)
    assert WHY in str(rollout.outcome_reason)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_lets_all_but_tier_4_enter_production(plane: Plane, name: str) -> None:
    plane.register()
    with plane.application.parts.records.look() as reading:
        model = store.model_named(reading, MODEL)
    for tier in Tier:
        demands = load_preset(name).tier(tier)
        if tier is Tier.EXPERIMENTAL:
            with pytest.raises(PolicyRefused):
                demand_place(replace(model, tier=int(tier)), demands)
        else:
            demand_place(replace(model, tier=int(tier)), demands)
