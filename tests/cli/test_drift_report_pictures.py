"""What the pictures of numbers show: nearly all rows of either side, and no gap that is none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.cli.test_drift_report import Made, made, numeric, share_of

from trimtab.cli.drift_portrait import Axis, Portrait, as_whole, portrait, quantile
from trimtab.profiles.arrow import profile_of

ROWS = 20_000


def drawn(before: Any, now: Any) -> Portrait:
    """As the command has it: the current table is counted like the reference."""
    reference = profile_of(pa.table({"a": before}))
    current = profile_of(pa.table({"a": now}), like=reference.columns)
    sides: Any = reference.columns["a"], current.columns["a"]
    found = portrait(*sides)
    assert found is not None
    return found


def pairs() -> dict[str, tuple[Any, Any]]:
    """Columns whose sides lie on other scales."""
    draw = np.random.default_rng(4)
    minutes = np.round(draw.gamma(2.5, 45.0, ROWS)) + 9
    waits = np.ceil(draw.lognormal(2.6, 0.5, ROWS))
    amounts = draw.lognormal(3, 1.5, ROWS)
    none = np.where(draw.random(ROWS) < 0.4, 0.0, amounts)
    return {
        "hours": (minutes, minutes / 60),
        "seconds": (waits, waits * 60),
        "fewer": (waits, waits / 60),
        "nothing": (amounts, none),
        "whole": (np.round(amounts).astype(int), 2 * np.round(none).astype(int)),
        "delays": (minutes - 60, (minutes - 60) / 60),
        "ages": (draw.integers(18, 90, ROWS), draw.integers(18, 95, ROWS)),
        "normal": (draw.normal(size=ROWS), draw.normal(2, 3, ROWS)),
    }


@pytest.mark.parametrize("name", list(pairs()))
def test_the_picture_holds_all_but_one_in_a_hundred_rows_of_either_side(name: str) -> None:
    before, now = pairs()[name]
    for found, sides in ((drawn(before, now), (before, now)), (drawn(now, before), (now, before))):
        for shares, beyond, values in zip((found.before, found.now), (0, 1), sides, strict=True):
            assert shares.sum() >= 0.99
            left_out = found.below[beyond] + found.above[beyond]
            assert shares.sum() + left_out == pytest.approx(1.0, abs=1e-9)
            inside = (values >= found.axis.low) & (values <= found.axis.high)
            assert inside.mean() >= 0.985


@pytest.mark.parametrize(
    ("factor", "spread"), [(1, 0.5), (1, 0.9), (1, 1.6), (2, 0.5), (2, 0.9), (5, 0.5)]
)
@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_whole_numbers_have_no_gaps_that_are_none(kind: str, factor: int, spread: float) -> None:
    values = np.ceil(np.exp(spread * np.linspace(-3.2, 3.2, ROWS) + 4)).astype(kind) * factor
    found = drawn(values, values + factor)
    if found.single:
        assert np.isin(found.starts, np.unique([values, values + factor])).all()
        return
    edges = np.append(found.starts, found.ends[-1])
    numbers = np.histogram(np.unique(values), edges)[0]  # how many there are in each bar
    exact = np.histogram(values, edges)[0] / ROWS
    held = found.axis.high < 128 * factor  # beyond, a cell holds several whole numbers
    if held:
        assert found.before == pytest.approx(exact, abs=1e-9)
    filled = np.flatnonzero(found.before > 0)
    assert (found.before[filled[0] : filled[-1] + 1] > 0).all()
    if not found.axis.logarithmic:
        inner = numbers[filled[0] + 1 : filled[-1]]
        first = inner[: max(1, inner.size // 2)]
        assert first.min() == first.max(), "each bar has as many whole numbers"


def test_bars_on_a_logarithm_are_as_high_as_rows_are_dense() -> None:
    draw = np.random.default_rng(8)
    values = np.ceil(draw.lognormal(2.6, 0.5, 10 * ROWS))
    found = drawn(values, values * 60)
    assert found.axis.logarithmic
    assert found.uneven
    heights = found.before / found.stretch
    middle = heights[(found.starts >= 8) & (found.starts < 30)]
    turns = np.diff(np.sign(np.diff(middle)))
    assert np.count_nonzero(turns) <= 1, "up and down once, without dips"


def test_an_axis_that_is_even_at_first_goes_there_and_back() -> None:
    axis = Axis(0.0, 400.0, True, even=2.0)
    places = np.linspace(0.0, 1.0, 41)
    values = [axis.value(place) for place in places]
    assert values[0] == 0.0
    assert values[-1] == pytest.approx(400.0)
    assert [axis.place(value) for value in values] == pytest.approx(list(places))
    assert axis.ticks() == [0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    assert Axis(0.0, 1e9, True, even=1.0).ticks() == [0.0, 100.0, 10000.0, 1e6, 1e8]


def test_quantiles_of_whole_numbers_are_whole_and_others_have_three_digits() -> None:
    draw = np.random.default_rng(6)
    waits = np.ceil(draw.lognormal(2.6, 0.5, ROWS))
    profile = as_whole(numeric(waits))
    assert profile.whole
    for share in (0.05, 0.25, 0.5, 0.95):
        assert quantile(profile, share) == np.quantile(waits, share, method="inverted_cdf")
    assert profile.mean == pytest.approx(waits.mean(), rel=1e-6)
    large = as_whole(numeric(np.ceil(draw.lognormal(8, 2.0, ROWS))))
    assert quantile(large, 0.9).is_integer()
    assert re.fullmatch(r"\d{3}0*\.0", repr(quantile(large, 0.9)))
    real = as_whole(numeric(draw.normal(1000, 10, ROWS) / 7))
    assert not real.whole
    assert quantile(real, 0.5) == float(f"{real.quantile(0.5):.3g}")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    wanted = {name: pairs()[name] for name in ("hours", "nothing", "ages", "normal", "fewer")}
    before, now = (pa.table({n: v[side] for n, v in wanted.items()}) for side in (0, 1))
    return made(tmp_path_factory.mktemp("pictures"), before, now)


def test_words_lie_above_the_bars_and_beside_each_other(changed: Made) -> None:
    for name, one in changed.told["features"].items():
        if one["verdict"] != "fail":
            continue
        picture = changed.card(name).one("svg", "numbers")
        grid = picture.one("line", "grid").at("y1")
        tops = [
            float(y) / 1000 * 148
            for path in picture.all("path", "was")
            for y in re.findall(r"V(\d+)", path.attributes["d"])
        ]
        cut = len(picture.all("text", "note"))
        assert sum(top < grid - 0.2 for top in set(tops)) <= cut
        for word in picture.all("text", "tick"):
            if "of rows" in word.text:
                assert word.at("y") <= grid
                assert share_of(word.text) > 0
        (caption,) = picture.all("text", "caption")
        assert caption.text == "difference in the share of rows above each value"
        (word,) = picture.all("text", "limit-word")
        assert word.at("y") - 11 >= caption.at("y")


def test_what_the_axis_is_stands_beside_the_legend(changed: Made) -> None:
    legend = changed.card("nothing").one("ul", "legend").text
    assert re.search(r"logarithmic axis, even up to [\d.]+$", legend)
    assert "logarithmic" not in changed.card("ages").one("ul", "legend").text
    assert "the area of a bar is its share" in changed.card("fewer").one("ul", "legend").text


def test_few_values_a_little_further_out_are_drawn_too(tmp_path: Path) -> None:
    ages = np.random.default_rng(1).integers(18, 90, ROWS)
    sides = [pa.table({"age": np.append(ages[:-20], [oldest] * 20)}) for oldest in (89, 94)]
    found = made(tmp_path, *sides)
    assert "Not drawn" not in found.page.one("main").text
