from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.multiplicity import benjamini_hochberg

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(95)


def test_adjusted_values_agree_with_scipy(rng: np.random.Generator) -> None:
    for size in (1, 2, 40):
        p = rng.random(size) ** 3
        rejected, adjusted = benjamini_hochberg(p, level=0.1)
        assert adjusted == pytest.approx(scipy.stats.false_discovery_control(p), rel=1e-12)
        assert (rejected == (adjusted <= 0.1)).all()


def test_any_false_alarm_over_twenty_calm_features(
    rng: np.random.Generator, measure: Measure
) -> None:
    calm = measure(
        benjamini_hochberg(rng.random(20), level=0.05)[0].any().item() for _ in range(3000)
    )
    assert calm.low <= 0.05 <= calm.high, calm


def test_share_of_false_discoveries_and_power(rng: np.random.Generator) -> None:
    shares, found = [], []
    for _ in range(1500):
        z = rng.normal(size=20)
        z[:5] += 4.0
        rejected, _ = benjamini_hochberg(scipy.stats.norm.sf(z), level=0.1)
        shares.append(rejected[5:].sum() / max(1, rejected.sum()))
        found.append(rejected[:5].mean())
    assert np.mean(shares) <= 0.1 * 15 / 20 + 0.01  # the theory says level * calm share
    assert np.mean(found) > 0.9


def test_nothing_and_nan_are_refused() -> None:
    with pytest.raises(TooFewValues):
        benjamini_hochberg([], level=0.05)
    for bad in ([0.1, float("nan")], [0.1, 1.5], [-0.1]):
        with pytest.raises(InvalidInput):
            benjamini_hochberg(bad, level=0.05)
    with pytest.raises(InvalidInput):
        benjamini_hochberg([0.1], level=0.95)
