"""What a version's page says of what stands in its way, and what its contributors can do."""

from __future__ import annotations

from typing import Any

from trimtab.approvals import store as approvals
from trimtab.approvals.model import Phase
from trimtab.kernel.actor import system
from trimtab.registry import service as registry

MODEL = "flight-delays"


def test_a_version_that_may_go_no_further_says_why(told: Any) -> None:
    version = told.version("2.0.0")
    with told.parts.records.begin(system("intake"), reason="all checks passed") as work:
        registry.hold_version(work, version.id, why="its tier stays out of production; ask")
    page = told.browser("dan").get(f"/models/{MODEL}/versions/2.0.0").text
    assert "its tier stays out of production; ask" in page
    assert "The request is made by itself" not in page
    assert "stays in development" in page


def test_a_contributor_withdraws_a_request_on_the_page_and_nobody_else(told: Any) -> None:
    page = f"/models/{MODEL}/versions/1.4.0"
    with told.parts.records.look() as reading:
        (waiting,) = approvals.listed(reading, phase=Phase.PENDING)
    form = f"/approvals/{waiting.id}/withdraw"
    mira, eve, dan = (told.browser(name) for name in ("mira", "eve", "dan"))
    for other in (mira, eve):
        assert form not in other.get(page).text
        assert other.send(form, reason="not mine at all").status_code == 403
    assert phase(told, waiting.id) is Phase.PENDING
    assert form in dan.get(page).text
    sent = dan.send(form, reason="a better one comes")
    assert (sent.status_code, sent.headers["location"]) == (303, page + "?done=withdrawn")
    assert phase(told, waiting.id) is Phase.WITHDRAWN
    assert form not in dan.get(page).text
    assert "a better one comes" in dan.get(page).text


def phase(told: Any, approval: str) -> Phase:
    with told.parts.records.look() as reading:
        return approvals.get(reading, approval).phase
