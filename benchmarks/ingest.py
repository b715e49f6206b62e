"""What is observed: batches of predictions taken in, and a day of them looked at.

Taking in is measured through HTTP on the real control plane; its floor is the same bytes
written to a file and synced. A window is measured in this process: its rows read back, every
feature of the fleet and of each tenant compared with its reference, the result written. Its
floor is reading the rows as Arrow out of the same database.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.floor import Figure
from benchmarks.load import exchange, post
from benchmarks.processes import control_plane
from benchmarks.seeding import SEEDER, empty, furnish
from trimtab.audit.work import Records
from trimtab.kernel.clock import SteppedClock
from trimtab.monitoring import service as monitoring
from trimtab.monitoring.reference import Reference, References
from trimtab.monitoring.survey import survey
from trimtab.observations import store as observations
from trimtab.observations.batches import parse_predictions
from trimtab.observations.frame import load
from trimtab.platform.database import Database
from trimtab.policies.loader import load_preset
from trimtab.policies.operation import Monitoring

ROWS = 5_000
FEATURES = tuple(f"feature_{number}" for number in range(20))
TENANTS = 10
DAY = datetime(2015, 7, 1, tzinfo=UTC)
ARROW = "Content-Type: application/vnd.apache.arrow.stream\r\n"


def measure(*, tiny: bool) -> list[Figure]:
    """Rows a second taken in, and the seconds of closing a day."""
    sent, runs = (2, 1) if tiny else (20, 3)
    bodies = list(batches(sent))
    with tempfile.TemporaryDirectory() as folder:
        house = furnish(Path(folder), models=1, tenants=1, dedicated=1)
        with control_plane(Path(folder)) as running:
            taken = [asyncio.run(_send(running.port, house.gateway, bodies)) for _ in range(runs)]
        synced = [_synced(Path(folder) / "floor", bodies) for _ in range(runs)]
    figures = [
        Figure(
            "POST /api/v1/predictions, 5,000 rows each",
            "rows/s",
            taken,
            synced,
            "the same bytes written and synced",
        )
    ]
    return figures + _windows(bodies, runs)


def batches(
    count: int, start: datetime = DAY, span: timedelta = timedelta(days=1)
) -> Iterator[bytes]:
    """Predictions of a day, or of `span`, as a gateway ships them: 20 features, 10 tenants."""
    for number in range(count):
        random = np.random.default_rng(number)
        length = int(span / timedelta(milliseconds=1)) // count
        offsets = np.sort(random.integers(0, length, ROWS)) + number * length
        first = int(start.timestamp() * 1000)
        tenants = random.integers(0, TENANTS, ROWS)
        columns = {
            "prediction_id": pa.array([_id(first + int(o), random) for o in offsets]),
            "row": pa.array(np.zeros(ROWS, dtype=np.int32)),
            "model": pa.repeat("model-0000", ROWS),
            "version": pa.repeat("1.0.0", ROWS),
            "digest": pa.repeat("sha256:" + "ab" * 32, ROWS),
            "tenant": pa.array([f"tenant-{n:03}" for n in tenants]),
            "endpoint": pa.array([f"ep-{n}" for n in random.integers(0, 500, ROWS)]),
            "deployment": pa.repeat("stable", ROWS),
            "at": pa.array((first + offsets) * 1000, pa.timestamp("us", tz="UTC")),
            "latency_ms": pa.array(random.gamma(2.0, 1.0, ROWS)),
            "out.score": pa.array(random.random(ROWS)),
        }
        columns |= {f"in.{name}": pa.array(random.normal(size=ROWS)) for name in FEATURES}
        batch = pa.RecordBatch.from_pydict(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield sink.getvalue().to_pybytes()


def _id(milliseconds: int, random: np.random.Generator) -> str:
    bits = int.from_bytes(random.bytes(10), "big")
    version, variant = 7 << 76, 2 << 62
    low = (bits & ((1 << 62) - 1)) | variant
    return str(uuid.UUID(int=milliseconds << 80 | version | ((bits >> 64) & 0xFFF) << 64 | low))


async def _send(port: int, key: str, bodies: list[bytes]) -> float:
    """Rows a second that one caller gets acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    for body in bodies:
        headers = f"X-Api-Key: {key}\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n{ARROW}"
        await exchange(reader, writer, post("/api/v1/predictions", body, headers))
    writer.close()
    return len(bodies) * ROWS / (time.perf_counter() - began)


def _synced(path: Path, bodies: list[bytes]) -> float:
    began = time.perf_counter()
    with path.open("wb") as file:
        for body in bodies:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
    return len(bodies) * ROWS / (time.perf_counter() - began)


def _windows(bodies: list[bytes], runs: int) -> list[Figure]:
    demands = load_preset("standard").tier(3).monitoring
    random = np.random.default_rng(1)
    reference = Reference.from_columns(
        {name: random.normal(size=20_000) for name in FEATURES}, dict.fromkeys(FEATURES, "numeric")
    )
    closed, read = [], []
    for _ in range(runs):
        with (
            tempfile.TemporaryDirectory() as folder,
            empty(f"sqlite:///{Path(folder) / 'window.sqlite'}") as database,
        ):
            taken = _close(database, bodies, References(reference), demands)
            closed.append(taken[0])
            read.append(taken[1])
    rows = f"{len(bodies) * ROWS:,}"
    name = f"a day of {rows} rows, {len(FEATURES)} features, {TENANTS} tenants"
    return [Figure(name, "s to close", closed, read, "reading these rows as Arrow")]


def _close(
    database: Database, bodies: list[bytes], references: References, demands: Monitoring
) -> tuple[float, float]:
    """Seconds of closing the window of these rows, and of reading them alone."""
    clock = SteppedClock(DAY)
    records = Records(database, clock)
    for number, body in enumerate(bodies):
        parsed = parse_predictions(body)
        one = observations.Delivery(observations.PREDICTIONS, f"batch-{number}", parsed)
        with records.begin(SEEDER, reason="benchmark", before=one.bring) as work:
            one.keep(work)
    with records.begin(SEEDER, reason="benchmark") as work:
        (window,) = monitoring.schedule_windows(work, "model-0000", DAY, demands)
    clock.step_to(window.end + timedelta(seconds=1))
    began = time.perf_counter()
    with records.look() as reading:
        found = observations.bodies(
            reading, observations.PREDICTIONS, "model-0000", window.start, window.end
        )
        assert sum(pa.ipc.open_stream(body).read_all().num_rows for body in found)
    alone = time.perf_counter() - began
    began = time.perf_counter()
    with records.look() as reading:
        frame = load(reading, "model-0000", window.start, window.end, features=FEATURES)
    looked = survey(frame, references, demands)
    with records.begin(SEEDER, reason="the window is over") as work:
        monitoring.close_window(
            work,
            window.id,
            looked,
            demands,
            label_wait=timedelta(hours=demands.label_wait_hours),
            policy_digest="sha256:" + "0" * 64,
        )
    return time.perf_counter() - began, alone
