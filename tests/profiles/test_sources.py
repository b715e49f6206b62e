"""A table is told by its content, read whole, and refused by name where it cannot be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.profiles.drawn import as_bytes

from trimtab.kernel.errors import InvalidInput, NotFound
from trimtab.profiles import codec, parquet
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.sources import Source, frame_source, open_source
from trimtab.profiles.table import Profile, TableProfile, Tail


def table(rows: int = 3000, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "amount": pa.array(rng.lognormal(size=rows), mask=rng.random(rows) < 0.1),
            "count": rng.poisson(3, size=rows),
            "city": pa.array(rng.choice(["Bern", "Zürich", "Genève"], size=rows)),
            "at": pa.array(np.arange(rows), pa.timestamp("s")),
            "new": pa.array(rng.random(rows) < 0.5),
        }
    )


def same(found: TableProfile, expected: TableProfile) -> None:
    assert found.rows == expected.rows
    assert {n: as_bytes(c) for n, c in found.columns.items()} == {
        n: as_bytes(c) for n, c in expected.columns.items()
    }
    assert found.skipped == expected.skipped


def numeric(profile: Profile) -> NumericProfile:
    assert isinstance(profile, NumericProfile)
    return profile


def category(profile: Profile) -> CategoryProfile:
    assert isinstance(profile, CategoryProfile)
    return profile


# -- one table in every form ----------------------------------------------------------------


def as_parquet(path: Path, data: pa.Table) -> Path:
    pq.write_table(data, path / "t.parquet", row_group_size=700)
    return path / "t.parquet"


def as_one_group(path: Path, data: pa.Table) -> Path:
    pq.write_table(data, path / "t.parquet")
    return path / "t.parquet"


def as_arrow(path: Path, data: pa.Table) -> Path:
    with pa.ipc.new_file(path / "t.arrow", data.schema) as sink:
        sink.write_table(data, max_chunksize=700)
    return path / "t.arrow"


def as_folder(path: Path, data: pa.Table) -> Path:
    (path / "t" / "deeper").mkdir(parents=True)
    pq.write_table(data[:1000], path / "t" / "a.parquet")
    pq.write_table(data[1000:], path / "t" / "deeper" / "b.parquet")
    return path / "t"


def as_csv(path: Path, data: pa.Table) -> Path:
    data.to_pandas().to_csv(path / "t.csv", index=False)
    return path / "t.csv"


def as_tsv(path: Path, data: pa.Table) -> Path:
    data.to_pandas().to_csv(path / "t.tsv", index=False, sep="\t")
    return path / "t.tsv"


WRITERS = [as_parquet, as_one_group, as_arrow, as_folder, as_csv, as_tsv]


@pytest.mark.parametrize("write", WRITERS)
def test_a_table_has_one_profile_in_every_form(
    tmp_path: Path, write: Callable[[Path, pa.Table], Path]
) -> None:
    data = table()
    plain = frame_source(data)
    like = plain.profile().columns
    expected = plain.profile(like=like)
    assert list(expected.columns) == ["amount", "count", "city", "new"]
    source = open_source(str(write(tmp_path, data)))
    same(source.profile(like=like), expected)
    some = source.profile(columns=["city", "count"], like=like)
    assert list(some.columns) == ["city", "count"]
    assert source.schema is not None
    assert source.schema.names == data.schema.names
    rows = pa.Table.from_batches(source.batches(["count", "city"]))
    assert rows.num_rows == data.num_rows
    assert rows.column("count").to_pylist() == data.column("count").to_pylist()
    assert rows.column("city").to_pylist() == data.column("city").to_pylist()
    with pytest.raises(InvalidInput, match="no column other"):
        source.profile(columns=["other"])
    with pytest.raises(InvalidInput, match="no column other"):
        list(source.batches(["other"]))


@pytest.mark.parametrize(
    "frame",
    [table(), table().to_pandas(), pl.from_arrow(table())],
    ids=["arrow", "pandas", "polars"],
)
def test_a_frame_of_any_library_has_that_profile_too(frame: object) -> None:
    like = frame_source(table()).profile().columns
    source = frame_source(frame)  # type: ignore[arg-type]
    found = source.profile(like=like)
    expected = frame_source(table()).profile(like=like)
    for name in ("count", "city", "new"):
        assert as_bytes(found.columns[name]) == as_bytes(expected.columns[name])
    assert found.columns["amount"].missing == expected.columns["amount"].missing


def test_a_stored_profile_is_read_but_has_no_rows(tmp_path: Path) -> None:
    profile = frame_source(table()).profile()
    (tmp_path / "p").write_bytes(codec.to_bytes(profile))
    source = open_source(str(tmp_path / "p"))
    assert source.schema is None
    same(source.profile(), profile)
    assert list(source.profile(columns=["city"]).columns) == ["city"]
    with pytest.raises(InvalidInput):
        source.profile(columns=["other"])
    with pytest.raises(InvalidInput, match="rows are gone"):
        source.batches(["city"])


# -- Parquet --------------------------------------------------------------------------------


def test_one_core_and_two_give_the_same(tmp_path: Path) -> None:
    source = open_source(str(as_parquet(tmp_path, table())))
    heard: list[tuple[int, int]] = []
    one = source.profile(cores=1)
    two = source.profile(cores=2, told=lambda done, of: heard.append((done, of)))
    assert codec.to_bytes(one) == codec.to_bytes(two)
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("write", [as_one_group, as_parquet])
def test_huge_row_groups_are_read_in_parts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, pa.Table], Path],
) -> None:
    source = open_source(str(write(tmp_path, table())))
    like = source.profile().columns
    expected = source.profile(like=like)
    monkeypatch.setattr(parquet, "_CHUNK_ROWS", 100)
    same(source.profile(like=like), expected)
    sizes = {len(chunk) for chunk in parquet._Files(tmp_path / "t.parquet").chunks("city")}
    assert max(sizes) <= 200  # a group of no more than two parts is read at once


def test_a_sorted_file_is_counted_finely_all_along(tmp_path: Path) -> None:
    values = np.sort(np.random.default_rng(0).normal(size=50_000) * 1000)
    pq.write_table(pa.table({"x": values}), tmp_path / "s.parquet", row_group_size=5000)
    found = numeric(open_source(str(tmp_path / "s.parquet")).profile().columns["x"])
    assert found.known == 50_000
    assert found.cells.count.max() < 500


def test_a_file_without_values_does_not_settle_how_the_next_is_counted(tmp_path: Path) -> None:
    rows = 2000
    values = 1000 + np.random.default_rng(0).normal(size=rows)
    first = pa.table({"x": pa.nulls(rows, pa.float64()), "y": pa.nulls(rows), "z": pa.nulls(rows)})
    city = ["a", "b"] * (rows // 2)
    pq.write_table(first, tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": values, "y": city, "z": [True] * rows}), tmp_path / "2.parquet")
    found = open_source(str(tmp_path)).profile()
    assert numeric(found.columns["x"]).cells.count.size > 500
    assert category(found.columns["y"]).counts == {"a": 1000, "b": 1000}
    assert category(found.columns["z"]).counts == {"true": rows}
    assert found.columns["y"].nulls == rows


def test_names_with_dots_are_names(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a.b": [100.0], "a": [1.0]}), tmp_path / "d.parquet")
    found = open_source(str(tmp_path / "d.parquet")).profile()
    assert [numeric(found.columns[name]).low for name in ("a.b", "a")] == [100.0, 1.0]


@pytest.mark.parametrize("seed", range(3))
def test_damaged_parquet_is_refused_or_read(tmp_path: Path, seed: int) -> None:
    path = as_parquet(tmp_path, table())
    content = path.read_bytes()
    for cut in (4, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(InvalidInput, match="it may be cut or damaged: copy it again"):
            open_source(str(path)).profile()
        with pytest.raises(InvalidInput, match="it may be cut or damaged: copy it again"):
            parquet.profile_parquet(path)
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(20):
        begin = int(rng.integers(4, len(content) // 2))
        path.write_bytes(content[:begin] + rng.bytes(64) + content[begin + 64 :])
        try:
            open_source(str(path)).profile(cores=1)
        except InvalidInput:
            refused += 1
    assert refused
    path.write_bytes(content)
    source = open_source(str(path))
    path.write_bytes(content[:100])
    with pytest.raises(InvalidInput):
        list(source.batches(["city"]))


def test_damaged_arrow_is_refused(tmp_path: Path) -> None:
    path = as_arrow(tmp_path, table())
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    with pytest.raises(InvalidInput):
        open_source(str(path))
    refused = 0
    for begin in range(600, len(content) - 2000, len(content) // 20):
        path.write_bytes(content[:begin] + b"\xff" * 600 + content[begin + 600 :])
        try:
            open_source(str(path)).profile()
        except InvalidInput:
            refused += 1
    assert refused


# -- CSV ------------------------------------------------------------------------------------


def csv(path: Path, content: str | bytes, name: str = "t.csv") -> TableProfile:
    (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_source(str(path / name)).profile()


def test_types_that_widen_late_widen_for_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.profiles.csv._BLOCK_BYTES", 1 << 12)
    lines = ["1,1,1,,,true"] * 4000
    lines[2000] = "1,2.5,word,,7,yes"
    lines[3000] = "1,3,4,,7.5,true"
    found = csv(tmp_path, "\n".join(["n,f,s,none,late,b", *lines]) + "\n")
    assert numeric(found.columns["n"]).whole
    assert not numeric(found.columns["f"]).whole
    assert numeric(found.columns["f"]).high == 3.0
    assert found.columns["f"].rows == found.rows == 4000
    assert category(found.columns["s"]).counts == {"1": 3998, "4": 1, "word": 1}
    assert numeric(found.columns["none"]).nulls == 4000
    late = numeric(found.columns["late"])
    assert (late.low, late.high, late.nulls) == (7.0, 7.5, 3998)
    assert category(found.columns["b"]).counts == {"true": 3999, "yes": 1}


def test_a_column_that_is_named_x_is_no_packed_profile(tmp_path: Path) -> None:
    for header in ("x,y", "x^2,y", "x"):
        found = csv(tmp_path, header + "\n" + "1,2"[: len(header)].rstrip(",") + "\n")
        assert found.rows == 1


def test_csv_as_people_write_it(tmp_path: Path) -> None:
    found = csv(tmp_path, 'a,b\n"x,1","say ""no"""\n"y\n2",\n')
    assert category(found.columns["a"]).counts == {"x,1": 1, "y\n2": 1}
    assert category(found.columns["b"]).counts == {'say "no"': 1}
    assert list(csv(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n").columns) == ["a", "b"]
    assert list(csv(tmp_path, "a\tb\n1\t2\n", "t.tsv").columns) == ["a", "b"]
    header = csv(tmp_path, "a,b\n")
    assert (header.rows, list(header.columns)) == (0, ["a", "b"])
    missing = csv(tmp_path, "a,b\n1,\n,NA\n")
    assert (missing.columns["a"].missing, missing.columns["b"].missing) == (1, 2)


LATIN = "ünïcödé".encode("latin-1")
MANY = b"1,word\n" * 700_000


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"\n\n", b"a,b\n1\n", b"a,b\n1,2,3\n", b"a,a\n1,2\n", b"a\0b\n\0\n"),
        *(b"a,b\n1," + LATIN + b"\n", LATIN + b",b\n1,2\n"),
    ],
    ids=str,
)
def test_csv_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInput):
        csv(tmp_path, content)


