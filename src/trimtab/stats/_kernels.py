"""The loops over a batch, one text for both ways to run them.

Each function is plain Python on buffers that are indexed one by one. Where numba is
importable (the extra `streams`), `kernel` hands out the same function compiled; where it is
not, the function itself. Compilation keeps the order of every floating-point operation, so
both give the same bits.

numba is loaded by the first batch and by nothing else. What was compiled is kept in the
`__pycache__` beside this file, or else in the user's cache folder (NUMBA_CACHE_DIR); where
neither can be written it is compiled again in each process.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]
Levels: TypeAlias = NDArray[np.int8]
Numbers: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Kernel: TypeAlias = Callable[..., tuple[Any, ...]]

LARGEST = 1e140
"""Settings lie below it."""
TOO_LARGE = 1e280
"""Square from which a value is refused like an infinity: sums of squares must stay finite. Asked
of the square since that is one comparison, and False for NaN as well."""
REFUSED, CALM, WARNING, ALARM = -1, 0, 1, 2


def page_hinkley(
    values: Values,
    levels: Levels,
    least: int,
    delta: float,
    alpha: float,
    up_limit: float,
    down_limit: float,
    count: int,
    mean: float,
    up: float,
    lowest: float,
    down: float,
    highest: float,
    alarmed: bool,
    refused: int,
) -> tuple[int, float, float, float, float, float, bool, int]:
    """Page-Hinkley over a batch; the settings, then the state, which is returned."""
    for i in range(len(values)):
        value = values[i]
        if not value * value < TOO_LARGE:
            refused += 1
            levels[i] = REFUSED
            continue
        if alarmed:
            count = 0
            mean = up = lowest = down = highest = 0.0
            alarmed = False
        count += 1
        mean += (1.0 / count) * (value - mean)
        step = value - mean
        up = alpha * up + step - delta
        down = alpha * down + step + delta
        if up < lowest:
            lowest = up
        if down > highest:
            highest = down
        if count >= least and (up - lowest > up_limit or highest - down > down_limit):
            alarmed = True
            levels[i] = ALARM
    return count, mean, up, lowest, down, highest, alarmed, refused


def ddm(
    values: Values,
    levels: Levels,
    warm_start: int,
    warning: float,
    drift: float,
    count: int,
    rate: float,
    low_rate: float,
    low_spread: float,
    level: int,
    refused: int,
) -> tuple[int, float, float, float, int, int]:
    """DDM over a batch; the settings, then the state, which is returned.

    Nearly every value leaves things calm and the minimum where it is. That is seen without a
    root and with one division, with room for rounding; what is left is judged as it should be.
    """
    lowest = low_rate + low_spread
    nearer = min(warning, drift)
    calm = low_rate + nearer * low_spread
    room = 1e-14 * (1.0 + calm)
    for i in range(len(values)):
        value = values[i]
        if not value * value < TOO_LARGE:
            refused += 1
            levels[i] = REFUSED
            continue
        if level == ALARM:
            count, rate, level = 0, 0.0, CALM
            lowest = low_rate = low_spread = math.inf
        count += 1
        share = 1.0 / count
        rate += share * (value - rate)
        if count <= warm_start:
            continue
        variance = rate * (1.0 - rate) * share
        over, under = lowest - rate + room, calm - rate - room
        least = over > 0.0 and over * over * (1.0 + 1e-9) >= variance  # a new minimum, perhaps
        if not least and under > 0.0 and under * under > variance * (1.0 + 1e-9):
            level = CALM
            continue
        spread = math.sqrt(rate * (1.0 - rate) / count)
        top = rate + spread
        if top <= lowest:
            low_rate, low_spread, lowest = rate, spread, top
            calm = low_rate + nearer * low_spread
            room = 1e-14 * (1.0 + calm)
        level = CALM
        if top > low_rate + drift * low_spread:
            level = ALARM
        elif top > low_rate + warning * low_spread:
            level = WARNING
        levels[i] = level
    return count, rate, low_rate, low_spread, level, refused


def foreign(values: Values) -> tuple[int]:
    """How many values are neither 0 nor 1 nor refused."""
    count = 0
    for i in range(len(values)):
        value = values[i]
        count += (value != 0.0) & (value != 1.0) & (value * value < TOO_LARGE)
    return (count,)


def error_rate(
    values: Values,
    levels: Levels,
    start: int,
    look: int,
    run_length: float,
    bound: float,
    least: float,
    weight: float,
    count: int,
    errors: int,
    evidence: float,
    run: int,
    run_errors: int,
    refused: int,
) -> tuple[int, int, int, float, int, int, int]:
    """Evidence for a higher error rate until the next look, an alarm or the end of the batch.

    `bound` is the baseline (1 while it is being learned: then there is no evidence), `least`
    the lowest rate that is bet on, `weight` the values that this bet counts for.
    """
    watching = bound < 1.0
    for i in range(start, len(values)):
        value = values[i]
        if not value * value < TOO_LARGE:
            refused += 1
            levels[i] = REFUSED
            continue
        if evidence >= run_length:  # of before: whoever called begins anew first
            return i, count, errors, evidence, run, run_errors, refused
        count += 1
        error = value == 1.0
        if error:
            errors += 1
        if watching:
            if evidence <= 1.0:
                evidence, run, run_errors = 1.0, 0, 0
            bet = (1.0 + run_errors) / (weight + run)
            if bet < least:
                bet = least
            run += 1
            if error:
                run_errors += 1
                evidence *= bet / bound
                if evidence >= run_length:
                    levels[i] = ALARM
                    return i + 1, count, errors, evidence, run, run_errors, refused
            else:
                evidence *= (1.0 - bet) / (1.0 - bound)
        if count == look:
            return i + 1, count, errors, evidence, run, run_errors, refused
    return len(values), count, errors, evidence, run, run_errors, refused


def adwin_merge(
    totals: Numbers, spreads: Numbers, sizes: Counts, heads: Counts, most: int, rows: int
) -> int:
    """Merge the two oldest buckets of each row that is full; how many rows there are then.

    Row r is a ring of `most` + 1 places for buckets of 2**r values, the oldest at its head:
    nothing is ever moved within a row. `half` is half of 2**-r, multiplying by it is exact.
    """
    row, base, half = 0, 0, 0.5
    while sizes[row] > most:
        one = heads[row]
        two = one + 1 if one < most else 0
        heads[row] = two + 1 if two < most else 0
        sizes[row] = most - 1
        one, two = base + one, base + two
        row, base = row + 1, base + most + 1
        if row == rows:
            rows += 1
        free = heads[row] + sizes[row]
        free = base + (free if free <= most else free - most - 1)
        apart = totals[one] - totals[two]
        totals[free] = totals[one] + totals[two]
        spreads[free] = spreads[one] + spreads[two] + apart * apart * half
        sizes[row] += 1
        half *= 0.5
    return rows


def adwin_drop(
    totals: Numbers,
    spreads: Numbers,
    sizes: Counts,
    heads: Counts,
    most: int,
    rows: int,
    width: float,
    total: float,
    squares: float,
) -> tuple[int, float, float, float]:
    """Forget the oldest bucket; rows, width, total and sum of squares of the rest."""
    row, n = rows - 1, 2.0 ** (rows - 1)
    head = heads[row]
    oldest = row * (most + 1) + head
    width -= n
    total -= totals[oldest]
    apart = totals[oldest] / n - total / width
    squares -= spreads[oldest] + n * width * apart * apart / (n + width)
    heads[row] = head + 1 if head < most else 0
    sizes[row] -= 1
    return rows - (sizes[row] == 0), width, total, squares


def adwin_differs(
    totals: Numbers,
    sizes: Counts,
    heads: Counts,
    most: int,
    least: int,
    rows: int,
    delta: float,
    width: float,
    total: float,
    squares: float,
) -> bool:
    """Whether some cut of the window leaves two means that differ by more than chance.

    A cut leaves n0 values with sum u0 and n1 with u1. The bound is never below the square
    root of `chance` / (n0 n1), which is compared first, without a division, and with room for
    rounding: nearly every cut is settled by that. What is left is compared as it should be.
    """
    if width < 2.0:
        return False
    doubt = math.log(2.0 * math.log(width) / delta)
    variance = max(0.0, squares / width)
    chance = 2.0 * variance * doubt * width * (1.0 - 1e-9)
    n0, u0, n1, u1, n = 0.0, 0.0, width, total, 2.0 ** (rows - 1)
    reach = abs(total)
    for row in range(rows - 1, -1, -1):
        base = row * (most + 1)
        for k in range(heads[row], heads[row] + sizes[row]):
            held = totals[base + (k if k <= most else k - most - 1)]
            n0 += n
            n1 -= n
            u0 += held
            u1 -= held
            reach += abs(held)
            apart = abs(u0 * width - total * n0) + 1e-12 * reach * width
            if apart * apart < chance * n0 * n1 or n1 < least or n0 < least:
                continue
            gap = abs(u0 / n0 - u1 / n1)
            harmonic = 1.0 / (n0 - least + 1.0) + 1.0 / (n1 - least + 1.0)
            flat = 2.0 / 3.0 * doubt * harmonic
            if gap > math.sqrt(2.0 * harmonic * variance * doubt) + flat:
                return True
        n *= 0.5
    return False


def adwin(
    values: Values,
    levels: Levels,
    totals: Numbers,
    spreads: Numbers,
    sizes: Counts,
    heads: Counts,
    delta: float,
    clock: int,
    most: int,
    least: int,
    grace: int,
    rows: int,
    count: int,
    width: float,
    total: float,
    squares: float,
    alarmed: bool,
    refused: int,
) -> tuple[int, int, float, float, float, bool, int]:
    """ADWIN over a batch; buckets (changed in place), settings, then the state."""
    wait = clock - count % clock
    for i in range(len(values)):
        value = values[i]
        if not value * value < TOO_LARGE:
            refused += 1
            levels[i] = REFUSED
            continue
        if alarmed:
            rows, count, wait, alarmed = 1, 0, clock, False
            width = total = squares = 0.0
            for row in range(len(sizes)):
                sizes[row] = heads[row] = 0
        if width > 0.0:
            step = value - total / width
            squares += width * step * step / (width + 1.0)
        width += 1.0
        total += value
        count += 1
        free = heads[0] + sizes[0]
        free = free if free <= most else free - most - 1
        totals[free], spreads[free] = value, 0.0
        sizes[0] += 1
        if sizes[0] > most:
            rows = adwin_merge(totals, spreads, sizes, heads, most, rows)
        wait -= 1
        if wait > 0:
            continue
        wait = clock
        if width > grace:
            while adwin_differs(
                totals, sizes, heads, most, least, rows, delta, width, total, squares
            ):
                rows, width, total, squares = adwin_drop(
                    totals, spreads, sizes, heads, most, rows, width, total, squares
                )
                alarmed = True
            if alarmed:
                levels[i] = ALARM
    return rows, count, width, total, squares, alarmed, refused


_PARTS = (adwin_merge, adwin_drop, adwin_differs)
_TAKES: dict[Kernel, str] = {
    # v values, l levels, F array of floats, I array of whole numbers; f, i, b: one of them
    page_hinkley: "vl ifff f" + "ifffffbi",
    ddm: "vl iff" + "ifffii",
    foreign: "v",
    error_rate: "vl iifff f" + "iifiii",
    adwin: "vl FFII fiiii" + "iifffbi",
}


@functools.cache
def compiled_here() -> bool:
    """Whether batches run compiled: whether numba, of the extra `streams`, is installed."""
    return importlib.util.find_spec("numba") is not None


def kernel(plain: Kernel) -> Kernel:
    """The function as it is best run here, for numpy arrays."""
    return _compiled(plain) if compiled_here() else _interpreted(plain)


@functools.cache
def _interpreted(plain: Kernel) -> Kernel:
    def run(*arguments: Any) -> tuple[Any, ...]:
        # A memoryview hands out Python's own numbers, which reckon faster than numpy's.
        seen = (a.data if isinstance(a, np.ndarray) else a for a in arguments)
        return plain(*seen)

    return run


@functools.cache
def _compiled(plain: Kernel) -> Kernel:
    import numba  # here: a second or two, for those alone who run a batch

    for part in _PARTS:
        numba.extending.register_jitable(part)
    return _kept(numba, plain, _signature(numba.types, _TAKES[plain]))


def _kept(numba: ModuleType, plain: Kernel, signature: tuple[Any, ...]) -> Kernel:
    """Compiled, from the cache or for it; without one where nothing can be written."""
    settings = {"nogil": True, "error_model": "numpy", "fastmath": False}
    try:
        cached: Kernel = numba.njit([signature], cache=True, **settings)(plain)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        fresh: Kernel = numba.njit([signature], **settings)(plain)
        return fresh
    return cached


def _signature(types: Any, takes: str) -> tuple[Any, ...]:
    known = {
        "v": types.Array(types.float64, 1, "C", readonly=True),  # takes writable ones, too
        "l": types.int8[::1],
        "F": types.float64[::1],
        "I": types.int64[::1],
        "f": types.float64,
        "i": types.int64,
        "b": types.boolean,
    }
    return tuple(known[letter] for letter in takes.replace(" ", ""))
