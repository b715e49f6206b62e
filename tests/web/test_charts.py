"""Pictures: drawn without a network, coloured by the style sheet, honest about gaps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import numpy as np
import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.web import charts, evidence, lifeline, lifeline_picture
from trimtab.web.lifeline import Lifeline, Line, Mark, Stretch
from trimtab.web.watching import DriftPoint, Gauge, RatePoint

START = datetime(2015, 1, 1, tzinfo=UTC)


def days(n: Any) -> Any:
    return START + timedelta(days=n)


def drift(n: Any, ratio: Any) -> Any:
    known = ratio is not None
    return DriftPoint(
        f"win_{n}", days(n), days(n + 1), "distance" if known else None,
        "KS distance" if known else None, 0.1, 0.2, ratio, known and ratio > 1, "",
    )  # fmt: skip


def rate(n: Any, value: Any) -> Any:
    return RatePoint(f"win_{n}", days(n), days(n + 1), "1.0.0", value, 0.01, 0.03, 0.05, "pass", "")


def life(**changes: Any) -> Any:
    known = {
        "model": "flights",
        "start": START,
        "end": days(30),
        "lanes": ("1.0.0",),
        "stretches": (Stretch("1.0.0", days(1), days(30), "stable", 100.0, "/models/flights"),),
        "marks": (Mark("incident", days(4), days(8), False, "it moved", "/incidents/x"),),
        "drift": (Line("fleet", tuple(drift(n, 0.3) for n in range(5))),),
        "rates": tuple(rate(n, 0.02) for n in range(5)),
    }
    return Lifeline(**{**known, **changes})


def test_every_colour_of_a_picture_is_one_of_the_style_sheet() -> None:
    drawn = lifeline_picture.draw(life()).wide
    css = (resources.files("trimtab.web") / "static" / "trimtab.css").read_text()
    used = set(re.findall(r"var\(--([a-z-]+)\)", drawn))
    assert {"sea", "ink", "wash-bad", "x-stable"} <= used
    assert all(f"--{name}:" in css for name in used)
    assert "#f1e2" not in drawn


def test_a_picture_of_nothing_says_so_and_is_still_drawn() -> None:
    empty = life(lanes=(), stretches=(), marks=(), drift=(), rates=())
    assert "Its input has not been looked at yet. No outcomes are known yet." in empty.says()
    assert lifeline_picture.draw(empty).wide.startswith("<svg")


def test_what_began_this_very_moment_is_how_it_stands() -> None:
    lane = "1.1.0"
    stretches = (
        Stretch(lane, days(1), days(30), "canary", 50.0, "/"),
        Stretch(lane, days(30), days(30), "stable", 100.0, "/"),
    )
    said = life(lanes=(lane,), stretches=stretches).says()
    assert "1 version, 1 of them released. Now: 1.1.0 stable." in said
    assert lifeline_picture.draw(life(lanes=(lane,), stretches=stretches)).wide.startswith("<svg")


def test_input_that_cannot_be_measured_is_not_said_to_be_unseen() -> None:
    said = life(drift=(Line("fleet", (drift(0, None),)),)).says()
    assert "Its input could not be measured: " in said


def test_a_young_model_has_ticks_that_can_be_told_apart() -> None:
    hours = tuple(rate(0, 0.004) for _ in range(2))
    young = life(end=START + timedelta(hours=20), rates=hours, stretches=(), marks=(), drift=())
    drawn = lifeline_picture.draw(young).wide
    told = re.findall(r"<text[^>]*>([^<]+)</text>", drawn)
    ticks = [word for word in told if word.startswith(("Jan ", "0", "1", "2", "3", "4", "5", "6"))]
    assert len(ticks) == len(set(ticks)), ticks
    assert "1 version, none of them stable yet" in young.says()


def test_names_in_a_picture_are_text_and_nothing_else() -> None:
    hostile = "<script>alert(1)</script>\"'"
    stretch = Stretch(hostile, days(1), days(30), "stable", 100.0, "/models/x")
    drawn = lifeline_picture.draw(life(model=hostile, lanes=(hostile,), stretches=(stretch,))).wide
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn


def test_a_picture_fetches_nothing() -> None:
    spec = {"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "bar", "encoding": {}}
    with pytest.raises(ValueError, match="url"):
        charts.svg(spec, "nothing")


def test_no_line_is_drawn_where_nobody_looked() -> None:
    points = [drift(0, 0.3), drift(1, 0.4), drift(5, 0.2), drift(6, None), drift(7, 0.3)]
    assert lifeline.runs(points) == [0, 0, 1, 1, 2]


def test_the_sentence_counts_moved_windows_and_states_distances() -> None:
    said = life(drift=(Line("fleet", (drift(0, 0.3), drift(1, 1.4))),)).says()
    assert "Input drift was last 1.40 of the smallest change that matters" in said
    assert "1 of 2 windows had moved" in said
    assert "3.00 points below its limit of 5.0 %" in said


@pytest.mark.parametrize(("value", "over"), [(0.05, False), (0.0501, True), (None, False)])
def test_a_gauge_keeps_its_limit_when_the_value_equals_it(value: Any, over: Any) -> None:
    assert Gauge(value, None, None, 0.05).over is over


def test_both_samples_are_shared_over_common_bins() -> None:
    then, now = np.arange(1000.0), np.append(np.arange(1000.0) * 1.6, np.nan)
    found = evidence.compare("distance", then, now, START, days(1))
    assert (found.rows_then, found.rows_now) == (1000, 1000)
    assert sum(b.then for b in found.bins) == pytest.approx(1)
    assert sum(b.now for b in found.bins) == pytest.approx(1)


def test_categories_that_came_or_went_are_both_shown() -> None:
    then = np.array(["AA", "AA", "DL", None], dtype=object)
    now = np.array(["AA", "XX"], dtype=object)
    found = evidence.compare("carrier", then, now, START, days(1))
    assert {b.label: (round(b.then, 2), round(b.now, 2)) for b in found.bins} == {
        "AA": (0.67, 0.5),
        "DL": (0.33, 0.0),
        "XX": (0.0, 0.5),
    }


def test_nothing_is_not_drawn_as_something() -> None:
    with pytest.raises(InvalidInput):
        evidence.compare("distance", np.arange(9.0), np.array([np.nan]), START, days(1))


def contrast(one: Any, other: Any) -> Any:
    """WCAG 2: the ratio of two colours' relative luminances."""

    def luminance(colour: Any) -> Any:
        channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_words_can_be_read_in_light_and_dark(theme: Any) -> None:
    css = (resources.files("trimtab.web") / "static" / "trimtab.css").read_text()
    block = css[css.index(theme) :].split("}", 1)[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    for word in ("ink", "soft", "link", "good", "wait", "bad", "move"):
        for ground in ("paper", "surface", "raised"):
            assert contrast(colours[word], colours[ground]) >= 4.5, (word, ground)
    assert contrast(colours["sea-ink"], colours["sea"]) >= 4.5
