"""A CSV file is read as it was written: its delimiter, header, decimal mark, codes and words."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab.kernel.errors import InvalidInput
from trimtab.profiles.category import CategoryProfile, of_counts
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.parts import Windows, profile_parts
from trimtab.profiles.sources import Source, open_source
from trimtab.profiles.table import Profile


def opened(path: Path, content: str | bytes, name: str = "t.csv") -> Source:
    (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_source(str(path / name))


def columns(path: Path, content: str | bytes, name: str = "t.csv") -> dict[str, Profile]:
    return dict(opened(path, content, name).profile().columns)


def counts(profile: Profile) -> dict[str, int]:
    assert isinstance(profile, CategoryProfile)
    return dict(profile.counts)


def ends(profile: Profile) -> tuple[float | None, float | None]:
    assert isinstance(profile, NumericProfile)
    return profile.low, profile.high


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.profiles.csv._BLOCK_BYTES", 1 << 10)


# -- delimiters and decimal marks -----------------------------------------------------------


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
def test_the_delimiter_is_told_by_the_header(tmp_path: Path, sign: str, name: str) -> None:
    lines = (("city", '"a,b;c|d"', "n"), ("Bern", "x", "1"), ("Basel", "y", "2"))
    content = "\r\n".join(["\ufeff" + sign.join(lines[0]), *map(sign.join, lines[1:])])
    found = columns(tmp_path, content, name)
    assert list(found) == ["city", "a,b;c|d", "n"]
    assert counts(found["city"]) == {"Basel": 1, "Bern": 1}
    assert ends(found["n"]) == (1, 2)


def test_a_comma_in_the_header_is_the_delimiter_of_a_csv_and_part_of_a_name_in_a_tsv(
    tmp_path: Path,
) -> None:
    assert list(columns(tmp_path, "a|x,b|y\n1,2\n")) == ["a|x", "b|y"]
    assert list(columns(tmp_path, "name, first\tage\nx\t3\n", "t.tsv")) == ["name, first", "age"]


def test_another_delimiter_beside_a_comma_in_the_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has commas, but semicolons seem to separate"):
        opened(tmp_path, "city;price, net\nBern;1,5\n")


def test_decimal_commas_are_read_where_commas_do_not_separate(
    tmp_path: Path, small_blocks: None
) -> None:
    lines = ["Bern;1,5;7;-,25"] * 300 + ["Basel, old;0,25;8,5;3"] * 300
    found = columns(tmp_path, "\n".join(["city;x;n;y", *lines]) + "\n")
    assert counts(found["city"]) == {"Basel, old": 300, "Bern": 300}
    assert [ends(found[name]) for name in "xny"] == [(0.25, 1.5), (7, 8.5), (-0.25, 3)]


def test_a_point_far_below_decimal_commas_is_no_number(tmp_path: Path, small_blocks: None) -> None:
    found = columns(tmp_path, "n;x\n" + "1;1,5\n" * 300 + "1;2.5\n")
    assert counts(found["x"]) == {"1,5": 300, "2.5": 1}


def test_commas_in_text_are_no_decimal_commas(tmp_path: Path) -> None:
    found = columns(tmp_path, "city;x;both\nBern;1.5;1,5\nBasel, old;2.5;x\n")
    assert ends(found["x"]) == (1.5, 2.5)
    assert counts(found["both"]) == {"1,5": 1, "x": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a;b\n1,5;x\n2;1\n3,5;y\n", None),
        ("a;b\n1,5;1.5\n", "with commas, such as 1,5, and with points, such as 1.5"),
        ("a;b\n1,234;5\n12;6\n", "such as 1,234: that may be thousands"),
        ("a;b\n1,234;0,5\n", None),
        ("a;b\n0,234;5\n", None),
    ],
)
def test_a_doubtful_decimal_mark_is_refused(tmp_path: Path, content: str, said: str | None) -> None:
    if said is None:
        assert ends(columns(tmp_path, content)["a"])[0] in (0.234, 1.234, 1.5)
        return
    with pytest.raises(InvalidInput, match=said) as refused:
        opened(tmp_path, content)
    assert "decimal point" in str(refused.value.remedy)


# -- the header -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    ["1,2\n3,4\n", "1.5,-2e3\n", ",1,2\n0,5,6\n", "Bern,3\nBern,4\n", "5,Bern\n6,Bern\n", "1;2\n"],
)
def test_a_first_line_of_values_is_no_header(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInput, match="has no header line: it begins with") as refused:
        opened(tmp_path, content)
    assert "names of the columns" in str(refused.value.remedy)


@pytest.mark.parametrize(
    "content", ["country,2019\nCH,2019\n", ",x\n0,1\n", ",0,1\n0,5,6\n", "[id],n\n1,2\n", "a\n"]
)
def test_a_header_may_hold_numbers_and_a_nameless_column(tmp_path: Path, content: str) -> None:
    assert list(columns(tmp_path, content)) == content.partition("\n")[0].split(",")


@pytest.mark.parametrize(
    "content", ['{"a": 1}\n{"a": 2}\n', '[{"a": 1}]', "\ufeff\n [\n1, 2]", "[1]"]
)
def test_json_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInput, match="looks like JSON") as refused:
        opened(tmp_path, content)
    assert refused.value.remedy == "give it as Parquet or CSV"


# -- codes and words ------------------------------------------------------------------------


def test_codes_keep_their_leading_zeros(tmp_path: Path, small_blocks: None) -> None:
    lines = ["001,7,0.5,0,1"] * 500 + ["2,042,00.5,10,-05"]
    found = columns(tmp_path, "\n".join(["early,late,x,n,signed", *lines]) + "\n")
    assert counts(found["early"]) == {"001": 500, "2": 1}
    assert counts(found["late"]) == {"042": 1, "7": 500}
    assert [ends(found[name]) for name in ("x", "n", "signed")] == [(0.5, 0.5), (0, 10), (-5, 1)]


def test_what_is_counted_like_categories_is_read_as_it_is_written(tmp_path: Path) -> None:
    table = pa.table({"code": ["001", "NA", "7"], "day": ["2024-01-01", "x", "null"]})
    pq.write_table(table, tmp_path / "t.parquet")
    like = open_source(str(tmp_path / "t.parquet")).profile().columns
    source = opened(tmp_path, "code,day,n,t\n7,2024-01-01,NA,NA\nNA,NA,null,2024-01-01\nnull,,1,\n")
    for _ in range(2):
        found = source.profile(like=like)
        assert counts(found.columns["code"]) == {"7": 1, "NA": 1}
        assert counts(found.columns["day"]) == {"2024-01-01": 1}
        assert (ends(found.columns["n"]), found.columns["n"].nulls) == ((1, 1), 2)
        assert list(found.skipped) == ["t"]
        parts, _ = profile_parts(source, ["code", "day"], like=like, windows=Windows(2, None))
        assert [counts(part.profile.columns["code"]) for part in parts] == [{"7": 1, "NA": 1}, {}]
        plain = source.profile()
        assert ends(plain.columns["code"]) == (7, 7)
        assert list(plain.skipped) == ["day", "t"]


def test_truth_values_are_counted_like_truth_values(tmp_path: Path) -> None:
    pq.write_table(pa.table({"new": [True, False]}), tmp_path / "t.parquet")
    like = open_source(str(tmp_path / "t.parquet")).profile().columns
    found = opened(tmp_path, "new\nTrue\nFALSE\n1\n").profile(like=like)
    assert counts(found.columns["new"]) == {"false": 1, "true": 2}


def test_a_column_of_categories_without_names_is_text_too(tmp_path: Path) -> None:
    many = of_counts({f"{n:05}": 1 for n in range(10_001)}, rows=10_001, nulls=0)
    found = opened(tmp_path, "code\n12345\n1.50\n").profile(like={"code": many})
    assert counts(found.columns["code"]) == {"1.50": 1, "12345": 1}


def test_times_and_truth_widen_to_text_and_words_are_missing_everywhere(
    tmp_path: Path, small_blocks: None
) -> None:
    first = "2024-01-01,10:30,2024-01-01T10:00:00Z,true,word,NA"
    late = "soon,noon,now,maybe,null,NA"
    text = "\n".join(["day,time,at,b,s,none", *[first] * 100, "NA,NA,NA,NA,NA,NA"])
    found = opened(tmp_path, text).profile()
    assert list(found.skipped) == ["day", "time", "at"]
    assert [found.columns[name].nulls for name in ("b", "s", "none")] == [1, 1, 101]
    found = opened(tmp_path, f"{text}\n{late}\n").profile()
    for name, value in zip(("day", "time", "at", "b"), late.split(","), strict=False):
        assert counts(found.columns[name])[value] == 1
        assert (found.columns[name].rows, found.columns[name].nulls) == (102, 1)


def test_times_of_day_are_what_they_say(tmp_path: Path) -> None:
    source = opened(tmp_path, "t,n\n10:30,1\n,2\n23:59:59,3\n")
    (batch,) = source.batches(["t"])
    assert batch.column("t").cast(pa.int32()).to_pylist() == [37_800, None, 86_399]


# -- packed files ---------------------------------------------------------------------------


def packed(content: bytes, how: str) -> bytes:
    if how == "zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return bytes(sink.getvalue())
    return gzip.compress(content) if how == "gz" else bz2.compress(content)


@pytest.mark.parametrize("how", ["gz", "bz2", "zst"])
def test_a_packed_csv_is_read_whatever_its_name(tmp_path: Path, how: str) -> None:
    content = packed(b"city;x\n" + b"Bern;1,5\n" * 1000 + b"Basel;2\n", how)
    for name in (f"t.csv.{how}", "t.csv"):
        found = columns(tmp_path, content, name)
        assert counts(found["city"]) == {"Basel": 1, "Bern": 1000}
        assert ends(found["x"]) == (1.5, 2)
    assert list(columns(tmp_path, packed(b"a, b\tc\n1\t2\n", how), f"t.tsv.{how}")) == ["a, b", "c"]


@pytest.mark.parametrize("how", ["gz", "bz2", "zst"])
def test_a_packed_file_that_is_cut_or_no_csv_is_refused(tmp_path: Path, how: str) -> None:
    lines = b"".join(b"%d,%d\n" % (n, n * n % 9973) for n in range(20_000))
    content = packed(b"a,b\n" + lines, how)
    for cut in (5, 20, len(content) // 2, len(content) - 1):
        with pytest.raises(InvalidInput):
            columns(tmp_path, content[:cut], f"t.csv.{how}")
    for inside in (b"PAR1PAR1", b"a\0b", b""):
        with pytest.raises(InvalidInput):
            columns(tmp_path, packed(inside, how), f"t.csv.{how}")
    with pytest.raises(InvalidInput, match="is packed, and no CSV file") as refused:
        opened(tmp_path, packed(b"PAR1PAR1", how))
    assert refused.value.remedy == "unpack it first"
