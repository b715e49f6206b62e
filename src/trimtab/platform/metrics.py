"""Every metric of the product, declared in one place, in a registry of our own.

Counters and histograms are of this process, and are written where the thing happens. Gauges
are read off the records when somebody looks, so that a restart loses none and all processes
say the same. A gauge without evidence is absent: it is removed, never set to 0. Every gauge
therefore has a label, because one without would read 0 from the start. Labels are bounded:
routes are templates, and no label holds a request's text. An empty tenant is the fleet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The media type of what `Metrics.render` returns."""

_LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)
_JOB_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_MODEL = ("tenant", "model")
_VERSION = ("tenant", "model", "version")


class Metrics:
    """The metrics of one process; `app.py` makes one and passes it on."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._look: Callable[[], None] = lambda: None
        self._service()
        self._work()
        self._models()
        self._registries()
        self._repair()

    def read_with(self, look: Callable[[], None]) -> None:
        """Let `look` bring the gauges up to date before each rendering."""
        self._look = look

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, version 0.0.4."""
        with self._lock:  # nobody sees gauges that are half replaced
            self._look()
            return generate_latest(self.registry)

    def describe(self) -> dict[str, str]:
        """Each metric's name with its meaning, in order of the name."""
        families = sorted(self.registry.collect(), key=lambda family: family.name)
        return {family.name: family.documentation for family in families}

    def _service(self) -> None:
        self.http_seconds = Histogram(
            "trimtab_http_request_seconds",
            "Time to answer a request, by route template.",
            ("method", "route", "status"),
            buckets=_LATENCY_SECONDS,
            registry=self.registry,
        )
        self.requests_refused = Counter(
            "trimtab_requests_refused",
            "Requests that were refused or failed, by the code of the problem.",
            ("code",),
            registry=self.registry,
        )
        self.component_up = Gauge(
            "trimtab_component_up",
            "1 while a part this process depends on answers, 0 while it does not.",
            ("component",),
            registry=self.registry,
        )

    def _work(self) -> None:
        self.jobs_waiting = Gauge(
            "trimtab_jobs_waiting",
            "Jobs that wait or run, by queue.",
            ("queue",),
            registry=self.registry,
        )
        self.jobs_failed = Gauge(
            "trimtab_jobs_failed",
            "Dead letters: jobs that were given up, and that a person has to look at.",
            ("job",),
            registry=self.registry,
        )
        self.job_seconds = Histogram(
            "trimtab_job_seconds",
            "Time that a try of a job took, by how it ended: done or failed.",
            ("job", "outcome"),
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )
        self.children = Counter(
            "trimtab_children",
            "Confined child processes, by what they did and how they ended.",
            ("module", "outcome"),
            registry=self.registry,
        )
        self.ledger_entries = Gauge(
            "trimtab_ledger_entries",
            "Entries of the audit ledger, by kind.",
            ("kind",),
            registry=self.registry,
        )
        self.invariants_violated = Gauge(
            "trimtab_invariants_violated",
            "Exceptions to an invariant of the records that the last daily check found; absent "
            "before the first.",
            ("invariant",),
            registry=self.registry,
        )
        self.integrity_failures = Counter(
            "trimtab_integrity_failures",
            "Bytes, signatures or history that were not what was recorded or said.",
            ("what",),
            registry=self.registry,
        )
        self.blobs_quarantined = Gauge(
            "trimtab_blobs_quarantined",
            "Stored files that were damaged and moved aside.",
            ("store",),
            registry=self.registry,
        )

    def _models(self) -> None:
        self.uploads = Counter(
            "trimtab_uploads",
            "Versions that were handed in and taken, by what inspection said of them.",
            ("inspection",),
            registry=self.registry,
        )
        self.predictions = Counter(
            "trimtab_predictions",
            "Rows of predictions taken in, repeated batches left out.",
            ("model",),
            registry=self.registry,
        )
        self.labels = Counter(
            "trimtab_labels",
            "Rows of labels taken in, repeated batches left out.",
            ("model",),
            registry=self.registry,
        )
        self.late_rows = Counter(
            "trimtab_late_rows",
            "Rows as sent that came after their window was judged: late ones re-open it, those "
            "too late are kept and count nowhere.",
            ("model", "what", "outcome"),
            registry=self.registry,
        )
        self.drift_score = Gauge(
            "drift_score",
            "Largest distance of any feature from its reference in the last closed window, as a "
            "share of probability, 0 to 1; absent when there is too little data.",
            _MODEL,
            registry=self.registry,
        )
        self.anomalies_per_minute = Gauge(
            "anomaly_count_per_min",
            "Features that drifted or broke in the last closed window, per minute of it; absent "
            "when there is too little data.",
            _MODEL,
            registry=self.registry,
        )
        self.model_accuracy = Gauge(
            "model_accuracy",
            "Accuracy of a stable version on the labels of the last settled window; absent "
            "without enough labels.",
            _VERSION,
            registry=self.registry,
        )
        self.false_positive_rate = Gauge(
            "trimtab_false_positive_rate",
            "False-positive rate of a stable version in the last settled window; absent without "
            "enough labels.",
            _VERSION,
            registry=self.registry,
        )
        self.verdicts = Counter(
            "trimtab_verdicts",
            "Looks at evidence, by what looked and what it said.",
            ("what", "verdict"),
            registry=self.registry,
        )

    def _registries(self) -> None:
        self.registry_lag = Gauge(
            "trimtab_registry_lag_seconds",
            "For how long a connected registry was not read in full; of tenants' the longest.",
            ("connection",),
            registry=self.registry,
        )
        self.registry_lag_limit = Gauge(
            "trimtab_registry_lag_limit_seconds",
            "For how long that may be before the registry counts as lagging.",
            ("connection",),
            registry=self.registry,
        )

    def _repair(self) -> None:
        self.incidents_open = Gauge(
            "trimtab_incidents_open",
            "Incidents not settled.",
            ("severity",),
            registry=self.registry,
        )
        self.remediations = Gauge(
            "trimtab_remediations",
            "Remediations, by action and where they stand.",
            ("action", "phase"),
            registry=self.registry,
        )
        self.remediation_success_rate = Gauge(
            "remediation_success_rate",
            "Share of the remediations that were begun and are over whose recovery was "
            "measured, 0 to 1; absent before the first.",
            ("tenant",),
            registry=self.registry,
        )
        self.approvals_waiting = Gauge(
            "trimtab_approvals_waiting",
            "Approval requests that nobody has decided, by the tier of the model.",
            ("tier",),
            registry=self.registry,
        )
        self.rollouts_open = Gauge(
            "trimtab_rollouts_open",
            "Rollouts not settled, by where they stand.",
            ("phase",),
            registry=self.registry,
        )


def replace(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """Let a gauge have these values, by its labels, and no others."""
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
