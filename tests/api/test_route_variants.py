"""However an address is spelt, and whatever a header says, the decision is the same."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from tests.api.neighbours import OURS, THEIRS, Belongings, Street
from tests.api.residents import Resident, resident, with_session
from tests.api.test_route_matrix import READING, names_something, template
from tests.api.test_tenants_routes import ARROW, CHANGES, EXCEPTIONS, OBJECTS, fill

from trimtab.api.table import Entry, table_of
from trimtab.identity.demands import Reach
from trimtab.identity.roles import PERMISSIONS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unbraked")]

ANSWERED = (200, 201, 202, 204, 206)
OVERRIDES = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")


@pytest.fixture(scope="module")
def table(street: Street) -> list[Entry]:
    """Every route of the interface and the pages that demands something."""
    found = table_of(street.world.app.routes)
    return [entry for entry in found if not entry.open and entry.name not in EXCEPTIONS]


@pytest.fixture(scope="module")
def fleet(street: Street) -> Iterator[Resident]:
    """Somebody of the fleet who may do everything."""
    made = with_session(street, street.world.people["all-None"], PERMISSIONS)
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def ours(street: Street) -> Iterator[Resident]:
    """Somebody of a tenant who may do everything."""
    made = with_session(street, street.world.people[f"all-{OURS}"], PERMISSIONS)
    yield made
    made.client.close()


def address_of(entry: Entry, b: Belongings) -> str:
    """The address of a route, filled with what somebody has."""
    if entry.method in READING:
        return fill(template(entry), b)
    return CHANGES[entry.name](b).address


def raw(origin: str, method: str, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """A request whose target is sent as it is spelt: clients like to tidy it up."""
    address = urlsplit(origin)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in {"Content-Length": "0", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def spellings(path: str) -> dict[str, str]:
    """Other spellings of one address."""
    head, _, last = path.rpartition("/")
    return {
        "a slash at the end": path + "/",
        "two slashes in front": "/" + path,
        "two slashes within": head + "//" + last,
        "an escaped slash": head + "%2f" + last,
        "an escaped slash, upper case": head + "%2F" + last,
        "upper case": path.upper(),
        "a dot": head + "/./" + last,
        "two dots": head + "/x/../" + last,
        "a parameter of the path": path + ";x=1",
        "an escaped letter": head + "/%" + f"{ord(last[0]):02x}" + last[1:] if last else path,
    }


def test_no_spelling_of_an_address_opens_it_to_whom_it_is_closed(
    street: Street, table: list[Entry]
) -> None:
    """Nobody at all, and somebody known without the permission: `feed` may next to nothing."""
    nobody = Resident("nobody", None, None, {}, None, "", street.world.origin)
    powerless = resident(street, "feed", OURS)
    before, wrong = street.everything(), []
    for entry in table:
        path, _, query = address_of(entry, street.of[OURS]).partition("?")
        for how, spelt in spellings(path).items():
            target = spelt + (f"?{query}" if query else "")
            for who in (nobody, powerless):
                if who is powerless and entry.permission == "labels:write":
                    continue
                status, body = raw(who.origin, entry.method, target, who.headers)
                if status in ANSWERED:
                    wrong.append(f"{who.name}: {entry.method} {target} ({how}): {status} {body!r}")
    powerless.client.close()
    nobody.client.close()
    assert not wrong, "\n".join(wrong)
    assert street.everything() == before


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "get"])
def test_another_method_is_refused_to_everybody(
    street: Street, table: list[Entry], fleet: Resident, method: str
) -> None:
    """A route answers its own methods; there is no HEAD that reads without its permission."""
    known: dict[str, set[str]] = {}
    for entry in table:
        known.setdefault(entry.path, set()).add(entry.method)
    before = street.everything()
    for entry in table:
        if method not in known[entry.path]:
            target = address_of(entry, street.of[OURS])
            status, _ = raw(fleet.origin, method, target, fleet.headers)
            assert status in (400, 404, 405), f"{method} {target}: {status}"
    assert street.everything() == before


def test_a_word_about_another_method_is_not_heard(
    street: Street, table: list[Entry], fleet: Resident
) -> None:
    """A request is what its first line says, whatever headers and parameters say besides."""
    before, heard = street.everything(), 0
    reading = {entry.path for entry in table if entry.method == "GET"}
    for entry in table:
        if entry.method in READING or entry.page or entry.path not in reading:
            continue
        target = address_of(entry, street.of[OURS])
        plain = raw(fleet.origin, "GET", target, fleet.headers)[0]
        for name in OVERRIDES:
            said = {**fleet.headers, name: entry.method}
            assert raw(fleet.origin, "GET", target, said)[0] == plain
        joined = "&" if "?" in target else "?"
        asked = target + joined + urlencode({"_method": entry.method})
        assert raw(fleet.origin, "GET", asked, fleet.headers)[0] == 422
        heard += 1
    assert heard > 4
    assert street.everything() == before


FORMS = {
    "POST /api/v1/models/{model}/versions": ("artifact", "reference", "holdout"),
    "POST /api/v1/inventory/records/{record}/intake": ("reference", "holdout"),
}
"""What takes a form, and the files that it takes."""


def form_of(*files: str) -> bytes:
    """A form that has all its parts."""
    part = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    parts = [part.format("metadata", "", "{}")]
    parts += [part.format(file, '; filename="a"', "a") for file in files]
    return ("".join(parts) + "--x--\r\n").encode()


def test_the_header_of_another_tenant_is_refused_by_every_route(
    street: Street, table: list[Entry], ours: Resident, fleet: Resident
) -> None:
    before = street.everything()
    for entry in table:
        if entry.page:
            continue
        target = address_of(entry, street.of[OURS])
        batch = entry.permission in ("labels:write", "predictions:write")
        files = FORMS.get(entry.name, ())
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        kind = ARROW if batch else form if files else {"Content-Type": "application/json"}
        for header in (THEIRS, "", f"{OURS},{THEIRS}", f"{OURS}%20", OURS.upper(), "*", "null"):
            said = {**ours.headers, "X-Tenant-Id": header, **kind}
            sent = form_of(*files) if files else b"{}"
            got = ours.client.request(entry.method, target, headers=said, content=sent)
            assert got.status_code in (403, 422), f"{entry.name} {header!r}: {got.text}"
        said = {**fleet.headers, "X-Tenant-Id": "nowhere", **kind}
        got = fleet.client.request(entry.method, target, headers=said, content=sent)
        assert got.status_code == 404, f"{entry.name}: {got.status_code}"
    assert street.everything() == before


def test_whoever_narrows_themselves_is_a_tenant_for_every_route(
    street: Street, table: list[Entry], fleet: Resident
) -> None:
    """The header takes away: of another tenant nothing is there, of the fleet all is as for it."""
    before = street.everything()
    for entry in table:
        if entry.page or not names_something(entry):
            continue
        b = street.of[THEIRS]
        more: dict[str, Any] = {}
        if entry.method not in READING:
            wanted = CHANGES[entry.name](b)
            more = {"json": wanted.json, **wanted.more}
        said = {**more.pop("headers", {}), "X-Tenant-Id": OURS}
        got = fleet.ask(entry.method, address_of(entry, b), page=False, headers=said, **more)
        fleets = entry.reach in (Reach.FLEET, Reach.ADDED)
        assert got.status_code == (403 if fleets else 404), f"{entry.name}: {got.text}"
    assert street.everything() == before


def test_what_is_anothers_is_answered_in_the_words_of_what_is_not_there(
    street: Street, table: list[Entry], ours: Resident
) -> None:
    """Status and body tell nothing of whether it exists: of every route that names something."""
    compared = 0
    for entry in table:
        if entry.method not in READING or not names_something(entry):
            continue
        theirs = fill(template(entry), street.of[THEIRS])
        absent = fill(template(entry), missing(street.of[THEIRS]))
        if theirs == absent:
            continue
        first, second = (ours.ask("GET", address, page=entry.page) for address in (theirs, absent))
        assert first.status_code == second.status_code == 404, entry.name
        assert bare(first.text, theirs) == bare(second.text, absent), entry.name
        compared += 1
    assert compared > 12


def missing(b: Belongings) -> Belongings:
    """The same, named as nothing is named."""
    known = {part: getattr(b, part) for part in vars(b)}
    for part in (*OBJECTS, "request"):
        if part in known:
            known[part] = 10**9 if part == "sequence" else nowhere(known[part])
    return Belongings(**known)


def nowhere(name: str) -> str:
    """An id or a number of the same form that nothing has."""
    return "88.0.0" if name[0].isdigit() else name[:-4] + ("zzzz" if name[-1].isalpha() else "9998")


def bare(text: str, address: str) -> str:
    """What was answered, without what the caller said themselves."""
    for said in sorted(re.split(r"[/?&=]", address), key=len, reverse=True):
        if len(said) > 2:
            text = text.replace(said, "")
    return re.sub(r'"request_id":"[0-9a-f]{32}"', "", text)


def test_whoever_looks_within_a_tenant_leaves_nothing_behind_there(
    street: Street, table: list[Entry], fleet: Resident
) -> None:
    """Somebody of the fleet narrows themselves for a request: they are no endpoint of that
    tenant for it, and their next request is of the fleet again."""

    def kept() -> dict[str, list[Any]]:
        rows = street.everything()
        return {table: rows[table] for table in rows if table != "ledger_heads"}

    before, looked = kept(), 0
    for entry in table:
        if entry.page or entry.method not in READING or entry.path.endswith("/download"):
            continue
        said = {"X-Tenant-Id": OURS, "X-Endpoint-Id": "till-1"}
        got = fleet.ask("GET", fill(template(entry), street.of[OURS]), page=False, headers=said)
        looked += got.status_code == 200
    assert looked > 20
    assert kept() == before
    whole = fleet.ask("GET", "/api/v1/rollouts", page=False).json()["items"]
    assert {OURS, THEIRS, None} <= {r["tenant"] for r in whole}
