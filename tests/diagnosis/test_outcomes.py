"""Harm: what chance makes of few rows is none, and what is more is found."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab.diagnosis.outcomes import Tally, harm
from trimtab.policies.model import TierPolicy
from trimtab.stats.confusion import Confusion

CALM = (0.33, 0.86, 0.006)
"""Share of positives, recall and false-positive rate, about as the flights have them."""


def drawn(
    rng: np.random.Generator,
    rows: int,
    positives: float,
    recall: float,
    fpr: float,
    copies: int = 1,
) -> Tally:
    """What that many different rows come to, each of them there `copies` times."""
    positive = rng.binomial(rows, positives)
    tp, fp = rng.binomial(positive, recall), rng.binomial(rows - positive, fpr)
    counted = Confusion(
        tp=tp * copies,
        fp=fp * copies,
        tn=(rows - positive - fp) * copies,
        fn=(positive - tp) * copies,
    )
    return Tally(counted, 1.0 / copies)


def share_harmed(
    policy: TierPolicy, rows: int, copies: int, after: tuple[float, float, float]
) -> float:
    rng = np.random.default_rng(7)
    sure = policy.diagnosis.min_action_confidence
    found = [
        harm(
            drawn(rng, 5 * rows, *CALM, copies=copies),
            drawn(rng, rows, *after, copies=copies),
            policy.monitoring,
            confidence=sure,
        ).harmed
        for _ in range(1000)
    ]
    return float(np.mean(found))


@pytest.mark.parametrize("rows", [100, 300, 1000, 10_000])
@pytest.mark.parametrize("copies", [1, 20])
def test_calm_is_seldom_called_harm(policy: TierPolicy, rows: int, copies: int) -> None:
    """`standard`, tier 2: 90 % sure at most one calm comparison in ten, over all four rates."""
    assert share_harmed(policy, rows, copies, CALM) <= 0.10


def test_without_allowing_for_chance_calm_would_often_be_called_harm(policy: TierPolicy) -> None:
    rng = np.random.default_rng(7)
    tolerated = policy.monitoring.triggers.precision_decay_percent_points / 100
    losses = [
        drawn(rng, 1500, *CALM).confusion.precision() - drawn(rng, 300, *CALM).confusion.precision()
        for _ in range(1000)
    ]
    assert np.mean(np.asarray(losses) > tolerated) > 0.2


@pytest.mark.parametrize(
    ("after", "rows", "power"),
    [
        ((0.33, 0.70, 0.006), 1000, 0.95),  # recall lost
        ((0.33, 0.86, 0.10), 1000, 0.95),  # false alarms beyond their limit
        ((0.33, 0.80, 0.006), 3000, 0.90),
    ],
)
def test_real_harm_is_found(
    policy: TierPolicy, after: tuple[float, float, float], rows: int, power: float
) -> None:
    assert share_harmed(policy, rows, 1, after) >= power
