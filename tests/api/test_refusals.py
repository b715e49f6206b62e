"""Refused requests of weight leave one entry, in the history of whoever was refused."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.databases import behind_our_back, database_for, opened_at
from tests.patience import PATIENCE_SECONDS
from tests.serving import administered

from trimtab.api.refusals import on_record
from trimtab.app import Application
from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.kernel.actor import Actor, ActorKind
from trimtab.platform.settings import Settings
from trimtab.sdk import shapes
from trimtab.sdk.client import Client
from trimtab.workflows.refusals import Refusal, Refused

DOWNLOAD = "/api/ml/model/download"
PASSWORD = "correct-horse-battery-staple-2015"


def refused(house: Any, model: str, least: int = 1, key: str | None = None) -> list[Any]:
    """Entries of refusals that name a model, once there are so many, and no more come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    token = house.tokens["auditor"] if key is None else None
    with Client(house.url, key=key, token=token) as client:
        while True:
            entries = list(client.audit.entries(kinds=("request.refused",)))
            found = [e for e in entries if e.data and e.data["model"] == model]
            if len(found) >= least or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


def only(house: Any, model: str) -> Any:
    """The one entry of a refusal that names a model; another one would have come by now."""
    assert len(refused(house, model)) == 1
    time.sleep(1)
    (entry,) = refused(house, model)
    assert entry.data["count"] == 1
    return entry


def asked(house: Any, who: str, model: str, version: str = "1.0.0") -> httpx.Response:
    with house.http(who) as http:
        answer: httpx.Response = http.get(DOWNLOAD, params={"model": model, "version": version})
    return answer


@pytest.mark.parametrize("named", ["ak_0123456789abcdef.s3cr3t", "s3cr3t\n", "x" * 64, ""])
def test_what_cannot_be_a_name_is_not_repeated(named: str) -> None:
    actor = Actor("svc_0123456789abcdef", ActorKind.SERVICE, None, frozenset())
    state = {"actor": actor, "refused": Refused("not_permitted", grave=True)}
    query = urlencode({"model": named, "version": named}).encode()
    scope = {"method": "s3cr3t", "state": state, "query_string": query}
    found = on_record(scope, 403)
    assert isinstance(found, Refusal)
    assert (found.model, found.version) == (None, None)
    assert (found.method, found.route) == ("other", "unmatched")


@pytest.mark.slow
def test_bytes_of_another_tenant(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model(), tenant="ua")
    refuses(asked(house, "scientist-aa", version["model"], "9.9.9"), 404, "not_found")
    refuses(asked(house, "scientist-aa", version["model"]), 404, "not_found")
    entry = only(house, version["model"])  # what is not there at all leaves none
    assert (entry.tenant, entry.data["version"]) == ("aa", "1.0.0")
    assert entry.actor == entry.subject
    assert entry.actor.startswith("svc_")
    assert (entry.data["method"], entry.data["route"]) == ("GET", DOWNLOAD)
    assert (entry.data["code"], entry.data["field"]) == ("not_found", "version")


