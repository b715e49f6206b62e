"""Does another unit explain how a column moved?

Two witnesses. The shape: after undoing the factor, is the distribution what it was? And the
values themselves, where they repeat (whole minutes, the distances of a fixed set of routes):
do they fall on values that were there before? The second holds even while the population
moves, and it is what tells a unit change from a shift that merely looks like one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.rescale import scale_change
from trimtab.stats.sample import Sample
from trimtab.stats.univariate import kolmogorov_smirnov

_FREQUENT = 12  # most frequent values of each side, whose ratios are tried as factors
_MEETS = 1e-4  # relative distance at which two values are one: float32, and rounded constants
_NOWHERE = 0.5  # distance of single values from which on they meet at no factor, and say nothing
_REPEATS = 0.5  # distinct values per row below which a column is said to repeat values


@dataclass(frozen=True)
class Rescaled:
    """The best factor for a column, and what speaks for it.

    `ks_raw` and `ks_undone` are distances to the base before and after undoing it,
    `ks_calm` the distance between two halves of the base. `values_raw` and so on are the
    same for the values themselves (total variation over single values); None where the
    column repeats none, or where they meet at no factor: a feed that rounds, or new values.
    """

    factor: float
    low: float
    high: float
    offset: float
    ks_raw: float
    ks_undone: float
    ks_calm: float
    values_raw: float | None
    values_undone: float | None
    values_calm: float | None

    @property
    def shape_explained(self) -> float:
        """Share of the movement beyond a calm one that undoing removes, 0 to 1."""
        return _explained(self.ks_raw, self.ks_undone, self.ks_calm)

    @property
    def values_explained(self) -> float | None:
        """The same for the values themselves; None where they do not repeat."""
        if self.values_raw is None or self.values_undone is None or self.values_calm is None:
            return None
        return _explained(self.values_raw, self.values_undone, self.values_calm)


@dataclass(frozen=True)
class _Atoms:
    """Distinct values of a column, ascending, with the share of rows of each."""

    values: Sample
    shares: Sample

    @classmethod
    def of(cls, column: Sample) -> _Atoms:
        values, rows = np.unique(column, return_counts=True)
        return cls(values, np.asarray(rows / column.size, dtype=np.float64))

    def frequent(self) -> Sample:
        chosen = np.argsort(-self.shares, kind="stable")[:_FREQUENT]
        found = self.values[chosen]
        return np.asarray(found[found != 0.0], dtype=np.float64)


def rescaled(base: Sample, after: Sample, *, affine: bool = False) -> Rescaled | None:
    """The factor that explains best how `after` came from `base`; None if none fits at all.

    Args:
        base: Shape (n,), finite, in order of arrival: the column while it was calm.
        after: Shape (m,), finite.
        affine: Allow an offset as well; then only the shape is asked.

    Raises:
        TooFewValues: fewer than 50 values on a side, or a constant side.
    """
    try:
        fit = scale_change(base, after, affine=affine)
    except InvalidInput as error:
        if error.code != InvalidInput.code:
            raise  # too few values: not knowing is not the same as no factor
        return None
    half = base.size // 2
    calm = kolmogorov_smirnov(base[:half], base[half:]).statistic
    before, now = _Atoms.of(base), _Atoms.of(after)
    repeats = not affine and before.values.size <= _REPEATS * base.size
    factor, undone = _best_factor(before, now, fit.factor) if repeats else (fit.factor, 1.0)
    if undone >= _NOWHERE:
        return Rescaled(
            fit.factor,
            fit.factor_interval.low,
            fit.factor_interval.high,
            fit.offset,
            fit.original_ks,
            fit.residual_ks,
            calm,
            None,
            None,
            None,
        )
    halves = _distance(_Atoms.of(base[:half]), _Atoms.of(base[half:]), 1.0)
    return Rescaled(
        factor=factor,
        low=factor * (1.0 - _MEETS),
        high=factor * (1.0 + _MEETS),
        offset=0.0,
        ks_raw=fit.original_ks,
        ks_undone=kolmogorov_smirnov(base, _snapped(after / factor, before.values)).statistic,
        ks_calm=calm,
        values_raw=_distance(before, now, 1.0),
        values_undone=undone,
        values_calm=halves,
    )


def _best_factor(before: _Atoms, now: _Atoms, guess: float) -> tuple[float, float]:
    """Of 1, the guess and all ratios of frequent values, the factor whose undoing brings the
    single values nearest to what they were. 1 wins a tie: nothing has then changed."""
    ratios = (now.frequent()[:, None] / before.frequent()[None, :]).ravel()
    tried = np.unique(np.round(np.log(ratios[ratios > 0.0]), 5))
    candidates = [1.0, guess, *(float(f) for f in np.exp(tried))]
    distances = [_distance(before, now, factor) for factor in candidates]
    best = int(np.argmin(distances))
    return _refined(before, now, candidates[best]), distances[best]


def _refined(before: _Atoms, now: _Atoms, factor: float) -> float:
    """The median ratio of the values that meet, weighted by their rows."""
    place, meets = _met(before.values, now.values / factor)
    meets &= before.values[place] != 0.0
    if not meets.any():
        return factor
    ratios = now.values[meets] / before.values[place[meets]]
    order = np.argsort(ratios)
    heap = np.cumsum(now.shares[meets][order])
    return float(ratios[order][np.searchsorted(heap, 0.5 * heap[-1])])


def _distance(before: _Atoms, now: _Atoms, factor: float) -> float:
    """Total variation over single values once `factor` is undone, 0 to 1."""
    place, meets = _met(before.values, now.values / factor)
    there = np.bincount(place[meets], now.shares[meets], minlength=before.values.size)
    lost = 1.0 - float(now.shares[meets].sum())
    return float(0.5 * (np.abs(before.shares - there).sum() + lost))


def _met(known: Sample, wanted: Sample) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The nearest known value to each wanted one, and whether the two are one value."""
    after = np.clip(np.searchsorted(known, wanted), 1, max(known.size - 1, 1))
    after = np.minimum(after, known.size - 1)
    below = np.maximum(after - 1, 0)
    nearer = np.abs(wanted - known[below]) <= np.abs(known[after] - wanted)
    place = np.where(nearer, below, after)
    return place, np.abs(wanted - known[place]) <= _MEETS * np.abs(known[place])


def _snapped(values: Sample, known: Sample) -> Sample:
    """Values that meet a known one, as that one, so that rounding moves no rank."""
    place, meets = _met(known, values)
    return np.asarray(np.where(meets, known[place], values), dtype=np.float64)


def _explained(raw: float, undone: float, calm: float) -> float:
    """Share of the movement beyond the calm one that is gone."""
    beyond = raw - min(calm, undone)
    return 0.0 if beyond <= 0.0 else float(np.clip((raw - undone) / beyond, 0.0, 1.0))
