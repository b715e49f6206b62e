"""The description of the interface shows its operations where no other host can be reached."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.slow

ADDRESSES = ("/docs", "/redoc")


@pytest.mark.parametrize("address", ADDRESSES)
def test_operations_show_without_another_host(shown: Any, chromium: Any, address: str) -> None:
    context = chromium.new_context()
    asked: list[str] = []
    said: list[str] = []

    def guard(route: Any) -> None:
        asked.append(route.request.url)
        if route.request.url.startswith((shown.origin, "data:")):
            route.continue_()
        else:
            route.abort()

    context.route("**/*", guard)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(shown.origin + address)
    page.locator("#interface >> text=Register a model >> visible=true").first.wait_for()
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((shown.origin, "data:"))] == []
    assert said == []
    context.close()


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_script_from_elsewhere_and_none_in_the_page(shown: Any, address: str) -> None:
    answer = shown.browser().get(address)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "//" not in answer.text
