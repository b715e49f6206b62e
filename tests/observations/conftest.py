"""Batches as a gateway and a label feed ship them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest

START = datetime(2015, 3, 1, tzinfo=UTC)


def key(when: datetime, number: int = 0) -> str:
    """The id of a prediction: a UUID of version 7; the same arguments give the same id."""
    millis = int(when.timestamp() * 1000)
    return str(uuid.UUID(int=millis << 80 | 7 << 76 | 2 << 62 | number))


def keys(count: int, start: datetime = START) -> list[str]:
    """Ids of one prediction a minute."""
    return [key(start + i * timedelta(minutes=1), i) for i in range(count)]


def table(ids: Sequence[str], **changed: pa.Array | None) -> pa.Table:
    """A batch of predictions, one row each; a column given as None is left out. Names with a
    dot are written with two underscores."""
    size = len(ids)
    at = [datetime.fromtimestamp((uuid.UUID(one).int >> 80) / 1000, UTC) for one in ids]
    columns = {
        "prediction_id": pa.array(ids, pa.string()),
        "row": pa.array([0] * size, pa.int32()),
        "model": pa.array(["flights"] * size),
        "version": pa.array(["1.0.0"] * size),
        "digest": pa.array(["sha256:ab"] * size),
        "tenant": pa.array(["UA"] * size, pa.string()),
        "endpoint": pa.array(["UA-001"] * size),
        "deployment": pa.array(["stable"] * size),
        "at": pa.array(at, pa.timestamp("us", tz="UTC")),
        "latency_ms": pa.array([1.5] * size, pa.float64()),
        "in.distance_miles": pa.array([float(i) for i in range(size)], pa.float32()),
        "in.airline": pa.array(["UA"] * size, pa.string()),
        "out.probabilities": pa.array([[0.25, 0.75]] * size, pa.list_(pa.float32())),
    }
    columns.update({name.replace("__", "."): column for name, column in changed.items()})
    return pa.table({name: column for name, column in columns.items() if column is not None})


def stream(batch: pa.Table, compression: str | None = None) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_table(batch)
    return bytes(sink.getvalue())


@pytest.fixture(scope="session")
def ship() -> SimpleNamespace:
    """How batches are made: `ship.keys`, `ship.table`, `ship.stream`."""
    return SimpleNamespace(key=key, keys=keys, table=table, stream=stream, start=START)
