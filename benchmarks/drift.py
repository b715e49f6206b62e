"""Drift of a file against a stored profile, and of two files, beside a bare scan of the same.

The scan reads one row group of one column after the other, texts as codes of a dictionary: what
PyArrow needs at the least to have all values in memory once. Ours reads, counts and judges them.
Both use one core and take turns; seconds are said as they pass and as the core worked, because
others share it. Memory is that of processes of their own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import drift_data
from benchmarks.floor import Figure, Goal
from trimtab.monitoring.comparison import Comparison, compare
from trimtab.policies.loader import load_preset
from trimtab.profiles import codec
from trimtab.profiles.sources import open_source

SCAN = "a bare scan of the same"
ROOT = Path(__file__).resolve().parent.parent
CODECS = ("none", "snappy")
_TEXTS = list(drift_data.CATEGORIES)


@dataclass
class Taken:
    """Seconds of one kind of work, run after run: by the clock, and of the processor."""

    wall: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    def run(self, work: Callable[[], object]) -> None:
        """Do it once more."""
        began, worked = time.perf_counter(), time.process_time()
        work()
        self.wall.append(time.perf_counter() - began)
        self.worked.append(time.process_time() - worked)


def scan(*files: Path) -> None:
    """Read all of these files, a column chunk at a time."""
    for path in files:
        file = pq.ParquetFile(path, read_dictionary=_TEXTS)
        for group in range(file.num_row_groups):
            for name in drift_data.COLUMNS:
                file.read_row_group(group, [name], use_threads=False)


def against_stored(stored: Path, current: Path, *, cores: int = 1) -> Comparison:
    """The verdict on a file whose reference was profiled before."""
    before = open_source(str(stored)).profile()
    now = open_source(str(current)).profile(like=before.columns, cores=cores)
    return compare(before, now, load_preset("standard").tier(1).monitoring)


def from_scratch(reference: Path, current: Path, *, cores: int = 1) -> Comparison:
    """The verdict on two files of which nothing is known."""
    before = open_source(str(reference)).profile(cores=cores)
    now = open_source(str(current)).profile(like=before.columns, cores=cores)
    return compare(before, now, load_preset("standard").tier(1).monitoring)


def keep(reference: Path, stored: Path) -> None:
    """Write the profile that later files are compared with."""
    stored.write_bytes(codec.to_bytes(open_source(str(reference)).profile(cores=1)))


def measure(*, tiny: bool) -> list[Figure]:
    """Seconds by those of the scan, memory beyond the scan's, and how long a command takes."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows, runs in ((2_000, 1),) if tiny else ((200_000, 9), (2_000_000, 7)):
            figures += _of_size(folder, rows, runs, tiny=tiny)
        figures.append(_start_up(folder, 1 if tiny else 9))
    return figures


def _of_size(folder: Path, rows: int, runs: int, *, tiny: bool) -> list[Figure]:
    files = drift_data.files(folder, rows, tables=(drift_data.REFERENCE, drift_data.DRIFTED))
    stored = folder / f"{rows}.profile"
    keep(files.reference, stored)
    verdict = against_stored(stored, files.drifted)
    if not tiny and {look.feature for look in verdict.affected} != set(drift_data.DRIFTS):
        raise SystemExit(f"other columns than those that moved: {verdict.reason}")
    taken = {name: Taken() for name in ("scan", "both", "ours", "two", "scratch")}
    for _ in range(runs):
        taken["scan"].run(lambda: scan(files.drifted))
        taken["ours"].run(lambda: against_stored(stored, files.drifted))
        taken["two"].run(lambda: against_stored(stored, files.drifted, cores=2))
        taken["both"].run(lambda: scan(files.reference, files.drifted))
        taken["scratch"].run(lambda: from_scratch(files.reference, files.drifted))
    name = f"{rows // 1000:,}k rows"
    large = rows >= 2_000_000
    goal = Goal(1.3, by_ratio=True) if large else None
    twice = Goal(2.0, by_ratio=True) if large else None
    found = _timed(f"{name}, stored profile", taken["ours"], taken["scan"], SCAN, goal)
    found += _timed(
        f"{name}, from scratch", taken["scratch"], taken["both"], f"{SCAN}, both files", twice
    )
    gains = [one / two for one, two in zip(taken["ours"].wall, taken["two"].wall, strict=True)]
    found.append(
        Figure(f"{name}, two cores", "x as fast", gains, goal=Goal(1.8, at_least=True))
        if large
        else Figure(f"{name}, two cores", "x as fast", gains)
    )
    found.append(_memory(name, stored, files, 1 if tiny else 3))
    for packed in CODECS:
        found += _otherwise_packed(folder, rows, packed, stored, runs)
    return found


