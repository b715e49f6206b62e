"""A tier's demands as rows for a person."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.policies.model import Policy, Tier, TierPolicy
from trimtab.policies.monotone import shown
from trimtab.policies.pending import meaning
from trimtab.policies.schema import keys, value_at


@dataclass(frozen=True)
class Row:
    """One key with its value in words, its unit (empty where there is none) and meaning."""

    key: str
    value: str
    unit: str
    description: str


def explain(policy: Policy, tier: Tier | int) -> tuple[Row, ...]:
    """Every demand that `policy` makes of `tier`, in the order in which it is written.

    Raises:
        ValueError: no such tier.
    """
    demands = policy.tier(tier)
    return tuple(
        Row(
            key.name,
            shown(value_at(demands, key.path)),
            key.unit.name if key.unit else "",
            meaning(key),
        )
        for key in keys(TierPolicy)
    )
