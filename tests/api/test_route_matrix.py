"""Every route, asked by every role, for one's own, another tenant's and the fleet's: the answer
is what the table of routes declares, and nothing else.

The table is read off the application. What it declares for a caller is one pure function
(`trimtab.identity.demands.answer`); here it is compared with what a running control plane says.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from tests.api.neighbours import OURS, THEIRS, Belongings, Street
from tests.api.residents import Resident, resident, strangers
from tests.api.test_tenants_routes import CHANGES, EXCEPTIONS, OBJECTS, QUERIES, fill

from trimtab.api.table import Entry, table_of
from trimtab.identity.demands import Answer, Reach, answer
from trimtab.identity.roles import ROLES
from trimtab.kernel.ids import TenantId

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unbraked")]

READING = ("GET", "HEAD")
PERMISSION = re.compile(r"this needs the permission", re.IGNORECASE)
REACH = re.compile(
    "acts for one of them|belongs to the whole fleet|only add what is its own"
    "|people of the platform",
    re.IGNORECASE,
)
"""How a refusal says that it is one of the table's."""

ASKED_FURTHER = {
    "POST /api/v1/approvals/{approval}/votes": "who contributed, or is not waited for, cannot vote",
    "POST /approvals/{approval}/decide": "the same",
    "POST /api/v1/approvals/{approval}/withdraw": "who handed the version in may, nobody else",
    "POST /approvals/{approval}/withdraw": "the same",
    "GET /api/ml/model/download": "who only serves gets what is deployed to it",
    "GET /api/v1/models/{model}/versions/{version}/signature": "the same",
}
"""Routes where having the permission is not all: their own rules may still refuse with 403."""

MAY_BE_EMPTY = {
    "GET /api/v1/analysis/rca/{incident}": "nothing was diagnosed yet",
    "GET /static/{name}": "no file of that name",
    "GET /static/interface/{name}": "no file of that name",
}
"""Routes whose 404 may mean that there is nothing, for whoever may look."""


@pytest.fixture(scope="module")
def table(street: Street) -> list[Entry]:
    """Every route of the running application."""
    found = table_of(street.world.app.routes)
    assert len(found) > 80
    assert [entry.name for entry in found if entry.permission is None] == []
    return found


def ask(who: Resident, entry: Entry, b: Belongings) -> httpx.Response:
    """Ask a route for something of somebody, as its page or its address is asked."""
    if entry.method in READING:
        return who.ask(entry.method, fill(template(entry), b), page=entry.page)
    wanted = CHANGES[entry.name](b)
    return who.ask(
        entry.method,
        wanted.address,
        page=entry.page,
        form=wanted.form,
        json=wanted.json,
        **wanted.more,
    )


def template(entry: Entry) -> str:
    """The address, with the query that it cannot do without."""
    query = QUERIES.get(entry.path, ("",))[0] if entry.path.startswith("/api/ml/") else ""
    return entry.path + query


def names_something(entry: Entry) -> bool:
    """Whether asking names one thing of somebody, and not a list of whatever one may see."""
    if entry.method in READING:
        return any(f"{{{part}}}" in template(entry) for part in OBJECTS)
    return True


def owners(who: Resident, entry: Entry) -> tuple[str | None, ...]:
    """For whom to ask. Without the permission it is all one; what is one's own comes last, for
    it may be changed."""
    if entry.open or entry.permission not in (who.permissions or ()):
        return (who.tenant,)
    return (THEIRS, None, OURS) if who.tenant is not None else (OURS, None)


def declared(who: Resident, entry: Entry, b: Belongings) -> Answer:
    """What the table says that `who` is to be told."""
    assert entry.permission is not None
    owner = None if b.tenant is None else TenantId(b.tenant)
    if not names_something(entry) and entry.reach is not Reach.FLEET:
        owner = who.tenant  # a list leaves out what is not theirs
    return answer(
        entry.permission,
        entry.reach,
        permissions=who.permissions,
        tenant=who.tenant,
        owner=owner,
    )


def told(entry: Entry, got: httpx.Response) -> Answer:
    """What an answer means, in the words of the table."""
    if got.headers.get("location", "").startswith("/login?next="):
        return Answer.NOT_KNOWN
    if got.status_code == 401:
        return Answer.NOT_KNOWN
    if got.status_code == 403:
        of_the_table = PERMISSION.search(got.text) or REACH.search(got.text)
        further = entry.name in ASKED_FURTHER and not of_the_table
        return Answer.ALLOWED if further else Answer.REFUSED
    if got.status_code == 404:
        return Answer.ALLOWED if entry.name in MAY_BE_EMPTY else Answer.NOT_THERE
    return Answer.ALLOWED


