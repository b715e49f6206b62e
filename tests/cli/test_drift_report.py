"""The report of a comparison: what it says, what it draws, and what strangers cannot do to it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from scipy import stats
from tests.cli.pages import Node, drawn_bars, drawn_steps, tree

from trimtab.cli import drift_words as words
from trimtab.cli.drift import Asked, drift
from trimtab.cli.drift_portrait import portrait
from trimtab.cli.drift_report import CALM, CHANGED, in_order, render
from trimtab.demo.data import flights
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.numeric import NumericProfile

ROWS = 4000
PLOT, ROOM = 148, 0.86
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted' & <b>bold</b>",
    "\u202eturned round\u202c",
    "عمود",
    "x" * 10_000,
    "",
    "new\nline\ttab",
    "</title></style><img src=x onerror=alert(1)>",
    "http://example.org/?a=1",
    "javascript:alert(1)",
    " led and followed ",
    "漢字" * 40,
)


@dataclass
class Made:
    """A page, and the same comparison as numbers."""

    text: str
    told: dict[str, Any]
    code: int

    @property
    def page(self) -> Node:
        return tree(self.text)

    def card(self, name: str) -> Node:
        """The place of a column that has changed."""
        return self.page.one("article", id=f"column-{in_order(self.told['features']).index(name)}")


def made(folder: Path, before: pa.Table, now: pa.Table, **options: Any) -> Made:
    """What the command writes about two tables."""
    pq.write_table(before, folder / "before.parquet")
    pq.write_table(now, folder / "now.parquet")
    asked: dict[str, Any] = {
        "features": None, "policy": "standard", "tier": 1, "by": None, "time": None,
        "window": None, "sensitivity": "medium", "algorithms": "all", "quorum": None, "cores": 1,
        "reference": str(folder / "before.parquet"), "current": str(folder / "now.parquet"),
        "json": folder / "told.json", "html": folder / "told.html", **options,
    }  # fmt: skip
    code = drift(Asked(**asked))
    told = json.loads((folder / "told.json").read_text("utf-8"))
    return Made((folder / "told.html").read_text("utf-8"), told, code)


def columns(moved: bool, rows: int = ROWS) -> dict[str, Any]:
    """Columns of every kind; all but `calm` change."""
    draw = np.random.default_rng(7 + moved)
    lost = np.where(draw.random(rows) < (0.15 if moved else 0.02), np.nan, draw.normal(5, 1, rows))
    names = ["red", "green", "blue", "old"] if not moved else ["red", "green", "blue", "new"]
    shares = [0.1, 0.3, 0.3, 0.3] if moved else [0.4, 0.3, 0.1, 0.2]
    return {
        "normal": draw.normal(0.6 if moved else 0.0, 1.0, rows),
        "heavy": draw.lognormal(0.0, 3.0 if moved else 2.0, rows),
        "few": draw.integers(0, 5, rows) + draw.integers(0, 2, rows) * moved,
        "lost": lost,
        "colour": draw.choice(names, rows, p=shares),
        "calm": draw.normal(0.0, 1.0, rows),
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    return made(folder, pa.table(columns(False)), pa.table(columns(True)))


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The flights of winter beside those of the rest of the year, by month and airline."""
    rows = flights()
    months = rows.day.astype("datetime64[M]").astype(int) % 12 + 1
    table = pa.table({**rows.features, "day": rows.day})
    winter = pa.array(months <= 3)
    return made(
        tmp_path_factory.mktemp("flown"),
        table.filter(winter),
        table.filter(pa.array(months >= 5)),
        time="day",
        window="4w",
        by="carrier" if "carrier" in rows.features else None,
        sensitivity="high",
    )


def share_of(text: str) -> float:
    """A share as it is written."""
    return float(text.split("\u202f")[0].lstrip("<>").replace("\u2212", "-")) / 100


