"""Keys of programs: exchanged for a short token, listed, replaced; in no address and no log."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from tests.api.plane import BECAUSE, MODELS, PASSWORD, Plane, plane_in
from tests.tables import tables_of_records

from trimtab.platform import logs

KEYS = "/api/v1/keys"
EXCHANGE = "/api/v1/tokens/exchange"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane_in(tmp_path_factory.mktemp("plane") / "home") as found:
        yield found


@pytest.fixture
def account(plane: Plane) -> dict[str, Any]:
    """A program that may look at models, infer and download."""
    return plane.account(f"a{time.monotonic_ns()}")


def exchange(plane: Plane, key: str, **body: Any) -> Any:
    return plane.http(**{"X-Api-Key": key}).post(EXCHANGE, json=body or None)


def bearer(plane: Plane, answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return plane.http(Authorization=f"Bearer {answer.json()['access_token']}")


def further(plane: Plane, account: dict[str, Any], **body: Any) -> Any:
    address = f"/api/v1/service-accounts/{account['account']}/keys"
    return plane.admin.post(address, json={**BECAUSE, **body})


def test_a_key_is_exchanged_for_a_token_of_the_same_scopes(
    plane: Plane, account: dict[str, Any]
) -> None:
    answer = exchange(plane, account["key"])
    said = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert said["scope"].split() == sorted(account["scopes"])
    assert said["key"] == account["key_id"]
    assert answer.json()["expires_in"] == said["exp"] - said["iat"] == 1800
    assert bearer(plane, answer).get(MODELS).status_code == 200


def test_a_token_may_do_less_than_its_key_and_never_more(
    plane: Plane, account: dict[str, Any], refuses: Any
) -> None:
    narrow = bearer(plane, exchange(plane, account["key"], scopes=["models:infer"]))
    refuses(narrow.get(MODELS), 403, "not_permitted")
    wide = exchange(plane, account["key"], scopes=["models:read", "identity:manage"])
    body = refuses(wide, 422, "invalid_input")
    assert body["field"] == "scopes"
    issued = further(plane, account, scopes=["models:infer"]).json()
    wide = exchange(plane, issued["key"], scopes=["models:read"])
    refuses(wide, 422, "invalid_input")
    refuses(bearer(plane, exchange(plane, issued["key"])).get(MODELS), 403, "not_permitted")


@pytest.mark.parametrize(
    "headers", [{}, {"X-Api-Key": "ak_0000000000000000." + "x" * 43}, {"X-Api-Key": ""}]
)
def test_nothing_is_given_for_no_key(plane: Plane, refuses: Any, headers: Any) -> None:
    refuses(plane.http(**headers).post(EXCHANGE), 401, "not_authenticated")


def test_a_token_is_no_key(plane: Plane, refuses: Any) -> None:
    refuses(plane.admin.post(EXCHANGE), 401, "not_authenticated")


def test_a_token_ends_with_its_key(plane: Plane, account: dict[str, Any], refuses: Any) -> None:
    client = bearer(plane, exchange(plane, account["key"]))
    assert client.get(MODELS).status_code == 200
    assert plane.admin.delete(f"{KEYS}/{account['key_id']}").status_code == 204
    refuses(client.get(MODELS), 401, "not_authenticated")
    refuses(exchange(plane, account["key"]), 401, "not_authenticated")


def test_a_key_is_replaced_without_a_gap(plane: Plane, account: dict[str, Any]) -> None:
    second = further(plane, account, lifetime_days=30).json()
    assert second["scopes"] == account["scopes"]
    for key in (account["key"], second["key"]):
        assert plane.http(**{"X-Api-Key": key}).get(MODELS).status_code == 200
    assert plane.admin.delete(f"{KEYS}/{account['key_id']}").status_code == 204
    assert plane.http(**{"X-Api-Key": account["key"]}).get(MODELS).status_code == 401
    assert plane.http(**{"X-Api-Key": second["key"]}).get(MODELS).status_code == 200
    listed = plane.admin.get(KEYS, params={"account": account["account"]}).json()["items"]
    assert [k["id"] for k in listed] == [account["key_id"], second["key_id"]]
    assert listed[0]["revoked_at"] is not None
    assert listed[0]["expires_at"] is None
    assert listed[1]["revoked_at"] is None
    assert listed[1]["expires_at"] is not None
    issued, revoked = plane.entries("api_key.issued", "api_key.revoked")[-2:]
    assert (issued.subject, revoked.subject) == (second["key_id"], account["key_id"])


def test_a_further_key_has_no_more_than_its_account(
    plane: Plane, account: dict[str, Any], refuses: Any
) -> None:
    refuses(further(plane, account, scopes=["identity:manage"]), 422, "invalid_input")
    refuses(further(plane, {"account": "svc_nobody"}), 404, "not_found")


def test_the_last_use_is_told_and_written_once_a_minute(
    plane: Plane, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed() -> Any:
        params = {"account": account["account"]}
        return plane.admin.get(KEYS, params=params).json()["items"][0]["last_used_at"]

    assert listed() is None
    client = plane.http(**{"X-Api-Key": account["key"]})
    client.get(MODELS)
    first = listed()
    assert first is not None
    size = len(plane.entries())
    written = []
    begin = plane.parts.records.begin

    def counted(*who: Any, **why: Any) -> Any:
        written.append(why)
        return begin(*who, **why)

    monkeypatch.setattr(plane.parts.records, "begin", counted)
    for _ in range(3):
        client.get(MODELS)
        plane.parts.key_uses.flush()
    assert written == []
    assert listed() == first
    assert len(plane.entries()) == size, "a use is no decision"


def test_lists_go_on_page_by_page(plane: Plane, account: dict[str, Any], refuses: Any) -> None:
    for _ in range(3):
        further(plane, account)
    params: dict[str, Any] = {"account": account["account"], "limit": 2}
    first = plane.admin.get(KEYS, params=params).json()
    second = plane.admin.get(KEYS, params={**params, "cursor": first["next"]}).json()
    ids = [k["id"] for k in first["items"] + second["items"]]
    assert len(set(ids)) == 4
    assert ids == sorted(ids)
    assert not any(k in str(first) for k in ("sha256", "wrapped", account["key"].split(".")[1]))
    refuses(plane.admin.get(KEYS, params={"cursor": "ak_none"}), 422, "invalid_input")


@pytest.mark.parametrize(
    "name",
    ["api_key", "apikey", "X-Api-Key", "access_token", "token", "Authorization", "password", "jwt"],
)
@pytest.mark.parametrize("path", [MODELS, "/health", "/login", "/nowhere"])
def test_no_address_holds_a_credential(plane: Plane, refuses: Any, name: str, path: str) -> None:
    """Whether it would be good or not, and beside a good one in a header."""
    answer = plane.admin.get(path, params={name: "anything"})
    body = refuses(answer, 400, "invalid_input")
    assert body["field"] == "query"


def test_the_text_of_a_key_is_known_under_any_name(
    plane: Plane, account: dict[str, Any], refuses: Any
) -> None:
    for secret in (account["key"], plane.token("root")):
        answer = plane.http().get(MODELS, params={"as_of": secret})
        refuses(answer, 400, "invalid_input")
        assert secret not in answer.text
    assert plane.admin.get(MODELS, params={"limit": "5"}).status_code in (200, 422)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Every line that is logged meanwhile, at the lowest level."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure_logs("DEBUG", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def dump(plane: Plane) -> str:
    with plane.parts.records.look() as reading:
        return "".join(
            repr(tuple(row))
            for table in tables_of_records()
            for row in reading.connection.execute(sa.select(table))
        )


def test_no_secret_is_logged_or_kept(
    plane: Plane, account: dict[str, Any], written: io.StringIO
) -> None:
    """Sent in every place where somebody may put it, rightly and wrongly."""
    token, key = plane.token("root"), account["key"]
    secret, chosen = key.split(".")[1], "lanterns over quiet water"
    plane.person("quiet")
    sent: list[Callable[[], Any]] = [
        lambda: plane.http(**{"X-Api-Key": key}).get(MODELS),
        lambda: plane.http(Authorization=f"Bearer {key}").get(MODELS),
        lambda: plane.http(Authorization=f"Basic {secret}").get(MODELS),
        lambda: plane.http(**{"X-Api-Key": key + "x"}).get(MODELS),
        lambda: plane.http(Referer=f"http://x/?key={key}").get(MODELS),
        lambda: plane.http().get(MODELS, params={"api_key": key}),
        lambda: plane.http().get(f"/{key}"),
        lambda: plane.http().get("/health", params={"q": token}),
        lambda: plane.admin.delete(f"{KEYS}/{key}"),
        lambda: plane.admin.post("/api/v1/people", json={"password": chosen}),
        lambda: plane.log_in("quiet", PASSWORD),
        lambda: plane.log_in("quiet", chosen),
        lambda: plane.http().post(
            "/api/v1/password",
            json={
                "email": "quiet@example.org", "password": PASSWORD, "new_password": chosen,
            },
        ),
        lambda: exchange(plane, key),
        lambda: exchange(plane, key, scopes=["identity:manage"]),
    ]  # fmt: skip
    for send in sent:
        send()
    plane.parts.refusals.flush(everything=True)
    logs.logger("test").warning("the log is read", seen=True)
    text, kept = written.getvalue(), dump(plane)
    assert "the log is read" in text
    assert account["key_id"] in kept
    for hidden in (secret, token.split(".")[2], token, chosen, PASSWORD):
        assert hidden not in text
        assert hidden not in kept