def compared(who: Resident, entry: Entry, b: Belongings) -> str | None:
    """How the answer differs from what is declared, or None."""
    expected, got = declared(who, entry, b), ask(who, entry, b)
    found = told(entry, got)
    empty = entry.name in MAY_BE_EMPTY and expected is Answer.NOT_THERE and got.status_code == 404
    if found is expected or empty:
        return None
    said = f"{who.name} asks {entry.name} of {b.tenant or 'the fleet'}"
    return f"{said}: {got.status_code}, declared {expected}: {got.text[:200]}"


@pytest.mark.parametrize("role", ROLES)
def test_every_route_tells_every_role_what_is_declared(
    street: Street, table: list[Entry], role: str
) -> None:
    wrong, allowed, refused = [], 0, 0
    for tenant in (OURS, None):
        who = resident(street, role, tenant)
        for entry in table:
            if entry.name in EXCEPTIONS:
                continue
            for owner in owners(who, entry):
                difference = compared(who, entry, street.of[owner])
                wrong += [] if difference is None else [difference]
                is_allowed = declared(who, entry, street.of[owner]) is Answer.ALLOWED
                allowed += is_allowed
                refused += not is_allowed
        who.client.close()
    assert not wrong, "\n".join(wrong)
    assert allowed > 20
    assert refused > 50


LEDGER_ONLY = {"POST /api/v1/audit/verify", "POST /audit/verify"}
"""Asked with POST for it takes its time; it reads the ledger, and changes nothing."""


def test_an_auditor_is_answered_whatever_is_read_and_refused_whatever_is_changed(
    street: Street, table: list[Entry]
) -> None:
    """All that can be read, but bytes of models and the gateways' table; nothing that changes."""
    role, asked = ROLES["auditor"], 0
    who = resident(street, "auditor", None, email="another-auditor@example.net")
    before = {t: rows for t, rows in street.everything().items() if t != "ledger_heads"}
    for entry in table:
        if entry.open or entry.name in EXCEPTIONS or entry.name in LEDGER_ONLY:
            continue
        reading = entry.method in READING and not entry.secret
        assert (entry.permission in role) is reading, entry.name
        got = told(entry, ask(who, entry, street.of[None]))
        assert got is (Answer.ALLOWED if reading else Answer.REFUSED), entry.name
        asked += 1
    changed = {t: rows for t, rows in street.everything().items() if t != "ledger_heads"}
    who.client.close()
    assert changed == before
    assert asked > 70


def test_whoever_is_not_known_is_told_nothing_by_any_route(
    street: Street, table: list[Entry]
) -> None:
    wrong = []
    for who in strangers(street):
        before = street.everything()
        for entry in table:
            if entry.name in EXCEPTIONS:
                continue
            got = ask(who, entry, street.of[None])
            # A form of nobody's session is refused before anybody asks who it is.
            form = entry.page and entry.method == "POST" and got.status_code == 403
            known = told(entry, got) is not Answer.NOT_KNOWN
            if not entry.open and known and not form:
                wrong.append(f"{who.name}: {entry.name}: {got.status_code} {got.text[:100]}")
        assert street.everything() == before, f"{who.name} changed something"
        who.client.close()
    assert not wrong, "\n".join(wrong)


def test_the_answer_of_the_table_denies_whatever_it_does_not_know() -> None:
    """Without a permission nothing opens; what is another tenant's is never shown or changed."""
    ours, theirs = TenantId(OURS), TenantId(THEIRS)
    for reach in Reach:
        for tenant in (ours, None):
            for owner in (ours, theirs, None):
                asked: dict[str, Any] = {"tenant": tenant, "owner": owner}
                nobody = answer("models:read", reach, permissions=None, **asked)
                assert nobody is Answer.NOT_KNOWN
                powerless = answer("models:read", reach, permissions={"models:write"}, **asked)
                assert powerless is Answer.REFUSED
        foreign = answer("a:b", reach, permissions={"a:b"}, tenant=ours, owner=theirs)
        assert (foreign is Answer.ALLOWED) == (reach is Reach.NOBODYS)
