"""Rows as files: nothing computes, numbers stay numbers, the schema is that of the columns."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.documents.cards import HOSTILE, NAMES

from trimtab.documents import tables
from trimtab.documents.tables import Column, Kind
from trimtab.kernel.errors import InvalidInput

AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
COLUMNS = (
    Column("name"),
    Column("version", Kind.INTEGER),
    Column("auc", Kind.REAL),
    Column("production", Kind.FLAG),
    Column("seen", Kind.MOMENT),
    Column("aliases", Kind.TEXTS),
)
ROWS: list[dict[str, Any]] = [
    {"name": 'a "b", c', "version": 3, "auc": -0.5, "production": True, "seen": AT,
     "aliases": ["champion", "blue"]},
    {"name": "line\nbreak"},
]  # fmt: skip


def read_csv(pieces: Iterator[bytes]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(pieces).decode(), newline="")))


def test_csv_is_read_back() -> None:
    assert read_csv(tables.csv_pieces(COLUMNS, ROWS)) == [
        ["name", "version", "auc", "production", "seen", "aliases"],
        ['a "b", c', "3", "-0.5", "true", "2026-11-03T09:30:00.000000Z", "champion; blue"],
        ["line\nbreak", "", "", "", "", ""],
    ]


def test_csv_has_the_line_ends_of_its_standard() -> None:
    whole = b"".join(tables.csv_pieces(COLUMNS[:2], [{"name": "a", "version": -1}]))
    assert whole == b'"name","version"\r\n"a",-1\r\n'


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\tx", " =1", '"=1', "'=1", " \t ' =1",
        "＝1", "＋1", "－1", "＠x", "﹦1", "﹣1", "−1", "\ufeff=1", "\u200b=1", "\u202e=1",
        "\x00=1", "\u00a0=1", "\u3000=1", '=HYPERLINK("http://evil","x")',
        "=cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0",
    ],
    ids=ascii,
)  # fmt: skip
def test_no_cell_begins_a_formula(text: str) -> None:
    ((name,), (cell,)) = read_csv(tables.csv_pieces((Column("=name"),), [{"=name": text}]))
    assert name == "'=name"
    assert cell == "'" + text.replace("\x00", "\ufffd")


@pytest.mark.parametrize("text", ["plain", "a=b", "1-2", "3", "x@y", "it's", "", "模型", "µ"])
def test_what_begins_no_formula_stays(text: str) -> None:
    assert read_csv(tables.csv_pieces((Column("t"),), [{"t": text}]))[1] == [text]


def test_numbers_stay_numbers() -> None:
    columns = (Column("i", Kind.INTEGER), Column("r", Kind.REAL))
    rows = [{"i": -5, "r": -2.5e-7}, {"i": 0, "r": float("-inf")}]
    assert b"".join(tables.csv_pieces(columns, rows)) == (
        b'"i","r"\r\n-5,-2.5e-07\r\n0,"\'-inf"\r\n'
    )


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_every_text_goes_through_every_form(text: str) -> None:
    columns, rows = (Column("t"), Column("s", Kind.TEXTS)), [{"t": text, "s": [text, text]}]
    whole = text.encode("utf-8", "replace").decode()
    assert len(read_csv(tables.csv_pieces(columns, rows))) == 2
    told = b"".join(tables.json_pieces(columns, rows))
    assert json.loads(told) == [{"t": whole, "s": [whole, whole]}]
    table = pq.read_table(io.BytesIO(b"".join(tables.parquet_pieces(columns, rows))))
    assert table.to_pylist() == [{"t": whole, "s": [whole, whole]}]


@pytest.mark.parametrize("amount", [0, 1, tables.ROWS_AT_A_TIME, tables.ROWS_AT_A_TIME + 1])
def test_the_number_of_rows_is_that_of_the_rows(amount: int) -> None:
    rows = [{"name": "x", "version": place} for place in range(amount)]
    columns = COLUMNS[:2]
    assert len(read_csv(tables.csv_pieces(columns, rows))) == amount + 1
    assert json.loads(b"".join(tables.json_pieces(columns, rows))) == rows
    found = pq.read_table(io.BytesIO(b"".join(tables.parquet_pieces(columns, rows))))
    assert found.to_pylist() == rows


@pytest.mark.parametrize("rows", [[], ROWS, [{}]], ids=["none", "some", "unknown"])
def test_the_schema_is_that_of_the_columns(rows: list[dict[str, Any]]) -> None:
    schema = pq.read_schema(io.BytesIO(b"".join(tables.parquet_pieces(COLUMNS, rows))))
    assert schema.types == [
        pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us", tz="UTC"),
        pa.list_(pa.field("element", pa.string())),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.TEXT, 1), (Kind.INTEGER, "1"), (Kind.INTEGER, True), (Kind.INTEGER, 2**63),
        (Kind.INTEGER, 1.0), (Kind.REAL, True), (Kind.FLAG, 1), (Kind.MOMENT, "2026-01-01"),
        (Kind.TEXTS, "abc"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(kind: Kind, value: object) -> None:
    for form in (tables.csv_pieces, tables.json_pieces, tables.parquet_pieces):
        with pytest.raises(InvalidInput, match="the column c") as refused:
            list(form((Column("c", kind),), [{"c": value}]))
        assert refused.value.field == "c"


@pytest.mark.slow
@pytest.mark.parametrize("form", [tables.csv_pieces, tables.json_pieces, tables.parquet_pieces])
def test_many_rows_are_never_held_at_once(form: Any) -> None:
    """100,000 rows, of which one batch is in memory."""
    row = {"name": "a model of some length " * 4, "version": 1, "auc": 0.5, "aliases": ["a"]}
    rows = ({**row, "version": place} for place in range(100_000))
    pieces = form(COLUMNS, rows)
    size = len(next(pieces))
    tracemalloc.start()
    size += len(next(pieces)) + len(next(pieces))  # tracing is slow: two batches tell it
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size += sum(len(piece) for piece in pieces)
    assert size > 100_000
    assert peak < 24 * 2**20
