"""Who may come in: people, programs, keys, switches, settings, each for those who may."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import SecretStr
from tests.web.conftest import PASSWORD, World
from tests.web.test_pages import text

from trimtab.audit import ledger
from trimtab.identity import service as identity
from trimtab.identity import store as people
from trimtab.identity.passwords import hash_password
from trimtab.kernel.actor import system
from trimtab.kernel.errors import NotAuthenticated
from trimtab.remediation import kill_switches
from trimtab.remediation import store as remediation
from trimtab.remediation.switches import Scope

NEW = {
    "email": "nora@example.org",
    "name": "Nora Vance",
    "password": "paper kettle marble orchard",
    "roles": "ml_lead",
    "reason": "she leads the new team",
}
KEY = re.compile(r'value="(ak_[0-9a-z]{16}\.[A-Za-z0-9_-]{43})"')


def newest(world: World, kind: str) -> Any:
    with world.parts.records.look() as reading:
        found = ledger.entries(reading.connection, kinds=[kind], limit=1, newest_first=True)
    return found[0]


def test_my_account_says_who_i_am_and_what_i_may(shown: World) -> None:
    said = text(shown.browser("mira").get("/account"))
    assert "Mira Lindqvist, of the platform" in said
    assert "approvals:decide" in said
    assert "ends by itself at 20" in said
    assert "People, programs, keys" not in said
    assert "acme" in text(shown.browser("tina").get("/account"))


def test_whoever_may_do_nothing_else_still_sees_their_account(shown: World) -> None:
    assert shown.browser("felix").get("/").status_code == 403
    assert shown.browser("felix").get("/account").status_code == 200


def test_an_administrator_adds_somebody_who_then_logs_in(world: World) -> None:
    sent = world.browser("root").send("/access/people", **NEW)
    assert sent.headers["location"] == "/access?done=person_added"
    entry = newest(world, "person.added")
    assert (entry.data["name"], entry.reason) == ("Nora Vance", NEW["reason"])
    person = identity.authenticate_password(world.parts.records, NEW["email"], NEW["password"])
    assert person.roles == ("ml_lead",)
    page = world.browser("root").get("/access").text
    assert "Nora Vance" in page
    assert NEW["password"] not in page


@pytest.mark.parametrize(
    "changed", [{"reason": ""}, {"name": " "}, {"password": "short"}, {"roles": "king"}]
)
def test_what_cannot_be_taken_adds_nobody(world: World, changed: dict[str, str]) -> None:
    assert world.browser("root").send("/access/people", **{**NEW, **changed}).status_code == 422
    with world.parts.records.look() as reading:
        assert people.person_by_email(reading, NEW["email"]) is None


def test_somebody_is_let_in_no_more(world: World) -> None:
    address = f"/access/people/{world.people['bo'].id}/disable"
    assert world.browser("root").send(address, reason="left the company").status_code == 303
    with pytest.raises(NotAuthenticated):
        identity.authenticate_password(world.parts.records, "bo@example.org", PASSWORD)
    assert "let in no more" in text(world.browser("root").get("/access"))
    assert newest(world, "person.disabled").reason == "left the company"


def test_nobody_locks_themselves_out(world: World) -> None:
    address = f"/access/people/{world.people['root'].id}/disable"
    answer = world.browser("root").send(address, reason="by mistake")
    assert (answer.status_code, "You would lock yourself out" in text(answer)) == (422, True)


def test_a_key_is_shown_once_works_and_is_revoked(world: World) -> None:
    root = world.browser("root")
    page = root.send("/access/accounts", name="till", roles="endpoint", reason="the shop")
    key = KEY.findall(page.text)[0]
    assert page.headers["cache-control"] == "no-store"
    with world.parts.records.look() as reading:
        actor = identity.authenticate_key(reading, key)
    assert (actor.name, actor.may("models:infer")) == ("till", True)
    listed = root.get("/access").text
    number = key.split(".")[0]
    assert number in listed
    assert key.split(".")[1] not in listed
    again = root.send(f"/access/accounts/{actor.id}/keys", reason="a second till")
    assert KEY.findall(again.text)[0] != key
    assert root.send(f"/access/keys/{number}/revoke", reason="it was lost").status_code == 303
    with world.parts.records.look() as reading, pytest.raises(NotAuthenticated):
        identity.authenticate_key(reading, key)
    assert newest(world, "api_key.revoked").reason == "it was lost"
    assert "revoked" in text(root.get("/access"))


@pytest.mark.parametrize("who", ["mira", "dan", "tina"])
@pytest.mark.parametrize("address", ["/access", "/settings"])
def test_who_does_not_manage_sees_nothing_of_it(shown: World, who: str, address: str) -> None:
    assert shown.browser(who).get(address).status_code == 403


@pytest.mark.parametrize("address", ["/access", "/settings"])
def test_an_auditor_looks_at_it_and_is_offered_nothing(shown: World, address: str) -> None:
    answer = shown.browser("audrey").get(address)
    assert answer.status_code == 200
    assert 'action="/access' not in answer.text


FORMS = {
    "/access/people": NEW,
    "/access/accounts": {"name": "till", "roles": "feed", "reason": "the shop"},
    "/access/people/nobody/disable": {"reason": "they left"},
    "/access/accounts/none/keys": {"reason": "a second"},
    "/access/keys/none/revoke": {"reason": "it was lost"},
    "/switches/set": {"scope": "fleet", "reason": "a storm"},
    "/switches/clear": {"scope": "fleet", "reason": "it is over"},
}


@pytest.mark.parametrize("address", FORMS)
def test_a_form_of_who_may_not_changes_nothing(shown: World, address: str) -> None:
    assert shown.browser("mira").send(address, **FORMS[address]).status_code == 403


@pytest.mark.parametrize("address", FORMS)
def test_no_form_without_a_reason_or_from_elsewhere(shown: World, address: str) -> None:
    root = shown.browser("root")
    assert root.send(address, **{**FORMS[address], "reason": " "}).status_code == 422
    csrf = root.csrf()
    foreign = root.post(address, origin="https://evil.example", csrf=csrf, **FORMS[address])
    assert foreign.status_code == 403
    assert root.post(address, csrf="x" * 43, **FORMS[address]).status_code == 403


def tenants_administrator(world: World) -> Any:
    with world.parts.records.begin(system("test"), reason="the cast") as work:
        world.people["tom"] = identity.add_person(
            work,
            email="tom@example.org",
            name="Tom Ito",
            roles=("admin",),
            password_hash=hash_password(PASSWORD),
            tenant=world.people["tina"].tenant,
        )
    return world.browser("tom")


def test_a_tenants_administrator_manages_their_own_alone(world: World) -> None:
    tom = tenants_administrator(world)
    said = text(tom.get("/access"))
    assert "Tina Moreau" in said
    assert "Mira" not in said
    assert "globex" not in said
    assert tom.get("/settings").status_code == 403
    gil = world.people["gil"].id
    assert tom.send(f"/access/people/{gil}/disable", reason="not mine").status_code == 404
    assert tom.send("/access/people", **NEW, tenant="globex").status_code == 403
    assert tom.send("/access/people", **NEW).status_code == 303
    with world.parts.records.look() as reading:
        added = people.person_by_email(reading, NEW["email"])
    assert added is not None
    assert added.tenant == "acme"


def set_now(world: World) -> list[str]:
    with world.parts.records.look() as reading:
        return [str(s) for s in remediation.switches_set(reading)]


def test_remedies_are_stopped_and_go_on_with_a_reason(told: World) -> None:
    root = told.browser("root")
    assert "Nothing is stopped" in text(root.get("/switches"))
    sent = root.send("/switches/set", scope="model/flight-delays", reason="a storm is coming")
    assert sent.headers["location"] == "/switches?done=stopped"
    assert set_now(told) == ["model flight-delays"]
    said = text(root.get("/switches"))
    assert "Remedies of model flight-delays are stopped since" in said
    assert "by Administrator: “a storm is coming”" in said
    assert '<option value="model/flight-delays">' not in root.get("/switches").text
    assert 'href="/switches"' in root.get("/").text
    assert root.send("/switches/clear", scope="model/flight-delays", reason="it is over")
    assert set_now(told) == []
    assert "Kill switch of model flight-delays cleared: it is over" in text(root.get("/switches"))


@pytest.mark.parametrize(
    ("scope", "status"),
    [("", 422), ("planet", 422), ("fleet/x", 422), ("model", 422), ("model/none", 404)],
)
def test_what_is_not_there_is_not_stopped(shown: World, scope: str, status: int) -> None:
    answer = shown.browser("root").send("/switches/set", scope=scope, reason="to be safe")
    assert answer.status_code == status


def test_who_may_not_stop_remedies_still_sees_what_is_stopped(told: World) -> None:
    with told.parts.records.begin(told.actor("root"), reason="a storm") as work:
        kill_switches.engage(work, Scope.FLEET)
    said = text(told.browser("mira").get("/switches"))
    assert "Remedies of the whole fleet are stopped" in said
    assert "You cannot clear it: your roles stop and start no remedies" in said


def test_a_tenant_stops_its_own_and_nobody_elses(told: World) -> None:
    tom = tenants_administrator(told)
    page = tom.get("/switches").text
    assert re.findall(r'<option value="([^"]*)"', page) == ["tenant/acme"]
    for scope, status in (("fleet", 403), ("model/flight-delays", 403), ("tenant/globex", 404)):
        assert tom.send("/switches/set", scope=scope, reason="to be safe").status_code == status
    assert tom.send("/switches/set", scope="tenant/acme", reason="ours").status_code == 303
    assert set_now(told) == ["tenant acme"]


def test_settings_are_told_with_their_source_and_without_secrets(world: World) -> None:
    kept = world.parts.settings.model_copy(
        update={"database_url": SecretStr("postgresql://u:geheim@h/x")}
    )
    object.__setattr__(world.application.parts, "settings", kept)
    page = world.browser("root").get("/settings")
    said = text(page)
    assert "TRIMTAB_HOME" in said
    assert "geheim" not in page.text
    assert "Secrets are never shown" in said
