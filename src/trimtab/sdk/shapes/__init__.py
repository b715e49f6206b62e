"""What goes over the wire: one definition for the server, the client and the command.

Requests refuse what they do not know; a field that the caller may not set (a lifecycle
state, a signature, a tier) is not in them. Answers are read off the records' own values.
One file for each noun; here all are called by one name.
"""

from __future__ import annotations

from trimtab.sdk.shapes.approvals import ApprovalShape, NewVote, StepShape, TargetShape, VoteShape
from trimtab.sdk.shapes.audit import EntryShape, FindingShape, HeadShape, VerificationShape
from trimtab.sdk.shapes.base import (
    EARLIEST,
    LATEST,
    MIN_REASON,
    Answer,
    Because,
    ColumnName,
    Line,
    ModelName,
    Moment,
    Name,
    Page,
    Plain,
    Reason,
    Request,
    TenantName,
    Text,
)
from trimtab.sdk.shapes.identity import (
    Credentials,
    IssuedKey,
    NewAccount,
    NewPerson,
    NewTenant,
    PersonShape,
    TokenShape,
)
from trimtab.sdk.shapes.incidents import (
    CauseShape,
    IncidentShape,
    KillSwitchShape,
    NewRemediation,
    RemediationShape,
    RetrainingShape,
    RootCauseShape,
    TimelineShape,
)
from trimtab.sdk.shapes.models import (
    CheckShape,
    DeploymentShape,
    FeatureShape,
    LatestShape,
    ModelShape,
    NewModel,
    NewVersion,
    RejectedShape,
    RiskFactsShape,
    SignatureShape,
    VersionShape,
)
from trimtab.sdk.shapes.monitoring import LateShape, ReceiptShape, TotalsShape, WindowShape
from trimtab.sdk.shapes.operations import ClockShape, HealthShape, StepTo
from trimtab.sdk.shapes.rollouts import NewRollout, RolloutShape

__all__ = [
    "EARLIEST",
    "LATEST",
    "MIN_REASON",
    "Answer",
    "ApprovalShape",
    "Because",
    "CauseShape",
    "CheckShape",
    "ClockShape",
    "ColumnName",
    "Credentials",
    "DeploymentShape",
    "EntryShape",
    "FeatureShape",
    "FindingShape",
    "HeadShape",
    "HealthShape",
    "IncidentShape",
    "IssuedKey",
    "KillSwitchShape",
    "LateShape",
    "LatestShape",
    "Line",
    "ModelName",
    "ModelShape",
    "Moment",
    "Name",
    "NewAccount",
    "NewModel",
    "NewPerson",
    "NewRemediation",
    "NewRollout",
    "NewTenant",
    "NewVersion",
    "NewVote",
    "Page",
    "PersonShape",
    "Plain",
    "Reason",
    "ReceiptShape",
    "RejectedShape",
    "RemediationShape",
    "Request",
    "RetrainingShape",
    "RiskFactsShape",
    "RolloutShape",
    "RootCauseShape",
    "SignatureShape",
    "StepShape",
    "StepTo",
    "TargetShape",
    "TenantName",
    "Text",
    "TimelineShape",
    "TokenShape",
    "TotalsShape",
    "VerificationShape",
    "VersionShape",
    "VoteShape",
    "WindowShape",
]
