"""What goes over the wire: one definition for the server, the client and the command.

Requests refuse what they do not know; a field that the caller may not set (a lifecycle
state, a signature, a tier) is not in them. Answers are read off the records' own values.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from trimtab.artifacts import strictjson

T = TypeVar("T")


class Request(BaseModel):
    """Sent by a caller: unknown members and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Sent by the server."""

    model_config = ConfigDict(from_attributes=True, frozen=True, extra="ignore")


class Page(Answer, Generic[T]):
    """Some of many; `next` goes back as `after` to get what follows, None at the end."""

    items: list[T]
    next: str | None = None


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    try:
        strictjson.demand_plain(value)
    except strictjson.NotStrict as error:
        raise ValueError(f"{error.where or 'here'}: {error.what}") from None
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Whatever JSON can say, so that it is read back as it was sent."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2500, 1, 1, tzinfo=UTC)
"""Bounds of every moment that is sent: within them it can be told in any zone, and what a
policy adds to it in days is a moment too."""

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _rfc_3339(value: object) -> object:
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("a moment is written with its offset, such as 2015-03-01T00:00:00Z")
    if not isinstance(value, str | datetime):  # a number would be taken for seconds
        raise ValueError("a moment is text, such as 2015-03-01T00:00:00Z")
    return value


def _bounded(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"a moment lies between {EARLIEST.year} and {LATEST.year}")
    return value.astimezone(UTC)


Moment = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_rfc_3339), AfterValidator(_bounded)
]
"""A moment that somebody sends, in a query or a body."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode that a reader does not see, or that change what they see elsewhere."""

_JOINERS = "\u200c\u200d"
"""Of these, what words of several scripts are written with."""


def _visible(text: str, besides: str = "") -> str:
    for letter in text:
        if unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS + besides:
            raise ValueError(f"the character U+{ord(letter):04X} cannot be seen, leave it out")
    return text


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("there is nothing to read in it")
    return _visible(text)


def _lines(text: str) -> str:
    return _visible(text, besides="\t\r\n")


def _why(text: str) -> str:
    if len(text.strip()) < MIN_REASON:
        raise ValueError("say why, in a few words")
    return _lines(text)


MIN_REASON = 3
"""Characters of a reason, spaces around it aside."""

Reason = Annotated[
    str,
    Field(min_length=MIN_REASON, max_length=2000, description="Why, for the ledger."),
    AfterValidator(_why),
]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_lines)]
Line = AfterValidator(_line)
"""Of text in one line, which a person reads as it stands there."""

Name = Annotated[str, Field(min_length=1, max_length=200), Line]
ColumnName = Annotated[str, Field(min_length=1, max_length=120), Line]


ModelName = Annotated[str, Field(min_length=1, max_length=63)]
TenantName = Annotated[str, Field(min_length=1, max_length=63)]
"""What these are made of, the records say; they answer with the way to write them."""


class FeatureShape(Request):
    """One input of a model."""

    model_config = ConfigDict(from_attributes=True)  # added to that of every request

    name: ColumnName
    kind: Literal["numeric", "category"]


class RiskFactsShape(Request):
    """What is known of a model; a fact left out is unknown, and never counts as harmless."""

    customer_facing: bool | None = None
    pii: bool | None = None
    sensitive_data: bool | None = None
    annual_financial_impact_usd: Annotated[float, Field(ge=0, strict=False)] | None = None
    regulated_domain: bool | None = None
    criticality: Literal["critical", "important", "ordinary"] | None = None
    reversible: bool | None = None
    environment_cap: Literal["non_production", "none"] | None = None


class NewModel(Request):
    """A model to register."""

    name: ModelName
    owner: Name
    description: Text = ""
    risk_facts: RiskFactsShape = RiskFactsShape()
    features: Annotated[list[FeatureShape], Field(min_length=1, max_length=2000)]
    label: ColumnName
    policy: Annotated[str, Field(max_length=40)] = ""
    reason: Reason


class ModelShape(Answer):
    """A registered model."""

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


