"""A whole control plane whose artifacts lie in a bucket: handed in, checked, downloaded; and
what it says while the bucket is away, or is not what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import START, assembled
from tests.databases import database_for
from tests.objects import Line, ObjectServer

from trimtab.demo.processes import start_control_plane
from trimtab.platform.blobs_bucket import Place

pytestmark = pytest.mark.slow

DOWNLOAD = "/api/ml/model/download"


@pytest.fixture(scope="module")
def place(object_server: ObjectServer) -> Place:
    return object_server.new_bucket()


@pytest.fixture(scope="module")
def line(object_server: ObjectServer) -> Iterator[Line]:
    line = Line(object_server)
    yield line
    line.close()


@pytest.fixture(scope="module")
def stored(
    place: Place, line: Line, material: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The house, over a line to its bucket."""
    at = line.place(place)
    home = tmp_path_factory.mktemp("bucket") / "home"
    settings = {
        **database_for(home),
        "S3_BUCKET": at.bucket,
        "S3_ENDPOINT": str(at.endpoint),
        "S3_PREFIX": at.prefix,
        "S3_ACCESS_KEY_ID": str(at.key_id),
        "S3_SECRET_ACCESS_KEY": str(at.secret),
    }
    control = start_control_plane(home, START, port=None, more=settings)
    try:
        found = assembled(control, material)
        yield found
        for client in found.people.values():
            client.close()
    finally:
        control.process.handle.kill()
        control.process.stop()


@pytest.fixture(autouse=True)
def _mended(line: Line) -> Iterator[None]:
    yield
    line.mend()


def download(house: Any, version: dict[str, Any]) -> httpx.Response:
    with house.http("data_scientist") as http:
        query = {"model": version["model"], "version": version["version"]}
        answer: httpx.Response = http.get(DOWNLOAD, params=query)
    return answer


def key_of(version: dict[str, Any]) -> str:
    name = version["digest"].removeprefix("sha256:")
    return f"sha256/{name[:2]}/{name[2:]}"


def copy_of(house: Any, version: dict[str, Any]) -> Path:
    found: Path = house.control.home / "copies" / key_of(version)
    return found


def components(house: Any) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"{house.url}/health", timeout=60)
    return answer.status_code, answer.json()["components"]


def test_what_is_handed_in_is_checked_approved_and_downloaded(
    stored: Any, place: Place, object_server: ObjectServer
) -> None:
    version = stored.approved(stored.new_model())
    found = stored.admin.models.version(version["model"], version["version"])
    assert found.lifecycle in ("approved", "production")
    content = object_server.content(place, key_of(version))
    assert download(stored, version).content == content
    assert len(object_server.keys(place, "sha256/")) == 3, "artifact, reference and holdout"
    assert not (stored.control.home / "blobs").exists()
    assert components(stored)[1]["s3"] == "accessible"
    copy_of(stored, version).unlink()
    assert download(stored, version).content == content
    with stored.http("data_scientist", Range="bytes=10-19") as http:
        part = http.get(DOWNLOAD, params={"model": version["model"], "version": "1.0.0"})
    assert (part.status_code, part.content) == (206, content[10:20])


@pytest.mark.parametrize("change", ["swapped", "cut", "gone"])
def test_an_object_that_is_not_what_was_signed_never_leaves(
    stored: Any, place: Place, object_server: ObjectServer, refuses: Any, change: str
) -> None:
    version = stored.registered(stored.new_model())
    stored.settle()
    content = object_server.content(place, key_of(version))
    copy_of(stored, version).unlink()
    if change == "gone":
        object_server.lose(place, key_of(version))
    else:
        planted = {"swapped": content[::-1], "cut": content[:-1]}[change]
        object_server.plant(place, key_of(version), planted)
    body = refuses(download(stored, version), 409, "integrity_failed")
    assert "quarantined" in body["remedy"]
    assert stored.admin.models.version(version["model"], "1.0.0").lifecycle == "quarantined"
    assert key_of(version) not in object_server.keys(place, "sha256/")
    refuses(download(stored, version), 404, "not_found")
    assert 'trimtab_integrity_failures_total{what="artifact"}' in (
        httpx.get(f"{stored.url}/metrics", timeout=60).text
    )


def test_while_the_bucket_is_away_nothing_is_taken_half_and_copies_are_served(
    stored: Any, line: Line, place: Place, object_server: ObjectServer, refuses: Any
) -> None:
    model = stored.new_model()
    here, away = stored.registered(model), stored.registered(stored.new_model())
    stored.settle()
    copy_of(stored, away).unlink()
    before = object_server.keys(place)
    line.cut()
    answer = stored.upload(model, stored.metadata("1.1.0"), stored.material.artifact())
    refuses(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert download(stored, here).status_code == 200
    refuses(download(stored, away), 503, "unavailable")
    status, states = components(stored)
    assert (status, states["s3"], states["artifacts"]) == (503, "failing", "accessible")
    with stored.http("data_scientist") as http:
        listed = http.get(f"/api/v1/models/{model}/versions").json()["items"]
    assert [one["version"] for one in listed] == ["1.0.0"]
    line.mend()
    assert object_server.keys(place) == before
    assert download(stored, away).status_code == 200
    found = stored.admin.models.version(away["model"], "1.0.0")
    assert found.lifecycle != "quarantined"
    assert stored.registered(model, "1.1.0")["version"] == "1.1.0"
