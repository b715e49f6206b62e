"""A stream of errors: does a model err more often than at its best, as DDM judges it?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import _kernels, streams
from trimtab.stats._kernels import ALARM, CALM, LARGEST, WARNING

_UNSET = {"low_rate": 0.0, "low_spread": 0.0}


@dataclass(slots=True)
class DDM:
    """Drift detection method: same warnings and alarms as River 0.26.

    The error rate since the last alarm, plus its standard deviation, is compared with the
    lowest such sum so far. Beyond `warning_threshold` deviations of that time it warns,
    beyond `drift_threshold` it alarms. The value after an alarm begins anew. NaN and
    infinities are counted in `refused` and change nothing else.

    When not to use it: where a false-alarm rate has to be stated, and where errors are rare.
    It looks after every value at an interval made for one look, and after a warm-up without
    an error the lowest rate and its deviation are 0, so the very next error is an alarm: with
    errors of 0.1 % it alarms falsely some 60 times in 200,000 values. It is also late after
    a long calm time, since the rate is that of all values. `error_rate` has neither fault.

    Args:
        warm_start: Values since the last alarm that only teach.
        warning_threshold: Standard deviations above the best rate that are a warning.
        drift_threshold: Standard deviations above the best rate that are an alarm.

    Raises:
        InvalidInput: a setting outside its range.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(7)
        >>> errors = rng.random(4000) < np.where(np.arange(4000) < 2000, 0.10, 0.20)
        >>> watch = DDM()
        >>> watch.update_many(errors)
        array([2614])

    Source: Gama, Medas, Castillo and Rodrigues (2004). The order of operations is that of
    River's detector of this name (Montiel et al. 2021).
    """

    warm_start: int = 30
    warning_threshold: float = 2.0
    drift_threshold: float = 3.0
    count: int = 0
    """Values taken in since the last alarm, the one that raised it included."""
    rate: float = 0.0
    """Error rate of these."""
    low_rate: float = math.inf
    low_spread: float = math.inf
    level: int = CALM
    """After the last value that was taken in: 0 calm, 1 a warning, 2 an alarm."""
    refused: int = 0

    def __post_init__(self) -> None:
        if self.warm_start < 0:
            raise InvalidInput("a number of values is not negative", field="warm_start")
        for name in ("warning_threshold", "drift_threshold"):
            if not 0.0 <= getattr(self, name) < LARGEST:
                raise InvalidInput(f"{name} is {getattr(self, name)}", field=name)

    @property
    def alarmed(self) -> bool:
        """Whether the last value that was taken in raised an alarm."""
        return self.level == ALARM

    @property
    def warned(self) -> bool:
        """Whether the last value that was taken in left a warning, and no alarm."""
        return self.level == WARNING

    @property
    def ready(self) -> bool:
        """Whether the next value may raise an alarm; before that, no alarm is not calm."""
        return not self.alarmed and self.count >= self.warm_start

    def update(self, error: float) -> bool:
        """Take the next value in, 1 for an error, 0 for none; whether it raised an alarm.

        Raises:
            InvalidInput: another number.
        """
        if error == 0.0:
            error = 0.0  # a plain float, whatever it was
        elif error == 1.0:
            error = 1.0
        else:
            self.refused += streams.refusal(error)
            return False
        if self.level == ALARM:
            self._begin()
        self.count = count = self.count + 1
        self.rate = rate = self.rate + (1.0 / count) * (error - self.rate)
        if count <= self.warm_start:
            return False
        spread = math.sqrt(rate * (1.0 - rate) / count)
        top = rate + spread
        if top <= self.low_rate + self.low_spread:
            self.low_rate, self.low_spread = rate, spread
        if top <= self.low_rate + self.warning_threshold * self.low_spread:
            self.level = CALM
        else:
            self.level = WARNING
        if top > self.low_rate + self.drift_threshold * self.low_spread:
            self.level = ALARM
            return True
        return False

    def levels(self, errors: streams.Batch) -> _kernels.Levels:
        """Take a batch in, as one by one; compiled where the extra `streams` is installed.

        Args:
            errors: Shape (n,), 1 for an error, 0 for none; see `streams.Batch`.

        Returns:
            Shape (n,): after each value 0 calm (or still learning), 1 a warning, 2 an alarm,
            and -1 for a value that was refused.

        Raises:
            InvalidInput: not one-dimensional, or a number other than 0 and 1; then nothing
                was taken in.
        """
        found, levels = streams.binary_batch(errors)
        settings = (self.warm_start, self.warning_threshold, self.drift_threshold)
        state = (self.count, self.rate, self.low_rate, self.low_spread, self.level)
        (
            self.count,
            self.rate,
            self.low_rate,
            self.low_spread,
            self.level,
            self.refused,
        ) = _kernels.kernel(_kernels.ddm)(found, levels, *settings, *state, self.refused)
        return levels

    def update_many(self, errors: streams.Batch) -> streams.Indices:
        """Take a batch in, as `levels` does; the indices of the values that raised an alarm."""
        return streams.alarms(self.levels(errors))

    def reset(self) -> None:
        """Forget the past: what comes next is the new normal."""
        self._begin()
        self.refused = 0

    def to_state(self) -> streams.State:
        """Everything needed to go on elsewhere, ready for JSON."""
        state = streams.to_state(self)
        return state if math.isfinite(self.low_rate) else {**state, **_UNSET}

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> DDM:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value is not what it should be.
        """
        found = streams.from_state(cls, state)
        if not 0.0 <= found.rate <= 1.0 or found.level > ALARM:
            raise InvalidInput("the state is none of this detector", field="state")
        if found.count <= found.warm_start:
            found.low_rate = found.low_spread = math.inf
        return found

    def _begin(self) -> None:
        self.count, self.rate, self.level = 0, 0.0, CALM
        self.low_rate = self.low_spread = math.inf
