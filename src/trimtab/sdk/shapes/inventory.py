"""Connections to other registries, and what they hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from trimtab.sdk.shapes.base import (
    ID,
    LINE,
    NETWORK,
    REFERENCE,
    SEMVER,
    SLUG,
    VISIBLE,
    WEB_ADDRESS,
    Answer,
    Line,
    ModelName,
    Moment,
    Plain,
    Reason,
    Request,
    TenantName,
    VersionName,
    described,
)

Reference = Annotated[str, Field(min_length=5, max_length=200), described(REFERENCE)]
Part = Annotated[str, Field(min_length=1, max_length=100), described(VISIBLE)]
RuleName = Annotated[str, Field(min_length=1, max_length=80), described(VISIBLE)]


class AuthShape(Request):
    """How a registry is told who asks."""

    kind: Literal["none", "basic", "bearer", "headers"] = "none"
    secrets: Annotated[dict[Part, Reference], Field(max_length=20)] = Field(default_factory=dict)
    """Each part (`username` and `password`, `token`, or headers by their names) as a reference to
    where it lies: `env:NAME` or `file:NAME`; never the secret itself."""


class NewConnection(Request):
    """A registry that is to be read."""

    kind: Literal["mlflow"] = "mlflow"
    url: Annotated[str, Field(min_length=8, max_length=2000), described(WEB_ADDRESS)]
    """Its address, `http` or `https`, without a password in it."""
    name: Annotated[str, Field(min_length=1, max_length=63), described(SLUG)] | None = None
    """What it is called here; by default made from its address."""
    tenant: TenantName | None = None
    auth: AuthShape = Field(default_factory=AuthShape)
    networks: Annotated[
        list[Annotated[str, Field(min_length=3, max_length=49), described(NETWORK)]],
        Field(max_length=20),
    ] = Field(default_factory=list)
    """Networks that are not public and may be reached for it, such as `10.2.3.0/24`; opened by
    people of the platform alone."""
    tag_map: Plain | None = None
    """Which tags say what; what is not said in it is as shipped."""
    webhook: Reference | None = None
    """The secret that the registry signs its messages with, as a reference."""
    reason: Reason


class ConnectionChange(Request):
    """What is to be another way about a connection; what is left out stays."""

    auth: AuthShape | None = None
    """Another way to tell who asks."""
    networks: (
        Annotated[
            list[Annotated[str, Field(min_length=3, max_length=49), described(NETWORK)]],
            Field(max_length=20),
        ]
        | None
    ) = None
    """Other networks that are not public and may be reached for it."""
    tag_map: Plain | None = None
    """Another tag map; an empty one is the one that is shipped."""
    webhook: Reference | None = None
    """Another secret that the registry signs its messages with."""
    reason: Reason


class NewSync(Request):
    """A wish that a registry is read soon."""

    scope: Literal["changes", "full"] = "changes"
    """Only what has changed, or everything anew."""
    reason: Reason


class CountsShape(Answer):
    """What a cycle of reading came to, in versions."""

    models: int
    seen: int
    added: int
    changed: int
    unchanged: int
    removed: int
    returned: int
    incomplete: int
    malformed: int


class FailureShape(Answer):
    """What could not be read."""

    model: str | None
    version: int | None
    reason: str


class SyncShape(Answer):
    """One cycle of reading a registry."""

    id: str
    connection: str
    scope: str
    model: str | None
    phase: str
    url: str
    identity: str
    started_at: datetime
    ended_at: datetime | None
    counts: CountsShape
    failures: list[FailureShape]
    reason: str


class TallyShape(Answer):
    """How many versions there are, by what is asked of an inventory. `models` counts models,
    everything else versions; `inspected` are those whose files were looked into."""

    models: int
    versions: int
    in_production: int
    without_owner: int
    without_privacy_assessment: int
    incomplete: int
    inspected: int
    suspicious: int
    malicious: int
    unreadable: int
    gaps: int


class WebhookShape(Answer):
    """How a registry tells that something happened there."""

    url: str
    """Where it is to send its messages."""
    events: list[str]
    """Which ones, by the names that it has for them."""
    known: bool
    """Whether there is a secret by which they are believed; until then none is."""


class ConnectionShape(Answer):
    """A registry that is read."""

    id: str
    tenant: str | None
    kind: str
    name: str
    url: str
    mode: str
    auth: str
    """The kind of credential; what it is made of is not shown."""
    networks: list[str]
    paused: bool
    health: str
    health_reason: str
    server: str
    identity: str
    may_write: bool | None
    """Whether the credentials could write there; null: that cannot be told by reading."""
    warnings: list[str]
    webhook: WebhookShape
    created_at: datetime
    removed_at: datetime | None
    """Since when it is read no more, for good."""
    seen_at: datetime | None
    """When the last cycle began that saw all of it."""
    due_at: datetime | None
    lag_seconds: float | None
    lagging: bool
    progress: dict[str, Any]
    last_sync: SyncShape | None
    tally: TallyShape


class LintShape(Answer):
    """A way in which tags are not named or written alike."""

    kind: str
    field: str | None
    sentence: str
    versions: int


class FieldShape(Answer):
    """A value of a record, and where it was read."""

    value: Any = None
    origin: str | None = None
    key: str = ""
    at: datetime | None = None
    coerced_from: str | None = None
    fault: str | None = None
    claim: bool = False
    """Whether it is what the author of the model says, and no more than that."""


class RuleOutcomeShape(Answer):
    """How a record stands by one rule."""

    rule: str
    title: str
    outcome: str
    sentence: str
    severity: str
    remedy: str
    evidence: list[dict[str, Any]]
    regulations: list[dict[str, Any]]
    waiver: str | None


class RecordSummary(Answer):
    """A version that a registry holds, in short."""

    id: str
    connection: str
    tenant: str | None
    model: str
    version: int
    stage: str
    aliases: list[str]
    owner: str | None
    inspection: str | None
    incomplete: str | None
    removed: bool
    gaps: list[str]
    unknown: list[str]
    waived: list[str]
    number: int
    since: datetime
    """Since when the record says what it says."""


class RecordShape(RecordSummary):
    """A version that a registry holds, with everything that is known of it."""

    fields: dict[str, dict[str, FieldShape]]
    """By group, then by name."""
    model_tags: dict[str, str]
    version_tags: dict[str, str]
    run_tags: dict[str, str]
    findings: list[dict[str, str]]
    compliance: list[RuleOutcomeShape]
    rulebook: str
    as_of: datetime | None


class PlacementShape(Answer):
    """Where a version stands in its registry."""

    stage: str
    aliases: list[str]


class MoveShape(Answer):
    """What happened to a version, when it was seen."""

    at: datetime
    number: int
    what: str
    before: PlacementShape | None
    after: PlacementShape
    fields: list[str]


class NodeShape(Answer):
    """A dataset, a commit, a run, a logged model, a version, or a place that one stands in."""

    kind: str
    id: str
    label: str
    connection: str | None
    record: str | None


class EdgeShape(Answer):
    """What one thing was made from."""

    upstream: str
    downstream: str
    relation: str
    since: datetime
    until: datetime | None


class LineageShape(Answer):
    """Everything that is reached from one thing, and how."""

    start: str
    nodes: list[NodeShape]
    edges: list[EdgeShape]
    truncated: bool


class RuleShape(Answer):
    """A rule, whom it serves, and how the records stand by it now."""

    rule: str
    version: int
    title: str
    severity: str
    regulations: list[dict[str, Any]]
    remedy: str
    passed: int
    gaps: int
    waived: int
    unknown: int


class ComplianceShape(Answer):
    """How the inventory stands by the rules. A rule that is passed is no legal opinion."""

    rulebook: str
    digest: str
    rules: list[RuleShape]
    frameworks: dict[str, dict[str, int]]


class RulebookPreview(Request):
    """Rules as they might be."""

    rulebook: Plain


class PreviewShape(Answer):
    """What other rules would change."""

    rulebook: str
    records: int
    changes: list[dict[str, Any]]


class NewWaiver(Request):
    """Somebody answers for a gap until a day."""

    rule: RuleName
    record: Annotated[str, Field(min_length=1, max_length=80), described(ID)]
    """The record that has the gap."""
    whole_model: bool = False
    """For every version of its model, and not for this one alone."""
    expires_at: Moment
    reason: Reason


class WaiverShape(Answer):
    """A waiver."""

    id: str
    tenant: str | None
    rule: str
    connection: str
    model: str
    version: int | None
    reason: str
    granted_by: str
    granted_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class NewHandOver(Request):
    """A version of a registry that is to be handed in here."""

    model: ModelName
    """The registered model here that it is to be a version of."""
    version: VersionName
    """Its number here, which says no less than what changed."""
    tenant: TenantName | None = None
    """Tenant that alone it is for; null: all."""
    file: Annotated[str, Field(min_length=1, max_length=1000), Line, described(LINE)] | None = None
    """The model among its files; null where there is one ONNX file."""
    cutoff: Annotated[float, Field(ge=0, le=1, strict=False)]
    """Score from which on its answer is a yes."""
    parent: Annotated[str, Field(max_length=40), described(SEMVER)] | None = None
    """Version here that it comes from, if that is not the highest of its line."""
    reason: Reason


class HandedOver(Answer):
    """A version that was handed in from a registry; its checks start by themselves."""

    record: str
    model: str
    version: str
    lifecycle: str
    digest: str


class MessageTaken(Answer):
    """What a registry's message has led to."""

    taken: bool
    model: str | None = None
