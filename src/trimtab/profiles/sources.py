"""Where a table lies: a file, a folder of files, a stored profile, a frame in memory.

Every source answers the same three questions: which columns it has, what its profile is, and
what its rows are, some columns at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.profiles import codec
from trimtab.profiles.arrow import Like, SpeaksArrow, is_text, opened, profile_batches, unfit
from trimtab.profiles.csv import CsvFile, TypeWidened
from trimtab.profiles.dialect import packing
from trimtab.profiles.parquet import CUT, Told, chosen, profile_parquet
from trimtab.profiles.table import TableProfile, ends, merged

_BATCH_ROWS = 1 << 18
_PACKED = b"x\x9c"  # how what zlib has packed begins, and no text


class Source(Protocol):
    """A table that can be profiled."""

    @property
    def title(self) -> str:
        """What people call it: a path, an address."""

    @property
    def schema(self) -> pa.Schema | None:
        """Its columns and their types; None of a stored profile, which has no rows."""

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        """Its profile; as `parquet.profile_parquet`."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows, some columns and some rows at a time."""


class ParquetSource:
    """A Parquet file, or the folder of a table in several: a column that one of them lacks is
    null there."""

    def __init__(self, paths: Sequence[Path], title: str):
        self.title = title
        self._paths = paths
        self._own = [self._schema(path) for path in paths]
        self.schema = self._own[0]
        for path, own in zip(paths, self._own, strict=True):
            self.schema = _unified(self.schema, own, path)

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        """Its profile; further files are counted like the first."""
        parts: list[TableProfile] = []
        known = dict(like or {})
        wanted = chosen(self.schema, columns).names
        for path, own in zip(self._paths, self._own, strict=True):
            there = [name for name in wanted if name in own.names]
            part = profile_parquet(path, columns=there, like=known, cores=cores, told=told)
            parts.append(part)
            for name, column in part.columns.items():
                if column.known:
                    known.setdefault(name, column)
        return replace(merged(parts), tails=ends(parts))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows, in the order of the files."""
        wanted = chosen(self.schema, columns)
        for path, own in zip(self._paths, self._own, strict=True):
            there = [name for name in wanted.names if name in own.names]
            try:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(_BATCH_ROWS, columns=there):
                        yield batch if len(there) == len(wanted) else _filled(batch, wanted)
            except (pa.ArrowException, OSError) as error:
                raise InvalidInput(f"{path} cannot be read: {error}", remedy=CUT) from error

    def _schema(self, path: Path) -> pa.Schema:
        try:
            return pq.read_schema(path)
        except (pa.ArrowException, OSError) as error:
            message = f"{path} is not a readable Parquet file: {error}"
            raise InvalidInput(message, remedy=CUT) from error


def _unified(known: pa.Schema, own: pa.Schema, path: Path) -> pa.Schema:
    """The columns of both; those of one name are of one kind."""
    for field in own:
        place = known.get_field_index(field.name)
        if place < 0:
            known = known.append(field)
            continue
        before = known.field(place)
        if pa.types.is_null(before.type):
            known = known.set(place, field)
        elif not pa.types.is_null(field.type) and _kind(before.type) != _kind(field.type):
            raise InvalidInput(
                f"column {field.name} is {field.type} in {path}, and {before.type} before",
                field=field.name,
                remedy="write all files of the table with the same types",
            )
    return known


def _kind(kind: pa.DataType) -> str:
    """What a column is counted as."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if why := unfit(kind):
        return why
    return "text" if pa.types.is_boolean(kind) or is_text(kind) else "numbers"


