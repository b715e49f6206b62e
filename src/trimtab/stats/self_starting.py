"""A series of window values: has its level changed, whatever its unit?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import streams
from trimtab.stats._kernels import ALARM
from trimtab.stats.special import normal_quantile, t_sf

_FARTHEST = 37.0  # standard deviations; the normal tail is no longer a float beyond


@dataclass
class SelfStartingPageHinkley:
    """Page-Hinkley's test in both directions, on values that it standardises itself.

    Each value is compared with all before it by Student's t and mapped to a normal score.
    While nothing changes the scores are independent standard normal, however few values there
    were before and whatever the unit, so the false-alarm rate does not depend on a guessed
    baseline. A level change accumulates until a sum passes the threshold.

    NaN and infinities are counted in `refused` and change nothing else.

    When not to use it: where single predictions come by the thousand a second, since a value
    takes some microseconds, in a batch too; take `page_hinkley` or `adwin`. Where values
    depend on those before them it alarms more often than stated. The mean goes on learning,
    so a change that is too small to alarm is absorbed in time.

    Args:
        allowance: Change that is tolerated for ever, in standard deviations; half the change
            to be caught is customary.
        threshold: Sum at which the alarm is raised, in standard deviations. With an allowance
            of 0.5 a threshold of 5 gives one false alarm in 465 values, 4 one in 168.
        warm_up: Values that only teach, 3 or more.

    Raises:
        InvalidInput: a setting outside its range.

    Example:
        >>> import numpy as np
        >>> hourly = np.random.default_rng(7).normal(0.031, 0.004, 200)
        >>> hourly[150:] += 0.008
        >>> watch = SelfStartingPageHinkley(allowance=0.5, threshold=8.0, warm_up=20)
        >>> watch.update_many(hourly)
        array([154])

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
        """Take the next value in; whether the alarm stands after it."""
        if type(value) is not float:
            value = streams.number(value)
        if not streams.measurable(value):
            self.refused += 1
            return self.alarmed
        if self.ready:
            score = self._score(value)
            self.up = max(0.0, self.up + score - self.allowance)
            self.down = max(0.0, self.down - score - self.allowance)
        self._learn(value)
        if not self.alarmed and max(self.up, self.down) > self.threshold:
            self.alarmed_at = self.count
        return self.alarmed

    def update_many(self, values: streams.Batch) -> streams.Indices:
        """Take a batch in, as one by one.

        Args:
            values: Shape (n,); see `streams.Batch`.

        Returns:
            Index of the value that raised the alarm; empty if none did, and while an alarm
            of before stands.

        Raises:
            InvalidInput: not one-dimensional, or neither numbers nor missing.
        """
        found, levels = streams.batch(values)
        for index, value in enumerate(found.tolist()):
            stood = self.alarmed
            if self.update(value) and not stood:
                levels[index] = ALARM
        return streams.alarms(levels)

    def reset(self) -> None:
        """Forget the past and the alarm: what comes next is the new normal."""
        self.count = self.alarmed_at = self.refused = 0
        self.mean = self.squares = self.up = self.down = 0.0

    def to_state(self) -> streams.State:
        """Everything needed to go on elsewhere, ready for JSON."""
        return streams.to_state(self)

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> SelfStartingPageHinkley:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a number is not finite.
        """
        return streams.from_state(cls, state)

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
