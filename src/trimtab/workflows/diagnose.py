"""Incident -> evidence from the records -> diagnosis.

The rows before and after, what the version learnt from, and what was changed lately are
read back from the records; the analysis is pure. A diagnosis is made again when a signal
joins that changes the question: a loss of performance, where there was only drift; and when
outcomes have come in that were wanting.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.diagnosis import service as diagnosis
from trimtab.diagnosis import store as diagnosis_store
from trimtab.diagnosis.analysis import analyse
from trimtab.diagnosis.evidence import Change, Evidence, Stretch
from trimtab.diagnosis.model import Analysis
from trimtab.diagnosis.service import IncidentFacts
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Incident, Kind
from trimtab.incidents.model import Phase as IncidentPhase
from trimtab.kernel.actor import system
from trimtab.monitoring import store as monitoring_store
from trimtab.monitoring.watch import Subject, WatchPhase
from trimtab.observations.frame import Frame
from trimtab.policies.model import TierPolicy
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Model, Version
from trimtab.rollouts import store as rollout_store
from trimtab.workflows.parts import ENVIRONMENT, Parts, policy_of
from trimtab.workflows.watch import REFERENCE_BYTES, TENANT_COLUMN, rows_between

_REPAIR = system("repair")
_SETTLED = (IncidentPhase.RESOLVED, IncidentPhase.MERGED)


def diagnose(parts: Parts, entry: Entry) -> None:
    """Diagnose the incident that an entry is about, if that can change anything."""
    with parts.records.look() as reading:
        incident = incident_store.get(reading, entry.subject)
    if _worth_it(entry, incident):
        found = _analysed(parts, incident.id)
        if found is not None:
            _keep(parts, incident, *found, cause=entry.sequence)


def ask_again(parts: Parts, incident_id: str) -> None:
    """Diagnose once more what could not be judged for want of outcomes, if it can be now."""
    with parts.records.look() as reading:
        incident = incident_store.get(reading, incident_id)
        known = diagnosis_store.newest_of(reading, incident.id)
    if known is None or not known.analysis.waits_for_outcomes:
        return
    found = _analysed(parts, incident.id)
    if found is not None and not found[0].waits_for_outcomes:
        _keep(parts, incident, *found)


def _analysed(parts: Parts, incident_id: str) -> tuple[Analysis, str] | None:
    """What the records say of an incident now, and the digest of the policy it was judged by;
    None if it is over, or nothing was serving there."""
    with parts.records.look() as reading:
        incident = incident_store.get(reading, incident_id)
        if incident.phase in _SETTLED:
            return None
        model = store.model_named(reading, incident.model)
        evidence = evidence_for(parts, reading, incident, model)
    if evidence is None:
        return None
    demands, digest = policy_of(parts, model)
    return analyse(evidence, demands=demands.diagnosis, watch=demands.monitoring), digest


def _keep(
    parts: Parts, incident: Incident, analysis: Analysis, digest: str, cause: int | None = None
) -> None:
    facts = IncidentFacts(incident.id, incident.model, incident.tenant)
    with parts.records.begin(_REPAIR, reason="what is behind it", cause=cause) as work:
        now = incident_store.get(work, incident.id)
        if now.phase in (IncidentPhase.OPEN, IncidentPhase.DIAGNOSED, IncidentPhase.ESCALATED):
            made = diagnosis.make(work, facts, analysis, policy_digest=digest)
            incidents.attach_diagnosis(
                work,
                incident.id,
                made.id,
                verdict=analysis.verdict.value,
                summary=analysis.summary,
            )
    parts.metrics.verdicts.labels("diagnosis", analysis.verdict.value).inc()


def _worth_it(entry: Entry, incident: Incident) -> bool:
    """A joining signal asks for another diagnosis only if it speaks of harm."""
    if entry.kind == "incident.opened":
        return True
    data = entry.data or {}
    return incident.kind is not Kind.PERFORMANCE and data.get("signal_kind") == "performance"


def evidence_for(
    parts: Parts, reading: Reading, incident: Incident, model: Model
) -> Evidence | None:
    """Everything that a diagnosis of this incident is drawn from; None where no version was
    serving that it could be about."""
    stable = stable_version(reading, incident)
    if stable is None:
        return None
    demands, _ = policy_of(parts, model)
    length = timedelta(hours=demands.monitoring.window_hours)
    began = incident.drift_start or incident.detected_at - length
    if incident.kind is Kind.ROLLOUT_ROLLED_BACK:
        began = _rollout_start(reading, incident) or began
    before = rows_between(
        reading, incident.model, began - demands.diagnosis.calm_windows * length, began
    )
    after = rows_between(reading, incident.model, began, reading.now)
    versions = store.versions_of(reading, model.name, everyone=True)
    shared = {v.version for v in versions if v.tenant is None}
    return Evidence(
        model=incident.model,
        tenant=incident.tenant,
        reference=reference_of(parts, model, stable, incident.tenant),
        before=_stretch(before, incident, model, shared),
        after=_stretch(after, incident, model, shared),
        cutoffs={v.version: v.cutoff for v in versions},
        changes=_changes(reading, model.name, began, demands),
        confirmed=_confirmed(reading, incident),
        drift_start=incident.drift_start,
        detected_at=incident.detected_at,
    )


def stable_version(reading: Reading, incident: Incident) -> Version | None:
    """The version that answers where the incident is, or None."""
    for tenant in dict.fromkeys((incident.tenant, None)):
        deployed = deployment_store.in_place(
            reading, incident.model, tenant, ENVIRONMENT, Deployment.STABLE
        )
        if deployed is not None:
            return store.find_version(reading, incident.model, deployed.version)
    return None


def reference_of(parts: Parts, model: Model, version: Version, tenant: str | None) -> Stretch:
    """What a version learnt from; of a tenant's rows only, where they are told apart."""
    content = parts.blobs.read_verified(version.reference_digest, max_bytes=REFERENCE_BYTES)
    table = pq.read_table(BytesIO(content))
    features = {f.name: _column(table[f.name], f.kind) for f in model.features}
    label = np.asarray(table[model.label].to_numpy(zero_copy_only=False), dtype=float)
    learnt = Stretch.of_training(features, (label > 0).astype(np.int8))
    if tenant is None or TENANT_COLUMN not in table.column_names:
        return learnt
    return learnt.where(np.asarray(table[TENANT_COLUMN].to_pylist(), dtype=object) == tenant)


