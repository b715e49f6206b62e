"""Profiles of many groups of the same rows at once: tenants, segments, windows of time.

One sort for all groups together, so that a thousand short windows cost little more than one
long one.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import CategoryColumn, counter_for, encoded, numbers
from trimtab.profiles.category import CategoryProfile, of_counts
from trimtab.profiles.grid import LOGARITHMIC, NO_CELLS, Cells, Grid, fit
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile
from trimtab.stats.sample import Sample

Codes: TypeAlias = NDArray[np.int64]
"""Which group each row belongs to, shape (n,), from 0; -1 for none."""


def profiles_by_group(
    column: pa.Array, codes: Codes, groups: int, *, like: Profile | None = None
) -> list[Profile]:
    """The profile of a column within each group.

    Args:
        column: Shape (n,).
        codes: Shape (n,).
        groups: How many groups there are; one without rows gets the profile of no rows.
        like: A profile to count like; without it, all groups share a grid that is fitted here.

    Raises:
        InvalidInput: the column cannot be compared, or has another length.

    Example:
        >>> tenant = pa.array(["x", "y", "x", "x"])
        >>> names, codes = codes_of(tenant)
        >>> found = profiles_by_group(pa.array([1, 5, 2, None]), codes, len(names))
        >>> [(name, one.mean, one.nulls) for name, one in zip(names, found)]
        [('x', 1.5, 1), ('y', 5.0, 0)]
    """
    if len(column) != codes.size:
        raise InvalidInput(f"{codes.size} codes for {len(column)} rows", field="codes")
    counter = counter_for(column.type, like)
    if isinstance(counter, CategoryColumn):
        return list(_categories(column, codes, groups))
    grid = like.grid if isinstance(like, NumericProfile) else None
    return list(_numbers(column, codes, groups, grid, whole=counter.whole))


def _numbers(
    column: pa.Array, codes: Codes, groups: int, grid: Grid | None, *, whole: bool
) -> list[NumericProfile]:
    values, there = numbers(column)
    member = codes >= 0
    present = member if there is None else member & there
    finite = present & np.isfinite(values)
    grouped, kept = codes[finite], values[finite]
    if grid is None:
        grid = fit(kept) if kept.size else LOGARITHMIC
    odd = present & ~finite
    counted = {
        "rows": np.bincount(codes[member], minlength=groups),
        "nulls": np.bincount(codes[member & ~present], minlength=groups),
        "nans": np.bincount(codes[odd & np.isnan(values)], minlength=groups),
        "positive_infinities": np.bincount(codes[odd & (values == np.inf)], minlength=groups),
        "negative_infinities": np.bincount(codes[odd & (values == -np.inf)], minlength=groups),
    }
    order = np.lexsort((kept, grouped))
    grouped, kept = grouped[order], kept[order]
    edges = np.searchsorted(grouped, np.arange(groups + 1))
    cells = _cells(grid, grouped, kept, groups)
    found = []
    for group in range(groups):
        first, last = int(edges[group]), int(edges[group + 1])
        found.append(
            NumericProfile(
                grid=grid,
                whole=whole,
                low=None if first == last else float(kept[first]) + 0.0,
                high=None if first == last else float(kept[last - 1]) + 0.0,
                cells=cells[group],
                **{name: int(count[group]) for name, count in counted.items()},
            )
        )
    return found


def _cells(grid: Grid, grouped: Codes, kept: Sample, groups: int) -> list[Cells]:
    """The cells of each group; `kept` are sorted within the groups."""
    if not kept.size:
        return [NO_CELLS] * groups
    level, index = grid.place(kept)
    change = (np.diff(grouped) != 0) | (np.diff(level) != 0) | (np.diff(index) != 0)
    starts = np.concatenate([[0], np.flatnonzero(change) + 1])
    count = np.diff(np.concatenate([starts, [kept.size]]))
    level, index, owner = level[starts], index[starts], grouped[starts]
    edges = np.searchsorted(owner, np.arange(groups + 1))
    found = []
    for group in range(groups):
        mine = slice(int(edges[group]), int(edges[group + 1]))
        found.append(Cells.joined(level[mine], index[mine], count[mine]))
    return found


def _categories(column: pa.Array, codes: Codes, groups: int) -> list[CategoryProfile]:
    names, coded = encoded(column)
    member = codes >= 0
    rows = np.bincount(codes[member], minlength=groups)
    known = member & (coded >= 0)
    nulls = np.bincount(codes[member & ~known], minlength=groups)
    width = max(1, len(names))
    keys, counts = np.unique(codes[known] * width + coded[known], return_counts=True)
    edges = np.searchsorted(keys, np.arange(groups + 1) * width)
    found = []
    for group in range(groups):
        mine = slice(int(edges[group]), int(edges[group + 1]))
        named: dict[str, int] = {}
        for code, count in zip((keys[mine] % width).tolist(), counts[mine].tolist(), strict=True):
            named[names[code]] = named.get(names[code], 0) + count
        found.append(of_counts(named, rows=int(rows[group]), nulls=int(nulls[group])))
    return found


def codes_of(column: pa.Array) -> tuple[list[Any], Codes]:
    """The groups that the values of a column make, in the order in which they first come, and
    the code of each row; -1 where it is null.

    Example:
        >>> codes_of(pa.array(["x", None, "y", "x"]))
        (['x', 'y'], array([ 0, -1,  1,  0]))
    """
    names, codes = encoded(column)
    return names, codes
