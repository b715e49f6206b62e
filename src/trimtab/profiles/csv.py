"""A CSV file, block by block, each column of the type that all of its values have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from trimtab.kernel.errors import InvalidInput

_BLOCK_BYTES = 4 << 20
_IN_COLUMN = re.compile(r"In CSV column #(\d+)")
_WIDER = {pa.null(): pa.int64(), pa.int64(): pa.float64()}
"""What a column becomes when a value does not fit its type; text, where nothing is named."""


class TypeWidened(Exception):
    """A value did not fit the type of its column, which is now wider: read from the beginning."""


class CsvFile:
    """A CSV file, each column of the narrowest type that has held so far.

    Types are guessed from the first block. Where a later value does not fit (a fraction after
    whole numbers, a word after numbers), the column becomes what holds both, and whoever reads
    begins anew.

    Raises:
        InvalidInput: it cannot be read, is empty, or a line has another number of fields.
    """

    def __init__(self, path: Path, *, delimiter: str = ","):
        self._path = path
        self._delimiter = delimiter
        with self._opened() as reader:
            self.schema = reader.schema
        try:
            names = self.schema.names
        except UnicodeDecodeError as error:
            raise self._not_utf8("its header") from error
        for name, kind in zip(names, self.schema.types, strict=True):
            if pa.types.is_binary(kind):
                raise self._not_utf8(f"column {name}")

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, block by block.

        Raises:
            TypeWidened: a column has another type from now on.
            InvalidInput: a line cannot be read.
        """
        try:
            with self._opened(columns) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            self._widen(error)
            raise TypeWidened from error

    def _widen(self, error: pa.ArrowInvalid) -> None:
        found = _IN_COLUMN.search(str(error))
        if found is None:
            raise self._refusal(error) from error
        place = int(found[1])
        field = self.schema.field(place)
        if pa.types.is_string(field.type):
            raise self._refusal(error) from error
        wider = _WIDER.get(field.type, pa.string())
        self.schema = self.schema.set(place, field.with_type(wider))

    def _opened(self, columns: Sequence[str] | None = None) -> csv.CSVStreamingReader:
        known = [] if columns is None else columns
        try:
            return csv.open_csv(
                self._path,
                read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
                parse_options=csv.ParseOptions(delimiter=self._delimiter),
                convert_options=csv.ConvertOptions(
                    column_types={name: self.schema.field(name).type for name in known},
                    include_columns=list(known),
                    strings_can_be_null=True,
                ),
            )
        except (pa.ArrowException, OSError) as error:
            if columns is not None and _IN_COLUMN.search(str(error)):
                raise
            raise self._refusal(error) from error

    def _not_utf8(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"{self._path.name} is not in UTF-8: {what}",
            remedy="write it in UTF-8, or give it as Parquet",
        )

    def _refusal(self, error: Exception) -> InvalidInput:
        return InvalidInput(
            f"{self._path.name} is not a readable CSV file: {error}",
            remedy="it needs a header line, and as many fields in each line; or give it as Parquet",
        )
