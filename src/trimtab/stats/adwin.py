"""A numeric stream: has its mean changed anywhere in a window that grows while it has not?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import _kernels, streams
from trimtab.stats._kernels import TOO_LARGE

ROWS = 48
"""Sizes of buckets, 1 to 2**47 values: more than any stream holds."""
_SETTINGS = ("delta", "clock", "max_buckets", "min_window_length", "grace_period")
_STANDING = ("count", "width", "total", "squares", "alarmed", "refused")
_TYPES = {
    **dict.fromkeys(_SETTINGS, "int"),
    **dict.fromkeys(("delta", "width", "total", "squares"), "float"),
    **dict.fromkeys(("count", "refused"), "int"),
    "alarmed": "bool",
    "totals": "rows",
    "spreads": "rows",
}


class ADWIN:
    """Adaptive windowing: same alarms as River 0.26.

    The window is kept as buckets of 1, 2, 4, ... values, so it holds the whole past in some
    hundred numbers. Every `clock` values each boundary of buckets is tried as a cut: where
    the means on its two sides differ by more than a bound of Bernstein's kind allows, the
    oldest buckets are dropped until they no longer do, and an alarm is raised. What then is
    left, `width` values with this `mean`, is the new level. The value after an alarm begins
    a new window. NaN and infinities are counted in `refused` and change nothing else.

    When not to use it: on values much smaller than 1, unless they are multiplied first. A part
    of the bound is made for values between 0 and 1, so a column with a deviation of 0.001
    never alarms; from about 0.1 upwards the unit hardly matters. For a change smaller than
    about a tenth of a deviation, or one that is over within some hundred values. Where a
    false-alarm rate is to be promised: `delta` bounds that of one look in the original, not
    that of a stream; the reference has what was measured. Where values depend on those before
    them it alarms more often. Where values come one by one and each must be fast: plain
    Python takes microseconds for each, a batch some ten nanoseconds.

    Args:
        delta: Confidence of a cut, above 0 and below 1; smaller is calmer.
        clock: Values between two looks at the window, 1 or more.
        max_buckets: Buckets of a size that are kept before two of them merge, 2 or more.
        min_window_length: Values that each side of a cut must have, 1 or more.
        grace_period: Values before the first look.

    Raises:
        InvalidInput: a setting outside its range.

    Example:
        >>> import numpy as np
        >>> values = np.random.default_rng(7).normal(0.3, 0.1, 4000)
        >>> values[2000:] += 0.1
        >>> watch = ADWIN()
        >>> watch.update_many(values)
        array([2111])

    Source: Bifet and Gavaldà (2007); Babcock et al. (2003) for the variances. Which buckets
    are tried and the order of operations are those of River's detector of this name (Montiel
    et al. 2021).
    """

    __slots__ = (
        "_buckets",
        "_seen",
        "alarmed",
        "clock",
        "count",
        "delta",
        "grace_period",
        "max_buckets",
        "min_window_length",
        "refused",
        "rows",
        "squares",
        "total",
        "width",
    )

    def __init__(
        self,
        *,
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        if not 0.0 < delta < 1.0:
            raise InvalidInput(f"a delta of {delta}", field="delta")
        for name, value, least in (
            ("clock", clock, 1),
            ("max_buckets", max_buckets, 2),
            ("min_window_length", min_window_length, 1),
            ("grace_period", grace_period, 0),
        ):
            if value < least:
                raise InvalidInput(f"{name} is {value}, at least {least} is needed", field=name)
        self.delta = delta
        self.clock = clock
        self.max_buckets = max_buckets
        self.min_window_length = min_window_length
        self.grace_period = grace_period
        room = ROWS * (max_buckets + 1)
        rows = (np.zeros(ROWS, dtype=np.int64), np.zeros(ROWS, dtype=np.int64))
        self._buckets = (np.zeros(room), np.zeros(room), *rows)
        # The same memory for plain Python, whose numbers these hand out.
        self._seen: list[Any] = [part.data for part in self._buckets]
        self.refused = self.count = 0
        self.rows = 1
        self.width = self.total = self.squares = 0.0
        self.alarmed = False

    @property
    def mean(self) -> float:
        """Mean of the window: of what is left of it, after an alarm; 0 while it is empty."""
        return self.total / self.width if self.width else 0.0

    @property
    def ready(self) -> bool:
        """Whether the window may be looked at; before that, no alarm is not calm."""
        return not self.alarmed and self.width > self.grace_period

    def update(self, value: float) -> bool:
        """Take the next value in; whether it raised an alarm."""
        if type(value) is not float:
            value = streams.number(value)
        if not value * value < TOO_LARGE:
            self.refused += 1
            return False
        if self.alarmed:
            self._begin()
        width = self.width
        if width > 0.0:
            step = value - self.total / width
            self.squares += width * step * step / (width + 1.0)
        self.width = width + 1.0
        self.total += value
        self.count += 1
        totals, spreads, sizes, heads = self._seen
        most, size = self.max_buckets, sizes[0] + 1
        free = (heads[0] + size - 1) % (most + 1)
        totals[free], spreads[free] = value, 0.0
        sizes[0] = size
        if size > most:
            self.rows = _kernels.adwin_merge(totals, spreads, sizes, heads, most, self.rows)
        if self.count % self.clock == 0 and self.width > self.grace_period:
            while self._differs():
                self._drop()
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
        settings = (self.max_buckets, self.min_window_length, self.grace_period)
        state = (self.rows, self.count, self.width, self.total, self.squares)
        (
            self.rows,
            self.count,
            self.width,
            self.total,
            self.squares,
            self.alarmed,
            self.refused,
        ) = _kernels.kernel(_kernels.adwin)(
            *(found, levels, *self._buckets, self.delta, self.clock, *settings),
            *(*state, self.alarmed, self.refused),
        )
        return streams.alarms(levels)

    def reset(self) -> None:
        """Forget the past: what comes next is the new normal."""
        self._begin()
        self.refused = 0

    def to_state(self) -> streams.State:
        """Everything needed to go on elsewhere, ready for JSON.

        `totals` and `spreads` (sums of squares) hold a list for each size of bucket, 1, 2, 4,
        ... values, the oldest bucket of a size first.
        """
        return {
            **{name: getattr(self, name) for name in _SETTINGS + _STANDING},
            "totals": [[self._seen[0][at] for at in row] for row in self._places()],
            "spreads": [[self._seen[1][at] for at in row] for row in self._places()],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> ADWIN:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, a value is not what it should be, or
                the buckets do not add up to the window.
        """
        plain: dict[str, Any] = streams.checked_state(state, _TYPES)
        made = cls(**{name: plain[name] for name in _SETTINGS})
        for name in _STANDING:
            setattr(made, name, plain[name])
        made._fill(plain["totals"], plain["spreads"])
        return made

    def _fill(self, totals: list[list[float]], spreads: list[list[float]]) -> None:
        shapes = [len(row) for row in totals]
        width = sum(size << row for row, size in enumerate(shapes))
        fits = 0 < len(shapes) <= ROWS and max(shapes) <= self.max_buckets
        if not fits or width != self.width or [len(row) for row in spreads] != shapes:
            raise InvalidInput("the buckets do not add up to the window", field="state")
        self.rows = len(shapes)
        for row, size in enumerate(shapes):
            at = row * (self.max_buckets + 1)
            self._buckets[0][at : at + size] = totals[row]
            self._buckets[1][at : at + size] = spreads[row]
            self._buckets[2][row] = size

    def _places(self) -> list[list[int]]:
        """Where the buckets of each size lie, the oldest first."""
        _totals, _spreads, sizes, heads = self._seen
        ring = self.max_buckets + 1
        return [
            [row * ring + (heads[row] + k) % ring for k in range(sizes[row])]
            for row in range(self.rows)
        ]

    def _begin(self) -> None:
        self.rows, self.count, self.alarmed = 1, 0, False
        self.width = self.total = self.squares = 0.0
        for part in self._buckets[2:]:
            part[:] = 0

    def _differs(self) -> bool:
        totals, _spreads, sizes, heads = self._seen
        limits = (self.max_buckets, self.min_window_length, self.rows)
        state = (self.delta, self.width, self.total, self.squares)
        return _kernels.adwin_differs(totals, sizes, heads, *limits, *state)

    def _drop(self) -> None:
        totals, spreads, sizes, heads = self._seen
        state = (self.max_buckets, self.rows, self.width, self.total, self.squares)
        self.rows, self.width, self.total, self.squares = _kernels.adwin_drop(
            totals, spreads, sizes, heads, *state
        )
