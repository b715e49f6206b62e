"""Drift that goes on and is no news: a resolved incident has found out what it is."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.audit.work import Reading
from trimtab.diagnosis import store as diagnoses
from trimtab.incidents import store
from trimtab.incidents.model import Incident, Phase
from trimtab.monitoring.watch import Subject, Watch, WatchPhase
from trimtab.web.session import Visitor

_LISTED = 50


def of(reading: Reading, visitor: Visitor, model: str, watches: Sequence[Watch]) -> dict[str, str]:
    """By the id of a confirmed watch, the incident that explains its episode, for those watches
    that have one.

    An incident explains what began while it lasted and was about its feature, or about one
    that its diagnosis names as part of the same cause.
    """
    moved = [
        w
        for w in watches
        if w.phase is WatchPhase.CONFIRMED and w.subject is not Subject.PERFORMANCE
    ]
    if not moved or not visitor.may("incidents:read"):
        return {}
    over = store.listed(
        reading, model=model, tenant=visitor.tenant, phases=[Phase.RESOLVED], limit=_LISTED
    )
    found: dict[str, str] = {}
    for incident in over:
        fitting = [w for w in moved if w.id not in found and _during(incident, w)]
        features = _features(reading, incident) if fitting else frozenset()
        found |= {w.id: incident.id for w in fitting if _feature(w) in features}
    return found


def _during(incident: Incident, watch: Watch) -> bool:
    """Whether the episode of a watch began while an incident lasted."""
    began, ended = incident.drift_start or incident.detected_at, incident.resolved_at
    here = incident.tenant in (None, watch.tenant)
    return here and watch.since is not None and ended is not None and began <= watch.since <= ended


def _feature(watch: Watch) -> str:
    """What a watch is about: `carrier`, also where its name is `carrier/new_category/XX`."""
    return watch.name.split("/", 1)[0] if watch.subject is Subject.STRUCTURE else watch.name


def _features(reading: Reading, incident: Incident) -> frozenset[str]:
    """What an incident is about: its feature, and those that belong to the cause found."""
    diagnosis = diagnoses.newest_of(reading, incident.id)
    cause = None if diagnosis is None else diagnosis.analysis.cause
    named = {incident.feature}
    if cause is not None:
        named |= {cause.feature, *cause.values.get("features", ())}
    return frozenset(name for name in named if name is not None)
