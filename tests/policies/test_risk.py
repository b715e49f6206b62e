"""From facts to a tier, and never downwards for lack of an answer."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.loader import load_preset
from trimtab.policies.model import Tier
from trimtab.policies.risk import Criticality, EnvironmentCap, RiskFacts, RiskLevel, assess

LIMITS = load_preset("standard").risk
HARMLESS = RiskFacts(
    customer_facing=False,
    pii=False,
    sensitive_data=False,
    annual_financial_impact_usd=0,
    regulated_domain=False,
    criticality=Criticality.ORDINARY,
    reversible=True,
    environment_cap=EnvironmentCap.NONE,
)


@pytest.mark.parametrize(
    ("change", "tier", "level", "fact"),
    [
        ({}, 3, "low", "criticality"),
        ({"environment_cap": EnvironmentCap.NON_PRODUCTION}, 4, "low", "environment_cap"),
        ({"customer_facing": True}, 2, "medium", "customer_facing"),
        ({"reversible": False}, 2, "medium", "reversible"),
        ({"criticality": Criticality.IMPORTANT}, 2, "medium", "criticality"),
        ({"annual_financial_impact_usd": 1}, 2, "medium", "annual_financial_impact_usd"),
        ({"annual_financial_impact_usd": 1_000_000}, 2, "medium", "annual_financial_impact_usd"),
        ({"annual_financial_impact_usd": 1_000_000.01}, 1, "high", "annual_financial_impact_usd"),
        ({"pii": True}, 1, "high", "pii"),
        ({"sensitive_data": True}, 1, "high", "sensitive_data"),
        ({"regulated_domain": True}, 1, "high", "regulated_domain"),
        ({"criticality": Criticality.CRITICAL}, 1, "high", "criticality"),
        ({"pii": True, "environment_cap": EnvironmentCap.NON_PRODUCTION}, 1, "high", "pii"),
    ],
)
def test_the_table(change: dict[str, Any], tier: int, level: str, fact: str) -> None:
    assessment = assess(replace(HARMLESS, **change), LIMITS)
    assert assessment.tier == tier
    assert assessment.level == RiskLevel(level)
    assert assessment.reasons[0].fact == fact
    assert assessment.unknown == ()


@pytest.mark.parametrize("name", [field.name for field in fields(RiskFacts)])
@pytest.mark.parametrize("cap", EnvironmentCap)
def test_an_unknown_fact_raises_to_tier_2_and_is_listed(name: str, cap: EnvironmentCap) -> None:
    facts = replace(replace(HARMLESS, environment_cap=cap), **{name: None})
    assessment = assess(facts, LIMITS)
    assert assessment.tier is Tier.HIGH
    assert assessment.unknown == (name,)
    assert [reason.fact for reason in assessment.reasons] == [name]


def test_an_impact_is_not_compared_with_nothing() -> None:
    some = assess(replace(HARMLESS, annual_financial_impact_usd=10_000), LIMITS)
    assert some.reasons[0].text == "moves 10,000 USD a year"
    much = assess(replace(HARMLESS, annual_financial_impact_usd=2_000_000), LIMITS)
    assert much.reasons[0].text == "moves 2,000,000 USD a year, more than 1,000,000"


def test_nothing_known_is_tier_2_with_every_fact_listed() -> None:
    assessment = assess(RiskFacts(), LIMITS)
    assert assessment.tier is Tier.HIGH
    assert set(assessment.unknown) == {field.name for field in fields(RiskFacts)}


def test_reasons_come_worst_first_and_all_of_them() -> None:
    facts = replace(HARMLESS, customer_facing=True, pii=True, reversible=None)
    reasons = assess(facts, LIMITS).reasons
    assert [(reason.fact, int(reason.tier)) for reason in reasons] == [
        ("pii", 1),
        ("customer_facing", 2),
        ("reversible", 2),
    ]


@pytest.mark.parametrize("impact", [float("nan"), float("inf"), -1.0])
def test_an_impossible_impact_is_refused(impact: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        assess(replace(HARMLESS, annual_financial_impact_usd=impact), LIMITS)
    assert caught.value.field == "annual_financial_impact_usd"


answer = st.sampled_from([None, False, True])
everything = st.builds(
    RiskFacts,
    customer_facing=answer,
    pii=answer,
    sensitive_data=answer,
    annual_financial_impact_usd=st.one_of(st.none(), st.floats(0, 1e9)),
    regulated_domain=answer,
    criticality=st.one_of(st.none(), st.sampled_from(Criticality)),
    reversible=answer,
    environment_cap=st.one_of(st.none(), st.sampled_from(EnvironmentCap)),
)


@given(everything, st.sampled_from([field.name for field in fields(RiskFacts)]))
def test_an_answer_that_is_harmless_never_raises_and_silence_never_lowers(
    facts: RiskFacts, name: str
) -> None:
    harmless = replace(facts, **{name: getattr(HARMLESS, name)})
    silent = replace(facts, **{name: None})
    if name != "environment_cap":
        assert assess(harmless, LIMITS).tier >= assess(facts, LIMITS).tier
    assert assess(silent, LIMITS).tier <= assess(harmless, LIMITS).tier
    assert assess(silent, LIMITS).tier <= Tier.HIGH


@given(everything)
def test_tier_4_needs_every_answer_and_the_cap(facts: RiskFacts) -> None:
    if assess(facts, LIMITS).tier is Tier.EXPERIMENTAL:
        assert replace(facts, environment_cap=EnvironmentCap.NONE) == HARMLESS
