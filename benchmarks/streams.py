"""What one value of a stream costs: in a batch, one by one from Python, and with River.

A batch stands beside one compiled pass that sums the same values up; a single value and River
beside the call of a method that does nothing. Their Python is in all three.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.floor import Figure, Goal
from trimtab.stats.adwin import ADWIN
from trimtab.stats.ddm import DDM
from trimtab.stats.error_rate import ErrorRateCusum
from trimtab.stats.page_hinkley import PageHinkley

Floats = NDArray[np.float64]
DETECTORS: dict[str, tuple[Callable[[], Any], str, str | None]] = {
    # what makes one, the values it gets, what River calls it
    "ADWIN": (ADWIN, "numeric", "ADWIN"),
    "DDM": (DDM, "errors", "binary.DDM"),
    "Page-Hinkley": (PageHinkley, "numeric", "PageHinkley"),
    "error rate": (
        lambda: ErrorRateCusum(warm_up=1000, ratio=1.5, run_length=1e6, level=0.01),
        "errors",
        None,
    ),
}
IN_BATCH = {"ADWIN": Goal(20), "DDM": Goal(5), "Page-Hinkley": Goal(4)}
ONE_BY_ONE = {"DDM": Goal(250), "Page-Hinkley": Goal(250)}
BATCHES = 7
SINGLES = 5


class Nothing:
    """The least that a value from Python costs."""

    __slots__ = ()

    def update(self, value: float) -> bool:
        """Do nothing with it."""
        return False


def measure(*, tiny: bool) -> list[Figure]:
    """Nanoseconds a value."""
    batch = _values(1_000 if tiny else 1_000_000)
    single = {kind: values.tolist() for kind, values in _values(1_000 if tiny else 100_000).items()}
    figures = [
        _in_batch(name, make, batch[kind], 1 if tiny else BATCHES)
        for name, (make, kind, _) in DETECTORS.items()
    ]
    for name, (make, kind, theirs) in DETECTORS.items():
        figures += _one_by_one(name, make, theirs, single[kind], 1 if tiny else SINGLES)
    return figures


def _values(n: int) -> dict[str, Floats]:
    """An abrupt change at 40 %, a gradual one from 70 % to 90 %; always the same values."""
    rng, place = np.random.default_rng(7), np.arange(n) / n
    abrupt, ramp = place >= 0.4, np.clip((place - 0.7) / 0.2, 0.0, 1.0)
    return {
        "errors": (rng.random(n) < 0.10 + 0.05 * abrupt + 0.10 * ramp).astype(np.float64),
        "numeric": rng.normal(0.3 + 0.1 * abrupt + 0.2 * ramp, 0.1),
    }


def _in_batch(name: str, make: Callable[[], Any], values: Floats, runs: int) -> Figure:
    total, how = _running_sum()
    total(values[:10])
    make().update_many(values[:10])  # loads what is compiled
    ours, floor = [], []
    for _ in range(runs):
        ours.append(_nanoseconds(make().update_many, [values], len(values)))
        floor.append(_nanoseconds(total, [values], len(values)))
    return Figure(f"{name}, in a batch", "ns/value", ours, floor, how, IN_BATCH.get(name))


def _one_by_one(
    name: str, make: Callable[[], Any], theirs: str | None, values: list[float], runs: int
) -> list[Figure]:
    """Ours and River's, in turn; the second only where it is installed and has such a detector."""
    river = _river(theirs) if theirs else None
    absent = theirs is not None and river is None
    floor_is = "an empty method" + ("; River is not installed" if absent else "")
    ours, other, floor = [], [], []
    for _ in range(runs):
        ours.append(_nanoseconds(make().update, values, len(values)))
        floor.append(_nanoseconds(Nothing().update, values, len(values)))
        if river is not None:
            other.append(_nanoseconds(river().update, values, len(values)))
    goal = ONE_BY_ONE.get(name)
    found = [Figure(f"{name}, one by one", "ns/value", ours, floor, floor_is, goal)]
    if other:
        found.append(Figure(f"{name}, one by one, River", "ns/value", other, floor, floor_is))
    return found


def _nanoseconds(call: Callable[[Any], object], arguments: Iterable[Any], values: int) -> float:
    """Nanoseconds for each of so many values, in one call for each argument."""
    began = time.perf_counter()
    for argument in arguments:
        call(argument)
    return (time.perf_counter() - began) / values * 1e9


def _running_sum() -> tuple[Callable[[Floats], object], str]:
    if importlib.util.find_spec("numba") is None:
        return np.cumsum, "numpy's running sum (numba is not installed)"
    compiled: Callable[[Floats], object] = importlib.import_module("numba").njit(_sum)
    return compiled, "a compiled sum, in order"


def _sum(values: Floats) -> float:
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total


def _river(name: str) -> Callable[[], Any] | None:
    if importlib.util.find_spec("river") is None:
        return None
    found: Any = importlib.import_module("river.drift")
    for part in name.split("."):
        found = getattr(found, part)
    made: Callable[[], Any] = found
    return made
