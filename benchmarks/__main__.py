"""Every figure beside its floor: `python -m benchmarks [name ...] [--json FILE]`."""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.floor import Figure, load, machine

Measure = Callable[..., list[Figure]]

NAMES = (
    "ledger",
    "verify",
    "resolve",
    "mixed",
    "recovery",
    "gateway",
    "ingest",
    "download",
    "startup",
    "streams",
    "drift",
    "drift_power",
    "drift_employment",
)


def measure(name: str) -> Measure:
    """The benchmark of this name. What others need is not loaded."""
    found: Measure = importlib.import_module(f"benchmarks.{name}").measure
    return found


def main() -> None:
    """Measure what was asked for, one thing after the other, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs")
    arguments = parser.parse_args()
    names = arguments.names or list(NAMES)
    unknown = set(names) - set(NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    here = machine()
    print(here + "\nmedians (least - most); the floor was measured in the same run", flush=True)
    began, figures = time.perf_counter(), {}
    for name in names:
        print(f"\n{name}", flush=True)
        figures[name] = measure(name)(tiny=arguments.tiny)
        for figure in figures[name]:
            print(figure.line(), flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s in all, {load()} at the end")
    if arguments.json:
        kept = {name: [figure.record() for figure in found] for name, found in figures.items()}
        arguments.json.write_text(
            json.dumps({"machine": here, "figures": kept}, indent=2) + "\n", "utf-8"
        )


if __name__ == "__main__":
    main()
