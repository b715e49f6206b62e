"""Models, their versions, where these are deployed, and which one answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    computed_field,
    field_validator,
)

from trimtab.sdk.shapes.base import (
    DIGEST,
    NO_NUL,
    SEMVER,
    Answer,
    ColumnName,
    Line,
    ModelName,
    Name,
    Plain,
    Reason,
    Request,
    TenantName,
    Text,
    VersionName,
    described,
)


class FeatureShape(Request):
    """One input of a model."""

    model_config = ConfigDict(from_attributes=True)  # added to that of every request

    name: ColumnName
    """Column of the tables, and of the input."""
    kind: Literal["numeric", "category"]
    """Whether it is a number or a category."""


class RiskFactsShape(Request):
    """What is known of a model; a fact left out is unknown, and never counts as harmless."""

    customer_facing: bool | None = None
    """Whether customers meet its decisions; null, here and below: not known."""
    pii: bool | None = None
    """Whether it uses personal data."""
    sensitive_data: bool | None = None
    """Whether it uses data that need more protection than that."""
    annual_financial_impact_usd: Annotated[float, Field(ge=0, strict=False)] | None = None
    """US dollars a year that its decisions move."""
    regulated_domain: bool | None = None
    """Whether a regulator oversees what it decides."""
    criticality: Literal["critical", "important", "ordinary"] | None = None
    """What depends on it."""
    reversible: bool | None = None
    """Whether a wrong decision can be undone."""
    environment_cap: Literal["non_production", "none"] | None = None
    """How far it may ever be deployed."""


class NewModel(Request):
    """A model to register."""

    name: ModelName
    """Name by which requests call it; for ever."""
    owner: Name
    """Who answers for it."""
    description: Text = ""
    """What it is for."""
    risk_facts: RiskFactsShape = RiskFactsShape()
    """What its risk tier follows from."""
    features: Annotated[list[FeatureShape], Field(min_length=1, max_length=2000)]
    """What it reads: columns of the tables."""
    label: ColumnName
    """Column of the tables with what it is to tell."""
    policy: Annotated[str, Field(max_length=40), described(NO_NUL)] = ""
    """Policy that it is held to; empty: that of the control plane."""
    reason: Reason


class PlaceShape(Answer):
    """Where a version carries or carried traffic, what it is there, and since when."""

    tenant: str | None
    environment: str
    version: str
    state: str
    percent: float
    since: datetime


class ModelShape(Answer):
    """A registered model, its newest version, and where its versions carry traffic.

    `newest_status` is that version's, in the vocabulary that was asked for.
    """

    id: str
    name: str
    owner: str
    description: str
    risk_facts: dict[str, Any]
    tier: int
    risk_level: str
    policy: str
    features: list[FeatureShape]
    label: str
    created_at: datetime
    newest_version: str | None
    newest_status: str | None
    framework: str | None
    deployed_to: list[PlaceShape]


SHARES = frozenset({"accuracy", "precision", "recall", "f1", "false_positive_rate", "auc_roc"})
"""Metrics that are shares: between 0 and 1."""


def _shares(metrics: dict[str, float]) -> dict[str, float]:
    for name in SHARES & metrics.keys():
        if not 0 <= metrics[name] <= 1:
            raise ValueError(f"{name} is a share, between 0 and 1")
    return metrics


TrainingMetrics = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=60), Line], float],
    Field(max_length=50),
    AfterValidator(_shares),
]


class NewVersion(Request):
    """What goes with the files of a version."""

    version: VersionName
    """Its number, which says no less than what changed."""
    tenant: TenantName | None = None
    """Tenant that alone it is for; null: all."""
    framework: Annotated[str, Field(min_length=1, max_length=40), Line] = "onnx"
    """Model type, as its maker calls it."""
    cutoff: Annotated[float, Field(ge=0, le=1, strict=False)]
    """Score from which on its answer is a yes."""
    training_metrics: TrainingMetrics = Field(default_factory=dict)
    """What its maker measured, by name."""
    training_trigger: Literal["manual", "drift", "false_positive_rate", "schedule"] = "manual"
    """Why it was trained."""
    parent: Annotated[str, Field(max_length=40), described(SEMVER)] | None = None
    """Version that it comes from, if that is not the highest of its line."""
    lineage: Plain = Field(default_factory=dict)
    """Where it comes from, in its maker's words; `hyperparameters` are compared."""
    digest: Annotated[str, Field(max_length=71), described(DIGEST)] | None = None
    """Of the artifact as it was sent; other bytes are refused."""
    reason: Reason


