"""The machine alone: whatever is tried on it, its rules hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.incidents.model import (
    MOVES,
    SETTLED,
    Incident,
    Kind,
    Phase,
    Severity,
    Signal,
    number_of,
    numbered,
    opened,
)
from trimtab.kernel.errors import InvalidInput, InvalidMove, NotPermitted
from trimtab.kernel.events import Event
from trimtab.kernel.ids import DiagnosisId, IncidentId, RemediationId, TenantId

START = datetime(2015, 3, 1, tzinfo=UTC)
TRIES = ("join", "diagnose", "act", "act_person", "verify", "resolve", "escalate", "merge")


def signal(sequence: int = 1, severity: Severity = Severity.LOW) -> Signal:
    return Signal(
        sequence,
        "flights",
        TenantId("UA"),
        Kind.DATA_DRIFT,
        "drift:distance_miles",
        severity,
        "distance_miles has moved.",
        START,
    )


def fresh() -> Incident:
    return opened(signal(), IncidentId("inc-2015-03-01-001"), START)[0]


def tried(incident: Incident, what: str, severity: Severity) -> tuple[Incident, Event]:
    later = START + timedelta(hours=1)
    match what:
        case "join":
            return incident.join(signal(2, severity))[:2]
        case "diagnose":
            return incident.diagnose(DiagnosisId("dia_1"), "cause_found", "A unit.", later)
        case "act":
            return incident.act(RemediationId("rem_1"), "notify_team", later, by_person=False)
        case "act_person":
            return incident.act(RemediationId("rem_2"), "notify_team", later, by_person=True)
        case "verify":
            return incident.verify(later)
        case "resolve":
            return incident.resolve("Calm again.", {"ks_d": 0.05}, later, by_person=False)
        case "escalate":
            return incident.escalate("no remedy is known")
        case _:
            return incident.merge(IncidentId("inc-2015-03-01-002"), later)


@given(st.lists(st.tuples(st.sampled_from(TRIES), st.sampled_from(Severity)), max_size=20))
def test_no_phase_is_skipped_and_severity_never_falls(
    steps: Sequence[tuple[str, Severity]],
) -> None:
    incident = fresh()
    for what, severity in steps:
        before = incident
        try:
            incident, event = tried(before, what, severity)
        except (InvalidMove, NotPermitted):
            continue
        assert not before.settled
        assert incident.phase is before.phase or incident.phase in MOVES[before.phase]
        assert incident.severity.rank >= before.severity.rank
        assert incident.signals == before.signals + (what == "join")
        assert event.subject == incident.id
        assert event.tenant == incident.tenant
        if before.phase is Phase.ESCALATED:
            assert what != "act"
        if incident.phase is Phase.VERIFYING:
            assert incident.remediations
        if incident.settled:
            assert incident.due_at is None
            assert incident.resolved_at is not None


def test_a_settled_phase_has_no_exit_and_every_phase_is_reachable() -> None:
    assert {phase for phase, after in MOVES.items() if not after} == SETTLED
    assert set().union(*MOVES.values()) | {Phase.OPEN} == set(Phase)


def test_silence_is_no_recovery() -> None:
    with pytest.raises(InvalidInput, match="measured recovery"):
        fresh().resolve("Nothing more was heard.", {}, START, by_person=False)
    ended, event = fresh().resolve("Known and wanted.", {}, START, by_person=True)
    assert ended.phase is Phase.RESOLVED
    assert not event.measured


def test_an_escalated_incident_is_acted_on_by_people_only() -> None:
    escalated, _ = tried(tried(fresh(), "diagnose", Severity.LOW)[0], "escalate", Severity.LOW)
    with pytest.raises(NotPermitted):
        tried(escalated, "act", Severity.LOW)
    assert tried(escalated, "act_person", Severity.LOW)[0].phase is Phase.ACTING
    assert tried(escalated, "resolve", Severity.LOW)[0].phase is Phase.RESOLVED


def test_a_remedy_under_way_is_not_resolved_over() -> None:
    acting, _ = tried(tried(fresh(), "diagnose", Severity.LOW)[0], "act", Severity.LOW)
    for what in ("resolve", "merge"):
        with pytest.raises(InvalidMove, match="acting"):
            tried(acting, what, Severity.LOW)


def test_the_earliest_start_of_drift_is_kept(a_signal: Callable[..., Signal]) -> None:
    early, late = START - timedelta(days=2), START - timedelta(days=1)
    incident, _ = opened(a_signal(drift_start=late), IncidentId("inc-2015-03-01-001"), START)
    assert incident.drift_start == late
    assert incident.join(a_signal(2, drift_start=early))[0].drift_start == early
    assert incident.join(a_signal(3))[0].drift_start == late


@given(st.dates(date(2000, 1, 1)), st.integers(1, 20_000))
def test_ids_count_within_a_day(day: date, number: int) -> None:
    made = numbered(day, number)
    assert made.startswith(f"inc-{day.isoformat()}-")
    assert number_of(made) == number
