"""What a version's page says of what stands in its way, and what its contributors can do."""

from __future__ import annotations

from typing import Any

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