class ApproverShape(Answer):
    """A person who said yes, and in which role."""

    person: str
    name: str
    role: str
    at: datetime


class VersionApprovalShape(Answer):
    """The newest request for approval of a version, and who approved."""

    id: str
    phase: str
    automatic: bool
    approved_by: list[ApproverShape]
    requested_at: datetime
    decided_at: datetime | None


class MeasuredRateShape(Answer):
    """A false-positive rate in production: a share from 0 to 1, with its interval.

    `rows` are those it was counted on, of `tenant` or of the fleet. A `window` lies between
    `start` and `end`; a `canary` was looked at from `start`, when its rollout began, up to its
    last look.
    """

    value: float
    low: float | None
    high: float | None
    limit: float | None
    rows: int
    source: Literal["window", "canary"]
    tenant: str | None
    start: datetime
    end: datetime | None


class VersionShape(Answer):
    """A version of a model, and what is known of it.

    `status` is in the vocabulary that was asked for. Null is what is not known, or not the
    caller's to know: who approved needs `approvals:read`; what was measured in production
    needs `windows:read`, and of its canary `rollouts:read`.
    """

    id: str
    model: str
    tenant: str | None
    version: str
    number: int
    """Counts the versions of the model from 1; stands for the version wherever one is named."""
    predecessor: str | None
    """What it was compared with: its parent, or the highest number of its scope."""
    bump: str
    """How much of it is new: first, major, minor or patch. It picks the checks."""
    bump_reasons: list[str]
    lifecycle: str
    digest: str
    size_bytes: int
    framework: str
    cutoff: float
    training_metrics: dict[str, float]
    training_trigger: str
    parent: str | None
    reference_digest: str
    reference_rows: int
    holdout_digest: str
    lineage: dict[str, Any]
    signer: str | None
    """Whose key signed it; null where nobody's did: what inspection calls malicious, or cannot
    read."""
    signed_at: datetime | None
    inspection: dict[str, Any]
    contributors: list[str]
    created_by: str
    created_at: datetime
    held_because: str | None = None
    """Why nothing goes on with it by itself, and what to do; null where nothing stands in
    its way."""
    status: str
    deployments: list[PlaceShape]
    is_signed: bool
    approval: VersionApprovalShape | None
    false_positive_rate: MeasuredRateShape | None

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way to say it
    @property
    def parent_version(self) -> str | None:
        """The version that it comes from; `parent`, by the name inventories have for it."""
        return self.parent

    @computed_field  # type: ignore[prop-decorator]
    @property
    def precision(self) -> float | None:
        """Precision at training, as it was handed in."""
        return self.training_metrics.get("precision")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def recall(self) -> float | None:
        """Recall at training, as it was handed in."""
        return self.training_metrics.get("recall")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def f1(self) -> float | None:
        """F1 at training, as it was handed in."""
        return self.training_metrics.get("f1")

    @field_validator("signer", mode="before")
    @classmethod
    def _nobody(cls, signer: object) -> object:
        return signer or None

    @field_validator("signed_at")
    @classmethod
    def _never(cls, at: datetime | None, info: ValidationInfo) -> datetime | None:
        return at if info.data.get("signer") else None


class CheckShape(Answer):
    """One run of one check."""

    id: str
    name: str
    verdict: str
    reason: str
    numbers: dict[str, Any]
    policy_digest: str
    attempt: int
    at: datetime


class DeploymentShape(Answer):
    """What traffic a version carries somewhere."""

    id: str
    model: str
    tenant: str | None
    environment: str
    version: str
    digest: str
    state: str
    percent: float
    permit: str
    since: datetime


class SignatureShape(Answer):
    """The signature bundle of a version, and the binding that it signs with the model."""

    bundle: str
    binding: str


class RejectedShape(Answer):
    """A candidate that does not answer, and why."""

    rule: str
    version: str | None
    reason: str


class LatestShape(Answer):
    """Which version answers, by which rule, and what was passed over."""

    model: str
    version: str
    digest: str
    deployment: str
    reason: str
    tenant: str | None
    bucket: int | None
    rejected: list[RejectedShape]
    signer: str
    signed_at: datetime
    is_signed: bool
    size_bytes: int
    cutoff: float
    download: str
