"""Count a table that somebody else has written: run in a process of its own, with limits.

`python -m trimtab.profiles.confined ORDER` reads a Parquet file or a stored profile, and leaves
its profile, and those of its windows, beside it. What the file says of its own size is not
believed by whoever starts this: memory, time and output are bounded from outside.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from trimtab.kernel.errors import InvalidInput, TrimtabError
from trimtab.profiles import codec
from trimtab.profiles.arrow import Like
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.parquet import Told, profile_parquet
from trimtab.profiles.parts import PartProfile, Windows, profile_parts
from trimtab.profiles.sources import BatchSource, ParquetSource, Source
from trimtab.profiles.table import TableProfile, Tail

TABLE, LIKE, PROFILE = "table", "like", "profile"
"""Files of the folder: what is counted, what it is counted like, and what has been counted."""

DAMAGED = "it cannot be read as Parquet: it may be cut or damaged"
MAX_COLUMNS = 2000
MAX_WINDOWS = 1000
VALUES_A_ROW = 20
"""So many columns may have as many rows as are allowed; more of them, fewer rows."""

_AS_CATEGORY = CategoryProfile(0, 0, {})


@dataclass(frozen=True)
class Limits:
    """How large a table may be."""

    rows: int
    profile_bytes: int
    """Of a stored profile, unpacked."""


@dataclass(frozen=True)
class Order:
    """What is to be counted.

    `columns` are those that are wanted, None for all; of them, those that are there are counted.
    `categories` are counted as categories, whatever their type. `window` is rows of a window.
    """

    limits: Limits
    columns: Sequence[str] | None = None
    categories: Sequence[str] = ()
    window: int | None = None


@dataclass(frozen=True)
class Counts:
    """A counted table: whole, and window by window."""

    whole: TableProfile
    windows: tuple[PartProfile, ...] = ()


def rows_source(schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> Source:
    """Rows in memory."""
    return BatchSource("the values", _Rows(schema, batches))


def counted(source: Source, order: Order, like: Like) -> Counts:
    """Count the columns of a source that are wanted, and that it has.

    Raises:
        InvalidInput: it has too many columns, rows or windows.
    """
    schema = source.schema
    assert schema is not None
    names = [n for n in schema.names if order.columns is None or n in order.columns]
    if len(names) > MAX_COLUMNS:
        raise InvalidInput(
            f"{len(names)} columns; at most {MAX_COLUMNS} are compared at once",
            field="features",
            remedy="name those that are to be compared",
        )
    known: Like = {**dict.fromkeys(order.categories, _AS_CATEGORY), **like}
    whole = source.profile(columns=names, like=known, cores=1)
    if order.window is None:
        return Counts(whole)
    if whole.rows > order.window * MAX_WINDOWS:
        raise InvalidInput(
            f"windows of {order.window} rows are more than {MAX_WINDOWS}",
            field="detection_config.window_size",
            remedy="take longer windows",
        )
    # Each window is counted like the reference, or else like the whole: comparable in any case.
    again = {**whole.columns, **known}
    windows, _ = profile_parts(
        source, list(whole.columns), like=again, windows=Windows(order.window, None)
    )
    return Counts(whole, tuple(windows))


def count_file(folder: Path, order: Order) -> Counts:
    """Count the table in a folder: a Parquet file, or a stored profile.

    Raises:
        InvalidInput: it is neither, is damaged, or is larger than allowed.
    """
    path, like = folder / TABLE, _like(folder, order)
    with path.open("rb") as file:
        head = file.read(4)
    if head != b"PAR1":
        if head[:1] not in (b"x", b"{"):  # how a profile begins: packed, or plain
            raise InvalidInput(
                "it is neither Parquet nor a stored profile",
                remedy="write it as Parquet, or keep its profile: trimtab profile FILE -o PROFILE",
            )
        return _stored(path.read_bytes(), order)
    try:
        _demand_size(path, order)
        return counted(_Parquet(path), order, like)
    except (InvalidInput, pa.ArrowException, OSError) as error:
        if isinstance(error, InvalidInput) and error.__cause__ is None:
            raise
        raise InvalidInput(DAMAGED, remedy="write it anew; it has to be Parquet") from error


class _Parquet(ParquetSource):
    """One file, of which is known how its columns end."""

    def __init__(self, path: Path):
        super().__init__([path], "the table")
        self._path = path

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        return profile_parquet(self._path, columns=columns, like=like, cores=cores, told=told)


@dataclass
class _Rows:
    """Batches in memory."""

    schema: pa.Schema
    rows: Sequence[pa.RecordBatch]

    def batches(self, columns: Sequence[str]) -> Any:
        return (batch.select(list(columns)) for batch in self.rows)


def _like(folder: Path, order: Order) -> Like:
    path = folder / LIKE
    if not path.exists():
        return {}
    return codec.from_bytes(path.read_bytes(), max_bytes=order.limits.profile_bytes).columns


def _stored(content: bytes, order: Order) -> Counts:
    profile = codec.from_bytes(content, max_bytes=order.limits.profile_bytes)
    if order.window is not None:
        raise InvalidInput(
            "a profile has no rows, and so no windows",
            field="detection_config.window_size",
            remedy="leave the windows out, or send the data",
        )
    if order.columns is None:
        return Counts(profile)
    columns = {n: one for n, one in profile.columns.items() if n in order.columns}
    skipped = {n: why for n, why in profile.skipped.items() if n in order.columns}
    return Counts(TableProfile(profile.rows, columns, skipped))


def _demand_size(path: Path, order: Order) -> None:
    from pyarrow import parquet

    metadata = parquet.read_metadata(path)
    names = parquet.read_schema(path).names
    wanted = len(names) if order.columns is None else len(set(names) & set(order.columns))
    most = min(order.limits.rows, order.limits.rows * VALUES_A_ROW // max(1, wanted))
    if metadata.num_rows > most:
        raise InvalidInput(
            f"{metadata.num_rows} rows of {wanted} columns; at most {most} are read here",
            remedy="name fewer columns in features, send fewer rows, or send a profile: "
            "trimtab profile FILE -o PROFILE",
        )


def write(folder: Path, found: Counts) -> dict[str, Any]:
    """Leave what was counted in a folder; return what is to be told beside it."""
    (folder / PROFILE).write_bytes(codec.to_bytes(found.whole))
    for number, part in enumerate(found.windows):
        (folder / f"{PROFILE}-{number}").write_bytes(codec.to_bytes(part.profile))
    tails = {name: [tail.value, tail.run] for name, tail in found.whole.tails.items()}
    return {"tails": tails, "windows": [[part.begin, part.end] for part in found.windows]}


def read(folder: Path, told: Mapping[str, Any], *, max_bytes: int) -> Counts:
    """What `write` has left, which whoever wrote it is not believed about.

    Raises:
        InvalidInput: it is not what it must be, or larger than `max_bytes`, unpacked.
        KeyError, TypeError, ValueError, OSError: the same.
    """
    whole = codec.from_bytes((folder / PROFILE).read_bytes(), max_bytes=max_bytes)
    tails = {str(n): Tail(float(value), int(run)) for n, (value, run) in told["tails"].items()}
    left, windows = max_bytes, []
    for number, (begin, end) in enumerate(told["windows"][:MAX_WINDOWS]):
        content = (folder / f"{PROFILE}-{number}").read_bytes()
        profile = codec.from_bytes(content, max_bytes=left)
        left -= len(content)
        windows.append(PartProfile(None, str(begin), str(end), profile))
    return Counts(dataclasses.replace(whole, tails=tails), tuple(windows))


def main(arguments: Sequence[str]) -> int:
    """Carry out the order on the command line, in the folder that this process is in."""
    given = json.loads(arguments[0])
    order = Order(**{**given, "limits": Limits(**given["limits"])})
    try:
        told = write(Path(), count_file(Path(), order))
    except TrimtabError as error:
        told = {"refused": {"message": error.message, "field": error.field, "remedy": error.remedy}}
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
