"""From the facts about a model to its tier, with every reason.

What nobody has answered is not harmless: each unknown fact raises the tier to 2 at least
and is listed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.model import RiskLimits, Tier


class Criticality(StrEnum):
    """What depends on the model."""

    CRITICAL = "critical"
    """Money, rights or safety of people: fraud, credit, insurance, health."""
    IMPORTANT = "important"
    """Business that notices within a day."""
    ORDINARY = "ordinary"
    """An internal tool."""


class EnvironmentCap(StrEnum):
    """How far a model may ever be deployed."""

    NON_PRODUCTION = "non_production"
    NONE = "none"


class RiskLevel(StrEnum):
    """The same risk in three words."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class RiskFacts:
    """What is known of a model; None is not known.

    `annual_financial_impact_usd` is in US dollars a year. `reversible` says whether a
    wrong decision of the model can be undone.
    """

    customer_facing: bool | None = None
    pii: bool | None = None
    sensitive_data: bool | None = None
    annual_financial_impact_usd: float | None = None
    regulated_domain: bool | None = None
    criticality: Criticality | None = None
    reversible: bool | None = None
    environment_cap: EnvironmentCap | None = None


@dataclass(frozen=True)
class Reason:
    """One fact, and the tier that it asks for by itself."""

    fact: str
    tier: Tier
    text: str


@dataclass(frozen=True)
class RiskAssessment:
    """The tier, the level, and why; `unknown` names the facts that nobody has given."""

    tier: Tier
    level: RiskLevel
    reasons: tuple[Reason, ...]
    unknown: tuple[str, ...]


def assess(facts: RiskFacts, limits: RiskLimits) -> RiskAssessment:
    """The risk of a model with these facts: the highest that any one of them asks for.

    Args:
        facts: What is known.
        limits: The dollars above which financial impact means tier 1 and tier 2.

    Raises:
        InvalidInput: a financial impact that is negative or not a number.
    """
    impact = facts.annual_financial_impact_usd
    if impact is not None and not (math.isfinite(impact) and impact >= 0):
        raise InvalidInput(
            f"{impact} is not a yearly financial impact",
            field="annual_financial_impact_usd",
            remedy="Give US dollars a year, 0 or more, or leave it out if unknown.",
        )
    unknown = tuple(f.name for f in fields(facts) if getattr(facts, f.name) is None)
    raising = [
        *_critical(facts, limits),
        *_high(facts, limits),
        *(Reason(name, Tier.HIGH, f"{name} is not known") for name in unknown),
    ]
    reasons = tuple(sorted(raising, key=lambda reason: reason.tier)) or (_harmless(facts),)
    tier = min(reason.tier for reason in reasons)
    return RiskAssessment(tier, level_of(tier), reasons, unknown)


def level_of(tier: Tier) -> RiskLevel:
    """The word for `tier`."""
    return {Tier.CRITICAL: RiskLevel.HIGH, Tier.HIGH: RiskLevel.MEDIUM}.get(tier, RiskLevel.LOW)


def _critical(facts: RiskFacts, limits: RiskLimits) -> Iterator[Reason]:
    impact = facts.annual_financial_impact_usd
    if facts.pii:
        yield Reason("pii", Tier.CRITICAL, "handles personal data")
    if facts.sensitive_data:
        yield Reason("sensitive_data", Tier.CRITICAL, "handles sensitive data")
    if facts.regulated_domain:
        yield Reason("regulated_domain", Tier.CRITICAL, "works in a regulated domain")
    if facts.criticality is Criticality.CRITICAL:
        yield Reason("criticality", Tier.CRITICAL, "is critical")
    if impact is not None and impact > limits.tier_1_above_usd:
        text = _moves(impact, limits.tier_1_above_usd)
        yield Reason("annual_financial_impact_usd", Tier.CRITICAL, text)


def _high(facts: RiskFacts, limits: RiskLimits) -> Iterator[Reason]:
    impact = facts.annual_financial_impact_usd
    if facts.customer_facing:
        yield Reason("customer_facing", Tier.HIGH, "customers meet its decisions")
    if facts.reversible is False:
        yield Reason("reversible", Tier.HIGH, "its decisions cannot be undone")
    if facts.criticality is Criticality.IMPORTANT:
        yield Reason("criticality", Tier.HIGH, "is important to the business")
    if impact is not None and limits.tier_2_above_usd < impact <= limits.tier_1_above_usd:
        text = _moves(impact, limits.tier_2_above_usd)
        yield Reason("annual_financial_impact_usd", Tier.HIGH, text)


def _moves(impact: float, limit: float) -> str:
    beyond = f", more than {limit:,.0f}" if limit > 0 else ""
    return f"moves {impact:,.0f} USD a year{beyond}"


def _harmless(facts: RiskFacts) -> Reason:
    """Why nothing raises the tier; the cap lowers it only where nothing else speaks."""
    if facts.environment_cap is EnvironmentCap.NON_PRODUCTION:
        return Reason("environment_cap", Tier.EXPERIMENTAL, "never leaves non-production")
    return Reason("criticality", Tier.STANDARD, "an internal tool of lower impact")
