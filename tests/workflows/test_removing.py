"""A connection that is removed: read no more, counted no more, and kept for who looks back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import FLEET, Plane, Registry, of_tenant, opened
from tests.workflows.test_messages import body_of, signed

from trimtab.inventory.model import Connection, Scope, SyncPhase
from trimtab.inventory.store import Filter
from trimtab.kernel.errors import InvalidMove, NotAuthenticated, NotFound
from trimtab.workflows import (
    connections,
    inspecting,
    inventoried,
    lineage,
    messages,
    reading,
    registries,
    removing,
)
from trimtab.workflows.connections import Changes
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.registries import open_registry

WHY = "the team has moved to another server"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    folder = tmp_path / "home" / "secrets" / "connections" / "fleet"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "webhook").write_text("a secret of the webhook that nobody sees\n")
    with opened(tmp_path / "home") as plane:
        yield plane


def filled(plane: Plane, versions: int = 3) -> Registry:
    registry = Registry()
    for number in range(1, versions + 1):
        registry.put("churn", number, stage="Production")
    plane.cycle(registry)
    return registry


def remove(plane: Plane, connection: Connection | None = None, actor: Any = FLEET) -> Connection:
    of = (connection or plane.connection).id
    return removing.remove(plane.parts, actor, of, reason=WHY)


def due(plane: Plane) -> list[tuple[str, str]]:
    with plane.parts.records.look() as look:
        return removing.due(look)


def test_what_it_brought_counts_no_more_and_is_kept(plane: Plane) -> None:
    filled(plane)
    before, then = plane.records(), plane.clock.now()
    plane.step(5)
    made = remove(plane)
    assert made.removed_at == plane.clock.now()
    assert plane.records() == {}
    gone = plane.records(Filter(removed=True))
    assert {key: e.record for key, e in gone.items()} == {
        key: e.record for key, e in before.items()
    }
    assert plane.records(moment=then).keys() == before.keys(), "as of then they stand there"
    with plane.parts.records.look() as look:
        view = inventoried.connection(look, plane.parts, FLEET, made.id)
        assert (view.tally.versions, view.lag) == (0, None)
        assert inventoried.connections(look, plane.parts, FLEET) == []
        listed = inventoried.connections(look, plane.parts, FLEET, removed=True)
        assert [one.connection.id for one in listed] == [made.id]
        record = gone["churn", 1].id
        assert inventoried.record(look, FLEET, record).entry.removed
        edges = lineage.of_record(look, FLEET, record).edges
        assert all(e.until is not None for e in edges if e.relation == "placed")
    (entry,) = plane.entries("connection.removed")
    assert (entry.reason, entry.actor) == (WHY, FLEET.id)
    assert len(plane.entries("record.disconnected")) == 3
    assert plane.entries("record.removed") == [], "its registry has said nothing of the kind"


def test_more_than_are_put_away_at_once_are_put_away_soon(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "_TOGETHER", 2)
    filled(plane, versions=5)
    assert due(plane) == []
    remove(plane)
    assert len(plane.records()) == 3
    ((connection, _),) = due(plane)
    removing.turn(plane.parts, connection)
    assert plane.records() == {}
    assert due(plane) == []
    assert len(plane.entries("record.disconnected")) == 5
    removing.turn(plane.parts, connection)
    assert len(plane.entries("record.disconnected")) == 5


def test_nobody_reads_it_any_more(plane: Plane) -> None:
    registry = filled(plane)
    with plane.parts.records.begin(FLEET, reason="a test") as work:
        connections.ask(work, FLEET, plane.connection.id, Scope.FULL, reason="a test")
    remove(plane)
    plane.step(60 * 24 * 30)
    asked = len(registry.asked)
    with plane.parts.records.look() as look:
        assert reading.due(plane.parts, look) == []
        assert reading.lagging(plane.parts, look) == []
        assert inspecting.due(look) == []
    reading.turn(plane.parts, plane.connection.id)
    reading.inspect(plane.parts, plane.connection.id)
    with pytest.raises(InvalidMove):
        plane.cycle(registry)
    with pytest.raises(InvalidMove):
        open_registry(plane.parts, plane.now())
    assert len(registry.asked) == asked
    assert len(plane.syncs()) == 1


def test_a_cycle_under_way_ends_and_enters_nothing(plane: Plane) -> None:
    registry = filled(plane, versions=1)
    registry.put("late", 1)

    def removes(what: str, which: Any) -> None:
        if (what, which) == ("details", ("late", 1)):
            remove(plane)

    registry.hook = removes
    sync = plane.cycle(registry)
    assert (sync.phase, sync.reason) == (SyncPhase.FAILED, "its connection was removed")
    assert plane.records() == {}
    assert ("late", 1) not in plane.records(Filter(removed=True))
    assert plane.now().removed_at is not None
    assert plane.state().due_at is None
    with plane.parts.records.look() as look:
        assert reading.due(plane.parts, look) == []


def test_a_cycle_that_asks_who_answers_meanwhile_says_nothing_of_it(plane: Plane) -> None:
    registry = Registry(identity="somebody else")
    registry.hook = lambda what, _which: None if what != "probe" else (remove(plane), None)[1]
    size = len(plane.entries("connection.probed"))
    plane.cycle(registry)
    assert len(plane.entries("connection.probed")) == size
    assert registry.count("models") == 0


def test_files_are_looked_into_no_more(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by who has begun: it asks between any two handfuls."""
    monkeypatch.setattr(inspecting, "_TOGETHER", 1)
    registry = filled(plane)

    def removes(what: str, _which: Any) -> None:
        if what == "content" and plane.now().removed_at is None:
            remove(plane)

    registry.hook = removes
    monkeypatch.setattr(registries, "open_registry", lambda _parts, _connection: registry)
    reading.inspect(plane.parts, plane.connection.id)
    touched = {which[:2] for what, which in registry.asked if what == "content"}
    assert len(touched) == 1
    assert plane.entries("record.inspected") == []


