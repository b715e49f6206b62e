"""A check whether a table has moved away from another one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from trimtab.sdk.shapes.base import Answer, ColumnName, ModelName, Request, TenantName

MAX_ADDRESS = 1024
Address = Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS)]
Values = Annotated[
    list[Any],
    Field(json_schema_extra={"items": {"type": ["number", "string", "boolean", "null"]}}),
]


def _values(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for name, values in columns.items():
        for row, value in enumerate(values):
            if isinstance(value, dict | list):
                raise ValueError(f"{name}.{row} is neither a number, a text, true, false nor null")
    return columns


class TableShape(Request):
    """A table: exactly one of these."""

    uri: Address | None = None
    """Path or `s3://bucket/key` of a Parquet file or a stored profile, where that is allowed."""
    columns: (
        Annotated[
            dict[ColumnName, Values],
            Field(min_length=1, max_length=2000),
            AfterValidator(_values),
        ]
        | None
    ) = None
    """Values by column, of one kind in each: numbers, texts, or true and false; null for none."""
    profile: Annotated[str, Field(min_length=4, max_length=1_000_000)] | None = None
    """A profile as `trimtab profile` writes it, in base64."""

    @model_validator(mode="after")
    def _one(self) -> TableShape:
        given = [self.uri, self.columns, self.profile]
        if sum(one is not None for one in given) != 1:
            raise ValueError("a table is one of uri, columns and profile")
        return self


class _OrAddress:
    """Of a field that takes a table: text is its address. Whatever is wrong with it is then said
    of one shape, and not of two."""

    @staticmethod
    def table(value: object) -> object:
        return {"uri": value} if isinstance(value, str) else value

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": MAX_ADDRESS}
        return {"anyOf": [text, handler(schema)]}


TableOrAddress = Annotated[TableShape, BeforeValidator(_OrAddress.table), _OrAddress()]


class DetectionShape(Request):
    """Which detectors vote, how many votes confirm, how small an effect is asked about."""

    algorithms: (
        Literal["all"]
        | Annotated[
            list[Annotated[str, Field(min_length=1, max_length=40)]],
            Field(min_length=1, max_length=12),
        ]
    ) = "all"
    """All, or some of `ks`, `psi`, `wasserstein`, `adwin`, `page_hinkley`, `ddm`."""
    quorum: Annotated[float, Field(gt=0, le=100, strict=False)] | None = None
    """Votes that confirm; else as many as the policy says."""
    window_size: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Compare window by window of so many rows, too; 1000 windows at most."""
    sensitivity: Literal["low", "medium", "high"] = "medium"
    """How small an effect is asked about."""
    features: Annotated[list[ColumnName], Field(min_length=1, max_length=2000)] | None = None
    """The same as `features` beside it; in one of the two places."""


class NewDriftCheck(Request):
    """A table to be compared with another one."""

    current_data: TableOrAddress
    """How it is now: a table, or its address."""
    reference_data: TableOrAddress | None = None
    """How it was when all was well; else the reference data of the model's stable version."""
    model_id: ModelName | None = None
    """A registered model, whose features and policy then apply."""
    features: Annotated[list[ColumnName], Field(min_length=1, max_length=2000)] | None = None
    """Only these columns; else those of the model, or all of the reference."""
    threshold: Annotated[float, Field(ge=0.0001, le=0.5, strict=False)] | None = None
    """Share of false discoveries among what is called moved; else the policy's, mostly 0.05."""
    detection_config: DetectionShape | None = None
    """How to look."""
    policy: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    """Policy that the limits come from, where no model is named; else that of the control plane."""
    tier: Annotated[int, Field(ge=1, le=4)] | None = None
    """Risk tier whose limits apply, where no model is named; else 1, which asks most."""
    tenant: TenantName | None = None
    """Whose data it is. Left out, that of whoever asks; null is the fleet's."""

    @model_validator(mode="after")
    def _once(self) -> NewDriftCheck:
        if self.model_id is not None and (self.policy is not None or self.tier is not None):
            raise ValueError("policy and tier follow from the model; leave them out")
        if self.model_id is None and self.reference_data is None:
            raise ValueError("send reference_data, or name a model in model_id")
        config = self.detection_config
        if self.features is not None and config is not None and config.features is not None:
            raise ValueError("features stand in two places; name them once")
        return self


class AffectedShape(Answer):
    """A feature that has changed; `magnitude` is the share of the rows that is affected."""

    name: str
    drift_type: str
    p_value: float | None
    magnitude: float


class CheckedWindowShape(Answer):
    """A window of rows of the current table, from `begin` up to, and without, `end`."""

    begin: str
    end: str
    rows: int
    verdict: str
    affected_features: list[AffectedShape]


class CheckedByShape(Answer):
    """The policy and the tier that the limits came from."""

    name: str
    digest: str
    tier: int


class DriftCheckShape(Answer):
    """What a drift check has found.

    `drift_detected` is false also where nobody could tell: `verdict` is then `inconclusive`, and
    `reason` says why. `affected_features` have moved, or something is structurally wrong with
    them; `drift_score` is the largest share of rows that is affected in any. `incident_id` is
    that of an open incident of the model about one of them, for a check opens none. The check is
    on the ledger as `check_id`.
    """

    check_id: str
    model_id: str | None
    tenant: str | None
    drift_detected: bool
    drift_score: float
    affected_features: list[AffectedShape]
    incident_id: str | None
    timestamp: datetime
    verdict: str
    reason: str
    threshold: float
    policy: CheckedByShape
    rows_reference: int
    rows_current: int
    features: dict[str, dict[str, Any]]
    windows: list[CheckedWindowShape]
    skipped: dict[str, str]
    new_columns: list[str]
