"""Every page in its states, looked at by axe in a real browser, in both schemes and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.web import drifted
from tests.web.conftest import World, opened
from tests.web.looks import complaints, unseen_focus

from trimtab.identity import service as identity
from trimtab.identity import standing
from trimtab.kernel.actor import system
from trimtab.remediation import kill_switches
from trimtab.remediation.switches import Scope
from trimtab.rollouts import store as rollouts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    },
    "resultTypes": ["violations"],
}
AXE = Axe().axe_script
SIZES = {"wide": (1280, 900), "narrow": (360, 780)}
FLIGHTS = "/models/flight-delays"
OPEN_ALL = "() => document.querySelectorAll('details').forEach((each) => { each.open = true; })"
FILLED = {
    "mira": [
        *("/", "/models", FLIGHTS, f"{FLIGHTS}/versions/1.4.0", f"{FLIGHTS}/versions/1.1.0"),
        *(f"/models/{drifted.MODEL}/drift", f"/models/{drifted.MODEL}/drift?tenant=acme"),
        *(f"{FLIGHTS}/drift?feature=distance_miles", "/approvals", "/rollouts", "{rollout}"),
        *("/incidents", "{incident}", "/audit", "/audit/7", "/account", "/switches"),
    ],
    "root": ["/approvals", "/access", "/switches", "/settings", "/rollouts?done=held"],
}
REFUSED = {
    "mira": ["/access", "/nowhere", "/models/none", "/approvals?colour=red"],
    "felix": ["/", "/account"],
    "": ["/login", "/docs/errors"],
}
FRAMELESS = {"/docs/errors"}
"""Of the interface: a document without the frame of the pages, which our own checks look for."""
EMPTY = {
    "mira": ["/", "/models", "/approvals", "/rollouts", "/incidents", "/audit", "/switches"],
    "root": ["/access", "/settings"],
}


class House(NamedTuple):
    """A world, and where its rollout and its incident stand."""

    world: World
    places: dict[str, str]


@pytest.fixture(scope="module")
def filled(
    templates: dict[str, tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Half a year of history, a drift, a switch that is set, a program with keys."""
    for world in opened(templates["told"], tmp_path_factory.mktemp("filled") / "home"):
        incident = drifted.incident(world, drifted.drifted(world))
        with world.parts.records.begin(world.actor("root"), reason="a storm is coming") as work:
            kill_switches.engage(work, Scope.MODEL, "flight-delays")
            account = identity.add_account(
                work, name="till", owner=world.people["root"].id, roles=("endpoint",), tenant=None
            )
            lost, _ = identity.issue_key(work, account)
            identity.issue_key(work, account, default_model="flight-delays")
            identity.revoke_key(work, lost.id)
        with world.parts.records.begin(system("test"), reason="has left") as work:
            standing.disable_person(work, world.people["gil"].id)
        with world.parts.records.look() as reading:
            rollout = rollouts.of_model(reading)[0].id
        yield House(
            world, {"rollout": f"/rollouts/{rollout}", "incident": f"/incidents/{incident.id}"}
        )