@pytest.mark.parametrize("end", [b"1\n", b"1," + LATIN + b"\n", LATIN + b",word\n"], ids=str)
def test_what_cannot_be_read_far_below_is_refused_too(tmp_path: Path, end: bytes) -> None:
    with pytest.raises(InvalidInput):
        csv(tmp_path, b"a,b\n" + MANY + end)


# -- what is there --------------------------------------------------------------------------


def test_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_source(str(tmp_path / "none.parquet"))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="without Parquet") as refused:
        open_source(str(tmp_path))
    assert "of Parquet files, and of no others" in str(refused.value.remedy)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.profile", "t.csv"])
def test_what_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x7fELF\0\0\0")
    with pytest.raises(InvalidInput):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("write", [as_parquet, as_arrow])
def test_two_columns_of_one_name_are_refused(
    tmp_path: Path, write: Callable[[Path, pa.Table], Path]
) -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    source = open_source(str(write(tmp_path, twice)))
    for columns in (None, ["a"]):
        with pytest.raises(InvalidInput, match="two columns named a"):
            source.profile(columns=columns)


def test_a_frame_that_cannot_be_exported_is_refused() -> None:
    for frame in (pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame({"a": [1, object()]})):
        with pytest.raises(InvalidInput):
            frame_source(frame)


