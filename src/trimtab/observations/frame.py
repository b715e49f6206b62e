"""The rows of a stretch of time as columns: predictions joined with what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.audit.work import Reading
from trimtab.kernel.errors import InvalidInput
from trimtab.observations import store
from trimtab.observations.batches import FEATURE, SCORES
from trimtab.observations.stream import read

Column = NDArray[Any]

_KINDS = {
    "prediction_id": pa.string(),
    "row": pa.int64(),
    "tenant": pa.string(),
    "version": pa.string(),
    "deployment": pa.string(),
    "endpoint": pa.string(),
    "at": pa.timestamp("us", tz="UTC"),
    "latency_ms": pa.float64(),
}


@dataclass(frozen=True)
class Frame:
    """Rows of one model; all columns have shape (n,), in the order of their prediction ids,
    which is the order of time and, within a moment, of the answers of a gateway.

    `label` is 1 or 0 where it is known and -1 where it is not. `features` are float64
    (missing: nan) or text (missing: None). `score` is in [0, 1], nan where the model gave
    none. `at` is datetime64[us] in UTC.
    """

    tenant: Column
    version: Column
    deployment: Column
    endpoint: Column
    at: Column
    score: Column
    latency_ms: Column
    label: Column
    features: Mapping[str, Column]

    def __len__(self) -> int:
        return int(self.label.size)

    @property
    def known(self) -> Column:
        """Which rows have a label."""
        return self.label >= 0

    def without_repeats(self) -> Frame:
        """Each row once: what repeats tenant, version, features and label of an earlier row
        is left out. A retry, or a sample drawn with replacement, is no new evidence."""
        codes = [_codes(self.tenant), _codes(self.version), self.label.astype(np.float64)]
        codes += [_codes(column) for column in self.features.values()]
        if not len(self):
            return self
        _, first = np.unique(np.column_stack(codes), axis=0, return_index=True)
        mask = np.zeros(len(self), dtype=bool)
        mask[first] = True
        return self.where(mask)

    def where(self, mask: Column) -> Frame:
        """The rows for which `mask` holds."""
        columns = {
            name: getattr(self, name)[mask]
            for name in (
                "tenant",
                "version",
                "deployment",
                "endpoint",
                "at",
                "score",
                "latency_ms",
                "label",
            )
        }
        return Frame(**columns, features={k: v[mask] for k, v in self.features.items()})


def _codes(column: Column) -> Column:
    """A column as numbers that are equal where its values are; missing equals missing."""
    if column.dtype == object:
        _, inverse = np.unique(column.astype(str), return_inverse=True)
        return np.asarray(inverse, dtype=np.float64)
    return np.nan_to_num(column.astype(np.float64), nan=np.inf)


def load(
    reading: Reading,
    model: str,
    start: datetime,
    end: datetime,
    *,
    features: Sequence[str],
    received_by: datetime | None = None,
) -> Frame:
    """Predictions of `model` made in [start, end), each once, with the newest label of each;
    with `received_by`, as if what came later had never come.

    `features` are the model's registered ones, in their order.

    Raises:
        InvalidInput: no prediction was made there.
    """
    nothing = InvalidInput(f"no prediction of {model} was made between {start} and {end}")
    came = store.bodies(reading, store.PREDICTIONS, model, start, end, received_by=received_by)
    tables = [_named(read(body), features) for body in came]
    if not tables:
        raise nothing
    table = _joined(tables)
    inside = pc.and_(
        pc.greater_equal(table["at"], pa.scalar(start)), pc.less(table["at"], pa.scalar(end))
    )
    table = table.filter(inside)
    if not table.num_rows:
        raise nothing
    # In the order of the keys: by what batches rows came, and in which order these came, is
    # chance, and training, halves and samples must not hang on it.
    keys, first = np.unique(_keys(table), return_index=True)
    table = table.take(first)
    labels = store.bodies(reading, store.LABELS, model, start, end, received_by=received_by)
    return _frame(table, _labels(keys, [read(body) for body in labels]))


def _named(table: pa.Table, features: Sequence[str]) -> pa.Table:
    """A batch whose inputs have the names of features. A matrix that its model names no columns
    of comes as `<input>.0` and on: the registered features in their order, in which the checks
    score it, too."""
    sent = [name for name in table.column_names if name.startswith(FEATURE)]
    if len(sent) != len(features) or {n.removeprefix(FEATURE) for n in sent} & set(features):
        return table
    matrix = sent[0].rpartition(".")[0]
    places = sent if len(sent) == 1 else [f"{matrix}.{place}" for place in range(len(sent))]
    if set(places) != set(sent):
        return table
    names = dict(zip(places, features, strict=True))
    return table.rename_columns(
        [FEATURE + names[name] if name in names else name for name in table.column_names]
    )


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Batches as one table, each column of one type: numbers of all widths as float64, and as
    text where any batch has text, so that a change of type is seen instead of fatal."""
    texts = {
        field.name
        for table in tables
        for field in table.schema
        if field.name.startswith(FEATURE) and _is_text(field.type)
    }
    plain = [_plain(table, texts) for table in tables]
    return pa.concat_tables(plain, promote_options="default")


