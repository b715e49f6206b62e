"""Gauges, read off the records when somebody looks: what they say survives every restart.

A reading is kept for a moment of real time, so that many who look cost no more than one. What
cannot be read is absent until it can be: a figure of yesterday would look like one of now.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trimtab.approvals import store as approvals
from trimtab.audit import ledger
from trimtab.audit.work import Reading
from trimtab.incidents import store as incidents
from trimtab.inventory import connection_store
from trimtab.kernel.errors import Unavailable
from trimtab.monitoring import store as monitoring
from trimtab.monitoring.model import Drift, Performance, Phase, Window
from trimtab.monitoring.performance import FALSE_POSITIVE_RATE, STABLE
from trimtab.platform import child
from trimtab.platform.logs import logger
from trimtab.platform.metrics import replace
from trimtab.platform.outages import DATABASE
from trimtab.remediation import store as remediation
from trimtab.remediation.model import IN_FLIGHT
from trimtab.remediation.model import Phase as Remedy
from trimtab.rollouts import store as rollouts
from trimtab.workflows import condition
from trimtab.workflows.invariants import catalogue, nightly
from trimtab.workflows.inventoried import lag_of
from trimtab.workflows.parts import Parts

log = logger(__name__)

KEPT_SECONDS = 2.0
MOST_WINDOWS = 500
"""Windows that are shown at most: the fleet's first, so that no model is crowded out by the
tenants of another."""

Values = Mapping[tuple[str, ...], float]


class Gauges:
    """Brings the gauges of a process up to date; called by one thread at a time."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._metrics = parts.metrics
        self._until = 0.0
        self._entries: Counter[str] = Counter()
        self._counted = 0
        self._children: dict[tuple[str, str], int] = {}

    def read(self) -> None:
        """Read what there is now, unless that was done just before."""
        if time.monotonic() < self._until:
            return
        self._of_process()
        try:
            with self._parts.records.look() as reading:
                self._of_records(reading)
        except Unavailable as error:
            say = log.debug if DATABASE.explains(error) else log.error
            say("the records could not be measured", why=error.message)
            self._forget_records()
        try:
            self._of_jobs()
        except Unavailable:
            replace(self._metrics.jobs_waiting, {})
            replace(self._metrics.jobs_failed, {})
        self._until = time.monotonic() + KEPT_SECONDS

    def _of_process(self) -> None:
        states = condition.components(self._parts)
        up: Values = {(name,): float(state in condition.GOOD) for name, state in states.items()}
        replace(self._metrics.component_up, up)
        for labels, number in child.ended().items():
            more = number - self._children.get(labels, 0)
            self._metrics.children.labels(*labels).inc(more)
            self._children[labels] = number
        try:
            store = "local" if self._parts.blobs.bucket is None else "bucket"
            blobs: Values = {(store,): self._parts.blobs.quarantined()}
        except Unavailable:
            blobs = {}
        replace(self._metrics.blobs_quarantined, blobs)

    def _of_jobs(self) -> None:
        engine, metrics = self._parts.engine, self._metrics
        replace(metrics.jobs_waiting, _by_one(engine.unfinished()))
        replace(metrics.jobs_failed, _by_one(engine.dead_letters()))

    def _of_records(self, reading: Reading) -> None:
        metrics = self._metrics
        self._counted, new = ledger.count_kinds(reading.connection, after=self._counted)
        self._entries += new
        replace(metrics.ledger_entries, _by_one(self._entries))
        replace(metrics.invariants_violated, _violated(reading))
        replace(metrics.incidents_open, _by_one(incidents.open_by_severity(reading)))
        replace(metrics.rollouts_open, _by_one(rollouts.open_by_phase(reading)))
        waiting = approvals.waiting_by_tier(reading)
        replace(metrics.approvals_waiting, {(str(t),): n for t, n in waiting.items()})
        remedies = remediation.counted(reading)
        replace(metrics.remediations, _by_phase(remedies))
        replace(metrics.remediation_success_rate, _success(remedies))
        lags, limit = self._lags(reading)
        replace(metrics.registry_lag, lags)
        replace(metrics.registry_lag_limit, dict.fromkeys(lags, limit))
        looked_at = (Phase.CLOSED, Phase.SETTLED)
        closed = monitoring.last_of_models(reading, looked_at, limit=MOST_WINDOWS)
        replace(metrics.drift_score, _per_window(closed, drift_score))
        replace(metrics.anomalies_per_minute, _per_window(closed, anomalies_per_minute))
        settled = monitoring.last_of_models(reading, (Phase.SETTLED,), limit=MOST_WINDOWS)
        replace(metrics.model_accuracy, _per_version(settled, "accuracy"))
        replace(metrics.false_positive_rate, _per_version(settled, FALSE_POSITIVE_RATE))

    def _lags(self, reading: Reading) -> tuple[dict[tuple[str, ...], float], float]:
        """The lag of each of the fleet's registries; of those of tenants the largest, for who
        scrapes need not know what tenants have."""
        lags: dict[tuple[str, ...], float] = {}
        for found in connection_store.every(reading):
            lag = lag_of(found, connection_store.state(reading, found.id), reading.now)
            if lag is not None:
                whose = (found.id if found.tenant is None else "tenants",)
                lags[whose] = max(lags.get(whose, 0.0), lag.total_seconds())
        return lags, 60.0 * self._parts.settings.sync_lag_minutes

    def _forget_records(self) -> None:
        metrics = self._metrics
        for gauge in (
            metrics.ledger_entries,
            metrics.incidents_open,
            metrics.rollouts_open,
            metrics.approvals_waiting,
            metrics.remediations,
            metrics.remediation_success_rate,
            metrics.registry_lag,
            metrics.registry_lag_limit,
            metrics.drift_score,
            metrics.anomalies_per_minute,
            metrics.model_accuracy,
            metrics.false_positive_rate,
        ):
            replace(gauge, {})


