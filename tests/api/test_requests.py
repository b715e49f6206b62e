"""Requests that are not as they must be, pages that always answer, and which version answers."""

from __future__ import annotations

import html
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from trimtab.api.problems import WAY_OUT
from trimtab.api.server import MAX_DOCUMENT_BYTES, ROUTERS
from trimtab.api.strict import StrictRoute
from trimtab.kernel.errors import InvalidInput, NotFound, Unavailable
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

NEW_MODEL: dict[str, Any] = {
    "name": "something",
    "owner": "somebody",
    "features": [{"name": "x", "kind": "numeric"}],
    "label": "y",
    "reason": "a test",
}


CODES = {404: "not_found", 422: "invalid_input"}
GOOD = {"default_model": None, "owner": None, "tenant": None, "reason": "a test"}


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/redoc", "/openapi.json"])
def test_pages_for_everybody_answer(house: Any, path: str) -> None:
    assert httpx.get(house.url + path).status_code == 200


def test_health_names_every_part(house: Any) -> None:
    with Client(house.url) as client:
        found = client.health()
    assert found.status == "healthy"
    assert {"database", "artifacts", "jobs"} <= set(found.components)


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/api/v1/models/none/such"])
def test_an_address_that_is_none_is_a_problem_too(house: Any, refuses: Any, path: str) -> None:
    with house.http("admin") as client:
        refuses(client.get(path), 404, "not_found")


