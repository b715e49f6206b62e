"""A policy: four tiers, each with one slice for each room that asks.

Rooms take their slice as an argument and never the loader. Tier 1 carries the highest
risk, tier 4 the lowest. A limit that starts with `max_` is kept when a value equals it;
a floor that starts with `min_` is met when a value equals it; a trigger fires above its
value, not at it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from trimtab.kernel.ids import Digest
from trimtab.policies import units as u
from trimtab.policies.admission import Approvals, Checks, Permits, Rollout
from trimtab.policies.operation import Diagnosis, Monitoring, Remediation, Retraining
from trimtab.policies.units import Slice, free


class Tier(IntEnum):
    """Risk of a model; 1 is the highest."""

    CRITICAL = 1
    HIGH = 2
    STANDARD = 3
    EXPERIMENTAL = 4


class TierPolicy(Slice):
    """All that is demanded of one tier; one slice for each room."""

    checks: Checks
    approvals: Approvals
    rollout: Rollout
    monitoring: Monitoring
    diagnosis: Diagnosis
    remediation: Remediation
    retraining: Retraining
    permits: Permits

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.permits.routing_table_lifetime_minutes < 2 * self.rollout.look_interval_minutes:
            raise ValueError("permits.routing_table_lifetime_minutes must outlast two looks")
        if self.retraining.max_memory_mib > 1024 * self.remediation.max_memory_gib:
            raise ValueError("retraining.max_memory_mib exceeds remediation.max_memory_gib")
        return self


class RiskLimits(Slice):
    """The numbers that a risk assessment compares with."""

    tier_1_above_usd: Annotated[u.Usd, free("Yearly financial impact above this is tier 1.")]
    tier_2_above_usd: Annotated[u.Usd, free("Yearly financial impact above this is tier 2.")]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.tier_1_above_usd < self.tier_2_above_usd:
            raise ValueError("tier_1_above_usd is below tier_2_above_usd")
        return self


class Tiers(Slice):
    """The four tiers."""

    tier_1: TierPolicy
    tier_2: TierPolicy
    tier_3: TierPolicy
    tier_4: TierPolicy


class Policy(Slice):
    """A named set of demands; `digest` is the SHA-256 of the exact `text` it was read from."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="Its name.")]
    summary: Annotated[str, Field(min_length=1, max_length=300, description="One sentence.")]
    risk: RiskLimits
    tiers: Tiers
    digest: Annotated[Digest, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    text: Annotated[str, Field(repr=False)]

    def tier(self, tier: Tier | int) -> TierPolicy:
        """The demands of `tier`, 1 to 4.

        Raises:
            ValueError: no such tier.
        """
        slices = {
            Tier.CRITICAL: self.tiers.tier_1,
            Tier.HIGH: self.tiers.tier_2,
            Tier.STANDARD: self.tiers.tier_3,
            Tier.EXPERIMENTAL: self.tiers.tier_4,
        }
        return slices[Tier(tier)]
