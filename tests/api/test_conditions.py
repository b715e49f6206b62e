"""Roles on conditions: what they open, what they do not, and who may give them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from tests.api.neighbours import OURS, THEIRS, Street
from tests.api.residents import Resident, with_session
from tests.api.test_route_matrix import READING, ask
from tests.api.test_tenants_routes import EXCEPTIONS
from tests.web.conftest import MODEL, PASSWORD, World

from trimtab.api.table import Entry, table_of
from trimtab.identity import assigning, standing, store
from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.identity.roles import PERMISSIONS, ROLES, Assignment, Role
from trimtab.kernel.actor import system
from trimtab.kernel.errors import Conflict, PolicyRefused
from trimtab.kernel.grants import Conditions
from trimtab.kernel.ids import TenantId
from trimtab.registry import store as registry
from trimtab.registry.model import Model
from trimtab.workflows import permits
from trimtab.workflows.parts import policy_of

pytestmark = pytest.mark.slow

NUMBERS = itertools.count()
BECAUSE = {"reason": "to see whether it is possible"}
UNFULFILLED = {
    "tier": Conditions(tiers=(1,)),
    "status": Conditions(statuses=("archived",)),
    "environment": Conditions(environments=("staging",)),
}
"""What nothing in this house fulfils: its model is of tier 2, and goes to production."""


@pytest.fixture(scope="module")
def table(street: Street) -> list[Entry]:
    """Every route that changes something, or gives out bytes."""
    found = [e for e in table_of(street.world.app.routes) if e.name not in EXCEPTIONS]
    return [e for e in found if not e.open]


def test_a_role_on_conditions_is_described_as_one_that_may_be_given(street: Street) -> None:
    """Somebody who asks by the description alone can give it, and no role that there is not."""
    described = street.world.app.openapi()
    schema = {**described, "$ref": "#/components/schemas/NewPerson"}
    somebody = {"email": "new@example.net", "name": "New", "password": PASSWORD}

    def fits(*roles: object) -> bool:
        return bool(jsonschema_rs.is_valid(schema, {**somebody, "roles": list(roles)}))

    assert fits("ml_lead")
    assert fits("ml_lead", {"role": "auditor", "tiers": [3]})
    for none in ("king", {"role": "king", "tiers": [3]}, 7):
        assert not fits(none)


def holder(street: Street, *roles: Role, tenant: str | None = None) -> Resident:
    """A new person in these roles."""
    parts = street.world.parts
    with parts.records.begin(system("test"), reason="somebody new") as work:
        known = identity.add_person(
            work,
            email=f"somebody-{next(NUMBERS)}@example.net",
            name="Somebody",
            roles=roles,
            password_hash=hash_password(PASSWORD),
            tenant=None if tenant is None else TenantId(tenant),
        )
    return with_session(street, known, PERMISSIONS)


def every_role(conditions: Conditions) -> tuple[Role, ...]:
    return tuple(Assignment(role, conditions) for role in ROLES)


@pytest.mark.parametrize("what", UNFULFILLED)
def test_no_changing_route_forgets_the_conditions_of_a_role(
    street: Street, table: list[Entry], what: str
) -> None:
    """Somebody has every role there is, each on a condition that nothing here fulfils: they may
    look at everything, and change nothing, whichever way they ask."""
    who = holder(street, *every_role(UNFULFILLED[what]))
    before, wrong = decided(street), []
    for entry in table:
        got = ask(who, entry, street.of[None])
        looking = entry.method in READING and not entry.secret
        if not looking and got.status_code != 403:
            wrong.append(f"{entry.name}: {got.status_code} {got.text[:150]}")
        if looking and got.status_code in (401, 403):
            wrong.append(f"{entry.name}: {got.status_code} instead of an answer")
    who.client.close()
    assert not wrong, "\n".join(wrong)
    assert decided(street) == before


def decided(street: Street) -> dict[str, list[Any]]:
    """All rows but those of signed heads: whoever asks for the head has one signed."""
    rows = street.everything()
    return {table: rows[table] for table in rows if table != "ledger_heads"}


def test_a_role_for_one_tenant_is_that_tenants_whatever_is_asked(
    street: Street, table: list[Entry]
) -> None:
    """Of the fleet, but every role holds for `acme` alone: they see and change what it does."""
    who = holder(street, *every_role(Conditions(tenants=(OURS,))))
    wrong, canaries = [], street.canaries()
    for entry in table:
        for owner in (THEIRS, None):
            got = ask(who, entry, street.of[owner])
            if entry.method not in READING and got.status_code not in (403, 404):
                wrong.append(f"{entry.name} of {owner}: {got.status_code}")
            address = str(got.request.url)
            shown = {c for c in canaries if c in got.text.casefold() and c not in address}
            if shown and entry.method in READING:
                wrong.append(f"{entry.name} of {owner} shows {shown}")
    who.client.close()
    assert not wrong, "\n".join(wrong)
    own = holder(street, Assignment("on_call", Conditions(tenants=(OURS,))))
    address = f"/api/v1/rollouts/{street.of[OURS].rollout}/hold"
    assert own.ask("POST", address, page=False, json=BECAUSE).status_code == 200
    elsewhere = own.ask("POST", address, page=False, json=BECAUSE, headers={"X-Tenant-Id": THEIRS})
    assert elsewhere.status_code == 403
    own.client.close()


def test_a_role_for_several_tenants_asks_which_one_is_meant(street: Street) -> None:
    who = holder(street, Assignment("auditor", Conditions(tenants=(OURS, THEIRS))))
    got = who.ask("GET", "/api/v1/rollouts", page=False)
    assert got.status_code == 403
    assert got.json()["field"] == "X-Tenant-Id"
    for tenant in (OURS, THEIRS):
        got = who.ask("GET", "/api/v1/rollouts", page=False, headers={"X-Tenant-Id": tenant})
        assert {r["tenant"] for r in got.json()["items"]} == {tenant, None}
    who.client.close()


def test_on_call_may_take_back_but_not_let_run_above_its_share(street: Street) -> None:
    who = holder(street, Assignment("on_call", Conditions(tiers=(2,), max_traffic_percent=25)))
    address = f"/api/v1/rollouts/{street.of[THEIRS].rollout}"
    assert who.ask("POST", f"{address}/hold", page=False, json=BECAUSE).status_code == 200
    refused = who.ask("POST", f"{address}/resume", page=False, json=BECAUSE)
    assert refused.status_code == 403
    assert "at most 25 % of the traffic" in refused.json()["detail"]
    assert "tiers 2" in refused.json()["detail"]
    form = who.ask("POST", f"/rollouts/{street.of[THEIRS].rollout}/resume", page=True, form=BECAUSE)
    assert form.status_code == 403
    shown = who.ask("GET", f"/rollouts/{street.of[THEIRS].rollout}", page=True).text
    assert "/abort" in shown
    assert "/resume" not in shown
    wide = holder(street, Assignment("on_call", Conditions(tiers=(2,), max_traffic_percent=100)))
    assert wide.ask("POST", f"{address}/resume", page=False, json=BECAUSE).status_code == 200
    assert who.ask("POST", f"{address}/abort", page=False, json=BECAUSE).status_code == 200
    for one in (who, wide):
        one.client.close()


def test_whoever_signs_on_a_condition_signs_only_what_fulfils_it(street: Street) -> None:
    b = street.of[None]
    seen = street.ask(street.fleet, "GET", f"/api/v1/approvals/{b.approval}").json()
    role = seen["steps"][0]["role"]
    vote = {"approve": True, "digest": seen["target"]["digest"], **BECAUSE}
    address = f"/api/v1/approvals/{b.approval}/votes"
    for conditions in (Conditions(tiers=(3, 4)), Conditions(max_traffic_percent=50)):
        who = holder(street, Assignment(role, conditions))
        refused = who.ask("POST", address, page=False, json=vote)
        assert refused.status_code == 403
        assert str(conditions) in refused.json()["detail"]
        inbox = who.ask("GET", "/approvals", page=True).text
        assert "on conditions that this request does not fulfil" in inbox
        who.client.close()
    who = holder(street, Assignment(role, Conditions(tiers=(2,), statuses=("staging",))))
    voted = who.ask("POST", address, page=False, json=vote)
    assert voted.status_code == 200, voted.text
    who.client.close()


def test_a_signature_counts_no_more_once_the_role_does_not_hold_for_it(street: Street) -> None:
    """Roles are looked at again when an approval is used: what somebody signed stays signed,
    and counts while they could sign it now."""
    world = street.world
    version = world.version("5.0.0")
    world.approve(version)
    _, digest = policy_of(world.parts, world_model(street))

    def usable() -> bool:
        with world.parts.records.look() as reading:
            try:
                permits.valid_approval(reading, version, digest, 10.0, reading.now)
            except PolicyRefused as refused:
                return "too few of those who signed may still sign" not in refused.message
        return True

    signer = world.people["mira"]
    assert usable()
    for roles, still in (
        ((Assignment("ml_lead", Conditions(tiers=(3, 4))),), False),
        ((Assignment("ml_lead", Conditions(tiers=(2,))),), True),
        ((Assignment("ml_lead", Conditions(max_traffic_percent=50)),), False),
        (("auditor",), False),
        (("ml_lead",), True),
    ):
        with world.parts.records.begin(world.actor("root"), reason="another job") as work:
            assigning.change_roles(work, signer.id, roles)
        assert usable() is still, roles


def world_model(street: Street) -> Model:
    with street.world.parts.records.look() as reading:
        return registry.model_named(reading, MODEL)


def test_the_last_administrator_of_the_platform_stays(tmp_path: Path) -> None:
    """Whichever way they would go: with fewer rights, on a condition, or altogether."""
    world = World(tmp_path / "home")
    world.application.first_start()
    with world.parts.records.look() as reading:
        (only,) = store.people(reading)
    limited = Assignment("admin", Conditions(tiers=(1,)))
    for roles in (("auditor",), (limited,)):
        with (
            pytest.raises(Conflict, match="last administrator"),
            world.parts.records.begin(system("test"), reason="gone") as work,
        ):
            assigning.change_roles(work, only.id, roles)
    with (
        pytest.raises(Conflict, match="last administrator"),
        world.parts.records.begin(system("test"), reason="gone") as work,
    ):
        standing.disable_person(work, only.id)
    with world.parts.records.begin(system("test"), reason="a second one") as work:
        identity.add_person(
            work,
            email="two@example.net",
            name="Two",
            roles=("admin",),
            password_hash=hash_password(PASSWORD),
        )
        standing.disable_person(work, only.id)
    world.close()


def put(who: Resident, person: str, roles: list[Any]) -> httpx.Response:
    body = {"roles": roles, "reason": "another job"}
    return who.ask("PUT", f"/api/v1/people/{person}/roles", page=False, json=body)


@pytest.fixture(scope="module")
def admin(street: Street) -> Iterator[Resident]:
    made = holder(street, "admin")
    yield made
    made.client.close()


def test_changed_roles_hold_from_the_next_request_on_in_sessions_too(
    street: Street, admin: Resident
) -> None:
    parts = street.world.parts
    with parts.records.begin(system("test"), reason="somebody new") as work:
        known = identity.add_person(
            work,
            email="moves@example.net",
            name="M",
            roles=("ml_lead",),
            password_hash=hash_password(PASSWORD),
        )
    who = with_session(street, known, ROLES["ml_lead"])
    form = {"digest": "sha256:" + "0" * 64, "decision": "approve", **BECAUSE}
    decide = f"/approvals/{street.of[None].approval}/decide"
    before = street.entries()
    limited = {"role": "on_call", "tiers": [3, 4], "max_traffic_percent": 25}
    changed = put(admin, known.id, ["auditor", limited])
    assert changed.json()["roles"] == ["auditor", limited]
    assert street.entries() == before + 1
    assert put(admin, known.id, [limited, "auditor"]).status_code == 200
    assert street.entries() == before + 1, "the same again changes nothing"
    assert who.ask("POST", decide, page=True, form=form).status_code == 403
    entries = admin.ask(
        "GET", "/api/v1/audit/entries?kind=person.roles_changed&limit=1000", page=False
    ).json()["items"]
    told = next(e for e in entries if e["subject"] == known.id)
    assert told["data"]["before"] == ["ml_lead"]
    assert told["data"]["after"] == ["auditor", limited]
    listed = admin.ask("GET", "/api/v1/people", page=False).json()["items"]
    assert next(p for p in listed if p["id"] == known.id)["roles"] == ["auditor", limited]
    page = admin.ask("GET", "/audit?kind=person.roles_changed", page=True)
    assert page.status_code == 200
    who.client.close()


def test_nobody_changes_their_own_roles_through_any_door(street: Street) -> None:
    """Neither as oneself, nor through a program that one answers for."""
    parts = street.world.parts
    with parts.records.begin(system("test"), reason="somebody new") as work:
        known = identity.add_person(
            work,
            email="self@example.net",
            name="S",
            roles=("admin",),
            password_hash=hash_password(PASSWORD),
        )
        account = identity.add_account(
            work, name="of S", owner=known.id, roles=("admin",), tenant=None
        )
        _, text = identity.issue_key(work, account)
    who = with_session(street, known, ROLES["admin"])
    assert put(who, known.id, ["admin", "ml_lead"]).status_code == 403
    who.headers = {"X-Api-Key": text}
    assert put(who, known.id, ["admin", "ml_lead"]).status_code == 403
    who.client.close()


def test_an_administrator_on_a_condition_gives_nobody_more_than_that(street: Street) -> None:
    who = holder(street, Assignment("admin", Conditions(tiers=(4,))))
    assert put(who, street.of[None].colleague, ["admin"]).status_code == 403
    added = who.ask(
        "POST",
        "/api/v1/people",
        page=False,
        json={"email": "x@example.net", "name": "X", "roles": ["admin"], "password": PASSWORD},
    )
    assert added.status_code == 403
    who.client.close()
    of_ours = holder(street, Assignment("admin", Conditions(tenants=(OURS,))))
    assert put(of_ours, street.of[None].colleague, ["auditor"]).status_code == 404
    assert put(of_ours, street.of[OURS].colleague, ["auditor"]).status_code == 200
    of_ours.client.close()


@pytest.mark.parametrize(
    ("roles", "field"),
    [
        (["emperor"], "roles"),
        ([{"role": "emperor", "tiers": [1]}], "roles"),
        ([{"role": "on_call"}], "roles.role"),
        (["on_call", {"role": "on_call", "tiers": [1]}], "roles"),
        ([{"role": "on_call", "tiers": [1]}, {"role": "on_call", "tiers": [2]}], "roles"),
        ([{"role": "on_call", "tiers": [5]}], "roles.tiers"),
        ([{"role": "on_call", "tiers": [1, 1]}], "roles.tiers"),
        ([{"role": "on_call", "statuses": ["No Such Thing"]}], "roles.statuses"),
        ([{"role": "on_call", "tenants": ["nowhere"]}], "roles.tenants"),
    ],
)
def test_a_role_that_cannot_be_given_is_refused_with_the_place(
    street: Street, admin: Resident, roles: list[Any], field: str
) -> None:
    refused = put(admin, street.of[None].colleague, roles)
    assert refused.status_code in (404, 422)
    assert refused.json()["field"] == field


@pytest.mark.parametrize("share", [-1, 101, "25", None, float("inf")])
def test_a_share_that_is_none_is_refused(street: Street, admin: Resident, share: Any) -> None:
    if share == float("inf"):
        body = '{"roles": [{"role": "on_call", "max_traffic_percent": 1e999}], "reason": "reason"}'
        address = f"/api/v1/people/{street.of[None].colleague}/roles"
        kind = {"Content-Type": "application/json"}
        got = admin.ask("PUT", address, page=False, content=body, headers=kind)
    else:
        role = {"role": "on_call", "max_traffic_percent": share}
        got = put(admin, street.of[None].colleague, [role])
    assert got.status_code == 422
