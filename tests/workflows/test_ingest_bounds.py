"""How much of a registry is read at most, and what it cannot make a cycle do at a stroke."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import Plane, Registry, opened

from trimtab.inventory import connection_store
from trimtab.inventory.model import Scope, SyncPhase
from trimtab.inventory.source import SourceModel
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.running import kept_of


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with opened(tmp_path / "home") as plane:
        yield plane


def filled(many: int, page: int = 10) -> Registry:
    registry = Registry(page=page)
    for number in range(1, many + 1):
        registry.put(f"model {number}", number, run=False)
    return registry


def test_a_list_of_models_without_an_end_is_cut(tmp_path: Path) -> None:
    with opened(tmp_path / "home", TRIMTAB_SYNC_VERSIONS="20") as plane:
        registry = filled(60)
        sync = plane.cycle(registry)
        assert sync.phase is SyncPhase.PARTIAL
        assert sync.reason.endswith("20 models were read, and there are more")
        assert registry.count("models") == 2


def test_who_ends_is_not_kept_by_a_list_of_models(plane: Plane) -> None:
    registry = filled(60)
    stops = Ingest(plane.parts, stopping=lambda: registry.count("models") >= 3)
    sync = stops.cycle(plane.connection.id, lambda _connection: registry, scope=Scope.CHANGES)
    assert (sync.phase, registry.count("models")) == (SyncPhase.PARTIAL, 3)


def test_who_ends_is_not_kept_by_what_is_gone(plane: Plane) -> None:
    registry = filled(200, page=1000)
    plane.cycle(registry)
    registry.hidden = set(registry.held)
    stops = Ingest(plane.parts, stopping=lambda: registry.count("version") >= 10)
    sync = stops.cycle(plane.connection.id, lambda _connection: registry, scope=Scope.CHANGES)
    assert (sync.phase, registry.count("version")) == (SyncPhase.PARTIAL, 50)


def test_of_a_model_no_more_is_held_than_is_needed() -> None:
    told: dict[str, Any] = {"name": "churn", "description": "d", "tags": [], "aliases": []}
    whole = SourceModel("churn", {**told, "latest_versions": [{"source": "x" * 1000}], "more": 1})
    assert kept_of(whole) == SourceModel("churn", told)


def test_all_connections_are_told_over_pages(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        plane.connect(f"other-{number}")
    whole = connection_store.connections
    monkeypatch.setattr(
        connection_store,
        "connections",
        lambda reading, **more: whole(reading, **{**more, "limit": 2}),
    )
    with plane.parts.records.look() as reading:
        assert len(list(connection_store.every(reading))) == 5