def scale_of(picture: Node) -> Any:
    """From places (0 to 1) to values: by two words of the axis."""
    ticks = [t for t in picture.all("text", "tick") if "of rows" not in t.text]
    known = [(t.at("x"), float(t.text.replace(",", "").replace("\u2212", "-"))) for t in ticks]
    (a, low), (b, high) = known[0], known[-1]
    return lambda place: low + (place - a) * (high - low) / (b - a)


# -- the page as a whole ---------------------------------------------------------------------


def test_nothing_in_it_comes_from_anywhere_else(report: Made) -> None:
    page = report.page
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    for node in page.all():
        assert node.tag not in {"script", "img", "link", "iframe", "object", "base", "form"}
        for key, value in node.attributes.items():
            assert not key.startswith("on"), key
            assert key not in {"src", "srcset", "xlink:href", "action"}, key
            assert key != "href" or value.startswith("#"), value
    assert not re.search(r"url\(|@import|http:|https:|//[a-z]", report.text)


def test_every_address_in_it_leads_somewhere(flown: Made, report: Made) -> None:
    for page in (flown.page, report.page):
        known = [n.attributes["id"] for n in page.all() if "id" in n.attributes]
        assert len(known) == len(set(known))
        for link in page.all("a") + page.all("use"):
            assert link.attributes["href"][1:] in known


def test_every_picture_says_what_it_shows_or_has_its_numbers_beside_it(report: Made) -> None:
    pictures = report.page.all("svg", "picture")
    assert len(pictures) >= 6
    for picture in pictures:
        assert picture.attributes["role"] == "img"
        assert re.fullmatch(r"[A-Z\w].{20,}\.", picture.attributes["aria-label"])
    inner = {id(node) for picture in pictures for node in picture.all("svg")}
    for node in report.page.all("svg"):
        if node in pictures or id(node) in inner:
            continue
        outer = [o for o in report.page.all("svg") if node in o.all("svg")]
        assert node.attributes.get("aria-hidden") == "true" or outer, node.attributes


def test_the_verdict_is_a_sentence_and_its_numbers_are_those_of_the_document(report: Made) -> None:
    told = report.told
    changed = sum(one["verdict"] == "fail" for one in told["features"].values())
    heading = report.page.one("h1").text
    assert f"{changed} of {len(told['features'])} columns have" in heading
    assert report.page.one("title").text.startswith(heading.strip())
    assert report.page.one("div", "score").one("b").text == f"{told['drift_score']:.3f}"
    facts = report.page.one("dl", "facts").text
    assert f"{told['rows_reference']:,} rows" in facts
    assert told["policy"]["digest"][7:19] in facts
    assert "standard, tier 1" in facts
    assert report.page.one("section", id="again").one("pre").text.startswith("trimtab drift ")


def test_the_table_has_every_column_with_its_numbers_the_most_moved_first(report: Made) -> None:
    features = report.told["features"]
    rows = report.page.one("section", id="columns").one("tbody").all("tr")
    assert [row.one("th").text for row in rows] == in_order(features)
    assert in_order(features) == list(features), "as the document has them"
    ratios = [max(features[n]["nearness"], 1.0) for n in in_order(features)]
    changed = sum(one["verdict"] == "fail" for one in features.values())
    assert ratios[:changed] == sorted(ratios[:changed], reverse=True)
    for row in rows:
        one = features[row.one("th").text]
        cells = {cell.attributes["data-label"]: cell for cell in row.all("td")}
        word = {"pass": "same", "fail": "moved" if one["moved"] else "finding"}[one["verdict"]]
        assert cells["Verdict"].text == word
        assert cells["Verdict"].one("use").attributes["href"].startswith("#shape-")
        assert cells["How far"].one("span").text == f"{one['nearness']:.2f}"
        assert cells["PSI"].text == f"{one['psi']:.3f}"
        assert cells["Severity"].text == one["severity"]
        assert cells["Why"].text == one["reason"]
        if one["null_rate_current"]:
            was, is_ = map(share_of, cells["Without a value"].text.split(" → "))
            assert was == pytest.approx(one["null_rate_reference"], abs=6e-4)
            assert is_ == pytest.approx(one["null_rate_current"], abs=6e-4)


