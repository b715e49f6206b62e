"""The numbers of versions over the wire: what is refused, what is told, and the other key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


@pytest.mark.parametrize("number", ["0.0.1", "999999.0.0", "1.2.0", "1.1.1"])
def test_a_number_that_does_not_follow_is_refused(house: Any, refuses: Any, number: str) -> None:
    model = house.new_model()
    house.registered(model, "1.0.0")
    answer = house.upload(model, house.metadata(number), house.material.artifact())
    problem = refuses(answer, 422, "invalid_input")
    assert problem["field"] == "version"
    assert problem["remedy"] == "take 1.0.1 or 1.1.0 or 2.0.0"
    assert [v.version for v in house.admin.models.versions(model)] == ["1.0.0"]


def test_a_number_that_says_less_than_what_changed_is_refused(house: Any, refuses: Any) -> None:
    model = house.new_model()
    house.registered(model, "1.0.0")
    artifact = house.material.artifact()
    for number, facts, said, least in (
        ("1.0.1", {"cutoff": 0.9}, "minor change: the cut-off was", "take 1.1.0 or 2.0.0"),
        ("1.1.0", {"framework": "pytorch"}, "major change: the model type", "take 2.0.0"),
    ):
        problem = refuses(
            house.upload(model, house.metadata(number, **facts), artifact), 422, "invalid_input"
        )
        assert problem["field"] == "version"
        assert said in problem["detail"]
        assert problem["remedy"] == least
    assert len(list(house.admin.models.versions(model))) == 1
    taken = house.upload(model, house.metadata("1.1.0", cutoff=0.9), artifact).json()
    assert (taken["number"], taken["bump"], taken["predecessor"]) == (2, "major", "1.0.0")
    assert "is not approved, and was a first change" in taken["bump_reasons"][-1]


def test_a_version_is_found_by_its_number_too(house: Any, refuses: Any) -> None:
    model = house.new_model()
    house.registered(model, "1.0.0")
    theirs = house.registered(model, "1.1.0", tenant="ua")
    client = house.admin.models
    assert [v.number for v in client.versions(model)] == [1, 2]
    assert client.version(model, 1) == client.version(model, "1.0.0")
    assert client.version(model, 2).id == theirs["id"]
    with house.http("data_scientist") as http:
        for wrong in ("3", "0", "01", "-1", "1e0", "9" * 30, "१"):
            answer: httpx.Response = http.get(f"/api/v1/models/{model}/versions/{wrong}")
            refuses(answer, 404, "not_found")
