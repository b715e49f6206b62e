"""What becomes of a registry's versions, from one cycle of reading it to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import FIRST, FLEET, MINUTE, Plane, Registry, details_of, opened

from trimtab.inventory import connection_store, service, store
from trimtab.inventory.model import Health, Scope, SyncPhase
from trimtab.inventory.record import Stage
from trimtab.inventory.source import (
    Details,
    Fault,
    Listed,
    Malformed,
    Part,
    SourceModel,
    SourceVersion,
)
from trimtab.inventory.store import Filter
from trimtab.kernel.clock import iso
from trimtab.kernel.errors import NotFound, NotPermitted, Unavailable
from trimtab.workflows import connections, inventoried

OF_A_CYCLE = {"sync.started", "sync.ended"}
GARBLED = Unavailable("what answers does not answer as MLflow does: it sends a login page")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with opened(tmp_path / "home", TRIMTAB_SYNC_TRIES="3") as plane:
        yield plane


@pytest.fixture
def registry() -> Registry:
    """Two models with three versions, on pages of two."""
    registry = Registry(page=2)
    for number in (1, 2, 3):
        registry.put("churn", number)
    registry.put("fraud", 1, stage="Production")
    return registry


def kinds_since(plane: Plane, size: int) -> list[str]:
    return [entry.kind for entry in plane.entries() if entry.sequence > size]


def test_a_second_cycle_leaves_nothing_but_that_it_was(plane: Plane, registry: Registry) -> None:
    first = plane.cycle(registry)
    assert (first.phase, first.counts.added, first.counts.models) == (SyncPhase.SUCCEEDED, 4, 2)
    assert first.identity == "mira"
    before, size = plane.records(), max(entry.sequence for entry in plane.entries())
    registry.asked.clear()
    for scope in (Scope.CHANGES, Scope.FULL):
        plane.step(15)
        again = plane.cycle(registry, scope)
        assert (again.counts.unchanged, again.counts.changed, again.counts.added) == (4, 0, 0)
    assert set(kinds_since(plane, size)) == OF_A_CYCLE
    assert plane.records() == before
    assert len(registry.read_in_detail()) == 4  # by the one that reads everything


def test_what_moves_no_timestamp_is_seen(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    plane.step(15)
    registry.edit("churn", 1, tags=[{"key": "owner", "value": "risk team"}])
    registry.alias("churn", champion=2)
    registry.asked.clear()
    plane.cycle(registry)
    assert set(registry.read_in_detail()) == {("churn", 1), ("churn", 2)}
    changed = plane.told("record.changed")
    assert [(one["version"], "owner" in one["fields"]) for one in changed] == [(1, True)]
    assert [one["version"] for one in plane.told("record.placed")] == [2]


def test_a_move_says_between_which_moments_it_was_made(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    second = plane.step(15)
    plane.cycle(registry)
    plane.step(15)
    registry.edit("churn", 1, current_stage="Production")
    registry.alias("churn", champion=1)
    plane.cycle(registry)
    [entry] = plane.entries("record.placed")
    told: Any = entry.data
    assert told["before"] == {"stage": "development", "aliases": []}
    assert told["after"] == {"stage": "production", "aliases": ["champion"]}
    assert (told["not_before"], entry.at) == (iso(second), plane.clock.now())


def test_what_stood_in_production_at_a_moment(plane: Plane, registry: Registry) -> None:
    moments = []
    for stages in (("Production", "None"), ("Archived", "Production"), ("Archived", "Archived")):
        for number, stage in zip((1, 2), stages, strict=True):
            registry.edit("churn", number, current_stage=stage)
        plane.cycle(registry)
        moments.append(plane.clock.now())
        plane.step(15)
    production = Filter(model="churn", stage=Stage.PRODUCTION)
    stood = [
        [number for _, number in plane.records(production, moment=at + MINUTE)] for at in moments
    ]
    assert stood == [[1], [2], []]
    known = plane.records(Filter(model="churn"))["churn", 1]
    with plane.parts.records.look() as reading:
        found = [
            inventoried.record(reading, FLEET, known.id, moment=at).entry.record.stage.value
            for at in moments
        ]
        assert found == ["production", "archived", "archived"]
        assert not plane.records(moment=FIRST - MINUTE)
        with pytest.raises(
            NotFound, match=r"not known then: it was seen first at 2026-03-02 12:00"
        ):
            inventoried.record(reading, FLEET, known.id, moment=FIRST - MINUTE)


def test_when_it_was_seen_first_is_told_after_many_moves(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    plane.step(15)
    record = plane.records()["fraud", 1]
    with plane.parts.records.begin(FLEET, reason="many rules") as work:
        for _ in range(505):
            entry = store.at(work, record.id)
            assert entry is not None
            service.evaluated(work, entry, entry.compliance)
    with plane.parts.records.look() as reading:
        with pytest.raises(NotFound, match="2026-03-02 12:00"):
            inventoried.record(reading, FLEET, record.id, moment=FIRST - MINUTE)
        moves = inventoried.history(reading, FLEET, record.id)
    assert (len(moves), {move.what for move in moves}) == (500, {"judged anew"})


def test_a_deleted_version_is_kept_as_gone_and_comes_back(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    known = plane.records()["churn", 2]
    plane.step(15)
    taken = registry.take_away("churn", 2)
    sync = plane.cycle(registry)
    assert (sync.counts.removed, sync.phase) == (1, SyncPhase.SUCCEEDED)
    assert ("churn", 2) not in plane.records()
    gone = plane.records(Filter(removed=True))["churn", 2]
    assert (gone.id, gone.record, gone.removed) == (known.id, known.record, True)
    assert [one["version"] for one in plane.told("record.removed")] == [2]
    plane.step(15)
    assert plane.cycle(registry).counts.removed == 0
    registry.held["churn", 2] = taken
    plane.step(15)
    assert plane.cycle(registry).counts.returned == 1
    assert plane.records()["churn", 2].id == known.id
    assert [one["version"] for one in plane.told("record.returned")] == [2]
    assert ("churn", 2) in plane.records(moment=FIRST + MINUTE)
    assert ("churn", 2) not in plane.records(moment=FIRST + 16 * MINUTE)


def test_what_is_there_but_on_no_page_is_not_gone(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    registry.hidden = set(registry.held)
    plane.step(15)
    sync = plane.cycle(registry)
    assert (sync.counts.seen, sync.counts.removed) == (0, 0)
    assert registry.count("version") == 4
    assert len(plane.records()) == 4


@pytest.mark.parametrize("where", ["probe", "models", "versions", "details"])
def test_no_cycle_that_fails_takes_anything_for_gone(
    plane: Plane, registry: Registry, where: str
) -> None:
    plane.cycle(registry)
    registry.take_away("churn", 2)
    registry.edit("churn", 3, description="so that something is read")

    def fails(what: str, which: Any) -> None:
        if what == where and which != "0":
            raise GARBLED

    registry.hook = fails
    plane.step(15)
    sync = plane.cycle(registry)
    assert (sync.phase, sync.reason) == (SyncPhase.FAILED, GARBLED.message)
    assert len(plane.records()) == 4
    assert plane.now().health is Health.FAILING
    assert plane.state().seen_at == FIRST
    registry.hook = lambda _what, _which: None
    plane.step(15)
    healthy = plane.cycle(registry)
    assert (healthy.counts.changed, healthy.counts.removed) == (1, 1)
    assert plane.now().health is Health.HEALTHY


def test_a_cycle_that_is_cut_takes_nothing_for_gone(tmp_path: Path, registry: Registry) -> None:
    with opened(tmp_path / "home", TRIMTAB_SYNC_VERSIONS="2") as plane:
        assert plane.cycle(registry).phase is SyncPhase.PARTIAL
        registry.take_away("churn", 1)
        sync = plane.cycle(registry)
        assert (sync.phase, sync.counts.removed) == (SyncPhase.PARTIAL, 0)
        assert "2 versions were read, and there are more" in sync.reason
        assert plane.state().seen_at is None


def test_the_clock_of_the_domain_cuts_no_cycle(plane: Plane, registry: Registry) -> None:
    """It may stand years away from that of the machine."""
    assert plane.cycle(registry).phase is SyncPhase.SUCCEEDED


@pytest.mark.parametrize("error", [GARBLED, NotPermitted("you may not see it")])
def test_a_version_of_which_nothing_is_told_is_not_gone(
    plane: Plane, registry: Registry, error: Exception
) -> None:
    plane.cycle(registry)
    registry.hidden = {("churn", 1)}
    registry.take_away("churn", 2)

    def fails(what: str, which: Any) -> None:
        if (what, which) == ("version", ("churn", 1)):
            raise error

    registry.hook = fails
    sync = plane.cycle(registry)
    assert (sync.phase, sync.counts.removed) == (SyncPhase.PARTIAL, 1)
    assert [(one.model, one.version) for one in sync.failures] == [("churn", 1)]
    assert set(plane.records()) == {("churn", 1), ("churn", 3), ("fraud", 1)}


def test_where_nothing_is_told_of_many_the_registry_does_not_answer(plane: Plane) -> None:
    registry = Registry()
    for number in range(1, 31):
        registry.put("churn", number)
    plane.cycle(registry)
    registry.hidden = set(registry.held)

    def fails(what: str, _which: Any) -> None:
        if what == "version":
            raise GARBLED

    registry.hook = fails
    assert plane.cycle(registry).phase is SyncPhase.FAILED
    assert registry.count("version") < 15


def test_a_bad_item_is_reported_and_its_page_is_read(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    before = plane.records()["churn", 1]
    registry.hidden = {("churn", 1)}
    registry.unfit = [Malformed("its tags are no list", "churn", 1), Malformed("it is no object")]
    registry.put("churn", 4)
    registry.asked.clear()
    sync = plane.cycle(registry)
    assert (sync.phase, sync.counts.malformed, sync.counts.added) == (SyncPhase.PARTIAL, 2, 1)
    assert [one.reason for one in sync.failures] == ["its tags are no list", "it is no object"]
    assert registry.count("version") == 0, "it is there, and was shown"
    assert plane.records()["churn", 1] == before


def test_versions_of_a_model_that_cannot_be_read(plane: Plane, registry: Registry) -> None:
    """Aliases are told by the model: without it nobody knows where its versions stand."""
    registry.alias("churn", production=1)
    plane.cycle(registry)
    whole = registry.documents.pop("churn")
    registry.put("churn", 4)
    del registry.documents["churn"]
    models, registry.page = registry.models, 100

    def unfit(page: str | None = None) -> Listed[SourceModel]:
        found = models(page)
        return Listed(found.items, (Malformed("its aliases are no list", "churn"),), found.next)

    registry.models = unfit  # type: ignore[method-assign]
    plane.step(15)
    sync = plane.cycle(registry)
    assert (sync.phase, sync.counts.added, sync.counts.removed) == (SyncPhase.PARTIAL, 1, 0)
    known = plane.records()
    assert known["churn", 1].record.aliases == ("production",)
    assert "its aliases are no list" in str(known["churn", 4].record.incomplete)
    assert not plane.told("record.placed")
    registry.models = models  # type: ignore[method-assign]
    registry.documents["churn"] = whole
    plane.step(15)
    assert plane.cycle(registry).phase is SyncPhase.SUCCEEDED
    assert plane.records()["churn", 4].record.incomplete is None


def test_a_version_that_the_database_refuses_stops_no_other(
    plane: Plane, registry: Registry
) -> None:
    registry.put("churn", 2**70)
    registry.put("lone \ud800 half", 1)
    registry.put("nul\0inside", 1, description="with \0 too", tags=[{"key": "a\0", "value": "\0"}])
    registry.put("n" * 30_000, 1)
    for _ in range(2):
        sync = plane.cycle(registry, Scope.FULL)
        assert sync.counts.seen == 8
        assert [one.version for one in sync.failures] == [2**70]
        assert len(plane.records()) == 7
        plane.step(15)
    assert "not on record" in sync.failures[0].reason
    assert sync.counts.unchanged == 7


def test_nonsense_is_put_on_record_or_reported(plane: Plane, registry: Registry) -> None:
    nonsense: tuple[Any, ...] = (None, 7, "x", [], {}, [[[]]], {"tags": {"a": {}}}, float("nan"))
    keys = ("tags", "aliases", "creation_timestamp", "run_id", "source", "current_stage", "status")
    number = 10
    for key in keys:
        for value in nonsense:
            number += 1
            registry.put("odd", number, **{key: value})
            registry.leads_to["odd", number] = Details(
                run={"info": value, "data": {key: value, "metrics": value, "params": value}},
                experiment={"name": value},
                logged_model={"info": value, "data": value},
            )
    sync = plane.cycle(registry)
    assert sync.counts.added == sync.counts.seen == 4 + len(keys) * len(nonsense)


def incomplete(version: SourceVersion) -> Details:
    """Its run cannot be read now."""
    whole = details_of(version)
    fault = Fault(Part.RUN, "it timed out", passing=True)
    return Details(listing=whole.listing, faults=(fault,))


def of(registry: Registry, name: str, number: int) -> SourceVersion:
    return SourceVersion(name, number, registry.held[name, number])


def test_a_run_that_cannot_be_read_now_is_read_later(plane: Plane, registry: Registry) -> None:
    fraud = of(registry, "fraud", 1)
    registry.leads_to["fraud", 1] = incomplete(fraud)
    sync = plane.cycle(registry)
    assert (sync.phase, sync.counts.incomplete, sync.counts.added) == (SyncPhase.PARTIAL, 1, 4)
    assert [(one.model, "timed out" in one.reason) for one in sync.failures] == [("fraud", True)]
    assert "timed out" in str(plane.records()["fraud", 1].record.incomplete)
    [told] = [one for one in plane.told("record.added") if one["model"] == "fraud"]
    assert "timed out" in told["incomplete"]
    assert plane.now().health is Health.HEALTHY, "all that is there was seen"
    registry.leads_to.clear()
    registry.asked.clear()
    plane.cycle(registry)
    assert not registry.read_in_detail(), "it is not tried again at once"
    plane.step(15)
    assert plane.cycle(registry).phase is SyncPhase.SUCCEEDED
    assert registry.read_in_detail() == [("fraud", 1)]
    record = plane.records()["fraud", 1].record
    assert (record.incomplete, record.value("metrics")["auc"]["value"]) == (None, 0.9)


def test_tries_back_off_and_end(plane: Plane, registry: Registry) -> None:
    registry.leads_to["fraud", 1] = incomplete(of(registry, "fraud", 1))
    tried = []
    for minute in range(0, 150, 15):
        registry.asked.clear()
        plane.cycle(registry)
        if ("fraud", 1) in registry.read_in_detail():
            tried.append(minute)
        plane.step(15)
    assert tried == [0, 15, 45]
    registry.asked.clear()
    plane.cycle(registry, Scope.FULL)
    assert ("fraud", 1) in registry.read_in_detail()


def test_what_was_known_of_a_part_is_kept_while_it_cannot_be_read(
    plane: Plane, registry: Registry
) -> None:
    fraud = of(registry, "fraud", 1)
    registry.leads_to["fraud", 1] = details_of(fraud, owner="risk team")
    plane.cycle(registry)
    whole = plane.records()["fraud", 1].record
    registry.leads_to["fraud", 1] = incomplete(fraud)
    plane.step(15)
    plane.cycle(registry, Scope.FULL)
    partial = plane.records()["fraud", 1].record
    assert partial.incomplete
    kept = ("metrics", "hyperparameters", "owner", "code_commit", "dataset_inputs")
    assert all(whole.value(name) == partial.value(name) is not None for name in kept)
    assert partial.run_tags == whole.run_tags
    [told] = plane.told("record.changed")
    assert not {*kept, "run_tags"} & set(told["fields"])


def test_what_the_registry_has_no_more_is_kept_no_longer(plane: Plane, registry: Registry) -> None:
    fraud = of(registry, "fraud", 1)
    plane.cycle(registry)
    gone = Fault(Part.RUN, "there is no such run", passing=False)
    registry.leads_to["fraud", 1] = Details(listing=details_of(fraud).listing, faults=(gone,))
    plane.cycle(registry, Scope.FULL)
    record = plane.records()["fraud", 1].record
    assert (record.value("metrics"), record.incomplete) == (None, None)


def test_who_asks_is_served_when_the_present_cycle_has_ended(
    plane: Plane, registry: Registry
) -> None:
    """Or no cycle would ever come to its end where somebody asks again and again."""

    def ask(what: str, which: Any) -> None:
        if what == "versions" and which is None:
            with plane.parts.records.begin(FLEET, reason="now") as work:
                connections.ask(work, FLEET, plane.connection.id, Scope.FULL, reason="now")
            with plane.parts.records.look() as reading:
                held.append(connection_store.due(reading, reading.now))

    held: list[Any] = []
    registry.hook = ask
    assert plane.cycle(registry).phase is SyncPhase.SUCCEEDED
    assert held == [[]]
    assert plane.state().due_at == plane.clock.now()
    registry.hook = lambda _what, _which: None
    sync = plane.cycle(registry, None)
    assert sync.scope is Scope.FULL
    assert plane.state().due_at == plane.clock.now() + timedelta(minutes=15)


def test_a_model_that_is_told_of_is_read_alone(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    plane.step(5)
    registry.edit("churn", 1, description="new")
    registry.edit("fraud", 1, description="new")
    with plane.parts.records.begin(FLEET, reason="now") as work:
        connections.ask(
            work, FLEET, plane.connection.id, Scope.MODEL, model="churn", reason="a message"
        )
    registry.asked.clear()
    sync = plane.cycle(registry, None)
    assert (sync.model, sync.counts.changed, sync.counts.removed) == ("churn", 1, 0)
    assert {name for name, _ in registry.read_in_detail()} == {"churn"}
    assert plane.state().seen_at == FIRST, "the rest of the registry was not seen"
    assert plane.state().due_at == FIRST + 15 * MINUTE


def test_an_assumed_owner_and_an_unfinished_assessment_count_as_none(
    plane: Plane, registry: Registry
) -> None:
    said = [{"owner": "risk-team", "dpia": "done"}, {"dpia": "not required"}, {"dpia": "open"}]
    for number, tags in enumerate(said, 1):
        registry.put("tallied", number, tags=[{"key": k, "value": v} for k, v in tags.items()])
        version = registry.version("tallied", number)
        assert version is not None
        found = details_of(version)
        assert found.run is not None
        info = {**found.run["info"], "user_id": "mira"}
        registry.leads_to["tallied", number] = replace(found, run={**found.run, "info": info})
    plane.cycle(registry)
    with plane.parts.records.look() as reading:
        wanted = Filter(model="tallied")
        counts = store.tally(reading, wanted)
        without = store.listed(reading, replace(wanted, without_owner=True))
    assert (counts.versions, counts.without_owner, counts.without_privacy_assessment) == (3, 2, 2)
    assert [entry.record.version for entry in without] == [3, 2]
    assert {entry.record.value("owner") for entry in without} == {"mira"}  # it is shown as before
