"""Lineage as records tell it: both ways, over registries, now and as of a moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import (
    FIRST,
    FLEET,
    MINUTE,
    Plane,
    Registry,
    of_tenant,
    opened,
    run_of,
)

from trimtab.identity import service as identity
from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.workflows import lineage
from trimtab.workflows.lineage import Lineage

DATASET = "dataset:iris/4f2a"
PRODUCTION = "placement:churn/stage/production"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    with opened(tmp_path / "home") as plane:
        with plane.parts.records.begin(FLEET, reason="tenants") as work:
            for name in ("acme", "other"):
                identity.create_tenant(work, name, name.title())
        yield plane


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.put("churn", 1, stage="Production")
    registry.put("churn", 2)
    return registry


def of_node(plane: Plane, node: str, way: str, actor: Any = FLEET, **more: Any) -> Lineage:
    with plane.parts.records.look() as reading:
        return lineage.of_node(reading, actor, node, way, **more)


def of_record(plane: Plane, number: int, moment: datetime | None = None) -> Lineage:
    record = plane.records(moment=moment)["churn", number]
    with plane.parts.records.look() as reading:
        return lineage.of_record(reading, FLEET, record.id, moment=moment)


def ids(found: Lineage) -> set[str]:
    return {thing.id for thing in found.nodes}


def test_from_the_data_to_the_place_and_back(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    chain = [DATASET, f"run:{run_of(1)}", "version:churn/1", PRODUCTION]
    down = of_node(plane, DATASET, "downstream")
    assert {*chain, "version:churn/2"} <= ids(down)
    up = of_node(plane, PRODUCTION, "upstream", connection=plane.connection.id)
    assert set(chain) <= ids(up)
    assert "version:churn/2" not in ids(up)
    assert set(chain) <= ids(of_record(plane, 1))
    links = {(link.upstream, link.downstream, link.relation) for link in up.edges}
    assert {
        (chain[0], chain[1], "trained"),
        (chain[1], chain[2], "produced"),
        (chain[2], chain[3], "placed"),
    } <= links
    [version] = [thing for thing in up.nodes if thing.id == "version:churn/1"]
    assert version.record == plane.records()["churn", 1].id


def test_as_it_was_at_a_moment(plane: Plane, registry: Registry) -> None:
    plane.cycle(registry)
    plane.step(15)
    registry.edit("churn", 1, current_stage="Archived")
    registry.edit("churn", 2, current_stage="Production")
    plane.cycle(registry)
    of = plane.connection.id

    def stood(moment: datetime | None) -> set[str]:
        found = of_node(plane, PRODUCTION, "upstream", connection=of, moment=moment)
        return {name for name in ids(found) if name.startswith("version")}

    assert stood(None) == {"version:churn/2"}
    assert stood(FIRST + MINUTE) == {"version:churn/1"}
    assert stood(FIRST - MINUTE) == set()


def test_what_is_gone_stands_nowhere_and_was_made_of_the_same(
    plane: Plane, registry: Registry
) -> None:
    """All within one moment of a clock that stands still, too."""
    registry.put("churn", 3, run=False, stage="Staging")
    for minutes in (0, 0, 15):
        plane.cycle(registry)
        plane.step(minutes)
        taken = {number: registry.take_away("churn", number) for number in (1, 3)}
        plane.cycle(registry)
        found = of_node(plane, DATASET, "downstream")
        assert "version:churn/1" in ids(found)
        assert PRODUCTION not in ids(found)
        plane.step(minutes)
        for number, held in taken.items():
            registry.held["churn", number] = held
        back = plane.cycle(registry)
        assert (back.counts.returned, back.failures) == (2, ())
        assert PRODUCTION in ids(of_node(plane, DATASET, "downstream"))
        assert "placement:churn/stage/staging" in ids(of_record(plane, 3))


def test_a_data_set_is_one_for_the_registries_of_a_tenant(plane: Plane, registry: Registry) -> None:
    for name, tenant in (("first", "acme"), ("second", "acme"), ("third", "other")):
        fresh = Registry()
        fresh.put(f"of {name}", 1)
        plane.cycle(fresh, connection=plane.connect(name, tenant))
    plane.cycle(registry)

    def versions(actor: Any) -> set[str]:
        found = ids(of_node(plane, DATASET, "downstream", actor))
        return {name for name in found if name.startswith("version")}

    of_acme = {"version:of first/1", "version:of second/1"}
    assert versions(of_tenant("acme")) == of_acme
    assert versions(of_tenant("other")) == {"version:of third/1"}
    assert {*of_acme, "version:of third/1", "version:churn/1"} <= versions(FLEET)


def test_a_run_belongs_to_its_registry(plane: Plane, registry: Registry) -> None:
    """Two registries may give the same id to two things."""
    plane.cycle(registry)
    other = plane.connect("other-registry")
    second = Registry()
    second.put("churn", 1)
    plane.cycle(second, connection=other)
    found = of_node(plane, "version:churn/1", "downstream", connection=other.id)
    assert PRODUCTION not in ids(found)


def test_what_names_nothing_is_refused(plane: Plane) -> None:
    for node in ("", "dataset:", "nothing:x", "run", "\0:\0"):
        with pytest.raises(InvalidInput):
            of_node(plane, node, "upstream")
    with pytest.raises(InvalidInput, match="belongs to a registry"):
        of_node(plane, "run:x", "upstream")
    with pytest.raises(NotFound):
        of_node(plane, "run:x", "upstream", of_tenant("acme"), connection=plane.connection.id)
