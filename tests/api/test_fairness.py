"""One tenant floods, and nobody else waits for it: in which order requests are let in."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from tests.databases import database_for

from trimtab.api.fairness import FLEET, Fairness, Limits
from trimtab.app import Application
from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.ids import TenantId
from trimtab.platform.buckets import Buckets, Pace
from trimtab.platform.metrics import Metrics
from trimtab.platform.settings import Settings

NOISY, QUIET = "noisy", "quiet"
PACES = {"reads": Pace(10, 20), "writes": Pace(1, 4), "uploads": Pace(0.5, 2)}


class Inside:
    """What stands behind the door: notes who comes in, and lets nobody out before the gate is
    open. Whose a credential is stands in it: `tenant/name`."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.gate = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = dict(scope["headers"])[b"x-api-key"].decode()
        tenant = said.partition("/")[0]
        whose = None if tenant == "fleet" else TenantId(tenant)
        actor = Actor(said, ActorKind.SERVICE, whose, frozenset())
        scope.setdefault("state", {})["actor"] = actor
        self.came.append(said)
        await self.gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Door:
    """A door with limits, and a clock of its own."""

    def __init__(self, **changes: Any):
        self.inside = Inside()
        self.inside.gate.set()
        self.seconds = 0.0
        given: dict[str, Any] = {
            "paces": PACES,
            "credential_percent": 50.0,
            "at_a_time": 3,
            "waiting": 500,
        }
        limits = Limits(**(given | changes))
        self.door = Fairness(self.inside, limits, Metrics(), lambda: self.seconds)

    async def ask(
        self, who: str, method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        got: list[Message] = []

        async def send(message: Message) -> None:
            got.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        said = {"x-api-key": who, **{k.replace("_", "-"): v for k, v in headers.items()}}
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": "/",
            "headers": [(k.encode(), v.encode()) for k, v in said.items()],
        }
        await self.door(scope, receive, send)
        named = {k.decode(): v.decode() for k, v in got[0]["headers"]}
        body = got[1]["body"]
        return got[0]["status"], named, json.loads(body) if body else {}

    async def known(self, *who: str) -> None:
        """Everybody has asked before."""
        for one in who:
            assert (await self.ask(one))[0] == 200
        self.inside.came.clear()


def test_a_flood_of_one_tenant_takes_its_own_places_and_nobody_elses() -> None:
    async def flood() -> None:
        plenty = {"reads": Pace(1e6, 1e6)}
        door = Door(paces=plenty)
        noisy = [f"{NOISY}/{n}" for n in range(5)]
        await door.known(*noisy, f"{QUIET}/1")
        door.inside.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            for n in range(200):
                group.start_soon(door.ask, noisy[n % 5])
            await anyio.wait_all_tasks_blocked()
            assert len(door.inside.came) == 3, "whatever credentials it has, it has its places"
            group.start_soon(door.ask, f"{QUIET}/1")
            group.start_soon(door.ask, "fleet/1")
            group.start_soon(door.ask, "never-seen/1")
            await anyio.wait_all_tasks_blocked()
            assert door.inside.came[3:] == [f"{QUIET}/1", "fleet/1", "never-seen/1"]
            door.inside.gate.set()
        assert len(door.inside.came) == 203, "who waited came in after all"
        assert door.inside.came[6:] == [noisy[n % 5] for n in range(3, 200)], "in order"
        assert not door.door._rooms, "an empty room is not kept"

    anyio.run(flood)


def test_who_would_wait_too_long_is_told_so_at_once() -> None:
    async def crowd() -> None:
        door = Door(waiting=2, paces={"reads": Pace(1e6, 1e6)})
        await door.known(f"{NOISY}/1")
        door.inside.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(door.ask, f"{NOISY}/1")
            await anyio.wait_all_tasks_blocked()
            status, headers, body = await door.ask(f"{NOISY}/1")
            assert (status, body["code"]) == (429, "too_many_requests")
            assert headers["x-trimtab-limit"] == "requests at a time"
            door.inside.gate.set()

    anyio.run(crowd)


