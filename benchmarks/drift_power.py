"""How often drift is called where there is none, and how often it is found where there is.

False alarms are those of whole tables of fifty columns, two draws of the same laws each: of
`moved`, whose level is 5 % of the tables, and of structural findings, whose level is the same.
Power is that of the eight drifts of `drift_data`. Nothing here is timed: `python -m
benchmarks.drift_power` prints all of it as tables, `--rows 200000` only those of that size.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from benchmarks import drift_data
from benchmarks.floor import Figure, Goal
from trimtab.monitoring.comparison import Comparison, compare
from trimtab.policies.loader import load_preset
from trimtab.profiles.arrow import NumericColumn, counter_for
from trimtab.profiles.category import of_counts
from trimtab.profiles.comparison import numeric_distance
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile, Tail
from trimtab.stats.intervals import clopper_pearson

LEVEL = 0.05
COLUMNS = 50
TABLES = {100: 200, 1_000: 200, 10_000: 100, 200_000: 20, 2_000_000: 5}
SEEDS = 20
_CARDINALITIES = (2, 3, 5, 8, 12, 20, 50, 100, 250, 500, 1000, 2000, 5000)
_NULLS = (0.005, 0.02, 0.1, 0.5, 0.9)

Draw = Callable[[np.random.Generator, int, int], pa.Array]
"""From a source, the place of a column and the rows, to its values."""


def _heavy(rng: np.random.Generator, place: int, rows: int) -> pa.Array:
    laws = (
        lambda: rng.standard_cauchy(rows),
        lambda: rng.standard_t(1.5, rows),
        lambda: np.exp(2.0 * rng.standard_normal(rows)),
        lambda: rng.pareto(0.8, rows),
    )
    return pa.array(laws[place % 4]())


def _ties(rng: np.random.Generator, place: int, rows: int) -> pa.Array:
    laws = (
        lambda: rng.poisson(0.3 + place / 10, rows),
        lambda: np.round(rng.standard_normal(rows), 1),
        lambda: (rng.random(rows) < 0.02 * (place + 1)).astype(np.int64),
        lambda: np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(3.0, rows)),
    )
    return pa.array(laws[place % 4]())


def _nulls(rng: np.random.Generator, place: int, rows: int) -> pa.Array:
    return pa.array(rng.standard_normal(rows), mask=rng.random(rows) < _NULLS[place % len(_NULLS)])


def _not_finite(rng: np.random.Generator, place: int, rows: int) -> pa.Array:
    values, odd = rng.standard_normal(rows), rng.random(rows)
    values[odd < 0.01] = np.inf
    values[(odd >= 0.01) & (odd < 0.015)] = -np.inf
    values[(odd >= 0.015) & (odd < 0.02 + place / 500)] = np.nan
    return pa.array(values)


def _constants(rng: np.random.Generator, place: int, rows: int) -> pa.Array:
    rare = 0.0 if place % 2 else 0.001 * (1 + place)
    return pa.array(np.where(rng.random(rows) < rare, 2.5, 1.0))


LAWS: Mapping[str, Draw] = {
    "heavy tails": _heavy,
    "ties": _ties,
    "nulls": _nulls,
    "NaN and infinities": _not_finite,
    "constants": _constants,
}
FAMILIES = ("benchmark", *LAWS, "categories")


def counted(values: pa.Array, like: Profile | None) -> tuple[Profile, Tail | None]:
    """The profile of a column, as a file's would be, and how it ends."""
    counter = counter_for(values.type, like)
    counter.add(values)
    return counter.profile(), counter.tail if isinstance(counter, NumericColumn) else None


def categories(
    rng: np.random.Generator, names: Sequence[str], shares: np.ndarray, nulls: float, rows: int
) -> Profile:
    """The profile of a column of categories: their counts have the same law as if rows had been
    drawn and counted."""
    missing = int(rng.binomial(rows, nulls))
    counts = rng.multinomial(rows - missing, shares / shares.sum()).tolist()
    return of_counts(dict(zip(names, counts, strict=True)), rows=rows, nulls=missing)


