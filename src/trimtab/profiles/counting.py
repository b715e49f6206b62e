"""The kernel: the values of a column into the cells of a grid, block by block.

Plain numpy on blocks that stay in a core's cache: scale, shift, clip, count. What falls out of
the window (outliers, and NaN and infinities with them) is picked out and placed apart.
"""

from __future__ import annotations

import functools
import threading

import numpy as np
from numpy.typing import NDArray

from trimtab.profiles.grid import OCTAVE_BITS, Cells, Grid
from trimtab.profiles.numeric import NumericProfile
from trimtab.stats.sample import Sample

_BLOCK = 65_536
_LARGEST = float(np.finfo(np.float64).max)  # infinities lie in no window
_MANTISSA_BITS = 52
_SHIFT = _MANTISSA_BITS - OCTAVE_BITS
_BIAS = 1023
_OCTAVES = 40  # in which the fast path counts positive values of logarithmic cells
_FIRST_OCTAVE = -20
_FIRST_CODE = (_BIAS + _FIRST_OCTAVE) << OCTAVE_BITS

_NARROW = 1 << 30  # below, cells have numbers of 32 bits, which a cast makes in a third of the time

_Codes = NDArray[np.int64]
_Slots = NDArray[np.int64] | NDArray[np.int32]


class _Scratch(threading.local):
    """Room for one block, kept by each thread: fresh memory costs more than the sums."""

    def __init__(self) -> None:
        self.scaled = np.empty(_BLOCK)
        self.codes = np.empty(_BLOCK, dtype=np.int64)
        self.narrow = np.empty(_BLOCK, dtype=np.int32)
        self.filled = np.empty(_BLOCK)


@functools.cache
def _scratch() -> _Scratch:
    return _Scratch()


