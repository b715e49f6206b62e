"""Windows and incidents: what was looked at, and what broke."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

from fastapi import Query, Request

from trimtab.api import strict
from trimtab.api.access import Actor, PartsOf, Reach, may, scope_of, whose
from trimtab.api.paging import Pages, going_on
from trimtab.api.repeats import Repeats
from trimtab.audit.work import Reading, Work
from trimtab.diagnosis import store as diagnosis_store
from trimtab.diagnosis.model import Cause
from trimtab.incidents import store
from trimtab.incidents.model import Incident, Phase
from trimtab.incidents.timeline import timeline
from trimtab.kernel.clock import iso, parse_iso
from trimtab.kernel.errors import InvalidInput, NotFound, NotYours
from trimtab.kernel.events import plain
from trimtab.monitoring import late_store
from trimtab.monitoring import store as monitoring
from trimtab.monitoring.detection import DetectionConfig
from trimtab.monitoring.late import Late
from trimtab.monitoring.model import Window
from trimtab.observations import store as observations
from trimtab.registry import store as registry
from trimtab.sdk import shapes
from trimtab.workflows import drift_check
from trimtab.workflows.drift_check import Asked, Checked, DriftChecks
from trimtab.workflows.tables import Given

router = strict.router("/api/v1", tag="monitoring")

Watcher = Annotated[Actor, may("windows:read", reach=Reach.OWN)]
Reader = Annotated[Actor, may("incidents:read")]
Checker = Annotated[Actor, may(drift_check.PERMISSION, reach=Reach.ADDED, asks_about=True)]


@router.get("/monitoring/totals", summary="What was taken in")
def totals(
    actor: Annotated[Actor, may("windows:read", fleet=True)], parts: PartsOf
) -> shapes.TotalsShape:
    """Predictions and labels that are on record, of all models and tenants."""
    del actor
    with parts.records.look() as reading:
        predictions, labels = observations.totals(reading)
    return shapes.TotalsShape(predictions=predictions, labels=labels)


@router.get("/monitoring/models/{model}/windows", summary="Windows of a model")
def list_windows(
    model: str,
    actor: Watcher,
    parts: PartsOf,
    pages: Pages,
    tenant: Annotated[str | None, Query(max_length=63)] = None,
    since: Annotated[shapes.Moment | None, Query()] = None,
) -> shapes.Page[shapes.WindowShape]:
    """The newest windows that were looked at, oldest first, and on the next page those before
    them; a tenant sees its own."""
    until = pages.place_as(actor, parse_iso)
    with parts.records.look() as reading:
        scope = scope_of(reading, actor, tenant)
        registry.model_named(reading, model)
        found = monitoring.windows(
            reading, model, scope, since=since, until=until, limit=pages.limit
        )
        came_late = {} if scope is not None else late_store.of_windows(reading, found)
    return shapes.Page(
        items=[_window(w, came_late.get(w.id)) for w in found],
        next=pages.page(actor, found[::-1], lambda w: iso(w.start)),
    )


@router.post("/monitoring/drift-check", summary="Has a table moved?")
def check_drift(
    body: shapes.NewDriftCheck, actor: Checker, request: Request, repeat: Repeats
) -> shapes.DriftCheckShape:
    """Compare a table with how it was, or with what a model was trained on; the answer is on
    record, and nothing else follows from it.

    A column that is missing, of another type or without any value is no finding: nobody could
    look, and `errors` names each of them.
    """
    checks: DriftChecks = request.app.state.drift_checks
    asked = _asked(body, actor)
    told: list[shapes.DriftCheckShape] = []

    def tell(work: Work, made: Checked) -> None:
        told.append(repeat.keep(work, _checked(asked, made)))

    checks.check(actor, asked, tell)
    return told[-1]


@router.get("/monitoring/incidents", summary="Incidents")
def list_incidents(
    actor: Reader,
    parts: PartsOf,
    pages: Pages,
    state: Annotated[Literal["active", "all"], Query()] = "active",
    model: Annotated[str | None, Query(max_length=63)] = None,
) -> shapes.Page[shapes.IncidentShape]:
    """Incidents, newest first: those that are open, or all."""
    place, limit = pages.place(actor), pages.limit
    settled = (Phase.RESOLVED, Phase.MERGED)
    phases = () if state == "all" else tuple(p for p in Phase if p not in settled)
    with parts.records.look() as reading:
        if model is not None:
            registry.model_named(reading, model)
        with going_on():
            found = store.listed(
                reading, model=model, tenant=actor.tenant, phases=phases, before=place, limit=limit
            )
    return shapes.Page(
        items=[_incident(i, []) for i in found],
        next=pages.page(actor, found, lambda i: i.id),
    )


@router.get("/monitoring/incidents/{incident}", summary="One incident")
def get_incident(incident: str, actor: Reader, parts: PartsOf) -> shapes.IncidentShape:
    """An incident, with its timeline read off the ledger."""
    with parts.records.look() as reading:
        found = visible(reading, actor, incident)
        told = timeline(reading, found.id, tenant=actor.tenant)
        lines = [shapes.TimelineShape.model_validate(line) for line in told]
    return _incident(found, lines)


@router.get("/analysis/rca/{incident}", summary="Root cause of an incident")
def root_cause(incident: str, actor: Reader, parts: PartsOf) -> shapes.RootCauseShape:
    """What broke, with the evidence for and against; that none was found is an answer."""
    with parts.records.look() as reading:
        found = visible(reading, actor, incident)
        made = diagnosis_store.newest_of(reading, found.id)
    if made is None:
        raise NotFound(
            "this incident has not been diagnosed yet",
            field="incident",
            remedy="a diagnosis is made by itself once there are rows to draw it from",
        )
    analysis = made.analysis
    factors = [{"factor": f.factor, "weight": f.weight} for f in analysis.factors]
    causes = [_cause(cause, factors) for cause in analysis.causes]
    return shapes.RootCauseShape(
        incident_id=found.id,
        verdict=analysis.verdict.value,
        root_cause=causes[0] if analysis.cause is not None else None,
        causes=causes,
        timeline={
            "drift_start": found.drift_start,
            "detection_time": found.detected_at,
            "remediation_time": found.remediation_at,
        },
        recommendations=[plain(advice) for advice in analysis.advice],
    )


def visible(reading: Reading, actor: Actor, incident_id: str) -> Incident:
    """An incident that `actor` may see.

    Raises:
        NotFound: there is none, or it is another tenant's.
    """
    found = store.get(reading, incident_id)
    if actor.tenant is not None and found.tenant not in (None, actor.tenant):
        raise NotYours("there is no such incident", field="incident")
    return found


def _asked(body: shapes.NewDriftCheck, actor: Actor) -> Asked:
    config = body.detection_config or shapes.DetectionShape()
    named = config.algorithms
    try:
        chosen = DetectionConfig.parse(
            named if isinstance(named, str) else ",".join(named), config.quorum, config.sensitivity
        )
    except InvalidInput as error:
        place = f"detection_config.{error.field}"
        raise InvalidInput(error.message, field=place, remedy=error.remedy) from error
    reference = body.reference_data
    return Asked(
        tenant=whose(actor, body),
        current=_given(body.current_data, drift_check.CURRENT),
        reference=None if reference is None else _given(reference, drift_check.REFERENCE),
        model=body.model_id,
        features=body.features or config.features,
        threshold=body.threshold,
        config=chosen,
        window=config.window_size,
        policy=body.policy,
        tier=body.tier,
    )


def _given(table: shapes.TableShape, field: str) -> Given:
    if table.profile is None:
        return Given(field, table.uri, table.columns)
    try:
        return Given(field, profile=base64.b64decode(table.profile, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            f"{field}.profile is not base64", field=f"{field}.profile", remedy="base64 -w0 PROFILE"
        ) from error


def _checked(asked: Asked, made: Checked) -> shapes.DriftCheckShape:
    told, held = made.document, made.held
    return shapes.DriftCheckShape(
        check_id=made.id,
        model_id=asked.model,
        tenant=asked.tenant,
        incident_id=made.incident,
        timestamp=made.at,
        threshold=made.threshold,
        policy=shapes.CheckedByShape(name=held.policy, digest=held.policy_digest, tier=held.tier),
        windows=[shapes.CheckedWindowShape.model_validate(one) for one in made.windows],
        **{
            name: told[name]
            for name in (
                *("drift_detected", "drift_score", "affected_features", "verdict", "reason"),
                *("rows_reference", "rows_current", "features", "skipped", "new_columns"),
            )
        },
    )


def _window(window: Window, came_late: Late | None) -> shapes.WindowShape:
    performance = window.performance
    return shapes.WindowShape(
        id=window.id,
        model=window.model,
        tenant=window.tenant,
        start=window.start,
        end=window.end,
        phase=window.phase.value,
        rows=window.rows,
        labels=0 if performance is None else performance.labels,
        drift=[] if window.drift is None else window.drift.features,
        performance=[] if performance is None else performance.judgements,
        revisions=window.revisions,
        late=None if came_late is None else shapes.LateShape.model_validate(came_late),
    )


def _incident(incident: Incident, lines: list[shapes.TimelineShape]) -> shapes.IncidentShape:
    return shapes.IncidentShape(
        id=incident.id,
        model=incident.model,
        tenant=incident.tenant,
        kind=incident.kind.value,
        feature=incident.feature,
        severity=incident.severity.value,
        title=incident.title,
        phase=incident.phase.value,
        drift_start=incident.drift_start,
        detected_at=incident.detected_at,
        resolved_at=incident.resolved_at,
        resolution=incident.resolution,
        diagnosis=incident.diagnosis,
        remediations=list(incident.remediations),
        timeline=lines,
    )


def _cause(cause: Cause, factors: list[dict[str, Any]]) -> shapes.CauseShape:
    return shapes.CauseShape(
        type=cause.type.value,
        feature=cause.feature,
        confidence=cause.confidence,
        evidence_for=list(cause.evidence_for),
        evidence_against=list(cause.evidence_against),
        contributing_factors=factors,
        values=plain(cause.values),
    )
