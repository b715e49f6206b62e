"""Which files of a registry are looked into, and what one that cannot be had does to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.workflows.registry import Plane, Registry, details_of, opened

from trimtab.inventory.model import Scope
from trimtab.inventory.source import Fault, Part, SourceVersion
from trimtab.kernel.errors import NotFound, NotPermitted, Unavailable
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


def results(plane: Plane) -> dict[tuple[str, int], str | None]:
    return {key: entry.inspection for key, entry in plane.records().items()}


def fails_at(error: Exception, what: str, *where: Any) -> Any:
    def fails(kind: str, which: Any) -> None:
        if kind == what and which[: len(where)] == where:
            raise error

    return fails


def fine(_what: str, _which: Any) -> None:
    """Everything is answered."""


def test_one_file_without_an_answer_holds_no_other_version_up(
    plane: Plane, registry: Registry
) -> None:
    """It is left for later, and is not the first one every time."""
    registry.hook = fails_at(NoAnswer("it takes too long"), "content", "fraud", 1)
    assert inspect(plane, registry) == 2
    assert [key for key, result in results(plane).items() if result is None] == [("fraud", 1)]
    registry.asked.clear()
    assert inspect(plane, registry) == 0
    assert registry.asked == [], "it is not tried again so soon"
    registry.hook = fine
    plane.step(16)
    assert inspect(plane, registry) == 1
    assert results(plane)["fraud", 1] not in (None, "unreadable")


def test_what_is_never_answered_is_unreadable_in_the_end(plane: Plane, registry: Registry) -> None:
    registry.hook = fails_at(NoAnswer("it takes too long"), "content", "fraud", 1)
    for _ in range(plane.parts.settings.sync_tries):
        assert results(plane)["fraud", 1] is None
        inspect(plane, registry)
        plane.step(24 * 60)
    assert results(plane)["fraud", 1] == "unreadable"
    [entry] = plane.told("record.inspected")[-1:]
    assert entry["findings"] == ["not_fetched"]
    assert due(plane) == []
    registry.hook = fine
    plane.cycle(registry, Scope.FULL)
    assert results(plane)["fraud", 1] == "unreadable", "until somebody has looked"
    inspect(plane, registry)
    assert results(plane)["fraud", 1] not in (None, "unreadable")


def test_after_three_without_an_answer_nobody_is_asked(plane: Plane, registry: Registry) -> None:
    for number in range(3, 20):
        registry.put("churn", number)
    plane.cycle(registry)
    registry.asked.clear()
    registry.hook = fails_at(NoAnswer("it takes too long"), "content")
    assert inspect(plane, registry) == 0
    assert registry.count("content") == 3


@pytest.mark.parametrize("error", [Unavailable("status 500"), NotPermitted("status 403")])
@pytest.mark.parametrize("what", ["content", "version"])
def test_what_was_refused_for_a_time_is_tried_again(
    plane: Plane, registry: Registry, error: Exception, what: str
) -> None:
    registry.hook = fails_at(error, what, "fraud", 1)
    inspect(plane, registry)
    assert results(plane)["fraud", 1] == "unreadable"
    told = len(plane.told("record.inspected"))
    plane.step(16)
    assert len(due(plane)) == 1
    inspect(plane, registry)
    assert len(plane.told("record.inspected")) == told, "nothing else was found"
    registry.hook = fine
    plane.step(31)
    plane.cycle(registry)
    inspect(plane, registry)
    assert results(plane)["fraud", 1] not in (None, "unreadable")
    assert due(plane) == []


def test_what_is_not_there_is_not_tried_again(plane: Plane, registry: Registry) -> None:
    registry.hook = fails_at(NotFound("no such file"), "content", "fraud", 1)
    inspect(plane, registry)
    plane.step(24 * 60)
    assert results(plane)["fraud", 1] == "unreadable"
    assert due(plane) == []


def test_an_incomplete_version_with_files_is_looked_into(plane: Plane, registry: Registry) -> None:
    """What is missing is its run; that makes its files no safer."""
    for part, number in ((Part.RUN, 4), (Part.ARTIFACTS, 5)):
        registry.put("churn", number)
        whole = details_of(SourceVersion("churn", number, registry.held["churn", number]))
        fault = Fault(part, "it takes too long", passing=True)
        without: Any = {"run": None} if part is Part.RUN else {"listing": None}
        registry.leads_to["churn", number] = replace(whole, faults=(fault,), **without)
    plane.cycle(registry)
    assert {key for key, entry in plane.records().items() if entry.record.incomplete} == {
        ("churn", 4),
        ("churn", 5),
    }
    inspect(plane, registry)
    assert results(plane)["churn", 4] is not None
    assert results(plane)["churn", 5] is None


EVIL = b"cos\nsystem\n(S'true'\ntR."
"""A pickle that starts a program."""


def looked_at(registry: Registry) -> set[tuple[str, int]]:
    return {which[:2] for what, which in registry.asked if what == "content"}


def test_other_bytes_of_the_same_size_are_found_where_it_matters(
    plane: Plane, registry: Registry
) -> None:
    """A registry does not say that a file was replaced: all that it lists is path and size."""
    inspect(plane, registry)
    assert "malicious" not in results(plane).values()
    registry.contents["requirements.txt"] = EVIL
    registry.asked.clear()
    plane.step(15)
    plane.cycle(registry)
    assert due(plane) == [], "a cycle of changes does not see it"
    plane.step(15)
    plane.cycle(registry, Scope.FULL)
    assert inspect(plane, registry) == 1
    assert looked_at(registry) == {("fraud", 1)}, "what stands in production is looked into again"
    assert results(plane)["fraud", 1] == "malicious"
    assert due(plane) == []


@pytest.mark.parametrize("error", [NoAnswer("it takes too long"), Unavailable("status 500")])
def test_what_was_found_stands_until_somebody_has_looked_again(
    plane: Plane, registry: Registry, error: Exception
) -> None:
    inspect(plane, registry)
    before = results(plane)["fraud", 1]
    plane.cycle(registry, Scope.FULL)
    registry.hook = fails_at(error, "content", "fraud", 1)
    told = len(plane.told("record.inspected"))
    for _ in range(plane.parts.settings.sync_tries):
        assert len(due(plane)) == 1
        inspect(plane, registry)
        plane.step(24 * 60)
    assert due(plane) == [], "as often as anything is tried"
    assert results(plane)["fraud", 1] == before
    assert len(plane.told("record.inspected")) == told


@pytest.mark.parametrize(
    ("error", "evil", "expected"),
    [
        (Unavailable("status 500"), "MLmodel", "malicious"),
        (NotFound("no such file"), "MLmodel", "malicious"),
        (NotFound("no such file"), None, "unreadable"),
    ],
)
def test_no_answer_takes_a_finding_back(
    plane: Plane, registry: Registry, error: Exception, evil: str | None, expected: str
) -> None:
    if evil is not None:
        registry.contents[evil] = EVIL
    inspect(plane, registry)
    plane.cycle(registry, Scope.FULL)
    registry.hook = fails_at(error, "content", "fraud", 1, "MLmodel")
    inspect(plane, registry)
    assert results(plane)["fraud", 1] == expected


def test_what_is_found_in_one_file_waits_for_no_other(plane: Plane, registry: Registry) -> None:
    inspect(plane, registry)
    before = plane.records()["fraud", 1].record
    registry.contents["MLmodel"] = b"\x80\x04cfoo.zap\nbar\n)R."
    plane.cycle(registry, Scope.FULL)
    failing = fails_at(Unavailable("status 500"), "content", "fraud", 1, "requirements.txt")
    registry.hook = failing
    inspect(plane, registry)
    found = plane.records()["fraud", 1].record
    assert results(plane)["fraud", 1] == "suspicious"
    assert found.value("runtime_environment") == before.value("runtime_environment")
    files = {file["path"]: file for file in found.value("artifact_manifest")["files"]}
    was = {file["path"]: file for file in before.value("artifact_manifest")["files"]}
    assert files["requirements.txt"] == was["requirements.txt"]
    assert files["MLmodel"]["sha256"] != was["MLmodel"]["sha256"]


def test_another_scanner_looks_into_all_once_more(
    plane: Plane, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect(plane, registry)
    told = len(plane.told("record.inspected"))
    monkeypatch.setattr(inspecting, "scanner", lambda: "another")
    registry.put("new", 1)
    plane.step(15)
    plane.cycle(registry)
    registry.asked.clear()
    assert inspect(plane, registry) == 4
    first = next(which for what, which in registry.asked if what == "version")
    assert first == ("new", 1), "what nobody has looked into comes first"
    assert len(plane.told("record.inspected")) == told + 1, "the same was found in the others"
    assert due(plane) == []


def test_who_ends_begins_with_no_other_version(plane: Plane, registry: Registry) -> None:
    begun = []

    def stopping() -> bool:
        begun.append(registry.count("content"))
        return registry.count("content") > 0

    look = Inspector(plane.parts, stopping=stopping)
    assert look.inspect(plane.connection.id, lambda _connection: registry) == 1
    assert len(looked_at(registry)) == 1