def test_to_ask_again_changes_nothing_and_other_wishes_are_told_so(plane: Plane) -> None:
    filled(plane)
    first = remove(plane)
    size = plane.size()
    plane.step(1)
    assert remove(plane) == first
    for wish in (
        lambda: connections.pause(plane.parts, FLEET, first.id, False, reason=WHY),
        lambda: connections.pause(plane.parts, FLEET, first.id, True, reason=WHY),
        lambda: connections.change(plane.parts, FLEET, first.id, Changes(networks=[]), reason=WHY),
        lambda: ask(plane, first.id),
    ):
        with pytest.raises(InvalidMove) as refused:
            wish()
        assert "connection registry was removed at 2026-03-02" in refused.value.message
        assert "anew" in str(refused.value.remedy)
    assert plane.size() == size


def ask(plane: Plane, connection: str) -> None:
    with plane.parts.records.begin(FLEET, reason=WHY) as work:
        connections.ask(work, FLEET, connection, Scope.FULL, reason=WHY)


def test_its_messages_are_believed_no_more(plane: Plane) -> None:
    told, body = plane.connect("told", webhook="file:webhook"), body_of()
    assert messages.take(plane.parts, told.id, signed(body), body).taken
    remove(plane, told)
    with pytest.raises(NotAuthenticated):
        messages.take(plane.parts, told.id, signed(body, delivery="delivery-2"), body)


def test_the_same_registry_is_connected_anew_under_its_name(plane: Plane) -> None:
    registry = filled(plane)
    remove(plane)
    again = plane.connect("registry")
    assert again.id != plane.connection.id
    plane.cycle(registry, connection=again)
    assert {e.connection for e in plane.records().values()} == {again.id}
    assert {e.connection for e in plane.records(Filter(removed=True)).values()} == {
        plane.connection.id
    }


def test_somebody_elses_is_not_there(plane: Plane) -> None:
    with pytest.raises(NotFound):
        remove(plane, actor=of_tenant("acme"))
    assert plane.now().removed_at is None
    assert Ingest(plane.parts).cycle(plane.connection.id, lambda _: Registry()).ended
