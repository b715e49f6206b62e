"""Tenants come from credentials, headers only narrow, canaries are sticky."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from trimtab.sdk.routing import Route, bucket_of

pytestmark = pytest.mark.slow

BODY = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [0, 0, 0]}]}
PATH = "/v2/models/delay/infer"


@pytest.fixture
def tenants(kit: Any) -> Any:
    """Global 1.0.0 answers 10, tenant aa's 2.0.0 answers 20."""
    own = kit.stable(answer=20.0, version="2.0.0", tenant="aa")
    return kit.serve(("delay", kit.stable(answer=10.0)), ("delay", own))


def ask(running: Any, headers: list[tuple[str, str]]) -> httpx.Response:
    found: httpx.Response = running.http.post(PATH, json=BODY, headers=headers)
    return found


def version(answer: httpx.Response) -> str:
    found: str = answer.json()["parameters"]["version"]
    return found


def test_each_key_gets_its_own_route_or_the_global_one(tenants: Any) -> None:
    assert version(tenants.post(PATH, BODY, "ak_aa")) == "2.0.0"
    assert version(tenants.post(PATH, BODY, "ak_bb")) == "1.0.0"
    assert version(tenants.post(PATH, BODY, "ak_fleet")) == "1.0.0"
    assert version(tenants.post(PATH, BODY, "ak_fleet", X_Tenant_Id="aa")) == "2.0.0"
    assert version(tenants.post(PATH, BODY, "ak_aa", X_Tenant_Id="aa")) == "2.0.0"


@pytest.mark.parametrize("named", ["bb", "AA", "a", "zz"])
def test_a_key_cannot_name_another_tenant(tenants: Any, named: str) -> None:
    answer = tenants.post(PATH, BODY, "ak_aa", X_Tenant_Id=named)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


@pytest.mark.parametrize("named", ["", "aa,bb", "aa bb", "aa%20", "../aa", "a" * 200])
def test_a_tenant_that_is_no_tenant_is_refused(tenants: Any, named: str) -> None:
    assert tenants.post(PATH, BODY, "ak_fleet", X_Tenant_Id=named).status_code == 422


@pytest.mark.parametrize("name", ["X-Tenant-Id", "X-Api-Key", "X-Endpoint-Id"])
def test_a_header_that_stands_twice_is_refused(tenants: Any, kit: Any, name: str) -> None:
    key = kit.credential("ak_fleet")["X-Api-Key"]
    once = {"X-Api-Key": key, "X-Tenant-Id": "aa", "X-Endpoint-Id": "e"}
    answer = ask(tenants, [*once.items(), (name, once[name])])
    assert (answer.status_code, answer.json()["field"]) == (422, name.lower())


