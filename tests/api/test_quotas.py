"""How much a tenant may have: refused with what it has and what it may have, nothing kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registering import registration
from tests.web.conftest import MODEL, PASSWORD, World

from trimtab.identity import service as identity
from trimtab.identity import standing
from trimtab.identity import store as people
from trimtab.kernel.errors import QuotaExceeded
from trimtab.kernel.ids import Digest, TenantId
from trimtab.registry import service as registry
from trimtab.workflows import quotas

ACME = TenantId("acme")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A house of which a tenant may have next to nothing."""
    made = World(tmp_path / "home")
    made.cast()
    few = {"quota_people": 2, "quota_keys": 1, "quota_versions": 1, "quota_storage_gib": 1}
    parts = replace(made.parts, settings=made.parts.settings.model_copy(update=few))
    made.parts = made.app.state.parts = parts
    yield made
    made.close()


def admin(world: World) -> dict[str, str]:
    known = world.people["root"]
    token = identity.token_for(world.parts.tokens, known)
    return {"Authorization": f"Bearer {token}"}


def test_the_last_person_is_added_and_the_next_is_refused(world: World) -> None:
    client, headers = world.browser().client, admin(world)

    def add(name: str, tenant: str | None) -> tuple[int, dict[str, object]]:
        person = {"email": f"{name}@example.org", "name": name, "roles": ["auditor"]}
        body = {**person, "password": PASSWORD, "tenant": tenant}
        answer = client.post("/api/v1/people", json=body, headers=headers)
        return answer.status_code, answer.json()

    assert add("second", "acme")[0] == 201
    status, problem = add("third", "acme")
    assert (status, problem["code"]) == (409, "quota_exceeded")
    assert "3 people, and may have 2" in str(problem["detail"])
    assert add("of-globex", "globex")[0] == 201, "another tenant's quota is its own"
    assert [add(f"fleet-{n}", None)[0] for n in range(3)] == [201] * 3
    with world.parts.records.begin(world.actor("root"), reason="has left") as work:
        found = people.person_by_email(work, "second@example.org")
        assert found is not None
        assert people.person_by_email(work, "third@example.org") is None, "nothing was kept"
        standing.disable_person(work, found.id)
    assert add("third", "acme")[0] == 201


def test_a_key_that_is_revoked_makes_room_for_another(world: World) -> None:
    client, headers = world.browser().client, admin(world)

    def add(name: str) -> tuple[int, dict[str, str]]:
        body = {"name": name, "roles": ["endpoint"], "tenant": "acme"}
        answer = client.post("/api/v1/service-accounts", json=body, headers=headers)
        return answer.status_code, answer.json()

    first = add("first")
    assert first[0] == 201
    assert add("second")[1]["code"] == "quota_exceeded"
    revoked = client.delete(f"/api/v1/keys/{first[1]['key_id']}", headers=headers)
    assert revoked.status_code == 204
    assert add("second")[0] == 201


def test_versions_and_their_bytes_are_counted_of_the_tenant_alone(world: World) -> None:
    world.model()
    world.version("1.0.0")
    world.version("2.0.0", tenant="globex")
    world.version("3.0.0", tenant="acme")
    settings = world.parts.settings
    with world.parts.records.look() as reading:
        quotas.demand_versions(reading, settings, ACME)
        quotas.demand_versions(reading, settings, None, more=1000)
        with pytest.raises(QuotaExceeded, match="2 versions, and may have 1"):
            quotas.demand_versions(reading, settings, ACME, more=1)
    wider = settings.model_copy(update={"quota_versions": 10})
    with (
        pytest.raises(QuotaExceeded, match="bytes of models, and may have 1073741824"),
        world.parts.records.begin(world.actor("dan"), reason="a large one") as work,
    ):
        given = registration(MODEL, "4.0.0", Digest("sha256:" + "b" * 64), tenant=ACME)
        registry.register_version(work, replace(given, size_bytes=1 << 30))
        quotas.demand_versions(work, wider, ACME)


def test_an_upload_above_the_quota_is_refused_before_a_byte_is_stored(world: World) -> None:
    world.model()
    world.version("1.0.0", tenant="acme")
    blobs = sorted(path for path in (world.home / "blobs").rglob("*") if path.is_file())
    files = {name: (name, b"x") for name in ("artifact", "reference", "holdout")}
    said = '{"version": "1.1.0", "cutoff": 0.5, "tenant": "acme", "reason": "one more"}'
    answer = world.browser().client.post(
        f"/api/v1/models/{MODEL}/versions",
        data={"metadata": said},
        files=files,
        headers=scientist(world),
    )
    assert answer.json()["code"] == "quota_exceeded", answer.text
    assert sorted(p for p in (world.home / "blobs").rglob("*") if p.is_file()) == blobs


def scientist(world: World) -> dict[str, str]:
    known = world.people["dan"]
    token = identity.token_for(world.parts.tokens, known)
    return {"Authorization": f"Bearer {token}"}