def test_above_its_pace_a_tenant_is_refused_with_the_limit_and_the_time() -> None:
    async def hurry() -> None:
        door = Door()
        first, second = f"{NOISY}/1", f"{NOISY}/2"
        await door.known(first, second, f"{QUIET}/1")
        for _ in range(2):
            assert (await door.ask(first, "POST"))[0] == 200
        status, headers, body = await door.ask(first, "POST")
        assert status == 429
        assert headers["x-trimtab-limit"] == "writes of one credential"
        assert headers["retry-after"] == "2"
        assert headers["x-trimtab-limit"] in body["detail"]
        assert "2 s" in body["remedy"]
        for _ in range(2):
            assert (await door.ask(second, "POST"))[0] == 200, "the half that is left"
        status, headers, _ = await door.ask(second, "PUT")
        assert (status, headers["x-trimtab-limit"]) == (429, "writes")
        assert (await door.ask(second))[0] == 200, "to look is another limit"
        form = await door.ask(second, "POST", content_type="Multipart/form-data; boundary=x")
        assert form[0] == 200, "to upload is a third"
        assert (await door.ask(f"{QUIET}/1", "POST"))[0] == 200
        door.seconds = 2.0
        assert (await door.ask(first, "POST"))[0] == 200

    anyio.run(hurry)


def test_the_fleet_is_not_limited_also_where_it_narrows_itself() -> None:
    """What somebody of the fleet asks for within a tenant is not that tenant's asking."""

    async def narrowed() -> None:
        door = Door()
        await door.known("fleet/1", f"{NOISY}/1")
        for _ in range(50):
            assert (await door.ask("fleet/1", "POST", x_tenant_id=NOISY))[0] == 200
        assert door.door._tenants[next(iter(door.door._tenants))] == FLEET
        assert (await door.ask(f"{NOISY}/1", "POST"))[0] == 200

    anyio.run(narrowed)


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
    st.floats(0.1, 50),
    st.integers(1, 20),
)
def test_a_bucket_never_gives_more_than_its_burst_and_its_pace(
    pauses: list[float], per_second: float, burst: int
) -> None:
    buckets, pace, now, taken = Buckets(), Pace(per_second, burst), 0.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.wait_seconds("key", pace, now)
        assert wait >= 0
        if wait == 0:
            buckets.take("key", pace, now)
            taken += 1
        else:
            later = copy.deepcopy(buckets)  # a look into the future is one, too
            assert later.wait_seconds("key", pace, now + wait + 1e-6) < 1e-6
    assert taken <= burst + now * per_second + 1e-6


def test_what_is_remembered_has_a_bound() -> None:
    buckets = Buckets(most=10)
    for n in range(1000):
        buckets.take(n, Pace(1, 1), 0.0)
    assert len(buckets._buckets) == 10


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Application]:
    """A control plane whose tenants may ask once a second."""
    made = Application(
        Settings.model_validate(
            {
                "TRIMTAB_HOME": tmp_path / "home",
                **database_for(tmp_path / "home"),
                "TRIMTAB_LIMIT_READS_PER_SECOND": 1,
                "TRIMTAB_LIMIT_BURST_SECONDS": 1,
            }
        )
    )
    yield made
    made.parts.records.database.close()


def test_a_running_control_plane_has_this_door(plane: Application) -> None:
    parts, tokens = plane.parts, {}
    with parts.records.begin(system("test"), reason="the cast") as work:
        identity.create_tenant(work, "acme", "Acme")
    for tenant in ("acme", None):
        with parts.records.begin(system("test"), reason="the cast") as work:
            known = identity.add_person(
                work,
                email=f"ann@{tenant}.example.org",
                name="Ann",
                roles=("auditor",),
                password_hash=hash_password("four unrelated small words"),
                tenant=None if tenant is None else TenantId(tenant),
            )
        tokens[tenant] = identity.token_for(parts.tokens, known)
    app = plane.http()

    async def statuses(tenant: str | None) -> set[int]:
        headers = {"Authorization": f"Bearer {tokens[tenant]}"}
        inside = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=inside, base_url="http://here") as client:
            return {
                (await client.get("/api/v1/models", headers=headers)).status_code for _ in range(8)
            }

    assert anyio.run(statuses, "acme") == {200, 429}
    assert anyio.run(statuses, None) == {200}
