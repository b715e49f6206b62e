"""A mean with an interval that holds at every look: stop when you have seen enough.

An ordinary 95 % interval that is looked at after every window misses the truth sooner or later.
A confidence sequence holds it at all looks at once with its confidence, so a judge may look
whenever it likes. It costs width: about twice that of an interval for a single look.

    BoundedMean      values between two known bounds: valid from the first value on
    AsymptoticMean   values without bounds: valid in the limit, from some hundred values on

Both take values one by one or in batches, with the same result, and their state is JSON. The
values are independent, or at least no value's mean given those before it differs from the one
that is sought.

Sources: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by
betting"; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit
theory and asymptotic confidence sequences".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.stats.intervals import Interval
from trimtab.stats.sample import checked, checked_confidence

State = dict[str, float | int]
"""Plain numbers by name, ready for JSON."""

Kind = TypeVar("Kind", "BoundedMean", "AsymptoticMean")

_LARGEST_BET = 0.5  # of the bets on each value; any fixed number below 1 is valid


@dataclass
class BoundedMean:
    """Confidence sequence of the mean of bounded values, by empirical Bernstein bets.

    The bound on how wrong the mean can be uses the variance of the values so far, so values
    that hardly vary give a narrow interval although the bounds are wide.

    Args:
        low: No value is below.
        high: No value is above.
        confidence: Chance that the interval holds the mean at every look, for ever.
        count: Values so far; the other fields are sums over them.

    Raises:
        InvalidInput: bounds that are not, or a confidence outside 0.5 to 1.

    Source: Waudby-Smith and Ramdas (2024), theorem 2, with the running intersection.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> mean = BoundedMean(low=0.0, high=1.0, confidence=0.95)
        >>> mean.update(rng.beta(2, 6, size=2000))
        >>> found = mean.interval()
        >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
        (0.251, 0.237, 0.255)
        >>> BoundedMean.from_state(mean.to_state()) == mean
        True
    """

    low: float
    high: float
    confidence: float
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    """Squared distances of each value from the mean up to it, on the scale from 0 to 1."""
    bets: float = 0.0
    betted: float = 0.0
    penalty: float = 0.0
    at_least: float = 0.0
    """Largest lower limit so far, from 0 to 1."""
    at_most: float = 1.0

    def __post_init__(self) -> None:
        checked_confidence(self.confidence)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InvalidInput(f"no values lie between {self.low} and {self.high}", field="low")

    def update(self, values: ArrayLike) -> None:
        """Take the next values in, shape (n,) or one number.

        Raises:
            InvalidInput: NaN, infinite, or outside the bounds; nothing is changed by it.
        """
        raw = checked(np.atleast_1d(np.asarray(values)), at_least=0, field="values")
        if raw.size == 0:
            return
        if raw.min() < self.low or raw.max() > self.high:
            raise InvalidInput(
                f"a value lies outside {self.low} to {self.high}",
                field="values",
                remedy="give bounds that hold for every value, or use AsymptoticMean",
            )
        x = (raw - self.low) / (self.high - self.low)
        time = self.count + np.arange(1, x.size + 1)
        # Mean and variance up to each value, begun with one value of 1/2 and a variance of 1/4.
        means = (0.5 + self.total + np.cumsum(x)) / (time + 1.0)
        squares = self.squares + np.cumsum((x - means) ** 2)
        before_mean = np.concatenate([[(0.5 + self.total) / (self.count + 1.0)], means[:-1]])
        before = np.concatenate([[self.squares], squares[:-1]])
        variance = (0.25 + before) / time
        # The bet on a value only knows the values before it.
        wanted = np.sqrt(2.0 * self._cost() / (variance * time * np.log(time + 1.0)))
        bet = np.minimum(_LARGEST_BET, wanted)
        price = (x - before_mean) ** 2 * (-np.log1p(-bet) - bet)
        bets, betted = self.bets + np.cumsum(bet), self.betted + np.cumsum(bet * x)
        penalty = self.penalty + np.cumsum(price)
        reach = (self._cost() + penalty) / bets
        centre = betted / bets
        self.at_least = max(self.at_least, float((centre - reach).max()))
        self.at_most = min(self.at_most, float((centre + reach).min()))
        self.count, self.total = int(time[-1]), self.total + float(x.sum())
        self.squares, self.bets = float(squares[-1]), float(bets[-1])
        self.betted, self.penalty = float(betted[-1]), float(penalty[-1])

    def interval(self) -> Interval:
        """The mean so far, and the range that held the truth at every look until now.

        Raises:
            TooFewValues: no values.
            InvalidInput: the limits have crossed: the mean of the values has changed, so
                there is not one to be estimated.
        """
        if self.count == 0:
            raise TooFewValues("no values yet", field="values")
        if self.at_least > self.at_most:
            raise InvalidInput(
                "the mean has changed while it was estimated",
                field="values",
                remedy="begin a new sequence; that it changed is a finding of its own",
            )
        width = self.high - self.low
        middle = min(self.at_most, max(self.at_least, self.total / self.count))
        return Interval(
            estimate=self.low + width * middle,
            low=self.low + width * self.at_least,
            high=self.low + width * self.at_most,
        )

    def to_state(self) -> State:
        """Everything needed to go on elsewhere, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> BoundedMean:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value is no finite number.
        """
        return _restored(cls, state)

    def _cost(self) -> float:
        return math.log(2.0 / (1.0 - self.confidence))


@dataclass
class AsymptoticMean:
    """Confidence sequence of the mean of values without bounds.

    Valid in the limit of many values, like every interval that trusts a measured variance, so
    nothing is answered before `warm_up` values. Heavy tails need more of them.

    Args:
        confidence: Chance that the interval holds the mean at every look from `warm_up` on.
        tightest_at: The number of values at which the interval is to be narrowest.
        warm_up: Values before the first answer, 2 or more.
        count: Values so far.
        mean: Their mean.
        squares: Their squared distances from the mean.

    Raises:
        InvalidInput: a setting outside its range.

    Source: Waudby-Smith et al. (2024), theorem 2.2: mean plus and minus s sqrt(2 (t r^2 + 1)
    / (t r)^2 log(sqrt(t r^2 + 1) / (1 - confidence))), with r from `tightest_at`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> mean = AsymptoticMean(confidence=0.95, tightest_at=1000)
        >>> mean.update(rng.exponential(size=2000))
        >>> found = mean.interval()
        >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
        (1.012, 0.942, 1.083)
        >>> AsymptoticMean.from_state(mean.to_state()) == mean
        True
    """

    confidence: float
    tightest_at: int = 1000
    warm_up: int = 100
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        checked_confidence(self.confidence)
        if self.tightest_at < 1:
            raise InvalidInput(f"narrowest at {self.tightest_at} values", field="tightest_at")
        if self.warm_up < 2:
            raise InvalidInput("fewer than 2 values show no variance", field="warm_up")

    def update(self, values: ArrayLike) -> None:
        """Take the next values in, shape (n,) or one number.

        Raises:
            InvalidInput: NaN or infinite; nothing is changed by it.
        """
        x = checked(np.atleast_1d(np.asarray(values)), at_least=0, field="values")
        if x.size == 0:
            return
        new_mean, both = float(x.mean()), self.count + x.size
        step = new_mean - self.mean
        self.squares += float(((x - new_mean) ** 2).sum())
        self.squares += step * step * self.count * x.size / both
        self.mean += step * x.size / both
        self.count = both

    def interval(self) -> Interval:
        """The mean so far, and the range that holds the truth at every look.

        Raises:
            TooFewValues: fewer than `warm_up` values, or all of them the same.
        """
        if self.count < self.warm_up:
            raise TooFewValues(
                f"{self.count} values, {self.warm_up} are needed",
                field="values",
                remedy=f"wait for {self.warm_up - self.count} more values",
            )
        if self.squares == 0.0:
            raise TooFewValues("equal values show no variance", field="values")
        level = 1.0 - self.confidence
        # The rate at which the width at `tightest_at` is smallest, to first order.
        rate = (-2.0 * math.log(level) + math.log(1.0 - 2.0 * math.log(level))) / self.tightest_at
        grown = self.count * rate + 1.0
        reach = math.sqrt(2.0 * grown / (self.count**2 * rate) * math.log(math.sqrt(grown) / level))
        half = math.sqrt(self.squares / self.count) * reach
        return Interval(self.mean, self.mean - half, self.mean + half)

    def to_state(self) -> State:
        """Everything needed to go on elsewhere, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> AsymptoticMean:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value is no finite number.
        """
        return _restored(cls, state)


def _restored(kind: type[Kind], state: Mapping[str, Any]) -> Kind:
    wanted = {field.name: field.type for field in fields(kind)}
    if set(state) != set(wanted):
        odd = ", ".join(sorted(set(wanted).symmetric_difference(state)))
        raise InvalidInput(f"the state has missing or unknown keys: {odd}", field="state")
    for name, value in state.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise InvalidInput(f"{name} is no finite number", field="state")
        if wanted[name] == "int" and (not isinstance(value, int) or value < 0):
            raise InvalidInput(f"{name} is no whole number", field="state")
    return kind(**state)
