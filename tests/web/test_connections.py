"""What people do to a connection: have its messages believed, and remove it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import World, opened
from tests.web.registries import Stock, stock
from tests.web.test_accessibility import visit
from tests.web.test_inventory import rows
from tests.web.test_pages import text

from trimtab.inventory import connection_store
from trimtab.inventory.model import Connection
from trimtab.workflows import messages

WHY = "they have moved to another server"


@pytest.fixture
def house(templates: dict[str, tuple[Path, Any]], tmp_path: Path) -> Iterator[tuple[World, Stock]]:
    for world in opened(templates["empty"], tmp_path / "home"):
        yield world, stock(world)


def kept(world: World, connection: str) -> Connection:
    with world.parts.records.look() as reading:
        return connection_store.get(reading, connection)


def test_a_page_says_what_to_register_at_the_server(house: tuple[World, Stock]) -> None:
    world, there = house
    address = f"/connections/{there.risk}"
    page = world.browser("audrey").get(address)
    said = text(page)
    assert f"{world.origin}/api/v1/connections/{there.risk}/messages" in said
    assert all(event in said for event in messages.EVENTS)
    assert "Nothing is believed yet" in said
    assert f'action="{address}/messages"' not in page.text
    assert f'action="{address}/remove"' not in page.text


def test_a_secret_is_named_and_never_shown(house: tuple[World, Stock]) -> None:
    world, there = house
    browser, address = world.browser("root"), f"/connections/{there.risk}"
    sent = {"secret": "file:mlflow-webhook", "reason": "it can tell us now"}
    answer = browser.send(f"{address}/messages", **sent)
    assert answer.headers["location"] == f"{address}?done=heard#messages"
    assert kept(world, there.risk).webhook == "file:mlflow-webhook"
    said = text(browser.get(address))
    assert "signed with the secret file:mlflow-webhook are believed" in said
    assert "Nothing is believed yet" not in said


@pytest.mark.parametrize(
    ("who", "form", "fields", "status"),
    [
        ("root", "messages", {"secret": "hunter2-hunter2"}, 422),
        ("root", "messages", {"secret": ""}, 422),
        ("root", "messages", {"secret": "file:x", "reason": " "}, 422),
        ("root", "messages", {"secret": "file:x", "csrf": "guessed"}, 403),
        ("audrey", "messages", {"secret": "file:x"}, 403),
        ("tina", "messages", {"secret": "file:x"}, 403),
        ("root", "remove", {"reason": ""}, 422),
        ("root", "remove", {"csrf": "guessed"}, 403),
        ("audrey", "remove", {}, 403),
        ("tina", "remove", {}, 403),
    ],
)
def test_what_is_no_such_wish_is_refused(
    house: tuple[World, Stock], who: str, form: str, fields: dict[str, str], status: int
) -> None:
    world, there = house
    browser = world.browser(who)
    send = browser.post if "csrf" in fields else browser.send
    answer = send(f"/connections/{there.risk}/{form}", **{"reason": WHY, **fields})
    assert answer.status_code == status
    assert "hunter2" not in answer.text
    left = kept(world, there.risk)
    assert (left.webhook, left.removed_at) == (None, None)


def test_what_was_removed_is_told_apart_and_counts_nowhere(house: tuple[World, Stock]) -> None:
    world, there = house
    browser, address = world.browser("root"), f"/connections/{there.risk}"
    assert f'<option value="{there.risk}"' in browser.get("/inventory").text
    answer = browser.send(f"{address}/remove", reason=WHY)
    assert answer.headers["location"] == f"{address}?done=removed"
    assert kept(world, there.risk).removed_at == world.now
    page = browser.get(address)
    said = text(page)
    assert "It was removed at 2015-01-10 09:00 UTC and is read no more" in said
    assert not re.findall(rf'action="{address}/\w+"', page.text), "nothing can be asked of it"
    assert browser.send(f"{address}/sync", scope="full", reason=WHY).status_code == 409
    listed = browser.get("/connections").text
    assert "1 connection that was removed" in listed
    assert f'<td><a href="{address}"' not in listed
    inventory = browser.get("/inventory").text
    assert rows(inventory) == ["click-rate 1"]
    assert f'<option value="{there.risk}"' not in inventory
    gone = browser.get(f"/inventory?removed=true&connection={there.risk}").text
    assert len(rows(gone)) == 7
    assert "risk-mlflow" in gone
    assert "Its connection was removed at" in text(
        browser.get(f"/inventory/{there.records['full']}")
    )
    assert len(rows(browser.get("/inventory?as_of=2015-01-09").text)) == 8
    exported = browser.get("/inventory/export?format=csv&removed=true")
    assert exported.text.count("risk-mlflow") == 7
    assert "risk-mlflow removed: nobody reads it any more" in text(browser.get("/audit"))


@pytest.mark.slow
def test_a_person_removes_a_connection_in_a_browser(
    house: tuple[World, Stock], chromium: Any
) -> None:
    world, there = house
    page = visit(chromium, world, "root", "narrow")
    page.goto(f"/connections/{there.ads}")
    page.click("text=Remove this connection")
    page.click("text=Remove ads-mlflow")
    assert page.url.endswith(there.ads), "without a reason nothing is sent"
    assert kept(world, there.ads).removed_at is None
    page.fill("#remove-reason", WHY)
    page.click("text=Remove ads-mlflow")
    page.wait_for_selector("text=Its registry is read no more")
    assert kept(world, there.ads).removed_at is not None
    page.context.close()
