"""frouros' detectors of drift in data. `tests` asks Kolmogorov-Smirnov and chi-squared, each at
0.05; `psi` asks the stability index of numbers, from 0.1. It knows no nulls: they are left out."""

from __future__ import annotations

from typing import Any

from benchmarks.peers import timed

drift = timed.module("frouros.detectors.data_drift")


def look(reference: str, current: str, method: str) -> set[str]:
    """Columns beyond the level, or the effect."""
    before, now = timed.tables(reference, current)
    found = set()
    for name in before.columns:
        detector = _detector(name, method)
        if detector is None:
            continue
        a, b = before[name].dropna().to_numpy(), now[name].dropna().to_numpy()
        detector.fit(X=a)
        result = detector.compare(X=b)[0]
        moved = result.distance > timed.EFFECT if method == "psi" else result.p_value <= timed.LEVEL
        if moved:
            found.add(name)
    return found


def _detector(name: str, method: str) -> Any:
    if timed.is_number(name):
        return drift.PSI() if method == "psi" else drift.KSTest()
    return None if method == "psi" else drift.ChiSquareTest()


timed.main("frouros", look, "tests")
