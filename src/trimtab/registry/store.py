"""Rows of the registry: models and versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event
from trimtab.kernel.ids import TenantId, VersionId
from trimtab.platform.database import Json, Moment, decision_table
from trimtab.registry.model import (
    Feature,
    Lifecycle,
    Model,
    ModelRegistered,
    TrainingTrigger,
    Version,
    VersionRegistered,
)

MODELS = decision_table(
    "models",
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("risk_facts", Json, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("risk_level", sa.String(10), nullable=False),
    sa.Column("policy", sa.String(80), nullable=False),
    sa.Column("features", Json, nullable=False),
    sa.Column("label", sa.String(120), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

VERSIONS = decision_table(
    "versions",
    sa.Column("model", sa.String(63), sa.ForeignKey("models.name"), nullable=False),
    sa.Column("tenant", sa.String(80)),
    sa.Column("version", sa.String(23), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("predecessor", sa.String(23)),
    sa.Column("bump", sa.String(5), nullable=False),
    sa.Column("bump_reasons", Json, nullable=False),
    sa.Column("lifecycle", sa.String(20), nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("framework", sa.String(40), nullable=False),
    sa.Column("cutoff", sa.Double, nullable=False),
    sa.Column("training_metrics", Json, nullable=False),
    sa.Column("training_trigger", sa.String(30), nullable=False),
    sa.Column("parent", sa.String(23)),
    sa.Column("reference_digest", sa.String(71), nullable=False),
    sa.Column("reference_rows", sa.BigInteger, nullable=False),
    sa.Column("holdout_digest", sa.String(71), nullable=False),
    sa.Column("lineage", Json, nullable=False),
    sa.Column("binding", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("signer", sa.String(80), nullable=False),
    sa.Column("signed_at", Moment, nullable=False),
    sa.Column("inspection", Json, nullable=False),
    sa.Column("contributors", Json, nullable=False),
    sa.Column("created_by", sa.String(80), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("held_because", sa.Text),
    sa.Index("uq_versions_model_version", "model", "version", unique=True),
    sa.Index("uq_versions_model_number", "model", "number", unique=True),
    sa.Index("ix_versions_tenant", "model", "tenant"),
)
"""A version number is used once for a model, whoever it is for: two sets of bytes can
never answer to one name. `number` counts the versions of a model from 1, as another key."""


def add_model(work: Work, model: Model, event: ModelRegistered) -> Model:
    """Keep a new model.

    Raises:
        Conflict: the name is taken.
    """
    work.create(MODELS, _model_row(model), because=event)
    return dataclasses.replace(model, revision=1)


_MODEL_NAMED = sa.select(MODELS).where(MODELS.c.name == sa.bindparam("name"))
_VERSION_NAMED = sa.select(VERSIONS).where(
    VERSIONS.c.model == sa.bindparam("model"), VERSIONS.c.version == sa.bindparam("version")
)


def model_named(reading: Reading, name: str, *, field: str = "model") -> Model:
    """The model called `name`; `field` is where somebody named it.

    Raises:
        NotFound: there is none.
    """
    row = reading.row(_MODEL_NAMED, {"name": name})
    if row is None:
        raise NotFound(f"there is no model called {ascii(name)[:80]}", field=field)
    return _model(row)


def models(
    reading: Reading, *, after: str = "", limit: int = 100, until: datetime | None = None
) -> list[Model]:
    """Models by name, those behind `after`; with `until`, those registered by then."""
    query = sa.select(MODELS).where(MODELS.c.name > after).order_by(MODELS.c.name).limit(limit)
    if until is not None:
        query = query.where(MODELS.c.created_at <= until)
    return [_model(row) for row in reading.rows(query)]


def add_version(work: Work, version: Version, event: VersionRegistered) -> Version:
    """Keep a new version.

    Raises:
        Conflict: this version number of the model is taken.
    """
    work.create(VERSIONS, _version_row(version), because=event)
    return dataclasses.replace(version, revision=1)


def save_version(work: Work, version: Version, because: Event) -> Version:
    """Keep a moved version over the revision it was computed from.

    Raises:
        Conflict: somebody moved it meanwhile.
    """
    work.replace(VERSIONS, _version_row(version), because=because)
    return dataclasses.replace(version, revision=version.revision + 1)


def version_by_id(reading: Reading, version_id: str) -> Version:
    """The version with this id.

    Raises:
        NotFound: there is none.
    """
    row = reading.with_id(VERSIONS, version_id)
    if row is None:
        raise NotFound("there is no such version", field="version")
    return _version(row)


def find_version(reading: Reading, model: str, version: str) -> Version | None:
    """Version `version` of `model`, or None."""
    row = reading.row(_VERSION_NAMED, {"model": model, "version": version})
    return None if row is None else _version(row)


def numbered_version(reading: Reading, model: str, number: int) -> Version | None:
    """The version of `model` that was registered as its `number`th, or None."""
    row = reading.row(
        sa.select(VERSIONS).where(VERSIONS.c.model == model, VERSIONS.c.number == number)
    )
    return None if row is None else _version(row)


@dataclasses.dataclass(frozen=True)
class Numbered:
    """A number in use: whose it is, and what became of its version."""

    version: str
    number: int
    tenant: TenantId | None
    lifecycle: Lifecycle


def numbers(reading: Reading, model: str) -> list[Numbered]:
    """Every number of a model in use, whoever it is for; oldest first."""
    query = (
        sa.select(VERSIONS.c.version, VERSIONS.c.number, VERSIONS.c.tenant, VERSIONS.c.lifecycle)
        .where(VERSIONS.c.model == model)
        .order_by(VERSIONS.c.number)
    )
    return [
        Numbered(**{**row, "lifecycle": Lifecycle(row["lifecycle"])}) for row in reading.rows(query)
    ]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What an endpoint is told of a version's bytes."""

    signer: str
    signed_at: datetime
    size_bytes: int
    cutoff: float


