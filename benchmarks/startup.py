"""How long one waits: for the command's help, and for a control plane on an empty folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.floor import Figure
from benchmarks.processes import control_plane


def measure(*, tiny: bool) -> list[Figure]:
    """Seconds of processes, beside a Python that does nothing."""
    runs = 1 if tiny else 3
    helped, nothing = [], []
    for _ in range(runs):
        helped.append(_seconds(["-m", "trimtab", "--help"]))
        nothing.append(_seconds(["-c", "pass"]))
    first: list[float] = []
    again: list[float] = []
    for _ in range(1 if tiny else 2):
        with tempfile.TemporaryDirectory() as folder:
            for taken in (first, again):
                with control_plane(Path(folder)) as running:
                    taken.append(running.started_in)
    python = "python -c pass"
    return [
        Figure("trimtab --help", "s", helped, nothing, python),
        Figure("first start until /health", "s", first, nothing, python),
        Figure("next start until /health", "s", again, nothing, python),
    ]


def _seconds(arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
