"""Faults of a feed on small columns, where the truth is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.diagnosis import feed
from trimtab.diagnosis.evidence import Column, Stretch
from trimtab.diagnosis.model import Cause
from trimtab.diagnosis.rescaled import Rescaled, rescaled
from trimtab.diagnosis.units import RATIOS, SHIFTS, named, named_shift
from trimtab.policies.model import TierPolicy

ROWS = 1000


def rows(**features: Column) -> Stretch:
    size = next(iter(features.values())).size
    return Stretch.of_training(features, np.full(size, -1, dtype=np.int8))


def drawn(seed: int) -> Column:
    return np.random.default_rng(seed).gamma(4.0, 20.0, ROWS)


def whole(seed: int) -> Column:
    return np.round(drawn(seed))


def unit(base: Column, after: Column, policy: TierPolicy) -> Cause | None:
    demands = policy.diagnosis.unit_change
    return feed.unit_change(rows(x=base), rows(x=after), "x", moved_too=(), demands=demands)


@pytest.mark.parametrize("make", [drawn, whole])
@pytest.mark.parametrize("factor", [1.609344, 0.3048, 2.5, 60.0, 1 / 60, 0.5, 2.0, 1000.0])
def test_the_factor_is_found(make: object, factor: float, policy: TierPolicy) -> None:
    assert callable(make)
    cause = unit(make(1), make(2) * factor, policy)
    assert cause is not None
    # Independent draws of a smooth column leave a few percent; repeated values leave none.
    tolerance = 1e-4 if make is whole else 0.05
    assert cause.values["factor"] == pytest.approx(factor, rel=tolerance)
    assert cause.confidence > 0.6


@pytest.mark.parametrize("make", [drawn, whole])
def test_no_change_and_small_ones_are_no_unit(make: object, policy: TierPolicy) -> None:
    assert callable(make)
    assert unit(make(1), make(2), policy) is None
    assert unit(make(1), make(2) * 1.1, policy) is None


def test_a_longer_wait_in_whole_minutes_is_no_unit(policy: TierPolicy) -> None:
    """The shape is that of a rescaled column; the values still are whole minutes."""
    rng = np.random.default_rng(3)
    short, long = np.round(rng.exponential(20, 3000)), np.round(rng.exponential(34, 3000))
    assert unit(short, long, policy) is None
    found = rescaled(short, long)
    assert found is not None
    assert found.factor == pytest.approx(1.0)


def test_other_frequent_values_of_the_same_kind_are_no_unit() -> None:
    """No factor between frequent values is 1, and yet nothing but the mix has changed."""
    every = np.repeat(np.arange(1.0, 1001.0), 4)
    low, high = np.repeat(np.arange(1.0, 13.0), 60), np.repeat(np.arange(500.0, 512.0), 60)
    found = rescaled(np.concatenate([every, low]), np.concatenate([every, high]))
    assert found is not None
    assert found.factor == 1.0


def test_a_feed_that_rounds_is_judged_by_its_shape(policy: TierPolicy) -> None:
    """Minutes that arrive as tenths of hours fall on no whole minute once undone."""
    cause = unit(whole(1), np.round(whole(2) / 60.0, 1), policy)
    assert cause is not None
    assert cause.values["factor"] == pytest.approx(1 / 60, rel=0.1)
    assert cause.values["values_explained"] is None


def test_values_that_repeat_have_the_last_word(policy: TierPolicy) -> None:
    demands = policy.diagnosis.unit_change
    fits = Rescaled(1.6, 1.6, 1.6, 0.0, 0.4, 0.02, 0.02, 0.9, 0.1, 0.1)
    assert feed.explains(fits, demands)
    assert not feed.explains(replace(fits, values_undone=0.6), demands)
    assert not feed.explains(replace(fits, ks_undone=0.2), demands)
    assert not feed.explains(replace(fits, factor=1.1), demands)


def test_a_population_that_moves_too_does_not_hide_the_factor(policy: TierPolicy) -> None:
    rng = np.random.default_rng(4)
    before, after = np.round(rng.normal(100, 30, 3000)), np.round(rng.normal(106, 33, 3000))
    cause = unit(before, after * 1.609344, policy)
    assert cause is not None
    assert cause.values["factor"] == pytest.approx(1.609344, rel=1e-4)


@pytest.mark.parametrize(("before", "after", "factor", "offset"), SHIFTS)
def test_a_unit_with_another_zero_is_named(
    before: str, after: str, factor: float, offset: float, policy: TierPolicy
) -> None:
    rng = np.random.default_rng(5)
    calm, now = rng.normal(15, 8, 20_000), rng.normal(15, 8, 20_000)
    cause = unit(calm, now * factor + offset, policy)
    assert cause is not None
    assert (cause.values["unit_before"], cause.values["unit_after"]) == (before, after)
    assert named_shift(1 / factor, -offset / factor) == (after, before)


def test_few_or_constant_values_are_no_evidence(policy: TierPolicy) -> None:
    assert unit(drawn(1)[:100], drawn(2) * 60, policy) is None
    assert unit(np.full(ROWS, 3.0), drawn(2), policy) is None
    assert unit(drawn(1), np.full(ROWS, 3.0), policy) is None


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100.0), st.integers(0, 1000))
def test_any_factor_on_whole_numbers_is_exact(factor: float, seed: int) -> None:
    found = rescaled(whole(seed), whole(seed + 1) * factor)
    assert found is not None
    assert found.factor == pytest.approx(factor, rel=1e-3)
    assert 0.0 <= found.shape_explained <= 1.0


def test_every_ratio_is_named_both_ways() -> None:
    for before, after, ratio in RATIOS:
        assert named(ratio, ratio, ratio) == (before, after)
        assert named(1 / ratio, 1 / ratio, 1 / ratio) == (after, before)
    assert named(2.5, 2.5, 2.5) is None
    assert named(1.61, 1.61, 1.61) == ("miles", "kilometres")


def test_missing_values_are_counted(policy: TierPolicy) -> None:
    calm, holes = drawn(1), drawn(2)
    holes[:50] = np.nan
    cause = feed.null_spike(rows(x=calm), rows(x=holes), "x", policy.monitoring)
    assert cause is not None
    assert cause.fault == "null_spike"
    assert cause.values["null_rate_after"] == 0.05
    assert feed.null_spike(rows(x=calm), rows(x=drawn(3)), "x", policy.monitoring) is None
    gone = np.full(ROWS, None, dtype=object)
    texts = np.full(ROWS, "a", dtype=object)
    cause = feed.null_spike(rows(x=texts), rows(x=gone), "x", policy.monitoring)
    assert cause is not None
    assert cause.confidence > 0.9


def test_a_frozen_column_is_seen() -> None:
    calm = rows(x=whole(1))
    stuck = whole(2)
    stuck[300:] = 41.0
    assert feed.frozen(calm, rows(x=whole(3)), "x") is None
    mostly, still = (
        feed.frozen(calm, rows(x=column), "x") for column in (stuck, np.full(ROWS, 0.0))
    )
    assert mostly is not None
    assert still is not None
    assert 0.6 < mostly.confidence < still.confidence


def test_renamed_categories_are_seen() -> None:
    rng = np.random.default_rng(6)
    names = np.asarray(["AA", "DL", "UA"], dtype=object)
    calm, now = (names[rng.integers(0, 3, ROWS)] for _ in range(2))
    assert feed.renamed_categories(rows(x=calm), rows(x=now), "x") is None
    codes = np.asarray([name.lower() for name in now], dtype=object)
    cause = feed.renamed_categories(rows(x=calm), rows(x=codes), "x")
    assert cause is not None
    assert cause.confidence > 0.9


def test_batches_sent_twice_are_seen_and_a_small_population_is_not() -> None:
    calm, now = rows(x=drawn(1)), drawn(2)
    twice = np.concatenate([part for start in range(0, ROWS, 100) for part in
                            [now[start : start + 100]] * 2])  # fmt: skip
    cause = feed.repeated_rows(calm, rows(x=twice))
    assert cause is not None
    assert cause.values["distance_rows"] == 100
    assert cause.confidence > 0.9
    few = np.random.default_rng(7).choice(drawn(3)[:200], ROWS)
    assert feed.repeated_rows(calm, rows(x=few)) is None
