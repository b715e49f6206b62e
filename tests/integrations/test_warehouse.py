"""Profiles that a warehouse counts are those that the same rows give here, to the last byte."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest
from tests.integrations import tables

from trimtab.integrations import warehouse
from trimtab.integrations.warehouse import (
    WarehouseSource,
    is_address,
    open_warehouse,
    profile_expression,
)
from trimtab.kernel.errors import InvalidInput, NotFound, Unavailable
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.category import MAX_CATEGORIES, CategoryProfile
from trimtab.profiles.codec import to_bytes, to_document
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile

SECRET = "s3cret/p@ss word"

Opened = Callable[[pa.Table], WarehouseSource]


@pytest.fixture(params=["duckdb", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Puts a table into an engine, and opens it there."""
    sources: list[WarehouseSource] = []

    def put(table: pa.Table) -> WarehouseSource:
        if request.param == "duckdb":
            path = tmp_path / f"{len(sources)}.duckdb"
            tables.in_duckdb(path, table)
            address = f"duckdb://{path}?table=t"
        else:
            server = request.getfixturevalue("postgresql")()
            tables.in_postgresql(server, table)
            address = server + ("&" if "?" in server else "?") + "table=t"
        sources.append(open_warehouse(address))
        return sources[-1]

    yield put
    for source in sources:
        source.close()


def assert_same(found: TableProfile, expected: TableProfile) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:
        one = to_document(TableProfile(found.rows, {name: found.columns[name]}))
        other = to_document(TableProfile(expected.rows, {name: expected.columns[name]}))
        assert one == other, name
    assert to_bytes(found) == to_bytes(expected)


def test_what_trips_engines_is_counted_alike_by_every_kind_of_grid(opened: Opened) -> None:
    table, like = tables.tricky()
    assert_same(opened(table).profile(like=like), profile_of(table, like=like))


def test_random_columns_are_counted_alike(opened: Opened) -> None:
    table = tables.random_columns()
    source = opened(table)
    fitted = dict(profile_of(table).columns)
    for like in (*tables.likenesses(table), fitted):
        assert_same(source.profile(like=like), profile_of(table, like=like))


@pytest.mark.parametrize("rows", [3000, MAX_CATEGORIES + 1])
def test_every_type_is_counted_alike(opened: Opened, rows: int) -> None:
    table, like = tables.mixed(rows)
    found = opened(table).profile(like=like)
    assert_same(found, profile_of(table, like=like))
    ids = found.columns["ids"]
    assert isinstance(ids, CategoryProfile)
    assert ids.named == (rows <= MAX_CATEGORIES)
    assert list(found.skipped) == ["day"]


def test_a_table_without_rows_has_a_profile_of_none(opened: Opened) -> None:
    table, like = tables.mixed(0)
    source = opened(table)
    assert_same(source.profile(like=like), profile_of(table, like=like))
    assert_same(source.profile(columns=["day"]), profile_of(table.select(["day"])))
    assert source.profile().rows == 0


def test_some_columns_in_the_order_that_was_asked_for(opened: Opened) -> None:
    table, like = tables.mixed()
    heard: list[tuple[int, int]] = []
    source = opened(table)
    found = source.profile(
        columns=["text", "whole"], like=like, told=lambda done, every: heard.append((done, every))
    )
    assert_same(found, profile_of(table.select(["text", "whole"]), like=like))
    assert heard == [(2, 2)]
    with pytest.raises(InvalidInput, match="no column nobody"):
        source.profile(columns=["nobody"])
    only = source.profile(columns=["day"])
    assert (only.rows, dict(only.columns), list(only.skipped)) == (3000, {}, ["day"])


