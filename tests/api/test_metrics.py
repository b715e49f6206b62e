"""A story over HTTP moves the figures of handing in, deciding and refusing."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.workflows.test_metrics import WATCHED

from trimtab.platform.metrics import Metrics
from trimtab.workflows.jobs import queues

MOVED_HERE = {
    "trimtab_approvals_waiting",
    "trimtab_blobs_quarantined",
    "trimtab_children",
    "trimtab_integrity_failures",
    "trimtab_jobs_waiting",
    "trimtab_registry_lag_limit_seconds",
    "trimtab_registry_lag_seconds",
    "trimtab_requests_refused",
    "trimtab_rollouts_open",
    "trimtab_uploads",
}


def page(house: Any) -> dict[str, dict[str, float]]:
    """Each family: its series with their values."""
    return {
        family.name: {f"{s.name}{sorted(s.labels.items())}": s.value for s in family.samples}
        for family in text_string_to_metric_families(httpx.get(house.url + "/metrics").text)
    }


def test_every_family_is_moved_by_a_story() -> None:
    assert {*Metrics().describe()} == MOVED_HERE | WATCHED


@pytest.mark.slow
def test_a_story_moves_the_figures(house: Any) -> None:
    time.sleep(2.5)  # gauges are kept for a moment
    before = page(house)
    house.people["admin"].connections.connect(
        "https://mlflow.example.org", name="measured", reason="to see its lag"
    )
    damaged = house.registered(house.new_model())
    waiting = house.registered(house.new_model())
    busy = page(house)
    house.settle()
    path = house.blob(damaged["digest"])
    path.unlink()
    path.write_bytes(b"other bytes")
    with house.http("data_scientist") as http:
        asked = {"model": damaged["model"], "version": "1.0.0"}
        assert http.get("/api/ml/model/download", params=asked).status_code == 409
        http.request("MADEUP", "/api/v1/models")
    time.sleep(2.5)
    after = page(house)
    house.approved(house.new_model())
    time.sleep(2.5)
    released = page(house)
    found = [before, busy, after, released]
    moved = {
        name
        for name in MOVED_HERE
        if len({tuple(sorted(p.get(name, {}).items())) for p in found}) > 1
    }
    assert moved >= MOVED_HERE - {"trimtab_jobs_waiting"}  # which may be done before one looks
    assert after["trimtab_jobs_waiting"].keys() == {
        f"trimtab_jobs_waiting[('queue', '{queue}')]" for queue in queues(1)
    }

    def grew(name: str, series: str, upto: dict[str, dict[str, float]] = after) -> float:
        return upto[name].get(series, 0) - before.get(name, {}).get(series, 0)

    code = "trimtab_requests_refused_total[('code', 'integrity_failed')]"
    assert grew("trimtab_requests_refused", code) == 1
    what = "trimtab_integrity_failures_total[('what', 'artifact')]"
    assert grew("trimtab_integrity_failures", what) == 1
    store = "trimtab_blobs_quarantined[('store', 'local')]"
    assert grew("trimtab_blobs_quarantined", store) == 1
    assert sum(after["trimtab_uploads"].values()) > sum(before["trimtab_uploads"].values())
    tier = "trimtab_approvals_waiting[('tier', '2')]"
    assert grew("trimtab_approvals_waiting", tier) >= 1
    running = "trimtab_rollouts_open[('phase', 'running')]"
    assert grew("trimtab_rollouts_open", running, released) == 1
    assert waiting["lifecycle"] == "development"
    methods = {s for s in released["trimtab_http_request_seconds"] if "MADEUP" in s}
    assert methods == set()
