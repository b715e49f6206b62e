"""What the records say at the end, as JSON for other programs.

Every list stands in an order that does not depend on ids, so that two runs can be compared.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.demo.beats import Beat
from trimtab.kernel.clock import iso
from trimtab.kernel.errors import InvalidInput
from trimtab.sdk import shapes
from trimtab.sdk.client import Client

Report = dict[str, Any]


def gather(reader: Client) -> Report:
    """Everything that the public interface tells a reader who may see all.

    The ledger is verified for it, by the control plane.
    """
    models = sorted(reader.models.list(), key=lambda m: m.name)
    approvals = sorted(reader.approvals.list(), key=lambda a: (a.requested_at, _target(a)))
    rollouts = sorted(
        reader.rollouts.list(), key=lambda r: (r.started_at, r.model, r.tenant or "", r.version)
    )
    incidents = sorted(
        reader.monitoring.incidents(all_of_them=True),
        key=lambda i: (i.detected_at, i.model, i.tenant or "", i.kind, i.title),
    )
    verified = reader.audit.verify()
    taken_in = reader.monitoring.totals()
    return {
        "predictions": taken_in.predictions,
        "labels": taken_in.labels,
        "policy": sorted({m.policy for m in models}),
        "policy_digests": sorted({a.target.policy_digest for a in approvals}),
        "models": [_model(m) for m in models],
        "versions": [v for m in models for v in _versions(reader, m)],
        "approvals": [_approval(a) for a in approvals],
        "rollouts": [_rollout(r) for r in rollouts],
        "incidents": [_incident(reader, i) for i in incidents],
        "remediations": _remediations(reader, incidents),
        "audit": {
            "entries": verified.entries,
            "verified": verified.ok,
            "head": verified.head,
            "root": verified.root,
            "findings": [finding.model_dump() for finding in verified.findings],
        },
    }


def story(beats: Sequence[Beat]) -> list[dict[str, Any]]:
    """What was told, with the entries of the ledger that each line was read off."""
    return [
        {"at": iso(b.at), "tone": b.tone.value, "text": b.text, "entries": list(b.entries)}
        for b in beats
    ]


def demand_writable(path: Path) -> None:
    """Make sure, before the story begins, that its report can be written.

    Raises:
        InvalidInput: there is no such folder, or nothing may be written there.
    """
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InvalidInput(
            f"no report can be written to {path}",
            field="report",
            remedy="name a file in a folder that exists and that you may write to",
        )


def write(path: Path, report: Report) -> None:
    """Write it whole or not at all; a reader never meets half of it."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as sink:
            json.dump(report, sink, indent=2, allow_nan=False)
            sink.write("\n")
            sink.flush()
            os.fsync(sink.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _model(model: shapes.ModelShape) -> Report:
    return {
        "name": model.name,
        "owner": model.owner,
        "tier": model.tier,
        "risk_level": model.risk_level,
        "policy": model.policy,
        "features": [feature.name for feature in model.features],
    }


def _versions(reader: Client, model: shapes.ModelShape) -> list[Report]:
    placed = list(reader.models.deployments(model.name))
    found = sorted(reader.models.versions(model.name), key=lambda v: (v.created_at, v.version))
    return [
        {
            "name": model.name,
            "version": v.version,
            "tenant": v.tenant,
            "tier": model.tier,
            "digest": v.digest,
            "signed": bool(v.signer),
            "signer": v.signer,
            "lifecycle": v.lifecycle,
            "deployment": _deployment(placed, v),
            "parent": v.parent,
            "training_trigger": v.training_trigger,
            "cutoff": v.cutoff,
            "training_metrics": v.training_metrics,
        }
        for v in found
    ]


def _deployment(
    placed: Sequence[shapes.DeploymentShape], version: shapes.VersionShape
) -> str | None:
    """What it is where it was meant for; None if it never carried traffic."""
    for deployed in placed:
        if (deployed.version, deployed.tenant) == (version.version, version.tenant):
            return deployed.state
    return None


def _target(approval: shapes.ApprovalShape) -> tuple[str, str, str]:
    target = approval.target
    return target.model, target.tenant or "", target.version


def _approval(approval: shapes.ApprovalShape) -> Report:
    target = approval.target
    return {
        "id": approval.id,
        "model": target.model,
        "version": target.version,
        "tenant": target.tenant,
        "digest": target.digest,
        "phase": approval.phase,
        "automatic": approval.automatic,
        "requested_by": approval.requested_by,
        "requested_at": iso(approval.requested_at),
        "decided_at": None if approval.decided_at is None else iso(approval.decided_at),
        "votes": [
            {"name": v.name, "role": v.role, "approve": v.approve, "reason": v.reason}
            for v in approval.votes
        ],
    }


def _rollout(rollout: shapes.RolloutShape) -> Report:
    return {
        "id": rollout.id,
        "model": rollout.model,
        "version": rollout.version,
        "tenant": rollout.tenant,
        "beside": rollout.active_version,
        "outcome": rollout.phase,
        "reason": rollout.outcome_reason or (rollout.last_analysis or {}).get("reason"),
        "steps": rollout.steps,
        "percent": rollout.observed_percent,
        "started_at": iso(rollout.started_at),
    }


def _incident(reader: Client, incident: shapes.IncidentShape) -> Report:
    found = None if incident.diagnosis is None else reader.monitoring.root_cause(incident.id)
    cause = None if found is None else found.root_cause
    return {
        "id": incident.id,
        "model": incident.model,
        "tenant": incident.tenant,
        "kind": incident.kind,
        "feature": incident.feature,
        "severity": incident.severity,
        "title": incident.title,
        "phase": incident.phase,
        "drift_start": None if incident.drift_start is None else iso(incident.drift_start),
        "detected_at": iso(incident.detected_at),
        "resolved_at": None if incident.resolved_at is None else iso(incident.resolved_at),
        "resolution": incident.resolution,
        "verdict": None if found is None else found.verdict,
        "cause": None if cause is None else cause.type,
        "cause_feature": None if cause is None else cause.feature,
        "confidence": None if cause is None else cause.confidence,
        "evidence_for": [] if cause is None else cause.evidence_for,
        "evidence_against": [] if cause is None else cause.evidence_against,
        "values": {} if cause is None else cause.values,
    }


def _remediations(reader: Client, incidents: Sequence[shapes.IncidentShape]) -> list[Report]:
    order = {incident.id: place for place, incident in enumerate(incidents)}
    found = list(reader.remediation.list())[::-1]  # newest first; within an incident, in order
    return [
        {
            "id": r.id,
            "incident": r.incident,
            "model": r.model,
            "tenant": r.tenant,
            "action": r.action,
            "automatic": r.automatic,
            "gate_decision": r.gate_decision,
            "gate_checks": r.gate_checks,
            "outcome": r.phase,
            "reason": r.reason,
            "measured_recovery": r.measured_recovery,
        }
        for r in sorted(found, key=lambda r: (order.get(r.incident, len(order)), r.action))
    ]
