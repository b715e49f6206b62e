"""What all of these scripts share; they run alone, and need nothing of Trimtab."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
STARTED = time.perf_counter()
LEVEL = 0.05
"""At and below this a p-value is called a finding, where a library leaves that to its caller."""

EFFECT = 0.1
"""From here a distance is called a finding, where a library leaves that to its caller."""


def module(name: str) -> Any:
    """A module of the environment that this script runs in."""
    return importlib.import_module(name)


def tables(reference: str, current: str) -> tuple[Any, Any]:
    """Both files as data frames: what these libraries read."""
    pandas = module("pandas")
    return pandas.read_parquet(reference), pandas.read_parquet(current)


def is_number(column: str) -> bool:
    """Whether a column of the benchmark's tables holds numbers."""
    return column.startswith("n")


def main(name: str, look: Callable[[str, str, str], set[str]], method: str = "") -> None:
    """Run `look` on the files of the command line; say what it found, and what that took.

    Args:
        name: The package, whose version is said.
        look: From both paths and a method to the columns that are called moved.
        method: What is asked where the command line says nothing.
    """
    imported = time.perf_counter() - STARTED
    reference, current, *more = sys.argv[1:]
    began, worked = time.perf_counter(), time.process_time()
    found = look(reference, current, more[0] if more else method)
    wall, worked = time.perf_counter() - began, time.process_time() - worked
    said = {
        "version": importlib.import_module("importlib.metadata").version(name),
        "python": sys.version.split()[0],
        "found": sorted(found),
        "imports": imported,
        "wall": wall,
        "worked": worked,
        "peak_mib": peak(),
    }
    sys.stdout.flush()
    os.write(1, ("\n" + json.dumps(said) + "\n").encode())


def peak() -> float:
    """Most memory of this process in MiB."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")