MEASURE = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from trimtab.profiles.parquet import profile_parquet

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

file = pq.ParquetFile(sys.argv[1])
for group in range(file.metadata.num_row_groups):
    file.read_row_group(group, use_threads=False)
read = peak()
found = profile_parquet(Path(sys.argv[1]), cores=1)
assert found.rows == 2_000_000
print((peak() - read) / 1024)
"""


@pytest.mark.slow
def test_profiling_takes_little_more_memory_than_reading(tmp_path: Path) -> None:
    values = np.random.default_rng(0).lognormal(size=2_000_000)
    pq.write_table(pa.table({"x": values}), tmp_path / "x.parquet", row_group_size=500_000)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "x.parquet")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 50


# -- tables in several files -----------------------------------------------------------------


def written(folder: Path, *tables: pa.Table) -> Source:
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return open_source(str(folder))


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_how_a_table_ends_is_known_of_every_form(form: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=5_000)
    values[-700:] = 0.5
    table, path = pa.table({"x": values}), tmp_path / f"rows.{form}"
    if form == "parquet":
        pq.write_table(table, path, row_group_size=900)
    elif form == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    assert open_source(str(path)).profile().tails["x"] == Tail(0.5, 700)


def test_an_end_goes_on_from_file_to_file(tmp_path: Path) -> None:
    first = pa.table({"x": [1.0, 2.0, 7.0, 7.0]})
    found = written(tmp_path, first, pa.table({"x": [7.0] * 3}), pa.table({"x": [7.0] * 2}))
    assert found.profile().tails["x"] == Tail(7.0, 7)


def test_a_column_that_only_some_files_have_is_null_in_the_others(tmp_path: Path) -> None:
    found = written(tmp_path, pa.table({"x": [1, 2]}), pa.table({"y": ["a"], "x": [3]}))
    assert found.schema is not None
    assert found.schema.names == ["x", "y"]
    profile = found.profile()
    assert (profile.columns["x"].nulls, profile.columns["y"].nulls) == (0, 2)
    (y,) = found.profile(columns=["y"]).columns.values()
    assert isinstance(y, CategoryProfile)
    assert y.counts == {"a": 1}
    rows = pa.Table.from_batches(list(found.batches(["y", "x"])))
    assert rows.to_pydict() == {"y": [None, None, "a"], "x": [1, 2, 3]}


def test_files_that_differ_in_a_type_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"column x is string in .*1\.parquet, and int64 before"):
        written(tmp_path, pa.table({"x": [1]}), pa.table({"x": ["1"]}))


def test_files_may_differ_in_the_width_of_numbers(tmp_path: Path) -> None:
    wide = pa.table({"x": pa.array([1.5])})
    found = written(tmp_path, pa.table({"x": pa.array([1], pa.int32())}), wide)
    (x,) = found.profile().columns.values()
    assert isinstance(x, NumericProfile)
    assert x.high == 1.5
