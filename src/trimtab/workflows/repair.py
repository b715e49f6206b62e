"""Diagnosis -> plan -> safety gate -> action -> recovery measured -> resolved, or a person.

The gate alone holds the key that signs permits for actions; nothing begins without one.
Success is what the windows show afterwards. What a plan leaves alone stands on record with
its reason, as what it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading, Work
from trimtab.diagnosis import store as diagnosis_store
from trimtab.diagnosis.model import Diagnosis
from trimtab.identity.reach import demand_grant, demand_say
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Incident, Kind
from trimtab.incidents.model import Phase as IncidentPhase
from trimtab.integrations import inbox
from trimtab.kernel.actor import Actor, system
from trimtab.kernel.errors import InvalidInput, NotFound, NotYours, PolicyRefused
from trimtab.kernel.events import Note, plain
from trimtab.kernel.ids import Digest, IncidentId
from trimtab.policies.model import TierPolicy
from trimtab.policies.operation import ActionName
from trimtab.registry import deployment_store, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Model
from trimtab.remediation import endings
from trimtab.remediation import service as remediation
from trimtab.remediation import store as remediation_store
from trimtab.remediation.causes import Cause
from trimtab.remediation.gate_process import Gate
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.plan import Course, DiagnosisSummary, Step, draw_up
from trimtab.remediation.recovery import Outcome
from trimtab.workflows import about, diagnose, recovery, retrain, returning
from trimtab.workflows.diagnose import stable_version
from trimtab.workflows.parts import ENVIRONMENT, Parts, Then, nothing_more, policy_of, told

_REPAIR = system("repair")
_OVER = (IncidentPhase.RESOLVED, IncidentPhase.MERGED)
_NOTHING_LEFT = "the incident is over"
UNDER_WAY = (Phase.EXECUTING, Phase.VERIFYING, Phase.FAILED)


@dataclass(frozen=True)
class PlanDrawnUp(Note):
    """What is to be done about an incident, in order, and what is to be left alone and why."""

    kind: ClassVar[str] = "plan.drawn_up"

    incident: str
    model: str
    diagnosis: str
    steps: list[dict[str, Any]]


def plan(parts: Parts, entry: Entry) -> None:
    """Draw up what to do about an incident that has just been diagnosed, and begin."""
    with parts.records.begin(_REPAIR, reason="what to do about it", cause=entry.sequence) as work:
        incident = incident_store.get(work, entry.subject)
        found = diagnosis_store.newest_of(work, incident.id)
        if found is None or incident.phase is not IncidentPhase.DIAGNOSED:
            return
        if drawn_up(work, found):  # the incident stays as it is until a remedy begins
            return
        model = store.model_named(work, incident.model)
        demands, policy_digest = policy_of(parts, model)
        steps = _steps(work, incident, found, model, demands)
        work.record(
            PlanDrawnUp(
                subject=incident.id,
                tenant=incident.tenant,
                incident=incident.id,
                model=incident.model,
                diagnosis=found.id,
                steps=[plain(step) for step in steps],
            )
        )
        for step in steps:
            if step.course is Course.AUTOMATIC or _is_refused_training(step, found):
                try:
                    propose(
                        work,
                        incident,
                        found,
                        step.action,
                        model,
                        demands,
                        policy_digest=policy_digest,
                    )
                except NotFound as missing:  # nothing was written; without a remedy, a person
                    incidents.escalate(work, incident.id, f"{step.action.value}: {missing.message}")


def drawn_up(work: Work, found: Diagnosis) -> bool:
    """Whether a diagnosis has its plan."""
    newest = ledger.entries(
        work.connection, kinds=(PlanDrawnUp.kind,), ref=found.id, newest_first=True, limit=1
    )
    return bool(newest)


def _steps(
    work: Work, incident: Incident, found: Diagnosis, model: Model, demands: TierPolicy
) -> tuple[Step, ...]:
    analysis = found.analysis
    cause = analysis.cause
    summary = DiagnosisSummary(
        cause=Cause.NONE_FOUND if cause is None else Cause(cause.type.value),
        feature=None if cause is None else cause.feature,
        confidence=None if cause is None else cause.confidence,
        recommended=tuple(a.action for a in analysis.advice if not a.refused),
    )
    steps = draw_up(
        summary,
        demands.remediation,
        tier=model.tier,
        min_action_confidence=demands.diagnosis.min_action_confidence,
    )
    against = {a.action: a.why for a in analysis.advice if a.refused}
    if incident.kind is Kind.ROLLOUT_ROLLED_BACK:
        against[ActionName.ROLLBACK_MODEL] = "the canary has been taken back already"
    waiting = _why_train_later(work, incident, demands)
    if waiting is not None:
        against.setdefault(ActionName.RETRAIN_MODEL, waiting)
    return tuple(
        Step(step.action, Course.REFUSED, against[step.action])
        if step.action in against and step.course is not Course.REFUSED
        else step
        for step in steps
    )


def _is_refused_training(step: Step, found: Diagnosis) -> bool:
    """A broken feed: training is put to the gate all the same, so that the refusal of the
    one who holds the key stands on record, and not only our own opinion."""
    cause = found.analysis.cause
    broken = cause is not None and cause.type.value == Cause.DATA_QUALITY_FAULT.value
    return broken and step.action is ActionName.RETRAIN_MODEL


def propose(
    work: Work,
    incident: Incident,
    found: Diagnosis | None,
    action: ActionName,
    model: Model,
    demands: TierPolicy,
    *,
    policy_digest: str,
) -> Remediation:
    """Propose an action on an incident; the gate decides next.

    Raises:
        NotFound: there is nothing that this action could act on.
    """
    cause = None if found is None else found.analysis.cause
    named = Cause.NONE_FOUND if found is not None else None
    return remediation.propose(
        work,
        incident=incident.id,
        model=incident.model,
        tenant=incident.tenant,
        environment=ENVIRONMENT,
        action=action,
        args=_arguments(work, incident, found, action, model),
        cause=named if cause is None else Cause(cause.type.value),
        confidence=None if cause is None else cause.confidence,
        policy_digest=policy_digest,
        patience=timedelta(minutes=demands.remediation.permit_lifetime_minutes),
    )


def _arguments(
    work: Work, incident: Incident, found: Diagnosis | None, action: ActionName, model: Model
) -> dict[str, object]:
    if action is ActionName.NOTIFY_TEAM:
        said = incident.title if found is None else found.analysis.summary
        return {"team": model.owner, "summary": said[:1900]}
    stable = stable_version(work, incident)
    if stable is None:
        raise NotFound("no version is stable here", field="model")
    if action is ActionName.RETRAIN_MODEL:
        if retrain.learns_from(incident) >= work.now:
            raise NotFound("there is no row yet since this was noticed", field="action")
        return {"champion_version": stable.version, "champion_digest": stable.digest}
    target = registry.rollback_target(work, incident.model, stable.tenant, ENVIRONMENT)
    if target is None:
        raise NotFound(
            f"{incident.model} has no earlier version to go back to here", field="action"
        )
    return {
        "from_version": stable.version,
        "from_digest": stable.digest,
        "to_version": target.version,
        "to_digest": target.digest,
    }


def execute_on_request(
    parts: Parts,
    actor: Actor,
    incident_id: str,
    action: ActionName,
    reason: str,
    *,
    then: Then[Remediation] = nothing_more,
) -> Remediation:
    """Somebody asks for an action on an incident; the same gate decides.

    `then` is done with what was proposed, in the same transaction.

    Raises:
        NotFound: there is no such incident, it is another tenant's, or nothing to act on.
        NotPermitted: the incident is the fleet's, and a tenant's credential asks; or the
            actor's role does not hold for it.
        InvalidInput: the incident is over.
    """
    with parts.records.begin(actor, reason=reason) as work:
        incident = incident_store.get(work, incident_id)
        if actor.tenant is not None and incident.tenant not in (None, actor.tenant):
            raise NotYours("there is no such incident", field="incident_id")
        demand_say(actor, incident.tenant)
        if incident.phase in _OVER:
            raise InvalidInput(
                f"incident {incident.id} is {incident.phase.value}", field="incident_id"
            )
        model = store.model_named(work, incident.model)
        target = about.of_tier(model.tier, incident.tenant)
        demand_grant(actor, "remediations:execute", target)
        demands, policy_digest = policy_of(parts, model)
        found = diagnosis_store.newest_of(work, incident.id)
        made = propose(work, incident, found, action, model, demands, policy_digest=policy_digest)
        then(work, made)
        return made


def ask_gate(parts: Parts, gate: Gate, entry: Entry) -> None:
    """Put what was proposed to the safety gate, and write down what it says; unless its incident
    is over."""
    with parts.records.look() as reading:
        proposed = remediation_store.get(reading, entry.subject)
        if proposed.phase is not Phase.PROPOSED:
            return
        over = _is_over(reading, proposed)
    if over:
        _call_off(parts, entry, _NOTHING_LEFT)
        return
    answer = gate.ask(entry.subject)
    trusted = gate.public_keys()
    with parts.records.begin(_REPAIR, reason="the gate's answer", cause=entry.sequence) as work:
        remediation.record_decision(work, answer, trusted=trusted)


def carry_out(parts: Parts, gate: Gate, entry: Entry) -> None:
    """Use the permit up, and do what it permits; where that is refused by now, it is over."""
    try:
        _carry_out(parts, gate, entry)
    except PolicyRefused as refusal:  # whatever was begun is undone; to try again is no use
        _call_off(parts, entry, told(refusal))


def _call_off(parts: Parts, entry: Entry, why: str) -> None:
    """End what has not been begun."""
    with parts.records.begin(_REPAIR, reason=why, cause=entry.sequence) as work:
        waiting = remediation_store.get(work, entry.subject).phase
        if waiting in (Phase.PROPOSED, Phase.PERMITTED):
            endings.abort(work, entry.subject)


def _is_over(reading: Reading, proposed: Remediation) -> bool:
    """Not where a wider one has taken it in: what is wrong goes on there, and the wider one acts
    on what is everybody's alone."""
    return incident_store.get(reading, proposed.incident).phase is IncidentPhase.RESOLVED


