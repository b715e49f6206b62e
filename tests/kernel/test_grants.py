"""Conditions of a role: all must be fulfilled, and what is not known fulfils none."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.actor import Actor, ActorKind
from trimtab.kernel.grants import Conditions, Grant, Subject
from trimtab.kernel.ids import TenantId

TENANTS = ("aa", "ua")
SUBJECTS = st.builds(
    Subject,
    tier=st.none() | st.integers(1, 4),
    tenant=st.none() | st.sampled_from(TENANTS).map(TenantId),
    environment=st.none() | st.sampled_from(("staging", "production")),
    traffic_percent=st.none() | st.floats(0, 100) | st.just(float("nan")),
    status=st.none() | st.sampled_from(("staging", "approved")),
)
CONDITIONS = st.builds(
    Conditions,
    tiers=st.none() | st.lists(st.integers(1, 4), min_size=1).map(tuple),
    statuses=st.none() | st.just(("staging",)),
    tenants=st.none() | st.lists(st.sampled_from(TENANTS), min_size=1).map(tuple),
    environments=st.none() | st.just(("production",)),
    max_traffic_percent=st.none() | st.floats(0, 100),
)


def somebody(*grants: Grant) -> Actor:
    return Actor("usr_1", ActorKind.PERSON, None, frozenset(), grants=grants)


@given(CONDITIONS, SUBJECTS)
def test_one_more_condition_never_opens_anything(conditions: Conditions, about: Subject) -> None:
    for limit in fields(Conditions):
        fewer: Any = replace(conditions, **{limit.name: None})
        assert fewer.admit(about) or not conditions.admit(about)
    assert Conditions().admit(about)


@given(CONDITIONS)
def test_what_is_not_known_fulfils_no_condition(conditions: Conditions) -> None:
    assert conditions.admit(Subject()) is not conditions.any


@given(CONDITIONS, SUBJECTS)
def test_a_share_that_is_no_number_is_above_every_limit(
    conditions: Conditions, about: Subject
) -> None:
    nowhere = replace(about, traffic_percent=float("nan"))
    assert conditions.max_traffic_percent is None or not conditions.admit(nowhere)


@given(CONDITIONS, CONDITIONS, SUBJECTS)
def test_one_fulfilled_grant_suffices_and_two_halves_do_not(
    first: Conditions, second: Conditions, about: Subject
) -> None:
    both = somebody(
        Grant("on_call", frozenset({"a:b"}), first), Grant("admin", frozenset({"a:b"}), second)
    )
    assert both.may("a:b", about) is (first.admit(about) or second.admit(about))
    assert not both.may("a:c", about)


def test_a_refusal_can_name_every_condition() -> None:
    limits = Conditions((3, 4), ("staging",), ("aa",), ("production",), 25.0)
    assert str(limits) == (
        "tiers 3, 4; versions that are staging; the tenants aa; the environments production; "
        "at most 25 % of the traffic"
    )
