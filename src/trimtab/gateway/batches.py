"""Answered calls as Arrow IPC streams: one row a prediction, one column a feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from trimtab.gateway.sessions import VersionSchema
from trimtab.gateway.tensors import Array
from trimtab.kernel.ids import new_id

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
_TEXT_BYTES = 64
_CALL_BYTES = 512

Stream = tuple[str, str, str, str | None]
"""Calls that share a batch: digest, model, version, tenant of the version."""


@dataclass(frozen=True)
class Captured:
    """One answered call. `at_us` is domain time; the tensors are as they were computed with."""

    version: VersionSchema
    prediction_id: str
    tenant: str | None
    endpoint: str
    deployment: str
    reason: str
    at_us: int
    latency_ms: float
    rows: int
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]

    @cached_property
    def stream(self) -> Stream:
        """What calls must share to stand in one batch."""
        entry = self.version.entry
        return (entry.digest, entry.model, entry.version, entry.tenant)

    @cached_property
    def size(self) -> int:
        """Bytes held in memory, texts by estimate."""
        arrays = [*self.inputs.values(), *self.outputs.values()]
        return _CALL_BYTES + sum(
            a.size * _TEXT_BYTES if a.dtype == object else a.nbytes for a in arrays
        )


@dataclass(frozen=True)
class Batch:
    """Bytes to ship, under an id that makes a second delivery harmless."""

    id: str
    rows: int
    payload: bytes


def encode(calls: list[Captured]) -> Batch:
    """`calls` of one stream as one Arrow IPC stream with one record batch."""
    table = record_batch(calls)
    sink = pa.BufferOutputStream()
    # Plain: the control plane refuses compressed bodies, whose size nobody can tell.
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    return Batch(new_id("bat"), table.num_rows, sink.getvalue().to_pybytes())


def record_batch(calls: list[Captured]) -> pa.RecordBatch:
    """The columns of the batch; `row` counts from 0 within each `prediction_id`."""
    version = calls[0].version
    entry = version.entry
    counts = np.array([call.rows for call in calls])
    rows = int(counts.sum())
    of_call = pa.array(np.repeat(np.arange(len(calls)), counts))
    starts = np.repeat(np.cumsum(counts) - counts, counts)

    def each(value: Callable[[Captured], object], kind: pa.DataType) -> pa.Array:
        return pa.array([value(call) for call in calls], type=kind).take(of_call)

    columns: dict[str, pa.Array] = {
        "prediction_id": each(lambda c: c.prediction_id, pa.string()),
        "row": pa.array((np.arange(rows) - starts).astype(np.int32)),
        "model": pa.repeat(entry.model, rows),
        "version": pa.repeat(entry.version, rows),
        "digest": pa.repeat(entry.digest, rows),
        "tenant": each(lambda c: c.tenant, pa.string()),
        "endpoint": each(lambda c: c.endpoint, pa.string()),
        "deployment": each(lambda c: c.deployment, pa.string()),
        "reason": each(lambda c: c.reason, pa.string()),
        "at": each(lambda c: c.at_us, pa.timestamp("us", tz="UTC")),
        "latency_ms": each(lambda c: c.latency_ms, pa.float64()),
    }
    for spec in version.inputs:
        values = [call.inputs[spec.name] for call in calls]
        names = version.columns.get(spec.name)
        columns |= _columns(f"in.{spec.name}", values, spec.shape, names)
    for spec in version.outputs:
        values = [call.outputs[spec.name] for call in calls]
        if all(len(v.shape) > 0 and len(v) == c.rows for v, c in zip(values, calls, strict=True)):
            columns |= _columns(f"out.{spec.name}", values, spec.shape, None)
    return pa.RecordBatch.from_pydict(columns)


def _columns(
    name: str, values: list[Array], shape: tuple[int, ...], names: tuple[str, ...] | None
) -> dict[str, pa.Array]:
    """A tensor as one column, as one for each named feature, or as a column of lists."""
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return {name: _column(np.concatenate([v.reshape(-1) for v in values]))}
    if names is not None:
        whole = np.concatenate(values)
        return {f"in.{n}": _column(whole[:, i].copy()) for i, n in enumerate(names)}
    widths = np.concatenate([np.full(len(v), v.size // len(v)) for v in values])
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    flat = _column(np.concatenate([v.reshape(-1) for v in values]))
    return {name: pa.ListArray.from_arrays(pa.array(offsets), flat)}


def _column(values: Array) -> pa.Array:
    """NaN stands for missing, and becomes null."""
    if values.dtype == object:
        return pa.array(values.tolist(), type=pa.string())
    return pa.array(values, from_pandas=True)
