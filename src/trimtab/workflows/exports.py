"""The inventory as one file, for whoever takes it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.documents.tables import Column, Kind, csv_pieces, json_pieces, parquet_pieces
from trimtab.inventory import connection_store
from trimtab.inventory.model import Entry
from trimtab.inventory.record import FIELDS, Record
from trimtab.inventory.store import Filter
from trimtab.kernel.actor import Actor
from trimtab.kernel.events import canonical
from trimtab.workflows.judging import each
from trimtab.workflows.parts import Parts


class Format(StrEnum):
    """What kind of file."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


MEDIA: Mapping[Format, str] = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSON: "application/json",
    Format.PARQUET: "application/vnd.apache.parquet",
}

_PIECES = {
    Format.CSV: csv_pieces,
    Format.JSON: json_pieces,
    Format.PARQUET: parquet_pieces,
}
_OWN = (
    Column("record"),
    Column("registry"),
    Column("tenant"),
    Column("model"),
    Column("version", Kind.INTEGER),
    Column("stage"),
    Column("aliases", Kind.TEXTS),
    Column("since", Kind.MOMENT),
    Column("removed", Kind.FLAG),
    Column("incomplete"),
    Column("inspection"),
    Column("gaps", Kind.TEXTS),
    Column("unknown", Kind.TEXTS),
    Column("waived", Kind.TEXTS),
    Column("findings", Kind.TEXTS),
)
_SHOWN_BEFORE = {"model_name", "version_number", "aliases", "lifecycle_stage"}
_FIELDS = tuple(name for name in FIELDS if name not in _SHOWN_BEFORE)
COLUMNS = (*_OWN, *(Column(name) for name in _FIELDS))
"""The columns of every export, in their order."""


def inventory(
    parts: Parts,
    actor: Actor,
    wanted: Filter,
    form: Format,
    *,
    moment: datetime | None = None,
) -> Iterator[bytes]:
    """The records that `wanted` asks for, piece by piece, read off one look at the records."""
    with parts.records.look() as reading:
        names = {c.id: c.name for c in connection_store.every(reading, removed=None)}
        entries = each(reading, actor, wanted, moment=moment)
        yield from _PIECES[form](COLUMNS, (_row(entry, names) for entry in entries))


def _row(entry: Entry, names: Mapping[str, str]) -> dict[str, Any]:
    record, judged = entry.record, entry.compliance
    return {
        "record": entry.id,
        "registry": names[entry.connection],
        "tenant": entry.tenant,
        "model": record.model,
        "version": record.version,
        "stage": record.stage.value,
        "aliases": list(record.aliases),
        "since": entry.since,
        "removed": entry.removed,
        "incomplete": record.incomplete,
        "inspection": entry.inspection,
        **{name: list(judged.get(name, ())) for name in ("gaps", "unknown", "waived")},
        "findings": [finding.code for finding in record.findings],
        **{name: _text(record, name) for name in _FIELDS},
    }


def _text(record: Record, name: str) -> str | None:
    """A field as text: what is no text as JSON."""
    value = record.value(name)
    return value if value is None or isinstance(value, str) else canonical(value).decode()
