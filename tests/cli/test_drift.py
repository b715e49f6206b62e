"""`trimtab drift` and `trimtab profile` as a person and as a script run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from trimtab.cli.outputs import write

ROWS = 3_000
WORDS = ("verdict", "drift_score", "affected_features", "features")
OF_A_FEATURE = (
    "kind psi ks_d ks_p w1 w1_scaled js null_rate_reference null_rate_current new_categories "
    "vanished_categories n_reference n_current verdict reason votes"
)


def run(*arguments: str | Path, columns: str = "160") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": columns, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "trimtab", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def table(seed: int, rows: int = ROWS, **changed: Any) -> pa.Table:
    rng = np.random.default_rng(seed)
    days = np.datetime64("2024-01-01") + np.sort(rng.integers(0, 30, rows)).astype("m8[D]")
    columns: dict[str, Any] = {
        "day": days,
        "amount": np.exp(rng.normal(size=rows)),
        "age": rng.integers(18, 90, rows),
        "city": rng.choice(["Bern", "Basel", "Chur"], rows, p=[0.5, 0.4, 0.1]),
    }
    return pa.table({**columns, **changed})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift")
    tables = {
        "before": table(1),
        "calm": table(2),
        "moved": table(3, amount=np.exp(np.random.default_rng(3).normal(1.0, 1.0, ROWS))),
        "short": table(2, rows=20),
        "lacking": table(2).drop_columns(["age"]),
        "retyped": table(2, age=["old"] * ROWS),
    }
    for name, one in tables.items():
        pq.write_table(one, folder / f"{name}.parquet")
        pyarrow.csv.write_csv(one, folder / f"{name}.csv")
    (folder / "empty.csv").write_bytes(b"")
    (folder / "cut.parquet").write_bytes((folder / "calm.parquet").read_bytes()[:-100])
    return folder


@pytest.mark.parametrize(
    ("current", "status", "words"),
    [
        ("calm.parquet", 0, "pass: none of 3 columns has changed"),
        ("moved.parquet", 1, "fail: 1 of 3 columns has changed"),
        ("short.parquet", 3, "80 more rows needed"),
        ("calm.csv", 0, "pass: none of 3"),
        ("moved.csv", 1, "amount  MOVED"),
    ],
)
def test_the_exit_status_says_what_was_found(
    current: str, status: int, words: str, folder: Path
) -> None:
    done = run("drift", folder / "before.parquet", folder / current)
    assert (done.returncode, done.stderr) == (status, "")
    assert words in done.stdout
    assert "not compared: day: times are not compared" in done.stdout


@pytest.mark.parametrize(
    ("current", "words"),
    [
        ("lacking.parquet", "column age is missing in the current table"),
        ("retyped.parquet", "column age has changed its type: numeric"),
        ("empty.csv", "is empty"),
        ("cut.parquet", "cut.parquet"),
        ("nothing.parquet", "there is no file"),
    ],
)
def test_what_cannot_be_compared_exits_with_2_and_says_why(
    current: str, words: str, folder: Path
) -> None:
    done = run("drift", folder / "before.parquet", folder / current)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--features", "amount,heigth"),
        ("--policy", "lax"),
        ("--window", "1d"),
        ("--time", "day"),
        ("--time", "age", "--window", "1y"),
        ("--by", "country"),
        ("--algorithms", "chi"),
        ("--quorum", "5"),
        ("--json", "/nowhere/at/all.json"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_the_way_out(
    options: tuple[str, ...], folder: Path
) -> None:
    done = run("drift", folder / "before.parquet", folder / "calm.parquet", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("trimtab: ")
    assert "Traceback" not in done.stderr


def test_the_document_has_every_number(folder: Path) -> None:
    done = run("drift", folder / "before.parquet", folder / "moved.parquet", "--json", "-")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(WORDS) <= set(told)
    assert next(iter(told["features"])) == "amount"  # the most moved first
    assert set(told["features"]) == {"amount", "age", "city"}
    for feature in told["features"].values():
        assert set(OF_A_FEATURE.split()) <= set(feature)
    (hit,) = told["affected_features"]
    assert (hit["name"], hit["drift_type"]) == ("amount", "data_drift")
    assert hit["p_value"] < 1e-6
    assert hit["magnitude"] == told["features"]["amount"]["ks_d"] == told["drift_score"]
    assert told["policy"]["name"] == "standard"


def test_a_stored_profile_stands_for_either_side(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "before.profile"
    assert run("profile", folder / "before.parquet", "-o", kept).returncode == 0
    other = tmp_path / "moved.profile"
    like = run("profile", folder / "moved.parquet", "--like", kept, "-o", other)
    assert like.returncode == 0
    direct = run("drift", folder / "before.parquet", folder / "moved.parquet", "--json", "-")
    stored = run("drift", kept, other, "--json", "-")
    assert stored.returncode == 1
    assert json.loads(stored.stdout)["features"] == json.loads(direct.stdout)["features"]
    refused = run("drift", kept, other, "--window", "100")
    assert refused.returncode == 2
    assert "its rows are gone" in refused.stderr


def test_windows_and_segments_are_parts(folder: Path) -> None:
    done = run(
        "drift", folder / "before.parquet", folder / "moved.parquet",
        "--time", "day", "--window", "1w", "--by", "city", "--json", "-",
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert {part["segment"] for part in told["parts"]} == {"Basel", "Bern", "Chur"}
    assert sum(part["rows"] for part in told["parts"]) == ROWS
    assert "city" in told["features"]  # as a whole; in a segment there is one value of it
    assert all("city" not in part["features"] for part in told["parts"])
    assert (told["segments_gone"], told["rows_in_no_part"]) == ([], 0)
    big = [part for part in told["parts"] if part["rows"] >= 300]
    assert big
    assert all(part["features"]["amount"]["verdict"] == "fail" for part in big)


def test_other_numbers_come_from_the_policy_and_from_sensitivity(folder: Path) -> None:
    before, now = folder / "before.parquet", folder / "calm.parquet"
    told = [
        json.loads(run("drift", before, now, "--json", "-", "--sensitivity", word).stdout)
        for word in ("low", "high")
    ]
    low, high = (one["features"]["age"]["votes"][0]["threshold"] for one in told)
    assert low == 4 * high
    tiers = [
        json.loads(run("drift", before, now, "--json", "-", "--tier", tier).stdout)
        for tier in ("1", "3")
    ]
    limits = [one["features"]["age"]["triggers"][0]["limit"] for one in tiers]
    assert limits == [0.05, 0.15]


def test_narrow_terminals_lose_nothing(folder: Path) -> None:
    done = run("drift", folder / "before.parquet", folder / "moved.parquet", columns="40")
    assert "amount" in done.stdout
    assert "MOVED" in done.stdout


def test_a_segment_that_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    whole = pq.read_table(folder / "calm.parquet")
    pq.write_table(whole.filter(pc.field("city") != "Basel"), tmp_path / "now.parquet")
    done = run("drift", folder / "before.parquet", tmp_path / "now.parquet", "--by", "city")
    assert done.returncode == 1
    assert "Basel was 4" in done.stdout
    assert "city is only in the reference: Basel" in done.stdout


def test_since_when_is_one_line_for_each_column(folder: Path, tmp_path: Path) -> None:
    now = table(2, rows=20_000)
    late = pc.greater_equal(now["day"].cast(pa.string()), "2024-01-15")
    amounts = pc.if_else(late, pc.multiply(now["amount"], 60.0), now["amount"])
    now = now.set_column(now.schema.get_field_index("amount"), "amount", amounts)
    pq.write_table(now, tmp_path / "now.parquet")
    done = run(
        "drift", folder / "before.parquet", tmp_path / "now.parquet",
        "--time", "day", "--window", "3d",
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if "in a row" in line]
    assert [line.replace(",", "").split()[:3] for line in lines] == [
        ["amount", "since", "2024-01-15"]
    ]


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--json", "before.parquet", "is what is read"),
        ("--html", "mine.csv", "is what is read"),
        ("--html", "notes.txt", "is not overwritten"),
        ("--json", "notes.txt", "is not overwritten"),
        ("--html", "nowhere/drift.html", "no folder"),
        ("--json", ".", "is a folder"),
    ],
)
def test_no_output_is_written_over_anything(
    option: str, name: str, words: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "before.parquet", tmp_path)
    shutil.copy(folder / "calm.csv", tmp_path / "mine.csv")
    (tmp_path / "notes.txt").write_text("of mine")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = run("drift", tmp_path / "before.parquet", tmp_path / "mine.csv", option, tmp_path / name)
    assert done.returncode == 2
    assert words in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_a_profile_is_not_written_over_its_table_and_an_older_one_is(
    folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.csv"
    shutil.copy(folder / "calm.csv", mine)
    assert "is what is read" in run("profile", mine, "-o", mine).stderr
    assert run("profile", mine, "-o", tmp_path / "p").returncode == 0
    assert run("profile", mine, "-o", tmp_path / "p").returncode == 0
    assert "no folder" in run("profile", mine, "-o", tmp_path / "no" / "p").stderr


def test_a_name_that_is_nearly_right_is_guessed(folder: Path) -> None:
    done = run("drift", folder / "before.parquet", folder / "calm.parquet", "--features", "amuont")
    assert "did you mean amount? there are day, amount, age, city" in done.stderr


def test_windows_that_are_too_short_to_judge_are_refused_at_once(folder: Path) -> None:
    done = run("drift", folder / "before.parquet", folder / "calm.parquet", "--window", "10")
    assert done.returncode == 2
    assert "windows of 10 rows cannot be judged: 100 are needed" in done.stderr


def test_a_fault_of_the_program_is_no_answer() -> None:
    script = (
        "import trimtab.cli.commands as c, trimtab.cli\n"
        "def broken(): raise RuntimeError('planted')\n"
        "c.app = broken\n"
        "trimtab.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2  # 1 would say that the data has moved
    assert "planted" in done.stderr


@pytest.mark.parametrize("address", ["https://example.org/rows.parquet", "s3://bucket/rows.csv"])
def test_what_lies_elsewhere_is_not_fetched(address: str, folder: Path) -> None:
    done = run("drift", folder / "before.parquet", address)
    assert done.returncode == 2
    assert "is not fetched from here" in done.stderr
    assert "download the file first" in done.stderr


def test_semicolons_and_decimal_commas_are_read(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "calm.csv").read_text().splitlines()
    swapped = [line.replace(",", ";").replace(".", ",") for line in lines]
    (tmp_path / "now.csv").write_text("\n".join(swapped))
    done = run("drift", folder / "before.parquet", tmp_path / "now.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "none of 3 columns has changed" in done.stdout


def test_rows_without_a_time_are_counted(folder: Path, tmp_path: Path) -> None:
    days = table(2)["day"].to_pylist()
    now = table(2, day=pa.array([None] * 700 + days[700:], pa.date32()))
    pq.write_table(now, tmp_path / "now.parquet")
    done = run(
        "drift", folder / "before.parquet", tmp_path / "now.parquet",
        "--time", "day", "--window", "1w", "--json", "-",
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["rows_in_no_part"] == 700
    assert sum(part["rows"] for part in told["parts"]) == ROWS - 700
    assert "700 rows have no segment or no time" in done.stderr


def test_two_tables_without_a_common_column_are_told_apart(folder: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"other": np.arange(500.0)}), tmp_path / "now.parquet")
    done = run("drift", folder / "before.parquet", tmp_path / "now.parquet")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "trimtab: the two tables have no column in common",
        "  is one of them the wrong file?",
    ]


def test_an_output_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept.profile"
    write(kept, b"x\x9cearlier")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(kept, b"x\x9clater")
    assert kept.read_bytes() == b"x\x9cearlier"
