"""Every refusal is a problem document, whoever refuses: a route, the limits around it, or the
connection itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serving import serving

from trimtab.demo.processes import free_port
from trimtab.worker import configuration

MEMBERS = {"type", "title", "status", "detail", "code", "field", "remedy", "request_id"}
JSON = {"Content-Type": "application/json"}


def whole(answer: httpx.Response) -> dict[str, Any]:
    """The document of a refusal, with all that belongs to it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() >= MEMBERS
    assert body["status"] == answer.status_code
    assert answer.headers.get_list("x-request-id") == [body["request_id"]]
    assert body["title"] != body["detail"]
    return body


REFUSED = {
    "nobody": ("GET", "/api/v1/models", {"headers": {"X-Api-Key": "no-key"}}, 401),
    "an address that is none": ("GET", "/api/nothing", {}, 404),
    "a file that is none": ("GET", "/nothing.txt", {}, 404),
    "no such model": ("GET", "/api/v1/models/none-such", {}, 404),
    "a method that is none": ("PATCH", "/api/v1/models/none-such", {}, 405),
    "no JSON": ("POST", "/api/v1/models", {"content": b"{", "headers": JSON}, 422),
    "not as JSON": ("POST", "/api/v1/models", {"content": b"{}"}, 415),
    "as another kind": ("POST", "/api/v1/labels?model=x", {"json": {}}, 415),
    "too large": ("POST", "/api/v1/models", {"content": b" " * (2 << 20), "headers": JSON}, 413),
}


@pytest.mark.parametrize(("method", "path", "more", "status"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_says_all_that_belongs_to_it(
    house: Any, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    more = dict(more)
    headers = {"Authorization": f"Bearer {house.tokens['admin']}", **more.pop("headers", {})}
    if "X-Api-Key" in headers:
        del headers["Authorization"]
    if path.startswith("/api/v1/labels"):
        headers["Idempotency-Key"] = "one"
    with httpx.Client(base_url=house.url, timeout=60) as client:
        answer = client.request(method, path, headers=headers, **more)
    assert answer.status_code == status, answer.text
    whole(answer)


def test_what_is_allowed_is_all_that_an_address_takes(house: Any) -> None:
    with house.http("admin") as client:
        for path, methods in (
            ("/api/v1/models", "GET, POST"),
            ("/api/v1/kill-switches/fleet", "DELETE, PUT"),
            ("/api/v1/remediation/rem_none", "DELETE, GET"),
            ("/health", "GET"),
        ):
            answer = client.patch(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.fixture
def crowded() -> Iterator[int]:
    """The port of a server that answers nobody: there is no room for one."""
    port = free_port()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("there was no room for this")

    config = configuration(never, host="127.0.0.1", port=port)
    config.limit_concurrency = 1
    with serving(config):
        yield port


def test_who_comes_when_there_is_no_room_is_told_when_to_come_again(crowded: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{crowded}/api/v1/models")
    assert whole(answer)["code"] == "unavailable"
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_what_is_no_http_is_a_problem_too(crowded: int) -> None:
    with socket.create_connection(("127.0.0.1", crowded), timeout=5) as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body).keys() >= MEMBERS
