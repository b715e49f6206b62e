"""Tokens at the interface: by the records as they are at each request, by keys that change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from tests.api.plane import BECAUSE, MODELS, Plane, plane_in

from trimtab.identity import store
from trimtab.identity.model import PersonAdded
from trimtab.identity.tokens import Claims
from trimtab.kernel.actor import system
from trimtab.kernel.ids import TenantId

JWKS = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane_in(tmp_path_factory.mktemp("plane") / "home") as found:
        yield found


@pytest.fixture
def names() -> Callable[[], str]:
    return lambda: f"p{time.monotonic_ns()}"


def issued(plane: Plane, claims: Claims) -> dict[str, str]:
    token = plane.parts.tokens.issue(claims, lifetime=timedelta(minutes=5))
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_verified_with_the_published_keys(plane: Plane) -> None:
    """By another library's reading of what is open to everybody."""
    answer = plane.http().get(JWKS)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=60"
    token = plane.token("root")
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(k for k in answer.json()["keys"] if k["kid"] == kid)
    assert not set(key) & {"d", "p", "q", "dp", "dq", "qi"}
    origin = plane.parts.settings.public_origin()
    said = jwt.decode(token, jwt.PyJWK(key), ["RS256"], audience=origin, issuer=origin)
    assert said["sub"] == plane.people["root"].id
    assert said["exp"] - said["iat"] == 1800


def demoted(plane: Plane, name: str) -> None:
    with plane.parts.records.begin(system("test"), reason="another post") as work:
        person = store.person(work, plane.people[name].id)
        event = PersonAdded(subject=person.id, tenant=None, name=person.name, roles=["feed"])
        store.save(work, replace(person, roles=("feed",)), event)


def test_a_lost_role_is_lost_at_the_next_request(plane: Plane, names: Any) -> None:
    name = names()
    plane.person(name, "data_scientist")
    client = plane.as_person(name)
    assert client.get(MODELS).status_code == 200
    demoted(plane, name)
    assert client.get(MODELS).status_code == 403


def disabled_person(plane: Plane, name: str) -> str:
    return f"/api/v1/people/{plane.people[name].id}"


def disabled_tenant(plane: Plane, name: str) -> str:
    return f"/api/v1/tenants/{plane.people[name].tenant}"


@pytest.mark.parametrize("of", [disabled_person, disabled_tenant])
def test_who_is_disabled_is_out_with_the_token_they_have(
    plane: Plane, names: Any, refuses: Any, of: Callable[[Plane, str], str]
) -> None:
    name = names()
    plane.person(name, tenant=name)
    client, address = plane.as_person(name), of(plane, name)
    assert client.get(MODELS).status_code == 200
    assert plane.admin.post(f"{address}/disable", json=BECAUSE).status_code == 204
    refuses(client.get(MODELS), 401, "not_authenticated")
    refuses(plane.log_in(name), 401, "not_authenticated")
    assert plane.admin.post(f"{address}/enable", json=BECAUSE).status_code == 204
    assert plane.as_person(name).get(MODELS).status_code == 200
    if of is disabled_person:
        refuses(client.get(MODELS), 401, "not_authenticated")


def test_keys_and_their_tokens_end_with_account_and_tenant(plane: Plane, names: Any) -> None:
    name = names()
    plane.person(name, tenant=name)
    account = plane.account(name, tenant=name)
    client = plane.http(**{"X-Api-Key": account["key"]})
    for address in (f"/api/v1/service-accounts/{account['account']}", f"/api/v1/tenants/{name}"):
        assert client.get(MODELS).status_code == 200
        assert plane.admin.post(f"{address}/disable", json=BECAUSE).status_code == 204
        assert client.get(MODELS).status_code == 401
        assert plane.admin.post(f"{address}/enable", json=BECAUSE).status_code == 204
    kinds = [e.kind for e in plane.entries() if e.kind.endswith(("disabled", "enabled"))][-4:]
    assert kinds == [
        "service_account.disabled",
        "service_account.enabled",
        "tenant.disabled",
        "tenant.enabled",
    ]


