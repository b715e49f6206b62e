"""How much of a registry is read at most, and what it cannot make a cycle do at a stroke."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import FLEET, MINUTE, Plane, Registry, details_of, opened

from trimtab.inventory import connection_store, sighting_store
from trimtab.inventory.model import Health, Scope, SyncPhase
from trimtab.inventory.source import Fault, Part, SourceModel, SourceVersion
from trimtab.inventory.store import Filter, key_of
from trimtab.kernel.errors import Unavailable
from trimtab.workflows import connections
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


def ask(plane: Plane, scope: Scope, model: str | None = None) -> None:
    with plane.parts.records.begin(FLEET, reason="now") as work:
        connections.ask(work, FLEET, plane.connection.id, scope, model=model, reason="now")


def test_a_wish_is_not_swallowed_by_one_that_is_equal(plane: Plane) -> None:
    """What is read now may be older than the second one."""
    registry = filled(3)
    ask(plane, Scope.CHANGES)

    def again(what: str, _which: Any) -> None:
        if what == "versions":
            ask(plane, Scope.CHANGES)

    registry.hook = again
    plane.cycle(registry, None)
    assert plane.state().asked["scope"] == Scope.CHANGES
    assert plane.state().due_at == plane.clock.now()
    registry.hook = lambda _what, _which: None
    plane.cycle(registry, None)
    assert plane.state().asked == {}


def test_a_message_behind_a_full_cycle_asks_for_no_other_one(plane: Plane) -> None:
    registry = filled(3)
    plane.cycle(registry, Scope.FULL)
    ask(plane, Scope.FULL)

    def message(what: str, _which: Any) -> None:
        if what == "versions":
            ask(plane, Scope.MODEL, "model 1")

    registry.hook = message
    assert plane.cycle(registry, None).scope is Scope.FULL
    registry.hook = lambda _what, _which: None
    assert plane.cycle(registry, None).scope is Scope.MODEL
    assert plane.state().asked == {}


@pytest.mark.parametrize("meanwhile", [False, True])
def test_the_wish_of_a_cycle_that_fails_stays(plane: Plane, meanwhile: bool) -> None:
    registry = filled(3)
    plane.cycle(registry, Scope.FULL)
    ask(plane, Scope.FULL)

    def down(what: str, _which: Any) -> None:
        if what == "versions":
            if meanwhile:
                ask(plane, Scope.MODEL, "model 1")
            raise Unavailable("nobody answers")

    registry.hook = down
    assert plane.cycle(registry, None).phase is SyncPhase.FAILED
    registry.hook = lambda _what, _which: None
    assert plane.cycle(registry, None).scope is Scope.FULL
    assert plane.state().asked == {}


def test_a_model_that_cannot_be_read_alone_holds_up_no_other(plane: Plane) -> None:
    registry = filled(3)
    plane.cycle(registry, Scope.FULL)
    plane.step(60)
    ask(plane, Scope.MODEL, "model 1")

    def down(_what: str, _which: Any) -> None:
        raise Unavailable("nobody answers")

    registry.hook = down
    plane.cycle(registry, None)
    assert plane.state().due_at == plane.clock.now() + 15 * MINUTE, "not again and again"
    registry.hook = lambda _what, _which: None
    assert plane.cycle(registry, None).scope is Scope.CHANGES


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ((Scope.FULL, None), (Scope.MODEL, "a"), (Scope.FULL, None)),
        ((Scope.CHANGES, None), (Scope.FULL, None), (Scope.FULL, None)),
        ((Scope.MODEL, "a"), (Scope.MODEL, "b"), (Scope.CHANGES, None)),
        ((Scope.MODEL, "a"), (Scope.MODEL, "a"), (Scope.MODEL, "a")),
        ((Scope.MODEL, "a"), (Scope.CHANGES, None), (Scope.CHANGES, None)),
    ],
)
def test_two_wishes_are_one_for_as_much_as_both(
    plane: Plane, first: Any, second: Any, both: Any
) -> None:
    ask(plane, *first)
    ask(plane, *second)
    asked = plane.state().asked
    assert (asked["scope"], asked["model"]) == both


def emptied(many: int, left: int) -> Registry:
    """A registry that was set up anew: the same address, hardly any versions."""
    return filled(left) if left else Registry(page=many)


@pytest.mark.parametrize("scope", [Scope.CHANGES, Scope.FULL])
def test_an_empty_registry_removes_nothing_at_once(plane: Plane, scope: Scope) -> None:
    plane.cycle(filled(30))
    empty = emptied(30, left=5)
    plane.step(15)
    sync = plane.cycle(empty, scope)
    assert (sync.phase, sync.counts.removed, len(plane.records())) == (SyncPhase.PARTIAL, 0, 30)
    assert "it shows none of 25 of the 30 versions" in sync.reason
    assert plane.now().health is Health.FAILING
    plane.step(15)
    again = plane.cycle(empty, Scope.CHANGES if scope is Scope.CHANGES else None)
    assert again.scope is Scope.CHANGES, "no full cycle follows by itself"
    assert (again.counts.removed, len(plane.records())) == (0, 30)
    if scope is Scope.CHANGES:  # which is no full look at what is gone
        assert plane.cycle(empty, Scope.FULL).counts.removed == 0
    confirmed = plane.cycle(empty, Scope.FULL)
    assert (confirmed.phase, confirmed.counts.removed) == (SyncPhase.SUCCEEDED, 25)
    assert len(plane.records()) == 5
    assert plane.state().vanished_at is None


def test_a_registry_that_is_there_again_is_doubted_anew(plane: Plane) -> None:
    registry = filled(30)
    plane.cycle(registry)
    plane.cycle(emptied(30, left=0))
    plane.cycle(registry)
    assert plane.cycle(emptied(30, left=0), Scope.FULL).counts.removed == 0
    assert len(plane.records()) == 30


def test_as_many_as_people_delete_are_believed(plane: Plane) -> None:
    plane.cycle(filled(30))
    assert plane.cycle(emptied(30, left=10)).counts.removed == 20
    plane.cycle(filled(100))
    assert plane.cycle(emptied(100, left=50)).counts.removed == 50


def test_who_was_read_has_all_tries_again(plane: Plane) -> None:
    registry = Registry()
    registry.put("churn", 1)
    whole = details_of(SourceVersion("churn", 1, registry.held["churn", 1]))
    bad = replace(whole, run=None, faults=(Fault(Part.RUN, "too long", passing=True),))

    def attempts() -> int:
        with plane.parts.records.look() as reading:
            key = key_of("churn", 1)
            return sighting_store.of(reading, plane.connection.id, [key])[key].attempts

    for details, expected in ((bad, 1), (bad, 2), (whole, 0), (bad, 1)):
        registry.leads_to["churn", 1] = details
        plane.cycle(registry, Scope.FULL)
        assert attempts() == expected


def test_a_cycle_of_changes_is_no_first_look_at_what_is_gone(plane: Plane) -> None:
    registry = filled(30, page=100)
    plane.cycle(registry, Scope.FULL)
    registry.held.clear()
    for scope, gone in ((Scope.CHANGES, 0), (Scope.FULL, 0), (Scope.CHANGES, 0), (Scope.FULL, 30)):
        plane.step(15)
        assert plane.cycle(registry, scope).counts.removed == gone, scope


def test_why_it_fails_is_why_it_fails_now(plane: Plane) -> None:
    registry = Registry()
    for why in ("nobody answers there", "it is no registry"):

        def fails(_what: str, _which: Any, why: str = why) -> None:
            raise Unavailable(why)

        registry.hook = fails
        plane.step(15)
        plane.cycle(registry)
        assert plane.now().health_reason == why
    told = len(plane.told("connection.health_changed"))
    plane.step(15)
    plane.cycle(registry)
    assert len(plane.told("connection.health_changed")) == told, "the same is said once"


@pytest.mark.on_both
def test_names_that_no_index_takes_are_told_apart(plane: Plane) -> None:
    """Letters that no database can pack."""
    alike = "".join(random.Random(0).choices(string.ascii_letters, k=5000))
    registry = Registry()
    for last in "ab":
        registry.put(alike + last, 1, run=False)
    assert plane.cycle(registry).phase is SyncPhase.SUCCEEDED
    assert set(plane.records()) == {(alike + "a", 1), (alike + "b", 1)}
    assert set(plane.records(Filter(model=alike + "a"))) == {(alike + "a", 1)}
