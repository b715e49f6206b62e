"""A Parquet file, column chunk by column chunk, on all cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import Like, counter_for, counters_for, is_text, tails_of
from trimtab.profiles.table import Profile, TableProfile, Tail

Told = Callable[[int, int], None]
"""Hears how many columns are done, and of how many."""

CUT = "it may be cut or damaged: copy it again, or write it anew"
"""What is to be done about a file that cannot be read."""

_CHUNK_ROWS = 1 << 20
"""Rows of a column that are in memory at a time, whatever the size of a row group."""


def profile_parquet(
    source: Path | pa.NativeFile,
    *,
    columns: Sequence[str] | None = None,
    like: Like | None = None,
    cores: int | None = None,
    told: Told | None = None,
) -> TableProfile:
    """The profile of a Parquet file.

    One column chunk (or a part of it, where row groups are very large) is in memory per core.

    Args:
        source: The file; of something that is no path, only one core reads.
        columns: Those to read; all by default.
        like: Profiles to count the columns of the same names like.
        cores: How many may work; all by default.
        told: Hears about progress.

    Raises:
        InvalidInput: no Parquet file, damaged, or without a column that was asked for.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.parquet")
        ...     pq.write_table(pa.table({"x": [1, 2, None], "y": ["a", "b", "b"]}), path)
        ...     found = profile_parquet(path, columns=["x"])
        >>> found.rows, list(found.columns), found.columns["x"].nulls
        (3, ['x'], 1)
    """
    files = _Files(source)
    schema = chosen(files.schema, columns)
    fields = {field.name: field.type for field in schema}
    _, skipped = counters_for(schema, like)
    names = [name for name in fields if name not in skipped]
    found: dict[str, Profile] = {}
    tails: dict[str, Tail] = {}
    workers = min(cores or len(os.sched_getaffinity(0)), len(names)) if files.path else 1
    lock = threading.Lock()

    def count(name: str) -> None:
        counter = counter_for(fields[name], (like or {}).get(name))
        for chunk in files.chunks(name):
            counter.add(chunk)
        profile = counter.profile()
        with lock:
            found[name] = profile
            tails.update(tails_of({name: counter}))
            done = len(found)
            if told is not None:
                told(done, len(names))

    try:
        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(count, names))
        else:
            for name in names:
                count(name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{files.title} cannot be read: {error}", remedy=CUT) from error
    return TableProfile(files.rows, {name: found[name] for name in names}, skipped, tails)


class _Files:
    """One handle on the file for each thread; its metadata are read once."""

    def __init__(self, source: Path | pa.NativeFile):
        self.path = source if isinstance(source, Path) else None
        self.title = str(source) if self.path else "the data"
        self._local = threading.local()
        try:
            first = pq.ParquetFile(source)
        except (pa.ArrowException, OSError) as error:
            message = f"{self.title} is not a readable Parquet file: {error}"
            raise InvalidInput(message, remedy=CUT) from error
        self._source = source
        self._metadata = first.metadata
        self.schema: pa.Schema = first.schema_arrow
        self.rows: int = first.metadata.num_rows
        self._texts = [field.name for field in self.schema if is_text(field.type)]

    def chunks(self, name: str) -> Iterator[pa.Array]:
        """The chunks of a column in the order of its rows; texts as codes of a dictionary."""
        file = self._file()
        for group in range(self._metadata.num_row_groups):
            if self._metadata.row_group(group).num_rows > 2 * _CHUNK_ROWS:
                batches = file.iter_batches(
                    _CHUNK_ROWS, row_groups=[group], columns=[name], use_threads=False
                )
                for batch in batches:
                    yield batch.column(0)
            else:
                table = file.read_row_group(group, [name], use_threads=False)
                yield from table.column(0).chunks

    def _file(self) -> Any:
        if not hasattr(self._local, "file"):
            self._local.file = pq.ParquetFile(
                self._source, metadata=self._metadata, read_dictionary=self._texts
            )
        return self._local.file


def chosen(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """The fields that were asked for.

    Raises:
        InvalidInput: there is no such column, or there are two.

    Example:
        >>> chosen(pa.schema({"a": pa.int8(), "b": pa.int8()}), ["b"]).names
        ['b']
    """
    if columns is None:
        return schema
    for name in columns:
        if schema.names.count(name) > 1:
            raise InvalidInput(f"there are two columns named {name}", field=name)
        if name not in schema.names:
            raise InvalidInput(
                f"there is no column {name}",
                field=name,
                remedy=f"there are {', '.join(schema.names[:20])}",
            )
    return pa.schema([schema.field(name) for name in columns])