@pytest.mark.parametrize("claimed", [None, "other", "AA", ""])
def test_the_tenant_of_a_token_must_be_the_persons(
    plane: Plane, names: Any, refuses: Any, claimed: str | None
) -> None:
    name = names()
    person = plane.person(name, tenant=name)
    good = issued(plane, Claims(person.id, person.tenant))
    assert plane.http().get(MODELS, headers=good).status_code == 200
    tenant = None if claimed is None else TenantId(claimed)
    wrong = issued(plane, Claims(person.id, tenant))
    refuses(plane.http().get(MODELS, headers=wrong), 401, "not_authenticated")


def test_the_fleet_is_no_tenants_and_a_tenant_not_the_fleets(plane: Plane, refuses: Any) -> None:
    root = plane.people["root"]
    wrong = issued(plane, Claims(root.id, TenantId("aa")))
    refuses(plane.http().get(MODELS, headers=wrong), 401, "not_authenticated")


@pytest.mark.parametrize(
    "other",
    [
        str.upper,
        str.capitalize,
        lambda i: i.replace("u", "\N{CYRILLIC SMALL LETTER U}"),
        lambda i: i.replace("s", "\N{FULLWIDTH LATIN SMALL LETTER S}"),
        lambda i: i + " ",
        lambda i: "\N{ZERO WIDTH SPACE}" + i,
        lambda i: i[:-1],
        lambda i: "svc_" + i[4:],
    ],
)
def test_a_subject_that_only_looks_like_somebody(
    plane: Plane, refuses: Any, other: Callable[[str], str]
) -> None:
    looks = issued(plane, Claims(other(plane.people["root"].id)))
    refuses(plane.http().get(MODELS, headers=looks), 401, "not_authenticated")


@pytest.mark.parametrize("generation", [-1, 1, 2])
def test_a_token_of_another_generation(plane: Plane, refuses: Any, generation: int) -> None:
    wrong = issued(plane, Claims(plane.people["root"].id, None, generation))
    refuses(plane.http().get(MODELS, headers=wrong), 401, "not_authenticated")


def test_a_megabyte_of_token_is_refused(plane: Plane, refuses: Any) -> None:
    for size in (4097, 100_000, 1_000_000):
        long = {"Authorization": "Bearer " + "a" * size}
        refuses(plane.http().get(MODELS, headers=long), 401, "not_authenticated")


def test_the_key_of_tokens_is_rotated_at_the_interface(
    plane: Plane, names: Any, refuses: Any
) -> None:
    name = names()
    plane.person(name, "admin", tenant=name)
    refuses(plane.as_person(name).post("/api/v1/token-keys", json=BECAUSE), 403, "not_permitted")
    before = plane.as_person("root")
    answer = before.post("/api/v1/token-keys", json=BECAUSE)
    assert answer.status_code == 201, answer.text
    assert answer.json()["kid"] in {k["kid"] for k in plane.http().get(JWKS).json()["keys"]}
    assert before.get(MODELS).status_code == 200
    assert plane.entries("token_key.rotated")[-1].actor == plane.people["root"].id
    answer = before.post("/api/v1/token-keys", json={**BECAUSE, "at_once": True})
    assert [k["kid"] for k in plane.http().get(JWKS).json()["keys"]] == [answer.json()["kid"]]
    refuses(before.get(MODELS), 401, "not_authenticated")
    plane.admin = plane.as_person("root")
    assert plane.admin.get(MODELS).status_code == 200


def test_the_last_administrator_stays(plane: Plane, names: Any, refuses: Any) -> None:
    root = plane.people["root"]
    with plane.parts.records.look() as reading:
        others = [p for p in store.people(reading) if p.email == "admin@localhost"]
    assert others == []
    address = f"/api/v1/people/{root.id}/disable"
    body = refuses(plane.admin.post(address, json=BECAUSE), 409, "conflict")
    assert "last administrator" in body["detail"]
    name = names()
    second = plane.person(name, "admin")
    local = plane.person(names(), "admin", tenant="local-only")
    assert local.tenant is not None
    assert plane.admin.post(address, json=BECAUSE).status_code == 204
    other = plane.as_person(name)
    refuses(other.post(f"/api/v1/people/{second.id}/disable", json=BECAUSE), 409, "conflict")
    assert other.post(f"/api/v1/people/{root.id}/enable", json=BECAUSE).status_code == 204
    plane.admin = plane.as_person("root")
    assert plane.admin.post(f"/api/v1/people/{second.id}/disable", json=BECAUSE).status_code == 204
