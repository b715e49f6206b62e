"""Rows of plain values as CSV, JSON and Parquet, piece by piece."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.documents.words import encodable
from trimtab.kernel.clock import iso
from trimtab.kernel.errors import InvalidInput

Row = Mapping[str, Any]
"""A value by the name of its column; what is missing or None is not known."""

ROWS_AT_A_TIME = 5_000
"""Rows that are held at once, and those of a row group of Parquet."""


class Kind(StrEnum):
    """What a column holds; every row of it is of this kind or not known."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    FLAG = "flag"
    MOMENT = "moment"
    TEXTS = "texts"


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind = Kind.TEXT


_TYPES: Mapping[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.INTEGER: (int,),
    Kind.REAL: (int, float),
    Kind.FLAG: (bool,),
    Kind.MOMENT: (datetime,),
    Kind.TEXTS: (list, tuple),
}
_TOP = 2**63
_SIGNS = "=+-@"
_BEGINS = re.compile(
    r"[\s\"'\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\x00-\x20]*(.)", re.S
)
_MINUS = "\u2212"


def csv_pieces(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """CSV by RFC 4180 in UTF-8, with a line of names. Texts are quoted; one that a spreadsheet
    could take for a formula begins with an apostrophe. Numbers stay numbers, what is not known is
    an empty cell, several texts are one with `; ` between them.

    Raises:
        InvalidInput: a value is not of the kind of its column.
    """
    kept = io.StringIO()
    writer = csv.writer(kept, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow([_cell(column.name) for column in columns])
    for piece in _groups(rows):
        for row in piece:
            values = [_value(column, row) for column in columns]
            writer.writerow([_csv(value) for value in values])
        yield kept.getvalue().encode("utf-8", "replace")
        kept.seek(0)
        kept.truncate()
    yield kept.getvalue().encode("utf-8", "replace")


def json_pieces(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """One JSON array of objects with the names of the columns, one row a line.

    Raises:
        InvalidInput: as `csv_pieces`.
    """
    before = "[\n"
    for piece in _groups(rows):
        lines = ",\n".join(_json(columns, row) for row in piece)
        yield f"{before}{lines}".encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def parquet_pieces(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """A Parquet file whose schema follows from the columns alone, whatever the rows hold.

    Raises:
        InvalidInput: as `csv_pieces`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {
        Kind.TEXT: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.REAL: pa.float64(),
        Kind.FLAG: pa.bool_(),
        Kind.MOMENT: pa.timestamp("us", tz="UTC"),
        Kind.TEXTS: pa.list_(pa.string()),
    }
    schema = pa.schema([(column.name, types[column.kind]) for column in columns])
    sink = _Sink()
    with pa.PythonFile(sink, mode="w") as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for piece in _groups(rows):
                held = {
                    column.name: [_plain(_value(column, row)) for row in piece]
                    for column in columns
                }
                writer.write_table(pa.table(held, schema=schema))
                yield sink.taken()
        yield sink.taken()


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._kept.append(bytes(piece))
        self._written += len(self._kept[-1])
        return len(self._kept[-1])

    def tell(self) -> int:
        return self._written

    def taken(self) -> bytes:
        """What was written since the last time."""
        whole = b"".join(self._kept)
        self._kept.clear()
        return whole


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while piece := list(itertools.islice(left, ROWS_AT_A_TIME)):
        yield piece


def _value(column: Column, row: Row) -> Any:
    value = row.get(column.name)
    if value is None:
        return None
    fits = isinstance(value, _TYPES[column.kind])
    if fits and isinstance(value, bool):
        fits = column.kind is Kind.FLAG
    if fits and column.kind is Kind.INTEGER:
        fits = -_TOP <= value < _TOP
    if not fits:
        raise InvalidInput(
            f"the column {column.name} holds {column.kind}, and {_said(value)} is none",
            field=column.name,
        )
    return value


def _said(value: Any) -> str:
    return f"a number of {value.bit_length()} bits" if type(value) is int else type(value).__name__


def _plain(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case list() | tuple():
            return [encodable(str(one)) for one in value]
        case _:
            return value


def _json(columns: Sequence[Column], row: Row) -> str:
    told = {column.name: _of_json(_value(column, row)) for column in columns}
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _of_json(value: Any) -> Any:
    match value:
        case datetime():
            return iso(value)
        case float() if value - value != 0:
            return str(value)  # JSON has no word for it
        case _:
            return _plain(value)


def _csv(value: Any) -> Any:
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime():
            return iso(value)
        case list() | tuple():
            return _cell("; ".join(str(one) for one in value))
        case float() if value - value != 0:
            return _cell(str(value))
        case str():
            return _cell(value)
        case _:
            return value


def _cell(text: str) -> str:
    """A text as a cell that no spreadsheet computes. NUL, at which many readers stop, is shown."""
    begins = _BEGINS.match(text)
    text = text.replace("\x00", "\ufffd")
    if text[:1] in ("\t", "\r", "\n"):
        return "'" + text
    first = begins[1] if begins else ""
    formula = first == _MINUS or (first and unicodedata.normalize("NFKC", first)[0] in _SIGNS)
    return "'" + text if formula else text
