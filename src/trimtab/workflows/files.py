"""What is demanded of the files of an upload before a byte of them is stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.kernel.errors import InvalidInput, Unavailable
from trimtab.registry.model import Model

_PIECE_BYTES = 1 << 20


def demand_bytes(artifact: BinaryIO) -> None:
    """Refuse an artifact without a byte."""
    begins = artifact.tell()
    if not artifact.read(1):
        raise InvalidInput(
            "the artifact is empty", field="artifact", remedy="send the model as ONNX"
        )
    artifact.seek(begins)


def demand_size(stream: BinaryIO, limit: int, field: str) -> None:
    """Refuse more than `limit` bytes."""
    begins = stream.tell()
    size = stream.seek(0, os.SEEK_END) - begins
    stream.seek(begins)
    if size > limit:
        raise InvalidInput(
            f"{size} bytes, and at most {limit} are accepted",
            field=field,
            remedy="send a smaller file; the limit is the policy's",
        )


def demand_table(stream: BinaryIO, model: Model, field: str) -> int:
    """Refuse what is no Parquet file with the registered columns and with rows.

    Returns:
        How many rows there are.
    """
    begins = stream.tell()
    kinds = column_kinds(stream, field=field)
    wanted = {*model.feature_names, model.label}
    missing = sorted(wanted - set(kinds))
    if missing:
        raise InvalidInput(
            f"the {field} data has no column {', '.join(missing)}",
            field=field,
            remedy="send one column for each registered feature, and the label",
        )
    stream.seek(begins)
    rows = pq.read_metadata(stream).num_rows
    stream.seek(begins)
    if rows == 0:
        raise InvalidInput(
            f"the {field} data has no rows",
            field=field,
            remedy="send the rows themselves: without any, nothing can be compared with them",
        )
    return int(rows)


def demand_unlike(holdout: BinaryIO, reference: BinaryIO) -> None:
    """Refuse a holdout that is the reference, byte for byte: a model knows those rows."""
    begins = holdout.tell(), reference.tell()
    alike = True
    while alike and (piece := holdout.read(_PIECE_BYTES)):
        alike = piece == reference.read(len(piece))
    alike = alike and not reference.read(1)
    holdout.seek(begins[0])
    reference.seek(begins[1])
    if alike:
        raise InvalidInput(
            "the holdout is the reference: what a model was trained on says nothing of how it "
            "does on other rows",
            field="holdout",
            remedy="send rows that were kept from training, labelled, as the holdout",
        )


def column_kinds(content: BinaryIO, *, field: str = "holdout") -> Mapping[str, str]:
    """Kind of each column of a Parquet file: numeric or category."""
    try:
        schema = pq.read_schema(content)
    except (pa.ArrowException, OSError) as error:
        # Arrow says OSError for damaged content too; only one of the machine has a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise Unavailable(f"the {field} data cannot be read: {error.strerror}") from error
        raise InvalidInput(
            f"the {field} data is not a Parquet file",
            field=field,
            remedy="write the table as one Parquet file, whole, and send that",
        ) from error

    def kind(column: pa.DataType) -> str:
        number = pa.types.is_integer(column) or pa.types.is_floating(column)
        return "numeric" if number or pa.types.is_boolean(column) else "category"

    return {f.name: kind(f.type) for f in schema}
