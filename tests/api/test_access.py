"""Who may ask what: credentials, scopes, tenants, the header that narrows."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from trimtab.kernel.errors import InvalidMove, NotAuthenticated, NotPermitted
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

MODELS = "/api/v1/models"


def raw(url: str, path: str, headers: list[tuple[str, str]]) -> tuple[int, bytes]:
    """A request whose headers are exactly these, also twice."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.putrequest("GET", path)
    for name, value in headers:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.fixture(scope="module")
def theirs(house: Any) -> dict[str, Any]:
    """A version of the tenant `ua`, of a model that everybody shares."""
    found: dict[str, Any] = house.registered(house.new_model(), "1.0.0", tenant="ua")
    house.settle()
    return found


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Api-Key": ""},
        {"X-Api-Key": "ak_0000000000000000." + "x" * 43},
        {"X-Api-Key": "x" * 10_000},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."},
        {"Authorization": "Bearer " + "a.b.c"},
    ],
)
def test_without_a_good_credential_nothing_is_said(
    house: Any, refuses: Any, headers: dict[str, str]
) -> None:
    answer = httpx.get(house.url + MODELS, headers=headers)
    refuses(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_credentials_are_none(house: Any, refuses: Any) -> None:
    headers = {
        "X-Api-Key": house.keys["endpoint"],
        "Authorization": f"Bearer {house.tokens['admin']}",
    }
    refuses(httpx.get(house.url + MODELS, headers=headers), 401, "not_authenticated")
    key = ("X-Api-Key", house.keys["endpoint"])
    status, _body = raw(house.url, MODELS, [key, key])
    assert status == 401


@pytest.mark.parametrize(
    ("who", "method", "path"),
    [
        ("endpoint", "GET", "/api/v1/routing"),
        ("endpoint", "GET", "/api/v1/audit/entries"),
        ("endpoint", "GET", "/api/v1/people"),
        ("feed", "GET", "/api/v1/models"),
        ("feed", "GET", "/api/ml/model/latest?model=x"),
        ("gateway", "GET", "/api/v1/approvals"),
        ("auditor", "GET", "/api/ml/model/download?version=1.0.0"),
        ("data_scientist", "GET", "/api/v1/people"),
        ("data_scientist", "POST", "/api/v1/audit/verify"),
        ("on_call", "DELETE", "/api/v1/keys/ak_x"),
    ],
)
def test_a_known_caller_without_the_right_is_told_which_one(
    house: Any, refuses: Any, who: str, method: str, path: str
) -> None:
    with house.http(who) as client:
        body = refuses(client.request(method, path), 403, "not_permitted")
    assert "permission" in body["detail"]
    assert "administrator" in body["remedy"]


def test_a_revoked_key_is_of_no_use(house: Any) -> None:
    issued = house.admin.identity.add_account(
        shapes.NewAccount(name="for a moment", roles=["endpoint"])
    )
    with Client(house.url, key=issued.key) as client:
        list(client.models.list())
        with house.http("admin") as http_client:
            assert http_client.delete(f"/api/v1/keys/{issued.key_id}").status_code == 204
        with pytest.raises(NotAuthenticated):
            list(client.models.list())


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models/{model}/versions/1.0.0",
        "/api/v1/models/{model}/versions/1.0.0/checks",
        "/api/v1/models/{model}/versions/1.0.0/signature",
        "/api/ml/model/download?model={model}&version=1.0.0",
        "/api/ml/model/latest?model={model}",
    ],
)
def test_what_belongs_to_another_tenant_is_not_there(
    house: Any, refuses: Any, theirs: dict[str, Any], path: str
) -> None:
    address = path.format(model=theirs["model"])
    with house.http("endpoint-aa") as client:
        theirs_to_us = refuses(client.get(address), 404, "not_found")
        absent = refuses(client.get(address.replace("1.0.0", "9.9.9")), 404, "not_found")
    assert theirs_to_us["detail"].replace("1.0.0", "9.9.9") == absent["detail"]
    if "latest" not in path:
        with house.http("scientist-ua") as client:
            assert client.get(address).status_code == 200


def test_lists_leave_other_tenants_out(house: Any, theirs: dict[str, Any]) -> None:
    with Client(house.url, key=house.keys["scientist-aa"]) as client:
        assert not list(client.models.versions(theirs["model"]))
        assert theirs["id"] not in {a.target.version_id for a in client.approvals.list()}
    with Client(house.url, key=house.keys["endpoint-ua"]) as client:
        assert [v.id for v in client.models.versions(theirs["model"])] == [theirs["id"]]


