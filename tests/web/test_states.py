"""What a page says when it cannot be shown: what happened, and the way out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import databases
from tests.web.conftest import PASSWORD, World
from tests.web.test_pages import text

from trimtab.identity import service as identity
from trimtab.identity.passwords import hash_password
from trimtab.kernel.actor import system

PAGE_BYTES = 4096


def damage(world: World) -> None:
    """Zeros over every page of the database but the first, as a dying disk leaves them."""
    database = world.parts.records.database
    database.engine.dispose()
    file = Path(str(database.url.database))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = file.read_bytes()
    file.write_bytes(whole[:PAGE_BYTES] + bytes(len(whole) - PAGE_BYTES))


@contextmanager
def silent(world: World) -> Iterator[None]:
    """For a while the database does not answer: a file is damaged, and stays so; a server lets
    nobody in."""
    if world.parts.records.database.is_sqlite:
        damage(world)
        yield
    else:
        with databases.unreachable(world.home):
            yield


@pytest.mark.parametrize("address", ["/", "/models/flight-delays/drift", "/approvals", "/access"])
def test_a_database_that_does_not_answer_is_a_page_with_a_way_out(
    told: World, address: str
) -> None:
    browser = told.browser("root")
    with silent(told):
        answer = browser.get(address)
    said = text(answer)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "A part does not answer just now" in said
    assert "Nothing was changed. Traffic goes on" in said
    assert "Log in" not in said
    assert f'<a class="button main" href="{address}">Try again</a>' in answer.text


def test_a_missing_role_is_named_with_whom_to_ask(shown: World) -> None:
    answer = shown.browser("mira").get("/access")
    said = text(answer)
    assert answer.status_code == 403
    assert "Roles that may are admin , auditor . You hold ML lead." in said
    assert "Ask Administrator, who can give you one" in said


def test_a_tenants_person_is_told_of_their_own_administrators_alone(world: World) -> None:
    said = text(world.browser("tina").get("/access"))
    assert "Ask an administrator of the platform" in said
    assert "Ask Administrator" not in said
    with world.parts.records.begin(system("test"), reason="the cast") as work:
        identity.add_person(
            work,
            email="tom@example.org",
            name="Tom Ito",
            roles=("admin",),
            password_hash=hash_password(PASSWORD),
            tenant=world.people["tina"].tenant,
        )
    assert "Ask Tom Ito, who can" in text(world.browser("tina").get("/access"))


def test_what_is_refused_for_another_reason_names_no_role(shown: World) -> None:
    sent: Any = shown.browser("mira").post("/audit/verify", csrf="x" * 43)
    said = text(sent)
    assert sent.status_code == 403
    assert "Go back, load the page again" in said
    assert "You hold" not in said


def test_where_there_is_nothing_the_lists_are_named(shown: World) -> None:
    answer = shown.browser("mira").get("/models/nothing-like-it")
    assert answer.status_code == 404
    assert 'href="/incidents"' in answer.text.split('<main id="main"')[1]
