"""The counts of a profile as one query, for every engine that Ibis speaks to.

Each column is grouped by its cells, and the groups are put one below the other: the *long* form,
which engines work off many times faster than a row of some hundred conditional sums. Its rows are
cells and categories with their counts, never rows of the table.

Engines differ in logarithms, in powers, in how far they round a decimal literal, and in what they
raise where a double overflows or vanishes. So there are no logarithms here: exponents are found by
comparing with powers of two, all constants are read from text (the nearest double everywhere),
and values are scaled by powers of two, which is exact, and never beyond what a double holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from trimtab.profiles.category import KEPT_OF_LONG, MAX_CATEGORIES, MAX_NAME
from trimtab.profiles.grid import LOWEST_LEVEL, OCTAVE_BITS, Grid

Expression: TypeAlias = Any
"""A table or a column of Ibis, which is loaded only where it is used."""

NULL, NAN, POSITIVE, NEGATIVE = (k - (1 << 62) for k in range(4))
"""Stand in the place of an index for what has no cell; no index comes near."""

COLUMNS = ("feature", "width", "index", "name", "rows", "low", "high")
"""What a row of the answer holds. Of a numeric column: the width of a cell (null for what has
none), its index, its rows, and the extremes of the whole column. Of categories: the name, or
(where `index` is 1, there are too many) the first three digits of its digest."""

BUCKETED = 1

_STEP = 32  # octaves that the first comparisons of an exponent tell apart
_EVERYTHING = 1 << 62
_SAFE = 900  # windows below two to this power do not bring distances near the largest double


@dataclass(frozen=True)
class Counted:
    """A numeric column and the grid that it is counted by."""

    name: str
    grid: Grid


def count_query(
    table: Expression, numeric: Mapping[int, Counted], categories: Mapping[int, str]
) -> Expression:
    """The query that counts columns of a table; `feature` in its rows is the number given here.

    Args:
        table: A table of Ibis.
        numeric: Columns of numbers or booleans.
        categories: Columns of text, whole numbers or booleans. At least one of both kinds.
    """
    parts = []
    if numeric:
        parts.append(_cells([_in_window(table, k, one) for k, one in numeric.items()]))
    if categories:
        parts.append(_names([_named(table, k, name) for k, name in categories.items()], table))
    return _below_each_other(parts)


def quantile_query(
    table: Expression, columns: Mapping[int, str], shares: Sequence[float]
) -> Expression:
    """The query for what a grid is fitted by: of each column `feature`, `low`, `high`, whether
    all of its finite values are whole, and `quantiles` at these shares."""
    return _below_each_other([_spread(table, k, name, shares) for k, name in columns.items()])


def _spread(table: Expression, number: int, name: str, shares: Sequence[float]) -> Expression:
    import ibis

    values = table.select(x=_as_double(table[name]))
    finite = values.filter((values.x > _double(-math.inf)) & (values.x < _double(math.inf)))
    small = finite.x.abs() < _double(2.0**53)  # beyond, all are whole, and some too large to cast
    whole = ibis.cases((small, finite.x == finite.x.floor().cast("float64")), else_=True)
    found = finite.aggregate(
        low=finite.x.min(),
        high=finite.x.max(),
        whole=whole.all(),
        quantiles=finite.x.quantile(list(shares)),
    )
    return found.select(
        feature=ibis.literal(number, "int64"),
        low=found.low,
        high=found.high,
        whole=found.whole,
        quantiles=found.quantiles,
    )


def _in_window(table: Expression, number: int, column: Counted) -> Expression:
    """The values of a column by their cells in the window; what lies outside, by value."""
    import ibis

    values = table.select(x=_as_double(table[column.name]))
    whole = table[column.name].type().is_integer() or table[column.name].type().is_boolean()
    finite, inside, width, index = _near(values.x, column.grid, tiny=not whole)
    odd = ibis.cases(
        (values.x.isnan(), NAN),  # first: on Spark, Ibis takes NaN for null too
        (values.x.isnull(), NULL),
        (values.x == _double(math.inf), POSITIVE),
        else_=NEGATIVE,
    )
    placed = values.select(
        x=values.x,
        index=ibis.cases((inside, index), (finite, ibis.null("int64")), else_=odd),
        outside=ibis.cases((inside, ibis.null("float64")), (finite, values.x)),
        **({"width": ibis.cases((inside, width))} if column.grid.logarithmic else {}),
    )
    keys = [name for name in placed.columns if name != "x"]
    counted = placed.group_by(keys).aggregate(
        rows=placed.count(), low=placed.x.min(), high=placed.x.max()
    )
    celled = counted.index.isnull() | (counted.index > NEGATIVE)
    least = _double(math.ldexp(1.0, column.grid.level))
    found = ibis.coalesce(counted.width, least) if column.grid.logarithmic else least
    return counted.select(
        feature=ibis.literal(number, "int64"),
        width=ibis.cases((celled, found)),
        index=counted.index,
        outside=counted.outside,
        distance=_distance(counted.outside, column.grid),
        rows=counted.rows,
        low=ibis.cases((celled, counted.low)),
        high=ibis.cases((celled, counted.high)),
    )


def _near(x: Expression, grid: Grid, *, tiny: bool) -> tuple[Expression, ...]:
    """Whether a value is finite, whether it lies in the window (or, of a logarithmic grid, in
    the usual octaves), and the width and the index of its cell there."""
    finite = (x > _double(-math.inf)) & (x < _double(math.inf))  # no NaN is below infinity
    if not grid.logarithmic:
        inside = (x >= _double(grid.least)) & (x < _double(grid.high))
        return finite, inside, _double(math.ldexp(1.0, grid.level)), _window_index(x, grid, tiny)
    size = x.abs()
    octaves = range(-_STEP, _STEP)
    inside = (size >= _double(2.0**-_STEP)) & (size < _double(2.0**_STEP))
    width = _by_power(size, octaves, lambda k: math.ldexp(1.0, k - OCTAVE_BITS))
    return finite, inside, width, (x / width).floor().cast("int64")


def _window_index(x: Expression, grid: Grid, tiny: bool) -> Expression:
    """As `Grid.place` numbers the cells of its window."""
    import ibis

    level = grid.level
    if level > 0:
        scaled = x / _double(math.ldexp(1.0, level))
        if tiny:  # some engines refuse quotients that are too small for a double
            negligible = x.abs() < _double(math.ldexp(1.0, level - 60))
            below = x < _double(-math.ldexp(1.0, level - 1075))  # else the quotient is zero
            scaled = ibis.cases(
                (negligible & below, _double(-0.5)), (negligible, _double(0.0)), else_=scaled
            )
    else:
        scaled = x
        for power in (min(-level, 1023), -level - min(-level, 1023)):
            scaled = scaled if power == 0 else scaled * _double(math.ldexp(1.0, power))
    return scaled.floor().cast("int64")


def _distance(x: Expression, grid: Grid) -> Expression:
    """The distance by which the cell of an outlier is as wide as it is, as `Grid.place` has it."""
    import ibis

    if grid.logarithmic:
        return x.abs()
    low, high = grid.low, grid.high
    span = high - low
    if math.isinf(span):
        return ibis.cases((x.notnull(), _double(2.0**1023)))
    if max(abs(low), abs(high)) < 2.0**_SAFE:
        beyond = ibis.cases((x >= _double(high), x - _double(high)), else_=_double(low) - x)
        return beyond + _double(span)
    # Near the largest double a quarter of everything is exact, and does not overflow.
    quarter = ibis.cases((x.abs() < _double(1.0), _double(0.0)), else_=x * _double(0.25))
    beyond = ibis.cases(
        (x >= _double(high), quarter - _double(high / 4)), else_=_double(low / 4) - quarter
    )
    fourth = beyond + _double(span / 4)
    most = _double(2.0**1021)
    return ibis.cases((fourth >= most, most), else_=fourth) * _double(4.0)


def _cells(counted: Sequence[Expression]) -> Expression:
    """What lies outside of windows gets its cells, too."""
    import ibis

    every = _below_each_other(counted)
    exponents = range(-1024, 1024, _STEP)
    every = every.mutate(base=_by_power(every.distance, exponents, lambda k: math.ldexp(1.0, k)))
    every = _kept_apart(every)
    ratio = every.distance / every.base
    fine = _by_power(ratio, range(_STEP), lambda k: math.ldexp(1.0, k - OCTAVE_BITS))
    every = _kept_apart(every.mutate(wide=every.base * fine))
    inside = every.outside.isnull() | (every.wide < every.width)
    every = every.mutate(width=ibis.cases((inside, every.width), else_=every.wide))
    placed = every.mutate(
        index=ibis.cases(
            (every.outside.isnull(), every.index), else_=_index(every.outside, every.width)
        )
    )
    cells = placed.group_by(["feature", "width", "index"]).aggregate(
        rows=placed.rows.sum(), low=placed.low.min(), high=placed.high.max()
    )
    return cells.select(
        feature=cells.feature,
        width=cells.width,
        index=cells.index,
        name=ibis.null("string"),
        rows=cells.rows,
        low=cells.low.min().over(group_by=cells.feature),
        high=cells.high.max().over(group_by=cells.feature),
    )


def _kept_apart(table: Expression) -> Expression:
    """A table whose columns are computed once. PostgreSQL would put their expressions wherever
    they are used, dozens of times; a limit that limits nothing keeps it from that."""
    return table.limit(_EVERYTHING) if table.get_backend().name == "postgres" else table


def _index(x: Expression, width: Expression) -> Expression:
    """The cell of this width that a value lies in; a value that is nothing beside the width is
    told by its sign, for its quotient may be too small for a double."""
    import ibis

    nothing = x.abs() * _double(2.0**1000) <= width * _double(2.0**-75)
    return ibis.cases(
        (
            (x.abs() >= _double(2.0**-50)) | (width <= _double(1.0)),
            (x / width).floor().cast("int64"),
        ),
        ((x >= _double(0.0)) | nothing, ibis.literal(0, "int64")),
        else_=ibis.literal(-1, "int64"),
    )


def _by_power(x: Expression, exponents: range, value: Any) -> Expression:
    """`value` of the largest exponent whose power of two does not exceed `x`; of the first one
    below all. Halved again and again, so that few comparisons find it."""
    import ibis

    if len(exponents) == 1:
        return _double(value(exponents[0]))
    middle = len(exponents) // 2
    return ibis.cases(
        (x >= _double(math.ldexp(1.0, exponents[middle])), _by_power(x, exponents[middle:], value)),
        else_=_by_power(x, exponents[:middle], value),
    )


def _named(table: Expression, number: int, name: str) -> Expression:
    import ibis

    column = table[name]
    if column.type().is_boolean():
        text = ibis.cases((column, "true"), (~column, "false"))
    else:
        text = column.cast("string")
    values = table.select(name=text)
    counted = values.group_by("name").aggregate(rows=values.count())
    return counted.select(
        feature=ibis.literal(number, "int64"), name=counted.name, rows=counted.rows
    )


def _names(counted: Sequence[Expression], table: Expression) -> Expression:
    """Names shortened as `category.shortened` does; where there are too many, digests."""
    import ibis

    every = _below_each_other(counted)
    long = every.name.length() > MAX_NAME
    begun = every.name.substr(0, KEPT_OF_LONG) + ibis.literal("…")
    short = ibis.cases((long, begun + _digest(every.name, table)), else_=every.name)
    every = every.mutate(name=short)
    every = every.mutate(many=every.name.count().over(group_by=every.feature) > MAX_CATEGORIES)
    key = ibis.cases((every.many, _digest(every.name, table).substr(0, 3)), else_=every.name)
    every = every.mutate(name=key, index=ibis.cases((every.many, BUCKETED), else_=0))
    grouped = every.group_by(["feature", "index", "name"]).aggregate(rows=every.rows.sum())
    nothing = ibis.null("float64")
    return grouped.select(
        feature=grouped.feature,
        width=nothing,
        index=grouped.index.cast("int64"),
        name=grouped.name,
        rows=grouped.rows,
        low=nothing,
        high=nothing,
    )


@cache
def _functions() -> tuple[Any, Any, Any]:
    """MD5 of a text, of bytes, and what makes UTF-8 of a text in PostgreSQL."""
    import ibis

    builtin = ibis.udf.scalar.builtin

    def of_text(value):  # type: ignore[no-untyped-def]
        """MD5 as hexadecimal digits."""

    def of_bytes(value):  # type: ignore[no-untyped-def]
        """MD5 as hexadecimal digits."""

    def bytes_of(value, encoding):  # type: ignore[no-untyped-def]
        """A text in another encoding."""

    return (
        builtin(of_text, name="md5", signature=(("string",), "string")),
        builtin(of_bytes, name="md5", signature=(("binary",), "string")),
        builtin(bytes_of, name="convert_to", signature=(("string", "string"), "binary")),
    )


def _digest(text: Expression, table: Expression) -> Expression:
    of_text, of_bytes, bytes_of = _functions()
    if table.get_backend().name == "postgres":  # whose texts have the encoding of the database
        return of_bytes(bytes_of(text, "UTF8"))
    return of_text(text)


def _as_double(column: Expression) -> Expression:
    import ibis

    if column.type().is_boolean():
        return ibis.cases((column, _double(1.0)), (~column, _double(0.0)))
    return column.cast("float64")


@cache
def _double(value: float) -> Expression:
    """A constant that every engine reads as this double. As a plain literal, some would read a
    decimal, and round twice on the way from there."""
    import ibis

    if math.isinf(value):
        return ibis.literal(value, "float64")
    return ibis.literal(repr(value)).cast("float64")


def _below_each_other(parts: Sequence[Expression]) -> Expression:
    """The union of all, halved again and again: a chain of hundreds is too deep for parsers."""
    import ibis

    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return ibis.union(_below_each_other(parts[:middle]), _below_each_other(parts[middle:]))


assert LOWEST_LEVEL >= -1024 - OCTAVE_BITS, "all cells are as wide as some power found here"
