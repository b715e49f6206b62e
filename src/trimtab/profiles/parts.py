"""Profiles of the parts of a table: its segments, its windows of time or of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import Like, encoded, is_text, unfit
from trimtab.profiles.csv import TypeWidened
from trimtab.profiles.groups import profiles_by_group
from trimtab.profiles.sources import Source
from trimtab.profiles.table import TableProfile

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAMED = (("day", 86_400), ("hour", 3600), ("minute", 60))
_NO_LENGTH = re.compile(r"\d+\s*(mo|months?|y|years?)")
_LENGTH = re.compile(r"(\d+)\s*(m|h|d|w|rows?)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = 4 * 86_400_000_000  # 1970 began on a Thursday; weeks begin on Mondays
_UNITS = (("seconds", 1e11, 1e6), ("milliseconds", 1e14, 1e3), ("microseconds", 1e17, 1.0))
_OUR_TIME = (315_532_800e6, 7_258_118_400e6)
"""1980 and 2200 in microseconds: numbers that mostly lie elsewhere are no times."""

_TIMES = "give dates, timestamps, ISO 8601, or numbers since 1970"
_MOST_PARTS = 100_000
_LONGEST = 100 * 366 * 86_400  # seconds
_LAST = 250_000_000_000_000_000  # microseconds: in the year 9892, where no window ends later

_Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """How rows fall into windows: by so many microseconds of a column of time, or by so many
    rows in their order."""

    length: int
    time: str | None

    @classmethod
    def parse(cls, text: str, time: str | None) -> Windows:
        """From `1d`, `12h`, `30m`, `1w`, or, for rows, `200` or `200 rows`.

        Raises:
            InvalidInput: it is none of these, or a stretch of time without a column of time.
        """
        found = _LENGTH.fullmatch(text.strip())
        if found is None or int(found[1]) == 0:
            remedy = "say 1d, 12h, 30m, 1w or 200 rows"
            if _NO_LENGTH.fullmatch(text.strip().lower()):
                remedy = "months and years have no fixed length: say 30d, 4w or 365d"
            raise InvalidInput(f"{text!r} is no window", field="window", remedy=remedy)
        unit = found[2] or "rows"
        if unit.startswith("row"):
            return cls(int(found[1]), None)
        if time is None:
            raise InvalidInput(
                "a window of time needs a column of time",
                field="window",
                remedy="name it with --time, or give a window in rows: 200",
            )
        seconds = int(found[1]) * _SECONDS[unit]
        if seconds > _LONGEST:
            raise InvalidInput(
                f"a window of {text.strip()} is longer than a century",
                field="window",
                remedy="take shorter ones, or compare the tables as a whole",
            )
        return cls(seconds * 1_000_000, time)

    @property
    def text(self) -> str:
        """How long a window is, in words.

        Example:
            >>> [Windows.parse(text, "at").text for text in ("1m", "36h", "1w", "200")]
            ['1 minute', '36 hours', '7 days', '200 rows']
        """
        if self.time is None:
            unit, count = "row", self.length
        else:
            seconds = self.length // 1_000_000
            unit, size = next((u, size) for u, size in _NAMED if seconds % size == 0)
            count = seconds // size
        return f"{count} {unit}" if count == 1 else f"{count} {unit}s"

    def name(self, number: int) -> tuple[str, str]:
        """Begin and end of a window: moments, or numbers of rows."""
        if self.time is None:
            return str(number * self.length), str((number + 1) * self.length)
        begin = _EPOCH + timedelta(microseconds=number * self.length + self._offset)
        return begin.isoformat(), (begin + timedelta(microseconds=self.length)).isoformat()

    @property
    def _offset(self) -> int:
        weeks = self.time is not None and self.length % (_SECONDS["w"] * 1_000_000) == 0
        return _MONDAY if weeks else 0

    def numbers(self, batch: pa.RecordBatch, first_row: int) -> tuple[_Numbers, int]:
        """The window of each row, shape (n,), and how many rows have no time.

        Raises:
            InvalidInput: the column of time holds no times, or mixes their units.
        """
        if self.time is None:
            rows = np.arange(first_row, first_row + batch.num_rows, dtype=np.int64)
            return rows // self.length, 0
        moments, there = microseconds(batch.column(self.time), self.time)
        if there.any() and np.abs(moments[there]).max() > _LAST - self.length:
            raise InvalidInput(
                f"column {self.time} has times that are thousands of years away",
                field=self.time,
                remedy="leave such rows out, or without a time",
            )
        numbers = (moments - self._offset) // self.length
        numbers[~there] = np.iinfo(np.int64).min
        return numbers, int(there.size - there.sum())


@dataclass(frozen=True)
class PartProfile:
    """One part: its segment, its window, and what is kept of it."""

    segment: str | None
    begin: str | None
    end: str | None
    profile: TableProfile


def profile_parts(
    source: Source,
    columns: Sequence[str],
    *,
    like: Like,
    by: str | None = None,
    windows: Windows | None = None,
) -> tuple[list[PartProfile], int]:
    """The profiles of the parts of a table, in the order of segments and of time; some rows are
    in memory at a time.

    Args:
        source: Has rows.
        columns: Those to count.
        like: Profiles to count them like.
        by: The column whose values are the segments.
        windows: How rows fall into windows.

    Returns:
        The parts, and how many rows are in none: without a time, or without a segment.

    Raises:
        InvalidInput: there is no such column, or more than 100,000 parts.

    Example:
        >>> from trimtab.profiles.sources import frame_source
        >>> source = frame_source(pa.table({"amount": [1, 2, 30, 4], "city": ["a", "a", "b", "a"]}))
        >>> parts, lost = profile_parts(source, ["amount"], like={}, by="city")
        >>> [(part.segment, part.profile.columns["amount"].high) for part in parts], lost
        ([('a', 4.0), ('b', 30.0)], 0)
    """
    extra = [name for name in (by, windows.time if windows else None) if name is not None]
    _known(source, extra)
    _fit(source, by)
    while True:
        try:
            return _parts(source, columns, extra, like, by, windows)
        except TypeWidened:
            continue  # the types of its columns have changed: anew, from the first row


def _parts(
    source: Source,
    columns: Sequence[str],
    extra: Sequence[str],
    like: Like,
    by: str | None,
    windows: Windows | None,
) -> tuple[list[PartProfile], int]:
    found: dict[tuple[str, int], TableProfile] = {}
    units: set[str] = set()
    rows = lost = 0
    for batch in source.batches(list(dict.fromkeys([*columns, *extra]))):
        if windows is not None and windows.time is not None:
            unit = unit_of(batch.column(windows.time))
            units |= set() if unit is None else {unit}
            if len(units) > 1:
                raise _mixed(windows.time, units)
        names, segments = _segments(batch, by)
        numbers, _ = windows.numbers(batch, rows) if windows else (_zeros(batch), 0)
        rows += batch.num_rows
        inside = (segments >= 0) & (numbers != np.iinfo(np.int64).min)
        lost += int(inside.size - inside.sum())
        for key, profile in _counted(batch, columns, like, names, segments, numbers, inside):
            known = found.get(key)
            found[key] = profile if known is None else known.merged(profile)
        if len(found) > _MOST_PARTS:
            raise InvalidInput(
                f"more than {_MOST_PARTS} parts", remedy="take longer windows, or fewer segments"
            )
    return [_named(key, found[key], by, windows) for key in sorted(found)], lost


def _counted(
    batch: pa.RecordBatch,
    columns: Sequence[str],
    like: Like,
    names: Sequence[str],
    segments: _Numbers,
    numbers: _Numbers,
    inside: NDArray[np.bool_],
) -> Iterator[tuple[tuple[str, int], TableProfile]]:
    pairs = np.stack([segments[inside], numbers[inside]])
    keys, places = np.unique(pairs, axis=1, return_inverse=True)
    codes = np.full(inside.size, -1, dtype=np.int64)
    codes[inside] = places.ravel()
    count = keys.shape[1]
    profiles = {
        name: profiles_by_group(batch.column(name), codes, count, like=like.get(name))
        for name in columns
    }
    sizes = np.bincount(codes[inside], minlength=count).tolist()
    for place in range(count):
        key = (names[keys[0, place]], int(keys[1, place]))
        yield key, TableProfile(sizes[place], {n: found[place] for n, found in profiles.items()})


def _segments(batch: pa.RecordBatch, by: str | None) -> tuple[list[str], _Numbers]:
    if by is None:
        return [""], _zeros(batch)
    return encoded(batch.column(by))


def _zeros(batch: pa.RecordBatch) -> _Numbers:
    return np.zeros(batch.num_rows, dtype=np.int64)


def _named(
    key: tuple[str, int], profile: TableProfile, by: str | None, windows: Windows | None
) -> PartProfile:
    begin, end = windows.name(key[1]) if windows else (None, None)
    return PartProfile(None if by is None else key[0], begin, end, profile)


def _fit(source: Source, by: str | None) -> None:
    if by is None or source.schema is None:
        return
    kind = source.schema.field(by).type
    if unfit(kind) and not pa.types.is_temporal(kind):
        raise InvalidInput(
            f"column {by} has no segments: values of type {kind}",
            field=by,
            remedy="name a column of texts, numbers or dates",
        )


def _known(source: Source, names: Sequence[str]) -> None:
    schema = source.schema
    for name in names:
        if schema is not None and name not in schema.names:
            raise InvalidInput(
                f"{source.title} has no column {name}",
                field=name,
                remedy=f"there are {', '.join(schema.names[:20])}",
            )


def microseconds(column: pa.Array, name: str) -> tuple[_Numbers, NDArray[np.bool_]]:
    """A column of times in microseconds since 1970, UTC, shape (n,), and where there is one.

    Times are dates and timestamps (without a zone: UTC), texts in ISO 8601, or numbers since 1970,
    whose unit is told by their size. Zero is no time, and half of the numbers or more out of the
    years 1980 to 2199 are none either.

    Raises:
        InvalidInput: it holds other things, or numbers of several units.

    Example:
        >>> microseconds(pa.array(["1970-01-01T00:00:02", None]), "at")
        (array([2000000,       0]), array([ True, False]))
        >>> microseconds(pa.array([1_700_000_000]), "at")[0]
        array([1700000000000000])
    """
    column, kind = _plain(column)
    if _numeric(kind):
        return _since_1970(column, name)
    zones = (None, "UTC") if is_text(kind) else ("UTC" if _zoned(kind) else None,)
    try:
        moments = _cast(column, zones)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(
            f"column {name} holds no times: {error}",
            field=name,
            remedy=_TIMES,
        ) from error
    there = np.asarray(moments.is_valid())
    numbers = np.asarray(moments.cast(pa.int64()).fill_null(0)).astype(np.int64)
    return numbers, there


def _plain(column: pa.Array) -> tuple[pa.Array, pa.DataType]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column, column.type


def _numeric(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _cast(column: pa.Array, zones: Sequence[str | None]) -> pa.Array:
    """Moments; a text has an offset in all of its rows, or in none."""
    for zone in zones[:-1]:
        try:
            return column.cast(pa.timestamp("us", tz=zone), safe=False)
        except pa.ArrowInvalid:
            continue
    return column.cast(pa.timestamp("us", tz=zones[-1]), safe=False)


def unit_of(column: pa.Array) -> str | None:
    """The unit in which a column of numbers tells times, by its largest; None of other types, and
    where there is no number.

    Example:
        >>> unit_of(pa.array([1_700_000_000])), unit_of(pa.array([1_700_000_000_000]))
        ('seconds', 'milliseconds')
    """
    column, kind = _plain(column)
    if not _numeric(kind):
        return None
    sizes = np.abs(_numbers_of(column))
    largest = float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))
    return _unit(largest)[0] if largest else None


def _numbers_of(column: pa.Array) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _mixed(name: str, units: Iterable[str]) -> InvalidInput:
    return InvalidInput(
        f"column {name} mixes units of time: {' and '.join(sorted(units))}",
        field=name,
        remedy="write all of its times in one unit",
    )


def _zoned(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is not None


def _since_1970(column: pa.Array, name: str) -> tuple[_Numbers, NDArray[np.bool_]]:
    values = _numbers_of(column)
    there = np.isfinite(values) & (values != 0)
    given = values[there]
    if not given.size:
        return np.zeros(values.size, dtype=np.int64), there
    sizes = np.abs(given)
    units = {_unit(float(size)) for size in (sizes.min(), sizes.max())}
    if len(units) > 1:
        raise _mixed(name, (unit for unit, _ in units))
    ((_, factor),) = units
    early, late = _OUR_TIME
    strange = (given * factor < early) | (given * factor > late)
    if 2 * np.count_nonzero(strange) >= given.size:
        first = given[strange][0]
        raise InvalidInput(
            f"column {name} holds no times: {first:.15g} would be {_moment(first * factor)}",
            field=name,
            remedy=_TIMES,
        )
    return np.where(there, values * factor, 0.0).astype(np.int64), there


def _moment(since_1970: float) -> str:
    try:
        return (_EPOCH.replace(tzinfo=None) + timedelta(microseconds=since_1970)).isoformat()
    except OverflowError:
        return "beyond the year 9999, or before 1"


def _unit(size: float) -> tuple[str, float]:
    """The unit in which a moment of our time is a number of this size, and its microseconds."""
    for unit, below, factor in _UNITS:
        if size < below:
            return unit, factor
    return "nanoseconds", 1e-3
