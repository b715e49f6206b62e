"""Rollouts: what is moving, on what evidence, and when it can move next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.web.conftest import World
from tests.web.test_pages import text

from trimtab.rollouts import store as rollouts
from trimtab.rollouts.model import Rollout
from trimtab.web.words import moment


def moving(world: World) -> Rollout:
    with world.parts.records.look() as reading:
        return rollouts.unsettled(reading)[0]


def motion(world: World, who: str = "mira") -> str:
    return str(text(world.browser(who).get("/rollouts")).split("Settled")[0])


def test_what_moves_says_how_far_it_has_come_and_what_it_still_needs(shown: World) -> None:
    said = motion(shown)
    assert "flight-delays 1.3.0" in said
    assert "0 of 500 outcomes; 500 more events before this step can be judged" in said
    assert "(on the step before)" in said
    assert "of at least 12 h" in said


def test_it_says_the_next_moment_at_which_it_can_grow(told: World) -> None:
    fresh = told.look(moving(told), 60, 6000)
    earliest = fresh.step_since + timedelta(hours=12)
    assert fresh.due_at is not None
    said = motion(told)
    assert f"may grow to 100 % from {moment(max(earliest, fresh.due_at))}" in said
    told.step(days=2)
    assert "may grow to 100 % at the next look" in motion(told)


def test_a_look_at_this_step_counts_and_one_at_the_step_before_does_not(told: World) -> None:
    told.look(moving(told), 3, 180)
    said = motion(told)
    assert "180 of 500 outcomes; 320 more events" in said
    assert "(on the step before)" not in said


def test_it_is_held_from_the_list_with_a_reason(told: World) -> None:
    browser = told.browser("mira")
    page = browser.get("/rollouts").text
    action = page.split('formaction="')[1].split('"')[0]
    assert action.endswith("/hold")
    assert browser.send(action, reason="").status_code == 422
    assert browser.send(action, reason="the holidays begin").status_code == 303
    said = motion(told)
    assert "held" in said
    assert "nothing grows until somebody lets it run on" in said
    assert "Let it run on" in said


def test_who_may_not_operate_reads_why(shown: World) -> None:
    assert "You cannot take hold of it: your roles do not operate rollouts" in motion(shown, "dan")
    assert "you answer for one tenant" in motion(shown, "tina")


def test_where_nothing_moves_the_page_says_how_something_begins(world: World) -> None:
    said: Any = motion(world)
    assert "A rollout begins by itself when a version is approved" in said
    assert "See what waits for an approval" in said
