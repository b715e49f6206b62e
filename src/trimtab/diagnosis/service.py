"""The verb of diagnosis: make one. The analysis happens before, outside any transaction."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.audit.work import Work
from trimtab.diagnosis import store
from trimtab.diagnosis.model import Analysis, Diagnosis, Made
from trimtab.kernel.events import plain
from trimtab.kernel.ids import DiagnosisId, IncidentId, TenantId, new_id


@dataclass(frozen=True)
class IncidentFacts:
    """The incident that is explained."""

    id: IncidentId
    model: str
    tenant: TenantId | None


def make(
    work: Work, incident: IncidentFacts, analysis: Analysis, *, policy_digest: str
) -> Diagnosis:
    """Keep `analysis` as the diagnosis of an incident.

    Safe to repeat: the analysis that was kept last, under the same policy, is given back.
    """
    known = store.newest_of(work, incident.id)
    if (
        known is not None
        and known.policy_digest == policy_digest
        and plain(known.analysis) == plain(analysis)
    ):
        return known
    diagnosis = Diagnosis(
        id=DiagnosisId(new_id("dia")),
        incident=incident.id,
        model=incident.model,
        tenant=incident.tenant,
        analysis=analysis,
        policy_digest=policy_digest,
        made_at=work.now,
    )
    event = Made(
        subject=diagnosis.id,
        tenant=incident.tenant,
        model=incident.model,
        incident=incident.id,
        verdict=analysis.verdict.value,
        summary=analysis.summary,
        causes=plain(analysis.causes),
        advice=plain(analysis.advice),
        factors=plain(analysis.factors),
        drift_start=analysis.drift_start,
        detected_at=analysis.detected_at,
        policy_digest=policy_digest,
    )
    return store.add(work, diagnosis, event)
