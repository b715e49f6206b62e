"""The table that a recipe trains on: checked, put into time order, split by time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues

if TYPE_CHECKING:
    import pyarrow as pa

Column = NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """Rows in time order.

    `features` are float32 (numbers) or str (categories) columns of shape (n,), in the
    order in which the model takes them; `label` is 0 or 1; `time` is datetime64[us] or
    float64. `digest` names exactly these values in this order.
    """

    features: dict[str, Column]
    label: Column
    time: Column
    digest: str

    def __len__(self) -> int:
        return int(self.label.size)

    @property
    def categories(self) -> list[str]:
        """Names of the features that hold text."""
        return [name for name, column in self.features.items() if column.dtype.kind == "U"]

    def rows(self, chosen: Column) -> Frame:
        """The rows at the positions `chosen`; the digest stays that of the whole."""
        return Frame(
            {name: column[chosen] for name, column in self.features.items()},
            self.label[chosen],
            self.time[chosen],
            self.digest,
        )


def checked(
    data: Mapping[str, Column] | pa.Table, *, features: Sequence[str], label: str, time: str
) -> Frame:
    """The columns that training needs, in time order, or a reason why not.

    Args:
        data: Columns of one length: numpy arrays by name, or an Arrow table. Others are
            not read.
        features: Columns the model may see, in its input order.
        label: Column of 0 / 1 or booleans.
        time: Column of moments (datetime64, or numbers that grow with time).

    Raises:
        InvalidInput: a column is missing, repeated, not finite, of a type that no model
            input has, the label holds one class, or label or time are among the features.
    """
    if not features or len(set(features)) != len(features):
        raise InvalidInput("features must be named, each once", field="features")
    for forbidden in (label, time):
        if forbidden in features:
            raise InvalidInput(
                f"{forbidden!r} is not known when the model has to answer",
                field="features",
                remedy="Take it out of the features.",
            )
    columns = {name: _column(data, name) for name in (*features, label, time)}
    if len({column.size for column in columns.values()}) != 1:
        raise InvalidInput("the columns differ in length", field="data")
    moments = _moments(columns[time], time)
    order = np.argsort(moments, kind="stable")
    inputs = {name: _feature(columns[name], name)[order] for name in features}
    outcome, moments = _outcome(columns[label], label)[order], moments[order]
    digest = _digest({**inputs, label: outcome, time: moments})
    return Frame(inputs, outcome, moments, digest)


def split_by_time(frame: Frame, *, validation_share: float, min_rows: int) -> tuple[Frame, Frame]:
    """The earlier rows, to learn from, and the later ones, to measure on.

    Rows of one moment are never parted: all of them count as later.

    Raises:
        InvalidInput: the share is not between 0 and 1, or either part holds one class.
        TooFewValues: either part has fewer than `min_rows` rows.
    """
    if not 0 < validation_share < 1:
        raise InvalidInput("the share lies between 0 and 1", field="validation_share")
    if len(frame) < 2 * min_rows:
        raise TooFewValues(f"{len(frame)} rows; at least {2 * min_rows} are needed", field="data")
    boundary = frame.time[int(len(frame) * (1 - validation_share))]
    cut = int(np.searchsorted(frame.time, boundary, side="left"))
    earlier, later = frame.rows(np.arange(cut)), frame.rows(np.arange(cut, len(frame)))
    for name, part in (("earlier", earlier), ("later", later)):
        if len(part) < min_rows:
            raise TooFewValues(
                f"{len(part)} {name} rows; at least {min_rows} are needed", field="data"
            )
        if part.label.min() == part.label.max():
            raise InvalidInput(f"the {name} rows hold one class only", field="label")
    if not earlier.time[-1] < later.time[0]:
        raise InvalidInput("the validation slice does not lie after the training rows")
    return earlier, later


def refuse_leaks(frame: Frame, *, max_single_auc: float) -> None:
    """Refuse a feature that tells the label all by itself.

    A column that ranks the outcomes (almost) perfectly is nearly always the outcome in
    disguise: a value filled in afterwards, or the label under another name.

    Raises:
        InvalidInput: the area under the ROC curve of one feature alone, in the better of
            both directions, is above `max_single_auc`.
    """
    for name, column in frame.features.items():
        area = _area(_as_rank(column, frame.label), frame.label)
        if max(area, 1 - area) > max_single_auc:
            raise InvalidInput(
                f"{name!r} alone tells the label (area {max(area, 1 - area):.4f})",
                field=f"features.{name}",
                remedy="Is it known before the outcome? If so, raise max_single_auc.",
            )


def _column(data: Mapping[str, Column] | pa.Table, name: str) -> Column:
    names = data if isinstance(data, Mapping) else data.column_names
    if name not in names:
        raise InvalidInput(f"there is no column {name!r}", field=f"data.{name}")
    if isinstance(data, Mapping):
        values = np.asarray(data[name])
    elif data[name].null_count:
        raise InvalidInput(f"{name!r} has empty cells", field=f"data.{name}")
    else:
        values = data[name].combine_chunks().to_numpy(zero_copy_only=False)
    if values.ndim != 1:
        raise InvalidInput(f"{name!r} is not one column", field=f"data.{name}")
    return values


def _feature(values: Column, name: str) -> Column:
    """Text stays text; numbers become float32, which is what the model will be fed."""
    if values.dtype.kind in "US" or (
        values.dtype.kind == "O" and all(isinstance(value, str) for value in values)
    ):
        return values.astype(np.str_)
    if values.dtype.kind not in "buif":
        raise InvalidInput(f"{name!r} is neither numbers nor text", field=f"data.{name}")
    numbers = values.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise InvalidInput(f"{name!r} has values that are not finite", field=f"data.{name}")
    return numbers


def _outcome(values: Column, name: str) -> Column:
    if values.dtype.kind not in "bui" or not np.isin(values, (0, 1)).all():
        raise InvalidInput(f"{name!r} is not 0 / 1 everywhere", field=f"data.{name}")
    if values.size == 0 or values.min() == values.max():
        raise InvalidInput(f"{name!r} holds one class only", field=f"data.{name}")
    return values.astype(np.int64)


def _moments(values: Column, name: str) -> Column:
    if values.dtype.kind == "M":
        moments = values.astype("datetime64[us]")
        known = not np.isnat(moments).any()
    elif values.dtype.kind in "uif":
        moments = values.astype(np.float64)
        known = bool(np.isfinite(moments).all())
    else:
        known = False
    if not known:
        raise InvalidInput(f"{name!r} is not a moment everywhere", field=f"data.{name}")
    return moments


def _digest(columns: Mapping[str, Column]) -> str:
    """Length before content, so that no two tables share one byte stream."""
    hasher = hashlib.sha256()
    for name, column in columns.items():
        if column.dtype.kind == "U":
            cells = [value.encode() for value in column.tolist()]
            content = b"".join(len(cell).to_bytes(4, "big") + cell for cell in cells)
        else:
            content = column.astype(column.dtype.newbyteorder("<")).tobytes()
        for part in (name.encode(), column.dtype.kind.encode(), content):
            hasher.update(len(part).to_bytes(8, "big") + part)
    return "sha256:" + hasher.hexdigest()


def _as_rank(column: Column, label: Column) -> Column:
    """A category counts as the share of positives among its rows."""
    if column.dtype.kind != "U":
        return column
    _, codes = np.unique(column, return_inverse=True)
    shares = np.bincount(codes, weights=label) / np.bincount(codes)
    return np.asarray(shares[codes])


def _area(score: Column, label: Column) -> float:
    """Area under the ROC curve by mid-ranks: Mann and Whitney (1947)."""
    _, codes, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    positives = int(label.sum())
    above = float(ranks[label == 1].sum()) - positives * (positives + 1) / 2
    return above / (positives * (label.size - positives))