@pytest.fixture(scope="module")
def empty(
    templates: dict[str, tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """People and tenants, and nothing else yet."""
    for world in opened(templates["empty"], tmp_path_factory.mktemp("bare") / "home"):
        yield House(world, {})


def visit(chromium: Any, world: World, who: str, size: str) -> Any:
    """A page in a window of this size, in somebody's session."""
    width, height = SIZES[size]
    context = chromium.new_context(
        base_url=world.origin, viewport={"width": width, "height": height}
    )
    for cookie in world.browser(who or None).client.cookies.jar:
        context.add_cookies(
            [{"name": cookie.name, "value": str(cookie.value), "url": world.origin}]
        )
    return context.new_page()


def violations(page: Any) -> list[str]:
    """What axe finds, each with the elements it is about."""
    if not page.evaluate("'axe' in window"):  # half a megabyte, which a page keeps
        page.evaluate(AXE)
    found = page.evaluate("(rules) => axe.run(rules).then((told) => told.violations)", RULES)
    return [
        f"{each['id']} ({each['impact']}): {', '.join(str(n['target']) for n in each['nodes'][:4])}"
        for each in found
    ]


def look_through(chromium: Any, house: House, pages: dict[str, list[str]], size: str) -> list[str]:
    """Everything that axe or we find on these pages, in light and in dark, all laid open."""
    found = []
    for who, addresses in pages.items():
        page = visit(chromium, house.world, who, size)
        for address in addresses:
            page.goto(address.format(**house.places))
            page.evaluate(OPEN_ALL)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                where = f"{who or 'nobody'} {address} {size} {scheme}"
                said = violations(page)
                if address not in FRAMELESS:
                    said += complaints(page)
                found += [f"{where}: {each}" for each in said]
        page.context.close()
    return found


@pytest.mark.parametrize("size", SIZES)
def test_no_page_with_a_history_stands_in_anybodys_way(
    chromium: Any, filled: House, size: str
) -> None:
    assert look_through(chromium, filled, FILLED, size) == []


@pytest.mark.parametrize("size", SIZES)
def test_no_empty_page_does(chromium: Any, empty: House, size: str) -> None:
    assert look_through(chromium, empty, EMPTY, size) == []


@pytest.mark.parametrize("size", SIZES)
def test_no_refusal_does(chromium: Any, filled: House, size: str) -> None:
    assert look_through(chromium, filled, REFUSED, size) == []


def test_a_fresh_key_can_be_read_by_everybody(chromium: Any, filled: House) -> None:
    page = visit(chromium, filled.world, "root", "narrow")
    page.goto("/access")
    page.get_by_text("Add a program").click()
    form = page.locator('form[action="/access/accounts"]')
    form.get_by_label("Name", exact=True).fill("kiosk")
    form.get_by_label("endpoint").check()
    form.get_by_label("Reason").fill("the hall has a kiosk")
    page.get_by_role("button", name="Add this program").click()
    page.get_by_label("The key").wait_for()
    assert page.get_by_label("The key").input_value().startswith("ak_")
    assert violations(page) + complaints(page) == []
    page.context.close()


def test_axe_finds_what_it_is_for(chromium: Any, filled: House) -> None:
    page = visit(chromium, filled.world, "mira", "wide")
    page.goto("/approvals")
    page.evaluate("document.querySelector('textarea').labels[0].remove()")
    assert any(each.startswith("label (critical)") for each in violations(page))
    page.context.close()


@pytest.mark.parametrize("who", ["mira", "root"])
def test_by_the_keyboard_everything_is_reached_and_nothing_holds_on(
    chromium: Any, filled: House, who: str
) -> None:
    page = visit(chromium, filled.world, who, "wide")
    for address in FILLED[who]:
        page.goto(address.format(**filled.places))
        page.keyboard.press("Tab")
        first = page.evaluate("document.activeElement.className")
        assert first == "skip", address
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main", address
        assert unseen_focus(page, steps=400) == [], address
        missed = page.evaluate(UNREACHABLE)
        assert missed == [], address
    page.context.close()


UNREACHABLE = """
() => Array.from(document.querySelectorAll("main a[href], button, select, textarea, summary"))
  .filter((each) => each.checkVisibility() && !each.disabled && each.tabIndex < 0)
  .map((each) => each.outerHTML.slice(0, 100))
"""


def test_nothing_moves_for_whom_motion_is_too_much(chromium: Any, filled: House) -> None:
    page = visit(chromium, filled.world, "mira", "wide")
    page.emulate_media(reduced_motion="reduce")
    page.goto("/approvals")
    moving = page.evaluate(MOVING)
    assert moving == []
    page.context.close()


MOVING = """
() => Array.from(document.querySelectorAll("*")).filter((each) => {
  const style = getComputedStyle(each);
  return style.animationName !== "none"
    || style.transitionDuration.split(",").some((time) => parseFloat(time) > 0);
}).map((each) => each.outerHTML.slice(0, 100))
"""
