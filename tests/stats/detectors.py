"""Every detector on streams, so that what holds for all of them is tested on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trimtab.stats.adwin import ADWIN
from trimtab.stats.ddm import DDM
from trimtab.stats.error_rate import ErrorRateCusum
from trimtab.stats.page_hinkley import PageHinkley
from trimtab.stats.self_starting import SelfStartingPageHinkley
from trimtab.stats.streams import Batch

Floats = NDArray[np.float64]


class Detector(Protocol):
    """What a detector can do."""

    refused: int

    @property
    def alarmed(self) -> bool: ...

    @property
    def ready(self) -> bool: ...

    def update(self, value: float, /) -> bool: ...

    def update_many(self, values: Batch, /) -> NDArray[np.int64]: ...

    def reset(self) -> None: ...

    def to_state(self) -> dict[str, object]: ...


DETECTORS: dict[str, Callable[[], Detector]] = {
    "adwin": ADWIN,
    "page-hinkley": lambda: PageHinkley(threshold=12.0),
    "ddm": DDM,
    "error rate": lambda: ErrorRateCusum(warm_up=50, ratio=1.5, run_length=1e4, level=0.01),
    "self-starting": lambda: SelfStartingPageHinkley(allowance=0.5, threshold=14.0, warm_up=20),
}
ON_ERRORS = ("ddm", "error rate")
STANDS = ("self-starting",)  # an alarm stands until it is reset; the others begin anew
RESTORE: dict[str, Callable[[Mapping[str, object]], Detector]] = {
    "adwin": ADWIN.from_state,
    "page-hinkley": PageHinkley.from_state,
    "ddm": DDM.from_state,
    "error rate": ErrorRateCusum.from_state,
    "self-starting": SelfStartingPageHinkley.from_state,
}


def stream(name: str, n: int, *, seed: int, at: int) -> Floats:
    """Values that the detector is made for, with a clear change: 3 deviations, 10 % to 50 %."""
    rng = np.random.default_rng(seed)
    later = np.arange(n) >= at
    if name in ON_ERRORS:
        return (rng.random(n) < np.where(later, 0.5, 0.1)).astype(np.float64)
    return rng.normal(0.0, 1.0, n) + 3.0 * later


def one_by_one(detector: Detector, values: Floats) -> list[int]:
    """Indices at which an alarm was raised, given one by one."""
    found = []
    for index, value in enumerate(values.tolist()):
        stood = detector.alarmed
        if detector.update(value) and not (stood and "alarmed_at" in detector.to_state()):
            found.append(index)
    return found


def in_chunks(detector: Detector, values: Floats, sizes: list[int]) -> list[int]:
    """Indices at which an alarm was raised, given in chunks of these sizes in turn."""
    found: list[int] = []
    at = turn = 0
    while at < len(values):
        size = sizes[turn % len(sizes)]
        found += [at + int(i) for i in detector.update_many(values[at : at + size])]
        at, turn = at + size, turn + 1
    return found