@pytest.mark.slow
def test_bytes_that_are_not_deployed(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    refuses(asked(house, "endpoint", version["model"]), 403, "not_permitted")
    entry = only(house, version["model"])
    assert (entry.tenant, entry.data["code"]) == (None, "not_permitted")


@pytest.mark.slow
def test_bytes_that_were_tampered_with(house: Any, refuses: Any) -> None:
    version = house.registered(house.new_model())
    house.settle()
    path: Path = house.blob(version["digest"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.chmod(0o600)
    path.write_bytes(content)
    refuses(asked(house, "data_scientist", version["model"]), 409, "integrity_failed")
    assert only(house, version["model"]).data["code"] == "integrity_failed"


@pytest.mark.slow
def test_a_lie_about_the_digest(house: Any, refuses: Any) -> None:
    model = house.new_model()
    metadata = house.metadata("1.0.0", digest="sha256:" + "0" * 64)
    refuses(house.upload(model, metadata, house.material.artifact()), 409, "integrity_failed")
    entry = only(house, model)
    assert (entry.data["field"], entry.data["version"]) == ("digest", "1.0.0")
    assert entry.data["route"] == "/api/v1/models/{model}/versions"


@pytest.mark.slow
def test_the_loser_of_two_uploads_with_one_number(house: Any) -> None:
    model = house.new_model()
    together = threading.Barrier(2)

    def hand_in(artifact: bytes) -> int:
        together.wait()
        answer: httpx.Response = house.upload(model, house.metadata("1.0.0"), artifact)
        return answer.status_code

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(hand_in, [house.material.artifact() for _ in range(2)]))
    assert answers == [201, 409]
    entry = only(house, model)
    assert (entry.data["code"], entry.data["field"]) == ("conflict", "artifact")


@pytest.mark.slow
def test_what_is_refused_every_day_leaves_none(house: Any) -> None:
    model = house.new_model()
    version = house.registered(model)
    with house.http("data_scientist") as http:
        assert http.get(DOWNLOAD, params={"model": model, "version": "x"}).status_code == 404
        assert http.get(f"/api/v1/models/{model}/versions/7.0.0").status_code == 404
        assert http.get(DOWNLOAD, params={"model": model}).status_code == 422
    again = house.metadata("1.0.0", lineage={"rows": 1})
    artifact = house.blob(version["digest"]).read_bytes()
    assert house.upload(model, again, artifact).status_code == 409
    time.sleep(1)
    assert refused(house, model, least=0) == []


@pytest.mark.slow
def test_no_tenant_reads_the_refusals_of_another(house: Any) -> None:
    version = house.registered(house.new_model(), tenant="ua")
    model = version["model"]
    assert asked(house, "scientist-aa", model).status_code == 404
    with house.http("endpoint-ua") as http:
        assert http.get(DOWNLOAD, params={"model": model, "version": "1.0.0"}).status_code == 403
    assert {e.tenant for e in refused(house, model, least=2)} == {"aa", "ua"}
    for tenant in ("aa", "ua"):
        account = shapes.NewAccount(name=f"auditor-{tenant}", roles=["auditor"], tenant=tenant)
        key = house.admin.identity.add_account(account).key
        assert [e.tenant for e in refused(house, model, key=key)] == [tenant]


@pytest.mark.slow
def test_a_flood_of_bad_keys_is_few_entries_and_tells_no_secret(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **database_for(tmp_path),
        "TRIMTAB_HOME": tmp_path,
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
    }
    application = Application(Settings(**settings))
    application.first_start()
    secrets = [f"ak_{n:016d}.{'s3cr3t' * 6}{n:07d}" for n in range(1000)]
    with administered(application, PASSWORD) as client:
        assert client.get("/api/v1/models").status_code == 200  # known there, so not held up
        before = _size(application)
        admin = {"Authorization": client.headers.pop("Authorization")}
        said = [
            client.get("/api/v1/models", headers={"X-Api-Key": secret}).status_code
            for secret in secrets[:-2]
        ]
        assert set(said) == {401, 429}
        assert said[:50] == [401] * 50
        bad = {"email": "root@hidden.example", "password": "hunter2-s3cr3t"}
        assert client.post("/api/v1/tokens", json=bad).status_code == 401
        bearer = {"Authorization": f"Bearer {secrets[-1]}"}
        answer = client.get(f"/api/v1/models/{secrets[-1]}", headers=bearer)
        assert answer.status_code in (401, 429)
        # Somebody known, whose own text must not get into the record either.
        answer = client.post(
            f"/api/v1/approvals/{secrets[0]}/votes",
            headers=admin,
            json={"approve": True, "digest": "sha256:" + "0" * 64, "reason": "s3cr3t"},
        )
        assert answer.status_code == 403
        metrics = client.get("/metrics").text
    application.parts.refusals.flush(everything=True)
    entries = _after(application, before)
    access = [e for e in entries if e.kind == "access.refused"]
    assert 1 <= len(access) <= 3
    assert sum(e.data["count"] for e in access if e.data) == 1000
    assert {e.subject for e in access} == {"127.0.0.1"}
    (known,) = [e for e in entries if e.kind == "request.refused"]
    assert known.data is not None
    assert known.data["model"] is None
    counted = re.findall(
        r'requests_refused_total{code="(not_authenticated|too_many_requests)"} (\S+)', metrics
    )
    assert sum(float(count) for _, count in counted) == 1000
    application.parts.records.database.close()
    with behind_our_back(opened_at(tmp_path)) as connection:
        tables = ("ledger_entries", "ledger_payloads", "ledger_mentions")
        rows = [r for t in tables for r in connection.exec_driver_sql(f"SELECT * FROM {t}")]
    assert not [row for row in rows if b"s3cr3t" in repr(row).encode() or "hunter2" in repr(row)]


def _size(application: Application) -> int:
    with application.parts.records.look() as reading:
        return ledger.size(reading.connection)


def _after(application: Application, sequence: int) -> Sequence[Entry]:
    with application.parts.records.look() as reading:
        return ledger.entries(reading.connection, after=sequence)


@pytest.mark.slow
def test_an_orderly_end_enters_what_is_pending(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **database_for(tmp_path),
        "TRIMTAB_HOME": tmp_path,
        "TRIMTAB_ADMIN_PASSWORD": PASSWORD,
    }
    application = Application(Settings(**settings))
    application.first_start()
    application.start()
    with administered(application, PASSWORD) as client:
        for _ in range(3):
            httpx.get(client.base_url.join("/api/v1/models"))
    application.stop(10)
    again = Application(Settings(**settings))
    counts = [e.data["count"] for e in _after(again, 0) if e.kind == "access.refused" and e.data]
    assert counts == [3]
    again.parts.records.database.close()
