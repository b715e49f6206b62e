"""A real browser: logs in, decides, and finds nothing that the pages' own policy forbids."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from trimtab.approvals import store as approvals

ADDRESSES = [
    *("/", "/models/flight-delays", "/models/flight-delays/versions/1.1.0", "/approvals"),
    *("/rollouts", "/incidents", "/audit", "/docs/errors"),
]
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CUT = (
    "Array.from(document.querySelectorAll('.scroll'))"
    ".some((box) => !box.closest('details') && box.scrollWidth > box.clientWidth + 1)"
)
REACHED = """() => {
  const cut = Array.from(document.querySelectorAll(".scroll"))
    .filter((box) => box.scrollWidth > box.clientWidth);
  return cut.every((box) => box.tabIndex === 0) ? { boxes: cut.length } : null;
}"""


pytestmark = pytest.mark.slow


def log_in(page: Page, origin: str, who: str = "mira") -> None:
    page.goto(origin + "/login")
    page.fill("#email", f"{who}@example.org")
    page.fill("#password", "copper lantern quiet harbour")
    page.keyboard.press("Enter")
    page.wait_for_url(origin + "/")


def test_a_person_logs_in_looks_and_approves(told: Any, chromium: Any) -> None:
    page = chromium.new_page()
    log_in(page, told.origin)
    page.click("text=Look and decide")
    page.fill("textarea[name=reason]", "errors are even over carriers")
    page.click("text=Approve these bytes")
    page.wait_for_selector("text=Your approval is recorded.")
    with told.parts.records.look() as reading:
        votes = approvals.listed(reading)[0].votes
    assert [(v.name, v.reason) for v in votes] == [
        ("Mira Lindqvist", "errors are even over carriers")
    ]


def test_pages_stay_on_this_host_and_within_the_window(shown: Any, chromium: Any) -> None:
    for width in (380, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("console", lambda message, said=said: said.append(message.text))
        log_in(page, shown.origin)
        page.goto(shown.origin + "/rollouts")
        rollout = page.locator("main a[href^='/rollouts/']").last.get_attribute("href")
        for address in (*ADDRESSES, rollout):
            page.goto(shown.origin + address)
            assert not page.evaluate(WIDER), (width, address)
            assert not page.evaluate(CUT), (width, address)
        assert said == []
        assert all(url.startswith(shown.origin) for url in asked)
        page.close()


def test_what_scrolls_once_it_is_unfolded_is_reached_by_keyboard(shown: Any, chromium: Any) -> None:
    page, boxes = chromium.new_page(viewport={"width": 380, "height": 800}), 0
    log_in(page, shown.origin)
    for address in ADDRESSES:
        page.goto(shown.origin + address)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        boxes += page.wait_for_function(REACHED).json_value()["boxes"]
    assert boxes, "nothing here scrolls: this test shows nothing"
    page.close()


def test_keys_lead_to_pages_and_the_theme_is_kept(shown: Any, chromium: Any) -> None:
    page = chromium.new_page()
    log_in(page, shown.origin)
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url(shown.origin + "/approvals")
    page.keyboard.press("?")
    assert page.evaluate("document.getElementById('keys').open")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.goto(shown.origin + "/")
    assert page.evaluate("document.documentElement.dataset.theme") == theme


def test_what_happens_shows_without_a_reload_and_tables_sort(told: Any, chromium: Any) -> None:
    page = chromium.new_page()
    log_in(page, told.origin)
    page.goto(told.origin + "/incidents")
    told.incident("departure_hour has stood still.", tenant="globex")
    page.wait_for_selector("text=departure_hour has stood still.", timeout=15_000)
    page.goto(told.origin + "/models")
    page.click("th >> text=Model")
    page.click("th >> text=Model")
    names = page.locator("#models tbody tr td:first-child b").all_inner_texts()
    assert names == ["seat-demand", "flight-delays"]


def test_a_refusal_stands_still(shown: Any, chromium: Any) -> None:
    page = chromium.new_page()
    log_in(page, shown.origin, "felix")
    page.get_by_role("heading", level=1, name="This is not yours to do").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    assert "not live" not in page.locator("#clock").inner_text()
