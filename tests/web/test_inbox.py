"""Approvals: what waits for me lies open with its evidence, and I decide there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.web.conftest import MODEL, World
from tests.web.test_pages import text

from trimtab.approvals import store as approvals
from trimtab.identity import standing
from trimtab.identity import store as people
from trimtab.identity.model import PersonAdded
from trimtab.kernel.actor import system
from trimtab.web.dossiers import compared
from trimtab.web.versions import numbers_of


def inbox(world: World, who: str) -> Any:
    return world.browser(who).get("/approvals")


def mine(world: World, who: str = "mira") -> str:
    """What is laid open for somebody."""
    return str(text(inbox(world, who)).split("Waiting for others")[0])


def test_what_waits_for_me_lies_open_with_its_evidence(shown: World) -> None:
    said = mine(shown)
    assert "1 request waits for you; nothing waits for anybody else" in said
    assert "false positive rate 1.31 % 0.98 % to 1.72 % at most 5.0 % 1.31 %" in said
    assert "precision 74.20 % 71.00 % to 77.00 % at least 50.0 %" in said
    assert "4 of 4 passed" in said
    assert "What changed? Patch, against 1.3.0" in said
    assert "trained because its input drifted on schedule" in said
    assert "commit 4f2c1aa" in said
    assert "Contributors Dan Okafor" in said
    assert "1.2.0 was measured on held-out rows of its own" in said
    assert "Live, the false-positive rate of 1.2.0 is " in said


def test_a_vote_is_put_in_from_the_page_on_the_bytes_that_it_shows(told: World) -> None:
    browser = told.browser("mira")
    page = browser.get("/approvals").text
    action = page.split('<form method="post" action="/approvals/')[1].split('"')[0]
    digest = page.split('name="digest" value="')[1].split('"')[0]
    sent = browser.send(
        f"/approvals/{action}", digest=digest, decision="approve", reason="even over carriers"
    )
    assert sent.status_code == 303
    with told.parts.records.look() as reading:
        newest = approvals.listed(reading)[0]
    assert [vote.name for vote in newest.votes] == ["Mira Lindqvist"]
    after = text(inbox(told, "mira"))
    assert "Nothing waits for a role of yours; 1 request waits for others" in after
    assert "Bo Castellanos" in after
    assert "every person has one vote" in after
    assert "1 request waits for you" in mine(told, "bo")


def test_what_waits_for_others_says_for_whom_and_why_not_for_me(shown: World) -> None:
    said = text(inbox(shown, "root"))
    assert "Your roles (admin) do not decide on approvals" in said
    others = said.split("Waiting for others · 1")[1]
    assert "Mira Lindqvist" in others
    assert "Bo Castellanos" in others
    assert "Tina Moreau" not in others
    assert 'name="decision"' not in inbox(shown, "root").text


def test_whoever_contributed_is_never_among_those_who_could_sign(told: World) -> None:
    with told.parts.records.begin(system("test"), reason="Dan leads now") as work:
        dan = people.person(work, told.people["dan"].id)
        lead = replace(dan, roles=("ml_lead",))
        people.save(work, lead, PersonAdded(dan.id, None, name=dan.name, roles=["ml_lead"]))
    others = text(inbox(told, "root")).split("Waiting for others")[1].split("Decided")[0]
    assert "Mira Lindqvist" in others
    assert "Dan Okafor" not in others
    assert "whoever asked for it or contributed" in text(inbox(told, "dan"))


def test_a_role_that_nobody_holds_is_called_out(told: World) -> None:
    with told.parts.records.begin(system("test"), reason="they have left") as work:
        for name in ("mira", "bo"):
            standing.disable_person(work, told.people[name].id)
    assert "an administrator has to give somebody the role" in text(inbox(told, "root"))


def test_a_tenants_person_learns_no_names_of_others(shown: World) -> None:
    others = text(inbox(shown, "tina")).split("Waiting for others")[1].split("Decided")[0]
    assert "people of the platform" in others
    assert "Mira" not in others


def test_what_is_void_soonest_comes_first(told: World) -> None:
    told.step(hours=30)
    for number in ("1.5.0", "1.6.0"):
        version = told.version(number, parent="1.4.0")
        told.check(version)
        told.ask(version)
        told.step(hours=1)
    page = inbox(told, "mira").text
    titles = [part.split("</a>")[0].split(">")[-1] for part in page.split('<h3 id="asks-')[1:]]
    assert titles == [f"{MODEL} 1.4.0", f"{MODEL} 1.5.0", f"{MODEL} 1.6.0"]


def test_more_than_one_sitting_is_not_laid_open_at_once(
    told: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = told.version("1.5.0", parent="1.4.0")
    told.check(version)
    told.ask(version)
    monkeypatch.setattr("trimtab.web.approvals._DOSSIERS", 1)
    page = inbox(told, "mira")
    assert page.text.count('class="card dossier"') == 1
    assert "Waiting for me · 2" in text(page)
    assert "1 more request that can wait longer is shown once these are decided" in text(page)


def test_a_first_version_has_nothing_to_be_compared_with(world: World) -> None:
    world.model()
    version = world.version("1.0.0")
    world.check(version)
    world.ask(version)
    said = mine(world)
    assert "Nothing is in production in this place" in said
    assert "What changed? First There is no earlier version to compare with." in said


def test_figures_scored_on_the_same_rows_are_compared_on_them() -> None:
    judged = {"name": "false_positive_rate", "value": 0.02, "interval": [0.01, 0.03], "limit": 0.05}
    measured = {
        "rows": 900,
        "metrics": {"false_positive_rate": 0.02, "f1": 0.7, "brier": None},
        "production_metrics": {"false_positive_rate": 0.03, "f1": 0.72},
        "findings": [judged],
    }
    rate, f1 = compared(measured, {"false_positive_rate": 0.9, "f1": 0.9})
    assert (rate.low, rate.high, rate.limit, rate.production) == (0.01, 0.03, 0.05, 0.03)
    assert (rate.difference, f1.difference) == ("-1.00 points, better", "-2.00 points, worse")
    assert rate.gauge is not None
    assert not rate.gauge.over
    assert f1.gauge is None


def test_findings_of_a_check_are_told_one_by_one() -> None:
    finding = {"name": "precision", "value": 0.7, "limit": 0.6, "interval": [0.65, 0.75]}
    told = numbers_of({"findings": [finding], "rows": 900})
    assert [(n.name, n.value, n.limit, n.interval) for n in told] == [
        ("precision", "0.7", "0.6", "0.65 to 0.75"),
        ("rows", "900", None, None),
    ]
