"""What an address carries is heard, or refused with a word."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.test_pages import text

PAGES = [
    *("/", "/models", "/models/flight-delays", "/models/flight-delays/drift", "/approvals"),
    *("/rollouts", "/incidents", "/audit"),
]


@pytest.mark.parametrize("address", PAGES)
def test_a_parameter_that_a_page_does_not_know_is_refused(shown: Any, address: str) -> None:
    answer = shown.browser("mira").get(f"{address}?colour=red")
    said = text(answer)
    assert answer.status_code == 422
    assert "This page has no parameter &#39;colour&#39;" in said
    assert "the parameters of this page are: " in said
    assert f'href="{address}"' in answer.text


def test_one_that_stands_there_twice_is_refused(shown: Any) -> None:
    answer = shown.browser("mira").get("/audit?kind=a&kind=b")
    assert (answer.status_code, "Kind stands there twice" in text(answer)) == (422, True)


@pytest.mark.parametrize("value", ["nothing", "<b>", "aborted%20"])
def test_nothing_was_done_that_cannot_be(shown: Any, value: str) -> None:
    answer = shown.browser("mira").get(f"/?done={value}")
    assert answer.status_code == 422
    assert "<b>'" not in answer.text


@pytest.mark.parametrize("query", ["before=yesterday", "before=2015-01-01", "feature=a%00b"])
def test_one_that_cannot_be_read_is_refused(shown: Any, query: str) -> None:
    answer = shown.browser("mira").get(f"/models/flight-delays/drift?{query}")
    assert answer.status_code == 422
    assert "go back and complete the form" not in text(answer).lower()


def test_who_is_not_logged_in_does_that_first_and_is_then_told(shown: Any) -> None:
    answer = shown.browser().get("/models?colour=red")
    assert answer.headers["location"] == "/login?next=%2Fmodels%3Fcolour%3Dred"
    assert shown.browser().get("/login?colour=red").status_code == 422