def _column(column: Any, kind: str) -> np.ndarray[Any, Any]:
    if kind == "category":
        return np.asarray(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _stretch(frame: Frame | None, incident: Incident, model: Model, shared: set[str]) -> Stretch:
    """The rows that an incident is about: a tenant's, or those that the versions for
    everybody answered. A tenant's own version serves other people than the rest do, and
    is no yardstick for it."""
    if frame is None:
        kinds = {f.name: object if f.kind == "category" else np.float64 for f in model.features}
        nothing = {name: np.array([], dtype=kind) for name, kind in kinds.items()}
        return Stretch.of_training(nothing, np.array([], dtype=np.int8))
    if incident.tenant is not None:
        frame = frame.where(frame.tenant == incident.tenant)
    else:
        frame = frame.where(np.isin(frame.version.astype(str), sorted(shared)))
    missing = {
        "category": np.full(len(frame), None, dtype=object),
        "numeric": np.full(len(frame), np.nan),
    }
    # A feature that did not come is missing in every row, which is what is to be explained.
    registered = {f.name: frame.features.get(f.name, missing[f.kind]) for f in model.features}
    stretch = Stretch.of(frame)
    return Stretch(registered, stretch.score, stretch.label, stretch.version, stretch.deployment)


def _rollout_start(reading: Reading, incident: Incident) -> datetime | None:
    version = incident.cause_key.removeprefix("release:")
    found = [r for r in rollout_store.of_model(reading, incident.model) if r.version == version]
    return found[0].started_at if found else None


def _changes(
    reading: Reading, model: str, began: datetime, demands: TierPolicy
) -> tuple[Change, ...]:
    """What was deployed lately, as the ledger tells it."""
    moves = ledger.entries(
        reading.connection, kinds=("deployment.moved",), newest_first=True, limit=200
    )
    earliest = began - timedelta(days=demands.diagnosis.changes_within_days)
    found = []
    for move in moves:
        data = move.data or {}
        if data.get("model") == model and earliest <= move.at <= reading.now:
            text = f"{data['version']} became {data['after']} at {data['percent_after']:g} %"
            found.append(Change(move.at, text, version=data["version"]))
    return tuple(reversed(found))


def _confirmed(reading: Reading, incident: Incident) -> frozenset[str]:
    """Features whose drift is believed where the incident is."""
    watches = monitoring_store.watches(reading, incident.model, subjects=(Subject.DRIFT,))
    return frozenset(
        w.name for w in watches if w.tenant == incident.tenant and w.phase is WatchPhase.CONFIRMED
    )