def _column(
    family: str, rng: np.random.Generator, place: int, rows: int, like: Profile | None
) -> tuple[Profile, Tail | None]:
    name = drift_data.COLUMNS[place]
    if family == "benchmark" and name in drift_data.NUMERIC:
        values, mask = drift_data.numbers(rng, name, rows)
        return counted(pa.array(values, mask=mask), like)
    if family == "benchmark":
        return categories(rng, *drift_data.shares(name), rows), None
    if family == "categories":
        count = _CARDINALITIES[place % len(_CARDINALITIES)]
        weights = 1.0 / np.arange(1, count + 1) ** (0.4 * (place % 4))
        return categories(rng, [f"{i:05}" for i in range(count)], weights, 0.0, rows), None
    return counted(LAWS[family](rng, place, rows), like)


def undrifted(family: str, rows: int, seed: int, *, rows_reference: int = 0) -> Comparison:
    """Two draws of the same fifty laws, compared."""
    columns: list[dict[str, Profile]] = [{}, {}]
    tails: dict[str, Tail] = {}
    for place, name in enumerate(drift_data.COLUMNS):
        rng = np.random.default_rng([seed, rows, place, FAMILIES.index(family)])
        before, _ = _column(family, rng, place, rows_reference or rows, None)
        now, tail = _column(family, rng, place, rows, before)
        columns[0][name], columns[1][name] = before, now
        if tail is not None:
            tails[name] = tail
    return _compared(columns[0], columns[1], rows_reference or rows, rows, tails)


def drifted(rows: int, seed: int) -> Comparison:
    """The benchmark's table with its eight drifts against its reference, column by column."""
    columns: list[dict[str, Profile]] = [{}, {}]
    for name in drift_data.COLUMNS:
        like: Profile | None = None
        for side, table in enumerate((drift_data.REFERENCE, drift_data.DRIFTED)):
            rng, moved = drift_data.generator(seed, table, name), bool(side)
            if name in drift_data.NUMERIC:
                values, mask = drift_data.numbers(rng, name, rows, drifted=moved)
                like, _ = counted(pa.array(values, mask=mask), like)
            else:
                like = categories(rng, *drift_data.shares(name, drifted=moved), rows)
            columns[side][name] = like
    return _compared(columns[0], columns[1], rows, rows, {})


def _compared(
    before: Mapping[str, Profile],
    now: Mapping[str, Profile],
    rows_before: int,
    rows: int,
    tails: Mapping[str, Tail],
) -> Comparison:
    demands = load_preset("standard").tier(1).monitoring
    return compare(TableProfile(rows_before, before), TableProfile(rows, now, tails=tails), demands)


@dataclass
class Alarms:
    """What was called in tables where nothing has changed."""

    family: str
    rows: int
    tables: int = 0
    moved: int = 0
    """Tables with any column that is called moved."""
    structural: int = 0
    """Tables with any structural finding."""
    short: int = 0
    """Columns that were not judged, because values were missing."""
    named: list[str] = field(default_factory=list)

    def add(self, found: Comparison, seed: int) -> None:
        """One more table."""
        self.tables += 1
        self.moved += any(look.moved for look in found.looks)
        self.structural += any(look.structural for look in found.looks)
        self.short += sum(look.insufficient is not None for look in found.looks)
        self.named += [f"{look.feature} of table {seed}" for look in found.looks if look.changed]

    def cells(self) -> tuple[str, ...]:
        """As a line of a table."""
        short = f"{self.short / self.tables / COLUMNS:.0%}"
        rates = (_rate(self.moved, self.tables), _rate(self.structural, self.tables))
        return (self.family, f"{self.rows:,}", f"{self.tables}", *rates, short)


def alarms(family: str, rows: int, tables: int) -> Alarms:
    """False alarms of so many tables."""
    found = Alarms(family, rows)
    for seed in range(tables):
        found.add(undrifted(family, rows, seed), seed)
    return found


@dataclass
class Power:
    """What was found of the eight drifts, table after table."""

    rows: int
    tables: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def power(rows: int, seeds: int) -> Power:
    """The eight drifts, and nothing else, on so many tables."""
    found = Power(rows)
    for seed in range(seeds):
        named = {look.feature for look in drifted(rows, seed).affected}
        found.tables += 1
        moved = set(drift_data.DRIFTS)
        found.missed += [f"{name}, seed {seed}" for name in sorted(moved - named)]
        found.wrong += [f"{name}, seed {seed}" for name in sorted(named - moved)]
    return found


