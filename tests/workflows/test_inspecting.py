"""Which files of a registry are looked into, and what one that cannot be had does to others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import Plane, Registry, opened

from trimtab.kernel.errors import NotPermitted, Unavailable
from trimtab.platform.outbound import NoAnswer
from trimtab.workflows import inspecting
from trimtab.workflows.inspecting import Inspector

pytestmark = pytest.mark.slow


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with opened(tmp_path / "home") as plane:
        yield plane


@pytest.fixture
def registry(plane: Plane) -> Registry:
    """Three versions, the last of which stands in production."""
    registry = Registry(contents={"MLmodel": b"flavors: {}\n", "requirements.txt": b"numpy==2.0\n"})
    registry.put("churn", 1)
    registry.put("churn", 2)
    registry.put("fraud", 1, stage="Production")
    plane.cycle(registry)
    registry.asked.clear()
    return registry


def inspect(plane: Plane, registry: Registry) -> int:
    return Inspector(plane.parts).inspect(plane.connection.id, lambda _connection: registry)


def due(plane: Plane) -> list[tuple[str, str]]:
    with plane.parts.records.look() as reading:
        return inspecting.due(reading)


def test_each_is_looked_into_once_production_first(plane: Plane, registry: Registry) -> None:
    assert [one for one, _ in due(plane)] == [plane.connection.id]
    assert inspect(plane, registry) == 3
    assert next(which for what, which in registry.asked if what == "version") == ("fraud", 1)
    assert len(plane.told("record.inspected")) == 3
    assert all(entry.inspection for entry in plane.records().values())
    assert due(plane) == []
    assert inspect(plane, registry) == 0
    plane.step(15)
    plane.cycle(registry)
    assert due(plane) == [], "the files are as they were"


@pytest.mark.parametrize("error", [Unavailable("it cannot be read"), NotPermitted("not yours")])
def test_one_that_cannot_be_had_holds_no_other_up(
    plane: Plane, registry: Registry, error: Exception
) -> None:
    def fails(what: str, which: Any) -> None:
        if what == "version" and which == ("fraud", 1):
            raise error

    registry.hook = fails
    inspect(plane, registry)
    found = {key: entry.inspection for key, entry in plane.records().items()}
    assert found["fraud", 1] == "unreadable"
    assert all(found[key] not in (None, "unreadable") for key in (("churn", 1), ("churn", 2)))


def test_where_nobody_answers_nothing_is_said_of_files(plane: Plane, registry: Registry) -> None:
    def down(what: str, _which: Any) -> None:
        if what == "version":
            raise NoAnswer("nobody answers")

    registry.hook = down
    assert inspect(plane, registry) == 0
    assert {entry.inspection for entry in plane.records().values()} == {None}
