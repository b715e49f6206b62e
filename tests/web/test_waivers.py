"""Gaps that somebody answers for: the form, who may send it, what it demands, and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.web import registries
from tests.web.conftest import PASSWORD, World, opened
from tests.web.registries import Stock, stock
from tests.web.test_accessibility import visit
from tests.web.test_pages import text

from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.inventory import store, waiver_store
from trimtab.inventory.waiver_store import Granted
from trimtab.kernel.ids import TenantId
from trimtab.web import waivers
from trimtab.workflows.judging import Judge, grant, revoke

WHY = "the team is being put together, see the minutes"
RULE = "owner-named"


@pytest.fixture
def house(templates: dict[str, tuple[Path, Any]], tmp_path: Path) -> Iterator[tuple[World, Stock]]:
    """Registries, and people who may answer for gaps: of the platform, and of a tenant."""
    for world in opened(templates["empty"], tmp_path / "home"):
        there = stock(world)
        for short, tenant in (("lena", None), ("theo", "globex")):
            with world.parts.records.begin(registries.somebody(world), reason="the cast") as work:
                world.people[short] = identity.add_person(
                    work,
                    email=f"{short}@example.org",
                    name=short.title(),
                    roles=("compliance",),
                    password_hash=hash_password(PASSWORD),
                    tenant=None if tenant is None else TenantId(tenant),
                )
        yield world, there


def day(world: World, days: int) -> str:
    return (world.now + timedelta(days=days)).date().isoformat()


def held(world: World) -> list[Granted]:
    with world.parts.records.look() as reading:
        return waiver_store.listed(reading)


def outcome(world: World, record: str) -> str:
    with world.parts.records.look() as reading:
        entry = store.at(reading, record)
    assert entry is not None
    return next(str(r["outcome"]) for r in entry.compliance["rules"] if r["rule"] == RULE)


def granted(world: World, record: str, **more: Any) -> Granted:
    said = {"rule": RULE, "whole_model": False, "reason": WHY, **more}
    said.setdefault("expires_at", world.now + timedelta(days=30))
    actor = registries.somebody(world)
    return grant(world.parts, actor, Judge(world.parts), record_id=record, **said)


def test_who_may_answers_for_a_gap_until_the_end_of_a_day(house: tuple[World, Stock]) -> None:
    world, there = house
    record, browser = there.records["bare"], world.browser("lena")
    sent = {"rule": RULE, "until": day(world, 30), "reason": WHY}
    answer = browser.send(f"/inventory/{record}/waive", **sent)
    assert answer.headers["location"] == f"/inventory/{record}?done=waived#rules"
    (made,) = held(world)
    assert (made.rule, made.model, made.version) == (RULE, "churn", 3)
    assert (made.granted_by, made.reason) == (world.people["lena"].id, WHY)
    midnight = datetime.fromisoformat(day(world, 31)).replace(tzinfo=UTC)
    assert made.expires_at == midnight
    assert outcome(world, record) == "waived"
    assert f"Lena answers for it until {made.expires_at:%-d %b %Y}" in text(
        browser.get(f"/inventory/{record}")
    )
    browser.send(f"/inventory/{record}/waive", **sent, whole_model="true")
    assert held(world)[-1].version is None


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"reason": " "}, 422),
        ({"reason": "because"}, 422),
        ({"until": ""}, 422),
        ({"until": "soon"}, 422),
        ({"until": "9999-12-31"}, 422),
        ({"until": "2015-01-01"}, 422),
        ({"until": "2016-01-01"}, 422),
        ({"rule": "no-such-rule"}, 422),
        ({"rule": "artifacts-clean"}, 422),
        ({"csrf": "guessed"}, 403),
    ],
)
def test_what_is_no_waiver_is_refused(
    house: tuple[World, Stock], changes: dict[str, str], status: int
) -> None:
    world, there = house
    browser, address = world.browser("lena"), f"/inventory/{there.records['bare']}/waive"
    send = browser.post if "csrf" in changes else browser.send
    fields = {"rule": RULE, "until": day(world, 30), "reason": WHY, **changes}
    assert send(address, **fields).status_code == status
    assert held(world) == []


def test_from_elsewhere_nobody_answers_for_anything(house: tuple[World, Stock]) -> None:
    world, there = house
    browser, address = world.browser("lena"), f"/inventory/{there.records['bare']}/waive"
    fields = {"rule": RULE, "until": day(world, 30), "reason": WHY, "csrf": browser.csrf()}
    answer = browser.post(address, origin="https://evil.example", **fields)
    assert answer.status_code == 403
    assert held(world) == []


@pytest.mark.parametrize(("who", "status"), [("root", 403), ("audrey", 403), ("theo", 404)])
def test_who_may_not_sees_no_form_and_is_refused(
    house: tuple[World, Stock], who: str, status: int
) -> None:
    world, there = house
    browser, address = world.browser(who), f"/inventory/{there.records['bare']}"
    assert "/waive" not in browser.get(address).text
    sent = {"rule": RULE, "until": day(world, 30), "reason": WHY}
    assert browser.send(f"{address}/waive", **sent).status_code == status
    made = granted(world, there.records["bare"])
    answer = browser.send("/compliance/end", waiver=made.id, reason="it is over now")
    assert answer.status_code == status
    assert held(world)[0].revoked_at is None
    assert "End this waiver" not in browser.get("/compliance").text


def test_the_form_offers_gaps_that_can_be_waived_and_only_where_there_is_one_now(
    house: tuple[World, Stock],
) -> None:
    world, there = house
    browser = world.browser("lena")

    def offered(name: str, query: str = "") -> list[str]:
        page = browser.get(f"/inventory/{there.records[name]}{query}").text
        form = re.search(r'<select id="waive-rule".*?</select>', page, re.DOTALL)
        return re.findall(r'<option value="([^"]+)"', form[0]) if form else []

    assert RULE in offered("bare")
    malicious = offered("malicious")
    assert len(malicious) > 3
    assert "artifacts-clean" not in malicious, "nobody can answer for a malicious file"
    assert offered("full", "?as_of=2015-01-08") == []
    assert offered("old") == []
    granted(world, there.records["bare"])
    assert RULE not in offered("bare")


def test_whoever_may_ends_a_waiver_once(house: tuple[World, Stock]) -> None:
    world, there = house
    made, browser = granted(world, there.records["bare"]), world.browser("lena")
    assert "End this waiver" in browser.get("/compliance").text
    sent = {"waiver": made.id, "reason": "the team is there"}
    assert browser.send("/compliance/end", **{**sent, "reason": ""}).status_code == 422
    answer = browser.send("/compliance/end", **sent)
    assert answer.headers["location"] == "/compliance?done=waiver_ended#waivers"
    assert held(world)[0].revoked_at is not None
    assert WHY not in browser.get("/compliance").text
    assert browser.send("/compliance/end", **sent).status_code == 409


def test_waivers_that_count_are_listed_newest_first_however_many_ended_before(
    house: tuple[World, Stock], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, there = house
    record = there.records["bare"]
    for number in range(3):
        old = granted(world, record, reason=f"ended long ago, number {number}")
        revoke(world.parts, registries.somebody(world), old.id, reason="a test")
    granted(world, record, reason="ends tomorrow", expires_at=world.now + timedelta(days=1))
    world.step(days=2)
    for number in range(5):
        granted(world, record, reason=f"counts now, number {number}")
    monkeypatch.setattr(waivers, "_PAGE", 2)
    browser, address, seen = world.browser("root"), "/compliance", list[list[str]]()
    while address:
        page = browser.get(address).text
        seen.append(re.findall(r"counts now, number (\d)", page))
        assert "ended long ago" not in page
        assert "ends tomorrow" not in page
        more = re.search(r'class="button" href="([^"]+)">Older waivers', page)
        address = more[1].replace("&amp;", "&").partition("#")[0] if more else ""
    assert seen == [["4", "3"], ["2", "1"], ["0"]]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_a_person_answers_for_a_gap_in_a_browser_and_ends_it(
    house: tuple[World, Stock], chromium: Any, size: str
) -> None:
    world, there = house
    page = visit(chromium, world, "lena", size)
    page.goto(f"/inventory/{there.records['bare']}")
    page.click("#waive > summary")
    page.select_option("#waive-rule", RULE)
    page.click("text=Answer for it")
    assert page.url.endswith(there.records["bare"]), "without a day and a reason nothing is sent"
    page.fill("#waive-until", day(world, 400))
    page.fill("#waive-reason", WHY)
    page.click("text=Answer for it")
    assert page.url.endswith(there.records["bare"]), "nor with a day that no waiver may end with"
    assert held(world) == []
    page.fill("#waive-until", day(world, 30))
    page.click("text=Answer for it")
    page.wait_for_selector("text=Somebody answers for the gap now")
    assert outcome(world, there.records["bare"]) == "waived"
    page.goto("/compliance#waivers")
    page.click("text=End it")
    page.fill("#end-1", "the team is there")
    page.click("text=End this waiver")
    page.wait_for_selector("text=The waiver counts no more")
    assert [w.revoked_at is not None for w in held(world)] == [True]
    page.context.close()
