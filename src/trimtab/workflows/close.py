"""What asks for nothing more is over: a group that went without harm, a canary that is gone."""

from __future__ import annotations

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.diagnosis import store as diagnosis_store
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Incident, Kind
from trimtab.kernel.actor import system
from trimtab.kernel.ids import RolloutId
from trimtab.remediation import store as remediation_store
from trimtab.remediation.causes import Cause
from trimtab.remediation.model import Phase
from trimtab.rollouts import store as rollout_store
from trimtab.rollouts.model import StepObserved
from trimtab.workflows.parts import Parts
from trimtab.workflows.repair import UNDER_WAY, drawn_up, resolve

_REPAIR = system("repair")


def without_harm(parts: Parts, entry: Entry) -> None:
    """End an incident that asks for nothing more: a group that went without harm, or a canary
    that has been taken back and is gone."""
    data = entry.data or {}
    with parts.records.look() as reading:
        if entry.kind == "rollout.step_observed":
            released = f"release:{data['version']}"
            touched = [i for i in incident_store.active(reading) if i.cause_key == released]
        else:
            touched = [incident_store.get(reading, str(data["incident"]))]
    for incident in touched:
        if incident.kind is Kind.ROLLOUT_ROLLED_BACK:
            _close_release(parts, incident)
        elif entry.kind == "remediation.recovered":
            _close_if_harmless(parts, incident, cause=entry.sequence)


def _close_if_harmless(parts: Parts, incident: Incident, *, cause: int) -> None:
    with parts.records.begin(_REPAIR, reason="nothing was harmed", cause=cause) as work:
        found = diagnosis_store.newest_of(work, incident.id)
        change = None if found is None else found.analysis.cause
        if found is None or change is None or change.type.value != Cause.POPULATION_CHANGE.value:
            return
        if found.analysis.harmed is False:
            evidence = {"cause": change.summary, "evidence": list(change.evidence_for)}
            said = f"{change.summary}; no harm is shown, and the team was told"
            resolve(work, incident.id, evidence, said)


def _close_release(parts: Parts, incident: Incident) -> None:
    """A bad release is over when no gateway serves it any more, and what its plan asks for has
    been done: closed any sooner, it would have no plan, and nobody would be told.

    Its cause is always what the gateways said, whichever of the two came last.
    """
    with parts.records.look() as reading:
        gone = _gone(reading, incident)
        if gone is None:
            return
        (said,) = ledger.entries(
            reading.connection, kinds=(StepObserved.kind,), ref=gone, newest_first=True, limit=1
        )
    with parts.records.begin(_REPAIR, reason="it is gone", cause=said.sequence) as work:
        found = diagnosis_store.newest_of(work, incident.id)
        waiting = [
            r
            for r in remediation_store.of_incident(work, incident.id)
            if r.phase in (Phase.PROPOSED, Phase.PERMITTED, *UNDER_WAY)
        ]
        if not waiting and found is not None and drawn_up(work, found):
            evidence = {"observed_percent": 0.0, "rollout": gone}
            version = incident.cause_key.removeprefix("release:")
            resolve(work, incident.id, evidence, f"no gateway serves {version} any more")


def _gone(reading: Reading, incident: Incident) -> RolloutId | None:
    """The rollout of a bad release, once no gateway serves it any more."""
    version = incident.cause_key.removeprefix("release:")
    for rollout in rollout_store.of_model(reading, incident.model):
        if rollout.version == version and rollout.settled and rollout.observed_percent == 0:
            return rollout.id
    return None
