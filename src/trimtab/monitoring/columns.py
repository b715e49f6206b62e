"""The columns of a window as profiles: numbers or categories, counted like the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import tail_of
from trimtab.profiles.groups import profiles_by_group
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile, Tail

Column: TypeAlias = NDArray[Any]
"""Shape (n,): floats (missing: nan) or text (missing: None), in order of time."""


class FeatureKind(StrEnum):
    """How a feature is measured."""

    NUMERIC = "numeric"
    CATEGORY = "category"


def kind_of(profile: Profile) -> FeatureKind:
    """How the feature of a profile is measured."""
    numeric = isinstance(profile, NumericProfile)
    return FeatureKind.NUMERIC if numeric else FeatureKind.CATEGORY


def missing_share(profile: Profile) -> float:
    """Share of the rows without a value; of no rows at all, all are missing."""
    return profile.missing / profile.rows if profile.rows else 1.0


def profiled(columns: Mapping[str, Column], like: Mapping[str, Profile]) -> TableProfile:
    """The profile of the columns that `like` has, each counted like it.

    Args:
        columns: Shape (n,) each, rows in order of time.
        like: Profiles by name; columns that it does not name are left alone.
    """
    size = next((len(column) for column in columns.values()), 0)
    (found,) = profiled_groups(columns, np.zeros(size, dtype=np.int64), 1, like)
    return found


def profiled_groups(
    columns: Mapping[str, Column],
    codes: NDArray[np.int64],
    groups: int,
    like: Mapping[str, Profile],
) -> list[TableProfile]:
    """The same within each group of rows.

    Args:
        columns: Shape (n,) each, rows in order of time.
        codes: Shape (n,), the group of each row, from 0; -1 for none.
        groups: How many groups there are.
        like: As for `profiled`.
    """
    chosen = {name: column for name, column in columns.items() if name in like}
    counted = {
        name: profiles_by_group(as_arrow(column), codes, groups, like=like[name])
        for name, column in chosen.items()
    }
    rows = np.bincount(codes[codes >= 0], minlength=groups).tolist()
    members: Sequence[NDArray[np.intp]] = [np.flatnonzero(codes == g) for g in range(groups)]
    return [
        TableProfile(
            rows[group],
            {name: parts[group] for name, parts in counted.items()},
            tails=tails({name: column[members[group]] for name, column in chosen.items()}),
        )
        for group in range(groups)
    ]


def as_arrow(column: Column) -> pa.Array:
    """A column as Arrow; NaN stays NaN, None is null.

    Raises:
        InvalidInput: it holds other things than numbers, or than texts.
    """
    if column.dtype.kind in "fiub":
        return pa.array(column)
    try:
        return pa.array(column, type=pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidInput("a column holds neither numbers nor texts alone") from error


def tails(columns: Mapping[str, Column]) -> dict[str, Tail]:
    """How the columns of numbers end, rows in order of time."""
    ends = {name: tail_of(column) for name, column in columns.items() if column.dtype.kind == "f"}
    return {name: tail for name, tail in ends.items() if tail is not None}
