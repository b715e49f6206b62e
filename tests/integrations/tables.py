"""Tables that are hard to count, and the same tables in engines."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import psycopg
import pyarrow as pa

from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.counting import NumericCounter
from trimtab.profiles.grid import LOGARITHMIC, Grid
from trimtab.profiles.table import Profile

INFINITY = float("inf")

TRICKY = [
    *(float("nan"), INFINITY, -INFINITY, None, None, 0.0, -0.0, 1.0, -1.0, 1.0, 0.1, 0.3, -0.1),
    *(5e-324, -5e-324, 1e-310, -1e-310, 2.0**-1022, -(2.0**-1022), 2.0**-1029, 1e-300, -1e-300),
    *(1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308, 2.0**1023, -(2.0**1023)),
    *(2.0**53, 2.0**53 + 2.0, -(2.0**53), 2.0**62, 2.0**63, -(2.0**63), 2.0**64, 1e15 + 0.3),
    *(123456.00000190735, 1234.5678901234567, 0.1 + 0.2, 1e22, 1e23, 9007199254740993.0),
]
"""What trips engines."""


def grids() -> dict[str, Grid]:
    """Grids of all kinds: around zero, far away, minute, enormous, beyond the largest double."""
    return {
        "logarithmic": LOGARITHMIC,
        "around_zero": Grid(-6, -128, 256),
        "beside_zero": Grid(0, 128, 256),
        "from_one": Grid(3, 1, 200),
        "whole": Grid(0, -4096, 4096),
        "coarse": Grid(40, -128, 384),
        "fine_and_far": Grid(-20, 1 << 40, 4096),
        "largest_indices": Grid(-30, (1 << 53) - 4096, 1024),
        "minute": Grid(-1022, 0, 4096),
        "minute_above": Grid(-1022, 1 << 52, 128),
        "small": Grid(-900, -128, 256),
        "large": Grid(800, -128, 256),
        "enormous": Grid(1000, 0, 1024),
        "enormous_and_far": Grid(880, 1 << 52, 2048),
        "all_doubles": Grid(1016, -256, 512),
        "up_to_the_end": Grid(1013, 512, 1536),
        "down_to_the_end": Grid(1013, -2048, 1024),
        "highest_level": Grid(1023, -2, 4),
    }


def edges(grid: Grid) -> list[float]:
    """Values on the edges of cells, and their neighbours, in the window and outside of it."""
    reach = [grid.low, grid.high] if not grid.logarithmic else []
    steps = [grid.start + k for k in (1, 7, grid.cells // 2, grid.cells - 1)]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        reach += [float(np.ldexp(float(step), grid.level)) for step in steps]
        span = grid.high - grid.low if not grid.logarithmic else 1.0
        for octave in range(12):
            reach += [grid.high - span + span * 2.0**octave, grid.low + span - span * 2.0**octave]
        found = [x for x in reach if np.isfinite(x)]
        beside = [float(np.nextafter(x, way)) for x in found for way in (-INFINITY, INFINITY)]
    return [x for x in (*found, *beside) if np.isfinite(x)]


def tricky() -> tuple[pa.Table, dict[str, Profile]]:
    """A table with a column for each grid, and what its columns are to be counted like."""
    columns, like = {}, {}
    longest = max(len(edges(grid)) for grid in grids().values()) + len(TRICKY)
    for name, grid in grids().items():
        values = [*TRICKY, *edges(grid)]
        values += [None] * (longest - len(values))
        columns[name] = pa.array(values, pa.float64())
        like[name] = NumericCounter(grid).profile()
    return pa.table(columns), dict(like)


def mixed(rows: int = 3000) -> tuple[pa.Table, dict[str, Profile]]:
    """A table of all types that can be compared, and one that cannot."""
    rng = np.random.default_rng(8)
    numbers = rng.integers(-3000, 3000, rows)
    words = np.array(["", "a", "A", "ä", "a ", "'; --", "日本", "z" * 256, "y" * 257, "ß" * 300])
    texts = rng.choice(words, rows)
    gaps = rng.random(rows) < 0.1
    table = pa.table(
        {
            "whole": pa.array(numbers, pa.int64(), mask=gaps),
            "short": pa.array(numbers, pa.int16()),
            "large": pa.array(numbers * (1 << 50) + 1, pa.int64()),
            "single": pa.array(numbers / 7, pa.float32(), mask=gaps),
            "money": pa.array([Decimal(int(n)) / 100 for n in numbers], pa.decimal128(12, 2)),
            "flag": pa.array(numbers > 0, mask=gaps),
            "flag_as_number": pa.array(numbers > 0, mask=gaps),
            "number_as_name": pa.array(numbers % 12, pa.int32(), mask=gaps),
            "flag_as_name": pa.array(numbers > 9, mask=gaps),
            "text": pa.array(texts, pa.string(), mask=gaps),
            "ids": pa.array([f"id-{n}-é" for n in range(rows)], pa.string()),
            "nothing": pa.array([None] * rows, pa.float64()),
            "no_text": pa.array([None] * rows, pa.string()),
            "day": pa.array(numbers.astype("int32"), pa.date32()),
        }
    )
    wide = NumericCounter(Grid(1, -2048, 4096)).profile()
    named = CategoryProfile(0, 0, {})
    like: dict[str, Profile] = {
        "whole": wide,
        "short": NumericCounter(Grid(2, -128, 256)).profile(),
        "large": NumericCounter(Grid(48, -4096, 4096)).profile(),
        "single": NumericCounter(Grid(-3, -128, 1024)).profile(),
        "money": NumericCounter(Grid(-7, -2048, 4096)).profile(),
        "flag_as_number": NumericCounter(Grid(0, 0, 128)).profile(),
        "number_as_name": named,
        "flag_as_name": named,
        "nothing": wide,
    }
    return table, like


def random_columns(rows: int = 20_000) -> pa.Table:
    """Columns of several laws."""
    rng = np.random.default_rng(21)
    uniform = rng.random(rows)
    zeros = np.where(uniform < 0.4, 0.0, rng.lognormal(3, 2, rows))
    bits = rng.integers(0, 1 << 63, rows, dtype=np.int64) * 2 + rng.integers(0, 2, rows)
    return pa.table(
        {
            "normal": rng.normal(1e3, 1.0, rows),
            "skewed": rng.lognormal(0, 3, rows),
            "both_tails": rng.standard_cauchy(rows) * 1e5,
            "with_zeros": zeros,
            "counts": rng.poisson(4, rows).astype(np.float64),
            "far": rng.normal(1.6e9, 3e7, rows),
            "any_bits": np.where(uniform < 0.01, np.nan, bits.view(np.float64)),
            "ties": np.round(rng.normal(0, 3, rows), 1),
        }
    )


def likenesses(table: pa.Table) -> list[dict[str, Profile]]:
    """What to count the columns of a table like: windows of several places, and logarithmic."""
    found: list[dict[str, Profile]] = []
    for grid in (LOGARITHMIC, Grid(-4, -128, 4096), Grid(-10, 999 << 10, 2048)):
        found.append({name: NumericCounter(grid).profile() for name in table.column_names})
    return found


def in_duckdb(path: Path, table: pa.Table, name: str = "t") -> None:
    """Put a table into a file of DuckDB."""
    with duckdb.connect(str(path)) as connection:
        connection.register("given", table)
        connection.execute(f'CREATE TABLE "{name}" AS FROM given')


_TYPES = {
    pa.float64(): "double precision",
    pa.float32(): "real",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.int16(): "smallint",
    pa.bool_(): "boolean",
    pa.string(): "text",
    pa.date32(): "date",
    pa.decimal128(12, 2): "numeric(12, 2)",
}


def in_postgresql(address: str, table: pa.Table, name: str = "t") -> None:
    """Put a table into PostgreSQL."""
    columns = ", ".join(f'"{field.name}" {_TYPES[field.type]}' for field in table.schema)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} ({columns})".encode())
        with cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
            for row in table.to_pylist():
                copy.write_row(list(row.values()))
