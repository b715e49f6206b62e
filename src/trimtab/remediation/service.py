"""The verbs of a remedy: propose, record the gate's decision, start, carry on, conclude."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trimtab.audit.work import Work
from trimtab.kernel.actor import ActorKind
from trimtab.kernel.errors import (
    Conflict,
    IntegrityFailed,
    InvalidInput,
    InvalidMove,
    PolicyRefused,
)
from trimtab.kernel.ids import IncidentId, RemediationId, TenantId, new_id
from trimtab.policies.operation import ActionName
from trimtab.remediation import store
from trimtab.remediation.actions import (
    checked_arguments,
    declared,
    digest_of,
    target_of,
)
from trimtab.remediation.causes import Cause
from trimtab.remediation.events import Proposed
from trimtab.remediation.guards import Answer
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.permits import ActionPermit, ActionPermitIssued, open_permit
from trimtab.remediation.switches import stopping

Keys = Mapping[str, Ed25519PublicKey]


def propose(
    work: Work,
    *,
    incident: IncidentId,
    model: str,
    tenant: TenantId | None,
    environment: str,
    action: ActionName,
    args: Mapping[str, object],
    cause: Cause | None,
    confidence: float | None,
    policy_digest: str,
    patience: timedelta,
) -> Remediation:
    """Write down that an action is wanted; the gate decides next.

    Whether it is automatic is not said by the caller: it is, unless a person asks.
    Safe to repeat: the same proposal that waits for the gate is given again.

    Args:
        patience: How long it may wait for the gate before it ends itself.

    Raises:
        InvalidInput: arguments that the action does not take, or a confidence that is none.
    """
    known_action = declared(action)
    arguments = checked_arguments(known_action, args)
    if confidence is not None and not (math.isfinite(confidence) and 0 <= confidence <= 1):
        raise InvalidInput("a confidence lies between 0 and 1", field="confidence")
    target = target_of(known_action, model, tenant, environment)
    deadline = work.now + patience
    remediation = Remediation(
        id=RemediationId(new_id("rem")),
        incident=incident,
        model=model,
        tenant=tenant,
        environment=environment,
        action=action,
        args=arguments,
        target=target,
        requested_by=work.actor.id,
        automatic=work.actor.kind is not ActorKind.PERSON,
        cause_type=None if cause is None else cause.value,
        confidence=confidence,
        policy_digest=policy_digest,
        attempt=store.attempts_started(work, incident, action) + 1,
        phase=Phase.PROPOSED,
        proposed_at=work.now,
        due_at=deadline,
        deadline=deadline,
    )
    for waiting in store.waiting(work, incident, action, target):
        if _same_wish(waiting, remediation):
            return waiting
    return store.add(work, remediation, _proposed(remediation))


def record_decision(work: Work, answer: Answer, *, trusted: Keys) -> Remediation:
    """Write down what the gate said; a permit only after its seal has been verified.

    Safe to repeat: what was decided before stays as it is.

    Raises:
        IntegrityFailed: the permit was not sealed by the gate, or for something else.
        Conflict: another remedy came to be in flight on the target meanwhile.
    """
    remediation = store.get(work, answer.remediation)
    if remediation.phase is not Phase.PROPOSED:
        return remediation
    if not answer.permitted or answer.permit is None:
        refused, event = remediation.refuse(answer.shown, answer.reason, work.now)
        return store.save(work, refused, event)
    permit = open_permit(answer.permit, trusted)
    if not _is_for(permit, remediation):
        raise IntegrityFailed(f"permit {permit.id} is for something else than {remediation.id}")
    issued = ActionPermitIssued(
        subject=permit.id,
        tenant=remediation.tenant,
        remediation=permit.remediation,
        incident=permit.incident,
        action=permit.action,
        args_digest=permit.args_digest,
        target=permit.target,
        policy_digest=permit.policy_digest,
        epoch=permit.epoch,
        expires_at=permit.expires_at,
    )
    store.add_permit(work, permit, issued)
    allowed, event_of_yes = remediation.allow(answer.shown, permit.id, permit.expires_at)
    return store.save(work, allowed, event_of_yes)


def start(work: Work, remediation_id: str, *, trusted: Keys, lease: timedelta) -> Remediation:
    """Use the permit up and begin, in one transaction. The only way to begin.

    The seal is verified again, against what the records say now. A change of our own
    records belongs into this same transaction; an outside effect comes after its commit,
    with the remedy's id as its idempotency key and its `fence` as its token.

    Safe to repeat: what has been started is given as it is, with the same fence.

    Raises:
        PolicyRefused: the permit was used, has expired, is void or for something else, or
            a kill switch was set since.
        IntegrityFailed: the permit on record was not sealed by the gate.
        InvalidMove: there is no permit.
    """
    remediation = store.get(work, remediation_id)
    if remediation.phase is Phase.EXECUTING:
        return remediation
    if remediation.phase is not Phase.PERMITTED or remediation.permit is None:
        raise InvalidMove(
            f"remediation {remediation.id} is {remediation.phase.value} and has no permit to use",
            remedy="ask the safety gate first; there is no way round it",
        )
    _refuse_if_stopped(work, remediation)
    kept = store.permit_by_id(work, remediation.permit)
    sealed = open_permit(kept.sealed, trusted)
    if sealed.body() != kept.body():
        raise IntegrityFailed(f"permit {kept.id} is not what the gate has sealed")
    epoch = store.starts_on(work, remediation.target)
    used, consumed = kept.consume(
        **_binding(remediation), epoch=epoch, tenant=remediation.tenant, at=work.now
    )
    store.use_permit(work, used, consumed)
    started, event = remediation.start(epoch + 1, work.now, work.now + lease)
    return store.save(work, started, event)


def heartbeat(work: Work, remediation_id: str, *, fence: int, lease: timedelta) -> Remediation:
    """Say that it is still being carried out.

    Safe to repeat: before half of the lease has passed, nothing is written.

    Raises:
        Conflict: an older fence: somebody else has it now.
        InvalidMove: it is not being carried out any more; stop.
    """
    remediation = _held(work, remediation_id, fence)
    until = work.now + lease
    executing, deadline = remediation.phase is Phase.EXECUTING, remediation.deadline
    if executing and deadline is not None and until - deadline < lease / 2:
        return remediation
    extended, event = remediation.beat(until)
    return store.save(work, extended, event)


def executed(
    work: Work, remediation_id: str, *, fence: int, result: dict[str, Any], patience: timedelta
) -> Remediation:
    """Write down that the action was carried out, which is not yet a success.

    Safe to repeat: what was carried out stays so.

    Args:
        patience: How long it may take until somebody measures.

    Raises:
        Conflict: an older fence.
        InvalidMove: it was aborted or given up meanwhile; undo what was done.
    """
    remediation = _held(work, remediation_id, fence)
    if remediation.executed_at is not None:
        return remediation
    done, event = remediation.finish(result, work.now, work.now + patience)
    return store.save(work, done, event)


def _held(work: Work, remediation_id: str, fence: int) -> Remediation:
    remediation = store.get(work, remediation_id)
    if remediation.fence != fence:
        raise Conflict(
            f"fence {fence} of remediation {remediation.id} is not the one in force",
            remedy="stop: somebody else acts on this target now",
        )
    return remediation


def _refuse_if_stopped(work: Work, remediation: Remediation) -> None:
    stopped = stopping(store.switches_set(work), model=remediation.model, tenant=remediation.tenant)
    if stopped and declared(remediation.action).changes_something:
        raise PolicyRefused(f"stopped by the kill switch of {', '.join(stopped)}")


def _binding(remediation: Remediation) -> dict[str, str]:
    """What a permit has to be made out for."""
    return {
        "remediation": remediation.id,
        "incident": remediation.incident,
        "action": remediation.action.value,
        "args_digest": digest_of(remediation.args),
        "target": remediation.target,
        "policy_digest": remediation.policy_digest,
    }


def _is_for(permit: ActionPermit, remediation: Remediation) -> bool:
    wanted = _binding(remediation)
    return all(getattr(permit, name) == value for name, value in wanted.items())


def _same_wish(one: Remediation, other: Remediation) -> bool:
    """Whether both ask the gate the same, on the same grounds, for the same somebody."""
    names = ("requested_by", "automatic", "args", "cause_type", "confidence", "policy_digest")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _proposed(remediation: Remediation) -> Proposed:
    return Proposed(
        subject=remediation.id,
        tenant=remediation.tenant,
        incident=remediation.incident,
        model=remediation.model,
        target=remediation.target,
        action=remediation.action.value,
        args=remediation.args,
        automatic=remediation.automatic,
        cause_type=remediation.cause_type,
        confidence=remediation.confidence,
        policy_digest=remediation.policy_digest,
        attempt=remediation.attempt,
    )
