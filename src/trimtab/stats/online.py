"""The same question asked window after window: at most a share of all alarms ever is false.

A test at 0.05 in every window alarms falsely for ever, one alarm in twenty windows. These
procedures have a budget of false alarms. Each test spends some of it, each discovery earns some
back, and the level of the next test is known before its p-value is. So the share of false
discoveries is kept at every moment, however long it goes on. Over tenants and features, give
one p-value for each window (`multiplicity.simes`, or the p-value of a family), then look inside
the windows that alarm.

Sources: Foster and Stine (2008), alpha-investing; Ramdas, Yang, Wainwright and Jordan (2017),
LORD++; Ramdas, Zrnic, Wainwright and Jordan (2018), SAFFRON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.sample import checked_level, checked_open

_LORD_MASS = 0.079  # the weights of LORD++ then add up to 0.999 (sum and tail integral)
_SAFFRON_MASS = 0.4374901658  # 1 / zeta(1.6)


@dataclass
class Lord:
    """LORD++: the level of the next test from when the discoveries so far were made.

    The share of false discoveries stays at most `level` for independent p-values. Long after the
    last discovery the level falls towards 0, but never reaches it. The state grows by one
    number with each discovery.

    Args:
        level: Acceptable share of false discoveries, at most 0.5.
        tested: Tests so far.
        discoveries: The number of each test that fell, counted from 1.

    Raises:
        InvalidInput: a level that is no false-alarm rate, or a state that cannot be.

    Source: Ramdas, Yang, Wainwright and Jordan (2017), with half of the level as first wealth.

    Example:
        >>> stream = Lord(level=0.05)
        >>> [stream.test(p) for p in (0.3, 1e-6, 0.2, 0.8)]
        [False, True, False, False]
        >>> Lord.from_state(stream.to_state()) == stream
        True
    """

    level: float
    tested: int = 0
    discoveries: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        checked_level(self.level)
        _checked_times(self.tested, self.discoveries)

    def next_level(self) -> float:
        """The level at which the next p-value is judged; known before it is."""
        now, first_wealth = self.tested + 1, self.level / 2.0
        level = first_wealth * _lord_weight(now)
        for place, time in enumerate(self.discoveries):
            earned = self.level - first_wealth if place == 0 else self.level
            level += earned * _lord_weight(now - time)
        return level

    def test(self, p_value: float) -> bool:
        """Take the next p-value in; whether its hypothesis falls.

        Raises:
            InvalidInput: NaN or outside 0..1; nothing is changed by it.
        """
        fell = _checked_p(p_value) <= self.next_level()
        self.tested += 1
        if fell:
            self.discoveries.append(self.tested)
        return fell

    def to_state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere, ready for JSON."""
        return {
            "level": self.level,
            "tested": self.tested,
            "discoveries": list(self.discoveries),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Lord:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value cannot be.
        """
        _checked_keys(state, ("level", "tested", "discoveries"))
        return cls(
            level=_number(state["level"]),
            tested=_whole(state["tested"]),
            discoveries=_wholes(state["discoveries"]),
        )


@dataclass
class Saffron:
    """SAFFRON: as LORD++, but a p-value above `candidate` costs nothing.

    Finds more than LORD++ when many hypotheses are false; nearly the same when few are. The
    share of false discoveries stays at most `level` for independent p-values.

    Args:
        level: Acceptable share of false discoveries, at most 0.5.
        candidate: p-values up to this are candidates, which pay; between 0 and 1.
        tested: Tests so far.
        discoveries: The number of each test that fell, counted from 1.
        candidates: Candidates since the beginning, then since each discovery.

    Raises:
        InvalidInput: a level that is no false-alarm rate, a candidate limit outside 0..1, or
            a state that cannot be.

    Source: Ramdas, Zrnic, Wainwright and Jordan (2018), with half of the level as first wealth.

    Example:
        >>> stream = Saffron(level=0.05)
        >>> [stream.test(p) for p in (0.3, 1e-6, 0.7, 0.8)]
        [False, True, False, False]
        >>> Saffron.from_state(stream.to_state()) == stream
        True
    """

    level: float
    candidate: float = 0.5
    tested: int = 0
    discoveries: list[int] = field(default_factory=list)
    candidates: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        checked_level(self.level)
        checked_open(self.candidate, low=0.0, high=1.0, field="candidate")
        _checked_times(self.tested, self.discoveries)
        if len(self.candidates) != len(self.discoveries) + 1 or min(self.candidates) < 0:
            raise InvalidInput("candidates and discoveries do not belong together", field="state")

    def next_level(self) -> float:
        """The level at which the next p-value is judged; known before it is."""
        now, first_wealth = self.tested + 1, self.level / 2.0
        level = first_wealth * _saffron_weight(now - self.candidates[0])
        for place, time in enumerate(self.discoveries):
            earned = self.level - first_wealth if place == 0 else self.level
            level += earned * _saffron_weight(now - time - self.candidates[place + 1])
        return min(self.candidate, (1.0 - self.candidate) * level)

    def test(self, p_value: float) -> bool:
        """Take the next p-value in; whether its hypothesis falls.

        Raises:
            InvalidInput: NaN or outside 0..1; nothing is changed by it.
        """
        fell = _checked_p(p_value) <= self.next_level()
        self.tested += 1
        if p_value <= self.candidate:
            self.candidates = [count + 1 for count in self.candidates]
        if fell:
            self.discoveries.append(self.tested)
            self.candidates.append(0)
        return fell

    def to_state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere, ready for JSON."""
        return {
            "level": self.level,
            "candidate": self.candidate,
            "tested": self.tested,
            "discoveries": list(self.discoveries),
            "candidates": list(self.candidates),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Saffron:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value cannot be.
        """
        _checked_keys(state, ("level", "candidate", "tested", "discoveries", "candidates"))
        return cls(
            level=_number(state["level"]),
            candidate=_number(state["candidate"]),
            tested=_whole(state["tested"]),
            discoveries=_wholes(state["discoveries"]),
            candidates=_wholes(state["candidates"]),
        )


def _lord_weight(j: int) -> float:
    """Share of a budget for the j-th test after it was earned; the shares add up to 1."""
    later = math.log(max(j, 2))
    return _LORD_MASS * later / (j * math.exp(math.sqrt(math.log(j))))


def _saffron_weight(j: int) -> float:
    """As `_lord_weight`, over tests that were no candidates: j to the power of -1.6."""
    return float(_SAFFRON_MASS * max(1, j) ** -1.6)


def _checked_p(p_value: float) -> float:
    if not 0.0 <= p_value <= 1.0:
        raise InvalidInput(f"a p-value of {p_value}", field="p_value")
    return p_value


def _checked_times(tested: int, discoveries: list[int]) -> None:
    rising = all(a < b for a, b in zip([0, *discoveries], [*discoveries, tested + 1], strict=True))
    if tested < 0 or not rising:
        raise InvalidInput("the discoveries are not numbers of tests in order", field="state")


def _checked_keys(state: Mapping[str, Any], wanted: Iterable[str]) -> None:
    if set(state) != set(wanted):
        odd = ", ".join(sorted(set(wanted).symmetric_difference(state)))
        raise InvalidInput(f"the state has missing or unknown keys: {odd}", field="state")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput("the state holds something that is no number", field="state")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput("the state holds something that is no whole number", field="state")
    return value


def _wholes(values: object) -> list[int]:
    if not isinstance(values, list):
        raise InvalidInput("the state holds something that is no list", field="state")
    return [_whole(value) for value in values]
