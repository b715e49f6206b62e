"""Figures, each beside its floor: the least that this machine needs for the same thing.

A figure without its floor says as much about the machine as about the program; so both are
measured in one run, in turn, and printed with their spread. Nothing here is asserted.
"""

from __future__ import annotations

import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Goal:
    """What a figure aims at: at most, or at least, so much; or so much by its floor."""

    limit: float
    at_least: bool = False
    by_ratio: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` is on the right side."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        unit = " x floor" if self.by_ratio else ""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{unit}"


@dataclass(frozen=True)
class Figure:
    """Several runs of one measurement, those of its floor, and what we aim at."""

    name: str
    unit: str
    runs: Sequence[float]
    floor: Sequence[float] = ()
    floor_is: str = ""
    goal: Goal | None = None

    @property
    def value(self) -> float:
        """The median run."""
        return statistics.median(self.runs)

    @property
    def ratio(self) -> float | None:
        """The median by the floor's median."""
        return self.value / statistics.median(self.floor) if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the goal was met in this run; None where there is none."""
        if self.goal is None:
            return None
        judged = self.ratio if self.goal.by_ratio else self.value
        return judged is not None and self.goal.met(judged)

    def line(self) -> str:
        """The figure as a line of text."""
        text = f"  {self.name:42} {_number(self.value):>9} {self.unit:12} {_spread(self.runs):>20}"
        if self.floor:
            ratio = self.ratio
            assert ratio is not None
            floor = _number(statistics.median(self.floor))
            text += (
                f"  floor {floor:>8} {_spread(self.floor):>18} = {ratio:5.2f} x  {self.floor_is}"
            )
        if self.goal is not None:
            text += f"  [{self.goal}: {'met' if self.met else 'NOT MET'}]"
        return text

    def record(self) -> dict[str, Any]:
        """The figure as JSON values; what never ended is null."""
        return {
            **asdict(self),
            "runs": [run if math.isfinite(run) else None for run in self.runs],
            "goal": None if self.goal is None else str(self.goal),
            "value": self.value if math.isfinite(self.value) else None,
            "ratio": self.ratio if self.ratio and math.isfinite(self.ratio) else None,
            "met": self.met,
        }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(runs: Sequence[float]) -> str:
    return f"({_number(min(runs))} - {_number(max(runs))})" if len(runs) > 1 else ""


def machine() -> str:
    """The machine in a line: without it no figure means anything."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}, {load()}"
    )


def load() -> str:
    """How busy the machine is with other things."""
    return "load average " + " ".join(f"{value:.2f}" for value in os.getloadavg())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def rate(one: Callable[[], object], seconds: float) -> float:
    """Calls a second of `one`, for about `seconds`."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        one()
        count += 1
    return count / (time.perf_counter() - began)


def medians_in_turn(ours: Callable[[], object], floor: Callable[[], object], pairs: int) -> Times:
    """Median seconds of each of two calls, made in turn, so that both meet the same noise."""
    times = Times([], [])
    for _ in range(pairs):
        for one, taken in ((ours, times.ours), (floor, times.floor)):
            began = time.perf_counter()
            one()
            taken.append(time.perf_counter() - began)
    return times


@dataclass(frozen=True)
class Times:
    """Seconds of two kinds of calls that were made in turn."""

    ours: list[float]
    floor: list[float]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mebibytes() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
