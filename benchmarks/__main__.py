"""Every figure beside its floor: `python -m benchmarks [name ...] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import download, gateway, ingest, ledger, mixed, recovery, resolve, startup, verify
from benchmarks.floor import Figure, load, machine

Measure = Callable[..., list[Figure]]

BENCHMARKS: dict[str, Measure] = {
    "ledger": ledger.measure,
    "verify": verify.measure,
    "resolve": resolve.measure,
    "mixed": mixed.measure,
    "recovery": recovery.measure,
    "gateway": gateway.measure,
    "ingest": ingest.measure,
    "download": download.measure,
    "startup": startup.measure,
}


def main() -> None:
    """Measure what was asked for, one thing after the other, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs")
    arguments = parser.parse_args()
    names = arguments.names or list(BENCHMARKS)
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    here = machine()
    print(here + "\nmedians (least - most); the floor was measured in the same run", flush=True)
    began, figures = time.perf_counter(), {}
    for name in names:
        print(f"\n{name}", flush=True)
        figures[name] = BENCHMARKS[name](tiny=arguments.tiny)
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