def watched(source: WarehouseSource, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The statements that a source sends from now on, each with the rows that came back."""
    heard: list[tuple[str, int]] = []
    backend = source._engine.backend
    send, fetch = backend.raw_sql, source._engine.rows

    def sends(query: str, **more: Any) -> Any:
        heard.append((query, 0))
        return send(query, **more)

    def rows(expression: Any) -> Any:
        found = fetch(expression)
        heard[-1] = (heard[-1][0], len(found))
        return found

    monkeypatch.setattr(backend, "raw_sql", sends)
    monkeypatch.setattr(source._engine, "rows", rows)
    return heard


def test_it_is_one_statement_and_only_counts_come_back(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tables.random_columns()
    source = opened(table)
    like = dict(profile_of(table).columns)
    heard = watched(source, monkeypatch)
    found = source.profile(like=like)
    cells = 0
    for one in found.columns.values():
        assert isinstance(one, NumericProfile)
        cells += one.cells.count.size + 4  # and the four that have no cell
    assert len(heard) == 1
    query, rows = heard[0]
    assert query.count(";") == 0
    assert rows <= cells
    heard.clear()
    source.profile()
    assert [rows for _, rows in heard] == [table.num_columns, pytest.approx(cells, rel=0.5)]


def test_the_names_of_too_many_categories_stay(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, _ = tables.mixed(MAX_CATEGORIES + 1)
    source = opened(table)
    heard = watched(source, monkeypatch)
    source.profile(columns=["ids"])
    assert len(heard) == 1
    assert heard[0][1] <= 4096


def test_a_grid_that_is_fitted_there_is_as_fine_as_one_fitted_here(opened: Opened) -> None:
    table = tables.random_columns().drop_columns(["any_bits"])
    source = opened(table)
    found, local = source.profile(), profile_of(table)
    assert to_bytes(source.profile()) == to_bytes(found), "the same each time"
    for name, one in found.columns.items():
        other = local.columns[name]
        assert isinstance(one, NumericProfile)
        assert isinstance(other, NumericProfile)
        assert (one.rows, one.low, one.high) == (other.rows, other.low, other.high)
        assert one.quantile(0.5) == pytest.approx(other.quantile(0.5), rel=0.02, abs=0.02), name
        assert one.cells.count.max() <= 4 * other.cells.count.max(), name
    assert_same(found, profile_of(table, like=found.columns))


def test_rows_do_not_leave(opened: Opened) -> None:
    table, _ = tables.mixed(10)
    source = opened(table)
    with pytest.raises(InvalidInput, match="rows stay there") as refused:
        source.batches(["whole"])
    assert refused.value.remedy is not None
    assert source.schema.names == table.column_names


def test_fractions_are_not_counted_as_categories(opened: Opened) -> None:
    table, _ = tables.mixed(10)
    like: dict[str, Profile] = {"single": CategoryProfile(0, 0, {})}
    found = opened(table).profile(columns=["single", "whole"], like=like)
    assert list(found.columns) == ["whole"]
    assert "categories" in found.skipped["single"]


def test_many_columns_take_several_queries(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "AT_ONCE", 4)
    table = pa.table({f"c{k}": pa.array([1.0, float(k), None]) for k in range(10)})
    source = opened(table)
    heard = watched(source, monkeypatch)
    fitted = source.profile()
    assert len(heard) == 6
    like = dict(fitted.columns)
    assert_same(source.profile(like=like), profile_of(table, like=like))
    assert len(heard) == 9


def test_an_expression_of_ibis_is_a_table_too() -> None:
    table, like = tables.mixed(100)
    connection = duckdb.connect()
    connection.register("t", table)
    expression = ibis.duckdb.from_connection(connection).table("t")
    assert_same(profile_expression(expression, like=like), profile_of(table, like=like))
    positive = expression.filter(expression.short > 0).select("text")
    rows = sum(value > 0 for value in table["short"].to_pylist())
    assert profile_expression(positive).rows == rows


@pytest.mark.parametrize(
    "form", ["duckdb://{}?table=t", "duckdb://{}#t", "DuckDB://{}?table=main.t", "{}?schema=main"]
)
def test_forms_of_addresses_of_files(tmp_path: Path, form: str) -> None:
    path = tmp_path / "some file.duckdb"
    tables.in_duckdb(path, pa.table({"x": [1.0, 2.0]}))
    given = str(path).replace(" ", "%20")
    if form.startswith("{}"):
        form = "duckdb://" + form + "&table=t"
    source = open_warehouse(form.format(given))
    assert source.profile().rows == 2
    assert source.title.startswith(f"duckdb://{path}?table=")
    source.close()


def test_a_file_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.in_duckdb(tmp_path / "f.duckdb", pa.table({"x": [1.0]}), name="a.b")
    monkeypatch.chdir(tmp_path)
    source = open_warehouse("duckdb://f.duckdb?schema=main&table=a.b")
    assert source.profile().rows == 1
    source.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("flights.parquet", "no address"),
        ("mysql://h/d?table=t", "no address"),
        ("duckdb:///somewhere.duckdb", "names no table"),
        ("duckdb:///somewhere.duckdb?table=t&colour=red", "no colour"),
        ("postgresql://h:99999999/d?table=t", "port"),
        ("postgresql://u:s3cret%2F@[h/d?table=t", "cannot be read"),
    ],
)
def test_what_is_no_address_is_refused(address: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        open_warehouse(address)
    assert refused.value.remedy is not None
    assert "s3cret" not in str(refused.value) + refused.value.remedy


def test_files_and_tables_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        open_warehouse(f"duckdb://{tmp_path / 'none.duckdb'}?table=t")
    (tmp_path / "text.duckdb").write_text("this is no database" * 1000, "ascii")
    with pytest.raises(InvalidInput, match="cannot be opened"):
        open_warehouse(f"duckdb://{tmp_path / 'text.duckdb'}?table=t")
    tables.in_duckdb(tmp_path / "some.duckdb", pa.table({"x": [1.0]}), name="flights")
    with pytest.raises(NotFound, match="no table") as refused:
        open_warehouse(f"duckdb://{tmp_path / 'some.duckdb'}?table=flight")
    assert "schema" in str(refused.value.remedy)


def test_only_what_begins_like_one_is_an_address() -> None:
    assert is_address("duckdb://x")
    assert is_address("Postgres://h/d")
    assert not is_address("duckdb")
    assert not is_address("postgres.csv")
    assert not is_address("C:/duckdb://x")


def test_a_password_is_nowhere_to_be_seen(
    postgresql: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = postgresql()
    tables.in_postgresql(address, pa.table({"x": [1.0, 2.0]}))
    quoted = "s3cret%2Fp%40ss%20word"
    assert "postgres:" in address
    user, _, rest = address.partition("postgres:")
    with_it = f"{user}postgres:{quoted}{rest[rest.index('@') :]}"
    source = open_warehouse(with_it + "&table=public.t")
    assert source.profile().rows == 2
    seen = [source.title, repr(source), str(vars(source))]
    source.close()
    refusals = [
        f"postgresql://u:{quoted}@127.0.0.1:1/d?table=t&connect_timeout=2",
        f"postgresql://u@127.0.0.1:1/d?table=t&connect_timeout=2&password={quoted}",
        f"{with_it}&table=t&sslmode={quoted}",
        f"{with_it}&table=nobody",
    ]
    for refused in refusals:
        with pytest.raises((Unavailable, NotFound)) as error:
            open_warehouse(refused)
        seen += [str(error.value), repr(error.value), str(error.getrepr(style="short", chain=True))]
        assert error.value.__cause__ is None
        assert error.value.remedy is not None
    for text in (*seen, caplog.text):
        assert SECRET not in text
        assert "s3cret" not in text


def test_the_server_is_only_read(opened: Opened, postgresql: Callable[[], str]) -> None:
    address = postgresql()
    tables.in_postgresql(address, pa.table({"x": [1.0]}))
    source = open_warehouse(address + "&table=t")
    with pytest.raises(InvalidInput, match="read-only"), source._engine.errors():
        source._engine.backend.raw_sql("DROP TABLE t")
    source.close()


def test_what_the_engine_refuses_is_said(opened: Opened) -> None:
    source = opened(pa.table({"x": [1.0]}))
    source._table = source._table.mutate(x=source._table.x / 0)
    source._engine.close()
    with pytest.raises(InvalidInput, match="refuses"):
        source.profile()


def test_without_ibis_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ibis", None)
    for address in ("duckdb://x.duckdb?table=t", "postgresql://h/d?table=t"):
        with pytest.raises(InvalidInput, match="Ibis") as refused:
            open_warehouse(address)
        assert refused.value.remedy == "pip install 'trimtab[warehouse]'"
    assert "ibis" not in vars(warehouse)