def _plain(table: pa.Table, texts: set[str]) -> pa.Table:
    columns = {}
    for name in table.column_names:
        if name in _KINDS:
            columns[name] = table[name].cast(_KINDS[name], safe=False)
        elif name.startswith(FEATURE):
            kind = pa.string() if name in texts else pa.float64()
            columns[name] = table[name].cast(kind, safe=False)
    columns["score"] = pa.array(_score(table))
    return pa.table(columns)


def _labels(keys: Column, batches: Sequence[pa.Table]) -> Column:
    """The newest label for each key, -1 where there is none."""
    found = np.full(keys.size, -1, dtype=np.int8)
    if not batches:
        return found
    order = np.argsort(keys)
    ranked = keys[order]
    for batch in batches:
        theirs = _keys(batch)
        place = np.searchsorted(ranked, theirs).clip(max=max(ranked.size - 1, 0))
        match = ranked[place] == theirs if ranked.size else np.zeros(theirs.size, dtype=bool)
        values = batch["label"].cast(pa.int8()).to_numpy()
        found[order[place[match]]] = (values[match] != 0).astype(np.int8)
    return found


def _keys(table: pa.Table) -> Column:
    """Id and row of each prediction as one fixed-width text."""
    joined = pc.binary_join_element_wise(
        table["prediction_id"].cast(pa.string()), table["row"].cast(pa.string()), "/"
    )
    return np.asarray(joined.to_numpy(zero_copy_only=False)).astype("S")


def _frame(table: pa.Table, labels: Column) -> Frame:
    features = {
        name.removeprefix(FEATURE): _feature(table[name])
        for name in sorted(table.column_names)
        if name.startswith(FEATURE)
    }
    return Frame(
        tenant=_text(table, "tenant"),
        version=_text(table, "version"),
        deployment=_text(table, "deployment"),
        endpoint=_text(table, "endpoint"),
        at=table["at"].cast(pa.timestamp("us")).to_numpy(),
        score=table["score"].to_numpy(),
        latency_ms=table["latency_ms"].to_numpy(),
        label=labels,
        features=features,
    )


def _text(table: pa.Table, name: str) -> Column:
    if name not in table.column_names:
        return np.full(table.num_rows, None, dtype=object)
    return np.asarray(table[name].to_pylist(), dtype=object)


def _feature(column: pa.ChunkedArray) -> Column:
    if _is_text(column.type):
        return np.asarray(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _score(table: pa.Table) -> Column:
    """The score of the positive class: the second of a pair, or the one number there is."""
    name = next((name for name in SCORES if name in table.column_names), None)
    if name is None:
        return np.full(table.num_rows, np.nan)
    column = table[name]
    if pa.types.is_list(column.type):
        widths = pc.fill_null(pc.list_value_length(column), 0)
        least = pc.min(widths).as_py()
        if least == 0:  # no score in some row, and so no place that all of them have
            return np.full(table.num_rows, np.nan)
        column = pc.list_element(column, min(least, 2) - 1)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