def test_a_method_that_is_none_is_a_problem_too(house: Any, refuses: Any) -> None:
    with house.http("admin") as client:
        answer = client.patch("/api/v1/models")
    refuses(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize(
    "key", ["status", "isSigned", "tenantId", "riskTier", "tier", "approvedBy", "id"]
)
def test_a_model_cannot_be_given_what_follows_by_itself(house: Any, refuses: Any, key: str) -> None:
    with house.http("data_scientist") as client:
        answer = client.post("/api/v1/models", json={**NEW_MODEL, key: "4"})
    body = refuses(answer, 422, "invalid_input")
    assert body["field"] == key


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "x\r\ny"}, "name"),
        ({"features": []}, "features"),
        ({"features": [{"name": "x", "kind": "text"}]}, "features.0.kind"),
        ({"reason": ""}, "reason"),
        ({"risk_facts": {"annual_financial_impact_usd": -1}}, "risk_facts"),
        ({"risk_facts": {"tier": 4}}, "risk_facts.tier"),
        ({"policy": "none-such"}, "policy"),
        ({"owner": " \t"}, "owner"),
        ({"owner": "Col\u202elections"}, "owner"),
        ({"owner": "Collections\nadmin: yes"}, "owner"),
        ({"description": "a\x1b[31mred"}, "description"),
        ({"reason": "      "}, "reason"),
        ({"label": "y\u2028"}, "label"),
        ({"features": [{"name": "x\n", "kind": "numeric"}]}, "features.0.name"),
        ({"features": [{"name": "\u200b", "kind": "numeric"}]}, "features.0.name"),
        ({"features": [NEW_MODEL["features"][0]] * 2}, "features.1.name"),
        ({"label": "x"}, "label"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_what_is_wrong_is_named(
    house: Any, refuses: Any, change: dict[str, Any], field: str
) -> None:
    name = f"refused-{next(house.numbers)}"
    with house.http("data_scientist") as client:
        answer = client.post("/api/v1/models", json={**NEW_MODEL, "name": name, **change})
        body = refuses(answer, 422, "invalid_input")
        assert client.get(f"/api/v1/models/{name}").status_code == 404
    assert body["field"].startswith(field)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"default_model": "none-such"}, 404, "default_model"),
        ({"owner": "usr_nobody"}, 404, "owner"),
        ({"tenant": "none-such"}, 404, "tenant"),
        ({"name": " "}, 422, "name"),
        ({"name": "x\u0007"}, 422, "name"),
        ({"reason": "   "}, 422, "reason"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_an_account_that_points_nowhere_is_refused(
    house: Any, refuses: Any, change: dict[str, Any], status: int, field: str
) -> None:
    name = f"refused {next(house.numbers)}"
    body = {"name": name, "roles": ["endpoint"], **change}
    with house.http("admin") as client:
        answer = client.post("/api/v1/service-accounts", json=body)
        assert refuses(answer, status, CODES[status])["field"] == field
        assert client.post(
            "/api/v1/service-accounts", json={**body, "name": name, **GOOD}
        ).is_success


def test_a_person_of_an_odd_name_or_address_is_refused(house: Any, refuses: Any) -> None:
    good = {"email": "o@example.org", "name": "O", "roles": ["auditor"], "password": "x" * 20}
    with house.http("admin") as client:
        for field, value in (("email", "o\u202e@example.org"), ("name", "O\nP"), ("name", "  ")):
            answer = client.post("/api/v1/people", json={**good, field: value})
            assert refuses(answer, 422, "invalid_input")["field"] == field
        answer = client.post("/api/v1/tenants", json={"id": "odd", "name": "\u2066odd"})
        assert refuses(answer, 422, "invalid_input")["field"] == "name"


def test_a_vote_needs_a_reason_that_says_something(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    waiting = next(a for a in house.admin.approvals.list() if a.target.version_id == version["id"])
    with house.http(waiting.steps[0].role) as client:
        for reason in ("    ", "\n\n\n", "ok\u202eko"):
            answer = client.post(
                f"/api/v1/approvals/{waiting.id}/votes",
                json={"approve": True, "digest": version["digest"], "reason": reason},
            )
            assert refuses(answer, 422, "invalid_input")["field"] == "reason"
    assert not house.admin.approvals.get(waiting.id).votes


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'{"name": }', "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 50_000, "body"),
        (b'{"name": ' + b"9" * 5000 + b"}", "body"),
        (b'{"name": NaN}', "name"),
        (b'{"name": "x", "owner": "y", "name": "z"}', "name"),
        (b'{"risk_facts": {"pii": true, "pii": false}}', "risk_facts.pii"),
        (
            b'{"risk_facts": {"annual_financial_impact_usd": Infinity}}',
            "risk_facts.annual_financial_impact_usd",
        ),
        (
            b'{"risk_facts": {"annual_financial_impact_usd": 1e999}}',
            "risk_facts.annual_financial_impact_usd",
        ),
        (b'{"owner": "x\\u0000y"}', "owner"),
        (b'{"features": [{"name": "\\ud800"}]}', "features.0.name"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_body_that_is_no_json_object_is_refused(
    house: Any, refuses: Any, content: bytes, field: str
) -> None:
    with house.http("data_scientist") as client:
        answer = client.post(
            "/api/v1/models", content=content, headers={"Content-Type": "application/json"}
        )
    assert refuses(answer, 422, "invalid_input")["field"] == field


def test_a_report_with_a_key_that_stands_there_twice_is_refused(house: Any, refuses: Any) -> None:
    with house.http("gateway") as client:
        answer = client.put(
            "/api/v1/gateways/g1",
            content=b'{"epoch": 1, "epoch": 2}',
            headers={"Content-Type": "application/json"},
        )
        assert refuses(answer, 422, "invalid_input")["field"] == "epoch"
        answer = client.put("/api/v1/gateways/g1", json={"epoch": 1 << 70})
        assert refuses(answer, 422, "invalid_input")["field"] == "epoch"


@pytest.mark.parametrize("length", [str(1 << 31), "1" * 30])
def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(
    house: Any, length: str
) -> None:
    address = urlsplit(house.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.putrequest("POST", "/api/v1/models")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status in (400, 413)
    assert answer.status == 400 or json.loads(content)["code"] == "too_large"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/api/v1/models", "application/json"),
        ("/api/v1/labels?model=x", "application/vnd.apache.arrow.stream"),
    ],
)
def test_a_body_that_never_ends_is_refused_when_it_is_too_large(
    house: Any, refuses: Any, path: str, content_type: str
) -> None:
    """Chunked, so that no header tells; nobody has to be known for that."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 4 * MAX_DOCUMENT_BYTES:
            sent += 1 << 20
            yield b" " * (1 << 20)

    with httpx.Client(base_url=house.url) as nobody:
        answer = nobody.post(path, content=endless(), headers={"Content-Type": content_type})
    body = refuses(answer, 413, "too_large")
    assert str(MAX_DOCUMENT_BYTES) in body["detail"]


def test_a_name_that_is_taken_is_a_conflict(house: Any, refuses: Any) -> None:
    name = house.new_model()
    account = {"name": f"twice {name}", "roles": ["feed"]}
    person = {"email": f"{name}@example.org", "name": "A", "roles": ["auditor"]}
    taken: list[tuple[str, dict[str, Any], str]] = [
        ("/api/v1/models", {**NEW_MODEL, "name": name}, "name"),
        ("/api/v1/service-accounts", account, "name"),
        ("/api/v1/people", {**person, "password": "x" * 20}, "email"),
        ("/api/v1/tenants", {"id": "aa", "name": "again"}, "id"),
    ]
    with house.http("admin") as client:
        for path, content, field in taken:
            client.post(path, json=content)
            body = refuses(client.post(path, json=content), 409, "conflict")
            assert body["field"] == field
            assert body["detail"] == f"this {field} is taken"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"x", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data", "multipart/form-data; boundary=b"),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"{}", "application/json"),
        (b"", "application/x-www-form-urlencoded"),
    ],
)
def test_a_form_that_is_none_is_refused(
    house: Any, refuses: Any, content: bytes, content_type: str
) -> None:
    with house.http("data_scientist") as client:
        answer = client.post(
            f"/api/v1/models/{house.new_model()}/versions",
            content=content,
            headers={"Content-Type": content_type},
        )
    other = not content_type.startswith("multipart/form-data")
    body = refuses(answer, answer.status_code, "unsupported_media" if other else "invalid_input")
    assert answer.status_code in ((415,) if other else (400, 422))
    assert body["field"] in (("Content-Type",) if other else ("body", "metadata"))


def test_every_code_is_explained_where_a_problem_says_it_is(house: Any) -> None:
    with house.http("admin") as client:
        address = urlsplit(client.get("/api/v1/nothing").json()["type"])
    page = httpx.get(house.url + address.path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    reference = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
    codes = re.findall(r"^\| `([a-z_]+)` \|", reference.read_text("utf-8"), re.MULTILINE)
    assert set(WAY_OUT) == set(codes)
    for code in codes:
        assert f'id="{code}"' in page.text
        assert html.escape(WAY_OUT[code]) in page.text


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/models?limit=0", "limit"),
        ("/api/v1/models?limit=1000000", "limit"),
        ("/api/v1/models?limit=x", "limit"),
        ("/api/v1/approvals?phase=nonsense", "phase"),
        ("/api/v1/audit/entries?after=-1", "after"),
        ("/api/v1/audit/entries?after=99999999999999999999", "after"),
        ("/api/v1/audit/entries?ref=" + "x" * 300, "ref"),
    ],
)
def test_a_parameter_out_of_bounds_is_named(
    house: Any, refuses: Any, path: str, field: str
) -> None:
    who = "auditor" if "audit" in path else "admin"
    with house.http(who) as client:
        assert refuses(client.get(path), 422, "invalid_input")["field"] == field


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models/x%00y",
        "/api/v1/models/%0d%0aX-Injected:%201",
        "/api/v1/models/..%2f..%2fetc",
        "/api/v1/approvals/%27%20OR%201=1",
        "/api/v1/rollouts/" + "r" * 5000,
        "/api/v1/models?cursor=%00",
    ],
)
def test_odd_addresses_find_nothing(house: Any, path: str) -> None:
    with house.http("admin") as client:
        answer = client.get(path)
    assert answer.status_code in (200, 404, 422), answer.text
    assert "x-injected" not in answer.headers
    assert answer.status_code != 200 or "cursor" in path


TIMES = {
    "no offset": "2015-03-01T00:00:00",
    "before the first year": "0001-01-01T00:00:00+14:00",
    "after the last year": "9999-12-31T23:59:59-14:00",
    "long ago": "1815-03-01T00:00:00Z",
    "far away": "2815-03-01T00:00:00Z",
    "seconds": "1425168000",
    "a date": "2015-03-01",
    "no such day": "2015-02-30T00:00:00Z",
    "no such hour": "2015-03-01T25:00:00Z",
}


@pytest.mark.parametrize("text", TIMES.values(), ids=TIMES)
def test_a_time_is_one_moment_within_bounds(house: Any, refuses: Any, text: str) -> None:
    model = house.new_model()
    windows = f"/api/v1/monitoring/models/{model}/windows"
    with house.http("admin") as client:
        answer = client.get(windows, params={"since": text})
        assert refuses(answer, 422, "invalid_input")["field"] == "since"
        answer = client.post("/api/v1/clock/step", json={"to": text})
        assert refuses(answer, 422, "invalid_input")["field"] == "to"


def test_a_time_may_be_written_in_each_of_its_forms(house: Any) -> None:
    model = house.new_model()
    with house.http("admin") as client:
        for moment in ("2015-03-01T00:00:00+00:00", "2015-03-01t00:00:00.123456z"):
            answer = client.get(
                f"/api/v1/monitoring/models/{model}/windows", params={"since": moment}
            )
            assert answer.status_code == 200, answer.text


# --- queries ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "field", "known"),
    [
        ("/api/v1/audit/export?tenant=nope", "tenant", "none"),
        ("/api/v1/audit/head?x", "x", "none"),
        ("/api/v1/rollouts?phase=zzz", "phase", "model, limit, cursor"),
        ("/api/v1/monitoring/incidents?status=zzz", "status", "state, model, limit, cursor"),
        ("/api/ml/model/latest?model=m&at=2015-01-01T00:00:00Z", "at", "model"),
        ("/api/v1/models?limit=5&Limit=6", "Limit", "limit, cursor"),
        ("/api/v1/models?limit=5&limit=6", "limit", "once"),
        ("/api/v1/models?cursor=%00", "cursor", "NUL"),
        ("/api/v1/models/x%00y", "model", "NUL"),
    ],
)
def test_a_parameter_that_is_not_known_is_refused(
    house: Any, refuses: Any, path: str, field: str, known: str
) -> None:
    with house.http("auditor" if "audit" in path else "admin") as client:
        body = refuses(client.get(path), 422, "invalid_input")
    assert body["field"] == field
    assert known in body["remedy"] + body["detail"]


def test_a_list_may_be_named_more_than_once(house: Any) -> None:
    with house.http("auditor") as client:
        answer = client.get("/api/v1/audit/entries?kind=model.registered&kind=tenant.created")
    assert answer.status_code == 200, answer.text


def test_every_address_of_the_interface_is_strict() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    assert len(routes) > 40
    assert not [route for route in routes if not isinstance(route, StrictRoute)]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/v1/monitoring/models/{model}/windows?tenant=nope", 404, "tenant"),
        ("/api/v1/rollouts?model=none-such", 404, "model"),
        ("/api/v1/monitoring/incidents?model=none-such", 404, "model"),
        ("/api/v1/monitoring/incidents?state=zzz", 422, "state"),
        ("/api/v1/audit/entries?kind=model.registered&kind=model.eaten", 422, "kind"),
        ("/api/v1/rollouts?cursor=yesterday", 422, "cursor"),
        ("/api/v1/approvals?cursor=yesterday", 422, "cursor"),
        ("/api/v1/remediation?cursor=yesterday", 422, "cursor"),
        ("/api/v1/monitoring/incidents?cursor=yesterday", 422, "cursor"),
    ],
)
def test_what_there_is_not_cannot_be_asked_for(
    house: Any, refuses: Any, path: str, status: int, field: str
) -> None:
    """An empty list would say that nothing has happened there."""
    address = path.format(model=house.new_model())
    with house.http("auditor" if "audit" in path else "admin") as client:
        assert refuses(client.get(address), status, CODES[status])["field"] == field


def test_a_tenant_that_there_is_not_cannot_be_narrowed_to(house: Any, refuses: Any) -> None:
    with house.http("admin", **{"X-Tenant-Id": "nope"}) as client:
        body = refuses(client.get("/api/v1/models"), 404, "not_found")
    assert body["field"] == "X-Tenant-Id"


# --- batches ------------------------------------------------------------------------


def test_a_batch_without_its_id_or_of_another_kind_is_refused(house: Any, refuses: Any) -> None:
    arrow = {"Content-Type": "application/vnd.apache.arrow.stream"}
    with house.http("feed") as client:
        path = "/api/v1/labels?model=x"
        body = refuses(client.post(path, content=b"", headers=arrow), 422, "invalid_input")
        assert body["field"] == "Idempotency-Key"
        answer = client.post(path, json={}, headers={"Idempotency-Key": "b1"})
        assert refuses(answer, 415, "unsupported_media")["field"] == "Content-Type"
        for content in (b"", b"ARROW1", b"\xff\xff\xff\xff" + b"\x7f" * 100):
            answer = client.post(path, content=content, headers={**arrow, "Idempotency-Key": "b1"})
            refuses(answer, 422, "invalid_input")


def test_what_an_arrow_stream_holds_is_described(house: Any) -> None:
    paths = httpx.get(f"{house.url}/openapi.json").json()["paths"]
    for name, columns in (
        ("labels", ("prediction_id", "row", "label")),
        ("predictions", ("prediction_id", "row", "version", "at", "latency_ms")),
    ):
        body = paths[f"/api/v1/{name}"]["post"]["requestBody"]
        schema = body["content"]["application/vnd.apache.arrow.stream"]["schema"]
        assert body["required"]
        assert all(column in schema["description"] for column in columns)


def test_the_client_waits_for_an_approval_or_tells_why_there_is_none(house: Any) -> None:
    model = house.new_model()
    version = house.registered(model)
    found = house.admin.approvals.wait(model, "1.0.0")
    assert (found.phase, found.target.version_id) == ("pending", version["id"])
    house.registered(model, "1.1.0", cutoff=0.01)
    house.settle()
    with pytest.raises(Unavailable) as late:
        house.admin.approvals.wait(model, "1.1.0", seconds=0)
    assert "no approval of" in late.value.message
    assert "performance fail: false_positive_rate" in str(late.value.remedy)
    assert "admin@localhost" in {person.email for person in house.admin.identity.people()}


def test_a_report_of_a_gateway_that_says_nothing_is_refused(house: Any, refuses: Any) -> None:
    with house.http("gateway") as client:
        for report in ({"epoch": -1}, {"epoch": "7"}, {"epoch": True}, {"epoch": 1.5}):
            answer = client.put("/api/v1/gateways/g1", json=report)
            assert refuses(answer, 422, "invalid_input")["field"] == "epoch"


# --- which version answers ----------------------------------------------------------


def test_without_a_model_the_default_of_the_key_is_meant_or_the_candidates_are_listed(
    house: Any,
) -> None:
    model = house.new_model()
    with Client(house.url, key=house.keys["endpoint"]) as client:
        with pytest.raises(InvalidInput) as refused:
            client.models.latest()
        assert refused.value.field == "model"
        first = sorted(m.name for m in house.admin.models.list())[:50]
        assert str(refused.value.remedy).startswith(f"add ?model= with one of: {', '.join(first)}")
    issued = house.admin.identity.add_account(
        shapes.NewAccount(name=f"of {model}", roles=["endpoint"], default_model=model)
    )
    with (
        Client(house.url, key=issued.key) as client,
        pytest.raises(NotFound) as nothing,  # the model is meant, and nothing serves yet
    ):
        client.models.latest()
    assert nothing.value.field == "model"


def test_nothing_answers_before_there_is_an_approval(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    with house.http("endpoint") as client:
        answer = client.get("/api/ml/model/latest", params={"model": version["model"]})
    body = refuses(answer, 404, "not_found")
    assert version["version"] not in body["detail"]


@pytest.mark.slow
def test_an_approved_version_begins_as_a_canary_and_says_why(house: Any) -> None:
    version = house.approved(house.new_model())
    model = version["model"]
    assert house.admin.models.version(model, "1.0.0").lifecycle == "approved"
    canary = list(house.admin.models.deployments(model))
    assert [(d.version, d.state) for d in canary] == [("1.0.0", "canary")]
    share = canary[0].percent
    assert 0 < share < 100
    answered: dict[str, shapes.LatestShape] = {}
    refused = 0
    assert share >= 10
    with Client(house.url, key=house.keys["endpoint"]) as client:
        for number in range(60):
            try:
                answered[f"e{number}"] = client.models.latest(model, f"e{number}")
            except NotFound:
                refused += 1
        again = {e: client.models.latest(model, e).bucket for e in list(answered)[:10]}
    assert again == {e: answered[e].bucket for e in again}
    assert answered
    assert refused > len(answered)
    one = next(iter(answered.values()))
    assert (one.version, one.deployment, one.digest) == ("1.0.0", "canary", version["digest"])
    assert one.is_signed
    assert one.reason
    assert all(
        found.bucket is not None and found.bucket < share * 100 for found in answered.values()
    )


def test_a_rejection_ends_it(house: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    waiting = next(a for a in house.admin.approvals.list() if a.target.version_id == version["id"])
    decided = house.people[waiting.steps[0].role].approvals.vote(
        waiting.id, approve=False, digest=version["digest"], reason="the data is too old"
    )
    assert decided.phase == "rejected"
    house.settle()
    assert house.admin.models.version(version["model"], "1.0.0").lifecycle == "rejected"
    with house.http("ml_lead") as client:
        answer = client.post(
            "/api/v1/rollouts",
            json={"model": version["model"], "version": "1.0.0", "reason": "do it anyway"},
        )
    assert answer.status_code == 409
    assert answer.json()["remedy"]


def test_a_vote_for_other_bytes_is_a_conflict(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    waiting = next(a for a in house.admin.approvals.list() if a.target.version_id == version["id"])
    body = {"approve": True, "digest": "sha256:" + "0" * 64, "reason": "looked at it"}
    with house.http(waiting.steps[0].role) as client:
        refuses(client.post(f"/api/v1/approvals/{waiting.id}/votes", json=body), 409, "conflict")
