"""How often drift is called window by window in real rows where nothing has changed.

The American Community Survey of Massachusetts, is the person employed: 2015 is the reference,
2016 and 2017 are looked at in windows of a week and of 200 rows. A feature-window is raised when
it has moved, or has a structural finding. The file says the year of a row and nothing finer, so a
seed spreads the rows over the days of their year; or they stay in the order of the file, which
ends 2017 with people who live in group quarters, and that is a change.

Nothing here is timed. The file is not in the repository: `BENCHMARK_EMPLOYMENT` or `--data` says
where it is. `python -m benchmarks.drift_employment --data FILE` prints all of it as a table.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.floor import Figure, Goal
from trimtab.monitoring.comparison import Counted, compare
from trimtab.monitoring.drift import Scope
from trimtab.policies.loader import load_preset
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.parts import Windows, profile_parts
from trimtab.profiles.sources import frame_source
from trimtab.stats.intervals import clopper_pearson

VARIABLE = "BENCHMARK_EMPLOYMENT"
PRESET, TIER = "standard", 1
SEEDS = 5
LIMIT = 0.01
"""At most this share of the feature-windows is to be raised where nothing has changed."""
WINDOWS = ("1w", "200")
ORDER = "as in the file"
_FIRST, _LAST = 2015, 2017
_TIME = "time"


@dataclass(frozen=True)
class Raised:
    """What was called in the windows of one order of the rows."""

    order: str
    window: str
    rows: int
    windows: int
    features: int
    looks: int
    raised: int

    @property
    def share(self) -> float:
        """Of the feature-windows, 0 to 1."""
        return self.raised / self.looks

    def cells(self) -> tuple[str, ...]:
        """As a line of a table."""
        numbers = (self.rows, self.windows, self.features, self.looks, self.raised)
        window = self.window if self.window.endswith("w") else f"{self.window} rows"
        return (self.order, window, *(f"{number:,}" for number in numbers), f"{self.share:.2%}")


def table_of(path: Path) -> pa.Table:
    """The rows of the file, as they come."""
    if not path.is_file():
        raise SystemExit(f"{path} is no file: give employment_ma_2015_2017.parquet")
    table = pq.read_table(path)
    if "year" not in table.schema.names:
        raise SystemExit(f"{path} has no column year: give employment_ma_2015_2017.parquet")
    return table


def made_up(rows: int) -> pa.Table:
    """A table of the same form in which nothing changes, to see that everything runs."""
    rng = np.random.default_rng(2015)
    return pa.table(
        {
            "AGEP": rng.integers(0, 95, rows).astype(np.float64),
            "SCHL": rng.integers(1, 25, rows).astype(str),
            "SEX": rng.integers(1, 3, rows).astype(str),
            "year": np.sort(rng.integers(_FIRST, _LAST + 1, rows)),
        }
    )


def in_time(table: pa.Table, seed: int | None) -> tuple[pa.Table, pa.Table]:
    """The reference, and the later rows in the order of their times.

    With a seed the rows of a year are spread over it by chance; without one they fill it evenly
    in the order of the file.
    """
    years = table["year"].to_numpy()
    rng = np.random.default_rng(seed)
    moments = np.empty(years.size, dtype="datetime64[us]")
    for year in range(_FIRST, _LAST + 1):
        its = np.flatnonzero(years == year)
        begin, end = (np.datetime64(f"{y}-01-01", "us") for y in (year, year + 1))
        place = np.arange(its.size) / its.size if seed is None else rng.random(its.size)
        moments[its] = begin + (place * (end - begin).astype(np.int64)).astype("timedelta64[us]")
    timed = table.append_column(_TIME, pa.array(moments)).drop_columns(["year"])
    order = np.argsort(moments, kind="stable")
    later = timed.take(pa.array(order[years[order] > _FIRST]))
    return timed.filter(pc.equal(table["year"], _FIRST)).drop_columns([_TIME]), later


def looked_at(table: pa.Table, seed: int | None) -> Iterator[Raised]:
    """Windows of each length of one order of the rows, against the first year."""
    before, later = in_time(table, seed)
    demands = load_preset(PRESET).tier(TIER).monitoring
    kept = profile_of(before)
    names = before.schema.names
    now = profile_of(later.select(names), like=kept.columns)
    for window in WINDOWS:
        windows = Windows.parse(window, _TIME if window.endswith("w") else None)
        source = frame_source(later)
        parts, _ = profile_parts(source, names, like=kept.columns, windows=windows)
        counted = [Counted(p.segment, p.begin, p.end, p.profile, None) for p in parts]
        found = compare(kept, now, demands, parts=counted).parts
        looks = [look for part in found for look in part.looks]
        yield Raised(
            order=ORDER if seed is None else f"by chance, seed {seed}",
            window=window,
            rows=later.num_rows,
            windows=len(found),
            features=len(names),
            looks=len(looks),
            raised=sum(look.changed for look in looks),
        )


def orders(table: pa.Table, seeds: int) -> Iterator[Raised]:
    """All that is measured: by chance for each seed, then in the order of the file."""
    for seed in (*range(seeds), None):
        yield from looked_at(table, seed)


def measure(*, tiny: bool) -> list[Figure]:
    """Shares in percent; their spread is the 95 % Clopper-Pearson interval."""
    path = os.environ.get(VARIABLE)
    if not tiny and path is None:
        print(f"    left out: {VARIABLE} does not say where the file is", flush=True)
        return []
    table = made_up(6_000) if tiny else table_of(Path(path or ""))
    figures = []
    for found in orders(table, 1 if tiny else SEEDS):
        goal = None if found.order == ORDER else Goal(100.0 * LIMIT)
        bracket = clopper_pearson(found.raised, found.looks, confidence=0.95)
        shares = [100.0 * share for share in (bracket.low, found.share, bracket.high)]
        name = f"{found.order}, windows of {found.window}: raised"
        figures.append(Figure(name, f"% of {found.looks:,}", shares, goal=goal))
    return figures


def main() -> None:
    """Print everything as a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_employment")
    parser.add_argument("--data", type=Path, default=os.environ.get(VARIABLE), metavar="FILE")
    path = parser.parse_args().data
    if path is None:
        parser.error(f"say where employment_ma_2015_2017.parquet is: --data FILE, or {VARIABLE}")
    table = table_of(Path(path))
    heads = ("order", "window", "rows", "windows", "features", "feature-windows", "raised", "share")
    print(f"preset {PRESET}, tier {TIER}, scope {Scope.GLOBAL.value}\n")
    for line in (heads, ("---",) * len(heads)):
        print("| " + " | ".join(line) + " |")
    for found in orders(table, SEEDS):
        print("| " + " | ".join(found.cells()) + " |", flush=True)


if __name__ == "__main__":
    main()
