"""What is read from real MLflow servers, against what the official client has, field by field."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow_server.proxy import Proxy
from tests.mlflow_server.starting import Server, oracle

from trimtab.integrations.mlflow import Credentials, Limits, MlflowSource
from trimtab.integrations.mlflow_calls import PERMITTED
from trimtab.inventory.source import Details, Part, Source, SourceModel, SourceVersion

pytestmark = pytest.mark.slow

LOOPBACK = (ip_network("127.0.0.0/8"),)
SENT_ON_2_AND_3 = {
    "GET /version",
    "GET /api/2.0/mlflow/registered-models/search",
    "GET /api/2.0/mlflow/model-versions/search",
    "GET /api/2.0/mlflow/model-versions/get",
    "GET /api/2.0/mlflow/runs/get",
    "POST /api/2.0/mlflow/experiments/search",
    "POST /api/2.0/mlflow/runs/search",
}


@pytest.fixture(scope="module", params=["mlflow3", "mlflow2"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def known(server: Server) -> dict[str, Any]:
    return oracle(server)


@pytest.fixture
def source(server: Server) -> Iterator[MlflowSource]:
    found = opened(server.url)
    yield found
    found.close()


def opened(url: str, limits: Limits | None = None) -> MlflowSource:
    return MlflowSource(url, Credentials.none(), limits=limits or Limits(), networks=LOOPBACK)


def as_port(source: MlflowSource) -> Source:
    """It has the shape that everybody else knows; the type checker sees to it."""
    return source


def all_models(source: MlflowSource) -> dict[str, SourceModel]:
    found: dict[str, SourceModel] = {}
    page: str | None = None
    while True:
        listed = source.models(page)
        found |= {one.name: one for one in listed.items}
        page = listed.next
        if page is None:
            return found


def all_versions(source: MlflowSource, model: str | None = None) -> list[SourceVersion]:
    found: list[SourceVersion] = []
    page: str | None = None
    while True:
        listed = source.versions(page, model=model)
        found += listed.items
        page = listed.next
        if page is None:
            return found


def pairs(document: Mapping[str, Any], key: str = "tags") -> dict[str, str]:
    """A list of keys and values, which MLflow leaves out where it is empty, as a mapping."""
    return {one["key"]: one.get("value", "") for one in document.get(key, [])}


def same(told: Any, expected: Any) -> bool:
    """Equal, where nothing, "" and an absent value are one, and NaN is itself."""
    if isinstance(told, float) and isinstance(expected, float) and math.isnan(expected):
        return math.isnan(told)
    return told == expected or (told in (None, "") and expected in (None, ""))


def demand_same(document: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        assert same(document.get(key), value), (key, document.get(key), value)


def finite(value: float) -> float:
    """As the client has it, for which an infinity is the largest number that there is."""
    return math.copysign(math.inf, value) if abs(value) > 1.79e308 else value


def test_models_are_told_whole(source: MlflowSource, known: dict[str, Any]) -> None:
    found = all_models(source)
    legible = {name for name in known["models"] if "\x00" not in name}
    assert set(found) == legible
    assert len(legible) > 15
    for name in legible:
        expected, document = known["models"][name], found[name].document
        plain = ("name", "description", "creation_timestamp", "last_updated_timestamp")
        demand_same(document, {key: expected[key] for key in plain})
        assert pairs(document) == expected["tags"]
        aliases = {one["alias"]: one["version"] for one in document.get("aliases", [])}
        assert aliases == expected["aliases"]
        latest = sorted(one["version"] for one in document.get("latest_versions", []))
        assert latest == expected["latest"]


def test_a_name_that_cannot_be_kept_is_reported_and_the_others_are_read(
    source: MlflowSource, known: dict[str, Any]
) -> None:
    malformed = source.models().malformed
    assert len(malformed) == sum("\x00" in name for name in known["models"])


def test_versions_are_told_whole(source: MlflowSource, known: dict[str, Any]) -> None:
    models = all_models(source)
    found = {(one.name, one.version): one.document for one in all_versions(source)}
    expected = {
        (one["name"], int(one["version"])): one
        for one in known["versions"]
        if "\x00" not in one["name"]
    }
    assert set(found) == set(expected)
    for key, version in expected.items():
        aliases = models[key[0]].document.get("aliases", [])
        mine = sorted(one["alias"] for one in aliases if one["version"] == str(key[1]))
        assert mine == version["aliases"]
        assert pairs(found[key]) == version["tags"]
        left = {"files", "aliases", "tags"}
        demand_same(found[key], {k: v for k, v in version.items() if k not in left})


def test_details_are_told_whole(source: MlflowSource, known: dict[str, Any]) -> None:
    versions = all_versions(source)
    details = list(source.details(versions))
    expected = {(one["name"], int(one["version"])): one for one in known["versions"]}
    assert len(details) == len(versions)
    for version, found in zip(versions, details, strict=True):
        run_id = version.document.get("run_id") or ""
        if run_id in known["runs"]:
            assert found.run is not None
            demand_run(found.run, known["runs"][run_id])
            demand_experiment(found, known["experiments"])
        demand_logged(found, known["logged"])
        files = expected[version.name, version.version]["files"]
        demand_files(source, version, found, files)


def demand_run(run: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    demand_same(run["info"], expected["info"])
    data = run["data"]
    assert pairs(data, "params") == expected["params"]
    assert pairs(data) == expected["tags"]
    metrics = {
        one["key"]: [one["value"], one["timestamp"], one.get("step", 0)]
        for one in data.get("metrics", [])
    }
    assert set(metrics) == set(expected["metrics"])
    for key, (value, *when) in expected["metrics"].items():
        assert same(metrics[key][0], finite(value)), key
        assert metrics[key][1:] == when
    inputs = run.get("inputs", {}).get("dataset_inputs", [])
    assert len(inputs) == len(expected["inputs"])
    for told, one in zip(inputs, expected["inputs"], strict=True):
        demand_same(told["dataset"], one["dataset"])
        assert pairs(told) == one["tags"]


def demand_experiment(found: Details, known: Mapping[str, Any]) -> None:
    assert found.run is not None
    assert found.experiment is not None
    expected = known[found.run["info"]["experiment_id"]]
    demand_same(found.experiment, {k: v for k, v in expected.items() if k != "tags"})
    assert pairs(found.experiment) == expected["tags"]


def demand_logged(found: Details, known: Mapping[str, Any]) -> None:
    if found.logged_model is None:
        return
    info, data = found.logged_model["info"], found.logged_model.get("data", {})
    expected = known[info["model_id"]]
    demand_same(
        info,
        {
            "name": expected["name"],
            "experiment_id": expected["experiment_id"],
            "artifact_uri": expected["artifact_location"],
            "creation_timestamp_ms": expected["creation_timestamp"],
            "last_updated_timestamp_ms": expected["last_updated_timestamp"],
            "model_type": expected["model_type"],
            "source_run_id": expected["source_run_id"],
            "status": expected["status"],
        },
    )
    assert pairs(info) == expected["tags"]
    assert pairs(data, "params") == expected["params"]
    told = sorted(
        [one["key"], one["value"], one["timestamp"], one["step"]] for one in data.get("metrics", [])
    )
    for mine, theirs in zip(told, expected["metrics"], strict=True):
        assert [mine[0], *mine[2:]] == [theirs[0], *theirs[2:]]
        assert same(mine[1], finite(theirs[1]))


def demand_files(
    source: MlflowSource, version: SourceVersion, found: Details, expected: list[Any] | None
) -> None:
    if expected is None:
        assert found.listing is None
        assert [fault.part for fault in found.faults if fault.part is Part.ARTIFACTS]
        return
    assert found.listing is not None, (version, found.faults)
    assert found.listing.truncated is None
    told = [[file.path, file.size or 0] for file in found.listing.files]
    assert sorted(told) == [[path, size or 0] for path, size, _digest in expected]
    digests = {path: digest for path, _size, digest in expected}
    for file in found.listing.files:
        with source.content(version, file) as chunks:
            assert hashlib.sha256(b"".join(chunks)).hexdigest() == digests[file.path]


def test_what_leads_nowhere_is_a_fault_of_that_version_alone(source: MlflowSource) -> None:
    (orphan, gone) = all_versions(source, "orphan")
    first, second = source.details([orphan, gone])
    assert (orphan.version, gone.version) == (1, 3)
    assert {(fault.part, fault.passing) for fault in first.faults} == {
        (Part.RUN, False),
        (Part.ARTIFACTS, False),
    }
    assert [fault.part for fault in second.faults] == [Part.ARTIFACTS]
    assert source.version("orphan", 2) is None
    assert source.model("deleted") is None
    kept = source.model("orphan")
    assert kept is not None
    assert kept.name == "orphan"


def test_a_deleted_run_in_a_deleted_experiment_is_read(source: MlflowSource) -> None:
    (version,) = all_versions(source, "whole run")
    (found,) = source.details([version])
    assert found.run is not None
    assert found.experiment is not None
    assert found.run["info"]["lifecycle_stage"] == "deleted"
    assert found.experiment["lifecycle_stage"] == "deleted"
    assert found.listing is not None
    paths = {file.path: file.size for file in found.listing.files}
    assert paths["a/b/c d/weights.bin"] == 256 * 300
    assert "evaluation/report.json" in paths


def test_a_copy_of_a_copy_leads_to_the_same_files(source: MlflowSource) -> None:
    versions = [*all_versions(source, "copied again"), *all_versions(source, "copied")]
    wanted = source.version("iris-classifier", 2)
    assert wanted is not None
    again, copied, first = source.details([*versions, wanted])
    assert first.listing == copied.listing == again.listing
    assert first.listing is not None
    assert len(first.listing.files) > 3
    assert first.run == copied.run == again.run


def test_versions_of_one_model_whatever_it_is_called(
    source: MlflowSource, known: dict[str, Any]
) -> None:
    for name in known["models"]:
        if "\x00" in name:
            continue
        numbers = sorted(one.version for one in all_versions(source, name))
        expected = [int(v["version"]) for v in known["versions"] if v["name"] == name]
        assert numbers == sorted(expected), name
        told = source.model(name)
        assert told is not None
        assert told.name == name
        for number in numbers:
            assert source.version(name, number) is not None


def test_small_pages_tell_the_same(server: Server, source: MlflowSource) -> None:
    small = opened(server.url, Limits(page_items=2, batch_versions=3))
    try:
        assert all_models(small).keys() == all_models(source).keys()
        versions = all_versions(small)
        assert versions == all_versions(source)
        assert repr(list(small.details(versions))) == repr(list(source.details(versions)))
    finally:
        small.close()


def test_addresses_that_the_server_does_not_list_are_not_followed(source: MlflowSource) -> None:
    versions = all_versions(source, "odd sources")
    assert len(versions) >= 3
    for found in source.details(versions):
        assert found.listing is None
        (fault,) = found.faults
        assert (fault.part, fault.passing) == (Part.ARTIFACTS, False)
        assert "does not list" in fault.reason


def contents(server: Server) -> dict[str, list[Any]]:
    """Every row of the server's database."""
    import sqlite3

    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            for (name,) in names.fetchall()
        }


