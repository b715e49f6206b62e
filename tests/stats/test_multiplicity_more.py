"""Families of hypotheses, any dependence, and the comparison with statsmodels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.multiplicity import (
    benjamini_hochberg,
    benjamini_yekutieli,
    holm,
    selective_families,
    simes,
)

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1979)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(holm, "holm"), (benjamini_hochberg, "fdr_bh"), (benjamini_yekutieli, "fdr_by")],
)
def test_adjusted_values_agree_with_statsmodels(
    ours: Callable[..., tuple[np.ndarray, np.ndarray]], theirs: str, rng: np.random.Generator
) -> None:
    for size in (1, 2, 7, 300):
        p = np.round(rng.random(size) ** 4, 3)  # some are tied
        rejected, adjusted = ours(p, level=0.05)
        expected, values, _sidak, _bonferroni = multipletests(p, alpha=0.05, method=theirs)
        assert adjusted == pytest.approx(values, rel=1e-9)
        assert (rejected == expected).all()


def test_simes_is_the_smallest_adjusted_value(rng: np.random.Generator, measure: Measure) -> None:
    p = rng.random(30)
    assert simes(p) == pytest.approx(scipy.stats.false_discovery_control(p).min(), rel=1e-12)
    calm = measure(simes(rng.random(15)) <= 0.05 for _ in range(3000))
    assert calm.low <= 0.05 <= calm.high, calm


def test_any_false_alarm_under_dependence(rng: np.random.Generator, measure: Measure) -> None:
    """Twenty calm features that share most of their noise."""
    for judge in (holm, benjamini_yekutieli):
        calm = measure(
            judge(
                scipy.stats.norm.sf(0.9 * rng.normal() + np.sqrt(0.19) * rng.normal(size=20)),
                level=0.05,
            )[0]
            .any()
            .item()
            for _ in range(1500)
        )
        assert calm.high <= 0.06, calm


def test_few_that_moved_are_found(rng: np.random.Generator) -> None:
    for judge, least in ((holm, 0.85), (benjamini_yekutieli, 0.85)):
        found = []
        for _ in range(300):
            z = rng.normal(size=20)
            z[:5] += 4.5
            found.append(judge(scipy.stats.norm.sf(z), level=0.1)[0][:5].mean())
        assert np.mean(found) > least, judge


@pytest.mark.slow
def test_the_families_that_are_shown_are_right_as_often_as_promised(
    rng: np.random.Generator,
) -> None:
    """Thirty tenants of 12 features; in three of them four features have moved."""
    shown, found = [], []
    for _ in range(400):
        families = {}
        for tenant in range(30):
            z = rng.normal(size=12)
            if tenant < 3:
                z[:4] += 4.5
            families[str(tenant)] = scipy.stats.norm.sf(z)
        seen = selective_families(families, level=0.1)
        false_shares = []
        for name in seen.selected:
            fell = seen.rejected[name]
            false = fell[4:].sum() if int(name) < 3 else fell.sum()
            false_shares.append(false / max(1, fell.sum()))
        shown.append(np.mean(false_shares) if false_shares else 0.0)
        found.append(np.mean([seen.rejected[str(tenant)][:4].mean() for tenant in range(3)]))
    assert np.mean(shown) < 0.1 + 0.02, np.mean(shown)  # every tenant by itself gives 0.4
    assert np.mean(found) > 0.75, np.mean(found)


def test_calm_families_alarm_as_seldom_as_stated(
    rng: np.random.Generator, measure: Measure
) -> None:
    def alarms() -> bool:
        families = {str(tenant): rng.random(12) for tenant in range(20)}
        return bool(selective_families(families, level=0.05).selected)

    calm = measure(alarms() for _ in range(1500))
    assert calm.low <= 0.05 <= calm.high, calm


def test_what_is_chosen_is_paid_for() -> None:
    """One of two families is looked at, so its features are judged at half of the level."""
    found = selective_families({"a": [0.001, 0.04], "b": [0.9, 0.8]}, level=0.05)
    assert found.selected == ("a",)
    assert found.rejected["a"].tolist() == [True, False]  # 0.04 would have fallen at 0.05
    assert found.rejected["b"].tolist() == [False, False]
    assert found.family_p_values["a"] == pytest.approx(0.002)
    both = selective_families({"a": [0.001, 0.04], "b": [0.001]}, level=0.05)
    assert both.rejected["a"].tolist() == [True, True]


def test_nothing_and_nan_are_refused_everywhere() -> None:
    for judge in (holm, benjamini_yekutieli):
        with pytest.raises(TooFewValues):
            judge([], level=0.05)
        with pytest.raises(InvalidInput):
            judge([0.1, float("nan")], level=0.05)
        with pytest.raises(InvalidInput):
            judge([0.1], level=0.95)
    with pytest.raises(TooFewValues):
        selective_families({}, level=0.05)
    with pytest.raises(TooFewValues):
        selective_families({"a": []}, level=0.05)
    with pytest.raises(InvalidInput) as caught:
        selective_families({"a": [2.0]}, level=0.05)
    assert caught.value.field == "families.a"