def _timed(
    name: str, ours: Taken, floor: Taken, floor_is: str, goal: Goal | None = None
) -> list[Figure]:
    return [
        Figure(name, "s", ours.wall, floor.wall, floor_is, goal),
        Figure(f"{name}, of the processor", "s", ours.worked, floor.worked, floor_is, goal),
    ]


def _otherwise_packed(
    folder: Path, rows: int, packed: str, stored: Path, runs: int
) -> list[Figure]:
    """The same rows in a file that costs less to read: what is added weighs more."""
    source = drift_data.path(folder, drift_data.DRIFTED, rows)
    target = drift_data.path(folder, drift_data.DRIFTED, rows, packed)
    drift_data.again_apart(source, target, packed)
    ours, floor = Taken(), Taken()
    for _ in range(runs):
        floor.run(lambda: scan(target))
        ours.run(lambda: against_stored(stored, target))
    target.unlink()
    title = "not packed" if packed == "none" else packed
    return [
        Figure(f"{rows // 1000:,}k rows, {title}", "s", ours.worked, floor.worked, SCAN),
    ]


def _memory(name: str, stored: Path, files: drift_data.Files, runs: int) -> Figure:
    """What a process holds at most for the verdict, beyond what the scan's holds."""
    ours, floor = [], []
    for _ in range(runs):
        floor.append(_peak("scan", files.drifted))
        ours.append(_peak("verdict", stored, files.drifted))
    beyond = [mine - least for mine, least in zip(ours, floor, strict=True)]
    return Figure(f"{name}, peak memory beyond the scan's", "MiB", beyond, goal=Goal(50))


def _peak(work: str, *paths: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.drift", work, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def own_peak() -> float:
    """Most memory of this process in MiB: the kernel's mark for this program alone. That of
    `getrusage` begins with what the parent held when it forked."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this system does not say how much memory a process held")


def _start_up(folder: Path, runs: int) -> Figure:
    """From the command to the verdict on two small files."""
    files = drift_data.files(folder, 1_000, tables=(drift_data.REFERENCE, drift_data.DRIFTED))
    drift = ["-m", "trimtab", "drift", str(files.reference), str(files.drifted)]
    least = ["-c", "import numpy, pyarrow.parquet"]
    ours, floor = [], []
    for _ in range(runs):
        floor.append(_seconds(least, (0,)))
        ours.append(_seconds(drift, (0, 1)))
    return Figure(
        "trimtab drift, two files of 1,000 rows",
        "s",
        ours,
        floor,
        "python that imports numpy and pyarrow.parquet",
        Goal(0.3),
    )


def _seconds(arguments: Sequence[str], well: Sequence[int]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    taken = time.perf_counter() - began
    if done.returncode not in well:
        raise SystemExit(f"{arguments} ended with {done.returncode}")
    return taken


def main() -> None:
    """Do one kind of work in this process, and print the memory that it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift")
    parser.add_argument("work", choices=("scan", "verdict"))
    parser.add_argument("paths", nargs="+", type=Path)
    asked = parser.parse_args()
    if asked.work == "scan":
        scan(*asked.paths)
    else:
        against_stored(*asked.paths)
    print(own_peak())


if __name__ == "__main__":
    main()
