"""`trimtab drift` and `trimtab profile` as a person and as a script run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

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
        ("moved.parquet", 1, "fail: 1 of 3 columns have changed"),
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
    assert list(told["features"]) == ["amount", "age", "city"] or told["features"]
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
    assert "city" not in told["features"]
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
