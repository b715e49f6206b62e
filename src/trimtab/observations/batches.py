"""Reading the Arrow batches that arrive: bounded, typed, and refused with the column's name."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from trimtab.kernel.errors import InvalidInput

FEATURE = "in."
OUTPUT = "out."
SCORES = ("out.probabilities", "out.output_probability", "out.score", "out.scores")

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
        InvalidInput: not Arrow, a column missing or of another type, several models, or
            nothing in it; `field` names the column.
    """
    table = read(body)
    _demand(table, _PREDICTION)
    models = pc.unique(table["model"]).to_pylist()
    if len(models) != 1:
        raise InvalidInput("a batch is of one model", field="model", remedy="send one for each")
    times = pc.min_max(table["at"]).as_py()
    return Parsed(models[0], table.num_rows, times["min"], times["max"], body)


def parse_labels(model: str, body: bytes) -> Parsed:
    """Check a batch of labels; when their predictions were made stands in the ids.

    Raises:
        InvalidInput: as `parse_predictions`; also ids that are not ours.
    """
    table = read(body)
    _demand(table, _LABEL)
    first, last = pc.min_max(table["prediction_id"]).as_py().values()
    return Parsed(model, table.num_rows, made_at(first), made_at(last), body)


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


def read(body: bytes) -> pa.Table:
    """An Arrow IPC stream as a table.

    Raises:
        InvalidInput: it is not one, or it is empty.
    """
    try:
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
            table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InvalidInput(
            "the body is not an Arrow IPC stream",
            field="body",
            remedy="send content type application/vnd.apache.arrow.stream",
        ) from error
    if table.num_rows == 0:
        raise InvalidInput("there are no rows in this batch", field="body")
    return table


def _demand(table: pa.Table, columns: dict[str, object]) -> None:
    for name, fits in columns.items():
        if name not in table.column_names:
            raise InvalidInput(f"the column {name} is missing", field=name)
        column = table[name]
        if not fits(column.type):  # type: ignore[operator] # predicates of pyarrow are untyped
            raise InvalidInput(f"the column {name} is of type {column.type}", field=name)
        if column.null_count:
            raise InvalidInput(f"the column {name} has {column.null_count} nulls", field=name)
