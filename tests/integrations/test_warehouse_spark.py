"""The same on Spark: counted by one query there, equal to the last byte."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.integrations import tables

from trimtab.integrations.warehouse import profile_expression
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.category import MAX_CATEGORIES
from trimtab.profiles.codec import to_bytes, to_document
from trimtab.profiles.table import Profile, TableProfile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, and there is none"),
    pytest.mark.filterwarnings("ignore"),  # Spark's own, of what it imports
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Spark of one core in this process."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    found = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark")))
        .getOrCreate()
    )
    yield found
    found.stop()


def there(session: Any, folder: Path, table: pa.Table) -> Any:
    """The table, as Ibis has it on Spark."""
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    pq.write_table(table, path)
    session.read.parquet(str(path)).createOrReplaceTempView("t")
    return ibis.pyspark.connect(session).table("t")


def assert_same(found: TableProfile, expected: TableProfile) -> None:
    for name in expected.columns:
        one = to_document(TableProfile(found.rows, {name: found.columns[name]}))
        assert one == to_document(TableProfile(expected.rows, {name: expected.columns[name]})), name
    assert to_bytes(found) == to_bytes(expected)


def test_what_trips_engines_is_counted_alike(session: Any, tmp_path: Path) -> None:
    table, like = tables.tricky()
    found = profile_expression(there(session, tmp_path, table), like=like)
    assert_same(found, profile_of(table, like=like))


def test_random_columns_are_counted_alike(session: Any, tmp_path: Path) -> None:
    table = tables.random_columns()
    expression = there(session, tmp_path, table)
    like: dict[str, Profile]
    for like in (tables.likenesses(table)[0], dict(profile_of(table).columns)):
        assert_same(profile_expression(expression, like=like), profile_of(table, like=like))


@pytest.mark.parametrize("rows", [500, MAX_CATEGORIES + 1])
def test_every_type_is_counted_alike(session: Any, tmp_path: Path, rows: int) -> None:
    table, like = tables.mixed(rows)
    found = profile_expression(there(session, tmp_path, table), like=like)
    assert_same(found, profile_of(table, like=like))


def test_a_grid_can_be_fitted_there(session: Any, tmp_path: Path) -> None:
    table = tables.random_columns().drop_columns(["any_bits"])
    found = profile_expression(there(session, tmp_path, table))
    assert_same(found, profile_of(table, like=found.columns))