def psi_by_its_mean(rows: int, columns: int) -> float:
    """PSI of columns that have not moved, by the mean that theory gives it; 1 is right."""
    observed, stated = [], []
    for seed in range(columns):
        rng = np.random.default_rng([seed, rows, 77])
        name = drift_data.NUMERIC[seed % len(drift_data.NUMERIC)]
        before, _ = counted(pa.array(drift_data.numbers(rng, name, rows)[0]), None)
        now, _ = counted(pa.array(drift_data.numbers(rng, name, rows)[0]), before)
        assert isinstance(before, NumericProfile)
        assert isinstance(now, NumericProfile)
        distance = numeric_distance(before, now)
        observed.append(distance.psi or 0.0)
        stated.append(distance.psi_mean or 0.0)
    return float(np.sum(observed) / np.sum(stated))


def measure(*, tiny: bool) -> list[Figure]:
    """Rates in percent; their spread is the 95 % Clopper-Pearson interval."""
    sizes = {100: 2} if tiny else TABLES
    figures = []
    for family in FAMILIES:
        for rows, tables in sizes.items():
            found = alarms(family, rows, tables)
            name = f"{family}, {rows:,} rows: false "
            figures.append(_figure(f"{name}moves", found.moved, found.tables))
            figures.append(_figure(f"{name}findings", found.structural, found.tables))
            for one in found.named:
                print(f"    false alarm: {family}, {rows:,} rows, {one}", flush=True)
    for rows, seeds in ((2_000, 1),) if tiny else ((200_000, SEEDS), (2_000_000, SEEDS)):
        seen = power(rows, seeds)
        for one in (*(f"missed: {m}" for m in seen.missed), *(f"wrong: {w}" for w in seen.wrong)):
            print(f"    {rows:,} rows, {one}", flush=True)
        drifts = seeds * len(drift_data.DRIFTS)
        others = seeds * (len(drift_data.COLUMNS) - len(drift_data.DRIFTS))
        found_ones = drifts - len(seen.missed)
        figures.append(_figure(f"{rows:,} rows: drifts found", found_ones, drifts, least=99.0))
        figures.append(_figure(f"{rows:,} rows: other columns named", len(seen.wrong), others))
    for rows, columns in ((1_000, 4),) if tiny else ((1_000, 1000), (10_000, 1000), (200_000, 400)):
        ratio = psi_by_its_mean(rows, columns)
        figures.append(Figure(f"{rows:,} rows: PSI by its stated mean", "x", [ratio]))
    return figures


def _figure(name: str, hits: int, of: int, *, least: float | None = None) -> Figure:
    low, rate, high = (100.0 * share for share in _bracket(hits, of))
    goal = Goal(100.0 * LEVEL) if least is None else Goal(least, at_least=True)
    return Figure(name, f"% of {of:,}", [low, rate, high], goal=goal)


def _rate(hits: int, of: int) -> str:
    low, rate, high = _bracket(hits, of)
    return f"{rate:.3f} [{low:.3f}, {high:.3f}]"


def _bracket(hits: int, of: int) -> tuple[float, float, float]:
    found = clopper_pearson(hits, of, confidence=0.95)
    return found.low, hits / of, found.high


def main() -> None:
    """Print everything as tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_power", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", help="only tables of these sizes")
    asked = parser.parse_args().rows
    sizes = {rows: tables for rows, tables in TABLES.items() if not asked or rows in asked}
    heads = ("laws", "rows", "tables", "any column moved", "any structural finding", "not judged")
    for line in (heads, ("---",) * len(heads)):
        print("| " + " | ".join(line) + " |")
    for family in FAMILIES:
        for rows, tables in sizes.items():
            found = alarms(family, rows, tables)
            print("| " + " | ".join(found.cells()) + " |", flush=True)
            for one in found.named:
                print(f"<!-- {one} -->")
    for rows in (200_000, 2_000_000):
        if rows in sizes:
            seen = power(rows, SEEDS)
            wrong = f"wrong {seen.wrong or 'none'}"
            print(f"\n{rows:,} rows, {SEEDS} seeds: missed {seen.missed or 'none'}, {wrong}")
    for rows, columns in ((1_000, 1000), (10_000, 1000), (200_000, 400)):
        if rows in sizes:
            print(f"PSI by its stated mean, {rows:,} rows: {psi_by_its_mean(rows, columns):.3f}")


if __name__ == "__main__":
    main()
