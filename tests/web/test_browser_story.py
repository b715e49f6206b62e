"""A person follows what really happened through the pages, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.chaos.stories import FLIGHTS
from tests.web.lived import Lived, lived
from tests.web.looks import complaints, unseen_focus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LEAD, AUDITOR, NOBODY = "mira@example.org", "aud@example.org", "omar@example.org"
DRIFT = "distance_miles: drift"
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in SIZES]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """One lived-in home for all of these; only the approval changes it. Of the session: a worker
    that takes these tests from another one, with others in between, lives ten days once."""
    with lived(tmp_path_factory.mktemp("lived")) as made:
        yield made


@pytest.fixture
def visit(house: Lived, chromium: Any) -> Iterator[Any]:
    """Log in as somebody; nothing that the browser complains of may stay unheard."""
    contexts: list[Any] = []
    said: list[str] = []

    def begin(email: str, *, scheme: str = "light", size: str = "wide") -> Any:
        width, height = SIZES[size]
        context = chromium.new_context(
            base_url=house.origin,
            color_scheme=scheme,
            viewport={"width": width, "height": height},
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
        page.goto("/login")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(house.passwords[email])
        page.keyboard.press("Enter")
        page.wait_for_url(house.origin + "/")
        return page

    yield begin
    for context in contexts:
        context.close()
    assert said == []


def to_the_incident(page: Any) -> None:
    """From the home page, by links alone."""
    page.get_by_role("link", name=FLIGHTS, exact=True).first.click()
    page.locator("#incidents").get_by_role("link", name=DRIFT).click()
    page.get_by_role("heading", level=1, name=DRIFT).wait_for()


def test_from_the_home_page_to_the_whole_story_of_an_incident(visit: Any) -> None:
    page = visit(LEAD)
    to_the_incident(page)

    why = page.locator("#why").inner_text()
    assert "cause found" in why
    assert "arrives in kilometres, not in miles" in why
    first = why.index("1. data quality fault")
    assert first < why.index("x1.609 is the step from miles to kilometres") < why.index("Against")

    after = page.locator("#next").inner_text()
    plan, remedies = after.split("Remedy 1", 1)
    assert re.search(r"notify team\s+by itself", plan)
    assert re.search(r"retrain model\s+refused", plan)
    assert re.search(r"notify team\s+succeeded", remedies)
    assert re.search(r"retrain model\s+refused", remedies)
    assert "10 of 12 checks passed" in remedies
    assert "retraining on a broken feed makes it worse" in remedies

    told = page.locator("#happened li > span").all_inner_texts()
    order = (
        "Drift confirmed",
        "Incident opened",
        "Diagnosis",
        "Plan drawn up",
        "Permit for notify team signed",
        "Safety gate: notify team is permitted",
        "Begun: notify team",
        "Done: notify team",
        "Resolved",
    )
    oldest_first = [line.split("\n")[0] for line in reversed(told)]
    found = [next(n for n, t in enumerate(oldest_first) if t.startswith(w)) for w in order]
    assert found == sorted(found), oldest_first
    assert not [line for line in oldest_first if "sha256:" in line or "_" in line.split(":")[0]]

    resolved = page.locator(".notice.good").inner_text()
    assert re.search(r"false_positive_rate is within .* windows in a row", resolved)


def test_the_record_is_verified_and_the_answer_is_read(visit: Any) -> None:
    page = visit(AUDITOR)
    page.get_by_role("link", name="Audit", exact=True).click()
    assert "not verified" in page.locator("#verification").inner_text()
    page.get_by_role("button", name="Verify now").click()
    page.get_by_role("status").wait_for()
    answer = page.locator("#verification").inner_text()
    assert re.search(r"whole — every entry is where the tree says", answer)
    entries = int(re.search(r"Read\s+([\d\s\u202f]+) entries", answer)[1].replace("\u202f", ""))  # type: ignore[index]
    assert entries > 150
    page.goto("/")
    record = page.locator("section", has_text="Is the record whole?").last
    assert "whole" in record.locator("dl").inner_text()


def test_what_is_not_ones_own_is_told_on_a_page_and_by_no_button(visit: Any) -> None:
    page = visit(NOBODY)
    page.goto("/audit")
    assert page.get_by_role("button", name="Verify now").count() == 0
    page.goto(f"/models/{FLIGHTS}/versions/1.3.0")
    assert "You cannot decide on this" in page.locator("#decide").inner_text()
    assert page.get_by_role("button", name="Approve these bytes").is_disabled()


def test_by_the_keyboard_alone_a_person_logs_in_and_approves(house: Lived, visit: Any) -> None:
    page = visit(LEAD)

    def tab_to(name: str) -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "document.activeElement.textContent.trim() || document.activeElement.name || ''"
            )
            if at == name:
                return
        raise AssertionError(f"the Tab key does not reach {name}")

    tab_to("Look and decide")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name=f"{FLIGHTS} 1.3.0").wait_for()
    tab_to("reason")
    page.keyboard.type("errors are even over airlines")
    tab_to("Approve these bytes")
    page.keyboard.press("Enter")
    page.get_by_text("Your approval is recorded.").wait_for()
    asked = page.locator("#decide").inner_text()
    assert "Mira Lindqvist said yes" in asked
    assert "errors are even over airlines" in asked


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_every_page_can_be_read_by_everybody(visit: Any, scheme: str, size: str) -> None:
    page = visit(LEAD, scheme=scheme, size=size)
    to_the_incident(page)
    incident = page.url
    page.goto("/rollouts")
    rollout = page.locator("main a[href^='/rollouts/']").first.get_attribute("href")
    addresses = [
        *("/", "/models", f"/models/{FLIGHTS}", f"/models/{FLIGHTS}/versions/1.3.0"),
        *(f"/models/{FLIGHTS}/versions/1.1.0", "/approvals", "/rollouts", rollout),
        *("/incidents", incident, "/audit", "/audit/7", "/audit?kind=never.was"),
    ]
    found = {}
    for address in addresses:
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        if complained := complaints(page):
            found[address] = complained
    assert found == {}


def test_whoever_is_not_logged_in_is_met_by_pages_as_good(house: Lived, chromium: Any) -> None:
    for scheme, size in LOOKS:
        width, height = SIZES[size]
        page = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
        for address in ("/login", "/models/nobody"):
            page.goto(house.origin + address)
            assert complaints(page) == [], address
        page.close()


def test_the_focus_is_always_seen(visit: Any) -> None:
    page = visit(LEAD)
    for address in ("/", f"/models/{FLIGHTS}/versions/1.3.0", "/audit"):
        page.goto(address)
        assert unseen_focus(page) == [], address


SINS = """<title></title><body style="background:#fff"><h1>One</h1><h1>Two</h1><h3>Deep</h3>
<main></main><input name="nameless"><button></button><img src="data:,"><svg></svg>
<table><tr><th>Head</th></tr></table><p id="a" style="color:#888">grey</p><p id="a"></p>
<div style="width:5000px">wide</div>
<div class="scroll" style="width:90px;overflow-x:auto"><div style="width:200px">cut</div></div>
<a href="#" style="outline:none">seen by nobody</a>"""


def test_the_checks_find_what_they_are_for(chromium: Any) -> None:
    page = chromium.new_page()
    page.set_content(SINS)
    told = " | ".join(complaints(page))
    for sin in ("language", "no title", "exactly one h1", "exactly one header", "left out",
                "twice", "no label: nameless", "nothing is said", "no alternative",
                "without a name", "no scope", "contrast 3.5", "wider", "cut off"):  # fmt: skip
        assert sin in told, (sin, told)
    assert any("seen by nobody" in unseen for unseen in unseen_focus(page))
    page.close()
