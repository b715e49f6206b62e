from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.confusion import Confusion, brier, roc_auc
from trimtab.stats.intervals import Interval, clopper_pearson

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_counts_and_rates_by_hand() -> None:
    seen = Confusion.from_arrays([1, 1, 1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1, 0, 0])
    assert seen == Confusion(tp=2, fp=2, tn=3, fn=1)
    assert seen.total == 8
    assert seen.precision() == 0.5
    assert seen.recall() == pytest.approx(2 / 3)
    assert seen.f1() == pytest.approx(4 / 7)
    assert seen.accuracy() == pytest.approx(5 / 8)
    assert seen.false_positive_rate() == pytest.approx(2 / 5)


def test_parts_add_up_to_the_whole(rng: np.random.Generator) -> None:
    p, a = rng.integers(0, 2, 300), rng.integers(0, 2, 300).astype(bool)
    parts = [Confusion.from_arrays(p[i : i + 70], a[i : i + 70]) for i in range(0, 300, 70)]
    assert sum(parts, Confusion()) == Confusion.from_arrays(p, a)


def test_a_rate_without_a_denominator_is_no_rate() -> None:
    nothing = Confusion()
    for rate in (
        nothing.precision,
        nothing.recall,
        nothing.f1,
        nothing.accuracy,
        nothing.false_positive_rate,
        Confusion(tn=5, fn=1).precision,
        Confusion(tn=5, fp=1).recall,
        Confusion(tp=5).false_positive_rate,
        Confusion(tn=5).f1,
    ):
        with pytest.raises(TooFewValues):
            rate()


def test_impossible_counts_and_outcomes_are_refused() -> None:
    with pytest.raises(InvalidInput):
        Confusion(tp=-1)
    with pytest.raises(InvalidInput):
        Confusion(tp=1.5)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidInput):
        Confusion.from_arrays([0, 2], [0, 1])
    with pytest.raises(InvalidInput):
        Confusion.from_arrays([0, float("nan")], [0, 1])
    with pytest.raises(InvalidInput):
        Confusion.from_arrays([0, 1], [1])


def test_a_window_of_a_steady_model_and_of_a_worse_one(
    rng: np.random.Generator, measure: Measure
) -> None:
    """Is an accuracy of 0.9 outside the window's 95 % interval?"""

    def alarmed(accuracy: float) -> bool:
        right = rng.random(800) < accuracy
        actual = rng.integers(0, 2, 800).astype(bool)
        seen = Confusion.from_arrays(actual == right, actual)
        wrong_side = clopper_pearson(seen.tp + seen.tn, seen.total, confidence=0.95)
        return wrong_side.high < 0.9

    assert measure(alarmed(0.9) for _ in range(1000)).low <= 0.025
    assert measure(alarmed(0.85) for _ in range(300)).low > 0.9


def test_brier_by_hand_and_its_expectation(rng: np.random.Generator, measure: Measure) -> None:
    assert brier([0.5, 0.5], [0, 1]) == 0.25
    assert brier([1.0, 0.2], [1, 0]) == pytest.approx(0.02)

    def scored(skew: float) -> bool:
        p = rng.random(2000)
        labels = rng.random(2000) < p**skew
        return abs(brier(p, labels) - 1 / 6) > 0.012  # E p(1 - p) for a calibrated uniform p

    assert measure(scored(1.0) for _ in range(500)).high < 0.05
    assert measure(scored(0.4) for _ in range(300)).low > 0.95


def test_auc_agrees_with_the_u_statistic(rng: np.random.Generator) -> None:
    scores, labels = np.round(rng.normal(size=300), 1), rng.random(300) < 0.3
    u = scipy.stats.mannwhitneyu(scores[labels], scores[~labels]).statistic
    expected = u / (labels.sum() * (~labels).sum())
    assert roc_auc(scores, labels) == pytest.approx(expected, rel=1e-12)
    assert roc_auc([1, 2, 3], [0, 0, 1]) == 1.0
    assert roc_auc([1, 1], [0, 1]) == 0.5


def test_auc_without_and_with_information(rng: np.random.Generator, measure: Measure) -> None:
    def informed(shift: float) -> bool:
        labels = np.arange(400) < 200
        found = roc_auc(rng.normal(size=400) + shift * labels, labels)
        return abs(found - 0.5) > 1.96 * math.sqrt(401 / (12 * 200 * 200))

    calm = measure(informed(0.0) for _ in range(1500))
    assert calm.low <= 0.05 <= calm.high, calm
    assert measure(informed(0.5) for _ in range(300)).low > 0.95


def test_scores_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(TooFewValues):
        roc_auc([0.1, 0.2], [1, 1])
    with pytest.raises(TooFewValues):
        brier([], [])
    with pytest.raises(InvalidInput):
        brier([1.2], [1])
    with pytest.raises(InvalidInput):
        roc_auc([0.1, float("nan")], [1, 0])
    with pytest.raises(InvalidInput):
        roc_auc([0.1, 0.4], [1])
