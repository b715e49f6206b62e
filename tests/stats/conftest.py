"""One way to state a measured rate: how often something happened, with an exact interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from trimtab.stats.intervals import Interval, clopper_pearson

Measure = Callable[[Iterable[bool]], Interval]


@pytest.fixture
def measure() -> Measure:
    """The share of True with its 99 % Clopper-Pearson interval."""

    def interval(outcomes: Iterable[bool]) -> Interval:
        seen = [bool(outcome) for outcome in outcomes]
        return clopper_pearson(sum(seen), len(seen), confidence=0.99)

    return interval
