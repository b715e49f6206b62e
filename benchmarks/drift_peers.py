"""Drift by Trimtab and by others, on the same files, beside a bare scan of them.

`python -m benchmarks.drift_peers --peers FOLDER` runs every program that `benchmarks/peers/setup.sh
FOLDER` has installed, in turn with the scan, in one thread; prints a table, and writes it as a page
with a picture. What is not installed is said. What would take longer than the limit on the larger
files, by what it took on the smaller ones, is not run there, and that is said too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import drift_data
from benchmarks.drift import keep
from benchmarks.floor import machine

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 180.0
LONG_SECONDS = 20.0  # what takes longer is timed once
SINGLE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
OURS = ("pyarrow", "trimtab")


@dataclass(frozen=True)
class Candidate:
    """A program, and how it is asked."""

    title: str
    package: str
    method: str = ""
    numbers_only: bool = False


SCAN = Candidate("bare scan (no verdict)", "pyarrow")
CANDIDATES = (
    SCAN,
    Candidate("Trimtab, both files", "trimtab", "files"),
    Candidate("Trimtab, stored profile", "trimtab", "profile"),
    Candidate("frouros, PSI", "frouros", "psi", numbers_only=True),
    Candidate("frouros, KS + chi-squared", "frouros", "tests"),
    Candidate("NannyML, KS + JS", "nannyml", "kolmogorov_smirnov"),
    Candidate(
        "NannyML, KS + JS + Wasserstein", "nannyml", "kolmogorov_smirnov,jensen_shannon,wasserstein"
    ),
    Candidate("whylogs", "whylogs"),
    Candidate("Evidently, PSI", "evidently", "psi"),
    Candidate("Evidently, default", "evidently", "default"),
    Candidate("River, ADWIN", "river", numbers_only=True),
)


@dataclass
class Row:
    """What one candidate did with files of one size."""

    title: str
    rows: int
    why_not: str = ""
    version: str = ""
    python: str = ""
    numbers_only: bool = False
    wall: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    """Columns that it calls moved where eight have."""
    alarms: list[str] | None = None
    """The same where none has; None where nobody looked."""

    @property
    def hits(self) -> int:
        """How many of the columns that moved it found."""
        return len(set(self.found) & set(drift_data.DRIFTS))

    @property
    def wrong(self) -> int:
        """How many others it named beside them."""
        return len(set(self.found) - set(drift_data.DRIFTS))

    def by_scan(self, scan: Row) -> float:
        """Seconds of the processor by those of the scan of the same files."""
        if not self.worked or not scan.worked:
            return math.nan
        return statistics.median(self.worked) / statistics.median(scan.worked)


def measured(
    peers: Path, folder: Path, rows: int, before: Sequence[Row], limit: float, turns: int
) -> list[Row]:
    """Every candidate on files of `rows` rows; `before` is what was measured on smaller ones."""
    files = drift_data.files(folder, rows)
    stored = folder / f"{rows}.profile"
    keep(files.reference, stored)
    found = {c.title: Row(c.title, rows, numbers_only=c.numbers_only) for c in CANDIDATES}
    for turn in range(turns):
        for candidate in CANDIDATES:
            row = found[candidate.title]
            row.why_not = row.why_not or _obstacle(candidate, peers, rows, before, limit)
            if row.why_not or (turn and row.wall[0] > LONG_SECONDS):
                continue
            reference = stored if candidate.method == "profile" else files.reference
            _once(row, candidate, peers, reference, files.drifted, limit)
            print(f"  {rows:,} rows, turn {turn + 1}: {candidate.title}: {_said(row)}", flush=True)
    for candidate in CANDIDATES:
        row = found[candidate.title]
        if not row.why_not and candidate is not SCAN:
            reference = stored if candidate.method == "profile" else files.reference
            told = _run(candidate, peers, reference, files.undrifted, limit)
            row.alarms = told["found"] if isinstance(told, dict) else None
    return list(found.values())


def _obstacle(
    candidate: Candidate, peers: Path, rows: int, before: Sequence[Row], limit: float
) -> str:
    if not _python(candidate, peers).exists():
        return "not installed"
    for row in before:
        if row.title == candidate.title and row.rows < rows and row.wall:
            expected = statistics.median(row.wall) * rows / row.rows
            if expected > limit and row.rows >= 100_000:
                return f"not run: about {expected:,.0f} s to be expected"
    return ""


def _python(candidate: Candidate, peers: Path) -> Path:
    if candidate.package in OURS:
        return Path(sys.executable)
    return peers / candidate.package / "bin" / "python"


def _once(
    row: Row, candidate: Candidate, peers: Path, reference: Path, current: Path, limit: float
) -> None:
    told = _run(candidate, peers, reference, current, limit)
    if isinstance(told, str):
        row.why_not = told
        return
    row.version, row.python, row.found = told["version"], told["python"], told["found"]
    for name in ("wall", "worked", "imports", "peak_mib"):
        getattr(row, name).append(told[name])


def _run(
    candidate: Candidate, peers: Path, reference: Path, current: Path, limit: float
) -> dict[str, Any] | str:
    """What a candidate says of two files; a sentence if it says nothing."""
    script = f"benchmarks.peers.with_{candidate.package}"
    command = [str(_python(candidate, peers)), "-m", script, str(reference), str(current)]
    command += [candidate.method] if candidate.method else []
    keep_path = {"PYTHONPATH": ""} if candidate.package not in OURS else {}
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **SINGLE, **keep_path},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done in {limit:.0f} s"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:120]}"
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def _said(row: Row) -> str:
    if row.why_not:
        return row.why_not
    return f"{row.wall[-1]:.2f} s, {row.hits} of {len(drift_data.DRIFTS)}, {row.wrong} wrong"


def main() -> None:
    """Run what is installed, print the table, and write the page with its picture."""
    from benchmarks.drift_page import page, picture, table

    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_peers", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".peers"))
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000])
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds for a run")
    parser.add_argument(
        "--turns",
        type=int,
        default=3,
        help=f"runs of what takes no longer than {LONG_SECONDS:.0f} s",
    )
    parser.add_argument("--data", type=Path, help="keep the tables in this folder")
    parser.add_argument("--output", type=Path, default=Path("var"), help="for page and picture")
    parser.add_argument("--json", type=Path, help="keep all figures, or take them with --again")
    parser.add_argument("--again", action="store_true", help="draw what --json holds, run nothing")
    asked = parser.parse_args()
    if asked.again:
        kept = json.loads(asked.json.read_text("utf-8"))
        here, rows = kept["machine"], [Row(**row) for row in kept["rows"]]
    else:
        here, rows = machine(), []
        with tempfile.TemporaryDirectory() as name:
            for size in sorted(asked.rows):
                folder = asked.data or Path(name)
                rows += measured(
                    asked.peers.resolve(), folder, size, rows, asked.limit, asked.turns
                )
    if asked.json and not asked.again:
        text = json.dumps({"machine": here, "rows": [asdict(row) for row in rows]}, indent=1)
        asked.json.write_text(text + "\n", "utf-8")
    print(f"\n{table(rows)}")
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "drift-benchmark.md").write_text(page(here, rows), "utf-8")
    (asked.output / "drift-benchmark.svg").write_text(picture(rows), "utf-8")
    print(f"page and picture: {asked.output}/drift-benchmark.md, .svg")


if __name__ == "__main__":
    main()
