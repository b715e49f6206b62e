"""What a version was trained on, prepared for being compared with window after window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.monitoring.columns import Categories, Column, FeatureKind, Numbers, measured
from trimtab.stats.sample import Sample
from trimtab.stats.univariate import bin_counts, quantile_edges


@dataclass(frozen=True)
class NumericBaseline:
    """A numeric feature of the reference; `numbers.values` are sorted."""

    numbers: Numbers
    bins: int

    @cached_property
    def edges(self) -> Sample | None:
        """Edges of the bins for the stability index; None where no index can be given."""
        try:
            return quantile_edges(self.numbers.values, bins=self.bins)
        except TooFewValues:
            return None

    @cached_property
    def counts(self) -> NDArray[np.int64] | None:
        """Rows per bin."""
        return None if self.edges is None else bin_counts(self.numbers.values, self.edges)

    @cached_property
    def spread(self) -> float | None:
        """Standard deviation, the unit of the scaled Wasserstein distance; None of a constant."""
        values = self.numbers.values
        if not values.size or values[0] == values[-1]:
            return None
        return float(values.std())

    def share_of(self, value: float) -> float:
        """Share of the reference that has this very value, half a row added."""
        values = self.numbers.values
        first = int(np.searchsorted(values, value, side="left"))
        last = int(np.searchsorted(values, value, side="right"))
        return (last - first + 0.5) / (values.size + 1.0)


@dataclass(frozen=True)
class CategoryBaseline:
    """A feature of categories."""

    categories: Categories

    def share_of(self, name: str) -> float:
        """Share of the known rows in this category, half a row added."""
        return (self.categories.counts.get(name, 0) + 0.5) / (self.categories.known + 1.0)


Baseline: TypeAlias = NumericBaseline | CategoryBaseline


@dataclass(frozen=True)
class Reference:
    """The reference data of one version, whole and by tenant.

    Immutable and free of any database: whoever loads it may keep it under `digest`.
    """

    rows: int
    features: Mapping[str, Baseline]
    score: NumericBaseline | None = None
    tenants: Mapping[str, Reference] = field(default_factory=dict)
    """The same by tenant; empty when the reference does not tell its tenants apart."""
    digest: str = ""

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Column],
        kinds: Mapping[str, str],
        *,
        scores: Column | None = None,
        tenants: Column | None = None,
        digest: str = "",
        bins: int = 10,
    ) -> Reference:
        """A reference from columns.

        Args:
            columns: Shape (n,) each; those that `kinds` does not name are left alone.
            kinds: `numeric` or `category` for each feature.
            scores: Shape (n,), what the version answered on these rows, if that is known.
            tenants: Shape (n,), whose row each is. With it, a tenant is compared with its own
                rows: a tenant that differs from the fleet has not drifted.
            digest: Of the bytes it was read from.
            bins: Equal-frequency bins of the stability index.

        Raises:
            InvalidInput: a column is missing, or of another kind or length.
        """
        for name in kinds:
            if name not in columns:
                raise InvalidInput(f"the reference has no column {name}", field=name)
        size = len(columns[next(iter(kinds))]) if kinds else 0
        whole = cls._of(columns, kinds, scores, bins, digest)
        if tenants is None:
            return whole
        if len(tenants) != size:
            raise InvalidInput(f"{len(tenants)} tenants for {size} rows", field="tenants")
        parts = {
            str(name): cls._of(
                {feature: columns[feature][tenants == name] for feature in kinds},
                kinds,
                None if scores is None else scores[tenants == name],
                bins,
                digest,
            )
            for name in sorted({t for t in tenants.tolist() if t is not None})
        }
        return cls(whole.rows, whole.features, whole.score, parts, digest)

    @classmethod
    def from_parquet(
        cls,
        content: bytes,
        kinds: Mapping[str, str],
        *,
        max_rows: int,
        tenant_column: str | None = None,
        score_column: str | None = None,
        digest: str = "",
        bins: int = 10,
    ) -> Reference:
        """A reference from the bytes of a Parquet file.

        Of more than `max_rows` rows, so many are taken at even steps: the rows of a training
        table are in order of time, and all of its time is to be heard.

        Raises:
            InvalidInput: it is not Parquet, or as `from_columns`.
        """
        extra = [name for name in (tenant_column, score_column) if name is not None]
        wanted = list(dict.fromkeys([*kinds, *extra]))
        try:
            file = pq.ParquetFile(BytesIO(content))
            missing = [name for name in wanted if name not in file.schema_arrow.names]
            if missing:
                raise InvalidInput(f"the reference has no column {missing[0]}", field=missing[0])
            table = file.read(columns=wanted)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput("the reference is not a Parquet file", field="reference") from error
        if table.num_rows > max_rows:
            steps = np.linspace(0, table.num_rows - 1, max_rows).astype(np.int64)
            table = table.take(pa.array(steps))
        columns = {name: _column(table[name]) for name in table.column_names}
        return cls.from_columns(
            columns,
            kinds,
            scores=None if score_column is None else columns[score_column],
            tenants=None if tenant_column is None else columns[tenant_column],
            digest=digest,
            bins=bins,
        )

    @classmethod
    def _of(
        cls,
        columns: Mapping[str, Column],
        kinds: Mapping[str, str],
        scores: Column | None,
        bins: int,
        digest: str,
    ) -> Reference:
        sizes = {len(columns[name]) for name in kinds}
        if len(sizes) != 1:
            raise InvalidInput(f"columns of {sorted(sizes)} rows", field="reference")
        features = {n: _baseline(n, columns[n], FeatureKind(k), bins) for n, k in kinds.items()}
        score = None if scores is None else _numeric(measured(scores, FeatureKind.NUMERIC), bins)
        return cls(sizes.pop(), features, score, {}, digest)


@dataclass(frozen=True)
class References:
    """What windows are compared with: the fleet's stable version, and tenants' own versions.

    None where no version is stable: there is then nothing to compare with, which is said.
    """

    fleet: Reference | None
    dedicated: Mapping[str, Reference] = field(default_factory=dict)

    def of(self, tenant: str | None) -> Reference | None:
        """What a tenant is compared with: the reference of a version of its own; without one,
        its own rows in the fleet's, or the whole where tenants are not told apart."""
        if tenant is not None and tenant in self.dedicated:
            return self.dedicated[tenant]
        if tenant is None or self.fleet is None or not self.fleet.tenants:
            return self.fleet
        return self.fleet.tenants.get(tenant)


def _baseline(name: str, column: Column, kind: FeatureKind, bins: int) -> Baseline:
    try:
        found = measured(column, kind)
    except InvalidInput as error:
        raise InvalidInput(f"reference column {name}: {error.message}", field=name) from error
    return CategoryBaseline(found) if isinstance(found, Categories) else _numeric(found, bins)


def _numeric(found: Any, bins: int) -> NumericBaseline:
    return NumericBaseline(Numbers(np.sort(found.values), found.missing), bins)


def _column(column: pa.ChunkedArray) -> Column:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(column.cast(pa.string()).to_pylist(), dtype=object)
    try:
        numbers = column.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(f"a column of {kind} cannot be measured", field="reference") from error
    return np.asarray(numbers.to_numpy(), dtype=np.float64)