def test_a_bar_is_as_long_as_the_column_is_far_and_the_limit_stands_at_one(report: Made) -> None:
    for row in report.page.one("section", id="columns").one("tbody").all("tr"):
        ratio = report.told["features"][row.one("th").text]["nearness"]
        limit = row.one("line", "limit").at("x1")
        bar = row.one("rect", "bar")
        if not row.all("path", "torn"):
            assert bar.at("width") / limit == pytest.approx(ratio, abs=2e-3)
        else:
            assert bar.at("width") == 1.0
            assert ratio > 1 / limit
        assert ("over" in bar.kinds) == (ratio >= 1)


def test_votes_and_three_answers_stand_beside_every_changed_column(report: Made) -> None:
    for name, one in report.told["features"].items():
        if one["verdict"] != "fail":
            continue
        card = report.card(name)
        answers = {d.one("dt").text: d.one("dd").text for d in card.one("dl", "answers").all("div")}
        assert answers["Moved?"].startswith("yes" if one["moved"] else "no")
        assert answers["Severity"].startswith(one["severity"])
        assert answers["Confirmed for action?"].startswith("yes" if one["confirmed"] else "no")
        rows = card.one("details").one("tbody").all("tr")
        voted = [vote for vote in one["votes"] if vote["value"] is not None]
        for row, vote in zip(rows, voted, strict=True):
            told = [cell.text for cell in row.all("td")]
            assert row.one("th").text == vote["detector"].replace("_", " ")
            assert told[0] == words.number(vote["value"])
            assert told[1] == words.number(vote["threshold"])
            assert told[2] == f"{vote['rows']:,}"
            assert told[3] == ("alarm" if vote["alarmed"] else "calm")
            assert told[4] == vote["reason"]
        (silent,) = [p.text for p in card.all("p") if p.text.startswith("Did not vote")]
        without = [v["detector"] for v in one["votes"] if v["value"] is None]
        named = re.sub(r" \(.*?\)", "", silent.removeprefix("Did not vote: ")).rstrip(".")
        told_of = set(re.split("[,;] ", named))
        assert told_of == {detector.replace("_", " ") for detector in without}
        assert "adwin, page hinkley (needs a course of windows)" in silent


# -- what is drawn ---------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "moved"), [("was", False), ("is", True)])
def test_bars_are_as_high_as_the_shares_of_the_rows(report: Made, kind: str, moved: bool) -> None:
    picture = report.card("normal").one("svg", "numbers")
    value = scale_of(picture)
    (grid,) = picture.all("line", "grid")
    (word,) = [t for t in picture.all("text", "tick") if "of rows" in t.text]
    unit = share_of(word.text) / (PLOT - grid.at("y1"))  # of the rows, to a pixel
    bars = drawn_steps(picture.one("path", kind).attributes["d"])
    edges = [value(left / 1000) for left, _, _ in bars] + [value(bars[-1][1] / 1000)]
    values = columns(moved)["normal"]
    expected = np.histogram(values, edges)[0] / ROWS
    drawn = np.array([(1000 - y) / 1000 * PLOT * unit for *_, y in bars])
    assert np.abs(drawn - expected).max() < 0.004  # edges are drawn to a thousandth
    assert drawn.sum() == pytest.approx(expected.sum(), abs=0.006)


