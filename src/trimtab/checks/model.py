"""A check: a verdict of four, its reason, its numbers, and what it was judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from trimtab.kernel.events import Event, canonical
from trimtab.kernel.ids import CheckRunId, Digest, TenantId
from trimtab.kernel.verdict import Verdict, worst


@dataclass(frozen=True)
class Result:
    """What one check found. `numbers` are JSON values, each with its limit and interval."""

    name: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckRun:
    """One run of one check on exact bytes under one policy. Runs are kept, never replaced."""

    id: CheckRunId
    model: str
    tenant: TenantId | None
    version_id: str
    version: str
    digest: Digest
    name: str
    verdict: Verdict
    reason: str
    numbers: dict[str, Any]
    policy_digest: str
    attempt: int
    at: datetime
    due_at: datetime | None = None
    """When a check that could not be carried out is tried again; None: it is not."""
    revision: int = 0


@dataclass(frozen=True)
class CheckFinished(Event):
    """A check was run; all runs stay, so nobody can run one until it passes unseen."""

    kind: ClassVar[str] = "check.finished"

    model: str
    version: str
    version_id: str
    digest: str
    name: str
    verdict: str
    reason: str
    numbers: dict[str, Any]
    policy_digest: str
    attempt: int


@dataclass(frozen=True)
class Conclusion:
    """The newest run of each required check on the same bytes, taken together.

    `digest` stands for exactly these runs: an approval is bound to it.
    """

    verdict: Verdict
    digest: str
    verdicts: Mapping[str, Verdict]
    reasons: Mapping[str, str]


def conclude(runs: Sequence[CheckRun], required: Sequence[str]) -> Conclusion:
    """The worst of the newest run of each required check; one never run is inconclusive."""
    newest: dict[str, CheckRun] = {}
    for run in sorted(runs, key=lambda r: r.attempt):
        newest[run.name] = run
    verdicts = {
        name: newest[name].verdict if name in newest else Verdict.INCONCLUSIVE for name in required
    }
    reasons = {
        name: newest[name].reason if name in newest else "it has not been run" for name in required
    }
    parts = sorted((newest[n].id, newest[n].verdict.value) for n in required if n in newest)
    digest = "sha256:" + hashlib.sha256(canonical(parts)).hexdigest()
    return Conclusion(worst(verdicts.values()), digest, verdicts, reasons)
