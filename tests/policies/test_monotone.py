"""A riskier tier never asks for less."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.admission import ApprovalStep
from trimtab.policies.loader import load_preset, preset_names
from trimtab.policies.model import Policy, Tier, TierPolicy
from trimtab.policies.monotone import asks_enough, assert_monotone, falls
from trimtab.policies.schema import keys, value_at
from trimtab.policies.units import Direction, Slice

NUMBERS = [
    key
    for key in keys(TierPolicy)
    if key.direction in (Direction.STRICT_UP, Direction.STRICT_DOWN) and key.unit
]


def replaced(part: Slice, path: tuple[str, ...], value: Any) -> Any:
    """`part` with `value` under `path`, unvalidated."""
    if len(path) > 1:
        value = replaced(getattr(part, path[0]), path[1:], value)
    return part.model_copy(update={path[0]: value})


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_monotone(name: str) -> None:
    assert_monotone(load_preset(name))


@pytest.mark.parametrize("key", NUMBERS, ids=lambda key: key.name)
@pytest.mark.parametrize("tier", [1, 2, 3])
def test_weakening_any_number_of_a_riskier_tier_is_noticed(tier: int, key: Any) -> None:
    policy = load_preset("standard")
    below = value_at(policy.tier(tier + 1), key.path)
    weaker = below - 1 if key.direction is Direction.STRICT_UP else below + 1
    weakened: Policy = replaced(policy, ("tiers", f"tier_{tier}", *key.path), weaker)
    found = [fall for fall in falls(weakened) if fall.tier == tier]
    assert [fall.key.name for fall in found] == [key.name]
    with pytest.raises(InvalidInput, match="asks for less") as caught:
        assert_monotone(weakened)
    assert str(caught.value.field).endswith(key.name)


@pytest.mark.parametrize(
    ("direction", "riskier", "safer", "enough"),
    [
        (Direction.STRICT_UP, 2, 2, True),
        (Direction.STRICT_UP, 1, 2, False),
        (Direction.STRICT_UP, False, True, False),
        (Direction.STRICT_DOWN, 2, 2, True),
        (Direction.STRICT_DOWN, 3, 2, False),
        (Direction.STRICT_DOWN, True, False, False),
        (Direction.SUPERSET, ("a", "b"), ("a",), True),
        (Direction.SUPERSET, ("b",), ("a",), False),
        (Direction.SUBSET, ("a",), ("a", "b"), True),
        (Direction.SUBSET, ("c",), ("a", "b"), False),
        (Direction.LADDER, (1, 5, 25, 100), (20, 100), True),
        (Direction.LADDER, (10, 50, 100), (10, 25, 50, 100), False),
        (Direction.LADDER, (100,), (10, 100), False),
        (Direction.NEUTRAL, 1, 2, True),
    ],
)
def test_each_direction(direction: Direction, riskier: Any, safer: Any, enough: bool) -> None:
    assert asks_enough(direction, riskier, safer) is enough


def test_signatures_are_counted_over_all_roles() -> None:
    one, two = ApprovalStep(role="a", people=1), ApprovalStep(role="b", people=2)
    assert asks_enough(Direction.PEOPLE, (two,), (one,))
    assert not asks_enough(Direction.PEOPLE, (one,), (two,))


ladders = st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True).map(
    lambda steps: tuple(sorted(steps))
)


@given(ladders, ladders, ladders)
def test_slower_is_a_partial_order(a: Any, b: Any, c: Any) -> None:
    assert asks_enough(Direction.LADDER, a, a)
    if asks_enough(Direction.LADDER, a, b) and asks_enough(Direction.LADDER, b, c):
        assert asks_enough(Direction.LADDER, a, c)
    if asks_enough(Direction.LADDER, a, b) and asks_enough(Direction.LADDER, b, a):
        assert a == b


def test_the_cap_of_tier_4_does_not_bind_the_tiers_above() -> None:
    policy = load_preset("standard")
    assert len(policy.tier(Tier.CRITICAL).rollout.environments) == 3
    assert len(policy.tier(Tier.EXPERIMENTAL).rollout.environments) == 2
