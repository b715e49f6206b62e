"""Windows close, global and per tenant -> drift and performance -> signals -> incidents.

A window is looked at when its time is over, and judged when its labels are in; rows that come
later than that re-open it (`late.py`). What
is believed after enough windows in a row becomes a signal; signals of one cause become one
incident. A window that nobody looked at shows as missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Kind, Severity, Signal
from trimtab.kernel.actor import system
from trimtab.kernel.clock import parse_iso
from trimtab.kernel.errors import Conflict, InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.monitoring import late_store
from trimtab.monitoring import service as monitoring
from trimtab.monitoring import store as monitoring_store
from trimtab.monitoring.late import What, received_by
from trimtab.monitoring.model import Phase, Window
from trimtab.monitoring.performance import Tally, VersionFacts, outcomes
from trimtab.monitoring.reference import Reference, References
from trimtab.monitoring.revision import Anew, revise
from trimtab.monitoring.survey import survey
from trimtab.observations import frame as frames
from trimtab.observations import store as observations
from trimtab.observations.frame import Frame
from trimtab.policies.operation import Monitoring
from trimtab.registry import deployment_store, store
from trimtab.registry.model import Model, Version
from trimtab.workflows import late
from trimtab.workflows.parts import ENVIRONMENT, Parts, policy_of

REFERENCE_BYTES = 1 << 30
TENANT_COLUMN = "tenant"
"""A column of this name in reference data tells whose each row is."""

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
            seen = late.sent(reading, window, What.PREDICTIONS)
            frame = rows_between(reading, window.model, window.start, window.end)
            references = self.references(reading, model, window.end)
        demands, digest = policy_of(parts, model)
        found = survey(frame, references, demands.monitoring)
        with parts.records.begin(_WATCH, reason="the window is over") as work:
            first = monitoring_store.get(work, window.id).phase is window.phase
            closed = monitoring.close_window(
                work,
                window.id,
                found,
                demands.monitoring,
                label_wait=timedelta(hours=demands.monitoring.label_wait_hours),
                policy_digest=digest,
            )
            if first:  # else somebody closed it meanwhile, and knows what came since
                late.note_since(parts, work, window, What.PREDICTIONS, seen, demands.monitoring)
        for one in closed if first else ():
            if one.drift is not None:
                parts.metrics.verdicts.labels("drift", one.drift.verdict.value).inc()

    def _settle(self, window: Window) -> None:
        parts = self._parts
        with parts.records.look() as reading:
            model = store.model_named(reading, window.model)
            seen = late.sent(reading, window, What.LABELS)
            frame = rows_between(reading, window.model, window.start, window.end)
            facts = facts_of(reading, window.model)
        demands, digest = policy_of(parts, model)
        tallies = tallies_of(frame, facts, demands.monitoring)
        with parts.records.begin(_WATCH, reason="its labels are in") as work:
            first = monitoring_store.get(work, window.id).phase is window.phase
            settled = monitoring.settle_window(
                work, window.id, tallies, facts, demands.monitoring, policy_digest=digest
            )
            if first:
                late.note_since(parts, work, window, What.LABELS, seen, demands.monitoring)
        for one in settled if first else ():
            if one.performance is not None:
                parts.metrics.verdicts.labels("performance", one.performance.verdict.value).inc()

    def judge_again(self, window_id: str) -> None:
        """Judge a window again with the rows that came late, if any have.

        Raises:
            Conflict: somebody moved it meanwhile; try again with what there is then.
        """
        parts = self._parts
        with parts.records.look() as reading:
            window = monitoring_store.get(reading, window_id)
            came = late_store.of_windows(reading, [window]).get(window_id)
            if came is None or came.due_at is None or came.due_at > reading.now:
                return
            model = store.model_named(reading, window.model)
            demands, digest = policy_of(parts, model)
            frame = rows_between(
                reading,
                window.model,
                window.start,
                window.end,
                received_by=received_by(window, demands.monitoring),
            )
            facts = facts_of(reading, window.model)
            references = self._references_then(reading, model, window)
        same_input = window.rows == (0 if frame is None else len(frame))
        anew = Anew(
            None if same_input else survey(frame, references, demands.monitoring),
            tallies_of(frame, facts, demands.monitoring),
            facts,
        )
        with parts.records.begin(_WATCH, reason="rows came late") as work:
            if monitoring_store.get(work, window_id).revision != window.revision:
                raise Conflict(f"window {window_id} was moved meanwhile")
            revise(work, window_id, anew, demands.monitoring, policy_digest=digest)
            late_store.judged(work, came, demands.monitoring)

    def _references_then(self, reading: Reading, model: Model, window: Window) -> References:
        """What a window was compared with when it was closed, whatever is stable now; where
        nobody could look then, what was stable until its end."""
        digests = {
            mine.tenant: mine.drift.reference
            for mine in monitoring_store.beside(reading, window)
            if mine.drift is not None and mine.drift.reference
        }
        if None not in digests:
            return self.references(reading, model, window.end)
        versions = store.versions_of(reading, model.name, everyone=True)
        by_digest: dict[str, Version] = {v.reference_digest: v for v in versions}
        then = {
            tenant: self.reference(model, by_digest[digest])
            for tenant, digest in digests.items()
            if tenant is None or digest != digests[None]
        }
        fleet = then.pop(None)
        return References(fleet, {str(tenant): found for tenant, found in then.items()})

    def references(self, reading: Reading, model: Model, until: datetime) -> References:
        """What a window that ends then is compared with: what the versions learnt from that
        were stable until then. A version that takes over at its end has answered none of it."""
        fleet: Reference | None = None
        dedicated: dict[str, Reference] = {}
        placed = deployment_store.stable_before(reading, model.name, ENVIRONMENT, until)
        for deployed in placed:
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
    try:
        return Reference.from_parquet(content, kinds, tenant_column=TENANT_COLUMN, digest=digest)
    except InvalidInput as error:
        if error.field != TENANT_COLUMN:
            raise
        return Reference.from_parquet(content, kinds, digest=digest)


def rows_between(
    reading: Reading,
    model: str,
    start: datetime,
    end: datetime,
    *,
    received_by: datetime | None = None,
) -> Frame | None:
    """The rows of a stretch of time, or None where no prediction was made; with
    `received_by`, as if what came later had never come."""
    if not observations.count_between(reading, observations.PREDICTIONS, model, start, end):
        return None
    features = store.model_named(reading, model).feature_names
    try:
        return frames.load(reading, model, start, end, features=features, received_by=received_by)
    except InvalidInput:
        return None


def tallies_of(
    frame: Frame | None, facts: Mapping[str, VersionFacts], demands: Monitoring
) -> Sequence[Tally]:
    """What each version did for each tenant in the rows of a window."""
    if frame is None:
        return ()
    counted = frame if demands.count_repeats else frame.without_repeats()
    return outcomes(counted, {version: fact.cutoff for version, fact in facts.items()})


def facts_of(reading: Reading, model: str) -> dict[str, VersionFacts]:
    """What every version of a model says of itself."""
    return {
        v.version: VersionFacts(v.cutoff, v.training_metrics, v.tenant)
        for v in store.versions_of(reading, model, everyone=True)
    }


def unscheduled(reading: Reading) -> list[tuple[str, str]]:
    """Models whose present window does not exist yet."""
    return [(model, reading.moment) for model in monitoring_store.unscheduled(reading)]


def due(reading: Reading) -> list[tuple[str, str]]:
    """Windows that something is to be done with now."""
    return [(window_id, reading.moment) for window_id in monitoring_store.due(reading, reading.now)]


def open_incident(parts: Parts, entry: Entry) -> None:
    """Make what is believed now a signal: it opens an incident, or joins the one there is."""
    with parts.records.begin(_WATCH, reason="signal", cause=entry.sequence) as work:
        signal = signal_of(parts, work, entry)
        if signal is None:
            return
        incident = incidents.open_or_join(work, signal)
        if entry.kind == "rollback.refused":  # no remedy of ours is left
            incidents.escalate(work, incident.id, signal.title)


def signal_of(parts: Parts, reading: Reading, entry: Entry) -> Signal | None:
    """The signal in a ledger entry; None where there is nothing in it to act on."""
    data = entry.data or {}
    match entry.kind:
        case "drift.confirmed":
            return _drift_signal(parts, reading, entry, data)
        case "performance.degraded":
            return _performance_signal(reading, entry, data)
        case "rollout.rolled_back":
            return _rollback_signal(entry, data)
        case "rollback.refused":
            return _left_empty_signal(entry, data)
    return None


def _drift_signal(parts: Parts, reading: Reading, entry: Entry, data: dict[str, Any]) -> Signal:
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
        cause_key=_beside(parts, reading, entry, data) or f"{what}:{data['feature']}",
        severity=_severity(data, kind),
        title=title,
        at=entry.at,
        feature=data["feature"],
        drift_start=parse_iso(data["since"]),
        data=data,
    )


def _beside(parts: Parts, reading: Reading, entry: Entry, data: dict[str, Any]) -> str | None:
    """The cause key of an open incident that this drift belongs to, or None."""
    since = parse_iso(data["since"])
    demands, _ = policy_of(parts, store.model_named(reading, data["model"]))
    episode = timedelta(days=demands.monitoring.episode_days)
    for incident in incident_store.active(reading):
        place = incident.model == data["model"] and incident.tenant in (None, entry.tenant)
        if not place or incident.kind not in _DRIFTING:
            continue
        near = since - incident.last_signal_at <= episode
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


def _left_empty_signal(entry: Entry, data: dict[str, Any]) -> Signal:
    return Signal(
        sequence=entry.sequence,
        model=data["model"],
        tenant=entry.tenant,
        kind=Kind.SERVICE,
        cause_key=f"rollback:{data['version']}",
        severity=Severity.CRITICAL,
        title=f"version {data['version']} was withdrawn, and nothing took its place: {data['why']}",
        at=entry.at,
        data=data,
    )
