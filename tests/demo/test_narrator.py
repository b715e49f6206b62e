"""Sentences are made of what entries say; nothing is told that no entry says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from trimtab.demo import narrator
from trimtab.demo.beats import Board, Tone
from trimtab.sdk import shapes

NOON = datetime(2015, 5, 12, 12, tzinfo=UTC)


def entry(
    sequence: int, kind: str, data: dict[str, Any] | None, *, subject: str = "x", tenant: str = ""
) -> shapes.EntryShape:
    return shapes.EntryShape(
        sequence=sequence,
        tenant=tenant or None,
        tenant_sequence=sequence,
        kind=kind,
        actor="system:watch",
        at=NOON,
        subject=subject,
        reason=None,
        cause=None,
        data=data,
    )


def drift(feature: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "window": "win_1",
        "feature": feature,
        "drift_type": "data_drift",
        "finding": "drift",
        "values": {"psi": 0.5, "ks_d": 0.3},
        "thresholds": {"psi": 0.25},
        "items": [],
        "reason": "3 votes of the quorum",
    } | changes


def test_drift_of_many_tenants_is_one_sentence_of_all_entries() -> None:
    told = narrator.tell(
        [
            entry(1, "drift.confirmed", drift("distance")),
            entry(2, "drift.confirmed", drift("distance"), tenant="ua"),
            entry(3, "drift.confirmed", drift("delay"), tenant="wn"),
            entry(4, "drift.confirmed", drift("distance"), tenant="aa"),
        ]
    )
    assert [beat.entries for beat in told] == [(1, 2, 4), (3,)]
    assert "everybody together and AA, UA" in told[0].text
    assert "psi 0.50 (limit 0.25)" in told[0].text
    assert "WN" in told[1].text


def test_what_vanished_is_named() -> None:
    data = drift("airline", drift_type="structural", finding="vanished_category", items=["US"])
    (beat,) = narrator.tell([entry(1, "drift.confirmed", data | {"values": {}})])
    assert beat.text.startswith("vanished category of airline (US) is confirmed")


@pytest.mark.parametrize(
    ("verdict", "tone", "said"),
    [("pass", Tone.PLAIN, "passes schema"), ("fail", Tone.BAD, "schema fail: why")],
)
def test_checks_are_told_as_they_went(verdict: str, tone: Tone, said: str) -> None:
    data = {"model": "m", "version": "1.0.0", "name": "schema", "verdict": verdict, "reason": "why"}
    (beat,) = narrator.tell([entry(1, "check.finished", data)])
    assert beat.tone is tone
    assert said in beat.text


def test_a_diagnosis_without_a_cause_names_none() -> None:
    data = {"incident": "inc-1", "verdict": "none_found", "summary": "nothing", "causes": []}
    (beat,) = narrator.tell([entry(1, "diagnosis.made", data)])
    assert "no cause is named" in beat.text


def test_a_refusal_is_told_with_its_reason() -> None:
    data = {
        "incident": "inc-1",
        "model": "m",
        "target": "m",
        "action": "retrain_model",
        "reason": "the data are wrong",
        "gate": {},
    }
    (beat,) = narrator.tell([entry(7, "remediation.refused", data)])
    assert beat.tone is Tone.BAD
    assert beat.text == ("inc-1, retrain model is REFUSED by the safety gate: the data are wrong")
    assert beat.entries == (7,)


def test_a_share_that_is_not_observed_yet_is_not_told() -> None:
    data = {"model": "m", "version": "2", "intended_percent": 25.0, "phase": "running"}
    assert not narrator.tell([entry(1, "rollout.step_observed", data | {"observed_percent": 10.0})])
    (beat,) = narrator.tell([entry(1, "rollout.step_observed", data | {"observed_percent": 25.0})])
    assert "serves 25 %" in beat.text


def test_what_is_blanked_or_unknown_is_passed_over() -> None:
    assert not narrator.tell([entry(1, "incident.opened", None), entry(2, "permit.issued", {})])


def test_the_board_follows_deployments_and_incidents() -> None:
    board = Board()
    moved = {"model": "m", "version": "1", "after": "canary", "percent_after": 10.0}
    board.hear(entry(1, "deployment.moved", moved, tenant="ua"))
    board.hear(entry(2, "incident.opened", {"model": "m", "title": "t"}, subject="inc-1"))
    board.hear(entry(3, "incident.diagnosed", {"summary": "why"}, subject="inc-1"))
    (placed,) = board.placed()
    assert (placed.tenant, placed.state, placed.percent) == ("ua", "canary", 10.0)
    assert board.incidents["inc-1"].cause == "why"
    board.hear(entry(4, "incident.resolved", {"resolution": "gone"}, subject="inc-1"))
    board.hear(
        entry(
            5,
            "deployment.moved",
            moved | {"after": "rolled_back", "percent_after": 0.0},
            tenant="ua",
        )
    )
    assert not board.incidents
    assert [e.state for e in board.placed()] == ["rolled_back"]


def test_an_incident_that_is_taken_in_at_once_is_not_told() -> None:
    opened = {"model": "m", "severity": "high", "title": "distance: drift"}
    told = narrator.tell(
        [
            entry(1, "incident.opened", opened, subject="inc-1", tenant="dl"),
            entry(2, "incident.opened", opened, subject="inc-2"),
            entry(3, "incident.merged", {"model": "m", "into": "inc-2"}, subject="inc-1"),
        ]
    )
    assert [beat.entries for beat in told] == [(2,)]
    (later,) = narrator.tell([entry(9, "incident.merged", {"into": "inc-3"}, subject="inc-2")])
    assert later.text == "inc-2 is taken into inc-3"
