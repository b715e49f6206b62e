"""Tables to measure drift on: `python -m benchmarks.drift_data FOLDER [--rows N]`.

Forty columns of numbers (normal, lognormal, uniform, and Student's t with two degrees of freedom,
in turn) and ten of categories, 5 to 5,000 of them. Eight columns of numbers lack 2 % of their
values, and so does one of categories. Three tables come of it: a reference; a current one in
which the eight columns of `DRIFTS` have moved; and another draw in which nothing has. All other
columns are new draws of the same laws. The same seed gives the same rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

NUMERIC = tuple(f"n{i:02}" for i in range(40))
CATEGORIES = {
    f"c{i:02}": count for i, count in enumerate((5, 8, 12, 20, 50, 100, 250, 500, 1000, 5000))
}
COLUMNS = (*NUMERIC, *CATEGORIES)
DRIFTS = {
    "n00": "the mean moves by 0.25 standard deviations",
    "n05": "a lognormal grows wider: sigma 1.0 to 1.2",
    "n10": "a uniform leans: Beta(1.3, 1)",
    "n15": "a heavy tail (t, 2 degrees of freedom) moves by 0.3",
    "n20": "a normal is 1.3 times as wide",
    "n27": "nulls rise from 2 % to 10 %; the values stay",
    "c02": "30 % of the first category's rows go to the second",
    "c08": "5 % of the rows are in a category never seen before",
}
SEED = 20240601
UNSEEN = "never seen before"
ROW_GROUP = 1 << 20
ROOT = Path(__file__).resolve().parent.parent

REFERENCE, DRIFTED, UNDRIFTED = "reference", "drifted", "undrifted"
_DRAWS = {REFERENCE: 0, DRIFTED: 1, UNDRIFTED: 2}

_NULLS = 0.02
_MORE_NULLS = 0.10


@dataclass(frozen=True)
class Files:
    """The three tables."""

    reference: Path
    drifted: Path
    undrifted: Path


def numbers(
    rng: np.random.Generator, name: str, rows: int, *, drifted: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """The values of a column, shape (rows,), and which of them are null; None for none."""
    place = NUMERIC.index(name)
    moved = name if drifted else ""
    values = _drawn(rng, place, rows, moved)
    if place % 10 not in (3, 7):
        return values, None
    return values, rng.random(rows) < (_MORE_NULLS if moved == "n27" else _NULLS)


def _drawn(rng: np.random.Generator, place: int, rows: int, moved: str) -> NDArray[np.float64]:
    law = place % 4
    if law == 0:
        values = rng.standard_normal(rows)
        values *= 1.3 if moved == "n20" else 1.0
        values += 0.25 if moved == "n00" else 0.0
        return values * (1 + place) + place
    if law == 1:
        return np.exp(rng.standard_normal(rows) * (1.2 if moved == "n05" else 1.0))
    if law == 2:
        return 100.0 * (rng.beta(1.3, 1.0, rows) if moved == "n10" else rng.random(rows))
    return rng.standard_t(2, rows) + (0.3 if moved == "n15" else 0.0)


def shares(name: str, *, drifted: bool = False) -> tuple[list[str], NDArray[np.float64], float]:
    """The categories of a column, their shares of the rows that have one, and that of nulls."""
    count = CATEGORIES[name]
    names = [f"{name} value {value:05}" for value in range(count)]
    weights = np.arange(1, count + 1, dtype=np.float64) ** -0.8
    weights /= weights.sum()
    moved = name if drifted else ""
    if moved == "c02":
        weights[1] += 0.3 * weights[0]
        weights[0] *= 0.7
    if moved == "c08":
        names.append(UNSEEN)
        weights = np.append(0.95 * weights, 0.05)
    return names, weights, _NULLS if name == "c04" else 0.0


def generator(seed: int, table: str, name: str) -> np.random.Generator:
    """The source of one column of one table: no column hangs on another."""
    return np.random.default_rng([seed, _DRAWS[table], COLUMNS.index(name)])


def _column(seed: int, table: str, name: str, rows: int) -> pa.Array:
    rng = generator(seed, table, name)
    drifted = table == DRIFTED
    if name in NUMERIC:
        values, mask = numbers(rng, name, rows, drifted=drifted)
        return pa.array(values, mask=mask)
    names, weights, nulls = shares(name, drifted=drifted)
    bounds = np.cumsum(weights)
    codes = np.searchsorted(bounds, rng.random(rows)).clip(0, len(names) - 1).astype(np.int32)
    mask = rng.random(rows) < nulls if nulls else None
    coded = pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask), pa.array(names))
    return coded.cast(pa.string())


def write(path: Path, table: str, rows: int, *, seed: int = SEED, codec: str = "zstd") -> None:
    """One table as a Parquet file."""
    columns = {name: _column(seed, table, name, rows) for name in COLUMNS}
    pq.write_table(pa.table(columns), path, compression=codec, row_group_size=ROW_GROUP)


def again(source: Path, target: Path, codec: str) -> None:
    """The same rows, packed otherwise."""
    pq.write_table(pq.read_table(source), target, compression=codec, row_group_size=ROW_GROUP)


def again_apart(source: Path, target: Path, codec: str) -> None:
    """The same, by another process."""
    code = (
        "import sys, pathlib; from benchmarks import drift_data; "
        "drift_data.again(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])"
    )
    command = [sys.executable, "-c", code, str(source), str(target), codec]
    subprocess.run(command, cwd=ROOT, check=True)


def path(folder: Path, table: str, rows: int, codec: str = "zstd") -> Path:
    """Where a table lies."""
    return folder / f"{table}-{rows}-{codec}.parquet"


def files(folder: Path, rows: int, *, tables: Sequence[str] = tuple(_DRAWS)) -> Files:
    """The tables in this folder, written where they are missing: by another process, so that
    the memory of this one says nothing of it."""
    missing = [table for table in tables if not path(folder, table, rows).exists()]
    if missing:
        command = [sys.executable, "-m", "benchmarks.drift_data", str(folder)]
        command += ["--rows", str(rows), "--tables", *missing]
        subprocess.run(command, cwd=ROOT, check=True)
    return Files(*(path(folder, table, rows) for table in _DRAWS))


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_data", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--tables", nargs="*", default=list(_DRAWS), choices=list(_DRAWS))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for table in asked.tables:
        write(path(asked.folder, table, asked.rows), table, asked.rows, seed=asked.seed)


if __name__ == "__main__":
    main()
