"""Write two small tables to try drift checks with: orders of a shop, as they were and now.

    .venv/bin/python scripts/generate_sample_data.py --inject-drift -o sample

Without `--inject-drift` both are drawn from the same world. With it, three things have happened
to the second one, which `drift.json` names: amounts are higher, one way of paying is gone, and
ages are missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY_SECONDS = 86_400
PAYMENTS = ("card", "invoice", "transfer", "voucher")
SHARES = (0.55, 0.25, 0.15, 0.05)
COUNTRIES = ("DE", "FR", "IT", "NL", "PL")
INJECTED: tuple[dict[str, Any], ...] = (
    {"column": "amount", "what": "mean_shift", "by_standard_deviations": 0.5},
    {"column": "payment", "what": "vanished_category", "category": "transfer"},
    {"column": "customer_age", "what": "null_spike", "share": 0.2},
)
"""What `--inject-drift` does to the second table."""


def orders(rows: int, rng: np.random.Generator, *, day: int, drifted: bool) -> pa.Table:
    """Orders of a month that begins so many days after the start; some ages are not known."""
    amount = np.round(rng.lognormal(3.6, 0.6, rows), 2)
    payment = rng.choice(PAYMENTS, rows, p=SHARES)
    unknown = rng.random(rows) < 0.03
    if drifted:
        amount = np.round(amount + 0.5 * amount.std(), 2)
        left = [name for name in PAYMENTS if name != "transfer"]
        others = np.array([SHARES[PAYMENTS.index(name)] for name in left])
        gone = payment == "transfer"
        payment[gone] = rng.choice(left, int(gone.sum()), p=others / others.sum())
        unknown |= rng.random(rows) < 0.2
    seconds = np.sort(rng.integers(0, 28 * DAY_SECONDS, rows)) + day * DAY_SECONDS
    moments = (int(START.timestamp()) + seconds) * 1_000_000
    return pa.table(
        {
            "ordered_at": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "amount": amount,
            "items": rng.poisson(1.8, rows) + 1,
            "customer_age": pa.array(rng.integers(18, 85, rows), mask=unknown),
            "payment": payment.tolist(),
            "country": rng.choice(COUNTRIES, rows).tolist(),
            "returning": rng.random(rows) < 0.4,
        }
    )


def write(folder: Path, *, rows: int, seed: int, inject: bool) -> list[Path]:
    """Write both tables, and what was done to the second one; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    reference, current = folder / "reference.parquet", folder / "current.parquet"
    told = folder / "drift.json"
    pq.write_table(orders(rows, rng, day=0, drifted=False), reference)
    pq.write_table(orders(rows, rng, day=28, drifted=inject), current)
    if not inject:
        told.unlink(missing_ok=True)
        return [reference, current]
    told.write_text(json.dumps({"injected": INJECTED}, indent=1) + "\n", "utf-8")
    return [reference, current, told]


def main(arguments: Sequence[str]) -> int:
    """Write what the command line asks for, and say what that was."""
    parser = argparse.ArgumentParser(description="Two tables to try drift checks with.")
    parser.add_argument("--inject-drift", action="store_true", help="let the second one drift")
    parser.add_argument("--rows", type=int, default=5000, help="of each table; 5000 by default")
    parser.add_argument("--seed", type=int, default=7, help="another one, other rows")
    parser.add_argument("-o", "--output", type=Path, default=Path("sample"), help="folder")
    given = parser.parse_args(arguments)
    if given.rows < 1:
        parser.error("--rows is at least 1")
    written = write(given.output, rows=given.rows, seed=given.seed, inject=given.inject_drift)
    lines = [f"wrote {path}" for path in written]
    for one in INJECTED if given.inject_drift else ():
        lines.append(f"injected: {one['what'].replace('_', ' ')} of {one['column']}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
