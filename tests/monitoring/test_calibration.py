"""Drift is called where there is none no more often than is said, and is found where it is.

The long form, with more tables, more rows and brackets, is `benchmarks/drift_power.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import benchmarks.drift_power as power
import pytest
from scipy import stats

from trimtab.monitoring import drift
from trimtab.stats.multiplicity import benjamini_hochberg

UNLIKELY = 1e-4
"""A count of alarms that is rarer than this at the stated level says that it is not held."""


def chance(alarms: int, tables: int) -> float:
    """How likely so many alarms are, or more, where each table has one at the stated level."""
    return float(stats.binom.sf(alarms - 1, tables, power.LEVEL))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 1_000])
@pytest.mark.parametrize("family", power.FAMILIES)
def test_false_alarms_stay_at_their_level(family: str, rows: int) -> None:
    found = power.alarms(family, rows, tables=40)
    assert chance(found.moved, found.tables) > UNLIKELY, found.named
    assert chance(found.structural, found.tables) > UNLIKELY, found.named


@pytest.mark.slow
def test_many_categories_in_few_rows_are_not_new() -> None:
    found = power.alarms("categories", 100, tables=12)
    assert chance(found.structural, found.tables) > UNLIKELY, found.named


@pytest.mark.slow
def test_a_family_that_is_not_judged_as_one_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alone(p_values: Sequence[float], *, level: float) -> tuple[object, object]:
        _, adjusted = kept(p_values, level=level)
        adjusted[:] = p_values
        return None, adjusted

    kept = benjamini_hochberg
    monkeypatch.setattr(drift, "benjamini_hochberg", alone)
    found = power.alarms("benchmark", 100, tables=12)
    assert chance(found.moved, found.tables) < UNLIKELY


@pytest.mark.slow
def test_no_large_table_is_called_moved() -> None:
    found = power.alarms("benchmark", 10_000, tables=10)
    assert (found.moved, found.structural) == (0, 0), found.named


@pytest.mark.slow
def test_all_that_moved_is_found_and_nothing_else() -> None:
    seen = power.power(20_000, seeds=3)
    assert (seen.missed, seen.wrong) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(1_000, 600), (10_000, 600)])
def test_psi_has_the_mean_that_is_stated(rows: int, columns: int) -> None:
    # Nine degrees of freedom: the ratio of so many has a deviation of about 2 %.
    spread = math.sqrt(2 / 9 / columns)
    assert abs(power.psi_by_its_mean(rows, columns) - 1.0) <= 0.05 + 3 * spread
