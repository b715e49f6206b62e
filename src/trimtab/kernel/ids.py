"""Identifiers: opaque strings with a readable prefix, one type for each thing."""

from __future__ import annotations

import secrets
from typing import NewType

TenantId = NewType("TenantId", str)
PersonId = NewType("PersonId", str)
ModelId = NewType("ModelId", str)
VersionId = NewType("VersionId", str)
CheckRunId = NewType("CheckRunId", str)
ApprovalId = NewType("ApprovalId", str)
PermitId = NewType("PermitId", str)
RolloutId = NewType("RolloutId", str)
WindowId = NewType("WindowId", str)
IncidentId = NewType("IncidentId", str)
DiagnosisId = NewType("DiagnosisId", str)
RemediationId = NewType("RemediationId", str)
RetrainingId = NewType("RetrainingId", str)
Digest = NewType("Digest", str)  # "sha256:" + 64 hex digits

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u


def new_id(prefix: str) -> str:
    """A fresh identifier such as `ver_4h2k9m...`, with 80 random bits."""
    return prefix + "_" + "".join(secrets.choice(ALPHABET) for _ in range(16))
