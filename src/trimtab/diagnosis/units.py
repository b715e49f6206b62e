"""Ratios between units that feeds mix up, by name."""

from __future__ import annotations

import math

RATIOS: tuple[tuple[str, str, float], ...] = (
    ("miles", "kilometres", 1.609344),
    ("nautical miles", "kilometres", 1.852),
    ("nautical miles", "miles", 1.150779448),
    ("feet", "metres", 0.3048),
    ("yards", "metres", 0.9144),
    ("inches", "centimetres", 2.54),
    ("pounds", "kilograms", 0.45359237),
    ("US gallons", "litres", 3.785411784),
    ("knots", "metres per second", 0.514444),
    ("minutes", "seconds", 60.0),
    ("hours", "seconds", 3600.0),
    ("days", "hours", 24.0),
    ("kilo-units", "units", 1000.0),
    ("mega-units", "units", 1e6),
    ("a share", "percent", 100.0),
    ("tens", "ones", 10.0),
)
"""(from, to, factor): a value in `from` times the factor is the value in `to`."""

SHIFTS: tuple[tuple[str, str, float, float], ...] = (
    ("degrees Celsius", "degrees Fahrenheit", 1.8, 32.0),
    ("degrees Celsius", "kelvins", 1.0, 273.15),
)
"""(from, to, factor, offset): a value in `from` times the factor plus the offset is in `to`."""

_SAME = 0.005
"""Two ratios within half a percent are one: a feed's constant may be rounded (1.61)."""


def named(factor: float, low: float, high: float) -> tuple[str, str] | None:
    """The pair of units (before, after) that `factor`, between `low` and `high`, stands for."""
    found: list[tuple[float, str, str]] = []
    for smaller, larger, ratio in RATIOS:
        for before, after, value in ((smaller, larger, ratio), (larger, smaller, 1.0 / ratio)):
            if min(low, factor * (1 - _SAME)) <= value <= max(high, factor * (1 + _SAME)):
                found.append((abs(math.log(factor / value)), before, after))
    if not found:
        return None
    _, before, after = min(found)
    return before, after


def named_shift(factor: float, offset: float) -> tuple[str, str] | None:
    """The pair of units (before, after) that a factor and an offset together stand for."""
    for smaller, larger, ratio, shift in SHIFTS:
        for before, after, f, o in (
            (smaller, larger, ratio, shift),
            (larger, smaller, 1.0 / ratio, -shift / ratio),
        ):
            if abs(factor / f - 1.0) <= 4 * _SAME and abs(offset / o - 1.0) <= 8 * _SAME:
                return before, after
    return None
