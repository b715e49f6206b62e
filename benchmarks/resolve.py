"""Which version answers me: `GET /api/ml/model/latest` 500 times a second, over 1,000 models and
100 tenants.

The real control plane in a process of its own, with its loops on SQLite, beside a process of theirs
on PostgreSQL; the floor is a bare application with one route that answers a constant of the same
size, under the same load.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.floor import Figure, Goal, cpu_seconds
from benchmarks.load import get, open_loop, quantile_ms
from benchmarks.processes import (
    Server,
    control_plane,
    free_port,
    postgresql,
    server,
    working,
)
from benchmarks.seeding import House, furnish

PER_SECOND = 500.0
GOAL_MS = 20.0


def measure(*, tiny: bool) -> list[Figure]:
    """p95 at a fixed rate, and the processor time of a request, on each database."""
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(Path(folder), None, tiny=tiny)
    with tempfile.TemporaryDirectory() as folder, postgresql() as url:
        return found + _measured(Path(folder), url, tiny=tiny)


def _measured(home: Path, url: str | None, *, tiny: bool) -> list[Figure]:
    models, tenants, seconds, runs = (20, 5, 0.5, 1) if tiny else (1000, 100, 3.0, 3)
    house = furnish(home, models=models, tenants=tenants, dedicated=10, url=url)
    port = free_port()
    bare = ["uvicorn", "benchmarks.bare:app", "--port", str(port), "--log-level", "error"]
    apart = [] if url is None else ["--no-work"]
    more = {} if url is None else {"DATABASE_URL": url}
    worker = nullcontext() if url is None else working(home, url)
    with (
        worker,
        control_plane(home, *apart, more=more) as ours,
        server(bare, port, "/constant") as floor,
    ):
        wanted = requests(house)
        _one(ours, wanted, 1.0)  # connections, prepared statements, first imports
        rounds = [
            (_one(ours, wanted, seconds), _one(floor, [get("/constant")], seconds))
            for _ in range(runs)
        ]
    p95, cpu = (
        ([r[0][kind] for r in rounds], [r[1][kind] for r in rounds]) for kind in ("p95", "cpu")
    )
    name = f"{'SQLite' if url is None else 'PostgreSQL'}: {PER_SECOND:g}/s"
    constant = "a constant from a bare FastAPI route"
    return [
        Figure(f"{name}, p95", "ms", p95[0], p95[1], constant, Goal(GOAL_MS)),
        Figure(f"{name}, p50", "ms", [r[0]["p50"] for r in rounds], [r[1]["p50"] for r in rounds]),
        Figure(f"{name}, server CPU", "us/request", cpu[0], cpu[1], constant),
    ]


def requests(house: House) -> list[bytes]:
    """Models and tenants in turn, by two numbers without a common divisor."""
    return [
        get(
            f"/api/ml/model/latest?model={house.models[number % len(house.models)]}",
            f"X-Api-Key: {house.keys[number % len(house.keys)]}\r\nX-Endpoint-Id: ep-{number}\r\n",
        )
        for number in range(0, 7 * 5003, 7)
    ]


def _one(process: Server, wanted: Sequence[bytes], seconds: float) -> dict[str, float]:
    before = cpu_seconds(process.pid)
    latencies = asyncio.run(
        open_loop(process.port, lambda number: wanted[number % len(wanted)], PER_SECOND, seconds)
    )
    return {
        "p50": quantile_ms(latencies, 0.5),
        "p95": quantile_ms(latencies, 0.95),
        "cpu": (cpu_seconds(process.pid) - before) / len(latencies) * 1e6,
    }
