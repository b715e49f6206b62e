"""Windows close, global and per tenant -> drift and performance -> signals -> incidents.

A window is looked at when its time is over, and judged again when its labels are in. What
is believed after enough windows in a row becomes a signal; signals of one cause become one
incident. A window that nobody looked at shows as missed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Kind, Severity, Signal
from trimtab.kernel.actor import system
from trimtab.kernel.clock import iso, parse_iso
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import service as monitoring
from trimtab.monitoring import store as monitoring_store
from trimtab.monitoring.model import Phase, Window
from trimtab.monitoring.performance import VersionFacts, outcomes
from trimtab.monitoring.reference import Reference, References
from trimtab.monitoring.survey import survey
from trimtab.observations import frame as frames
from trimtab.observations import store as observations
from trimtab.observations.frame import Frame
from trimtab.registry import deployment_store, store
from trimtab.registry.deployments import Deployment
from trimtab.registry.model import Model, Version
from trimtab.workflows.intake import policy_of
from trimtab.workflows.parts import ENVIRONMENT, Parts

REFERENCE_ROWS = 20_000
"""Rows of a reference that are kept in memory; a larger one is thinned at even steps."""

REFERENCE_BYTES = 1 << 30
TENANT_COLUMN = "tenant"
"""A column of this name in reference data tells whose each row is."""

EPISODE = timedelta(days=30)
"""A drift that begins within so long of the last signal belongs to the same episode."""

_DRIFTING = (Kind.DATA_DRIFT, Kind.STRUCTURE, Kind.VANISHED_CATEGORY, Kind.NEW_CATEGORY)
_KEPT = 64
_WATCH = system("watch")


class Watch:
    """The watch loop over one set of parts; it keeps the references that it compares with."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._references: dict[str, Reference] = {}

    def schedule(self, model_name: str) -> None:
        """Make the windows of a model up to the present one."""
        parts = self._parts
        with parts.records.begin(_WATCH, reason="windows up to now") as work:
            first = observations.first_prediction(work, model_name)
            if first is None:
                return
            demands, _ = policy_of(parts, store.model_named(work, model_name))
            monitoring.schedule_windows(work, model_name, first, demands.monitoring)

    def turn(self, window_id: str) -> None:
        """Do what is due with a window: look at its rows, or judge them by their labels."""
        with self._parts.records.look() as reading:
            window = monitoring_store.get(reading, window_id)
            due = window.due_at is not None and window.due_at <= reading.now
        if due and window.phase is Phase.SCHEDULED:
            self._close(window)
        elif due and window.phase is Phase.CLOSED:
            self._settle(window)

    def _close(self, window: Window) -> None:
        parts = self._parts
        with parts.records.look() as reading:
            model = store.model_named(reading, window.model)
            frame = rows_between(reading, window.model, window.start, window.end)
            references = self.references(reading, model)
        demands, digest = policy_of(parts, model)
        found = survey(frame, references, demands.monitoring)
        with parts.records.begin(_WATCH, reason="the window is over") as work:
            monitoring.close_window(
                work,
                window.id,
                found,
                demands.monitoring,
                label_wait=timedelta(hours=demands.monitoring.label_wait_hours),
                policy_digest=digest,
            )

    def _settle(self, window: Window) -> None:
        parts = self._parts
        with parts.records.look() as reading:
            model = store.model_named(reading, window.model)
            frame = rows_between(reading, window.model, window.start, window.end)
            facts = facts_of(reading, window.model)
        demands, digest = policy_of(parts, model)
        if frame is not None and not demands.monitoring.count_repeats:
            frame = frame.without_repeats()
        cutoffs = {version: fact.cutoff for version, fact in facts.items()}
        tallies = [] if frame is None else outcomes(frame, cutoffs)
        with parts.records.begin(_WATCH, reason="its labels are in") as work:
            monitoring.settle_window(
                work, window.id, tallies, facts, demands.monitoring, policy_digest=digest
            )

    def references(self, reading: Reading, model: Model) -> References:
        """What a model's windows are compared with now: what its stable versions learnt from."""
        fleet: Reference | None = None
        dedicated: dict[str, Reference] = {}
        for deployed in deployment_store.carrying(reading, ENVIRONMENT, model=model.name):
            if deployed.state is not Deployment.STABLE:
                continue
            version = store.find_version(reading, model.name, deployed.version)
            assert version is not None
            if deployed.tenant is None:
                fleet = self.reference(model, version)
            else:
                dedicated[deployed.tenant] = self.reference(model, version)
        return References(fleet, dedicated)

    def reference(self, model: Model, version: Version) -> Reference:
        """What a version learnt from; read once."""
        known = self._references.get(version.reference_digest)
        if known is None:
            content = self._parts.blobs.read_verified(
                version.reference_digest, max_bytes=REFERENCE_BYTES
            )
            known = read_reference(content, model, version.reference_digest)
            if len(self._references) >= _KEPT:
                self._references.clear()
            self._references[version.reference_digest] = known
        return known


def read_reference(content: bytes, model: Model, digest: str) -> Reference:
    """Reference data as it was handed in; with a column of tenants, told apart by them."""
    kinds = {feature.name: feature.kind for feature in model.features}
    options: dict[str, Any] = {"max_rows": REFERENCE_ROWS, "digest": digest}
    try:
        return Reference.from_parquet(content, kinds, tenant_column=TENANT_COLUMN, **options)
    except InvalidInput as error:
        if error.field != TENANT_COLUMN:
            raise
        return Reference.from_parquet(content, kinds, **options)


