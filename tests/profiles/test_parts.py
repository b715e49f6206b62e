"""Parts of a table: windows of time and of rows, segments, and times in every clothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles import codec
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.parts import Windows, microseconds, profile_parts
from trimtab.profiles.sources import frame_source, open_source
from trimtab.profiles.table import TableProfile, merged

MOMENT = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
MICROSECONDS = int(MOMENT.timestamp() * 1e6)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([MOMENT, None], pa.timestamp("us", tz="UTC")),
        pa.array([MOMENT, None], pa.timestamp("ns", tz="Europe/Zurich")),
        pa.array([MOMENT.replace(tzinfo=None), None], pa.timestamp("s")),
        pa.array(["2024-02-29T12:30:00", None]),
        pa.array(["2024-02-29 12:30:00", None]).dictionary_encode(),
        pa.array([MICROSECONDS // 10**6, None]),
        pa.array([MICROSECONDS // 10**3, None]),
        pa.array([MICROSECONDS, None]),
        pa.array([MICROSECONDS * 10**3, None]),
        pa.array([MICROSECONDS / 1e6, np.nan]),
    ],
)
def test_times_are_read_in_every_form(column: pa.Array) -> None:
    moments, there = microseconds(column, "at")
    assert there.tolist() == [True, False]
    assert abs(int(moments[0]) - MICROSECONDS) < 1000


def test_dates_are_their_midnight() -> None:
    moments, _ = microseconds(pa.array([date(1970, 1, 3)]), "day")
    assert moments.tolist() == [2 * 86_400 * 10**6]


def test_two_units_of_time_in_one_column_are_refused() -> None:
    mixed = pa.array([1_700_000_000, 1_700_000_000_000])
    with pytest.raises(InvalidInput, match="mixes units of time: milliseconds and seconds"):
        microseconds(mixed, "at")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([369, 1045, 0, None], "369 would be 1970-01-01T00:06:09"),
        ([0.5, 1.7e9, -3.0], "0.5 would be 1970-01-01T00:00:00.500000"),
        ([20240131, 20240201], "20240131 would be 1970-08-23T06:15:31"),
        ([-1_700_000_000], "-1700000000 would be 1916-02-18T01:46:40"),
        ([99_999_999_999], "99999999999 would be 5138-11-16T09:46:39"),
        ([1e300], "1e[+]300 would be beyond the year 9999"),
    ],
)
def test_numbers_that_would_be_no_times_of_ours_are_refused(values: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"column miles holds no times: {said}") as refused:
        microseconds(pa.array(values), "miles")
    assert refused.value.remedy == "give dates, timestamps, ISO 8601, or numbers since 1970"


def test_zero_is_no_time_and_a_few_odd_numbers_are_borne() -> None:
    moments, there = microseconds(pa.array([1_700_000_000, 0, 315_532_800, 100, None]), "at")
    assert there.tolist() == [True, False, True, True, False]
    assert moments[there].tolist() == [1_700_000_000_000_000, 315_532_800_000_000, 100_000_000]
    assert not microseconds(pa.array([0, None]), "at")[1].any()


@pytest.mark.parametrize("column", [pa.array(["soon"]), pa.array([True]), pa.array([[1]])])
def test_what_is_no_time_is_refused_by_name(column: pa.Array) -> None:
    with pytest.raises(InvalidInput, match="column at"):
        microseconds(column, "at")


@pytest.mark.parametrize("text", ["", "0", "0d", "1y", "d", "-1d", "1.5h", "rows"])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Windows.parse(text, "at")


@pytest.mark.parametrize("text", ["1month", "2 months", "1mo", "1 Month", "1y", "2 years"])
def test_a_month_has_no_fixed_length(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no window") as refused:
        Windows.parse(text, "at")
    assert refused.value.remedy == "months and years have no fixed length: say 30d, 4w or 365d"


@pytest.mark.parametrize(
    ("window", "said"),
    [
        *(("1m", "1 minute"), ("90m", "90 minutes"), ("120m", "2 hours"), ("1h", "1 hour")),
        *(("24h", "1 day"), ("1w", "7 days"), ("200", "200 rows"), ("1 row", "1 row")),
    ],
)
def test_a_window_says_how_long_it_is(window: str, said: str) -> None:
    assert Windows.parse(window, "at").text == said


def test_a_window_of_time_needs_a_column() -> None:
    with pytest.raises(InvalidInput, match="needs a column of time"):
        Windows.parse("1d", None)
    assert Windows.parse("200", None) == Windows.parse("200 rows", "at")


def hours(count: int, **more: Any) -> pa.Table:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + timedelta(hours=n) for n in range(count)]
    values = np.random.default_rng(1).normal(size=count)
    return pa.table({"at": times, "x": values, **more})


def test_days_and_weeks_begin_where_people_expect() -> None:
    table = hours(24 * 15)
    like = profile_of(table.select(["x"])).columns
    days, _ = profile_parts(
        frame_source(table), ["x"], like=like, windows=Windows.parse("1d", "at")
    )
    assert [part.begin for part in days[:2]] == [
        "2024-01-01T00:00:00+00:00",
        "2024-01-02T00:00:00+00:00",
    ]
    assert {part.profile.rows for part in days} == {24}
    weeks, _ = profile_parts(
        frame_source(table), ["x"], like=like, windows=Windows.parse("1w", "at")
    )
    begins = [datetime.fromisoformat(str(part.begin)) for part in weeks]
    assert {begin.strftime("%A") for begin in begins} == {"Monday"}
    assert [part.profile.rows for part in weeks] == [168, 168, 24]


def test_rows_without_a_time_or_a_segment_are_counted_and_in_no_part() -> None:
    table = hours(48)
    holes = pa.array([None if n % 4 == 0 else t for n, t in enumerate(table["at"].to_pylist())])
    sides = pa.array([None if n % 6 == 0 else "ab"[n % 2] for n in range(48)])
    table = pa.table({"at": holes, "x": table["x"], "side": sides})
    like = profile_of(table.select(["x"])).columns
    found, lost = profile_parts(
        frame_source(table), ["x"], like=like, by="side", windows=Windows.parse("1d", "at")
    )
    assert lost == sum(n % 4 == 0 or n % 6 == 0 for n in range(48))
    assert sum(part.profile.rows for part in found) + lost == 48
    assert {part.segment for part in found} == {"a", "b"}


def test_parts_of_many_row_groups_add_up_to_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    table = pa.table(
        {
            "x": rng.normal(size=5_000),
            "c": rng.choice(list("abc"), 5_000),
            "side": rng.choice(["n", "s", "w"], 5_000),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=700)
    source = open_source(str(tmp_path / "t.parquet"))
    whole = source.profile(columns=["x", "c"])
    found, lost = profile_parts(
        source, ["x", "c"], like=whole.columns, by="side", windows=Windows.parse("333", None)
    )
    assert lost == 0
    assert len(found) == 3 * 16
    together = merged(part.profile for part in found)
    assert codec.to_bytes(together) == codec.to_bytes(TableProfile(5_000, whole.columns))


def test_a_column_that_is_not_there_is_refused_by_name() -> None:
    table = hours(24)
    for options in ({"by": "side"}, {"windows": Windows.parse("1d", "when")}):
        with pytest.raises(InvalidInput, match="has no column"):
            profile_parts(frame_source(table), ["x"], like={}, **options)


def test_a_column_that_widens_while_parts_are_counted_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.profiles.csv._BLOCK_BYTES", 1 << 10)
    (tmp_path / "t.csv").write_text("shop,x\n" + "1,2\n" * 500 + "kiosk,3\n" * 2)
    source = open_source(str(tmp_path / "t.csv"))
    parts, lost = profile_parts(source, ["x"], like={}, by="shop")
    assert [(part.segment, part.profile.rows) for part in parts] == [("1", 500), ("kiosk", 2)]
    assert lost == 0


def test_two_units_are_seen_across_batches() -> None:
    seconds = 1_700_000_000 + np.arange(10)
    table = pa.concat_tables(
        [pa.table({"t": seconds, "x": seconds}), pa.table({"t": seconds * 1000, "x": seconds})]
    )
    with pytest.raises(InvalidInput, match="mixes units of time: milliseconds and seconds"):
        profile_parts(frame_source(table), ["x"], like={}, windows=Windows.parse("1d", "t"))


@pytest.mark.parametrize("text", ["2024-01-02T00:30:00Z", "2024-01-02T02:30:00+02:00"])
def test_texts_with_an_offset_are_times(text: str) -> None:
    moments, there = microseconds(pa.array([text, None]), "t")
    assert there.tolist() == [True, False]
    assert moments[0] == 1_704_155_400_000_000


def test_decimals_are_numbers_since_1970() -> None:
    column = pa.array([Decimal(1_700_000_000)], pa.decimal128(12, 0))
    assert microseconds(column, "t")[0].tolist() == [1_700_000_000_000_000]


@pytest.mark.parametrize(
    ("times", "window", "words"),
    [
        (np.array(["9999-12-31T23:59:59"], "M8[s]"), "1w", "thousands of years away"),
        (np.array([1e30]), "1d", "holds no times"),
        (np.array(["2024-01-01"], "M8[s]"), "99999999999999w", "longer than a century"),
    ],
)
def test_times_that_no_window_can_hold_are_refused(
    times: np.ndarray[Any, Any], window: str, words: str
) -> None:
    source = frame_source(pa.table({"t": times, "x": [1.0]}))
    with pytest.raises(InvalidInput, match=words):
        profile_parts(source, ["x"], like={}, windows=Windows.parse(window, "t"))


def test_a_column_of_structures_has_no_segments() -> None:
    source = frame_source(pa.table({"nest": [{"a": 1}], "x": [1.0]}))
    with pytest.raises(InvalidInput, match="column nest has no segments"):
        profile_parts(source, ["x"], like={}, by="nest")
