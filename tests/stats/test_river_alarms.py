"""How often River's detectors alarm at nothing, and find a change, as the reference states it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from tests.stats.detectors import Detector

from trimtab.stats.adwin import ADWIN
from trimtab.stats.ddm import DDM
from trimtab.stats.intervals import Interval
from trimtab.stats.page_hinkley import PageHinkley

Measure = Callable[[Iterable[bool]], Interval]
N = 200_000


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "stated"), [(0.1, 0.002), (1.0, 0.110), (10.0, 0.338)])
def test_adwin_on_calm_numbers(spread: float, stated: float, measure: Measure) -> None:
    rng = np.random.default_rng(81)
    found = measure(ADWIN().update_many(rng.normal(0.3, spread, N)).size > 0 for _ in range(120))
    assert found.low <= stated <= found.high, found


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "stated"), [(0.001, 0.990), (0.01, 0.893), (0.1, 0.495)])
def test_ddm_on_a_steady_error_rate(rate: float, stated: float, measure: Measure) -> None:
    rng = np.random.default_rng(82)
    found = measure(DDM().update_many(rng.random(N) < rate).size > 0 for _ in range(120))
    assert found.low <= stated <= found.high, found


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "stated"), [(0.1, 0.0), (1.0, 125.0), (10.0, 5973.0)])
def test_page_hinkley_depends_on_the_unit(spread: float, stated: float) -> None:
    rng = np.random.default_rng(83)
    counts = [PageHinkley().update_many(rng.normal(0, spread, N)).size for _ in range(20)]
    assert np.mean(counts) == pytest.approx(stated, rel=0.05)


@pytest.mark.parametrize(
    ("make", "change", "within", "at_least"),
    [
        (ADWIN, 1.0, 200, 0.9),
        (ADWIN, 0.5, 500, 0.9),
        (ADWIN, 0.2, 3000, 0.9),
        (lambda: PageHinkley(delta=0.05, threshold=2.0), 0.5, 500, 0.85),
    ],
)
def test_power_under_named_shifts(
    make: Callable[[], Detector], change: float, within: int, at_least: float, measure: Measure
) -> None:
    """In standard deviations of 0.1, after 10,000 values."""
    rng = np.random.default_rng(84)
    hits = []
    for _ in range(150):
        values = rng.normal(0.3, 0.1, 10_000 + within)
        values[10_000:] += 0.1 * change
        hits.append(bool((make().update_many(values) >= 10_000).any()))
    found = measure(hits)
    assert found.low > at_least, found