def stored(server: Server) -> dict[str, str]:
    """Every file that the server keeps."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(server.folder / "artifacts").rglob("*")
        if path.is_file()
    }


def cycle(source: MlflowSource) -> None:
    """All that is ever asked."""
    source.probe()
    all_models(source)
    versions = all_versions(source)
    for version, found in zip(versions, source.details(versions), strict=True):
        for file in found.listing.files if found.listing else ():
            with source.content(version, file) as chunks:
                assert sum(map(len, chunks)) == (file.size or 0)  # of none, no size is told
    source.version("iris-classifier", 1)
    source.model("iris-classifier")


def test_a_whole_cycle_sends_nothing_but_reads_and_changes_nothing(server: Server) -> None:
    before = contents(server), stored(server)
    with Proxy(server.url) as proxy:
        source = opened(proxy.url)
        cycle(source)
        source.close()
    assert (contents(server), stored(server)) == before
    sent = {f"{one.method} {one.path}" for one in proxy.requests}
    assert sent >= SENT_ON_2_AND_3
    for one in proxy.requests:
        assert any(one.method == method and form.fullmatch(one.path) for method, form in PERMITTED)
        writes = ("create", "update", "delete", "set-", "log-", "restore", "transition", "rename")
        assert not [word for word in writes if word in one.path.rsplit("/mlflow/", 1)[-1]]


def test_a_base_address_with_a_path(server: Server) -> None:
    def without(path: str) -> str:
        assert path.startswith("/deep/mlflow/")
        return path.removeprefix("/deep/mlflow")

    with Proxy(server.url, rewrite=without) as proxy:
        source = opened(f"{proxy.url}/deep/mlflow/")
        cycle(source)
        source.close()


def test_few_questions_are_asked(server: Server) -> None:
    with Proxy(server.url) as proxy:
        source = opened(proxy.url)
        versions = all_versions(source, "iris-classifier")
        assert len(list(source.details(versions))) == 3
        source.close()
    asked: Callable[[str], int] = lambda path: sum(path in one.path for one in proxy.requests)  # noqa: E731
    assert asked("runs/") == 1
    assert asked("experiments/") == 1
    assert asked("logged-models/search") <= 1
