"""When a change began, as the report says it: since when, whether it lasts, and by which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.cli.pages import Node
from tests.cli.test_drift_report import Made, made

from trimtab.cli.drift_course import Course, Window, courses, when, where

WEEKS, ROWS = 30, 400


def weeks(signs: str, whole: str = "") -> Course:
    """A course of windows: moved, finding, calm, or too short to be judged."""
    windows = [
        Window(str(i), str(i + 1), None if sign == "?" else 2.0 if sign == "m" else 0.5,
               sign == "m", sign == "f", sign)
        for i, sign in enumerate(signs)
    ]  # fmt: skip
    return Course.of(windows, whole)


@pytest.mark.parametrize(
    ("signs", "whole", "said", "begin"),
    [
        ("..m...mmmm", "moved", "since row 6, 4 windows in a row", "6"),
        ("..m...mm?m?", "moved", "since row 6, 3 windows in a row", "6"),
        ("mmmm", "moved", "since the first window, row 0: all 4 in a row", "0"),
        ("?mmm", "moved", "since the first window, row 1: all 3 in a row", "1"),
        ("ff....fmmm", "moved", "since row 7, 3 windows in a row", "7"),
        ("..ff", "moved", "since row 2, 2 windows in a row", "2"),
        ("..ffmf", "", "since row 2, 4 windows in a row", "2"),
        ("ff..m...", "", "in 3 of 8 windows, last one from row 4", "4"),
        (".......m", "", "in 1 of 8 windows, from row 7", "7"),
    ],
)
def test_a_row_is_the_last_one_that_was_not_broken(
    signs: str, whole: str, said: str, begin: str
) -> None:
    course = weeks(signs, whole)
    assert course.said() == said
    assert course.marked.begin == begin


def test_columns_that_changed_as_a_whole_come_before_noise_that_began_earlier() -> None:
    found = [
        weeks("f......"),
        weeks("...mmmm"),
        weeks("....mmm", "moved"),
        weeks("..m..mm", "moved"),
    ]
    assert sorted(found, key=lambda one: one.order) == [found[2], found[3], found[1], found[0]]


def table(seconds: bool, draw: np.random.Generator) -> pa.Table:
    """Weeks of rows: `taxi` is in seconds from the 20th week on and has gaps in the third;
    `carrier` loses a kind from the tenth on, which is as well so in the reference."""
    week = np.repeat(np.arange(WEEKS), ROWS)
    taxi = np.round(draw.gamma(8.0, 2.0, week.size))
    if seconds:
        taxi = np.where(week >= 20, 60 * taxi, taxi)
        taxi[(week == 2) & (draw.random(week.size) < 0.4)] = np.nan
    kinds = draw.choice(["a", "b", "c"], week.size, p=[0.6, 0.28, 0.12])
    carrier = np.where((week >= 10) & (kinds == "c"), "a", kinds)
    day = np.datetime64("2024-01-01") + 7 * week
    return pa.table({"taxi": taxi, "carrier": carrier, "day": day})


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Made:
    draw = np.random.default_rng(11)
    sides = table(False, draw), table(True, draw)
    return made(tmp_path_factory.mktemp("taxi"), *sides, time="day", window="1w")


def figures(page: Node) -> dict[str, Node]:
    return {one.one("bdi").text: one for one in page.one("section", id="when").all("figure")}


def test_the_change_that_stayed_is_named_and_not_the_first_window_that_was_odd(
    flown: Made,
) -> None:
    section = flown.page.one("section", id="when")
    assert section.one("p").text == "taxi: since 2024-05-20, 10 windows in a row."
    assert "taxi: since 2024-05-20" in flown.page.one("dl", "facts").text
    card = flown.card("taxi").one("p", "why").text
    assert "Changed since 2024-05-20, 10 windows in a row: scaled Wasserstein" in card
    assert "lack a value" not in card.split("Changed since")[1]
    figure = figures(flown.page)["taxi"]
    assert figure.one("svg", "flag").text == "2024-05-20"
    assert figure.one("p").text.startswith("scaled Wasserstein")
    assert next(iter(figures(flown.page))) == "taxi"


def test_a_column_that_is_the_same_but_has_changed_windows_is_explained(flown: Made) -> None:
    assert flown.told["features"]["carrier"]["verdict"] == "pass"
    assert "the same as a whole" in figures(flown.page)["carrier"].one("figcaption").text
    said = flown.page.one("section", id="when").one("p", "lede").text
    assert "carrier is the same as a whole and changed in some windows" in said
    assert "limits of its own" in said


def test_detectors_name_the_window_by_its_date(flown: Made) -> None:
    (vote,) = [
        v for v in flown.told["features"]["taxi"]["votes"] if v["detector"] == "page_hinkley"
    ]
    number = int(vote["reason"].split("window ")[1].split(",")[0])
    begin = flown.told["parts"][number - 1]["begin"][:10]
    (row,) = [r for r in flown.card("taxi").all("tr") if r.one("th").text == "page hinkley"]
    assert f"by window {number} (from {begin})" in row.text


def test_votes_are_counted_beside_those_that_are_needed(flown: Made) -> None:
    told = {**flown.told, "limits": {"min_votes": 1.5}}
    told["features"] = {"taxi": {**told["features"]["taxi"], "votes_cast": 2.5}}
    from trimtab.cli.drift_columns import _answers

    assert "2.5 votes of the 1.5 needed" in _answers(told["features"]["taxi"], told["limits"])


def test_nothing_is_asked_about_time_where_there_are_segments_only_or_nothing_changed(
    tmp_path: Path,
) -> None:
    draw = np.random.default_rng(5)
    before, now = table(False, draw), table(True, draw)
    only = ["taxi", "carrier"]
    by = made(tmp_path, before.select(only), now.select(only), by="carrier")
    assert not [s for s in by.page.all("section") if s.attributes.get("id") == "when"]
    calm = made(tmp_path, before.select(only), before.select(only))
    assert not [s for s in calm.page.all("section") if s.attributes.get("id") == "when"]
    plain = made(tmp_path, before.select(only), now.select(only))
    assert len(plain.page.one("section", id="when").one("p").text) < 110


def test_the_limits_of_windows_and_segments_are_named(flown: Made) -> None:
    parts = {"ks_d": 0.2, "wasserstein_scaled": 0.45, "category_mass": 0.25}
    named = "(D 0.2, scaled Wasserstein 0.45, category mass 0.25)"
    told: dict[str, Any] = {**flown.told, "limits": {"parts": parts}}
    assert f"the line is the limit {named}" in when(told, courses(told))
    told["parts"] = [{**part, "segment": "north"} for part in told["parts"]]
    assert f"in units of its limit {named}" in where(told, list(told["features"]))
    assert named not in when(flown.told, courses(flown.told))


def test_one_finding_is_one() -> None:
    from trimtab.cli.drift_report import _kinds

    features = {"a": {"moved": True}, "b": {"moved": False}, "c": {"moved": True}}
    assert _kinds(features, "ab") == " 1 has moved, 1 has a structural finding."
    assert _kinds(features, "abc") == " 2 have moved, 1 has a structural finding."


def test_windows_without_a_change_are_no_beginning(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    calm = {"a": draw.normal(size=4000)}
    found = made(tmp_path, pa.table(calm), pa.table({"a": draw.normal(size=4000)}), window="1000")
    section = found.page.one("section", id="when")
    assert section.one("h2").text == "Over time"
    assert "No column has changed in any of them" in section.text