class NumericCounter:
    """Counts the values of one numeric column, chunk after chunk, by one grid."""

    def __init__(self, grid: Grid, *, whole: bool = False):
        self.grid = grid
        self.outside = 0
        """Values so far that fell out of the window, or of the usual octaves."""
        self._whole = whole
        self._rows = self._nulls = self._nans = 0
        self._low, self._high = np.inf, -np.inf
        self._begin, self._end, self._slots = max(grid.low, -_LARGEST), grid.high, grid.cells
        if grid.logarithmic:
            self._begin, self._end = 2.0**_FIRST_OCTAVE, 2.0 ** (_FIRST_OCTAVE + _OCTAVES)
            self._slots = _OCTAVES << OCTAVE_BITS
        self._counts = np.zeros(self._slots + 2, dtype=np.int64)
        self._tails: list[Sample] = []

    def add(
        self,
        values: Sample,
        *,
        fill: float | None = None,
        filled: int = 0,
        null: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count more values.

        Args:
            values: Shape (n,), float64; NaN and infinities are counted apart.
            fill: A value of the window that stands in for nulls. Filling them and taking them
                out of one cell again is far cheaper than moving all values together.
            filled: How many of `values` are such.
            null: Which of them are yet to be filled, shape (n,), and may be anything; None for
                none.
        """
        self._rows += values.size
        if fill is not None:
            self._nulls += filled
            self._counts[self._slot(fill)] -= filled
        for begin in range(0, values.size, _BLOCK):
            block = values[begin : begin + _BLOCK]
            if null is not None and fill is not None:
                block = _filled(block, null[begin : begin + _BLOCK], fill)
            low, high = float(block.min()), float(block.max())
            if low != low:  # a NaN anywhere makes the smallest one
                numbers = block[~np.isnan(block)]
                self._nans += block.size - numbers.size
                if not numbers.size:
                    continue
                block, low, high = numbers, float(numbers.min()), float(numbers.max())
            inside = self.holds(low) and self.holds(high)
            if np.isinf(low) or np.isinf(high):
                low, high = _finite_extremes(block)
            self._low, self._high = min(self._low, low), max(self._high, high)
            self._counts += self._count(block, inside=inside)

    @property
    def settled(self) -> bool:
        """Whether there was any finite value."""
        return self._low <= self._high

    def profile(self) -> NumericProfile:
        """What was counted."""
        cells = Cells.joined(*self._window(), self._counts[1:-1])
        tails = np.concatenate([np.empty(0), *self._tails])
        finite = tails[np.isfinite(tails)]
        if finite.size:
            ones = np.ones(finite.size, dtype=np.int64)
            cells = cells.with_those_of(Cells.joined(*self.grid.place(finite), ones))
        known = bool(cells.count.size)
        return NumericProfile(
            grid=self.grid,
            whole=self._whole,
            rows=self._rows,
            nulls=self._nulls,
            nans=self._nans,
            positive_infinities=int((tails == np.inf).sum()),
            negative_infinities=int((tails == -np.inf).sum()),
            low=self._low + 0.0 if known else None,
            high=self._high + 0.0 if known else None,
            cells=cells,
        )

    def _count(self, block: Sample, *, inside: bool) -> _Codes:
        scratch = _scratch()
        codes = self._room(block.size)
        with np.errstate(over="ignore"):  # far outside of a fine window is clipped all the same
            self._encode(block, scratch.scaled[: block.size], codes, inside=inside)
        counts = np.bincount(codes, minlength=self._slots + 2)
        if not inside:
            for slot in (0, self._slots + 1):
                if counts[slot]:
                    self._tails.append(block[codes == slot])
                    self.outside += int(counts[slot])
        return counts

    def _room(self, size: int) -> _Slots:
        scratch, grid = _scratch(), self.grid
        narrow = not grid.logarithmic and abs(grid.start) + self._slots < _NARROW
        return (scratch.narrow if narrow else scratch.codes)[:size]

    def _encode(self, block: Sample, scaled: Sample, codes: _Slots, *, inside: bool) -> None:
        if self.grid.logarithmic:
            self._bit_codes(block, codes, inside=inside)
        else:
            self._window_codes(block, scaled, codes, inside=inside)

    def _window_codes(self, block: Sample, scaled: Sample, codes: _Slots, *, inside: bool) -> None:
        """1 for the first cell of the window, 0 for what lies before it."""
        np.multiply(block, np.ldexp(1.0, -self.grid.level), out=scaled)
        before = self.grid.start - 1
        if before < 0:  # a cast goes towards zero, and not down
            np.floor(scaled, out=scaled)
        if not inside:
            np.clip(scaled, float(before), float(before + self._slots + 1), out=scaled)
        np.copyto(codes, scaled, casting="unsafe")
        np.subtract(codes, before, out=codes)

    def _bit_codes(self, block: Sample, codes: _Slots, *, inside: bool) -> None:
        """The same for logarithmic cells of positive values: the leading bits of a double are
        its octave and its cell in it."""
        np.right_shift(np.ascontiguousarray(block).view(np.int64), _SHIFT, out=codes)
        np.subtract(codes, _FIRST_CODE - 1, out=codes)
        if not inside:
            np.clip(codes, 0, self._slots + 1, out=codes)

    def holds(self, value: float) -> bool:
        """Whether a value has a cell of its own in the window, or in the usual octaves."""
        return self._begin <= value < self._end

    def _slot(self, value: float) -> int:
        scratch, block = _scratch(), np.array([value])
        codes = self._room(1)
        self._encode(block, scratch.scaled[:1], codes, inside=True)
        return int(codes[0])

    def _window(self) -> tuple[_Codes, _Codes]:
        """Level and index of the cells that have a slot."""
        slots = np.arange(self._slots, dtype=np.int64)
        if not self.grid.logarithmic:
            return np.full(self._slots, self.grid.level, dtype=np.int64), self.grid.start + slots
        per_octave = 1 << OCTAVE_BITS
        octave = _FIRST_OCTAVE + slots // per_octave
        return octave - OCTAVE_BITS, per_octave + slots % per_octave


def _filled(block: Sample, null: NDArray[np.bool_], fill: float) -> Sample:
    """A block with `fill` in place of what is null, in the thread's own room."""
    room = _scratch().filled[: block.size]
    np.copyto(room, block)
    np.copyto(room, fill, where=null)
    return room


def _finite_extremes(block: Sample) -> tuple[float, float]:
    """The smallest and the largest finite value; infinities the wrong way round without any."""
    finite = block[np.isfinite(block)]
    if not finite.size:
        return np.inf, -np.inf
    return float(finite.min()), float(finite.max())
