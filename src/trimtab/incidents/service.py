"""The verbs of an incident: open or join, diagnose, act, verify, resolve, escalate, comment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trimtab.audit import ledger
from trimtab.audit.work import Work
from trimtab.incidents import store
from trimtab.incidents.events import Commented
from trimtab.incidents.model import MOVES, SETTLED, Incident, Phase, Signal, opened
from trimtab.kernel.events import plain
from trimtab.kernel.ids import DiagnosisId, RemediationId


def open_or_join(work: Work, signal: Signal) -> Incident:
    """The incident of the signal's cause, opened by it or joined by it.

    A tenant's signal joins the global incident of the same cause while there is one. A
    global signal takes in the tenants' incidents of its cause; one whose remedy is under
    way, or that waits for a person, is linked and runs on.

    Safe to repeat: a signal that was heard changes nothing.

    Raises:
        Conflict: another writer opened the incident meanwhile; try again, and join it.
    """
    known = store.heard(work, signal)
    if known is not None:
        return store.get(work, known)
    place = store.by_key(work, signal.model, None, signal.cause_key)
    if place is None and signal.tenant is not None:
        place = store.by_key(work, signal.model, signal.tenant, signal.cause_key)
    incident = _open(work, signal) if place is None else _join(work, place, signal)
    store.remember(work, signal, incident.id)
    return incident


def attach_diagnosis(
    work: Work, incident_id: str, diagnosis: DiagnosisId, *, verdict: str, summary: str
) -> Incident:
    """Attach a diagnosis; `summary` is one sentence.

    Safe to repeat: the diagnosis that stands changes nothing.

    Raises:
        NotFound, InvalidMove, Conflict: see the store and the model.
    """
    incident = store.get(work, incident_id)
    if incident.diagnosis == diagnosis:
        return incident
    moved, event = incident.diagnose(diagnosis, verdict, summary, work.now)
    return store.save(work, moved, event)


def attach_remediation(
    work: Work, incident_id: str, remediation: RemediationId, *, action: str
) -> Incident:
    """A remedy is under way.

    Safe to repeat: a remedy that is attached changes nothing.

    Raises:
        NotPermitted: the incident is escalated and no person acts.
        NotFound, InvalidMove, Conflict: see the store and the model.
    """
    incident = store.get(work, incident_id)
    if remediation in incident.remediations:
        return incident
    by_person = work.actor.person is not None
    moved, event = incident.act(remediation, action, work.now, by_person=by_person)
    return store.save(work, moved, event)


def begin_verifying(work: Work, incident_id: str, *, look_at: datetime) -> Incident:
    """Recovery is to be measured at `look_at`; called again, at a later moment.

    Safe to repeat: the same moment changes nothing.

    Raises:
        NotFound, InvalidMove, Conflict: see the store and the model.
    """
    incident = store.get(work, incident_id)
    if incident.phase is Phase.VERIFYING and incident.due_at == look_at:
        return incident
    moved, event = incident.verify(look_at)
    return store.save(work, moved, event)


def resolve(
    work: Work, incident_id: str, evidence: Mapping[str, Any], *, resolution: str
) -> Incident:
    """It is over; `resolution` is a sentence, `evidence` the values that show it.

    Safe to repeat: a resolved incident stays as it was resolved.

    Raises:
        InvalidInput: no evidence, and no person who says so.
        NotFound, InvalidMove, Conflict: see the store and the model.
    """
    incident = store.get(work, incident_id)
    if incident.phase is Phase.RESOLVED:
        return incident
    by_person = work.actor.person is not None
    moved, event = incident.resolve(
        resolution, plain(dict(evidence)), work.now, by_person=by_person
    )
    return store.save(work, moved, event)


def escalate(work: Work, incident_id: str, why: str) -> Incident:
    """It waits for a person.

    Safe to repeat: an escalated incident stays so.

    Raises:
        NotFound, InvalidMove, Conflict: see the store and the model.
    """
    incident = store.get(work, incident_id)
    if incident.phase is Phase.ESCALATED:
        return incident
    moved, event = incident.escalate(why)
    return store.save(work, moved, event)


def escalate_open(work: Work, incident_id: str, why: str) -> Incident:
    """The same, or the one that has taken it in; unless that is over: whoever ended it does not
    get it back."""
    incident = store.get(work, incident_id)
    while incident.merged_into is not None:
        incident = store.get(work, incident.merged_into)
    return incident if incident.phase in SETTLED else escalate(work, incident.id, why)


def comment(work: Work, incident_id: str, text: str) -> Incident:
    """Write something down about an incident, settled or not; no state changes.

    Safe to repeat: the same words by the same actor, twice in a row, are one comment.

    Raises:
        NotFound: no incident has this id.
    """
    incident = store.get(work, incident_id)
    last = ledger.entries(
        work.connection, ref=incident.id, kinds=[Commented.kind], newest_first=True, limit=1
    )
    if last and last[0].actor == work.actor.id and (last[0].data or {}).get("text") == text:
        return incident
    work.record(
        Commented(subject=incident.id, tenant=incident.tenant, model=incident.model, text=text)
    )
    return incident


def _open(work: Work, signal: Signal) -> Incident:
    absorbed = (
        store.of_tenants_by_key(work, signal.model, signal.cause_key)
        if signal.tenant is None
        else []
    )
    incident_id = store.next_id(work, work.now.astimezone(UTC).date())
    incident, event = opened(signal, incident_id, work.now, tuple(absorbed))
    added = store.add(work, incident, event)
    for child in absorbed:
        if Phase.MERGED in MOVES[child.phase]:
            merged, why = child.merge(incident_id, work.now)
            store.save(work, merged, why)
    return added


def _join(work: Work, incident: Incident, signal: Signal) -> Incident:
    joined, added, raised = incident.join(signal)
    saved = store.save(work, joined, added)
    if raised is not None:
        work.record(raised)
    return saved
