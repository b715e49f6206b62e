"""Higher risk never asks for less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.model import Policy, Tier, TierPolicy
from trimtab.policies.schema import Key, keys, value_at
from trimtab.policies.units import Direction


@dataclass(frozen=True)
class Fall:
    """A key on which `tier` asks for less than the tier below it."""

    tier: Tier
    key: Key
    value: Any
    below: Any

    @property
    def path(self) -> tuple[str, ...]:
        """Where the value stands in the policy."""
        return ("tiers", f"tier_{self.tier.value}", *self.key.path)

    def __str__(self) -> str:
        return (
            f"tier {self.tier.value} asks for less than tier {self.tier.value + 1}: "
            f"{self.key.name} is {shown(self.value)}, below it is {shown(self.below)} "
            f"({self.key.direction.value})"
        )


def falls(policy: Policy) -> Iterator[Fall]:
    """Every key on which a tier asks for less than the tier below it."""
    for tier in (Tier.STANDARD, Tier.HIGH, Tier.CRITICAL):
        riskier, safer = policy.tier(tier), policy.tier(tier + 1)
        for key in keys(TierPolicy):
            value, below = value_at(riskier, key.path), value_at(safer, key.path)
            if not asks_enough(key.direction, value, below):
                yield Fall(tier, key, value, below)


def assert_monotone(policy: Policy) -> None:
    """Refuse a policy in which a riskier tier asks for less.

    Raises:
        InvalidInput: naming the first such key.
    """
    for fall in falls(policy):
        raise InvalidInput(
            str(fall), field=".".join(fall.path), remedy="Ask at least what the tier below asks."
        )


def asks_enough(direction: Direction, riskier: Any, safer: Any) -> bool:
    """Whether `riskier` asks at least what `safer` asks."""
    match direction:
        case Direction.STRICT_UP:
            return bool(riskier >= safer)
        case Direction.STRICT_DOWN:
            return bool(riskier <= safer)
        case Direction.SUPERSET:
            return set(riskier) >= set(safer)
        case Direction.SUBSET:
            return set(riskier) <= set(safer)
        case Direction.LADDER:
            return all(
                _after(riskier, step) <= _after(safer, step)
                for step in range(max(len(riskier), len(safer)))
            )
        case Direction.PEOPLE:
            return bool(sum(s.people for s in riskier) >= sum(s.people for s in safer))
        case Direction.NEUTRAL:
            return True


def _after(ladder: tuple[float, ...], step: int) -> float:
    return ladder[min(step, len(ladder) - 1)]


def shown(value: Any) -> str:
    """`value` for a person: lists with commas, signatures as `role x people`."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(shown(item) for item in value)
        case float():
            return format(value, ".12g")
        case _:
            return str(value)
