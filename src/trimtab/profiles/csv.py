"""A CSV file, block by block, each column of the type that all of its values have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
from pyarrow import csv

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.arrow import Like
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.dialect import decimal_point, delimiter, demand_header, packing

_BLOCK_BYTES = 4 << 20
_HEAD_BYTES = 1 << 18
_MISSING = frozenset(csv.ConvertOptions().null_values)
"""What stands for no value: the empty field, and words such as NA and null."""

_TRUTH = frozenset(("true", "false"))
_CODE = r"^0[0-9]+$"
_WIDER = {pa.null(): pa.int64(), pa.int64(): pa.float64()}
"""What a column becomes when a value does not fit its type; text, where nothing is named."""


class TypeWidened(Exception):
    """A value did not fit the type of its column, which is now wider: read from the beginning."""


class CsvFile:
    """A CSV file, plain or packed, each column of the narrowest type that has held so far.

    Types are guessed from the first block. Where a later value does not fit (a fraction after
    whole numbers, a word after numbers, a code with a leading zero), the column becomes what holds
    both, and whoever reads begins anew.

    Raises:
        InvalidInput: it cannot be read, is empty, has no header, or a line has another number of
            fields.
    """

    def __init__(self, path: Path, *, preferred: str = ","):
        self._path = path
        self._as_text: Mapping[str, frozenset[str]] = {}  # and the words that are values there
        with self._stream() as stream:
            self._delimiter = delimiter(path.name, stream.read(_HEAD_BYTES), preferred)
        self._decimal_point = "."
        self._schema = self._guessed()
        texts = self._first_block()
        below = [column[0].as_py() for column in texts.columns] if texts.num_rows else []
        demand_header(path.name, self._schema.names, below)
        unique = len(set(self._schema.names)) == len(self._schema.names)
        if self._delimiter != "," and unique:
            kinds = dict(zip(self._schema.names, self._schema.types, strict=True))
            self._decimal_point = decimal_point(path.name, texts, kinds)
            self._schema = self._guessed()

    @property
    def schema(self) -> pa.Schema:
        """Its columns and their types, as far as they are known."""
        return pa.schema(
            field.with_type(pa.string()) if field.name in self._as_text else field
            for field in self._schema
        )

    def read_like(self, like: Like | None) -> None:
        """From now on, read as text what is of categories in these profiles, so that codes and
        words stay as they are there; truth values are read as such."""
        self._as_text = {
            name: frozenset(_MISSING - {""} & profile.counts.keys())
            for name, profile in (like or {}).items()
            if isinstance(profile, CategoryProfile)
            and not (profile.counts and profile.counts.keys() <= _TRUTH)
        }

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, block by block.

        Raises:
            TypeWidened: a column has another type from now on.
            InvalidInput: a line cannot be read.
        """
        words = frozenset().union(*self._as_text.values())
        names = columns or self.schema.names
        with self._texts(names, _MISSING - words) as reader:
            for block in reader:
                typed = [self._typed(block.column(name), name, words) for name in names]
                yield pa.record_batch(typed, names=list(names))

    def _typed(self, texts: pa.Array, name: str, words: frozenset[str]) -> pa.Array:
        """A column of texts in its type, without those of these words that mean no value."""
        import pyarrow.compute as pc  # slow to load, and only needed for text

        kind = self.schema.field(name).type
        if missing := words - self._as_text.get(name, frozenset()):
            known = pc.invert(pc.is_in(texts, value_set=pa.array(sorted(missing))))
            texts = pc.if_else(known, texts, pa.scalar(None, pa.string()))
        if pa.types.is_string(kind):
            return texts
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if number and pc.any(pc.match_substring_regex(texts, _CODE)).as_py():
            self._widen(name, pa.string())
        try:
            return _cast(pc.ascii_trim_whitespace(texts), kind, self._decimal_point)
        except pa.ArrowInvalid:
            self._widen(name, _WIDER.get(kind, pa.string()))

    def _widen(self, name: str, kind: pa.DataType) -> NoReturn:
        place = self._schema.names.index(name)
        self._schema = self._schema.set(place, self._schema.field(place).with_type(kind))
        raise TypeWidened

    def _guessed(self) -> pa.Schema:
        """The types that hold in the first block."""
        options = csv.ConvertOptions(decimal_point=self._decimal_point)
        with self._reader(options) as reader:
            schema = reader.schema
        try:
            names = schema.names
        except UnicodeDecodeError as error:
            raise self._not_utf8("its header") from error
        for name, kind in zip(names, schema.types, strict=True):
            if pa.types.is_binary(kind):
                raise self._not_utf8(f"column {name}")
        return schema

    def _first_block(self) -> pa.RecordBatch:
        with self._texts(self._schema.names, _MISSING) as reader:
            return next(iter(reader), pa.RecordBatch.from_pylist([], reader.schema))

    def _texts(
        self, names: Sequence[str], missing: frozenset[str]
    ) -> AbstractContextManager[csv.CSVStreamingReader]:
        """Some columns as they are written; null where one of these words is."""
        options = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=list(names),
            null_values=sorted(missing),
            strings_can_be_null=True,
        )
        return self._reader(options)

    @contextmanager
    def _reader(self, options: csv.ConvertOptions) -> Iterator[csv.CSVStreamingReader]:
        with (
            self._stream() as stream,
            csv.open_csv(
                stream,
                read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
                parse_options=csv.ParseOptions(delimiter=self._delimiter),
                convert_options=options,
            ) as reader,
        ):
            yield reader

    @contextmanager
    def _stream(self) -> Iterator[pa.NativeFile]:
        """The content of the file, unpacked as it is read."""
        try:
            with self._path.open("rb") as file:
                packed = packing(file.read(16))
            with pa.input_stream(str(self._path), compression=packed) as stream:
                yield stream
        except (pa.ArrowException, OSError) as error:
            raise self._refusal(error) from error

    def _not_utf8(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"{self._path.name} is not in UTF-8: {what}",
            remedy="write it in UTF-8, or give it as Parquet",
        )

    def _refusal(self, error: Exception) -> InvalidInput:
        if isinstance(error, OSError):
            remedy = "it may be cut or damaged: copy it again, or unpack it first"
        else:
            remedy = (
                "it needs a header line, and as many fields in each line; or give it as Parquet"
            )
        return InvalidInput(f"{self._path.name} is not a readable CSV file: {error}", remedy=remedy)


def _cast(texts: pa.Array, kind: pa.DataType, point: str) -> pa.Array:
    """Texts as values of a type; they are refused by Arrow where one does not fit."""
    import pyarrow.compute as pc

    if pa.types.is_null(kind):
        if texts.null_count < len(texts):
            raise pa.ArrowInvalid("a value in a column without any")
        return pa.nulls(len(texts))
    if pa.types.is_time(kind):  # Arrow reads no time of day but with its day
        moments = pc.binary_join_element_wise("1970-01-01", texts, " ")
        return moments.cast(pa.timestamp("s")).cast(kind)
    if pa.types.is_floating(kind) and point != ".":
        texts = pc.replace_substring(pc.replace_substring(texts, ".", "?"), point, ".")
    return texts.cast(kind)
