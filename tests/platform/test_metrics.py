"""Metrics: declared once, named by the rules, absent without evidence."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from trimtab.platform.metrics import CONTENT_TYPE, Metrics

ALERTED = {"drift_score", "anomaly_count_per_min", "model_accuracy", "remediation_success_rate"}


def samples(metrics: Metrics) -> dict[str, float]:
    """Each series with its value, as a reader of the text understands it."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_nothing_is_claimed_before_anything_was_seen() -> None:
    assert samples(Metrics()) == {}


def test_a_gauge_that_loses_its_evidence_disappears() -> None:
    metrics = Metrics()
    metrics.drift_score.labels("ten_a", "mod_1").set(0.31)
    assert list(samples(metrics).values()) == [0.31]
    metrics.drift_score.remove("ten_a", "mod_1")
    assert samples(metrics) == {}


def test_requests_are_counted_and_timed_by_route_template() -> None:
    metrics = Metrics()
    metrics.http_seconds.labels("GET", "/api/v1/models/{model_id}", "200").observe(0.03)
    labels = "[('method', 'GET'), ('route', '/api/v1/models/{model_id}'), ('status', '200')]"
    assert samples(metrics)[f"trimtab_http_request_seconds_count{labels}"] == 1


def test_two_processes_in_one_do_not_share_or_collide() -> None:
    first, second = Metrics(), Metrics()
    first.predictions.labels("mod_1").inc()
    assert samples(second) == {}


def test_every_metric_is_described_and_named_by_the_rules() -> None:
    described = Metrics().describe()
    assert described.keys() >= ALERTED
    for name, meaning in described.items():
        assert name in ALERTED or name.startswith("trimtab_")
        assert re.fullmatch(r"[a-z][a-z_]*", name)
        assert meaning.endswith(".")


def test_a_hostile_label_stays_inside_its_quotes() -> None:
    metrics = Metrics()
    metrics.predictions.labels('x"} 1\ntrimtab_predictions_total{model="b').inc()
    assert len([name for name in samples(metrics) if "_total[" in name]) == 1


def test_the_media_type_is_the_text_format() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