def drift_score(window: Window) -> float | None:
    """The largest distance of a feature from its reference: the largest difference in the
    probability of any event, which numbers and categories have in common."""
    distances = [
        measures[name]
        for measures in (one["measures"] for one in _judged(window.drift))
        for name in ("ks_d", "category_mass")
        if measures[name] is not None
    ]
    return max(distances, default=None)


def anomalies_per_minute(window: Window) -> float | None:
    """Features that drifted or broke, per minute of the window."""
    judged = _judged(window.drift)
    alarming = [one for one in judged if one["confirmed"] or one["structural"]]
    minutes = (window.end - window.start).total_seconds() / 60
    return len(alarming) / minutes if judged else None


def rate(performance: Performance, version: str, name: str) -> float | None:
    """A rate of a stable version; None where there were too few labels to judge it at all."""
    judged = any(
        one["version"] == version and one["value"] is not None for one in performance.judgements
    )
    for side in performance.sides:
        if judged and (side["version"], side["deployment"]) == (version, STABLE):
            found = side["rates"].get(name)
            return None if found is None else float(found["estimate"])
    return None


def _judged(drift: Drift | None) -> Sequence[dict[str, Any]]:
    """What was said of the features that there was enough of, or that broke."""
    features = () if drift is None else drift.features
    return [one for one in features if one["insufficient"] is None or one["structural"]]


def _per_window(
    windows: Sequence[Window], figure: Callable[[Window], float | None]
) -> dict[tuple[str, ...], float]:
    found = {(window.tenant or "", window.model): figure(window) for window in windows}
    return {labels: value for labels, value in found.items() if value is not None}


def _per_version(windows: Sequence[Window], name: str) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for window in windows:
        if window.performance is None:
            continue
        for version in {str(one["version"]) for one in window.performance.judgements}:
            value = rate(window.performance, version, name)
            if value is not None:
                found[window.tenant or "", window.model, version] = value
    return found


def _by_phase(remedies: Sequence[remediation.Group]) -> dict[tuple[str, ...], float]:
    found: Counter[tuple[str, ...]] = Counter()
    for group in remedies:
        found[group.action, group.phase.value] += group.number
    return dict(found)


def _success(remedies: Sequence[remediation.Group]) -> dict[tuple[str, ...], float]:
    """By tenant, of the remedies that were begun and are over, those whose recovery was
    measured."""
    over, good = Counter[str](), Counter[str]()
    for group in remedies:
        tenant = group.tenant or ""
        if group.begun and (group.phase is Remedy.FAILED or group.phase not in IN_FLIGHT):
            over[tenant] += group.begun
            good[tenant] += group.begun if group.phase is Remedy.SUCCEEDED else 0
    return {(tenant,): good[tenant] / number for tenant, number in over.items()}


def _violated(reading: Reading) -> Values:
    newest = nightly.last_check(reading)
    if newest is None or newest.data is None:
        return {}
    names = (*(invariant.name for invariant in catalogue.EVERY), catalogue.HEADS)
    return {(name,): newest.data["violated"].get(name, 0) for name in names}


def _by_one(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}