def test_the_largest_gap_stands_where_it_is_and_as_high_as_it_is(report: Made) -> None:
    picture, one = report.card("normal").one("svg", "numbers"), report.told["features"]["normal"]
    exact = stats.ks_2samp(columns(False)["normal"], columns(True)["normal"])
    mark = picture.one("svg", "d")
    d, at = re.fullmatch(r"D ([\d.]+) at (.+)", mark.text).groups()  # type: ignore[union-attr]
    assert float(d) == pytest.approx(one["ks_d"], abs=6e-4)
    assert float(d) == pytest.approx(exact.statistic, abs=2e-3)
    place = float(at.replace("\u2212", "-"))
    assert place == pytest.approx(exact.statistic_location, abs=0.02)
    assert scale_of(picture)(mark.at("x")) == pytest.approx(place, abs=0.02)
    zero, top = picture.one("line", "d").at("y1"), picture.one("line", "d").at("y2")
    limit = picture.one("line", "limit").at("y1")
    assert mark.at("y") == top
    assert (zero - top) / (zero - limit) == pytest.approx(one["ks_d"] / 0.05, abs=0.03)
    assert "over" in mark.kinds
    assert f"{one['ks_d'] * 100:.1f}\u202f% more of the rows" in report.card("normal").text


def test_the_curve_of_the_gap_is_that_of_the_rows(report: Made) -> None:
    picture = report.card("normal").one("svg", "numbers")
    value, before, now = scale_of(picture), columns(False)["normal"], columns(True)["normal"]
    path = picture.one("path", "gap").attributes["d"]
    points = [tuple(map(float, p.split())) for p in re.findall(r"[ML]([\d.]+ [\d.]+)", path)]
    zero, top = points[0][1], min(y for _, y in points)
    d = report.told["features"]["normal"]["ks_d"]
    for x, y in points[1:-1:10]:
        place = value(x / 1000)
        gap = (now > place).mean() - (before > place).mean()
        assert (zero - y) / (zero - top) * d == pytest.approx(gap, abs=0.006)


def test_few_values_are_drawn_one_by_one_and_wide_ones_on_a_logarithm(report: Made) -> None:
    few = report.card("few").one("svg", "numbers")
    tops = re.findall(r"M(\d+) 1000V(\d+)", few.one("path", "is-one").attributes["d"])
    shares = np.bincount(columns(True)["few"], minlength=6) / ROWS
    drawn = np.array([1000 - int(y) for _, y in tops], dtype=float)
    assert np.abs(drawn / drawn.sum() - shares[shares > 0]).max() < 2e-3
    assert [t.text for t in few.all("text", "tick") if "rows" not in t.text] == list("012345")
    assert "logarithmic axis" in report.card("heavy").text
    assert "logarithmic axis" not in report.card("normal").text


def test_bars_of_categories_are_as_long_as_their_shares_and_say_what_is_new(report: Made) -> None:
    rows = report.card("colour").one("table", "bars").one("tbody").all("tr")
    told = {row.one("bdi").text: row for row in rows}
    assert set(told) == {"red", "green", "blue", "old", "new"}
    assert told["new"].one("span", "status").text == "new"
    assert told["old"].one("span", "status").text == "vanished"
    sides = [columns(moved)["colour"] for moved in (False, True)]
    most = max((side == name).mean() for side in sides for name in told)
    for name, row in told.items():
        for kind, side in zip(("was", "is"), sides, strict=True):
            share = (side == name).mean()
            assert row.one("rect", kind).at("width") == pytest.approx(share / most, abs=1e-3)
            assert words.share(share) in row.text
    changes = [abs(share_of(row.all("td")[-1].text + "\u202f")) for row in rows]
    assert changes == sorted(changes, reverse=True)


def test_lost_values_are_bars_with_their_numbers(report: Made) -> None:
    one = report.told["features"]["lost"]
    picture = report.card("lost").one("svg", "missing")
    was, is_ = (picture.one("rect", kind).at("width") for kind in ("was", "is"))
    ratio = one["null_rate_current"] / one["null_rate_reference"]
    assert is_ / was == pytest.approx(ratio, rel=2e-3)
    assert words.share(one["null_rate_current"], 2) in picture.text


def test_what_lies_beyond_the_picture_is_said(report: Made) -> None:
    assert re.search(r"Not drawn: below .+ → .+; above .+ → ", report.card("heavy").text)


# -- when and where --------------------------------------------------------------------------


