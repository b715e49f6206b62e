"""What happens to a version between the making of its record and the writing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import Plane, Registry, opened

from trimtab.inventory import service, store
from trimtab.kernel.actor import system
from trimtab.workflows.entering import Entering


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with opened(tmp_path / "home") as plane:
        yield plane


@pytest.fixture
def registry(plane: Plane) -> Registry:
    registry = Registry()
    registry.put("churn", 1)
    registry.put("fraud", 1)
    plane.cycle(registry)
    return registry


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> list[int]:
    """Do something once, after records were made and before they are written; how many were
    made each time."""
    prepare, made = Entering.prepare, list[int]()

    def prepared(self: Entering, *given: Any) -> Any:
        found = prepare(self, *given)
        made.append(len(found))
        if len(made) == 1:
            act()
        return found

    monkeypatch.setattr(Entering, "prepare", prepared)
    return made


def test_what_was_found_in_files_meanwhile_is_kept(
    plane: Plane, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        with plane.parts.records.begin(system("test"), reason="looked into") as work:
            entry = plane.records()["churn", 1]
            judged = entry.compliance
            service.inspected(work, entry, entry.record, "malicious", ["a"], {}, judged)

    registry.edit("churn", 1, description="edited")
    registry.edit("fraud", 1, description="edited, too")
    made = meanwhile(monkeypatch, look)
    plane.step(1)
    sync = plane.cycle(registry)
    assert sync.counts.changed == 2
    assert made == [2, 1], "only what moved was made once more"
    found = plane.records()
    assert found["churn", 1].inspection == "malicious"
    assert found["churn", 1].record.value("description") == "edited"
    with plane.parts.records.look() as reading:
        numbers = [entry.number for entry in store.revisions(reading, found["churn", 1].id)]
    assert numbers == [3, 2, 1]


def test_what_is_gone_meanwhile_returns(
    plane: Plane, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove() -> None:
        with plane.parts.records.begin(system("test"), reason="gone") as work:
            service.remove(work, plane.records()["churn", 1])

    registry.edit("churn", 1, description="edited")
    meanwhile(monkeypatch, remove)
    plane.step(1)
    assert plane.cycle(registry).counts.returned == 1
    assert len(plane.told("record.removed")) == len(plane.told("record.returned")) == 1
