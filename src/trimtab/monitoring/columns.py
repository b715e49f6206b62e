"""A column as it can be measured: numbers or categories, and what was missing counted apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput
from trimtab.stats.sample import Sample, split_nulls

Column: TypeAlias = NDArray[Any]
"""Shape (n,): floats (missing: nan) or text (missing: None), in order of time."""


class FeatureKind(StrEnum):
    """How a feature is measured."""

    NUMERIC = "numeric"
    CATEGORY = "category"


@dataclass(frozen=True)
class Numbers:
    """A numeric column. `values` are finite, shape (n,), in the order given; an infinite one
    counts as missing, for no model was trained on it."""

    values: Sample
    missing: int

    @property
    def known(self) -> int:
        """Values that can be measured."""
        return int(self.values.size)


@dataclass(frozen=True)
class Categories:
    """A column of categories: rows per category."""

    counts: Mapping[str, int]
    missing: int

    @property
    def known(self) -> int:
        """Values that can be measured."""
        return sum(self.counts.values())


Measured: TypeAlias = Numbers | Categories


def missing_share(column: Measured) -> float:
    """Share of the rows without a value; of no rows at all, all are missing."""
    rows = column.known + column.missing
    return column.missing / rows if rows else 1.0


def measured(column: Column, kind: FeatureKind) -> Measured:
    """`column` as `kind`.

    Raises:
        InvalidInput: the values are of another kind.
    """
    return _numbers(column) if kind is FeatureKind.NUMERIC else _categories(column)


def _numbers(column: Column) -> Numbers:
    if column.dtype.kind not in "fiub":
        raise InvalidInput("numbers are expected, text has come")
    values, nulls, infinite = split_nulls(column)
    return Numbers(values, nulls + infinite)


def _categories(column: Column) -> Categories:
    if column.dtype.kind in "fiub":
        return _coded(column)
    try:
        texts = pa.array(column, type=pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidInput("categories are expected, something else has come") from error
    missing = texts.null_count
    found = pc.value_counts(texts.drop_null())
    pairs = zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    return Categories(dict(sorted(pairs)), missing)


def _coded(column: Column) -> Categories:
    """Categories that are written as numbers."""
    values, nulls, infinite = split_nulls(column)
    codes, counts = np.unique(values, return_counts=True)
    names = {f"{code:.17g}": int(count) for code, count in zip(codes, counts, strict=True)}
    return Categories(names, nulls + infinite)