def test_windows_are_bars_in_units_of_the_limit_and_the_last_row_of_them_is_marked(
    flown: Made,
) -> None:
    parts = flown.told["parts"]
    figures = flown.page.one("section", id="when").all("figure")
    assert figures
    for figure in figures:
        name = figure.one("bdi").text
        looks: dict[str, list[Any]] = {}
        for part in parts:
            looks.setdefault(part["begin"], []).append(part["features"][name])
        flag = max(b for b in looks if b[:10] == figure.one("svg", "flag").text)
        known = [b for b in sorted(looks) if any(x["nearness"] is not None for x in looks[b])]
        changed = [any(x["verdict"] == "fail" for x in looks[b]) for b in known]
        since = len(changed) - changed[::-1].index(False) if False in changed else 0
        if since < len(known) - 1:
            assert known[since] == flag
        else:
            assert flag == known[len(changed) - 1 - changed[::-1].index(True)]
        limit, base = figure.one("line", "limit").at("y1"), figure.one("line", "base").at("y1")
        top = base - 84
        drawn = {
            round(left): (1000 - y) / 1000 * (base - top) / (base - limit)
            for path in figure.one("svg", "picture").all("path")
            for left, _, y in drawn_bars(path.attributes["d"])
        }
        expected = []
        for begin in sorted(looks):
            telling = [x for x in looks[begin] if x["moved"]] or looks[begin]
            known = [x["nearness"] for x in telling if x["nearness"] is not None]
            expected += [max(known)] if known else []
        assert [drawn[x] for x in sorted(drawn)] == pytest.approx(expected, abs=0.03)


def test_segments_are_a_table_with_the_number_in_each_cell(tmp_path: Path) -> None:
    def table(moved: bool) -> pa.Table:
        told = columns(moved, 6000)
        place = np.repeat(["north", "south"], 3000)
        told["normal"] = np.where(place == "north", told["calm"], told["normal"] + moved)
        return pa.table({**{n: told[n] for n in ("normal", "calm")}, "place": place})

    found = made(tmp_path, table(False), table(True), by="place")
    heat = found.page.one("section", id="segments").one("table", "heat")
    heads = [cell.text for cell in heat.one("thead").all("th")][2:]
    for row in heat.one("tbody").all("tr"):
        name = row.one("bdi").text
        (part,) = [p for p in found.told["parts"] if p["segment"] == name]
        for head, cell in zip(heads, row.all("td")[1:], strict=True):
            one = part["features"][head]
            assert cell.text.split()[-1] == f"{one['nearness']:.2f}"
            assert bool(cell.all("use")) == (one["verdict"] == "fail")
    south = heat.one("tbody").all("tr")[0]
    assert south.one("bdi").text == "south", "the furthest comes first"
    assert "moved" in south.text


def test_without_windows_it_says_how_to_get_them(report: Made) -> None:
    assert "--time COLUMN --window 1d" in report.page.one("section", id="when").text


def test_windows_that_are_too_short_are_not_called_calm(tmp_path: Path) -> None:
    days = np.datetime64("2024-01-01") + np.arange(ROWS) // 20
    tables = [pa.table({"normal": columns(side)["normal"], "day": days}) for side in (False, True)]
    found = made(tmp_path, *tables, time="day", window="1d")
    told = found.page.one("section", id="when").text
    assert "No window has rows enough to be judged" in told


# -- verdicts --------------------------------------------------------------------------------


def test_a_calm_report_says_so(tmp_path: Path) -> None:
    same = pa.table({"calm": columns(False)["calm"]})
    found = made(tmp_path, same, pa.table({"calm": columns(True)["calm"]}))
    assert found.code == 0
    assert "None of 1 column has moved" in found.page.one("h1").text
    assert not [s for s in found.page.all("section") if s.attributes.get("id") == "changed"]


def test_too_little_is_no_all_clear(tmp_path: Path) -> None:
    found = made(tmp_path, pa.table({"a": [1.0, 2.0]}), pa.table({"a": [1.0, 2.0]}))
    assert found.code == 3
    assert "too little data to tell" in found.page.one("h1").text
    assert "no all-clear" in found.page.one("section", "headline").text


