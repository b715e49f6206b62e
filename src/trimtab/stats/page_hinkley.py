"""A numeric stream: has its mean moved by more than is tolerated, in the stream's own unit?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import _kernels, streams
from trimtab.stats._kernels import LARGEST, TOO_LARGE

MODES = ("both", "up", "down")


@dataclass(slots=True)
class PageHinkley:
    """Page-Hinkley's test against the running mean: same alarms as River 0.26.

    Deviations from the mean of all values since the last alarm are summed up with a
    tolerance and a slow forgetting. An alarm is raised where the sum has risen (fallen) by
    more than the threshold since its lowest (highest) point. The value after an alarm begins
    anew. NaN and infinities are counted in `refused` and change nothing else.

    When not to use it: on a stream whose spread is not known. `delta` and `threshold` are in
    the unit of the values, so the same settings never alarm at one scale and always at
    another: with the defaults, calm normal values give no alarm in 200,000 at a standard
    deviation of 0.1, over 100 at 1 and some 6,000 at 10. `self_starting` standardises its
    values itself.

    Args:
        min_instances: Values since the last alarm before the next may be raised.
        delta: Deviation from the mean that is tolerated, in the unit of the values.
        threshold: Sum at which the alarm is raised, in the unit of the values.
        alpha: Share of the sum that is kept from one value to the next, above 0 and up to 1.
        mode: `both`, `up` (only a rise alarms) or `down` (only a fall).

    Raises:
        InvalidInput: a setting outside its range.

    Example:
        >>> import numpy as np
        >>> values = np.random.default_rng(7).normal(0.3, 0.1, 4000)
        >>> values[2000:] += 0.2
        >>> watch = PageHinkley(threshold=10.0)
        >>> watch.update_many(values)
        array([2034])

    Source: Page (1954); Hinkley (1971); Mouss et al. (2004) for the forgetting. The order of
    operations is that of River's detector of this name (Montiel et al. 2021).
    """

    min_instances: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 0.9999
    mode: str = "both"
    count: int = 0
    """Values taken in since the last alarm, the one that raised it included."""
    mean: float = 0.0
    up: float = 0.0
    lowest: float = 0.0
    down: float = 0.0
    highest: float = 0.0
    alarmed: bool = False
    """Whether the last value that was taken in raised an alarm."""
    refused: int = 0

    def __post_init__(self) -> None:
        if self.min_instances < 0:
            raise InvalidInput("a number of values is not negative", field="min_instances")
        if not 0.0 <= self.delta < LARGEST:
            raise InvalidInput(f"a delta of {self.delta}", field="delta")
        if not 0.0 <= self.threshold < LARGEST:
            raise InvalidInput(f"a threshold of {self.threshold}", field="threshold")
        if not 0.0 < self.alpha <= 1.0:
            raise InvalidInput(f"an alpha of {self.alpha}", field="alpha")
        if self.mode not in MODES:
            raise InvalidInput(f"no mode {self.mode!r}; {', '.join(MODES)}", field="mode")

    @property
    def ready(self) -> bool:
        """Whether the next value may raise an alarm; before that, no alarm is not calm."""
        return not self.alarmed and self.count + 1 >= self.min_instances

    def update(self, value: float) -> bool:
        """Take the next value in; whether it raised an alarm."""
        if type(value) is not float:
            value = streams.number(value)
        if not value * value < TOO_LARGE:
            self.refused += 1
            return False
        if self.alarmed:
            self._begin()
        self.count = count = self.count + 1
        self.mean = mean = self.mean + (1.0 / count) * (value - self.mean)
        step = value - mean
        alpha, delta = self.alpha, self.delta
        self.up = up = alpha * self.up + step - delta
        self.down = down = alpha * self.down + step + delta
        if up < self.lowest:
            self.lowest = up
        elif up - self.lowest > self.threshold and self._counts("down"):
            self.alarmed = True
        if down > self.highest:
            self.highest = down
        elif self.highest - down > self.threshold and self._counts("up"):
            self.alarmed = True
        return self.alarmed

    def update_many(self, values: streams.Batch) -> streams.Indices:
        """Take a batch in, as one by one; compiled where the extra `streams` is installed.

        Args:
            values: Shape (n,); see `streams.Batch`.

        Returns:
            Indices of the values that raised an alarm.

        Raises:
            InvalidInput: not one-dimensional, or neither numbers nor missing.
        """
        found, levels = streams.batch(values)
        up_limit = math.inf if self.mode == "down" else self.threshold
        down_limit = math.inf if self.mode == "up" else self.threshold
        settings = (self.min_instances, self.delta, self.alpha, up_limit, down_limit)
        state = (self.count, self.mean, self.up, self.lowest, self.down, self.highest)
        (
            self.count,
            self.mean,
            self.up,
            self.lowest,
            self.down,
            self.highest,
            self.alarmed,
            self.refused,
        ) = _kernels.kernel(_kernels.page_hinkley)(
            found, levels, *settings, *state, self.alarmed, self.refused
        )
        return streams.alarms(levels)

    def reset(self) -> None:
        """Forget the past: what comes next is the new normal."""
        self._begin()
        self.refused = 0

    def to_state(self) -> streams.State:
        """Everything needed to go on elsewhere, ready for JSON."""
        return streams.to_state(self)

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> PageHinkley:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value is not what it should be.
        """
        return streams.from_state(cls, state)

    def _begin(self) -> None:
        self.count = 0
        self.mean = self.up = self.lowest = self.down = self.highest = 0.0
        self.alarmed = False

    def _counts(self, ignored: str) -> bool:
        """Whether a sum beyond the threshold is an alarm; not in the mode that ignores it."""
        return self.mode != ignored and self.count >= self.min_instances
