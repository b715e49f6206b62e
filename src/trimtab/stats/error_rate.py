"""A stream of errors, however rare: has their rate risen, with a false-alarm rate that holds?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.kernel.errors import InvalidInput
from trimtab.stats import _kernels, streams
from trimtab.stats._kernels import LARGEST
from trimtab.stats.sample import checked_level
from trimtab.stats.special import beta_quantile

GROWTH = 1.5  # the baseline is looked at again when there are so many times more values


@dataclass(slots=True)
class ErrorRateCusum:
    """Evidence that errors have become more frequent than they ever surely were.

    The baseline is learned from the stream: after the warm-up, and whenever there are half as
    many values more, an exact upper limit of the error rate so far. The lowest of these
    limits stands, so a rise never lifts its own baseline, and no error in the warm-up does
    not make the baseline 0. Against it runs a CUSUM of likelihood ratios that bets on the
    rate seen since it last was at its start, and never on less than `ratio` asks.

    While the error rate does not change, the chance of an alarm within n values is at most
    `level` + n / `run_length`, whatever the rate and the warm-up: each limit is too low with
    a chance whose sum over all looks is `level`, and where none is, a bet never gains on
    average. Chance keeps well below that bound, see the reference.

    The value after an alarm begins anew, with a new warm-up. NaN and infinities are counted
    in `refused` and change nothing else.

    When not to use it: where errors come in bursts (one bad hour, one tenant), since each
    value is taken as independent of the others. Where a fall of the error rate matters. Where
    the warm-up may already be bad: it defines what is normal. A slow rise that begins soon
    after the start, while the limit is still wide, is found late or not at all.

    Args:
        warm_up: Values that only teach, 1 or more. With n values and no error the baseline is
            about 5 / n at a level of 0.01.
        ratio: Smallest rise that is worth an alarm, as a ratio of odds, above 1.
        run_length: Evidence at which the alarm is raised: values per false alarm, at least.
        level: Chance, over the whole life, that the baseline was set too low.

    Raises:
        InvalidInput: a setting outside its range.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(7)
        >>> errors = rng.random(40_000) < np.where(np.arange(40_000) < 30_000, 0.001, 0.01)
        >>> watch = ErrorRateCusum(warm_up=2000, ratio=1.5, run_length=1e6, level=0.01)
        >>> watch.update_many(errors)
        array([31241])

    Source: Page (1954) for the CUSUM; Lorden and Pollak (2005) for bets on the estimate so
    far; Shin, Ramdas and Rinaldo (2024) for the bound; Clopper and Pearson (1934).
    """

    warm_up: int
    ratio: float
    run_length: float
    level: float
    count: int = 0
    """Values taken in since the last alarm, the one that raised it included."""
    errors: int = 0
    """Errors among these."""
    looks: int = 0
    """Times that the baseline was looked at."""
    bound: float = 1.0
    """The baseline: an error rate that was surely not exceeded; 1 while nothing is known."""
    evidence: float = 1.0
    """How much better the bets explain the last `run` values than the baseline does."""
    run: int = 0
    run_errors: int = 0
    next_look: int = 0
    refused: int = 0
    _least: float = field(init=False, repr=False, default=1.0)
    _weight: float = field(init=False, repr=False, default=1.0)

    def __post_init__(self) -> None:
        if self.warm_up < 1:
            raise InvalidInput("without a value there is no baseline", field="warm_up")
        if not 1.0 < self.ratio < LARGEST:
            raise InvalidInput(f"a ratio of {self.ratio}", field="ratio")
        if not 1.0 < self.run_length < LARGEST:
            raise InvalidInput(f"a run length of {self.run_length}", field="run_length")
        checked_level(self.level)
        if not 0.0 < self.bound <= 1.0:
            raise InvalidInput(f"an error rate of {self.bound}", field="bound")
        self.next_look = self.next_look or self.warm_up
        self._set_bets()

    @property
    def alarmed(self) -> bool:
        """Whether the last value that was taken in raised an alarm."""
        return self.evidence >= self.run_length

    @property
    def ready(self) -> bool:
        """Whether the next value may raise an alarm; before that, no alarm is not calm."""
        return self.bound < 1.0 and not self.alarmed

    def update(self, error: float) -> bool:
        """Take the next value in, 1 for an error, 0 for none; whether it raised an alarm.

        Raises:
            InvalidInput: another number.
        """
        if error == 0.0:
            erred = 0
        elif error == 1.0:
            erred = 1
        else:
            self.refused += streams.refusal(error)
            return False
        if self.evidence >= self.run_length:
            self._begin()
        self.count = count = self.count + 1
        self.errors += erred
        bound = self.bound
        if bound < 1.0:
            if self.evidence <= 1.0:
                self.evidence, self.run, self.run_errors = 1.0, 0, 0
            bet = (1.0 + self.run_errors) / (self._weight + self.run)
            if bet < self._least:
                bet = self._least
            self.run += 1
            if erred:
                self.run_errors += 1
                self.evidence *= bet / bound
                if self.evidence >= self.run_length:
                    return True
            else:
                self.evidence *= (1.0 - bet) / (1.0 - bound)
        if count == self.next_look:
            self._look()
        return False

    def update_many(self, errors: streams.Batch) -> streams.Indices:
        """Take a batch in, as one by one; compiled where the extra `streams` is installed.

        Args:
            errors: Shape (n,), 1 for an error, 0 for none; see `streams.Batch`.

        Returns:
            Indices of the values that raised an alarm.

        Raises:
            InvalidInput: not one-dimensional, or a number other than 0 and 1; then nothing
                was taken in.
        """
        found, levels = streams.binary_batch(errors)
        run = _kernels.kernel(_kernels.error_rate)
        at = 0
        while at < found.size:
            # The kernel stops before an alarm would begin anew and after each last value
            # before a look: both are rare, and done here.
            if self.alarmed and streams.measurable(found[at]):
                self._begin()
            at = self._advance(run, found, levels, at)
            if self.count == self.next_look and not self.alarmed:
                self._look()
        return streams.alarms(levels)

    def reset(self) -> None:
        """Forget the past: what comes next is the new normal."""
        self._begin()
        self.refused = 0

    def to_state(self) -> streams.State:
        """Everything needed to go on elsewhere, ready for JSON."""
        return streams.to_state(self)

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> ErrorRateCusum:
        """Go on where `to_state` stopped.

        Raises:
            InvalidInput: a key is missing or unknown, or a value is not what it should be.
        """
        found = streams.from_state(cls, state)
        held = found.errors <= found.count < found.next_look and found.run_errors <= found.run
        if not held or found.evidence < 0.0:
            raise InvalidInput("the state is none of this detector", field="state")
        return found

    def _advance(
        self, run: _kernels.Kernel, found: _kernels.Values, levels: _kernels.Levels, at: int
    ) -> int:
        """Take values in from `at`; where the kernel stopped."""
        bets = (self.run_length, self.bound, self._least, self._weight)
        (
            stopped,
            self.count,
            self.errors,
            self.evidence,
            self.run,
            self.run_errors,
            self.refused,
        ) = run(
            *(found, levels, at, self.next_look, *bets, self.count, self.errors),
            *(self.evidence, self.run, self.run_errors, self.refused),
        )
        return int(stopped)

    def _look(self) -> None:
        """Lower the baseline if the stream so far allows it, and say when to look again."""
        doubt = self.level / ((self.looks + 1) * (self.looks + 2))  # adds up to the level
        fine = self.count - self.errors
        limit = beta_quantile(1.0 - doubt, self.errors + 1, fine) if fine else 1.0
        self.looks += 1
        self.next_look = max(self.count + 1, math.ceil(GROWTH * self.count))
        self.bound = min(self.bound, limit)
        self._set_bets()

    def _set_bets(self) -> None:
        odds = self.ratio * self.bound
        self._least = odds / (1.0 - self.bound + odds)
        self._weight = 1.0 / self._least

    def _begin(self) -> None:
        self.count = self.errors = self.looks = self.run = self.run_errors = 0
        self.bound = self.evidence = 1.0
        self.next_look = self.warm_up
        self._set_bets()