def rows_between(reading: Reading, model: str, start: datetime, end: datetime) -> Frame | None:
    """The rows of a stretch of time, or None where no prediction was made."""
    if not observations.count_between(reading, observations.PREDICTIONS, model, start, end):
        return None
    try:
        return frames.load(reading, model, start, end)
    except InvalidInput:
        return None


def facts_of(reading: Reading, model: str) -> dict[str, VersionFacts]:
    """What every version of a model says of itself."""
    return {
        v.version: VersionFacts(v.cutoff, v.training_metrics, v.tenant)
        for v in store.versions_of(reading, model, everyone=True)
    }


def unscheduled(reading: Reading) -> list[tuple[str, str]]:
    """Models whose present window does not exist yet."""
    return [(model, iso(reading.now)) for model in monitoring_store.unscheduled(reading)]


def due(reading: Reading) -> list[tuple[str, str]]:
    """Windows that something is to be done with now."""
    return [
        (window_id, iso(reading.now)) for window_id in monitoring_store.due(reading, reading.now)
    ]


def open_incident(parts: Parts, entry: Entry) -> None:
    """Make what is believed now a signal: it opens an incident, or joins the one there is."""
    with parts.records.begin(_WATCH, reason="signal", cause=entry.sequence) as work:
        signal = signal_of(work, entry)
        if signal is not None:
            incidents.open_or_join(work, signal)


def signal_of(reading: Reading, entry: Entry) -> Signal | None:
    """The signal in a ledger entry; None where there is nothing in it to act on."""
    data = entry.data or {}
    match entry.kind:
        case "drift.confirmed":
            return _drift_signal(reading, entry, data)
        case "performance.degraded":
            return _performance_signal(reading, entry, data)
        case "rollout.rolled_back":
            return _rollback_signal(entry, data)
    return None


def _drift_signal(reading: Reading, entry: Entry, data: dict[str, Any]) -> Signal:
    """Features that move in the same days move for one reason until shown otherwise: they
    join the drift that is open, and do not make an incident each."""
    kinds = {
        "vanished_category": Kind.VANISHED_CATEGORY,
        "new_category": Kind.NEW_CATEGORY,
    }
    structural = data["drift_type"] == "structural"
    kind = kinds.get(data["finding"], Kind.STRUCTURE) if structural else Kind.DATA_DRIFT
    what = data["finding"] if structural else "drift"
    items = ", ".join(data["items"])
    title = f"{data['feature']}: {what.replace('_', ' ')}" + (f" ({items})" if items else "")
    return Signal(
        sequence=entry.sequence,
        model=data["model"],
        tenant=entry.tenant,
        kind=kind,
        cause_key=_beside(reading, entry, data) or f"{what}:{data['feature']}",
        severity=_severity(data, kind),
        title=title,
        at=entry.at,
        feature=data["feature"],
        drift_start=parse_iso(data["since"]),
        data=data,
    )


def _beside(reading: Reading, entry: Entry, data: dict[str, Any]) -> str | None:
    """The cause key of an open incident that this drift belongs to, or None."""
    since = parse_iso(data["since"])
    for incident in incident_store.active(reading):
        place = incident.model == data["model"] and incident.tenant in (None, entry.tenant)
        if not place or incident.kind not in _DRIFTING:
            continue
        near = since - incident.last_signal_at <= EPISODE
        if incident.feature == data["feature"] or (near and incident.tenant == entry.tenant):
            return incident.cause_key
    return None


def _severity(data: dict[str, Any], kind: Kind) -> Severity:
    if kind is Kind.VANISHED_CATEGORY:
        return Severity.LOW
    bands = {"high": Severity.HIGH, "medium": Severity.MEDIUM, "low": Severity.LOW}
    return bands.get(str(data["severity"]), Severity.MEDIUM)


def _performance_signal(reading: Reading, entry: Entry, data: dict[str, Any]) -> Signal:
    """A loss of performance joins the drift that it may come of; else it stands by itself."""
    behind = _open_drift(reading, data["model"], entry.tenant)
    value = "?" if data["value"] is None else f"{data['value']:.2%}"
    limit = "?" if data["limit"] is None else f"{data['limit']:.2%}"
    return Signal(
        sequence=entry.sequence,
        model=data["model"],
        tenant=entry.tenant,
        kind=Kind.PERFORMANCE,
        cause_key=behind or f"performance:{data['metric']}",
        severity=Severity.HIGH,
        title=f"{data['metric'].replace('_', ' ')} is {value}, beyond {limit}",
        at=entry.at,
        drift_start=parse_iso(data["since"]),
        data=data,
    )


def _open_drift(reading: Reading, model: str, tenant: TenantId | None) -> str | None:
    found = [
        incident
        for incident in incident_store.active(reading)
        if incident.model == model
        and incident.kind in (Kind.DATA_DRIFT, Kind.STRUCTURE)
        and incident.tenant in (None, tenant)
    ]
    return found[0].cause_key if found else None


def _rollback_signal(entry: Entry, data: dict[str, Any]) -> Signal:
    return Signal(
        sequence=entry.sequence,
        model=data["model"],
        tenant=entry.tenant,
        kind=Kind.ROLLOUT_ROLLED_BACK,
        cause_key=f"release:{data['version']}",
        severity=Severity.MEDIUM,
        title=f"version {data['version']} was rolled back at {data['percent']:g} %",
        at=entry.at,
        drift_start=None,
        data={**data, "rollout": entry.subject},
    )
