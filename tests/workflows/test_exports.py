"""The inventory as one file: every row is in it, and no cell does anything."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.workflows.registry import FIRST, FLEET, MINUTE, Plane, Registry, of_tenant, opened

from trimtab.inventory.record import Stage
from trimtab.inventory.store import Filter
from trimtab.workflows import exports
from trimtab.workflows.exports import COLUMNS, Format

FORMULAS = (
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\u202e=1+1",
    '";=1+1',
)
ROWS = 620


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    """As many records as are more than a page, of names that mean no good."""
    with opened(tmp_path / "home") as plane:
        registry = Registry(page=1000)
        for number in range(1, ROWS - len(FORMULAS)):
            registry.put("churn", number, run=False)
        for name in FORMULAS:
            tags = [{"key": "owner", "value": name}]
            registry.put(name, 1, tags=tags, description=name, stage="Production")
        registry.put("metrics", 1)
        plane.cycle(registry)
        yield plane


def exported(plane: Plane, form: Format, wanted: Filter | None = None, **more: Any) -> bytes:
    return b"".join(exports.inventory(plane.parts, FLEET, wanted or Filter(), form, **more))


def rows_of_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.mark.slow
def test_every_form_holds_all_rows(plane: Plane) -> None:
    in_csv = rows_of_csv(exported(plane, Format.CSV))
    in_json = json.loads(exported(plane, Format.JSON))
    in_parquet = pq.read_table(io.BytesIO(exported(plane, Format.PARQUET)))
    names = [column.name for column in COLUMNS]
    assert list(in_csv[0]) == in_parquet.column_names == names
    wanted = {entry.id for entry in plane.records().values()}
    assert len(wanted) == ROWS
    for found in (in_csv, in_json, in_parquet.to_pylist()):
        assert len(found) == ROWS
        assert {row["record"] for row in found} == wanted
    assert {row["model"] for row in in_json} >= set(FORMULAS)
    [measured] = [row for row in in_json if row["model"] == "metrics"]
    assert json.loads(measured["metrics"])["auc"]["value"] == 0.9
    assert isinstance(in_parquet.to_pylist()[0]["gaps"], list)
    assert (measured["registry"], measured["tenant"]) == ("registry", None)

    for row in in_csv:  # no cell is a formula to a spreadsheet
        for cell in row.values():
            assert not cell.lstrip(" \t\r\n\u202e\"'").startswith(("=", "+", "@")) or cell[0] == "'"

    production = Filter(stage=Stage.PRODUCTION)
    assert len(rows_of_csv(exported(plane, Format.CSV, production))) == len(FORMULAS)
    assert rows_of_csv(exported(plane, Format.CSV, moment=FIRST - MINUTE)) == []
    assert json.loads(exported(plane, Format.JSON, moment=FIRST - MINUTE)) == []
    none = exports.inventory(plane.parts, of_tenant("acme"), Filter(), Format.JSON)
    assert json.loads(b"".join(none)) == []