def test_a_column_that_could_not_be_compared_is_said_with_what_to_do(tmp_path: Path) -> None:
    before = pa.table({"a": columns(False)["calm"], "b": columns(False)["calm"]})
    found = made(tmp_path, before, pa.table({"b": columns(True)["calm"]}))
    assert found.code == 2
    assert "1 column could not be compared" in found.page.one("h1").text
    assert "column a is missing" in found.page.one("section", id="problems").text


def test_the_document_alone_is_enough_for_a_page() -> None:
    told = {
        "reference": "a", "current": "b", "policy": {"name": "p", "digest": "sha256:0", "tier": 2},
        "verdict": "inconclusive", "reason": "there is no column to compare", "drift_score": 0.0,
        "rows_reference": 1, "rows_current": 1, "features": {}, "parts": [], "problems": [],
        "skipped": {"a": "it has no value on either side"}, "new_columns": ["b"],
    }  # fmt: skip
    from trimtab.profiles.table import TableProfile

    page = tree(render(told, TableProfile(1, {}), TableProfile(1, {}), []))
    assert "a: it has no value on either side" in page.one("section", id="left-out").text


# -- strangers -------------------------------------------------------------------------------


def hostile(moved: bool) -> pa.Table:
    told = columns(moved)
    draw = np.random.default_rng(3)
    names: dict[str, Any] = dict.fromkeys(HOSTILE, told["normal"])
    fresh = [*HOSTILE[:6], "<i>new</i>"] if moved else list(HOSTILE[:6])
    names["kinds"] = pa.array(draw.choice(np.array(fresh, dtype=object), ROWS).tolist())
    names["where"] = pa.array(draw.choice(np.array(HOSTILE[:4], dtype=object), ROWS).tolist())
    names["day"] = np.datetime64("2024-01-01") + np.arange(ROWS) // 500
    return pa.table(names)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("hostile")
    return made(folder, hostile(False), hostile(True), by="where", time="day", window="4d")


def test_a_segment_that_is_gone_and_a_score_of_a_part_are_said(tmp_path: Path) -> None:
    days = np.datetime64("2024-01-01") + np.arange(ROWS) // 500
    city = np.random.default_rng(4).choice(["Bern", "Basel"], ROWS)
    before = pa.table({"calm": columns(False)["calm"], "city": city, "day": days})
    now = pa.table({"calm": columns(True)["calm"], "city": ["Bern"] * ROWS, "day": days})
    found = made(tmp_path, before, now, by="city")
    assert "Only in the reference: Basel." in found.page.one("section", id="segments").text

    late = np.where(days == days[-1], 9.0, 0.0) + columns(True)["calm"]
    spiked = pa.table({"calm": late, "city": city, "day": days})
    found = made(tmp_path, before, spiked, time="day", window="1d")
    said = found.page.one("section", "headline").text
    assert found.told["drift_score"] > max(
        one["magnitude"] for one in found.told["features"].values()
    )
    assert "in the worst of the parts that have changed" in said


def test_names_of_strangers_are_text_and_nothing_else(attacked: Made) -> None:
    page = attacked.page
    assert not page.all("script")
    assert not page.all("img")
    assert not page.all("b") or all("alert" not in one.text for one in page.all("i"))
    assert not any(key.startswith("on") for node in page.all() for key in node.attributes)
    for sign in "\u202e\u202c\x00":
        assert sign not in attacked.text
    rows = page.one("section", id="columns").one("tbody").all("tr")
    shown = [row.one("bdi").text for row in rows]
    assert len(shown) == len(HOSTILE) + 2  # with the city, and with where
    assert "<script>alert(1)</script>" in shown
    assert "⟨202E⟩turned round⟨202C⟩" in shown
    assert "(empty)" in shown
    assert "new↵line⇥tab" in shown
    assert "␣led and followed␣" in shown
    assert max(map(len, shown)) <= words.LONG
    (long,) = [b for b in page.one("section", id="columns").all("bdi") if b.text[:9] == "x" * 9]
    assert long.text.endswith("…")
    assert len(long.attributes["title"]) <= 400
    assert "x" * 1000 not in attacked.text


