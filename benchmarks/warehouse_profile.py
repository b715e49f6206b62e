"""How long a warehouse takes to count a profile of 1,000,000 rows and six columns of fractions.

    python -m benchmarks.warehouse_profile

Medians of three, beside `count(*)`; the profile is counted like a known one, by one query.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import duckdb
import ibis
import numpy as np
import psycopg
import pyarrow as pa
from tests import databases

from trimtab.integrations.warehouse import WarehouseSource
from trimtab.profiles.arrow import profile_of
from trimtab.profiles.codec import to_bytes

ROWS = 1_000_000


def median(work: Callable[[], object]) -> float:
    """Seconds, the median of three after one that is not counted."""
    work()
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def columns(law: str) -> pa.Table:
    """Six columns of one law."""
    rng = np.random.default_rng(5)
    draws = {
        "normal": lambda k: rng.normal(0, 10**k, ROWS),
        "lognormal": lambda k: rng.lognormal(k, 2, ROWS),
    }
    return pa.table({f"{law}{k}": draws[law](k) for k in range(6)})


def engines(table: pa.Table, address: str) -> dict[str, ibis.BaseBackend]:
    """DuckDB and PostgreSQL with the table in them."""
    names = table.column_names
    duck = duckdb.connect()
    duck.register("given", table)
    duck.execute("CREATE TABLE t AS FROM given")
    session = psycopg.connect(address, autocommit=True)
    session.execute("DROP TABLE IF EXISTS t")
    types = ", ".join(f"{name} double precision" for name in names)
    session.execute(f"CREATE TABLE t ({types})".encode())
    with session.cursor().copy(b"COPY t FROM STDIN") as copy:
        for row in zip(*(table[name].to_pylist() for name in names), strict=True):
            copy.write_row(row)
    session.execute("VACUUM ANALYZE t")
    return {
        "DuckDB": ibis.duckdb.from_connection(duck),
        "PostgreSQL": ibis.postgres.from_connection(session),
    }


def main() -> None:
    """Print what it takes."""
    address = databases.server().create()
    for law in ("normal", "lognormal"):
        table = columns(law)
        known = profile_of(table)
        for name, backend in engines(table, address).items():
            source = WarehouseSource(backend.table("t"))
            assert to_bytes(source.profile(like=known.columns)) == to_bytes(known)
            counted = median(lambda: source.profile(like=known.columns))  # noqa: B023
            fitted = median(source.profile)
            floor = median(lambda: backend.raw_sql("SELECT count(*) FROM t").fetchall())  # noqa: B023
            print(f"{law} {name}: {counted:.2f} s, fitted {fitted:.2f} s, count(*) {floor:.3f} s")
    databases.end()


if __name__ == "__main__":
    main()
