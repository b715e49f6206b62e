"""A real MLflow server from its first cycle on: everything is on record, nothing is written."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow_server.proxy import (
    GARBLED,
    Changed,
    Fault,
    Proxy,
    Request,
    Reset,
    Status,
    Truncated,
)
from tests.mlflow_server.starting import Server, oracle
from tests.workflows.registry import FLEET, Plane, opened

from trimtab.inventory.model import Connection, Health, Scope, Sync, SyncPhase
from trimtab.inventory.record import Record
from trimtab.workflows import connections
from trimtab.workflows.connections import Asked
from trimtab.workflows.ingest import Ingest
from trimtab.workflows.registries import open_registry

pytestmark = pytest.mark.slow

STAGES = {"Production": "production", "Staging": "staging", "Archived": "archived"}
LOGIN = Changed(lambda _body: b"<html><form action=/login></form></html>")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    more = {"TRIMTAB_CONNECT_NETWORKS": "127.0.0.0/8", "TRIMTAB_SYNC_REQUEST_SECONDS": "5"}
    with opened(tmp_path / "home", **more) as plane:
        yield plane


@pytest.fixture
def connection(plane: Plane, proxy: Proxy) -> Connection:
    asked = Asked("mlflow", proxy.url, name="real")
    return connections.connect(plane.parts, FLEET, asked, reason="a test")


def cycle(plane: Plane, connection: Connection, scope: Scope = Scope.CHANGES) -> Sync:
    ingest = Ingest(plane.parts)
    return ingest.cycle(connection.id, lambda c: open_registry(plane.parts, c), scope=scope)


def content_of(server: Server) -> str:
    """Everything that the server's database has."""
    with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as database:
        return hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()


def test_everything_is_on_record_and_nothing_is_written(
    plane: Plane, connection: Connection, proxy: Proxy, mlflow3: Server
) -> None:
    known, before = oracle(mlflow3), content_of(mlflow3)
    sync = cycle(plane, connection)
    unfit = sum("\x00" in name for name in known["models"])
    nul = [one for one in known["versions"] if "\x00" in one["name"]]
    wanted = {(one["name"], int(one["version"])): one for one in known["versions"]}
    for one in nul:
        del wanted[one["name"], int(one["version"])]
    assert (sync.counts.added, sync.counts.malformed) == (len(wanted), unfit + len(nul))
    records = plane.records()
    assert set(records) == set(wanted)
    for key, version in wanted.items():
        demand_same(records[key].record, version, known)

    size = max(entry.sequence for entry in plane.entries())
    plane.step(15)
    for scope in (Scope.CHANGES, Scope.FULL):
        again = cycle(plane, connection, scope)
        assert again.counts.unchanged == len(wanted)
        assert (again.counts.changed, again.counts.removed) == (0, 0)
    kinds = {entry.kind for entry in plane.entries() if entry.sequence > size}
    assert kinds == {"sync.started", "sync.ended"}
    assert plane.records() == records
    for request in proxy.requests:
        assert request.method == "GET" or request.path.endswith("/search"), request.path
    assert content_of(mlflow3) == before


def demand_same(record: Record, version: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """The record of a version says what the official client says."""
    model = known["models"][version["name"]]
    assert (record.value("registry_stage") or "None") == version["current_stage"]
    assert set(record.aliases) == set(version["aliases"])
    if version["current_stage"] in STAGES:
        assert record.stage.value == STAGES[version["current_stage"]]
    said = (model["description"] or "").strip() or (version["description"] or "").strip()
    assert (record.value("description") or "") == said
    assert (record.value("source_run_id") or "") == (version["run_id"] or "")
    assert record.version_tags.keys() == version["tags"].keys()
    assert record.model_tags == model["tags"]
    run = known["runs"].get(version["run_id"])
    if run is None:
        return
    assert record.value("training_status") == run["info"]["status"]
    assert record.value("experiment_id") == run["info"]["experiment_id"]
    name = known["experiments"][run["info"]["experiment_id"]]["name"]
    assert record.value("experiment_name") == name
    if run["params"]:
        assert set(record.value("hyperparameters")) == set(run["params"])
    for key, (value, _, _) in run["metrics"].items():
        if math.isfinite(value) and abs(value) < 1e300:
            assert record.value("metrics")[key]["value"] == value
    if version["files"]:
        files = record.value("artifact_manifest")["files"]
        listed = {file["path"]: file.get("size") or 0 for file in files}
        assert listed == {path: size or 0 for path, size, _ in version["files"]}


FAULTS: Mapping[str, Fault] = {
    "500": Status(500),
    "429": Status(429, {"Retry-After": "1"}),
    "reset": Reset(),
    "cut": Truncated(),
    "garbled": GARBLED,
    "login": LOGIN,
    "403": Status(403, body=b'{"error_code": "PERMISSION_DENIED", "message": "no"}'),
}


@pytest.mark.parametrize("fault", ["garbled", "login", "403", "cut"])
@pytest.mark.parametrize("where", ["registered-models/search", "model-versions/search"])
def test_a_line_that_is_bad_takes_nothing_away(
    plane: Plane, connection: Connection, proxy: Proxy, fault: str, where: str
) -> None:
    cycle(plane, connection)
    known = plane.records()
    proxy.rule = lambda request: FAULTS[fault] if where in request.path else None
    plane.step(15)
    sync = cycle(plane, connection)
    assert (sync.phase, bool(sync.reason), sync.counts.removed) == (SyncPhase.FAILED, True, 0)
    assert plane.now(connection).health is Health.FAILING
    assert plane.records() == known
    proxy.rule = lambda _request: None
    plane.step(15)
    assert cycle(plane, connection).phase is not SyncPhase.FAILED
    assert plane.now(connection).health is Health.HEALTHY


@pytest.mark.parametrize("fault", ["500", "429", "reset"])
def test_what_passes_is_tried_again_within_the_cycle(
    plane: Plane, connection: Connection, proxy: Proxy, fault: str
) -> None:
    proxy.rule = lambda request: FAULTS[fault] if request.tried == 1 else None
    sync = cycle(plane, connection)
    assert sync.counts.added > 20
    assert sync.phase is not SyncPhase.FAILED


def test_runs_that_cannot_be_read_are_read_later(
    plane: Plane, connection: Connection, proxy: Proxy
) -> None:
    def rule(request: Request) -> Any:
        return GARBLED if "/runs/" in request.path else None

    proxy.rule = rule
    sync = cycle(plane, connection)
    partial = {key for key, e in plane.records().items() if e.record.incomplete}
    assert (sync.phase, sync.counts.incomplete) == (SyncPhase.PARTIAL, len(partial))
    assert ("iris-classifier", 2) in partial
    proxy.rule = lambda _request: None
    plane.step(15)
    cycle(plane, connection)
    records = plane.records()
    assert not [key for key, entry in records.items() if entry.record.incomplete]
    assert records["iris-classifier", 2].record.value("metrics")["accuracy"]["value"] == 0.92