def test_a_report_of_five_hundred_columns_can_be_sent_and_says_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    draw = np.random.default_rng(5)

    def table(moved: bool) -> pa.Table:
        return pa.table(
            {
                f"{i} " + "long name " * 30: draw.normal(moved and i < 300, 1.0, 600)
                for i in range(500)
            }
        )

    found = made(tmp_path, table(False), table(True))
    assert len(found.text.encode()) < 5_000_000
    changed = sum(one["verdict"] == "fail" for one in found.told["features"].values())
    assert changed >= 300
    assert f"Not drawn: {changed - CHANGED} more" in found.page.one("section", id="changed").text
    assert len(found.page.all("article", "column")) == CHANGED
    assert len(found.page.all("article", "calm-one")) == CALM
    assert f"the {CALM} nearest to it of {500 - changed}" in found.text
    assert len(found.page.one("section", id="columns").one("tbody").all("tr")) == 500


# -- words and portraits ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (-2.5, "−2.5"), (1234567.0, "1,234,567"), (0.000012, "1.20e−05"),
     (3.14159, "3.142"), (None, "—"), (99999.0, "99,999"), (1e12, "1.00e+12")],
)  # fmt: skip
def test_numbers_are_said_to_four_digits(value: float | None, said: str) -> None:
    assert words.number(value) == said


def test_a_share_that_is_not_quite_none_or_all_never_reads_so() -> None:
    assert words.share(0.0) == "0.0\u202f%"
    assert words.share(0.0001) == "<0.1\u202f%"
    assert words.share(0.9999) == ">99.9\u202f%"
    assert words.share(1.0) == "100.0\u202f%"
    assert words.points(-0.0421) == "−4.2"


def numeric(values: Any) -> NumericProfile:
    found = profile_of(pa.table({"a": values})).columns["a"]
    assert isinstance(found, NumericProfile)
    return found


@pytest.mark.parametrize(
    "values",
    [[0.0], [5], [0, 1], [-2e307, 3e307], [1e-300, 2e-300, 1e-310], [0.0] * 50 + [1e9],
     [1e15, 1e15 + 2]],
)  # fmt: skip
def test_any_values_have_a_portrait_or_none(values: list[float]) -> None:
    found = portrait(numeric(values), numeric(values[:1]))
    if found is not None:
        assert np.isfinite(found.starts).all()
        assert found.axis.high > found.axis.low
        for shares, beyond in ((found.before, 0), (found.now, 1)):
            told = shares.sum() + found.below[beyond] + found.above[beyond]
            assert told == pytest.approx(1.0, abs=1e-9)


# -- in a browser ----------------------------------------------------------------------------

RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    },
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    find = Path(__file__).parents[2] / "scripts" / "browser.sh"
    found = subprocess.run([find, "--find"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=arguments)
        yield browser
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("which", ["report", "flown", "attacked"])
@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (360, "dark"), (1600, "dark"), (1280, "light")]
)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    chromium: Any, request: Any, tmp_path: Path, which: str, width: int, scheme: str
) -> None:
    file = tmp_path / "report.html"
    file.write_text(request.getfixturevalue(which).text, "utf-8")
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    page.evaluate(Axe().axe_script)
    found = page.evaluate("(rules) => axe.run(rules).then((told) => told.violations)", RULES)
    assert [(one["id"], [n["target"] for n in one["nodes"][:4]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


@pytest.mark.slow
def test_it_opens_from_a_disk_without_a_complaint_and_asks_for_nothing(
    chromium: Any, tmp_path: Path, attacked: Made
) -> None:
    file = tmp_path / "report.html"
    file.write_text(attacked.text, "utf-8")
    page = chromium.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert complaints == []
    assert asked == [file.as_uri()]
    page.close()
