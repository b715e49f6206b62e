"""What a diagnosis looks at: rows before and after, the reference, and what was changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.observations.frame import Frame

Column = NDArray[Any]


@dataclass(frozen=True)
class Stretch:
    """Rows in the order of their arrival; every column has shape (n,).

    `features` are numeric (missing: nan) or text (missing: None). `score` is nan where
    there is none, `label` 1 or 0, and -1 where it is not known. `version` and `deployment`
    say who answered.

    Raises:
        InvalidInput: columns of different lengths.
    """

    features: Mapping[str, Column]
    score: Column
    label: Column
    version: Column
    deployment: Column

    def __post_init__(self) -> None:
        rows = self.label.size
        columns = {
            "score": self.score,
            "version": self.version,
            "deployment": self.deployment,
            **self.features,
        }
        for name, column in columns.items():
            if column.shape != (rows,):
                raise InvalidInput(f"{name} has shape {column.shape}, not ({rows},)", field=name)

    def __len__(self) -> int:
        return int(self.label.size)

    @classmethod
    def of(cls, frame: Frame) -> Stretch:
        """The rows of an observed stretch of time."""
        return cls(
            features=frame.features,
            score=frame.score,
            label=frame.label,
            version=frame.version,
            deployment=frame.deployment,
        )

    @classmethod
    def of_training(cls, features: Mapping[str, Column], label: Column) -> Stretch:
        """The rows of a training table, which nobody has scored."""
        nobody = np.full(label.size, None, dtype=object)
        return cls(
            features=features,
            score=np.full(label.size, np.nan),
            label=label,
            version=nobody,
            deployment=nobody,
        )

    def row_codes(self) -> NDArray[np.int64]:
        """A number for each row, the same for rows whose features are the same."""
        codes = np.zeros(len(self), dtype=np.int64)
        for column in self.features.values():
            part = column if numbers(column) else column.astype(np.str_)
            _, inner = np.unique(part, return_inverse=True)
            joined = codes * (int(inner.max(initial=0)) + 1) + inner
            _, codes = np.unique(joined, return_inverse=True)
        return codes

    def distinct_rows(self) -> int:
        """How many different rows there are."""
        return int(self.row_codes().max(initial=-1)) + 1

    def where(self, mask: Column) -> Stretch:
        """The rows for which `mask` holds."""
        return Stretch(
            features={name: column[mask] for name, column in self.features.items()},
            score=self.score[mask],
            label=self.label[mask],
            version=self.version[mask],
            deployment=self.deployment[mask],
        )


@dataclass(frozen=True)
class Change:
    """Something that people or the platform changed: a release, a deployment, a feed's note."""

    at: datetime
    text: str
    version: str | None = None
    feature: str | None = None


@dataclass(frozen=True)
class Evidence:
    """All that a diagnosis is drawn from.

    Attributes:
        reference: The rows that the version was trained on.
        before: A calm stretch of live traffic just before the drift began.
        after: The alarmed stretch.
        cutoffs: Of each version, the score from which on the answer is yes.
        changes: What was changed lately.
        confirmed: Features whose drift monitoring has confirmed.
        importance: Of each feature to the score, 0 or more; None: estimated from `before`.
    """

    model: str
    tenant: TenantId | None
    reference: Stretch
    before: Stretch
    after: Stretch
    cutoffs: Mapping[str, float]
    changes: tuple[Change, ...] = ()
    confirmed: frozenset[str] = field(default_factory=frozenset)
    importance: Mapping[str, float] | None = None
    drift_start: datetime | None = None
    detected_at: datetime | None = None


def numbers(column: Column) -> bool:
    """Whether a column is numeric."""
    return column.dtype.kind in "fiub"


def finite(column: Column) -> NDArray[np.float64]:
    """The values of a numeric column that can be measured."""
    values = np.asarray(column, dtype=np.float64)
    return values[np.isfinite(values)]


def missing(column: Column) -> NDArray[np.bool_]:
    """Which rows hold no value: nan or infinite in a numeric column, None in a text one."""
    if numbers(column):
        return ~np.isfinite(np.asarray(column, dtype=np.float64))
    return np.asarray([value is None for value in column], dtype=np.bool_)


def counts(column: Column) -> dict[str, int]:
    """Rows of each category of a text column, those without a value left out."""
    rows: Counter[str] = Counter()
    for value, number in Counter(column.tolist()).items():
        if value is not None:
            rows[str(value)] += number
    return dict(sorted(rows.items()))
