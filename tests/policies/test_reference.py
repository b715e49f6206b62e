"""Every key is described, has its unit in its name, and stands on the reference page."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.policies.explain import explain
from trimtab.policies.loader import load_preset, preset_names
from trimtab.policies.model import RiskLimits, Tier, TierPolicy
from trimtab.policies.reference import render
from trimtab.policies.schema import Key, keys, value_at

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "policy.md"
ALL = (*keys(TierPolicy), *keys(RiskLimits))


def test_the_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "run: python -m trimtab.policies.reference > docs/reference/policy.md"
    )


@pytest.mark.parametrize("key", ALL, ids=lambda key: key.name)
def test_a_number_has_its_unit_in_its_key_and_is_bounded(key: Key) -> None:
    root = load_preset("standard")
    whole = root.tier(1) if key in keys(TierPolicy) else root.risk
    value = value_at(whole, key.path)
    assert key.description.endswith(".")
    assert len(key.description) < 90
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert key.unit
        # Within a section that names the quantity, the section's word counts.
        assert any(word in key.name for word in key.unit.words), (key.name, key.unit)
        assert key.minimum is not None
        assert key.maximum is not None


def test_explain_tells_every_key_of_a_tier_with_value_unit_and_meaning() -> None:
    rows = {row.key: row for row in explain(load_preset("tiered"), 1)}
    assert set(rows) == {key.name for key in keys(TierPolicy)}
    trigger = rows["monitoring.triggers.data_psi_nats"]
    assert (trigger.value, trigger.unit) == ("0.05", "nats")
    assert rows["rollout.steps_percent"].value == "10, 25, 50, 100"
    assert rows["approvals.steps"].value.startswith("ml_review_board x 4, compliance x 1")
    assert rows["approvals.auto_approve.allowed"].value == "false"
    assert rows["retraining.new_rows"].value == "50000"


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.parametrize("tier", Tier)
def test_no_row_of_explain_is_empty(name: str, tier: Tier) -> None:
    assert all(row.value and row.description for row in explain(load_preset(name), tier))
