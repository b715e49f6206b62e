"""A real server over a bad line, and one that asks who one is."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow_server.proxy import (
    GARBLED,
    HALF,
    Changed,
    Fault,
    Proxy,
    Request,
    Reset,
    Slow,
    Status,
    Truncated,
    each_item,
)
from tests.mlflow_server.starting import ADMIN, Server, mlflow_server

from trimtab.integrations.mlflow import Credentials, Limits, MlflowSource
from trimtab.inventory.source import Details, SourceVersion
from trimtab.kernel.errors import NotAuthenticated, Unavailable
from trimtab.platform import outbound

pytestmark = pytest.mark.slow

LOOPBACK = (ip_network("127.0.0.0/8"),)
HTTP = outbound.Limits(
    request_seconds=2.0, tries=3, first_pause_seconds=0.001, most_pause_seconds=0.01
)
LIMITS = Limits(http=HTTP)
BUSY = Status(429, {"Retry-After": "0"}, b"busy")
FAULTS: dict[str, Fault] = {
    "slow": Slow(3.0),
    "500": Status(500),
    "429": BUSY,
    "reset": Reset(),
    "truncated": Truncated(),
}
BROKEN: dict[str, Fault] = {
    "garbled": GARBLED,
    "half": HALF,
    "page": Changed(lambda _body: b"<html>Sign in</html>"),
}


@pytest.fixture
def source(proxy: Proxy) -> Iterator[MlflowSource]:
    found = MlflowSource(proxy.url, Credentials.none(), limits=LIMITS, networks=LOOPBACK)
    yield found
    found.close()


def read(source: MlflowSource) -> tuple[tuple[SourceVersion, ...], list[Details]]:
    versions = source.versions(model="iris-classifier").items
    return versions, list(source.details(versions))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_not_noticed(proxy: Proxy, source: MlflowSource, fault: str) -> None:
    whole = read(source)
    proxy.requests.clear()
    proxy._tries.clear()
    broken: set[str] = set()

    def once(request: Request) -> Fault | None:
        kind = request.path.rpartition("/")[2]
        if request.tried > 1 or kind in broken or (fault == "slow" and broken):
            return None
        broken.add(kind)
        return FAULTS[fault]

    proxy.rule = once
    assert repr(read(source)) == repr(whole)
    assert broken


@pytest.mark.parametrize("fault", [*FAULTS, *BROKEN])
def test_a_registry_that_fails_is_not_one_that_is_empty(
    proxy: Proxy, source: MlflowSource, fault: str
) -> None:
    proxy.rule = lambda _request: {**FAULTS, **BROKEN}[fault]
    with pytest.raises(Unavailable):
        source.versions()
    if fault != "slow":
        with pytest.raises(Unavailable):
            source.models()


@pytest.mark.parametrize("fault", ["500", "reset", "truncated", *BROKEN])
@pytest.mark.parametrize("part", ["logged-models/", "runs/"])
def test_a_part_that_fails_leaves_the_others(
    proxy: Proxy, source: MlflowSource, fault: str, part: str
) -> None:
    """Of the first version alone, by the id that leads to the part."""
    (versions, whole) = read(source)
    first = whole[0]
    assert first.logged_model is not None
    ids = {
        "runs/": versions[0].document["run_id"],
        "logged-models/": first.logged_model["info"]["model_id"],
    }

    def of_the_first(request: Request) -> Fault | None:
        asked = f"{request.path} {request.query} {request.body!r}"
        hit = part in request.path and ids[part] in asked
        return {**FAULTS, **BROKEN}[fault] if hit else None

    proxy.rule = of_the_first
    _, found = read(source)
    assert found[0].faults
    assert all(one.passing for one in found[0].faults)
    assert repr(found[1:]) == repr(whole[1:])


def test_one_bad_item_of_a_real_page(proxy: Proxy, source: MlflowSource) -> None:
    every = source.versions(model="iris-classifier")
    proxy.rule = lambda _request: each_item(lambda item: {**item, "version": "one"})
    page = source.versions(model="iris-classifier")
    assert page.items == every.items[1:]
    assert [one.name for one in page.malformed] == [every.items[0].name]


def test_what_fails_in_one_page_makes_smaller_pages(proxy: Proxy, source: MlflowSource) -> None:
    every = source.versions().items

    def large(request: Request) -> Fault | None:
        return Status(500) if int(request.query.get("max_results", ["0"])[0]) > 4 else None

    proxy.rule = large
    found: list[SourceVersion] = []
    page: str | None = None
    while True:
        listed = source.versions(page)
        found += listed.items
        page = listed.next
        if page is None:
            break
    assert tuple(found) == every


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with accounts, which has a reader and an editor."""
    folder: Path = tmp_path_factory.mktemp("accounts")
    with mlflow_server(3, folder, accounts=True) as found:
        for name in ("reader", "editor"):
            called(found, "users/create", {"username": name, "password": f"{name} password 12"})
        called(found, "registered-models/create", {"name": "guarded"})
        granted = {"username": "editor", "resource_type": "registered_model"}
        granted |= {"resource_id": "guarded", "permission": "EDIT"}
        called(found, "users/permissions/grant", granted, version="3.0")
        yield found


def called(server: Server, path: str, body: Any, version: str = "2.0") -> None:
    """Do something there as the administrator."""
    code = base64.b64encode(":".join(ADMIN).encode()).decode()
    headers = {"Authorization": f"Basic {code}", "Content-Type": "application/json"}
    url = f"{server.url}/api/{version}/mlflow/{path}"
    data = json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        assert answer.status == 200


def probed(server: Server, credentials: Credentials) -> Any:
    source = MlflowSource(server.url, credentials, limits=Limits(), networks=LOOPBACK)
    try:
        return source.probe()
    finally:
        source.close()


def test_a_server_without_accounts_lets_everybody_write(mlflow3: Server) -> None:
    found = probed(mlflow3, Credentials.none())
    assert found.server == "MLflow 3.17.2"
    assert found.identity == "nobody"
    assert found.may_write is True
    assert "whoever reaches it can write" in found.warnings[0]


def test_who_could_write_is_told(guarded: Server) -> None:
    admin = probed(guarded, Credentials.basic(*ADMIN))
    assert (admin.identity, admin.may_write) == ("user admin", True)
    assert any("could write" in warning for warning in admin.warnings)
    editor = probed(guarded, Credentials.basic("editor", "editor password 12"))
    assert editor.may_write is True
    reader = probed(guarded, Credentials.basic("reader", "reader password 12"))
    assert reader.may_write is None
    assert any("default permission" in warning for warning in reader.warnings)


def test_credentials_that_are_refused(guarded: Server) -> None:
    for credentials in (Credentials.none(), Credentials.basic("reader", "wrong password 1")):
        with pytest.raises(NotAuthenticated):
            probed(guarded, credentials)


def test_a_reader_reads(guarded: Server) -> None:
    credentials = Credentials.basic("reader", "reader password 12")
    source = MlflowSource(guarded.url, credentials, limits=Limits(), networks=LOOPBACK)
    assert [one.name for one in source.models().items] == ["guarded"]
    source.close()


def test_what_an_administrator_was_delivered_with_is_a_warning(mlflow3: Server) -> None:
    found = probed(mlflow3, Credentials.basic("admin", "password1234"))
    assert any("delivered with" in warning for warning in found.warnings)


def test_whether_a_token_can_write_cannot_be_told(mlflow3: Server) -> None:
    found = probed(mlflow3, Credentials.bearer("token"))
    assert found.may_write is None
    assert found.warnings