FACTS = [VERSIONS.c[field.name] for field in dataclasses.fields(Facts)]
_FACTS = sa.select(*FACTS).where(
    VERSIONS.c.model == sa.bindparam("model"), VERSIONS.c.version == sa.bindparam("version")
)


def facts(reading: Reading, model: str, version: str) -> Facts | None:
    """What an endpoint is told of `version` of `model`, or None; its signature and its
    lineage, which are long, are left where they are."""
    row = reading.row(_FACTS, {"model": model, "version": version})
    return None if row is None else Facts(**row)


def versions_of(
    reading: Reading, model: str, *, visible_to: TenantId | None = None, everyone: bool = False
) -> list[Version]:
    """Versions of a model, newest registration last.

    Args:
        reading: A look at the records.
        model: Name of the model.
        visible_to: A tenant sees its own versions and the global ones.
        everyone: The fleet sees all.
    """
    query = sa.select(VERSIONS).where(VERSIONS.c.model == model)
    if not everyone:
        query = query.where((VERSIONS.c.tenant == visible_to) | VERSIONS.c.tenant.is_(None))
    query = query.order_by(VERSIONS.c.created_at, VERSIONS.c.id)
    return [_version(row) for row in reading.rows(query)]


@dataclasses.dataclass(frozen=True)
class Newest:
    """The version of a model that was registered last, as far as an inventory tells of it."""

    id: VersionId
    model: str
    version: str
    framework: str
    lifecycle: Lifecycle


def versions_of_tenant(reading: Reading, tenant: TenantId) -> tuple[int, int]:
    """How many versions belong to a tenant alone, and how many bytes their models have."""
    size = sa.func.coalesce(sa.func.sum(VERSIONS.c.size_bytes), 0).label("size")
    query = sa.select(sa.func.count().label("count"), size).where(VERSIONS.c.tenant == tenant)
    row = reading.row(query)
    return (0, 0) if row is None else (int(row["count"]), int(row["size"]))


def newest_versions(
    reading: Reading,
    models: Sequence[str],
    *,
    visible_to: TenantId | None = None,
    everyone: bool = False,
    until: datetime | None = None,
) -> dict[str, Newest]:
    """By model, the version that was registered last, with `until` by then; a model without
    one is left out. For whom, as `versions_of`."""
    place = sa.func.row_number().over(
        partition_by=VERSIONS.c.model,
        order_by=(VERSIONS.c.created_at.desc(), VERSIONS.c.id.desc()),
    )
    columns = [VERSIONS.c[field.name] for field in dataclasses.fields(Newest)]
    ranked = sa.select(*columns, place.label("place")).where(VERSIONS.c.model.in_(models))
    if not everyone:
        ranked = ranked.where((VERSIONS.c.tenant == visible_to) | VERSIONS.c.tenant.is_(None))
    if until is not None:
        ranked = ranked.where(VERSIONS.c.created_at <= until)
    numbered = ranked.subquery()
    own = [numbered.c[column.name] for column in columns]
    rows = reading.rows(sa.select(*own).where(numbered.c.place == 1))
    return {
        row["model"]: Newest(
            **{**row, "id": VersionId(row["id"]), "lifecycle": Lifecycle(row["lifecycle"])}
        )
        for row in rows
    }


def versions_in(reading: Reading, states: Sequence[Lifecycle]) -> list[Version]:
    """Versions in any of `states`, oldest first."""
    query = sa.select(VERSIONS).where(VERSIONS.c.lifecycle.in_([s.value for s in states]))
    query = query.order_by(VERSIONS.c.created_at, VERSIONS.c.id)
    return [_version(row) for row in reading.rows(query)]


def _model_row(model: Model) -> dict[str, Any]:
    row = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
    return {**row, "features": [dataclasses.asdict(f) for f in model.features]}


def _model(row: sa.RowMapping) -> Model:
    return Model(**{**row, "features": tuple(Feature(**f) for f in row["features"])})


def _version_row(version: Version) -> dict[str, Any]:
    row = {f.name: getattr(version, f.name) for f in dataclasses.fields(version)}
    return {
        **row,
        "lifecycle": version.lifecycle.value,
        "training_trigger": version.training_trigger.value,
        "bump_reasons": list(version.bump_reasons),
        "contributors": list(version.contributors),
    }


def _version(row: sa.RowMapping) -> Version:
    return Version(
        **{
            **row,
            "id": VersionId(row["id"]),
            "lifecycle": Lifecycle(row["lifecycle"]),
            "training_trigger": TrainingTrigger(row["training_trigger"]),
            "bump_reasons": tuple(row["bump_reasons"]),
            "contributors": tuple(row["contributors"]),
        }
    )