def _carry_out(parts: Parts, gate: Gate, entry: Entry) -> None:
    trusted = gate.public_keys()
    with parts.records.begin(_REPAIR, reason="it is permitted", cause=entry.sequence) as work:
        proposed = remediation_store.get(work, entry.subject)
        if proposed.phase is not Phase.PERMITTED:
            return
        if _is_over(work, proposed):
            raise PolicyRefused(_NOTHING_LEFT)
        model = store.model_named(work, proposed.model)
        demands, _ = policy_of(parts, model)
        lease = returning.patience_of(demands)
        begun = remediation.start(work, proposed.id, trusted=trusted, lease=lease)
        _attach(work, begun)
        match begun.action:
            case ActionName.NOTIFY_TEAM:
                _notify(work, begun, lease)
            case ActionName.ROLLBACK_MODEL:
                _roll_back(parts, work, begun, demands)
            case ActionName.RETRAIN_MODEL:
                retrain.begin(work, begun, demands, store.model_named(work, begun.model))
            case _:
                raise InvalidInput(f"{begun.action.value} cannot be carried out here")


def _attach(work: Work, begun: Remediation) -> None:
    """Put a remedy on its incident. Telling the team of a shift is not one, nor of anything
    whose harm is not known: the question stays open, and is asked again when outcomes come in."""
    found = diagnosis_store.newest_of(work, begun.incident)
    shift = begun.cause_type in (Cause.COVARIATE_SHIFT.value, Cause.CONCEPT_SHIFT.value)
    unknown = found is not None and found.analysis.waits_for_outcomes
    if begun.action is ActionName.NOTIFY_TEAM and (shift or unknown):
        return
    incident = incident_store.get(work, begun.incident)
    if incident.phase in (IncidentPhase.DIAGNOSED, IncidentPhase.ACTING, IncidentPhase.VERIFYING):
        incidents.attach_remediation(work, incident.id, begun.id, action=begun.action.value)


