"""The profile of a table: its columns, and what could not be profiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.numeric import NumericProfile

Profile: TypeAlias = NumericProfile | CategoryProfile


@dataclass(frozen=True)
class Tail:
    """The last `run` rows of a numeric column all have the finite `value`."""

    value: float
    run: int


@dataclass(frozen=True, eq=False)
class TableProfile:
    """What is kept of a table: `columns` by name in the table's own order, each of all `rows`;
    `skipped` are those that cannot be compared, with the reason.

    `tails` say how numeric columns end, where rows were counted in their order. They belong to
    the look, not to the profile: they are neither stored nor merged.
    """

    rows: int
    columns: Mapping[str, Profile]
    skipped: Mapping[str, str] = field(default_factory=dict)
    tails: Mapping[str, Tail] = field(default_factory=dict)

    def merged(self, other: TableProfile) -> TableProfile:
        """The profile of the rows of both. A column that one side lacks is null there.

        Raises:
            InvalidInput: a column has numbers on one side and categories on the other.
        """
        names = dict.fromkeys([*self.columns, *other.columns])
        columns = {name: _merged(name, self, other) for name in names}
        skipped = {**other.skipped, **self.skipped}
        return TableProfile(
            self.rows + other.rows,
            columns,
            {name: why for name, why in sorted(skipped.items()) if name not in columns},
        )


def merged(profiles: Iterable[TableProfile]) -> TableProfile:
    """The profile of the rows of all; of none, that of no rows.

    Example:
        >>> from trimtab.profiles.category import of_counts
        >>> monday = TableProfile(2, {"city": of_counts({"Bern": 2}, rows=2, nulls=0)})
        >>> tuesday = TableProfile(3, {"city": of_counts({"Basel": 3}, rows=3, nulls=0)})
        >>> merged([monday, tuesday]).columns["city"].counts
        {'Basel': 3, 'Bern': 2}
    """
    return reduce(TableProfile.merged, profiles, TableProfile(0, {}))


def ends(parts: Sequence[TableProfile]) -> dict[str, Tail]:
    """How the columns of a table end that lies in parts, in the order of its rows.

    Example:
        >>> before = TableProfile(2, {}, tails={"x": Tail(7.0, 1)})
        >>> last = TableProfile(3, {}, tails={"x": Tail(7.0, 3)})
        >>> ends([before, last])
        {'x': Tail(value=7.0, run=4)}
    """
    found: dict[str, Tail] = {}
    for part in parts:
        found = {name: _joined(tail, found.get(name), part) for name, tail in part.tails.items()}
    return found


def _joined(tail: Tail, before: Tail | None, part: TableProfile) -> Tail:
    """A run that fills its part goes on from the part before."""
    goes_on = before is not None and tail.run == part.rows and before.value == tail.value
    return Tail(tail.value, tail.run + before.run) if goes_on and before is not None else tail


def _merged(name: str, one: TableProfile, other: TableProfile) -> Profile:
    a, b = one.columns.get(name), other.columns.get(name)
    if isinstance(a, NumericProfile) and isinstance(b, NumericProfile):
        return a.merged(b)
    if isinstance(a, CategoryProfile) and isinstance(b, CategoryProfile):
        return a.merged(b)
    if b is not None and (a is None or _only_nulls(a)):
        return b.with_missing_rows(one.rows)
    if a is not None and (b is None or _only_nulls(b)):
        return a.with_missing_rows(other.rows)
    raise InvalidInput(f"column {name} has numbers on one side, categories on the other")


def _only_nulls(profile: Profile) -> bool:
    """Whether a column might as well be of the other kind."""
    return profile.nulls == profile.rows
