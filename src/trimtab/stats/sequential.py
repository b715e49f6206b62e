"""A series of window values: has its level changed?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TypeAlias

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.special import normal_quantile, t_sf

State: TypeAlias = dict[str, float | int]

_FARTHEST = 37.0  # standard deviations; the normal tail is no longer a float beyond


@dataclass
class PageHinkley:
    """Page-Hinkley's test in both directions, on values that it standardises itself.

    Each value is compared with all before it by Student's t and mapped to a normal score.
    While nothing changes the scores are independent standard normal, however few values there
    were before and whatever the unit, so the false-alarm rate does not depend on a guessed
    baseline. A level change accumulates until a sum passes the threshold.

    The mean goes on learning, so a change that is too small to alarm is absorbed in time. A
    series with strong autocorrelation alarms more often than stated.

    Args:
        allowance: Change that is tolerated for ever, in standard deviations; half the change
            to be caught is customary.
        threshold: Sum at which the alarm is raised, in standard deviations. With an allowance
            of 0.5 a threshold of 5 gives one false alarm in 465 values, 4 one in 168.
        warm_up: Values that only teach, 3 or more.

    Raises:
        InvalidInput: a setting outside its range.

    Source: Page (1954); Hinkley (1971); Hawkins (1987) for the self-starting scores.
    """

    allowance: float
    threshold: float
    warm_up: int
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    up: float = 0.0
    down: float = 0.0
    alarmed_at: int = 0
    """Number of the value that raised the alarm, counted from 1; 0 while there is none."""
    refused: int = 0
    """NaN and infinite values that were offered; a series of nothing else is not calm."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.allowance < math.inf:
            raise InvalidInput(f"an allowance of {self.allowance}", field="allowance")
        if not 0.0 < self.threshold < math.inf:
            raise InvalidInput(f"a threshold of {self.threshold}", field="threshold")
        if self.warm_up < 3:
            raise InvalidInput("fewer than 3 values teach no spread", field="warm_up")

    @property
    def alarmed(self) -> bool:
        """Whether a change was found; stays so until `reset`."""
        return self.alarmed_at > 0

    @property
    def ready(self) -> bool:
        """Whether the warm-up is over; before it, no alarm is not calm."""
        return self.count >= self.warm_up

    def update(self, value: float) -> bool:
        """Take the next value in; whether the alarm stands after it.

        Raises:
            InvalidInput: NaN or infinite. It is counted in `refused` and changes nothing
                else: the next value is judged as if it had not come.
        """
        if not math.isfinite(value):
            self.refused += 1
            raise InvalidInput(f"a window value is {value}", field="value")
        if self.ready:
            score = self._score(value)
            self.up = max(0.0, self.up + score - self.allowance)
            self.down = max(0.0, self.down - score - self.allowance)
        self._learn(value)
        if not self.alarmed and max(self.up, self.down) > self.threshold:
            self.alarmed_at = self.count
        return self.alarmed

    def reset(self) -> None:
        """Forget the past and the alarm: what comes next is the new normal."""
        self.count = self.alarmed_at = self.refused = 0
        self.mean = self.squares = self.up = self.down = 0.0

    def to_state(self) -> State:
        """Everything needed to go on elsewhere, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, float | int]) -> PageHinkley:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a number is not finite.
        """
        wanted = {field.name for field in fields(cls)}
        if set(state) != wanted:
            odd = ", ".join(sorted(wanted.symmetric_difference(state)))
            raise InvalidInput(f"the state has missing or unknown keys: {odd}", field="state")
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in state.values()):
            raise InvalidInput("the state holds something that is no number", field="state")
        whole = ("warm_up", "count", "alarmed_at", "refused")
        if not all(isinstance(state[name], int) and state[name] >= 0 for name in whole):
            raise InvalidInput("the state's counters are not whole numbers", field="state")
        return cls(
            allowance=state["allowance"],
            threshold=state["threshold"],
            warm_up=int(state["warm_up"]),
            count=int(state["count"]),
            mean=state["mean"],
            squares=state["squares"],
            up=state["up"],
            down=state["down"],
            alarmed_at=int(state["alarmed_at"]),
            refused=int(state["refused"]),
        )

    def _score(self, value: float) -> float:
        """Normal score of a value among those before it."""
        if value == self.mean:
            return 0.0
        variance = self.squares / (self.count - 1)
        if variance == 0.0:  # all values so far were the same: any other is a change
            return math.copysign(_FARTHEST, value - self.mean)
        t = (value - self.mean) / math.sqrt(variance * (1.0 + 1.0 / self.count))
        tail = t_sf(abs(t), self.count - 1)
        far = _FARTHEST if tail < 1e-300 else max(0.0, -normal_quantile(tail))
        return math.copysign(far, t)

    def _learn(self, value: float) -> None:
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)
