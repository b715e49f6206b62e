"""Remedies: what was done about incidents, and asking for one. The safety gate decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, may
from trimtab.api.paging import Pages, going_on
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Reading
from trimtab.identity.reach import demand_grant, demand_say
from trimtab.kernel.errors import InvalidInput, NotYours
from trimtab.policies.operation import ActionName
from trimtab.remediation import endings, store
from trimtab.remediation.model import Remediation
from trimtab.retraining import store as retraining_store
from trimtab.sdk import shapes
from trimtab.workflows import about, repair

router = strict.router("/api/v1", tag="remediation")

Reader = Annotated[Actor, may("remediations:read")]
Operator = Annotated[Actor, may("remediations:execute", asks_about=True)]


@router.get("/remediation", summary="Remedies")
def list_remediations(
    actor: Reader, parts: PartsOf, pages: Pages
) -> shapes.Page[shapes.RemediationShape]:
    """Remedies, newest first."""
    place = pages.place(actor)
    with parts.records.look() as reading, going_on():
        found = store.listed(reading, tenant=actor.tenant, before=place, limit=pages.limit)
    return shapes.Page(
        items=[_shown(r) for r in found],
        next=pages.page(actor, found, lambda r: r.id),
    )


@router.post("/remediation/execute", status_code=202, summary="Ask for an action")
def execute(
    body: shapes.NewRemediation, actor: Operator, parts: PartsOf, repeat: Repeats
) -> shapes.RemediationShape:
    """Propose an action on an incident; it begins if the safety gate permits it.

    `safety_check` is read for the sake of older callers; the gate cannot be switched off.
    """
    if not body.safety_check:
        raise InvalidInput(
            "the safety check cannot be switched off",
            field="safety_check",
            remedy="leave it out; if the gate refuses, its answer says what to do",
        )
    proposed = repair.execute_on_request(
        parts,
        actor,
        body.incident_id,
        ActionName(body.action),
        body.reason,
        then=lambda work, made: repeat.keep(work, _shown(made)),
    )
    return _shown(proposed)


@router.get("/remediation/{remediation}", summary="One remedy")
def get_remediation(remediation: str, actor: Reader, parts: PartsOf) -> shapes.RemediationShape:
    """A remedy: the gate's answer, how far it is, what was measured."""
    with parts.records.look() as reading:
        return _shown(_visible(reading, actor, remediation))


@router.delete("/remediation/{remediation}", summary="Abort a remedy")
def abort(
    remediation: str,
    actor: Operator,
    parts: PartsOf,
    reason: Annotated[shapes.Reason, Query()] = "aborted by a person",
) -> shapes.RemediationShape:
    """Stop a remedy; what it has done so far stands and is counted."""
    with parts.records.begin(actor, reason=reason) as work:
        known = _visible(work, actor, remediation)
        demand_say(actor, known.tenant)
        demand_grant(actor, "remediations:execute", about.model(work, known.model, known.tenant))
        return _shown(endings.abort(work, remediation))


@router.get("/retraining", summary="Retrainings")
def list_retrainings(
    actor: Annotated[Actor, may("retraining:read")], parts: PartsOf, pages: Pages
) -> shapes.Page[shapes.RetrainingShape]:
    """Runs, newest first: what they learnt from, and what came of them."""
    place = pages.place(actor)
    with parts.records.look() as reading, going_on():
        found = retraining_store.listed(
            reading, tenant=actor.tenant, after=place, limit=pages.limit
        )
    return shapes.Page(
        items=[shapes.RetrainingShape.model_validate(r) for r in found],
        next=pages.page(actor, found, lambda r: r.id),
    )


def _visible(reading: Reading, actor: Actor, remediation_id: str) -> Remediation:
    found = store.get(reading, remediation_id)
    if actor.tenant is not None and found.tenant not in (None, actor.tenant):
        raise NotYours("there is no such remediation", field="remediation")
    return found


def _shown(remediation: Remediation) -> shapes.RemediationShape:
    gate = remediation.gate or {}
    return shapes.RemediationShape(
        id=remediation.id,
        incident=remediation.incident,
        model=remediation.model,
        tenant=remediation.tenant,
        action=remediation.action.value,
        automatic=remediation.automatic,
        phase=remediation.phase.value,
        gate_decision=str(gate.get("decision", "pending")),
        gate_checks=list(gate.get("checks", [])),
        measured_recovery=remediation.measured_recovery,
        reason=remediation.reason,
    )