def _filled(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """The columns that are wanted, null where the batch has none."""
    found = {
        field.name: batch.column(field.name)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    }
    return pa.RecordBatch.from_pydict(found)


class Batched(Protocol):
    """Rows that come in batches of Arrow."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns and their types, as far as they are known."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of all rows, from the beginning."""


class BatchSource:
    """Rows that come in batches: of an Arrow file, a frame in memory."""

    def __init__(self, title: str, table: Batched):
        self.title = title
        self._table = table

    @property
    def schema(self) -> pa.Schema:
        """Its columns and their types, as far as they are known."""
        return self._table.schema

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        """Its profile, in one pass."""
        wanted = chosen(self.schema, columns)
        return profile_batches(wanted, self.batches(wanted.names), like=like)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of all rows."""
        return self._table.batches(chosen(self.schema, columns).names)


class CsvSource(BatchSource):
    """Rows of a CSV file, whose columns are read as those are that they were last counted like."""

    def __init__(self, title: str, file: CsvFile):
        super().__init__(title, file)
        self._file = file

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        """Its profile, in one pass; in another one where a type turned out too narrow."""
        self._file.read_like(like)
        while True:
            try:
                return super().profile(columns=columns, like=like, cores=cores, told=told)
            except TypeWidened:
                continue  # at most three times a column: whole numbers, numbers, text


class StoredProfile:
    """A profile that was kept; its rows are gone."""

    schema = None

    def __init__(self, title: str, profile: TableProfile):
        self.title = title
        self._profile = profile

    def profile(
        self,
        *,
        columns: Sequence[str] | None = None,
        like: Like | None = None,
        cores: int | None = None,
        told: Told | None = None,
    ) -> TableProfile:
        """The profile, or some columns of it."""
        whole = self._profile
        if columns is None:
            return whole
        for name in columns:
            if name not in whole.columns:
                raise InvalidInput(f"the profile {self.title} has no column {name}", field=name)
        return TableProfile(whole.rows, {name: whole.columns[name] for name in columns})

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Refused: there are none.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(
            f"{self.title} is a profile: its rows are gone, and cannot be told apart any more",
            remedy="give the data instead of its profile",
        )


def frame_source(data: SpeaksArrow, title: str = "data") -> Source:
    """A data frame of any library that exports Arrow.

    Raises:
        InvalidInput: it does not.

    Example:
        >>> source = frame_source(pa.table({"x": [1, 2, 4]}))
        >>> source.schema.names, source.profile().columns["x"].high
        (['x'], 4.0)
    """
    with opened(data) as reader:
        return BatchSource(title, _Frame(reader.read_all()))


def open_source(name: str) -> Source:
    """The table at a path: Parquet, CSV, Arrow or a stored profile, told by their content; or a
    folder of Parquet files.

    Raises:
        NotFound: nothing is there.
        InvalidInput: it is none of these, or damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "rows.csv").write_text("city,amount\\nBern,3\\nBern,4.5\\n")
        ...     found = open_source(f"{folder}/rows.csv").profile()
        >>> found.columns["city"].counts, found.columns["amount"].high
        ({'Bern': 2}, 4.5)
    """
    path = Path(name)
    if path.is_dir():
        files = sorted(path.rglob("*.parquet"))
        if not files:
            raise InvalidInput(
                f"{name} is a folder without Parquet files",
                remedy="a folder may be a table of Parquet files, and of no others: "
                "give one CSV or Arrow file by its own name",
            )
        return ParquetSource(files, name)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {name}", remedy="look at its name and folder") from error
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}") from error
    if not head:
        raise InvalidInput(f"{name} is empty", remedy="it has no rows, and not even a header")
    return _told_by(head, path, name)


def _told_by(head: bytes, path: Path, name: str) -> Source:
    if head.startswith(b"PAR1"):
        return ParquetSource([path], name)
    if head.startswith(b"ARROW1"):
        return BatchSource(name, _ArrowFile(path, name))
    if head.startswith(_PACKED) or head.lstrip().startswith(b'{"format":'):
        return StoredProfile(name, codec.from_bytes(path.read_bytes()))
    if (packed := packing(head)) is not None:
        return _packed_csv(path, name, packed)
    if path.suffix.lower() in (".parquet", ".pq", ".arrow", ".feather", ".profile"):
        raise InvalidInput(f"{name} is not what its name says", remedy=CUT)
    if b"\0" in head:
        raise InvalidInput(
            f"{name} is no table that can be read",
            remedy="give Parquet, CSV, Arrow, or a profile made by `trimtab profile`",
        )
    return _csv(path, name)


def _packed_csv(path: Path, name: str, packed: str) -> Source:
    try:
        with pa.input_stream(str(path), compression=packed) as stream:
            head = stream.read(64)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{name} cannot be unpacked: {error}", remedy=CUT) from error
    if b"\0" in head or head.startswith(b"PAR1"):
        raise InvalidInput(f"{name} is packed, and no CSV file", remedy="unpack it first")
    return _csv(path, name)


def _csv(path: Path, name: str) -> Source:
    return CsvSource(name, CsvFile(path, preferred="\t" if ".tsv" in path.suffixes else ","))


class _ArrowFile:
    """An Arrow file, mapped."""

    def __init__(self, path: Path, name: str):
        self._path = path
        try:
            with pa.memory_map(str(path)) as source:
                self.schema = pa.ipc.open_file(source).schema
        except (pa.ArrowException, OSError) as error:
            message = f"{name} is not a readable Arrow file: {error}"
            raise InvalidInput(message, remedy=CUT) from error

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pa.memory_map(str(self._path)) as source:
                file = pa.ipc.open_file(source)
                for number in range(file.num_record_batches):
                    batch = file.get_batch(number).select(list(columns))
                    batch.validate(full=True)  # what is not may end the process
                    yield batch
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(f"{self._path} cannot be read: {error}", remedy=CUT) from error


class _Frame:
    """A table in memory."""

    def __init__(self, table: pa.Table):
        self._table = table
        self.schema = table.schema

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from self._table.select(list(columns)).to_batches()
