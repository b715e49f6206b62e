"""A request that is sent twice under one key acts once, and is answered the same."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from tests.databases import database_for, files_of
from tests.patience import PATIENCE_SECONDS

import trimtab
from trimtab.api import repeats
from trimtab.api.server import ROUTERS
from trimtab.audit import answers
from trimtab.audit.work import Records
from trimtab.demo.processes import free_port
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidInput
from trimtab.platform.database import Database
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEVER_TWICE = {
    "/api/v1/predictions": "a batch has an id of its own",
    "/api/v1/labels": "a batch has an id of its own",
    "/api/v1/tokens": "leaves nothing behind; a token more does no harm",
    "/api/v1/tokens/exchange": "leaves nothing behind; a token more does no harm",
    "/api/v1/password": "the second time the old password is no longer right",
    "/api/v1/token-keys": "one key more does no harm, and each has its entry",
    "/api/v1/tenants/{tenant}/disable": "names the state that is to be",
    "/api/v1/tenants/{tenant}/enable": "names the state that is to be",
    "/api/v1/people/{person}/disable": "names the state that is to be",
    "/api/v1/people/{person}/enable": "names the state that is to be",
    "/api/v1/people/{person}/end-credentials": "what has ended is ended again",
    "/api/v1/service-accounts/{account}/disable": "names the state that is to be",
    "/api/v1/service-accounts/{account}/enable": "names the state that is to be",
    "/api/v1/connections/{connection}/pause": "names the state that is to be",
    "/api/v1/connections/{connection}/resume": "names the state that is to be",
    "/api/v1/connections/{connection}/sync": "a wish that is there already is there",
    "/api/v1/connections/{connection}/messages": "each has an id, under which it is taken once",
    "/api/v1/compliance/preview": "looks, and changes nothing",
    "/api/v1/audit/verify": "looks, and changes nothing",
    "/api/v1/clock/step": "names where the clock is to go, and not how far",
}
"""Addresses that are posted to and keep no answer, and why."""


def key() -> str:
    return secrets.token_hex(16)


def new_model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "owner": "somebody",
        "features": [{"name": "x", "kind": "numeric"}],
        "label": "y",
        "reason": "a test",
    }


def entries(house: Any) -> int:
    """How many entries the ledger has."""
    return int(house.people["auditor"].audit.head().size)


def test_every_address_that_is_posted_to_keeps_its_answer_or_says_why_not() -> None:
    posted = {
        route.path: repeats.permission_of(route)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "POST" in (route.methods or ())
    }
    assert len(posted) > 15
    assert {path for path, kept in posted.items() if kept is None} == set(NEVER_TWICE)


def test_the_same_again_is_answered_the_same_and_done_once(house: Any) -> None:
    name, header = f"twice-{next(house.numbers)}", {"Idempotency-Key": key()}
    with house.http("data_scientist") as client:
        first = client.post("/api/v1/models", json=new_model(name), headers=header)
        before = entries(house)
        again = client.post("/api/v1/models", json=new_model(name), headers=header)
        without = client.post("/api/v1/models", json=new_model(name))
    assert (first.status_code, first.headers.get("idempotency-replayed")) == (201, None)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.content == first.content
    assert without.status_code == 409
    assert entries(house) == before


def test_a_key_stands_for_one_request(house: Any, refuses: Any) -> None:
    header = {"Idempotency-Key": key()}
    name = f"once-{next(house.numbers)}"
    with house.http("admin") as client:
        assert client.post("/api/v1/models", json=new_model(name), headers=header).is_success
        for path, body in (
            ("/api/v1/models", new_model(f"{name}-other")),
            ("/api/v1/tenants", {"id": f"{name}-tenant", "name": "other"}),
        ):
            answer = client.post(path, json=body, headers=header)
            assert refuses(answer, 422, "invalid_input")["field"] == "Idempotency-Key"
        assert client.get(f"/api/v1/models/{name}-other").status_code == 404


@pytest.mark.parametrize("bad", ["short", "x" * 300, "with a space in it x"])
def test_a_key_that_can_be_guessed_is_none(house: Any, refuses: Any, bad: str) -> None:
    with house.http("admin") as client:
        body = {"id": f"t{next(house.numbers)}", "name": "x"}
        answer = client.post("/api/v1/tenants", json=body, headers={"Idempotency-Key": bad})
    assert refuses(answer, 422, "invalid_input")["field"] == "Idempotency-Key"


def test_a_key_of_one_caller_is_nothing_to_another(house: Any) -> None:
    header = {"Idempotency-Key": key()}
    name = f"shared-{next(house.numbers)}"
    with house.http("admin") as one, house.http("data_scientist") as other:
        assert one.post("/api/v1/models", json=new_model(name), headers=header).is_success
        theirs = other.post("/api/v1/models", json=new_model(name), headers=header)
        assert theirs.status_code == 409
        assert "idempotency-replayed" not in theirs.headers
        narrowed = one.post(
            "/api/v1/models", json=new_model(name), headers={**header, "X-Tenant-Id": "aa"}
        )
        assert narrowed.status_code == 403


def test_who_may_not_ask_any_more_gets_no_answer_again(house: Any) -> None:
    header = {"Idempotency-Key": key()}
    body: dict[str, Any] = {"name": f"gone {next(house.numbers)}", "roles": ["admin"]}
    with house.http("admin") as admin:
        made = admin.post("/api/v1/service-accounts", json=body, headers=header).json()
        body["name"] += " too"
        with httpx.Client(base_url=house.url, headers={"X-Api-Key": made["key"]}) as account:
            tenant = {"id": f"gone-{next(house.numbers)}", "name": "x"}
            kept = account.post("/api/v1/tenants", json=tenant, headers=header)
            assert kept.status_code == 201
            assert admin.delete(f"/api/v1/keys/{made['key_id']}").status_code == 204
            again = account.post("/api/v1/tenants", json=tenant, headers=header)
            assert again.status_code == 401


def test_a_key_that_was_given_out_is_given_again_and_stands_nowhere(house: Any) -> None:
    header = {"Idempotency-Key": key()}
    body: dict[str, Any] = {"name": f"sealed {next(house.numbers)}", "roles": ["feed"]}
    with house.http("admin") as admin:
        first = admin.post("/api/v1/service-accounts", json=body, headers=header)
        again = admin.post("/api/v1/service-accounts", json=body, headers=header)
    assert again.json() == first.json()
    secret = first.json()["key"].partition(".")[2].encode()
    stored = [path.read_bytes() for path in files_of(house.control.home)]
    assert [content for content in stored if body["name"].encode() in content], "read elsewhere"
    assert not [content for content in stored if secret in content]


def test_a_refusal_is_not_kept(house: Any) -> None:
    header = {"Idempotency-Key": key()}
    name = f"later-{next(house.numbers)}"
    body = {"name": f"later {name}", "roles": ["feed"], "default_model": name}
    with house.http("admin") as admin:
        refused = admin.post("/api/v1/service-accounts", json=body, headers=header)
        assert refused.status_code == 404
        assert admin.post("/api/v1/models", json=new_model(name)).status_code == 201
        answer = admin.post("/api/v1/service-accounts", json=body, headers=header)
    assert answer.status_code == 201


def test_of_many_at_once_one_acts_and_all_are_told_the_same(house: Any) -> None:
    header = {"Idempotency-Key": key()}
    body = {"name": f"crowd {next(house.numbers)}", "roles": ["feed"]}

    def ask(_: int) -> httpx.Response:
        with house.http("admin") as client:
            answer: httpx.Response = client.post(
                "/api/v1/service-accounts", json=body, headers=header
            )
            return answer

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert {answer.status_code for answer in found} == {201}
    assert len({answer.content for answer in found}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in found) == 1


@pytest.mark.slow
def test_a_version_and_a_vote_are_taken_once(house: Any) -> None:
    model, artifact = house.new_model(), house.material.artifact()
    found = list[httpx.Response]()
    for _ in range(2):
        with house.http("data_scientist", **{"Idempotency-Key": "upload-" + model * 2}) as http:
            found.append(
                http.post(
                    f"/api/v1/models/{model}/versions",
                    data={"metadata": json.dumps(house.metadata("1.0.0"))},
                    files={
                        "artifact": ("model.onnx", artifact),
                        "reference": ("reference.parquet", house.material.reference),
                        "holdout": ("holdout.parquet", house.material.holdout),
                    },
                )
            )
    assert [answer.status_code for answer in found] == [201, 201]
    assert found[0].content == found[1].content
    assert "idempotency-replayed" in found[1].headers
    approval = house.admin.approvals.wait(model, "1.0.0", seconds=PATIENCE_SECONDS)
    role = approval.steps[0].role
    vote = {"approve": True, "digest": found[0].json()["digest"], "reason": "looked at it"}
    with house.http(role) as http:
        path, header = f"/api/v1/approvals/{approval.id}/votes", {"Idempotency-Key": key()}
        said = [http.post(path, json=vote, headers=header) for _ in range(2)]
    assert [answer.status_code for answer in said] == [200, 200]
    assert said[0].content == said[1].content
    assert len(said[0].json()["votes"]) == 1


# --- what is kept, on both databases ------------------------------------------------


def test_an_answer_is_kept_with_its_effect_or_not_at_all(
    either_database: Database, clock: SteppedClock
) -> None:
    records, asked = Records(either_database, clock), answers.Request("ann", key(), "d" * 64)
    answer = answers.Answer(201, b'{"id": 1}')
    with pytest.raises(ZeroDivisionError), records.begin(system("test"), reason="x") as work:
        answers.keep(work, asked, answer, NOW)
        raise ZeroDivisionError
    with records.look() as reading:
        assert answers.kept(reading, asked) is None
    with records.begin(system("test"), reason="x") as work:
        answers.keep(work, asked, answer, NOW)
    with records.look() as reading:
        assert answers.kept(reading, asked) == answer
        assert answers.kept(reading, answers.Request("bob", asked.key, asked.digest)) is None
        with pytest.raises(InvalidInput, match="another request"):
            answers.kept(reading, answers.Request("ann", asked.key, "e" * 64))
    with pytest.raises(Conflict), records.begin(system("test"), reason="x") as work:
        answers.keep(work, asked, answer, NOW)


def test_an_answer_is_kept_for_a_day_and_not_for_ever(
    either_database: Database, clock: SteppedClock
) -> None:
    records = Records(either_database, clock)
    old, young = (answers.Request("ann", key(), "d" * 64) for _ in range(2))
    for asked, at in ((old, NOW), (young, NOW + timedelta(hours=30))):
        with records.begin(system("test"), reason="x") as work:
            answers.keep(work, asked, answers.Answer(200, b"{}"), at)
    with records.look() as reading:
        assert answers.kept(reading, old) is not None
    with records.begin(system("test"), reason="x") as work:
        third = answers.Request("ann", key(), "d" * 64)
        answers.keep(work, third, answers.Answer(200, b"{}"), NOW + timedelta(hours=49))
    with records.look() as reading:
        assert answers.kept(reading, old) is None
        assert answers.kept(reading, young) is not None


def test_of_two_transactions_at_once_one_keeps_its_answer(
    either_database: Database, clock: SteppedClock
) -> None:
    records, asked = Records(either_database, clock), answers.Request("ann", key(), "d" * 64)

    def act(number: int) -> bool:
        try:
            with records.begin(system("test"), reason="x") as work:
                answers.keep(work, asked, answers.Answer(200, str(number).encode()), NOW)
                time.sleep(0.05)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(act, range(6))) == 1


# --- a process that dies between the commit and the answer --------------------------


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """What starts a control plane that dies at its first new tenant, and its address."""
    port, started = free_port(), list[subprocess.Popen[bytes]]()
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(Path(trimtab.__file__).parents[1]),
        "TRIMTAB_HOME": str(tmp_path / "home"),
        **database_for(tmp_path / "home"),
        "TRIMTAB_PORT": str(port),
        "TRIMTAB_ADMIN_PASSWORD": "correct-horse-battery-staple-2015",
        "LOG_LEVEL": "WARNING",
    }
    url = f"http://127.0.0.1:{port}"

    def start() -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("serve_and_die.py")
        leash = [sys.executable, "-m", "trimtab.demo.leash", str(os.getpid())]
        with (tmp_path / "log").open("ab") as sink:
            process = subprocess.Popen(
                [*leash, sys.executable, str(script), str(tmp_path), "tenant.created"],
                env=environment, stdout=sink, stderr=sink,
            )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "log").read_text("utf-8")[-3000:]
            try:
                if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                    return process
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError((tmp_path / "log").read_text("utf-8")[-3000:])

    yield start, url
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_an_answer_outlives_the_process_that_did_not_send_it(mortal: tuple[Any, str]) -> None:
    start, url = mortal
    first = start()
    with Client(url) as nobody:
        token = nobody.identity.log_in("admin@localhost", "correct-horse-battery-staple-2015")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key()}
    body = shapes.NewTenant(id="late", name="Late").model_dump()
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{url}/api/v1/tenants", json=body, headers=headers, timeout=60)
    assert first.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    start()
    answer = httpx.post(f"{url}/api/v1/tenants", json=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()) == (201, {"id": "late", "name": "Late"})
    assert answer.headers["idempotency-replayed"] == "true"
    other = {**headers, "Idempotency-Key": key()}
    refused = httpx.post(f"{url}/api/v1/tenants", json=body, headers=other, timeout=60)
    assert refused.status_code == 409, "it had been done"
