"""The far ends of two columns, against SciPy and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.tails import OUTERMOST, tail_p_value

LAWS: dict[str, Any] = {
    "heavy": lambda rng, n: np.exp(2.0 * rng.normal(size=n)),
    "normal": lambda rng, n: rng.normal(size=n),
    "ties": lambda rng, n: rng.integers(0, 12, n).astype(float),
}


def counts(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.append(np.unique(np.concatenate([x, y])), np.inf)
    return np.histogram(x, edges)[0], np.histogram(y, edges)[0]


def test_one_cut_is_the_exact_test_of_fisher() -> None:
    before, now = np.array([9_990, 10]), np.array([4_980, 20])
    # Of the cuts that there are, the last cell alone is an end: it holds 30 rows.
    chance = 2.0 * scipy.stats.hypergeom.sf(19, 15_000, 30, 5_000)
    assert tail_p_value(before, now) == pytest.approx(chance, rel=1e-9)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "m"), [(100, 100), (2000, 400)])
def test_calm_columns_stay_below_their_level(law: str, n: int, m: int) -> None:
    rng, draw = np.random.default_rng(3), LAWS[law]
    found = np.array([tail_p_value(*counts(draw(rng, n), draw(rng, m))) for _ in range(600)])
    for level in (0.05, 0.01):
        alarms = int((found <= level).sum())
        assert scipy.stats.binomtest(alarms, found.size, level, "greater").pvalue > 1e-3


@pytest.mark.parametrize("far", [1.0, -1.0])
def test_thirty_rows_in_ten_thousand_are_seen_at_either_end(far: float) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=10_000), rng.normal(size=10_000)
    y[:30] = far * 1e6
    assert tail_p_value(*counts(x, y)) < 1e-6
    assert tail_p_value(*counts(y, x)) < 1e-6


def test_what_is_no_end_is_not_asked() -> None:
    assert tail_p_value(np.array([0, 900]), np.array([40, 860])) < 1e-9
    assert tail_p_value(np.array([900, 0]), np.array([900, 0])) == 1.0
    assert min(OUTERMOST) > 1  # one row far out is no evidence


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidInput):
        tail_p_value(np.array([1, 2]), np.array([1, 2, 3]))
    with pytest.raises(TooFewValues):
        tail_p_value(np.array([0, 0]), np.array([1, 2]))
