"""An Arrow IPC stream from somebody else: whole, plain, and no larger than it looks."""

from __future__ import annotations

import struct

import pyarrow as pa

from trimtab.kernel.errors import InvalidInput

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # MessageHeader in Arrow's Message.fbs
_HEADER_TYPE, _HEADER = 1, 2  # fields of Message
_COMPRESSION = 3  # field of RecordBatch


def read(body: bytes) -> pa.Table:
    """An Arrow IPC stream as a table.

    Compressed buffers are refused, because a few of their bytes may unfold to any number, and
    dictionaries, because no column that is read here needs one.

    Raises:
        InvalidInput: it is not such a stream, it is empty, or a column stands in it twice.
    """
    try:
        for message in pa.ipc.MessageReader.open_stream(body):
            _demand_plain(bytes(message.metadata))
        with pa.ipc.open_stream(body) as reader:
            table = reader.read_all()
            table.validate(full=True)
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(
            "the body is not an Arrow IPC stream",
            field="body",
            remedy="send content type application/vnd.apache.arrow.stream",
        ) from error
    names = table.column_names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"the column {twice} stands there twice", field=twice)
    if table.num_rows == 0:
        raise InvalidInput("there are no rows in this batch", field="body")
    return table


def _demand_plain(metadata: bytes) -> None:
    """Look into the header of one message, which is a FlatBuffers table."""
    message = _pointed(metadata, 0)
    kind = _field(metadata, message, _HEADER_TYPE)
    header = _field(metadata, message, _HEADER)
    if kind is None or header is None:
        return
    if metadata[kind] == _DICTIONARY_BATCH:
        raise InvalidInput("the batch has dictionaries", field="body", remedy="send plain columns")
    batch = _pointed(metadata, header)
    if metadata[kind] == _RECORD_BATCH and _field(metadata, batch, _COMPRESSION) is not None:
        raise InvalidInput("the batch is compressed", field="body", remedy="send it uncompressed")


def _pointed(metadata: bytes, place: int) -> int:
    """Where the offset at `place` leads."""
    (offset,) = struct.unpack_from("<I", metadata, place)
    return place + int(offset)


def _field(metadata: bytes, table: int, number: int) -> int | None:
    """Where a table's field lies, or None if it is absent."""
    (back,) = struct.unpack_from("<i", metadata, table)
    (size,) = struct.unpack_from("<H", metadata, table - back)
    entry = 4 + 2 * number
    if entry >= size:
        return None
    (offset,) = struct.unpack_from("<H", metadata, table - back + entry)
    return table + int(offset) if offset else None