def _notify(work: Work, begun: Remediation, patience: timedelta) -> None:
    receipt = inbox.send(
        work,
        begun.id,
        team=str(begun.args["team"]),
        text=str(begun.args["summary"]),
        tenant=begun.tenant,
    )
    assert begun.fence is not None
    remediation.executed(work, begun.id, fence=begun.fence, result=receipt, patience=patience)
    endings.begin_verifying(
        work, begun.id, look_at=work.now + patience, deadline=work.now + patience
    )
    endings.confirm_receipt(work, begun.id, receipt)


def _roll_back(parts: Parts, work: Work, begun: Remediation, demands: TierPolicy) -> None:
    """Put the predecessor back in the place of the version that was found bad there."""
    place = (begun.model, begun.tenant, ENVIRONMENT)
    bad = deployment_store.in_place(work, *place, Deployment.STABLE)
    version, digest = str(begun.args["from_version"]), Digest(str(begun.args["from_digest"]))
    if bad is None or not bad.carries(version, digest):
        returning.give_up(work, begun, "what was found bad is not stable here any more", demands)
        return
    returning.carry_out(parts, work, begun, bad, demands)


def verify(parts: Parts, remediation_id: str) -> None:
    """Measure whether a remedy has helped, and go on accordingly."""
    with parts.records.look() as reading:
        running = remediation_store.get(reading, remediation_id)
        if running.phase is not Phase.VERIFYING:
            return
        incident = incident_store.get(reading, running.incident)
        model = store.model_named(reading, running.model)
        demands, _ = policy_of(parts, model)
        measured = recovery.of_remedy(reading, running, incident, demands)
    patience = returning.patience_of(demands)
    window = timedelta(hours=demands.monitoring.window_hours)
    with parts.records.begin(_REPAIR, reason="recovery was measured") as work:
        if measured is None:
            endings.escalate(work, remediation_id, "there is no figure to measure recovery by")
            incidents.escalate_open(work, incident.id, "there is no figure to measure recovery by")
            return
        ended = endings.conclude(
            work, remediation_id, measured, look_at=work.now + window, patience=patience
        )
        if ended.phase is Phase.SUCCEEDED:
            resolve(work, incident.id, measured.plain(), measured.reason)
        elif ended.phase is not Phase.VERIFYING:
            incidents.escalate_open(work, incident.id, f"{running.action.value}: {measured.reason}")