def test_only_a_whole_known_key_opens(tenants: Any, kit: Any) -> None:
    key = kit.credential("ak_aa")["X-Api-Key"]
    assert version(ask(tenants, [("Authorization", f"Bearer {key}")])) == "2.0.0"
    refused: list[list[tuple[str, str]]] = [
        [],
        [("X-Api-Key", "")],
        [("X-Api-Key", key[:-1])],
        [("X-Api-Key", key + "a")],
        [("X-Api-Key", key.replace("ak_aa", "ak_bb"))],
        [("X-Api-Key", key.replace("ak_aa", "ak_nobody"))],
        [("X-Api-Key", "ak_aa.")],
        [("Authorization", f"Basic {key}")],
        [("Authorization", key)],
        [("X-Api-Key", key), ("Authorization", f"Bearer {key}")],
    ]
    for headers in refused:
        answer = ask(tenants, headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert key not in answer.text
    assert tenants.http.post(f"{PATH}?api_key={key}", json=BODY).status_code == 401
    assert tenants.http.get("/v2/models/delay").status_code == 401
    assert tenants.http.get("/v2/health").status_code == 401


def test_a_revoked_key_stops_opening_with_the_next_table(kit: Any) -> None:
    import dataclasses

    stable = kit.stable()
    running = kit.serve(("delay", stable))
    assert running.post(PATH, BODY, "ak_aa").status_code == 200
    table = kit.a_table(("delay", stable), epoch=2)
    left = tuple(key for key in table.keys if key.id != "ak_aa")
    kit.world.route(dataclasses.replace(table, keys=left))
    running.reaches(2)
    assert running.post(PATH, BODY, "ak_aa").status_code == 401
    assert running.post(PATH, BODY, "ak_bb").status_code == 200


def test_a_version_may_be_named_if_it_answers_anyway(tenants: Any) -> None:
    def named(number: str, key: str) -> int:
        path = f"/v2/models/delay/versions/{number}/infer"
        status: int = tenants.post(path, BODY, key).status_code
        return status

    assert named("2.0.0", "ak_aa") == 200
    assert named("1.0.0", "ak_aa") == 200  # the global stable
    assert named("2.0.0", "ak_bb") == 404  # another tenant's
    assert named("2.0.0", "ak_fleet") == 404
    assert named("9.0.0", "ak_aa") == 404
    assert tenants.get("/v2/models/delay", "ak_aa").json()["versions"] == ["1.0.0", "2.0.0"]
    assert tenants.get("/v2/models/delay", "ak_bb").json()["versions"] == ["1.0.0"]
    assert tenants.get("/v2/models/delay/versions/2.0.0", "ak_bb").status_code == 404


@pytest.fixture
def trial(kit: Any) -> Any:
    """Stable 1.0.0, and 2.0.0 as canary at 30 %."""
    stable = kit.stable(answer=10.0)
    new = kit.world.publish("delay", "2.0.0", kit.matrix_model(20.0))
    return kit.serve(("delay", Route(None, stable.stable, kit.on_trial(new, 30))))


def test_a_canary_is_drawn_by_endpoint_and_sticks(trial: Any) -> None:
    for i in range(40):
        endpoint = f"endpoint-{i}"
        expected = "canary" if bucket_of("rol_1", endpoint) < 3000 else "stable"
        for key in ("ak_fleet", "ak_aa"):
            parameters = trial.post(PATH, BODY, key, X_Endpoint_Id=endpoint).json()["parameters"]
            assert parameters["deployment"] == expected
            assert parameters["version"] == {"canary": "2.0.0", "stable": "1.0.0"}[expected]


def test_without_an_endpoint_the_key_is_what_sticks(trial: Any) -> None:
    for key in ("ak_fleet", "ak_aa", "ak_bb"):
        expected = "canary" if bucket_of("rol_1", key) < 3000 else "stable"
        assert trial.post(PATH, BODY, key).json()["parameters"]["deployment"] == expected


def test_naming_a_canary_is_no_way_into_it(trial: Any) -> None:
    outside = next(f"e{i}" for i in range(100) if bucket_of("rol_1", f"e{i}") >= 3000)
    inside = next(f"e{i}" for i in range(100) if bucket_of("rol_1", f"e{i}") < 3000)
    path = "/v2/models/delay/versions/2.0.0/infer"
    assert trial.post(path, BODY, X_Endpoint_Id=outside).status_code == 404
    assert trial.post(path, BODY, X_Endpoint_Id=inside).status_code == 200


@pytest.mark.parametrize("endpoint", ["", "a b", "é", "x" * 300])
def test_an_endpoint_that_is_no_identifier_is_refused(trial: Any, endpoint: str) -> None:
    headers = [(b"X-Api-Key", b"ak_fleet." + b"f" * 43)]
    named = (b"X-Endpoint-Id", endpoint.encode("latin-1"))
    answer = trial.http.post(PATH, json=BODY, headers=[*headers, named])
    assert answer.status_code == 422


def test_health_shows_details_to_the_fleet_only(trial: Any) -> None:
    assert "refused" in trial.get("/v2/health", "ak_fleet").json()
    assert set(trial.get("/v2/health", "ak_aa").json()) == {
        "status",
        "ready",
        "epoch",
        "expired_since",
    }


def test_metrics_name_no_tenant_and_no_key(tenants: Any) -> None:
    tenants.post(PATH, BODY, "ak_aa")
    page = tenants.http.get("/metrics").text
    assert "trimtab_gateway_routing_epoch 1" in page
    assert 'trimtab_gateway_requests_total{status="200"}' in page
    assert '"aa"' not in page
    assert "ak_" not in page


def test_an_endpoint_outside_the_only_canary_reads_why_it_is_not_answered(kit: Any) -> None:
    new = kit.stable(answer=20.0, version="2.0.0").stable
    running = kit.serve(("delay", Route(None, None, kit.on_trial(new, 0))))
    answer = running.post(PATH, BODY, "ak_fleet")
    assert answer.status_code == 404
    assert "is outside 0 %" in answer.json()["remedy"]