class NewVersion(Request):
    """What goes with the files of a version."""

    version: Annotated[str, Field(min_length=1, max_length=40)]
    tenant: TenantName | None = None
    framework: Annotated[str, Field(min_length=1, max_length=40), Line] = "onnx"
    cutoff: Annotated[float, Field(ge=0, le=1, strict=False)]
    training_metrics: dict[str, float] = Field(default_factory=dict)
    training_trigger: Literal["manual", "drift", "false_positive_rate", "schedule"] = "manual"
    parent: Annotated[str, Field(max_length=40)] | None = None
    lineage: Plain = Field(default_factory=dict)
    digest: Annotated[str, Field(max_length=71)] | None = None
    reason: Reason


class VersionShape(Answer):
    """A version of a model."""

    id: str
    model: str
    tenant: str | None
    version: str
    lifecycle: str
    digest: str
    size_bytes: int
    framework: str
    cutoff: float
    training_metrics: dict[str, float]
    training_trigger: str
    parent: str | None
    reference_digest: str
    holdout_digest: str
    lineage: dict[str, Any]
    signer: str | None
    """Whose key signed it; null where nobody's did: what inspection calls malicious."""
    signed_at: datetime | None
    inspection: dict[str, Any]
    contributors: list[str]
    created_by: str
    created_at: datetime

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


class ReceiptShape(Answer):
    """What became of a batch; what is said here is durable."""

    rows: int
    duplicate: bool


class TargetShape(Answer):
    """What an approval is for."""

    model: str
    version_id: str
    version: str
    digest: str
    tenant: str | None
    environment: str
    max_percent: float
    checks_digest: str
    policy_digest: str


class StepShape(Answer):
    """Signatures of one role."""

    role: str
    people: int


class VoteShape(Answer):
    """One person's word."""

    person: str
    name: str
    role: str
    approve: bool
    reason: str
    at: datetime


class ApprovalShape(Answer):
    """A request for approval and what became of it."""

    id: str
    target: TargetShape
    requested_by: str
    comment: str
    steps: list[StepShape]
    min_people: int
    votes: list[VoteShape]
    criteria: list[dict[str, Any]]
    automatic: bool
    phase: str
    requested_at: datetime
    decided_at: datetime | None
    due_at: datetime | None


class NewVote(Request):
    """A yes or a no to exactly these bytes."""

    approve: bool
    digest: Annotated[str, Field(min_length=71, max_length=71)]
    reason: Reason


class Because(Request):
    """A reason, for a verb that needs nothing else."""

    reason: Reason


class RolloutShape(Answer):
    """A version on its way."""

    id: str
    model: str
    tenant: str | None
    environment: str
    version: str
    version_id: str
    digest: str
    active_version: str | None
    approval: str
    policy_digest: str
    steps: list[float]
    step: int
    intended_percent: float
    observed_percent: float
    phase: str
    looks_undecided: int
    started_at: datetime
    step_since: datetime
    due_at: datetime | None
    last_analysis: dict[str, Any] | None
    outcome_reason: str | None


class NewRollout(Request):
    """The approved version to release."""

    model: ModelName
    version: Annotated[str, Field(min_length=1, max_length=40)]
    reason: Reason


class EntryShape(Answer):
    """One entry of the audit ledger."""

    sequence: int
    tenant: str | None
    tenant_sequence: int
    kind: str
    actor: str
    at: datetime
    subject: str
    reason: str | None
    cause: int | None
    data: dict[str, Any] | None


class HeadShape(Answer):
    """The signed head of the ledger, and the key to verify it with."""

    size: int
    root: str
    note: str
    verifier_key: str


class FindingShape(Answer):
    """Something about the ledger that is not as it must be."""

    code: str
    what: str
    sequence: int | None


class VerificationShape(Answer):
    """What the verification of the whole ledger found."""

    ok: bool
    entries: int
    blanked: int
    root: str | None
    head: str
    findings: list[FindingShape]
    findings_total: int


class NewTenant(Request):
    """A tenant to add."""

    id: Annotated[str, Field(min_length=1, max_length=63)]
    name: Name
    reason: Reason = "set-up"


class NewPerson(Request):
    """A person to add."""

    email: Annotated[str, Field(min_length=3, max_length=255), Line]
    name: Name
    roles: Annotated[list[str], Field(min_length=1, max_length=20)]
    password: Annotated[str, Field(min_length=1, max_length=500)]
    tenant: TenantName | None = None
    reason: Reason = "set-up"


