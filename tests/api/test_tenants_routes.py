"""No route carries a tenant's credential beyond its tenant: read off the table of routes.

Whoever adds a route that changes something says here what asking for it looks like; a route
that reads is covered by itself, and fails until each part of its address is known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import Request
from fastapi.routing import APIRoute
from tests.api.neighbours import DIGEST, OURS, THEIRS, VACANT, Belongings, Caller, Street
from tests.registering import registration

from trimtab.api.paging import Paging
from trimtab.kernel.errors import Conflict
from trimtab.kernel.ids import TenantId
from trimtab.observations.batches import labels_batch
from trimtab.registry import service, store

pytestmark = pytest.mark.slow

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream", "Idempotency-Key": "batch-1"}
BECAUSE = {"reason": "to see whether it is possible"}
REFUSED = (403, 404)


@dataclass(frozen=True)
class Ask:
    """What asking for a change looks like; a form goes to a page, in a session.

    `shared` says that what it changes belongs to all tenants, whoever is named in it.
    """

    address: str
    json: Any = None
    form: dict[str, str] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    shared: bool = False


NEW_MODEL = {
    "name": "of-our-own",
    "owner": "Ann",
    "label": "late",
    "features": [{"name": "miles", "kind": "numeric"}],
    "risk_facts": {
        "customer_facing": False,
        "pii": False,
        "sensitive_data": False,
        "annual_financial_impact_usd": 0,
        "regulated_domain": False,
        "criticality": "ordinary",
        "reversible": True,
        "environment_cap": "none",
    },
    "reason": "ours alone",
}


def _person(b: Belongings) -> Ask:
    new = {"email": f"new@{b.tenant}.example.org", "name": "New", "roles": ["admin"]}
    password = {"password": "seven unrelated small words", "tenant": b.tenant}
    return Ask("/api/v1/people", json={**new, **password})


def _account(b: Belongings) -> Ask:
    body = {"name": f"new for {b.tenant}", "roles": ["endpoint"], "tenant": b.tenant}
    return Ask("/api/v1/service-accounts", json=body)


def _tenant(b: Belongings, verb: str) -> Ask:
    return Ask(f"/api/v1/tenants/{b.tenant or VACANT}/{verb}", json=BECAUSE, shared=True)


def _standing(b: Belongings, what: str, which: str, verb: str) -> Ask:
    return Ask(f"/api/v1/{what}/{which}/{verb}", json=BECAUSE)


def _version(b: Belongings) -> Ask:
    tenant = "null" if b.tenant is None else f'"{b.tenant}"'
    metadata = (
        f'{{"version": "9.9.9", "cutoff": 0.5, "tenant": {tenant}, "reason": "for somebody"}}'
    )
    files = {name: (name, b"x") for name in ("artifact", "reference", "holdout")}
    form = {"data": {"metadata": metadata}, "files": files}
    return Ask(f"/api/v1/models/{b.model}/versions", more=form)


def _vote(b: Belongings) -> Ask:
    body = {"approve": True, "digest": DIGEST, **BECAUSE}
    return Ask(f"/api/v1/approvals/{b.approval}/votes", json=body)


def _execute(b: Belongings) -> Ask:
    body = {"incident_id": b.incident, "action": "notify_team", **BECAUSE}
    return Ask("/api/v1/remediation/execute", json=body)


def _drift_check(b: Belongings) -> Ask:
    table = {"columns": {"distance_miles": [float(n) for n in range(40)]}}
    both = {"current_data": table, "reference_data": table, "features": ["distance_miles"]}
    body = {"model_id": b.model, **both, "tenant": b.tenant}
    return Ask("/api/v1/monitoring/drift-check", json=body)


def _start(b: Belongings) -> Ask:
    body = {"model": b.model, "version": b.version, **BECAUSE}
    return Ask("/api/v1/rollouts", json=body)


def _switch(b: Belongings) -> str:
    scope = "fleet?name=" if b.tenant is None else f"tenant?name={b.tenant}"
    return f"/api/v1/kill-switches/{scope}"


def _decide(b: Belongings) -> Ask:
    form = {"digest": DIGEST, "decision": "approve", **BECAUSE}
    return Ask(f"/approvals/{b.approval}/decide", form=form)


def _labels(b: Belongings) -> Ask:
    more = {"content": labels_batch(["p-1"], [0], [1]), "headers": ARROW}
    return Ask(f"/api/v1/labels?model={b.model}", more=more, shared=True)


def _let_in(b: Belongings) -> Ask:
    new = {"email": f"page@{b.tenant}.example.org", "name": "New", "roles": "admin", **BECAUSE}
    password = {"password": "seven unrelated small words", "tenant": b.tenant or "-"}
    return Ask("/access/people", form={**new, **password})


def _program(b: Belongings) -> Ask:
    named = {"name": f"page for {b.tenant}", "roles": "endpoint", "tenant": b.tenant or "-"}
    return Ask("/access/accounts", form={**named, **BECAUSE})


def _stop(b: Belongings, verb: str) -> Ask:
    scope = "fleet" if b.tenant is None else f"tenant/{b.tenant}"
    return Ask(f"/switches/{verb}", form={"scope": scope, **BECAUSE})


def _connect(b: Belongings) -> Ask:
    where = f"https://new.{b.tenant or 'fleet'}.example.org"
    return Ask("/api/v1/connections", json={"url": where, "tenant": b.tenant, **BECAUSE})


def _connection(b: Belongings, verb: str) -> Ask:
    return Ask(f"/api/v1/connections/{b.connection}/{verb}", json=BECAUSE)


def _waive(b: Belongings) -> Ask:
    until = {"expires_at": "2027-01-01T00:00:00Z"}
    body = {"rule": "owner-named", "record": b.record, **until, **BECAUSE}
    return Ask("/api/v1/compliance/waivers", json=body)


def _hand_over(b: Belongings) -> Ask:
    body = {"model": b.model, "version": "9.8.0", "tenant": b.tenant, "cutoff": 0.5, **BECAUSE}
    files = {name: (name, b"x") for name in ("reference", "holdout")}
    form = {"data": {"metadata": json.dumps(body)}, "files": files}
    return Ask(f"/api/v1/inventory/records/{b.record}/intake", more=form)


CHANGES: dict[str, Callable[[Belongings], Ask]] = {
    "POST /api/v1/connections": _connect,
    "PATCH /api/v1/connections/{connection}": lambda b: Ask(
        f"/api/v1/connections/{b.connection}", json={"auth": {"kind": "none"}, **BECAUSE}
    ),
    "DELETE /api/v1/connections/{connection}": lambda b: Ask(
        f"/api/v1/connections/{b.connection}?reason=because+of+it"
    ),
    "POST /api/v1/connections/{connection}/pause": lambda b: _connection(b, "pause"),
    "POST /api/v1/connections/{connection}/resume": lambda b: _connection(b, "resume"),
    "POST /api/v1/connections/{connection}/sync": lambda b: _connection(b, "sync"),
    "POST /api/v1/compliance/waivers": _waive,
    "POST /api/v1/inventory/records/{record}/intake": _hand_over,
    "DELETE /api/v1/compliance/waivers/{waiver}": lambda b: Ask(
        f"/api/v1/compliance/waivers/{b.waiver}?reason=because+of+it"
    ),
    "DELETE /api/v1/kill-switches/{scope}": lambda b: Ask(f"{_switch(b)}&reason=because+of+it"),
    "PUT /api/v1/kill-switches/{scope}": lambda b: Ask(_switch(b), json=BECAUSE),
    "PUT /api/v1/log-level": lambda b: Ask(
        "/api/v1/log-level", json={"level": "INFO", "minutes": 1, **BECAUSE}, shared=True
    ),
    "DELETE /api/v1/keys/{key}": lambda b: Ask(f"/api/v1/keys/{b.key}"),
    "DELETE /api/v1/remediation/{remediation}": lambda b: Ask(
        f"/api/v1/remediation/{b.remediation}"
    ),
    "POST /api/v1/approvals/{approval}/votes": _vote,
    "POST /api/v1/approvals/{approval}/withdraw": lambda b: Ask(
        f"/api/v1/approvals/{b.request}/withdraw", json=BECAUSE
    ),
    "POST /api/v1/audit/verify": lambda b: Ask("/api/v1/audit/verify", shared=True),
    "POST /api/v1/clock/step": lambda b: Ask(  # into the past, which nobody can
        "/api/v1/clock/step", json={"to": "2001-01-01T00:00:00Z"}, shared=True
    ),
    "POST /api/v1/labels": _labels,
    "POST /api/v1/models": lambda b: Ask("/api/v1/models", json=NEW_MODEL, shared=True),
    "POST /api/v1/models/{model}/versions": _version,
    "POST /api/v1/people": _person,
    "PUT /api/v1/people/{person}/roles": lambda b: Ask(
        f"/api/v1/people/{b.colleague}/roles", json={"roles": ["auditor"], **BECAUSE}
    ),
    "POST /api/v1/predictions": lambda b: Ask(
        "/api/v1/predictions", more={"content": b"x", "headers": ARROW}, shared=True
    ),
    "POST /api/v1/remediation/execute": _execute,
    "POST /api/v1/rollouts": _start,
    "POST /api/v1/rollouts/{rollout}/hold": lambda b: Ask(
        f"/api/v1/rollouts/{b.rollout}/hold", json=BECAUSE
    ),
    "POST /api/v1/monitoring/drift-check": _drift_check,
    "POST /api/v1/rollouts/{rollout}/resume": lambda b: Ask(
        f"/api/v1/rollouts/{b.rollout}/resume", json=BECAUSE
    ),
    "POST /api/v1/rollouts/{rollout}/abort": lambda b: Ask(
        f"/api/v1/rollouts/{b.rollout}/abort", json=BECAUSE
    ),
    "POST /api/v1/service-accounts": _account,
    "POST /api/v1/tenants": lambda b: Ask(
        "/api/v1/tenants", json={"id": "third", "name": "Third"}, shared=True
    ),
    "POST /api/v1/tenants/{tenant}/disable": lambda b: _tenant(b, "disable"),
    "POST /api/v1/tenants/{tenant}/enable": lambda b: _tenant(b, "enable"),
    "POST /api/v1/people/{person}/disable": lambda b: _standing(b, "people", b.lodger, "disable"),
    "POST /api/v1/people/{person}/enable": lambda b: _standing(b, "people", b.lodger, "enable"),
    "POST /api/v1/people/{person}/end-credentials": lambda b: _standing(
        b, "people", b.lodger, "end-credentials"
    ),
    "PUT /api/v1/people/{person}/password": lambda b: Ask(
        f"/api/v1/people/{b.lodger}/password",
        json={"new_password": "seven unrelated small words", **BECAUSE},
    ),
    "POST /api/v1/service-accounts/{account}/disable": lambda b: _standing(
        b, "service-accounts", b.account, "disable"
    ),
    "POST /api/v1/service-accounts/{account}/enable": lambda b: _standing(
        b, "service-accounts", b.account, "enable"
    ),
    "POST /api/v1/service-accounts/{account}/keys": lambda b: Ask(
        f"/api/v1/service-accounts/{b.account}/keys", json=BECAUSE
    ),
    "POST /api/v1/token-keys": lambda b: Ask("/api/v1/token-keys", json=BECAUSE, shared=True),
    "PUT /api/v1/gateways/{name}": lambda b: Ask(
        "/api/v1/gateways/gate-1", json={"epoch": 1}, shared=True
    ),
    "POST /connections/{connection}/sync": lambda b: Ask(
        f"/connections/{b.connection}/sync", form=BECAUSE
    ),
    "POST /connections/{connection}/messages": lambda b: Ask(
        f"/connections/{b.connection}/messages", form={"secret": "file:hook", **BECAUSE}
    ),
    "POST /connections/{connection}/remove": lambda b: Ask(
        f"/connections/{b.connection}/remove", form=BECAUSE
    ),
    "POST /inventory/{record}/waive": lambda b: Ask(
        f"/inventory/{b.record}/waive",
        form={"rule": "owner-named", "until": "2027-01-01", **BECAUSE},
    ),
    "POST /compliance/end": lambda b: Ask("/compliance/end", form={"waiver": b.waiver, **BECAUSE}),
    "POST /access/people": _let_in,
    "POST /access/people/{person}/disable": lambda b: Ask(
        f"/access/people/{b.person}/disable", form=BECAUSE
    ),
    "POST /access/accounts": _program,
    "POST /access/accounts/{account}/keys": lambda b: Ask(
        f"/access/accounts/{b.account}/keys", form=BECAUSE
    ),
    "POST /access/keys/{key}/revoke": lambda b: Ask(f"/access/keys/{b.key}/revoke", form=BECAUSE),
    "POST /switches/set": lambda b: _stop(b, "set"),
    "POST /switches/clear": lambda b: _stop(b, "clear"),
    "POST /approvals/{approval}/decide": _decide,
    "POST /approvals/{approval}/withdraw": lambda b: Ask(
        f"/approvals/{b.request}/withdraw", form=BECAUSE
    ),
    "POST /audit/verify": lambda b: Ask("/audit/verify", form={}, shared=True),
    "POST /rollouts/{rollout}/hold": lambda b: Ask(f"/rollouts/{b.rollout}/hold", form=BECAUSE),
    "POST /rollouts/{rollout}/resume": lambda b: Ask(f"/rollouts/{b.rollout}/resume", form=BECAUSE),
    "POST /rollouts/{rollout}/abort": lambda b: Ask(f"/rollouts/{b.rollout}/abort", form=BECAUSE),
}

EXCEPTIONS = {
    "POST /api/v1/tokens": "takes address and password themselves, and gives a token for these",
    "POST /api/v1/tokens/exchange": "takes a key, and gives a token for that",
    "POST /api/v1/password": "takes address and password themselves, and changes the latter",
    "POST /api/v1/connections/{connection}/messages": "takes what a registry has signed",
    "POST /api/v1/compliance/preview": "changes nothing: what other rules would say of one's own",
    "POST /login": "the same, and opens a session of whoever they belong to",
    "POST /account/log-out-everywhere": "ends all sessions of whoever sends it",
    "POST /account/password": "takes the present password, and changes that of whoever sends it",
    "POST /account/sessions/{session}/end": "ends a session of whoever sends it, and no other",
    "POST /logout": "ends the session that the caller's own cookie opens",
}

SHARED_READING = {"GET /api/v1/routing": "one table routes for all tenants"}
"""What is read by the fleet alone."""

OBJECTS = (
    "version",
    "number",
    "approval",
    "rollout",
    "incident",
    "remediation",
    "sequence",
    "connection",
    "record",
)
"""Parts of an address that name something that belongs to somebody."""

UNSHOWN = ("svc_", "ak_", "dep_")
"""Ids of accounts, keys and deployments: no answer that reads has them."""

UNSEEN = ("key", "person", "account", "connection", "record", "waiver")
"""What of the fleet a tenant does not see at all."""

NAMED_WITHIN = {
    "POST /api/v1/compliance/waivers": "its body names a record",
    "POST /compliance/end": "its form names a waiver",
}
"""Routes that name what a tenant does not see at all, elsewhere than in their addresses."""

QUERIES = {
    "/inventory": ("?connection={connection}",),
    "/api/v1/connections": ("?removed=true",),
    "/api/v1/inventory": ("?limit=1", "?connection={connection}"),
    "/api/v1/inventory/lineage": ("?node=version:x&connection={connection}",),
    "/api/ml/model/latest": ("?model={model}",),
    "/api/ml/model/download": ("?model={model}&version={version}",),
    "/api/v1/compliance/waivers": ("?limit=1", "?in_force=true"),
    "/compliance": ("?before={waiver}",),
    "/api/v1/approvals": ("?limit=1",),
    "/api/v1/rollouts": ("?model={model}", "?limit=1"),
    "/api/v1/remediation": ("?limit=1",),
    "/api/v1/monitoring/incidents": ("?state=all", "?state=all&limit=1"),
    "/api/v1/monitoring/models/{model}/windows": ("?tenant=" + THEIRS,),
    "/api/v1/audit/entries": ("?limit=1000", "?ref={rollout}", "?ref={incident}"),
    "/audit": ("?tenant=" + THEIRS, "?ref={rollout}"),
    "/models/{name}/drift": ("?tenant=" + THEIRS, "?feature=distance_miles"),
    "/approvals": ("?before={approval}",),
    "/rollouts": ("?before={rollout}",),
    "/incidents": ("?before={incident}",),
}
"""What may be asked with a query, beside the bare address."""


def every_route(street: Street) -> list[tuple[str, APIRoute]]:
    """Every address that the application answers, with its method."""
    found, waiting = list[APIRoute](), list(street.world.app.routes)
    while waiting:
        route = waiting.pop()
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if isinstance(route, APIRoute):
            found.append(route)
        elif inner is not None and hasattr(inner, "routes"):
            waiting += inner.routes
        else:
            assert getattr(route, "path", "") == "/openapi.json", route
    return sorted(
        ((f"{method} {route.path}", route) for route in found for method in route.methods or ()),
        key=lambda pair: pair[0],
    )


def send(street: Street, who: Caller, route: str, ask: Ask) -> httpx.Response | None:
    """Ask for it; None where a program is to send a form, for it has no session."""
    if ask.form is None:
        method = route.split()[0]
        return street.ask(who, method, ask.address, json=ask.json, **ask.more)
    return None if who.browser is None else who.browser.send(ask.address, **ask.form)


def test_every_route_that_changes_something_is_on_the_list(street: Street) -> None:
    changing = {name for name, _ in every_route(street) if not name.startswith(("GET ", "HEAD "))}
    assert len(changing) > 20
    assert changing == set(CHANGES) | set(EXCEPTIONS)


@pytest.mark.parametrize("owner", [None, THEIRS])
@pytest.mark.parametrize("route", CHANGES)
def test_nobody_of_a_tenant_changes_what_is_not_theirs(
    street: Street, route: str, owner: str | None
) -> None:
    before = street.entries(), street.everything()
    ask = CHANGES[route](street.of[owner])
    for who in (street.person, street.program):
        answer = send(street, who, route, ask)
        if answer is None:
            continue
        assert answer.status_code in REFUSED, f"{who.name}: {answer.status_code} {answer.text}"
        if owner is None:
            hidden = any(f"{{{part}}}" in route for part in UNSEEN) or route in NAMED_WITHIN
            assert answer.status_code == 403 or hidden, "it is there, and may be seen"
        if ask.form is None and answer.status_code == 403:
            body = answer.json()
            assert body["code"] == "not_permitted"
            assert len(body["remedy"]) > 8
    assert (street.entries(), street.everything()) == before


@pytest.mark.parametrize("route", ["POST /api/v1/people", "POST /api/v1/service-accounts"])
@pytest.mark.parametrize("owner", [None, THEIRS])
def test_who_adds_for_somebody_else_is_told_which_member_says_so(
    street: Street, route: str, owner: str | None
) -> None:
    answer = send(street, street.person, route, CHANGES[route](street.of[owner]))
    assert answer is not None
    assert answer.json()["field"] == "tenant"


def fill(template: str, b: Belongings) -> str:
    """An address with everything in it that somebody has.

    Raises:
        KeyError: a part of it is not known: say above what it names.
    """
    known = {**vars(b), "name": b.model, "number": b.version}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: str(known[part[1]]), template)


def addresses(street: Street) -> Iterator[tuple[str, Belongings, str]]:
    """Every address that can be read, filled with what the others have."""
    for name, route in every_route(street):
        if name.startswith("GET "):
            for owner in (None, THEIRS):
                for query in ("", *QUERIES.get(route.path, ())):
                    b = street.of[owner]
                    yield name, b, fill(route.path + query, b)


def test_no_answer_shows_anything_of_another_tenant(street: Street) -> None:
    canaries = street.canaries()
    assert len(canaries) > 10
    shown, wrong = 0, []
    for name, b, address in addresses(street):
        theirs = b.tenant == THEIRS and any(f"{{{part}}}" in name for part in OBJECTS)
        for who in (street.person, street.program):
            answer = street.ask(who, "GET", address)
            text = answer.text.casefold()
            seen = {c for c in canaries if c in text and c not in address}
            shown += answer.status_code in (200, 206)
            if seen:
                wrong.append(f"{who.name} {address}: {answer.status_code} shows {seen}")
            at_pages = who.browser is None and not address.startswith("/api/")
            if theirs and answer.status_code != 404 and not at_pages:
                wrong.append(f"{who.name} {address}: {answer.status_code} instead of 404")
            if name in SHARED_READING and answer.status_code != 403:
                wrong.append(f"{who.name} {address}: {answer.status_code} instead of 403")
    assert not wrong, "\n".join(wrong)
    assert shown > 60


def test_the_fleet_is_shown_all_of_it_by_the_same_addresses(street: Street) -> None:
    """Or else the test above would find nothing because there is nothing to find."""
    unseen = street.canaries()
    for name, _whose, address in addresses(street):
        answer = street.ask(street.fleet, "GET", address)
        if any(f"{{{part}}}" in name for part in OBJECTS):
            allowed = {200, 206, 303} | ({404} if "/rca/" in address else set())
            assert answer.status_code in allowed, f"{address}: {answer.status_code}"
        unseen -= {c for c in unseen if c in answer.text.casefold() and c not in address}
    assert not {c for c in unseen if not c.startswith(UNSHOWN)}, "nobody is shown these"


CURSORS = [
    ("/api/v1/approvals", "approval", "apr_none"),
    ("/api/v1/rollouts", "rollout", "rol_none"),
    ("/api/v1/remediation", "remediation", "rem_none"),
    ("/api/v1/monitoring/incidents", "incident", "inc-2001-01-01-001"),
]


@dataclass(frozen=True)
class Row:
    """A row of a list, by its id."""

    id: str


@pytest.mark.parametrize(("path", "noun", "none"), CURSORS)
def test_a_list_does_not_go_on_after_a_row_of_another_tenant(
    street: Street, path: str, noun: str, none: str
) -> None:
    """Not even by a cursor that is made up as one of their own would be."""
    actor = street.world.people[f"all-{OURS}"].actor()
    bare = {"type": "http", "path": path, "query_string": b"", "headers": []}

    def asked(place: str) -> httpx.Response:
        cursor = Paging(Request(bare), 1, None).page(actor, [Row(place)], lambda row: row.id)
        answer = street.ask(street.person, "GET", f"{path}?cursor={cursor}")
        assert answer is not None
        return answer

    theirs, absent = asked(getattr(street.of[THEIRS], noun)), asked(none)
    assert theirs.status_code == absent.status_code == 422
    said = [{**answer.json(), "request_id": ""} for answer in (theirs, absent)]
    assert said[0] == said[1]
    assert asked(getattr(street.of[OURS], noun)).status_code == 200


def test_an_owner_can_only_be_somebody_of_the_tenant(street: Street) -> None:
    for owner in (None, THEIRS):
        body = {"name": f"by {owner}", "roles": ["endpoint"], "owner": street.of[owner].person}
        answer = street.ask(street.person, "POST", "/api/v1/service-accounts", json=body)
        assert answer.status_code == 404
        assert answer.json()["field"] == "owner"


def test_a_number_of_another_tenants_version_tells_nothing_of_it(street: Street) -> None:
    """Numbers are shared by all tenants of a model: that one is taken cannot be hidden."""
    said = set()
    actor = street.world.people[f"all-{OURS}"].actor()
    number = street.of[THEIRS].version
    with street.world.parts.records.look() as reading:
        theirs = store.find_version(reading, street.of[None].model, number)
    assert theirs is not None
    for digest in (theirs.digest, DIGEST):
        given = registration(theirs.model, number, digest, tenant=TenantId(OURS))
        with (
            pytest.raises(Conflict) as refused,
            street.world.parts.records.begin(actor, reason="the same number") as work,
        ):
            service.register_version(work, given)
        said.add((refused.value.message, refused.value.field, refused.value.remedy))
    assert len(said) == 1


def test_what_is_added_belongs_to_the_tenant_of_whoever_adds_it(street: Street) -> None:
    person = {"email": "own@example.org", "name": "Own", "roles": ["feed"]}
    person["password"] = "five unrelated small words"
    answer = street.ask(street.person, "POST", "/api/v1/people", json=person)
    assert (answer.status_code, answer.json()["tenant"]) == (201, OURS)
    account = {"name": "own", "roles": ["endpoint"]}
    answer = street.ask(street.person, "POST", "/api/v1/service-accounts", json=account)
    assert answer.status_code == 201
    own = Caller("own", {"X-Api-Key": answer.json()["key"]}, None)
    assert street.ask(own, "GET", "/api/v1/models").status_code == 200
    other = street.ask(own, "GET", "/api/v1/models", headers={"X-Tenant-Id": THEIRS})
    assert other.status_code == 403


@pytest.mark.parametrize("route", CHANGES)
def test_the_same_request_is_not_refused_to_whom_it_belongs(street: Street, route: str) -> None:
    """What is refused above is refused because of the tenant, and of nothing else. It comes
    last, for it changes things; what a state forbids is a refusal of another kind."""
    for who, owner in ((street.person, OURS), (street.fleet, THEIRS), (street.fleet, None)):
        ask = CHANGES[route](street.of[owner])
        if ask.shared and owner is not None:
            continue
        answer = send(street, who, route, ask)
        assert answer is not None
        assert answer.status_code not in (401, *REFUSED), f"{who.name} for {owner}: {answer.text}"


def test_a_header_that_narrows_the_fleet_narrows_what_it_may_change(street: Street) -> None:
    narrowed = Caller("narrowed", {**street.fleet.headers, "X-Tenant-Id": OURS}, None)
    for route in ("POST /api/v1/tenants", "POST /api/v1/people", "POST /api/v1/models"):
        answer = send(street, narrowed, route, CHANGES[route](street.of[None]))
        assert answer is not None
        assert answer.status_code == 403, answer.text
