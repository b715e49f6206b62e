"""Columns of Arrow into profiles: chunk after chunk, in bounded memory.

Whatever speaks Arrow (pandas, polars, DuckDB, PyArrow itself) is read through the one protocol
that they share, `__arrow_c_stream__`, without naming any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.category import BUCKETS, MAX_CATEGORIES, CategoryProfile, bucket_of, of_counts
from trimtab.profiles.counting import NumericCounter
from trimtab.profiles.grid import LOGARITHMIC, Grid, fit
from trimtab.profiles.numeric import NumericProfile, empty
from trimtab.profiles.table import Profile, TableProfile, Tail
from trimtab.stats.sample import Sample

_STRAYS = 0.05  # share of a chunk out of the window that calls for a window of its own
_LOOKED_AT = 4096


class SpeaksArrow(Protocol):
    """A table of any library that exports Arrow."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Like: TypeAlias = Mapping[str, Profile]
"""Profiles that the columns of the same names are counted like: by their kind and grid."""


class NumericColumn:
    """A numeric column, counted chunk after chunk.

    Without a grid it makes one of the first values, and another where the values have gone
    elsewhere, as in a table that is sorted by the column.
    """

    def __init__(self, grid: Grid | None, *, whole: bool):
        self.whole = whole
        self._fixed = grid is not None
        self._nulls = 0
        self.tail: Tail | None = None
        """How the column ends, as far as it was counted."""
        self._done: list[NumericProfile] = []
        self._counter = None if grid is None else NumericCounter(grid, whole=whole)

    def add(self, chunk: pa.Array) -> None:
        """Count a chunk of numbers."""
        values, there = numbers(chunk)
        self.tail = _tail(self.tail, values, there)
        nulls = 0 if there is None else values.size - int(np.count_nonzero(there))
        if nulls == values.size:
            self._nulls += nulls
            return
        step = max(1, values.size // _LOOKED_AT)
        some = values[::step] if there is None else values[::step][there[::step]]
        if not self._fixed and (
            self._counter is None or not self._counter.settled or _strays(self._counter.grid, some)
        ):
            self._begin_anew(values if there is None else values[there])
        counter = self._counter or NumericCounter(LOGARITHMIC, whole=self.whole)
        self._counter = counter
        if there is None:
            counter.add(values)
            return
        fill = next((x for x in some[:_LOOKED_AT].tolist() if counter.holds(x)), None)
        if fill is None:
            self._nulls += nulls
            counter.add(values[there])
        else:
            counter.add(values, fill=fill, filled=nulls, null=~there)

    def profile(self) -> NumericProfile:
        """What was counted."""
        parts = list(self._done)
        if self._counter is not None:
            parts.append(self._counter.profile())
        if not parts:
            parts.append(empty(LOGARITHMIC, whole=self.whole))
        found = parts[0]
        for part in parts[1:]:
            found = found.merged(part)
        return found.with_missing_rows(self._nulls)

    def _begin_anew(self, values: Sample) -> None:
        if not np.isfinite(values).any():
            return
        if self._counter is not None:
            self._done.append(self._counter.profile())
        self._counter = NumericCounter(fit(values), whole=self.whole)


class CategoryColumn:
    """A column of categories, counted chunk after chunk."""

    def __init__(self) -> None:
        self._rows = self._nulls = 0
        self._counts: dict[str, int] = {}
        self._buckets: NDArray[np.int64] | None = None

    def add(self, chunk: pa.Array) -> None:
        """Count a chunk of texts, dictionary codes, booleans or whole numbers."""
        self._rows += len(chunk)
        names, counts, nulls = _categories(chunk)
        self._nulls += nulls
        if self._buckets is None:
            for name, count in zip(names, counts, strict=True):
                self._counts[name] = self._counts.get(name, 0) + count
            if len(self._counts) <= MAX_CATEGORIES:
                return
            self._buckets = np.zeros(BUCKETS, dtype=np.int64)
            names, counts = list(self._counts), list(self._counts.values())
            self._counts.clear()
        places = np.array([bucket_of(name) for name in names], dtype=np.int64)
        np.add.at(self._buckets, places, np.array(counts, dtype=np.int64))

    def profile(self) -> CategoryProfile:
        """What was counted."""
        if self._buckets is not None:
            return CategoryProfile(self._rows, self._nulls, {}, self._buckets.copy())
        return of_counts(self._counts, rows=self._rows, nulls=self._nulls)


ColumnCounter: TypeAlias = NumericColumn | CategoryColumn


def counter_for(kind: pa.DataType, like: Profile | None) -> ColumnCounter:
    """What counts a column of this type; as its likeness was counted, where that can be.

    Raises:
        InvalidInput: values of this type are not compared; the message says which.

    Example:
        >>> counter = counter_for(pa.int64(), None)
        >>> counter.add(pa.array([3, 4, None]))
        >>> counter.profile().mean
        3.5
    """
    why = unfit(kind)
    if why is not None:
        raise InvalidInput(why)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if is_text(kind) or isinstance(like, CategoryProfile):
        return CategoryColumn()
    if pa.types.is_boolean(kind) and like is None:
        return CategoryColumn()
    grid = like.grid if isinstance(like, NumericProfile) else None
    return NumericColumn(grid, whole=pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def unfit(kind: pa.DataType) -> str | None:
    """Why a column of this type is not compared; None where it is.

    Example:
        >>> unfit(pa.list_(pa.int8()))
        'values of type list<item: int8> are not compared'
        >>> unfit(pa.float32()) is None
        True
    """
    types = pa.types
    if types.is_dictionary(kind):
        return unfit(kind.value_type)
    if types.is_temporal(kind):
        return "times are not compared; use it with --time"
    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if numeric or types.is_boolean(kind) or types.is_null(kind) or is_text(kind):
        return None
    return f"values of type {kind} are not compared"


def profile_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, like: Like | None = None
) -> TableProfile:
    """The profile of record batches of one schema, one batch in memory at a time.

    Example:
        >>> table = pa.table({"city": ["Bern", "Bern", None]})
        >>> found = profile_batches(table.schema, table.to_batches())
        >>> found.rows, found.columns["city"].counts
        (3, {'Bern': 2})
    """
    counters, skipped = counters_for(schema, like)
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for name, counter in counters.items():
            counter.add(batch.column(name))
    return TableProfile(
        rows, {name: c.profile() for name, c in counters.items()}, skipped, tails_of(counters)
    )


def tails_of(counters: Mapping[str, ColumnCounter]) -> dict[str, Tail]:
    """How the numeric ones of these columns end.

    Example:
        >>> counters, _ = counters_for(pa.schema({"x": pa.float64(), "city": pa.string()}), None)
        >>> counters["x"].add(pa.array([1.0, 3.0, 3.0]))
        >>> tails_of(counters)
        {'x': Tail(value=3.0, run=2)}
    """
    return {
        name: counter.tail
        for name, counter in counters.items()
        if isinstance(counter, NumericColumn) and counter.tail is not None
    }


def counters_for(
    schema: pa.Schema, like: Like | None
) -> tuple[dict[str, ColumnCounter], dict[str, str]]:
    """A counter for each column that can be compared, and why the others cannot.

    Raises:
        InvalidInput: two columns have one name.

    Example:
        >>> counters, skipped = counters_for(pa.schema({"x": pa.int8(), "raw": pa.binary()}), None)
        >>> list(counters), skipped
        (['x'], {'raw': 'values of type binary are not compared'})
    """
    if len(set(schema.names)) != len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise InvalidInput(f"there are two columns named {twice}", field=twice)
    counters: dict[str, ColumnCounter] = {}
    skipped: dict[str, str] = {}
    for field in schema:
        why = unfit(field.type)
        if why is None:
            counters[field.name] = counter_for(field.type, (like or {}).get(field.name))
        else:
            skipped[field.name] = why
    return counters, skipped


def profile_of(data: SpeaksArrow, *, like: Like | None = None) -> TableProfile:
    """The profile of a table of any library that exports Arrow: pandas, polars, PyArrow.

    Args:
        data: Has `__arrow_c_stream__`; read once, batch by batch.
        like: Profiles to count the columns of the same names like. Comparing is then exact.

    Raises:
        InvalidInput: it does not export Arrow, or two columns have one name.

    Example:
        >>> found = profile_of(pa.table({"amount": [1.0, 2.0, 3.0], "city": ["a", "b", "b"]}))
        >>> round(found.columns["amount"].mean, 1), found.columns["city"].counts
        (2.0, {'a': 1, 'b': 2})
    """
    with opened(data) as reader:
        return profile_batches(reader.schema, reader, like=like)


def opened(data: SpeaksArrow) -> pa.RecordBatchReader:
    """The batches of a table of any library that exports Arrow.

    Raises:
        InvalidInput: it does not, or not what it holds.

    Example:
        >>> with opened(pa.table({"x": [1, 2]})) as reader:
        ...     [batch.num_rows for batch in reader]
        [2]
    """
    if not hasattr(data, "__arrow_c_stream__"):
        raise InvalidInput(
            f"a {type(data).__name__} does not export Arrow",
            remedy="give a data frame of pandas 2.2, polars 1 or newer, or a pyarrow.Table",
        )
    try:
        return pa.RecordBatchReader.from_stream(data)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InvalidInput(
            f"the {type(data).__name__} cannot be exported to Arrow: {error}",
            remedy="each column needs one type, and a name of its own",
        ) from error


def numbers(chunk: pa.Array) -> tuple[Sample, NDArray[np.bool_] | None]:
    """The values of a chunk as float64, and which of them are there; None for all.

    They may lie where the chunk's own do; where a value is not there, it is anything.

    Example:
        >>> values, there = numbers(pa.array([1, None, 3]))
        >>> values[there], there
        (array([1., 3.]), array([ True, False,  True]))
    """
    if pa.types.is_null(chunk.type):
        return np.zeros(len(chunk)), np.zeros(len(chunk), dtype=np.bool_)
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    if pa.types.is_decimal(chunk.type):
        chunk = _of_decimals(chunk)
    if chunk.type not in _VIEWS:
        chunk = chunk.cast(pa.float64(), safe=False)
    values = _buffered(chunk)
    there = _there(chunk) if chunk.null_count else None
    return values.astype(np.float64, copy=False), there


def _of_decimals(chunk: pa.Array) -> pa.Array:
    """The nearest double of each decimal, as databases and readers of text have it; Arrow's own
    cast misses it in the last place for some of ten."""
    scale = chunk.type.scale
    if pa.types.is_decimal128(chunk.type) and 0 <= scale <= 22 and not chunk.null_count:
        end = chunk.offset + len(chunk)
        halves = np.frombuffer(chunk.buffers()[1], dtype=np.int64, count=2 * end)
        low, high = halves.reshape(-1, 2)[chunk.offset :].T
        if ((high == low >> 63) & (np.abs(low) < 1 << 53)).all():  # both operands are exact
            return pa.array(low / 10.0**scale)
    return chunk.cast(pa.string()).cast(pa.float64())


def _buffered(chunk: pa.Array) -> NDArray[Any]:
    """The values of a chunk where they lie."""
    end = chunk.offset + len(chunk)
    data = chunk.buffers()[1]
    if data is None:
        return np.zeros(len(chunk))
    return np.frombuffer(data, dtype=_VIEWS[chunk.type], count=end)[chunk.offset :]


_VIEWS = {
    pa.float64(): np.float64,
    pa.float32(): np.float32,
    pa.int64(): np.int64,
    pa.int32(): np.int32,
    pa.int16(): np.int16,
    pa.int8(): np.int8,
    pa.uint8(): np.uint8,
    pa.uint16(): np.uint16,
    pa.uint32(): np.uint32,
    pa.uint64(): np.uint64,
}


def _there(chunk: pa.Array) -> NDArray[np.bool_]:
    """Which values of a chunk with nulls are not null, shape (n,)."""
    bits = np.frombuffer(chunk.buffers()[0], dtype=np.uint8)
    end = chunk.offset + len(chunk)
    return np.unpackbits(bits, count=end, bitorder="little")[chunk.offset :].view(np.bool_)


def _categories(chunk: pa.Array) -> tuple[list[str], list[int], int]:
    """The names in a chunk with their rows, and how many rows are null."""
    if pa.types.is_null(chunk.type):
        return [], [], len(chunk)
    if not pa.types.is_dictionary(chunk.type):
        chunk = _as_text(chunk).dictionary_encode()
    names = _as_text(chunk.dictionary).to_pylist()
    codes, nulls = _codes(chunk.indices)
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(names):
        raise InvalidInput("a dictionary is damaged: it lacks a value that rows refer to")
    seen = np.bincount(codes, minlength=len(names))
    counts = seen.tolist()
    if seen.all() and not chunk.dictionary.null_count:
        return names, counts, nulls
    found = [(name, n) for name, n in zip(names, counts, strict=True) if n]
    # A dictionary may hold null itself.
    nulls += sum(n for name, n in found if name is None)
    found = [(name, n) for name, n in found if name is not None]
    return [name for name, _ in found], [n for _, n in found], nulls


def encoded(column: pa.Array) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts of a column in the order in which they first come, and for each row
    the place of its own among them, shape (n,); -1 where it is null.

    Example:
        >>> encoded(pa.array(["b", None, "a", "b"]))
        (['b', 'a'], array([ 0, -1,  1,  0]))
    """
    if pa.types.is_null(column.type):
        return [], np.full(len(column), -1, dtype=np.int64)
    texts = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    coded = _as_text(texts).dictionary_encode()
    codes = _buffered(coded.indices).astype(np.int64)
    if coded.indices.null_count:
        codes[~_there(coded.indices)] = -1
    return coded.dictionary.to_pylist(), codes


def _codes(indices: pa.Array) -> tuple[NDArray[Any], int]:
    """The codes of a dictionary column that are there, and how many are null."""
    codes = _buffered(indices)
    return (codes[_there(indices)] if indices.null_count else codes), indices.null_count


def _as_text(values: pa.Array) -> pa.Array:
    """Texts as they are; numbers as the shortest text that means them: 1 and 1.0 are 1."""
    if is_text(values.type):
        return values
    import pyarrow.compute as pc  # slow to load, and seldom needed

    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        floats = values.cast(pa.float64(), safe=False)
        nothing = pa.scalar(None, pa.float64())
        floats = pc.if_else(pc.is_nan(floats), nothing, floats)
        whole = pc.and_(pc.equal(floats, pc.floor(floats)), pc.less(pc.abs(floats), 2.0**63))
        as_whole = pc.if_else(whole, floats, nothing).cast(pa.int64()).cast(pa.large_string())
        return pc.coalesce(as_whole, floats.cast(pa.large_string()))
    return values.cast(pa.large_string())


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts, plain or in a dictionary.

    Example:
        >>> is_text(pa.dictionary(pa.int8(), pa.string())), is_text(pa.binary())
        (True, False)
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def tail_of(values: Sample) -> Tail | None:
    """How a column of floats ends; None if its last value is not finite, or it has none.

    Example:
        >>> tail_of(np.array([5.0, 7.0, 7.0]))
        Tail(value=7.0, run=2)
    """
    return _tail(None, values, None)


def _tail(before: Tail | None, values: Sample, there: NDArray[np.bool_] | None) -> Tail | None:
    """How a column ends with one more chunk; cheap, because few columns end in a long run."""
    if not values.size:
        return before
    value, run, step = float(values[-1]), 0, _LOOKED_AT // 64
    if not np.isfinite(value) or (there is not None and not there[-1]):
        return None
    while run < values.size:
        part = slice(max(0, values.size - run - step), values.size - run)
        other = values[part] != value
        if there is not None:
            other |= ~there[part]
        if other.any():
            return Tail(value, run + int(np.argmax(other[::-1])))
        run += other.size
        step = min(2 * step, 1 << 16)
    return Tail(value, run + (before.run if before and before.value == value else 0))


def _strays(grid: Grid, values: Sample) -> bool:
    """Whether too many values lie out of a grid's window to count them well."""
    if grid.logarithmic:
        return False
    finite = values[np.isfinite(values)]
    if not finite.size:
        return False
    return float(((finite < grid.low) | (finite >= grid.high)).mean()) > _STRAYS