def test_an_approval_of_another_tenant_is_not_there(house: Any, theirs: dict[str, Any]) -> None:
    waiting = [a for a in house.admin.approvals.list() if a.target.version_id == theirs["id"]]
    assert waiting
    with house.http("scientist-aa") as client:
        answer = client.get(f"/api/v1/approvals/{waiting[0].id}")
        assert answer.status_code == 404
        answer = client.post(
            f"/api/v1/approvals/{waiting[0].id}/withdraw", json={"reason": "not mine"}
        )
        assert answer.status_code == 404
    assert house.admin.approvals.get(waiting[0].id).phase == "pending"


def test_a_request_is_withdrawn_by_who_handed_the_version_in_and_by_nobody_else(
    house: Any, refuses: Any
) -> None:
    version = house.registered(house.new_model(), "1.0.0")
    house.settle()
    waiting = next(a for a in house.admin.approvals.list() if a.target.version_id == version["id"])
    address = f"/api/v1/approvals/{waiting.id}/withdraw"
    for who in ("admin", "ml_engineer"):  # both may hand versions in, and neither did
        with house.http(who) as client:
            refused = client.post(address, json={"reason": "not mine"})
        body = refuses(refused, 403, "not_permitted")
        assert "vote no" in body["remedy"]
    assert house.admin.approvals.get(waiting.id).phase == "pending"
    with house.http("data_scientist") as client:
        for _ in range(2):
            answer = client.post(address, json={"reason": "a better one comes"})
            assert (answer.status_code, answer.json()["phase"]) == (200, "withdrawn")
    with pytest.raises(InvalidMove):
        house.people["ml_lead"].approvals.vote(
            waiting.id, approve=True, digest=version["digest"], reason="too late"
        )


def test_a_tenants_credential_hands_in_for_its_tenant_only(house: Any) -> None:
    model = house.new_model()
    answer = house.upload(
        model,
        house.metadata("1.0.0", tenant="ua"),
        house.material.artifact(),
        who="scientist-aa",
    )
    assert answer.status_code in (201, 403)
    if answer.status_code == 201:
        assert answer.json()["tenant"] == "aa"
    assert not [v for v in house.admin.models.versions(model) if v.tenant != "aa"]


@pytest.mark.parametrize(
    ("header", "statuses"),
    [
        ("aa", {200}),
        ("ua", {403}),
        ("AA", {403, 422}),
        ("", {403, 422}),
        (" aa ", {200, 422}),
        ("aa,ua", {403, 422}),
        ("aa, aa", {403, 422}),
        ("*", {403, 422}),
        ("../ua", {403, 422}),
        ("ua\x00", {400, 403, 422}),
        ("\xe4\xe4", {403, 422}),
    ],
)
def test_the_tenant_header_narrows_and_never_widens(
    house: Any, theirs: dict[str, Any], header: str, statuses: set[int]
) -> None:
    key = ("X-Api-Key", house.keys["endpoint-aa"])
    status, _ = raw(house.url, MODELS, [key, ("X-Tenant-Id", header)])
    assert status in statuses
    path = f"{MODELS}/{theirs['model']}/versions/1.0.0"
    status, _ = raw(house.url, path, [key, ("X-Tenant-Id", header)])
    assert status in {404} | (statuses - {200})


def test_a_tenant_header_that_stands_there_twice_is_refused(house: Any) -> None:
    for first, second in (("aa", "ua"), ("aa", "aa"), ("ua", "aa")):
        headers = [
            ("X-Api-Key", house.keys["endpoint-aa"]),
            ("X-Tenant-Id", first),
            ("x-tenant-id", second),
        ]
        status, body = raw(house.url, MODELS, headers)
        assert status in (401, 422)
        assert b"twice" in body


def test_an_actor_of_the_fleet_who_names_a_tenant_sees_only_that(
    house: Any, theirs: dict[str, Any]
) -> None:
    with Client(house.url, token=house.tokens["data_scientist"], tenant="aa") as client:
        assert not list(client.models.versions(theirs["model"]))
    with Client(house.url, token=house.tokens["data_scientist"], tenant="ua") as client:
        assert list(client.models.versions(theirs["model"]))


def test_an_administrator_cannot_sign(house: Any, theirs: dict[str, Any]) -> None:
    waiting = next(a for a in house.admin.approvals.list() if a.target.version_id == theirs["id"])
    with pytest.raises(NotPermitted):
        house.admin.approvals.vote(
            waiting.id, approve=True, digest=theirs["digest"], reason="because I can"
        )


def test_a_wrong_password_and_an_unknown_address_read_the_same(house: Any, refuses: Any) -> None:
    bodies = [
        refuses(
            httpx.post(house.url + "/api/v1/tokens", json={"email": email, "password": "wrong"}),
            401,
            "not_authenticated",
        )
        for email in ("admin@localhost", "nobody@example.org")
    ]
    assert [body.pop("request_id") != "" for body in bodies] == [True, True]
    assert bodies[0] == bodies[1]
