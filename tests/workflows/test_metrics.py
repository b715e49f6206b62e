"""A story over HTTP moves the figures of watching and repairing; a restart loses no gauge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.databases import unreachable
from tests.workflows.house import DAY, FIRST, House

from trimtab.platform.metrics import Metrics
from trimtab.sdk.client import Client
from trimtab.workflows import gauges
from trimtab.workflows.gauges import Gauges

pytestmark = pytest.mark.slow

WATCHED = {
    "anomaly_count_per_min",
    "drift_score",
    "model_accuracy",
    "remediation_success_rate",
    "trimtab_component_up",
    "trimtab_false_positive_rate",
    "trimtab_http_request_seconds",
    "trimtab_incidents_open",
    "trimtab_invariants_violated",
    "trimtab_job_seconds",
    "trimtab_jobs_failed",
    "trimtab_labels",
    "trimtab_late_rows",
    "trimtab_ledger_entries",
    "trimtab_predictions",
    "trimtab_remediations",
    "trimtab_verdicts",
}
"""Families that this story moves; `tests/api/test_metrics.py` moves the others."""

GAUGES = "gauge"


@pytest.fixture(autouse=True)
def _look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "KEPT_SECONDS", 0.0)


def families(text: str, kind: str | None = None) -> dict[str, dict[str, float]]:
    """Each family that has figures: its series with their values, as they stand there."""
    return {
        family.name: {f"{s.name}{sorted(s.labels.items())}": s.value for s in family.samples}
        for family in text_string_to_metric_families(text)
        if family.samples and kind in (None, family.type) and not family.name.endswith("_created")
    }


def live(house: House, days: range, *, broken: bool = False) -> None:
    for day in days:
        house.step_to(FIRST + day * DAY + timedelta(hours=12))
        sent = house.rows(day, flagged=300 if broken else 0)
        house.predict(sent, factor=3.0 if broken else 1.0)
        house.label(sent)


def test_a_story_moves_the_figures_and_a_restart_loses_no_gauge(house: House) -> None:
    before = families(house.client.get("/metrics").text)
    live(house, range(3))
    calm = families(house.client.get("/metrics").text)
    live(house, range(3, 7), broken=True)
    house.predict(house.rows(1))  # of a day that was judged long since
    broken = families(house.client.get("/metrics").text)
    moved = {name for name in broken if broken[name] != before.get(name)}
    assert moved >= WATCHED - {"trimtab_component_up", "trimtab_jobs_failed"}  # below

    parcels = "[('model', 'parcels'), ('tenant', '')]"
    version = "[('model', 'parcels'), ('tenant', ''), ('version', '1.0.0')]"
    assert calm["drift_score"][f"drift_score{parcels}"] < 0.1
    assert broken["drift_score"][f"drift_score{parcels}"] > 0.5
    assert broken["anomaly_count_per_min"][f"anomaly_count_per_min{parcels}"] == 1 / 1440
    assert calm["model_accuracy"][f"model_accuracy{version}"] == 1.0
    assert broken["model_accuracy"][f"model_accuracy{version}"] == 0.5
    name = "trimtab_false_positive_rate"
    assert broken[name][f"{name}{version}"] == pytest.approx(300 / 540)
    assert sum(calm["trimtab_incidents_open"].values()) == 0
    assert sum(broken["trimtab_incidents_open"].values()) == 1
    assert broken["remediation_success_rate"] == {"remediation_success_rate[('tenant', '')]": 1.0}
    assert "trimtab_predictions_total[('model', 'parcels')]" in broken["trimtab_predictions"]

    with Client(str(house.client.base_url), token=house.admin["Authorization"][7:]) as admin:
        entries = sum(1 for _ in admin.audit.entries())
    text = house.client.get("/metrics").text
    assert sum(families(text)["trimtab_ledger_entries"].values()) == entries

    parts = house.application.parts
    another = replace(parts, metrics=Metrics())  # a process that has seen nothing of it
    another.metrics.read_with(Gauges(another).read)
    told = families(another.metrics.render().decode(), GAUGES)
    assert told == families(house.client.get("/metrics").text, GAUGES)


def test_what_failed_is_counted_and_what_cannot_be_read_is_absent(house: House) -> None:
    live(house, range(2))
    parts = house.application.parts
    assert "trimtab_ledger_entries{" in house.client.get("/metrics").text
    parts.engine.enqueue("intake.check", "of-no-entry", {"sequence": 1_000_000})
    assert parts.engine.wait_idle(60)
    failed = families(house.client.get("/metrics").text)["trimtab_jobs_failed"]
    assert failed == {"trimtab_jobs_failed[('job', 'intake.check')]": 1.0}
    with unreachable(parts.settings.home):
        parts.engine.stop(5)
        answer = house.client.get("/metrics")
    assert answer.status_code == 200
    found = families(answer.text)["trimtab_component_up"]
    assert found["trimtab_component_up[('component', 'database')]"] == 0.0
    assert found["trimtab_component_up[('component', 'jobs')]"] == 0.0
    assert "trimtab_jobs_waiting" not in families(answer.text)