class PersonShape(Answer):
    """A person; never the password."""

    id: str
    email: str
    name: str
    tenant: str | None
    roles: list[str]
    disabled: bool


class NewAccount(Request):
    """A service account to add, with a first key."""

    name: Name
    roles: Annotated[list[str], Field(min_length=1, max_length=20)]
    tenant: TenantName | None = None
    owner: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    default_model: ModelName | None = None
    reason: Reason = "set-up"


class IssuedKey(Answer):
    """A key, whose text is shown this once."""

    account: str
    key_id: str
    key: str
    scopes: list[str]


class Credentials(Request):
    """Address and password."""

    email: Annotated[str, Field(min_length=1, max_length=255)]
    password: Annotated[str, Field(min_length=1, max_length=500)]


class TokenShape(Answer):
    """A short-lived bearer token."""

    access_token: str
    token_type: str
    expires_in: int


class StepTo(Request):
    """Where the stepped clock is to go."""

    to: Moment


class ClockShape(Answer):
    """Domain time, and whether everything that was due has been done."""

    now: datetime
    idle: bool
    failed_jobs: int


class HealthShape(Answer):
    """How the control plane is; a part that is not in use is `not configured`."""

    status: str
    components: dict[str, str]
    version: str
    uptime: str


class LateShape(Answer):
    """Rows, as they were sent, that came after their window was judged: those that re-open it,
    and those that came too late for that, which are kept and count nowhere. `due_at` is when
    it is to be judged again."""

    predictions: int
    labels: int
    predictions_too_late: int
    labels_too_late: int
    due_at: datetime | None


class WindowShape(Answer):
    """A stretch of time that was looked at.

    `revisions` says how often late rows have changed what was found; `late` is counted over
    all tenants, and so None in a tenant's own window.
    """

    id: str
    model: str
    tenant: str | None
    start: datetime
    end: datetime
    phase: str
    rows: int
    labels: int
    drift: list[dict[str, Any]]
    performance: list[dict[str, Any]]
    revisions: int
    late: LateShape | None


class TimelineShape(Answer):
    """A line of an incident's timeline, read off the ledger."""

    at: datetime
    sequence: int
    kind: str
    text: str
    actor: str


class IncidentShape(Answer):
    """Something that broke, or might have."""

    id: str
    model: str
    tenant: str | None
    kind: str
    feature: str | None
    severity: str
    title: str
    phase: str
    drift_start: datetime | None
    detected_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    diagnosis: str | None
    remediations: list[str]
    timeline: list[TimelineShape] = Field(default_factory=list)


class CauseShape(Answer):
    """A candidate cause."""

    type: str
    feature: str | None
    confidence: float
    evidence_for: list[str]
    evidence_against: list[str]
    contributing_factors: list[dict[str, Any]] = Field(default_factory=list)
    values: dict[str, Any] = Field(default_factory=dict)


class RootCauseShape(Answer):
    """What broke, as far as the evidence tells; no cause is a legal answer."""

    incident_id: str
    verdict: str
    root_cause: CauseShape | None
    causes: list[CauseShape]
    timeline: dict[str, datetime | None]
    recommendations: list[dict[str, Any]]


class NewRemediation(Request):
    """An action that somebody asks for. The safety check cannot be switched off."""

    incident_id: Annotated[str, Field(min_length=1, max_length=80)]
    action: Literal["notify_team", "rollback_model", "retrain_model"]
    safety_check: bool = True
    reason: Reason


class RemediationShape(Answer):
    """What was done, or refused, about an incident."""

    id: str
    incident: str
    model: str
    tenant: str | None
    action: str
    automatic: bool
    phase: str
    gate_decision: str
    gate_checks: list[dict[str, Any]]
    measured_recovery: dict[str, Any] | None
    reason: str | None


class RetrainingShape(Answer):
    """A run that was to make a challenger."""

    id: str
    model: str
    tenant: str | None
    trigger: str
    incident: str | None
    champion: str
    proposed_version: str
    phase: str
    data_from: datetime
    data_until: datetime
    rows: int | None
    metrics: dict[str, Any] | None
    comparison: dict[str, Any] | None
    reason: str | None
    requested_at: datetime
    settled_at: datetime | None
