"""The pages of other registries in their states, looked at by axe, in both schemes and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import opened
from tests.web.looks import unseen_focus
from tests.web.registries import stock
from tests.web.test_accessibility import SIZES, UNREACHABLE, House, look_through, visit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FILLED = [
    *("/", "/inventory", "/inventory?text=nothing-has-this-name", "/inventory?as_of=2015-01-06"),
    *("{full}", "{full}?as_of=2015-01-06", "{incomplete}", "{odd}", "{old}"),
    *("/connections", "{risk}", "{risk}/naming", "{ads}", "/compliance"),
]
EMPTY = ["/inventory", "/connections", "/compliance"]


@pytest.fixture(scope="module")
def stocked(
    templates: dict[str, tuple[Path, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Two registries, one that is well and one that fails."""
    for world in opened(templates["empty"], tmp_path_factory.mktemp("stocked") / "home"):
        there = stock(world)
        places = {name: f"/inventory/{record}" for name, record in there.records.items()}
        risk, ads = (f"/connections/{each}" for each in (there.risk, there.ads))
        yield House(world, {**places, "risk": risk, "ads": ads})


@pytest.mark.parametrize("size", SIZES)
def test_no_page_of_the_inventory_stands_in_anybodys_way(
    chromium: Any, stocked: House, size: str
) -> None:
    assert look_through(chromium, stocked, {"root": FILLED}, size) == []


@pytest.mark.parametrize("size", SIZES)
def test_no_empty_page_of_it_does(
    chromium: Any,
    size: str,
    templates: dict[str, tuple[Path, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for world in opened(templates["empty"], tmp_path_factory.mktemp("nothing") / "home"):
        assert look_through(chromium, House(world, {}), {"mira": EMPTY}, size) == []


def test_by_the_keyboard_everything_is_reached(chromium: Any, stocked: House) -> None:
    page = visit(chromium, stocked.world, "root", "wide")
    for address in FILLED:
        page.goto(address.format(**stocked.places))
        assert unseen_focus(page, steps=400) == [], address
        assert page.evaluate(UNREACHABLE) == [], address
    page.keyboard.press("g")
    page.keyboard.press("v")
    page.wait_for_url("**/inventory")
    page.context.close()
