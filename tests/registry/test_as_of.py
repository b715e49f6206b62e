"""A story with a stepped clock: what was answered then is what is answered about then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.registry.conftest import MODEL, PLACE, House
from tests.registry.test_exposure import REFUSALS

from trimtab.audit import ledger
from trimtab.audit.tables import PAYLOADS
from trimtab.audit.work import Records
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.kernel.ids import TenantId
from trimtab.platform.database import Database
from trimtab.registry import deployment_store, history, routing, store
from trimtab.registry.deployment_store import Place
from trimtab.registry.model import Lifecycle

AA = TenantId("aa")
OWNERS: dict[str, TenantId | None] = {"1.0.0": None, "2.0.0": None, "3.0.0": AA, "4.0.0": AA}
ENDPOINTS = [f"till-{n}" for n in range(12)]
SECOND, INSTANT = timedelta(seconds=1), timedelta(microseconds=1)
ACTS = ("register", "canary", "grow", "promote", "withdraw", "back", "quarantine", "deprecate")

acts = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(list(OWNERS))), max_size=20)


def act(house: House, what: str, number: str) -> None:
    """One step of the story; where it is refused, nothing happens."""
    with house.records.look() as reading:
        known = {n: store.find_version(reading, MODEL, n) for n in OWNERS}
    fresh = [n for n, found in known.items() if found is None]
    if what == "register" and fresh:  # in their order, for numbers are not skipped
        house.approved(fresh[0], tenant=OWNERS[fresh[0]])
    version = known[number]
    if version is None:
        return
    try:
        match what:
            case "canary":
                house.canary(version, 10)
            case "grow":
                house.canary(version, 50)
            case "promote":
                house.promote(version)
            case "withdraw":
                house.withdraw(version)
            case "back":
                house.roll_back(house.permit(version), version.tenant)
            case "quarantine":
                house.moved(version, Lifecycle.QUARANTINED)
            case "deprecate":
                house.moved(version, Lifecycle.DEPRECATED)
    except REFUSALS:
        return


def told(house: House, at: datetime | None = None) -> dict[str, Any]:
    """Everything that the registry answers, now or about a moment."""
    found: dict[str, Any] = {}
    with house.records.look() as reading:
        versions = store.versions_of(reading, MODEL, everyone=True)
        placed = deployment_store.of_models(reading, (MODEL,))
        newest = store.newest_versions(reading, (MODEL,), everyone=True, until=at)
        states: dict[str, Lifecycle] = {n.id: n.lifecycle for n in newest.values()}
        if at is not None:
            versions = history.versions_then(reading, versions, at)
            placed = history.deployments_then(reading, (MODEL,), at)
            states = history.lifecycles_then(reading, list(states), at)
        found["models"] = [model.name for model in store.models(reading, until=at)]
        found["newest"] = {n.version: states[n.id] for n in newest.values()}
        found["versions"] = {v.version: (v.lifecycle, v.digest, v.tenant) for v in versions}
        found["placed"] = [
            (d.id, d.tenant, d.version, d.state, d.percent, d.permit, d.since, d.salt)
            for d in placed
        ]
        for tenant in (None, AA):
            for endpoint in ENDPOINTS:
                whom = (Place(PLACE, MODEL, tenant), endpoint)
                try:
                    found[f"{tenant} {endpoint}"] = (
                        routing.resolve_now(reading, *whom)[0]
                        if at is None
                        else routing.resolve_then(reading, *whom, at)
                    )
                except NotFound as error:
                    found[f"{tenant} {endpoint}"] = (error.message, error.remedy)
    return found


def compare(house: House, story: list[tuple[str, str]]) -> None:
    """Play `story`, a second for each act, and ask about each moment when it is over."""
    seen = [(house.clock.now(), told(house))]
    for what, number in story:
        house.clock.step_to(house.clock.now() + SECOND)
        act(house, what, number)
        seen.append((house.clock.now(), told(house)))
    house.clock.step_to(house.clock.now() + SECOND)
    entries = house.kinds()
    for at, said in seen:
        assert told(house, at) == said, "what moved at this very moment has moved"
        assert told(house, at + SECOND - INSTANT) == said, "what moves next has not moved yet"
    assert house.kinds() == entries, "asking left a trace"


STORY = [
    ("register", "1.0.0"),
    ("canary", "1.0.0"),
    ("promote", "1.0.0"),
    ("register", "2.0.0"),
    ("canary", "2.0.0"),
    ("grow", "2.0.0"),
    ("promote", "2.0.0"),
    ("register", "3.0.0"),
    ("canary", "3.0.0"),
    ("withdraw", "3.0.0"),
    ("back", "1.0.0"),
    ("quarantine", "2.0.0"),
    ("deprecate", "1.0.0"),
]


def test_a_whole_story_is_told_again(house: House) -> None:
    compare(house, STORY)
    assert house.exposure() == {(None, "1.0.0"): 100.0}, "it went all the way"


def test_a_whole_story_is_told_again_on_postgresql(postgresql: Any) -> None:
    from trimtab.audit.tables import SIZE, WHOLE
    from trimtab.platform.database import metadata

    database = Database(postgresql())
    metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(SIZE.insert(), {"tenant": WHOLE, "size": 0})
    clock = SteppedClock(datetime.fromisoformat("2015-03-01T00:00:00+00:00"))
    house = House(Records(database, clock), clock)
    house.model()
    compare(house, STORY)
    database.close()


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts)
def test_any_story_is_told_again(fresh_house: Any, acts: list[tuple[str, str]]) -> None:
    compare(fresh_house(), acts)


def test_of_several_moves_at_one_moment_the_last_counts(house: House) -> None:
    version = house.stable("1.0.0")
    at = house.clock.now()
    said = told(house)
    house.clock.step_to(at + SECOND)
    house.moved(version, Lifecycle.QUARANTINED)
    assert told(house, at) == said
    assert told(house, at - INSTANT) != said


def test_before_there_was_anything_nothing_answers(house: House) -> None:
    house.stable("1.0.0")
    before = house.clock.now() - INSTANT
    found = told(house, before)
    assert (found["models"], found["versions"], found["placed"]) == ([], {}, [])
    with house.records.look() as reading, pytest.raises(NotFound):
        routing.resolve_then(reading, Place(PLACE, MODEL, None), "till-1", before)


def test_a_moment_that_has_not_come_is_refused(house: House) -> None:
    with house.records.look() as reading:
        history.demand_past(reading, None)
        history.demand_past(reading, reading.now)
        with pytest.raises(InvalidInput) as refused:
            history.demand_past(reading, reading.now + INSTANT)
    assert refused.value.field == "as_of"


def test_what_retention_has_removed_is_not_guessed(house: House) -> None:
    house.stable("1.0.0")
    at = house.clock.now()
    blank = PAYLOADS.update().values(salt=None, body=None)
    with house.records.look() as reading:
        moves = ledger.entries(reading.connection, kinds=["deployment.moved"])
    with house.records.database.write() as connection:
        connection.execute(blank.where(PAYLOADS.c.sequence == moves[-1].sequence))
    with house.records.look() as reading, pytest.raises(NotFound) as refused:
        history.deployments_then(reading, (MODEL,), at)
    assert refused.value.field == "as_of"
    assert "retention" in refused.value.message


def test_entries_that_only_mention_a_thing_are_not_about_it(house: House) -> None:
    house.stable("1.0.0")
    with house.records.look() as reading:
        permit = ledger.entries(reading.connection, kinds=["permit.issued"])[-1].subject
        kinds = ("deployment.moved", "permit.issued", "permit.consumed")
        found = ledger.about(reading.connection, kinds, [permit], until=reading.now)
        newest = ledger.newest_about(reading.connection, kinds, [permit], until=reading.now)
        mentioned = ledger.entries(reading.connection, ref=permit)
    assert [entry.kind for entry in found[permit]] == ["permit.issued", "permit.consumed"]
    assert newest[permit].kind == "permit.consumed"
    assert "deployment.moved" in {entry.kind for entry in mentioned}
