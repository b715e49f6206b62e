"""What a version was trained on, prepared for being compared with window after window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.kernel.errors import InvalidInput
from trimtab.monitoring.columns import Column, FeatureKind, as_arrow
from trimtab.profiles.arrow import Like, encoded, profile_batches, unfit
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.groups import profiles_by_group
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile, merged

_BATCH_ROWS = 1 << 18
_AS_CATEGORY = CategoryProfile(0, 0, {})


@dataclass(frozen=True)
class Reference:
    """The profile of one version's reference data, whole and by tenant.

    Immutable, small and free of any database: whoever loads it may keep it under `digest`.
    """

    rows: int
    features: Mapping[str, Profile]
    score: NumericProfile | None = None
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
    ) -> Reference:
        """A reference from columns.

        Args:
            columns: Shape (n,) each; those that `kinds` does not name are left alone.
            kinds: `numeric` or `category` for each feature.
            scores: Shape (n,), what the version answered on these rows, if that is known.
            tenants: Shape (n,), whose row each is. With it, a tenant is compared with its own
                rows: a tenant that differs from the fleet has not drifted.
            digest: Of the bytes it was read from.

        Raises:
            InvalidInput: a column is missing, or of another kind or length.
        """
        for name in kinds:
            if name not in columns:
                raise InvalidInput(f"the reference has no column {name}", field=name)
        sizes = {len(columns[name]) for name in kinds}
        if len(sizes) != 1:
            raise InvalidInput(f"columns of {sorted(sizes)} rows", field="reference")
        if tenants is not None and len(tenants) not in sizes:
            raise InvalidInput(f"{len(tenants)} tenants for {sizes.pop()} rows", field="tenants")
        arrays = {name: as_arrow(columns[name]) for name in kinds}
        extra = {_SCORE: scores, _TENANT: tenants}
        arrays |= {name: as_arrow(one) for name, one in extra.items() if one is not None}
        table = pa.table(arrays)
        names = _Names(
            kinds, None if scores is None else _SCORE, None if tenants is None else _TENANT
        )
        return cls._read(lambda: iter(table.to_batches()), table.schema, names, digest)

    @classmethod
    def from_parquet(
        cls,
        content: bytes,
        kinds: Mapping[str, str],
        *,
        tenant_column: str | None = None,
        score_column: str | None = None,
        digest: str = "",
    ) -> Reference:
        """A reference from the bytes of a Parquet file, some rows at a time.

        Raises:
            InvalidInput: it is not Parquet, or as `from_columns`.
        """
        names = _Names(kinds, score_column, tenant_column)
        try:
            file = pq.ParquetFile(pa.BufferReader(content))
            schema = file.schema_arrow
            missing = [name for name in names.all if name not in schema.names]
            if missing:
                raise InvalidInput(f"the reference has no column {missing[0]}", field=missing[0])
            return cls._read(
                lambda: file.iter_batches(_BATCH_ROWS, columns=names.all, use_threads=False),
                schema,
                names,
                digest,
            )
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput("the reference is not a Parquet file", field="reference") from error

    @classmethod
    def _read(
        cls,
        batches: Callable[[], Iterator[pa.RecordBatch]],
        schema: pa.Schema,
        names: _Names,
        digest: str,
    ) -> Reference:
        chosen = pa.schema([schema.field(name) for name in names.counted])
        for one in chosen:
            why = unfit(one.type)
            if why is not None:
                raise InvalidInput(f"reference column {one.name}: {why}", field=one.name)
        like: Like = {
            name: _AS_CATEGORY for name, kind in names.kinds.items() if kind == "category"
        }
        whole = profile_batches(chosen, _selected(batches(), chosen), like=like)
        for name, kind in names.kinds.items():
            _expect(name, whole.columns[name], FeatureKind(kind))
        parts: dict[str, Reference] = {}
        if names.tenant is not None:
            found = _by_tenant(batches(), names.tenant, whole.columns)
            parts = {name: cls._of(part, names, {}, digest) for name, part in sorted(found.items())}
        return cls._of(whole, names, parts, digest)

    @classmethod
    def _of(
        cls, profile: TableProfile, names: _Names, parts: Mapping[str, Reference], digest: str
    ) -> Reference:
        score = None if names.score is None else profile.columns[names.score]
        if score is not None and not isinstance(score, NumericProfile):
            raise InvalidInput("reference scores are no numbers", field=names.score)
        features = {name: profile.columns[name] for name in names.kinds}
        return cls(profile.rows, features, score, parts, digest)


_SCORE, _TENANT = "\0score", "\0tenant"  # of columns that are handed over without a name


@dataclass(frozen=True)
class _Names:
    """Which columns are which."""

    kinds: Mapping[str, str]
    score: str | None
    tenant: str | None

    @property
    def counted(self) -> list[str]:
        return list(dict.fromkeys([*self.kinds, *([self.score] if self.score else [])]))

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys([*self.counted, *([self.tenant] if self.tenant else [])]))


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


def _by_tenant(
    batches: Iterator[pa.RecordBatch], tenant: str, like: Like
) -> dict[str, TableProfile]:
    """The rows of each tenant, counted like the whole."""
    parts: dict[str, list[TableProfile]] = {}
    for batch in batches:
        names, codes = encoded(batch.column(tenant))
        columns = {
            name: profiles_by_group(batch.column(name), codes, len(names), like=one)
            for name, one in like.items()
        }
        rows = np.bincount(codes[codes >= 0], minlength=len(names)).tolist()
        for code, name in enumerate(names):
            part = TableProfile(rows[code], {n: found[code] for n, found in columns.items()})
            parts.setdefault(name, []).append(part)
    return {name: merged(found) for name, found in parts.items()}


def _selected(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.select(schema.names)


def _expect(name: str, profile: Profile, kind: FeatureKind) -> None:
    numeric = isinstance(profile, NumericProfile)
    if numeric != (kind is FeatureKind.NUMERIC):
        what = "numbers are expected, text has come"
        raise InvalidInput(f"reference column {name}: {what}", field=name)