def recheck(parts: Parts, incident_id: str) -> None:
    """Look at an incident again after windows were looked at: it may be over, or a remedy
    that had to wait may be possible now."""
    with parts.records.look() as reading:
        incident = incident_store.get(reading, incident_id)
        if incident.phase in _OVER:
            return
        model = store.model_named(reading, incident.model)
        demands, _ = policy_of(parts, model)
        calm = recovery.is_calm(reading, incident)
        measured = recovery.of_incident(reading, incident, demands) if calm else None
        again = not calm and _may_train_now(reading, incident, demands)
    if calm and measured is not None and measured.outcome is Outcome.RECOVERED:
        with parts.records.begin(_REPAIR, reason="it is calm again") as work:
            resolve(work, incident.id, measured.plain(), measured.reason)
    elif again:
        with parts.records.begin(_REPAIR, reason="there are rows enough now") as work:
            incident = incident_store.get(work, incident.id)
            if incident.phase in _OVER or _earlier_attempt(work, incident, demands):
                return  # somebody was faster
            found = diagnosis_store.newest_of(work, incident.id)
            _, policy_digest = policy_of(parts, model)
            propose(
                work,
                incident,
                found,
                ActionName.RETRAIN_MODEL,
                model,
                demands,
                policy_digest=policy_digest,
            )
    elif not calm:
        diagnose.ask_again(parts, incident_id)


def _may_train_now(reading: Reading, incident: Incident, demands: TierPolicy) -> bool:
    """Whether training was recommended and had only to wait for rows that are there now."""
    found = diagnosis_store.newest_of(reading, incident.id)
    automatic = ActionName.RETRAIN_MODEL in demands.remediation.automatic_actions
    if found is None or not automatic or incident.phase is IncidentPhase.ESCALATED:
        return False
    wanted = any(
        a.action is ActionName.RETRAIN_MODEL and not a.refused for a in found.analysis.advice
    )
    cause = found.analysis.cause
    sure = cause is not None and cause.confidence >= demands.diagnosis.min_action_confidence
    return wanted and sure and _why_train_later(reading, incident, demands) is None


def _why_train_later(reading: Reading, incident: Incident, demands: TierPolicy) -> str | None:
    """What training has to wait for: an attempt under way, a pause after one that came to
    nothing, or rows. None where nothing stands in its way."""
    attempt = _earlier_attempt(reading, incident, demands)
    return attempt or retrain.waiting_for(reading, incident, demands)


def _earlier_attempt(reading: Reading, incident: Incident, demands: TierPolicy) -> str | None:
    tries = [
        r
        for r in remediation_store.of_incident(reading, incident.id)
        if r.action is ActionName.RETRAIN_MODEL
    ]
    if any(r.phase in (Phase.PROPOSED, Phase.PERMITTED, *UNDER_WAY) for r in tries):
        return "an attempt is under way"
    pause = timedelta(days=demands.retraining.retry_after_days)
    ended = [r.settled_at for r in tries if r.settled_at is not None]
    if ended and reading.now - max(ended) < pause:
        return f"the last attempt came to nothing less than {pause.days} days ago"
    return None


def resolve(work: Work, incident_id: IncidentId, evidence: dict[str, Any], resolution: str) -> None:
    """End an incident that is open, on what was measured or observed."""
    incident = incident_store.get(work, incident_id)
    if incident.phase is IncidentPhase.ACTING:
        incidents.begin_verifying(work, incident.id, look_at=work.now)
    if incident.phase not in _OVER:
        incidents.resolve(work, incident.id, evidence, resolution=resolution)


def due(reading: Reading) -> list[tuple[str, str]]:
    """Remedies whose recovery is to be measured, or that were left alone too long."""
    return [(found, reading.moment) for found in remediation_store.due(reading, reading.now)]


def turn(parts: Parts, remediation_id: str) -> None:
    """Give a remedy that is due its turn."""
    with parts.records.look() as reading:
        running = remediation_store.get(reading, remediation_id)
        demands, _ = policy_of(parts, store.model_named(reading, running.model))
    if running.phase is Phase.VERIFYING:
        verify(parts, remediation_id)
    with parts.records.begin(_REPAIR, reason="nobody went on with it in time") as work:
        endings.expire(work, remediation_id, patience=returning.patience_of(demands))
