"""Recovery read off the windows: before, during, after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Incident, Kind
from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.monitoring import service as monitoring
from trimtab.monitoring import store as monitoring_store
from trimtab.monitoring.service import Point
from trimtab.monitoring.watch import Subject, WatchPhase
from trimtab.policies.model import TierPolicy
from trimtab.policies.operation import ActionName
from trimtab.registry import deployment_store
from trimtab.registry.deployments import Deployment
from trimtab.remediation.model import Remediation
from trimtab.remediation.recovery import Measured, Metric, Window, measure

SETTLED = "settled"
_FALSE_POSITIVES = "false_positive_rate"
_LOOKED_AT = ("window.closed", "window.settled", "window.revised")
MEASURABLE = (Kind.DATA_DRIFT, Kind.STRUCTURE, Kind.NEW_CATEGORY, Kind.PERFORMANCE)
"""Kinds of incidents that end because a figure comes back."""


@dataclass(frozen=True)
class Figure:
    """A figure of a window, and how it is read off it."""

    metric: Metric
    read: Callable[[Point], float | None]
    needs_labels: bool


def of_incident(reading: Reading, incident: Incident, demands: TierPolicy) -> Measured | None:
    """How far what an incident is about has come back by itself, or by a hand elsewhere.

    None where no figure shows the harm, before or during.
    """
    points = _points(reading, incident, demands)
    flagged = [p.start for p in points if p.start >= _began(incident) and _bad(p, incident)]
    if not flagged:
        return None
    last = max(flagged)
    return _measured(points, incident, demands, until=last, inclusive=True)


def of_remedy(
    reading: Reading, remedy: Remediation, incident: Incident, demands: TierPolicy
) -> Measured | None:
    """How far it has come back since a remedy was carried out."""
    moment = _took_effect(reading, remedy)
    if moment is None:
        return None
    return _measured(
        _points(reading, incident, demands),
        incident,
        demands,
        until=moment,
        inclusive=False,
        # Another version does not move the inputs back: it is to answer them better.
        about_outcomes=remedy.action is ActionName.RETRAIN_MODEL,
    )


def _took_effect(reading: Reading, remedy: Remediation) -> datetime | None:
    """When a remedy began to work: a new version does when it has become stable, however
    long before it was trained."""
    version = (remedy.result or {}).get("version")
    if remedy.action is not ActionName.RETRAIN_MODEL or version is None:
        return remedy.executed_at or remedy.started_at
    stable = deployment_store.in_place(
        reading, remedy.model, remedy.tenant, remedy.environment, Deployment.STABLE
    )
    return stable.since if stable is not None and stable.version == version else None


def is_calm(reading: Reading, incident: Incident) -> bool:
    """Whether nothing that an incident is about is believed any more."""
    watches = [
        w
        for w in monitoring_store.watches(reading, incident.model)
        if w.tenant == incident.tenant and w.phase is WatchPhase.CONFIRMED
    ]
    about = {Subject.PERFORMANCE}
    if incident.kind is not Kind.PERFORMANCE:
        about |= {Subject.DRIFT, Subject.STRUCTURE}
    return not any(
        w.subject in about and not w.name.startswith(f"{incident.feature}/vanished")
        for w in watches
    )


def due(reading: Reading) -> list[tuple[str, str]]:
    """Incidents to be looked at again because windows have been looked at since."""
    active = [i for i in incident_store.active(reading) if i.kind in MEASURABLE]
    if not active:
        return []
    newest = ledger.entries(reading.connection, kinds=_LOOKED_AT, newest_first=True, limit=1)
    mark = str(newest[0].sequence) if newest else "0"
    return [(incident.id, mark) for incident in active]


def _measured(
    points: Sequence[Point],
    incident: Incident,
    demands: TierPolicy,
    *,
    until: datetime,
    inclusive: bool,
    about_outcomes: bool = False,
) -> Measured | None:
    began = _began(incident)
    wanted = demands.remediation.recovery.windows_before
    before = [p for p in points if p.end <= began][-wanted:]
    during = [p for p in points if p.start >= began and _within(p, until, inclusive)]
    after = [p for p in points if p.start >= began and not _within(p, until, inclusive)]
    figure = _figure(before, during, incident, demands, about_outcomes=about_outcomes)
    if figure is None:
        return None
    if figure.needs_labels:  # a window that still waits for its labels is not yet a look
        after = [p for p in after if p.phase == SETTLED]
    try:
        return measure(
            figure.metric,
            before=[_window(p, figure) for p in before],
            during=[_window(p, figure) for p in during],
            after=[_window(p, figure) for p in after],
            demands=demands.remediation.recovery,
            triggers=demands.remediation.rollback_triggers,
        )
    except (InvalidInput, TooFewValues):
        return None


def _within(point: Point, until: datetime, inclusive: bool) -> bool:
    return point.start <= until if inclusive else point.start < until


def _figure(
    before: Sequence[Point],
    during: Sequence[Point],
    incident: Incident,
    demands: TierPolicy,
    *,
    about_outcomes: bool,
) -> Figure | None:
    """The figure that shows the harm best: false positives beyond their limit; else what has
    decayed most, measured by its trigger; else the drift itself, where that is the question."""
    watch = demands.monitoring
    false_positives = Figure(Metric(_FALSE_POSITIVES), _rate(_FALSE_POSITIVES), needs_labels=True)
    worst = _mid(during, false_positives)
    if worst is not None and worst > watch.max_false_positive_rate:
        return false_positives
    decays: list[tuple[float, Figure]] = []
    for name in ("accuracy", "precision", "recall"):
        figure = Figure(Metric(name, more_is_better=True), _rate(name), needs_labels=True)
        was, became = _mid(before, figure), _mid(during, figure)
        trigger = getattr(watch.triggers, f"{name}_decay_percent_points") / 100
        if was is not None and became is not None and was - became > trigger:
            decays.append(((was - became) / trigger, figure))
    if decays:
        return max(decays, key=lambda decay: decay[0])[1]
    if incident.feature is None or about_outcomes:
        return None
    feature = incident.feature
    return Figure(
        Metric(f"drift of {feature}"), lambda point: _distance(point, feature), needs_labels=False
    )


def _mid(points: Sequence[Point], figure: Figure) -> float | None:
    values = sorted(v for v in map(figure.read, points) if v is not None)
    return values[len(values) // 2] if values else None


def _window(point: Point, figure: Figure) -> Window:
    return Window(point.window, point.start, figure.read(point), point.rows)


def _rate(name: str) -> Callable[[Point], float | None]:
    """A rate of the version that answered most rows of a window, the stable one first."""

    def read(point: Point) -> float | None:
        sides = sorted(point.sides, key=lambda s: (s["deployment"] == "stable", s["rows"]))
        for side in reversed(sides):
            rate = (side.get("rates") or {}).get(name)
            if rate:
                return float(rate["estimate"])
        return None

    return read


def _distance(point: Point, feature: str) -> float | None:
    for found in point.features:
        if found["feature"] == feature:
            value = found.get("ks_d")
            value = found.get("category_mass") if value is None else value
            return None if value is None else float(value)
    return None


def _bad(point: Point, incident: Incident) -> bool:
    """Whether a window shows what the incident is about."""
    if incident.kind is Kind.PERFORMANCE:
        return any(j["verdict"] == "fail" for j in point.judgements)
    return any(
        f["feature"] == incident.feature and (f["confirmed"] or f["structural"])
        for f in point.features
    )


def _points(reading: Reading, incident: Incident, demands: TierPolicy) -> list[Point]:
    length = timedelta(hours=demands.monitoring.window_hours)
    since = _began(incident) - demands.remediation.recovery.windows_before * length
    return monitoring.series(reading, incident.model, incident.tenant, since=since)


def _began(incident: Incident) -> datetime:
    return incident.drift_start or incident.detected_at
