"""Reading the Arrow batches that arrive: bounded, typed, and refused with the column's name."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.observations.stream import read

FEATURE = "in."
OUTPUT = "out."
SCORES = ("out.probabilities", "out.output_probability", "out.score", "out.scores")
_ID = r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z"

_PREDICTION = {
    "prediction_id": pa.types.is_string,
    "row": pa.types.is_integer,
    "model": pa.types.is_string,
    "version": pa.types.is_string,
    "digest": pa.types.is_string,
    "endpoint": pa.types.is_string,
    "deployment": pa.types.is_string,
    "at": pa.types.is_timestamp,
    "latency_ms": pa.types.is_floating,
}
_LABEL = {
    "prediction_id": pa.types.is_string,
    "row": pa.types.is_integer,
    "label": lambda kind: pa.types.is_integer(kind) or pa.types.is_boolean(kind),
}
_WANTED = {
    "prediction_id": "text: the prediction_id of the gateway's answer",
    "row": "whole numbers: which row of the prediction, from 0",
    "label": "whole numbers, 0 or 1, or booleans",
    "at": "timestamps with a time zone",
    "latency_ms": "floating-point numbers",
}
"""What a column is sent as; the columns of predictions that are not here are text."""


@dataclass(frozen=True)
class Parsed:
    """A batch that may be kept: its model, its rows, and the stretch of time it covers."""

    model: str
    rows: int
    first_at: datetime
    last_at: datetime
    body: bytes


def parse_predictions(body: bytes) -> Parsed:
    """Check a batch of predictions as a gateway ships it.

    Raises:
        InvalidInput: not Arrow, a column missing or of another type, several models, ids
            that are not ours, or nothing in it; `field` names the column.
    """
    table = read(body)
    _demand(table, _PREDICTION)
    models = pc.unique(table["model"]).to_pylist()
    if len(models) != 1:
        raise InvalidInput("a batch is of one model", field="model", remedy="send one for each")
    _demand_features(table)
    first, last = _moments(table["at"])
    return Parsed(models[0], table.num_rows, first, last, body)


def parse_labels(model: str, body: bytes) -> Parsed:
    """Check a batch of labels; when their predictions were made stands in the ids.

    Raises:
        InvalidInput: as `parse_predictions`; also ids that are not ours, and labels other
            than 0 and 1.
    """
    table = read(body)
    _demand(table, _LABEL)
    span = pc.min_max(table["label"].cast(pa.float64(), safe=False)).as_py()
    if not (span["min"] >= 0 and span["max"] <= 1):
        raise InvalidInput("a label is neither 0 nor 1", field="label")
    first, last = pc.min_max(table["prediction_id"]).as_py().values()
    return Parsed(model, table.num_rows, made_at(first), made_at(last), body)


def moments_of_predictions(body: bytes) -> NDArray[np.datetime64]:
    """When each prediction of a batch that was checked was made: datetime64[us] in UTC, (n,)."""
    column = read(body)["at"].cast(pa.timestamp("us", tz="UTC"), safe=False)
    return np.asarray(column.to_numpy(), dtype="datetime64[us]")


def moments_of_labels(body: bytes) -> NDArray[np.datetime64]:
    """The same of a batch of labels, read off the ids of their predictions."""
    ids = read(body)["prediction_id"].to_pylist()
    millis = np.array([int(one[:8] + one[9:13], 16) for one in ids], dtype=np.int64)
    return millis.astype("datetime64[ms]").astype("datetime64[us]")


def labels_batch(ids: Sequence[str], rows: Sequence[int], labels: Sequence[int]) -> bytes:
    """Labels as the Arrow stream that `parse_labels` reads."""
    batch = pa.record_batch(
        {
            "prediction_id": pa.array(ids, pa.string()),
            "row": pa.array(rows, pa.int32()),
            "label": pa.array(labels, pa.int8()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def made_at(prediction_id: str) -> datetime:
    """When a prediction was made: its id is a UUID of version 7, whose first 48 bits are
    milliseconds since 1970 (RFC 9562, section 5.7).

    Raises:
        InvalidInput: it is not such an id.
    """
    try:
        known = uuid.UUID(prediction_id)
        if known.version != 7 or str(known) != prediction_id:
            raise ValueError
        return datetime.fromtimestamp((known.int >> 80) / 1000, UTC)
    except (ValueError, AttributeError, OverflowError, OSError) as error:
        raise InvalidInput(
            f"{ascii(prediction_id)[:60]} is not the id of a prediction",
            field="prediction_id",
            remedy="send the prediction_id that the answer of the gateway carried",
        ) from error


def _demand(table: pa.Table, columns: dict[str, object]) -> None:
    for name, fits in columns.items():
        if name not in table.column_names:
            raise InvalidInput(f"the column {name} is missing", field=name)
        column = table[name]
        if not fits(column.type):  # type: ignore[operator] # predicates of pyarrow are untyped
            raise InvalidInput(
                f"the column {name} is of type {column.type}",
                field=name,
                remedy=f"send it as {_WANTED.get(name, 'text')}",
            )
        if column.null_count:
            raise InvalidInput(f"the column {name} has {column.null_count} nulls", field=name)
    _demand_ids(table["prediction_id"])


def _demand_ids(column: pa.ChunkedArray) -> None:
    """Every id, not only the first and the last: a foreign one would never be found again."""
    ours = pc.match_substring_regex(column, _ID)
    if not pc.all(ours).as_py():
        made_at(column.filter(pc.invert(ours))[0].as_py())


def _demand_features(table: pa.Table) -> None:
    """What cannot be read back as numbers or text must not come in: one such column would
    make its whole window unreadable."""
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name.startswith(FEATURE) and not _plain(kind):
            raise InvalidInput(f"the column {name} is of type {kind}", field=name)
        if name == "tenant" and not (pa.types.is_string(kind) or pa.types.is_null(kind)):
            raise InvalidInput(f"the column {name} is of type {kind}", field=name)
        if name in SCORES:
            inner = kind.value_type if pa.types.is_list(kind) else kind
            if not _number(inner):
                raise InvalidInput(f"the column {name} is of type {kind}", field=name)


def _plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or _number(kind))


def _number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _moments(column: pa.ChunkedArray) -> tuple[datetime, datetime]:
    """First and last moment of a column of times.

    Raises:
        InvalidInput: no offset from UTC, or a time that no calendar has.
    """
    if column.type.tz is None:
        raise InvalidInput("the column at has no time zone", field="at", remedy="send it in UTC")
    try:
        span = pc.min_max(column.cast(pa.timestamp("us", tz="UTC"), safe=False)).as_py()
        return span["min"].astimezone(UTC), span["max"].astimezone(UTC)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InvalidInput("the column at holds an impossible time", field="at") from error
