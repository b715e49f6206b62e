"""A report is written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab.demo import report
from trimtab.kernel.errors import InvalidInput


def test_it_replaces_what_was_there_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    with target.open() as reader:
        report.write(target, {"a": 1})
        assert reader.read() == "old"  # who had it open goes on reading the old one
    assert json.loads(target.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_half_a_report_is_never_seen(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    with pytest.raises(ValueError, match="Out of range"):
        report.write(target, {"a": [1] * 100_000, "b": float("nan")})
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize("name", ["nowhere/out.json", "."])
def test_a_place_that_cannot_be_written_is_refused_before_the_story(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        report.demand_writable(tmp_path / name)
    assert refused.value.field == "report"
