"""Every list can be read page by page, and a cursor goes with what it was given for."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from trimtab.api.server import ROUTERS
from trimtab.sdk import shapes


def read(client: httpx.Client, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    """All rows of a list, `limit` at a time."""
    found = list[dict[str, Any]]()
    more: dict[str, str] = {}
    for _ in range(1000):
        answer = client.get(path, params={**query, **more, "limit": limit})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        more = {"cursor": page["next"]}
    raise AssertionError(f"{path} has no end")


def test_every_list_has_a_limit_and_a_cursor() -> None:
    lists = [
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        and "GET" in (route.methods or ())
        and "Page" in str(route.response_model)
    ]
    assert len(lists) >= 14
    for route in lists:
        names = {p.alias for part in route.dependant.dependencies for p in part.query_params}
        assert {"limit", "cursor"} <= names, route.path


@pytest.fixture(scope="module")
def lived(house: Any) -> str:
    """A model with three versions, and more models beside it."""
    model = str(house.new_model())
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        house.registered(model, number)
    house.settle()
    house.new_model()
    return model


LISTS = [
    "/api/v1/models",
    "/api/v1/models/{model}/versions",
    "/api/v1/models/{model}/versions/1.0.0/checks",
    "/api/v1/models/{model}/deployments",
    "/api/v1/approvals",
    "/api/v1/rollouts",
    "/api/v1/monitoring/incidents",
    "/api/v1/monitoring/models/{model}/windows",
    "/api/v1/remediation",
    "/api/v1/retraining",
    "/api/v1/kill-switches",
    "/api/v1/tenants",
    "/api/v1/people",
    "/api/v1/audit/entries",
]


@pytest.mark.slow
@pytest.mark.parametrize("path", LISTS)
def test_page_by_page_a_list_is_what_it_is_at_once(house: Any, lived: str, path: str) -> None:
    address = path.format(model=lived)
    with house.http("auditor" if "audit" in path else "admin") as client:
        at_once = client.get(address, params={"limit": 500}).json()["items"]
        limit = 7 if "audit" in path else 1
        again = read(client, address, limit)
    assert again[: len(at_once)] == at_once if "audit" in path else again == at_once


@pytest.mark.slow
def test_what_is_added_meanwhile_neither_repeats_a_row_nor_hides_one(
    house: Any, lived: str
) -> None:
    with house.http("admin") as client:
        whole = client.get("/api/v1/tenants", params={"limit": 500}).json()["items"]
        first = client.get("/api/v1/tenants", params={"limit": 1}).json()
        house.admin.identity.add_tenant(shapes.NewTenant(id="a-first", name="before all"))
        house.admin.identity.add_tenant(shapes.NewTenant(id="zz-last", name="behind all"))
        rest = client.get("/api/v1/tenants", params={"cursor": first["next"]}).json()["items"]
    assert [row["id"] for row in first["items"] + rest] == [
        *(row["id"] for row in whole),
        "zz-last",
    ]


@pytest.mark.slow
def test_a_cursor_goes_with_its_list_its_filters_and_its_tenant(
    house: Any, refuses: Any, lived: str
) -> None:
    with house.http("admin") as client:
        path = f"/api/v1/models/{lived}/versions"
        cursor = client.get(path, params={"limit": 1}).json()["next"]
        assert client.get(path, params={"cursor": cursor, "limit": 2}).status_code == 200
        bound, place = json.loads(base64.urlsafe_b64decode(cursor))
        for address, query, headers in (
            (path, {"cursor": cursor, "vocabulary": "rollout"}, {}),
            (path, {"cursor": cursor}, {"X-Tenant-Id": "aa"}),
            (f"/api/v1/models/{lived}/deployments", {"cursor": cursor}, {}),
            (path, {"cursor": told([bound, "ver_other"])}, {}),
            (path, {"cursor": told(["0" * 24, place])}, {}),
            (path, {"cursor": told([bound, 7])}, {}),
            (path, {"cursor": told("x")}, {}),
            (path, {"cursor": "yesterday"}, {}),
            (path, {"cursor": "é"}, {}),
            (path, {"cursor": ""}, {}),
        ):
            answer = client.get(address, params=query, headers=headers)
            assert refuses(answer, 422, "invalid_input")["field"] == "cursor"


def told(value: Any) -> str:
    """A cursor that somebody made up."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
