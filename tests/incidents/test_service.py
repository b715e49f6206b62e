"""Signals become incidents, on a real database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.incidents import service, store
from trimtab.incidents.model import Incident, Phase, Severity, Signal
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidInput, InvalidMove, NotFound, NotPermitted
from trimtab.kernel.ids import DiagnosisId, RemediationId, TenantId
from trimtab.platform.database import Database

MakeSignal = Callable[..., Signal]
WATCH = system("watch")
ANN = Actor("per_ann", ActorKind.PERSON, None, frozenset(), "Ann", person="per_ann")
DIAGNOSIS = DiagnosisId("dia_0123456789abcdef")
REMEDY = RemediationId("rem_0123456789abcdef")


def heard(records: Records, *signals: Signal) -> Incident:
    with records.begin(WATCH, reason="a signal was heard") as work:
        for signal in signals:
            incident = service.open_or_join(work, signal)
    return incident


def kinds(records: Records, ref: str) -> list[str]:
    with records.look() as reading:
        return [entry.kind for entry in ledger.entries(reading.connection, ref=ref, limit=1000)]


def test_ids_count_within_the_day_of_detection(
    records: Records, clock: SteppedClock, a_signal: MakeSignal
) -> None:
    first = heard(records, a_signal(1))
    second = heard(records, a_signal(2, model="homes"))
    clock.step_to(clock.now() + timedelta(hours=24))
    third = heard(records, a_signal(3, model="other"))
    assert [first.id, second.id, third.id] == [
        "inc-2015-03-01-001",
        "inc-2015-03-01-002",
        "inc-2015-03-02-001",
    ]


def test_a_flood_is_one_incident(records: Records, a_signal: MakeSignal) -> None:
    tenants = ["AA", "DL", None]
    incident = heard(records, *(a_signal(n, tenants[n % 3]) for n in range(2, 302)))
    assert incident.signals == 300
    assert incident.affected_tenants == {"AA", "DL"}
    assert kinds(records, incident.id) == ["incident.opened"] + ["incident.signal_added"] * 299
    with records.look() as reading:
        assert len(store.active(reading)) == 1
        assert store.signals_of(reading, incident.id, after=11, limit=2) == [12, 13]


@pytest.mark.slow
def test_ten_thousand_signals_are_one_incident(records: Records, a_signal: MakeSignal) -> None:
    for start in range(0, 10_000, 1000):
        incident = heard(records, *(a_signal(start + n) for n in range(1000)))
    assert (incident.id, incident.signals) == ("inc-2015-03-01-001", 10_000)
    with records.look() as reading:
        assert len(store.listed(reading)) == 1


def test_a_signal_that_is_delivered_again_changes_nothing(
    records: Records, a_signal: MakeSignal
) -> None:
    first = heard(records, a_signal(7))
    assert heard(records, a_signal(7)) == first
    assert heard(records, a_signal(8), a_signal(8)).signals == 2
    assert len(kinds(records, first.id)) == 2
    # Nor does it open a second incident once the first has been resolved.
    with records.begin(ANN, reason="known") as work:
        service.resolve(work, first.id, {}, resolution="Known and wanted.")
    assert heard(records, a_signal(7)).id == first.id
    assert heard(records, a_signal(9)).id == "inc-2015-03-01-002"


def test_the_database_allows_one_open_incident_of_a_cause(
    records: Records, a_signal: MakeSignal
) -> None:
    first = heard(records, a_signal(1))
    with pytest.raises(Conflict), records.begin(WATCH, reason="a race") as work:
        twin = replace(first, id=store.next_id(work, work.now.date()), revision=0)
        store.add(work, twin, first.escalate("twin")[1])


def test_severity_rises_with_a_worse_signal_and_stays(
    records: Records, a_signal: MakeSignal
) -> None:
    heard(records, a_signal(1, severity=Severity.LOW))
    heard(records, a_signal(2, severity=Severity.HIGH))
    incident = heard(records, a_signal(3, severity=Severity.LOW))
    assert incident.severity is Severity.HIGH
    assert kinds(records, incident.id).count("incident.severity_raised") == 1


def test_a_tenants_signal_joins_the_global_incident(records: Records, a_signal: MakeSignal) -> None:
    fleet = heard(records, a_signal(1))
    joined = heard(records, a_signal(2, "UA"))
    other = heard(records, a_signal(3, "UA", cause_key="drift:taxi_out_min"))
    assert joined.id == fleet.id
    assert joined.affected_tenants == {"UA"}
    assert other.id != fleet.id
    assert other.tenant == "UA"


def test_a_global_signal_takes_in_the_tenants_incidents(
    records: Records, a_signal: MakeSignal
) -> None:
    ua = heard(records, a_signal(1, "UA", severity=Severity.HIGH))
    dl = heard(records, a_signal(2, "DL"))
    busy = heard(records, a_signal(3, "AA"))
    with records.begin(WATCH, reason="a remedy") as work:
        service.attach_diagnosis(work, busy.id, DIAGNOSIS, verdict="cause_found", summary="A unit.")
        service.attach_remediation(work, busy.id, REMEDY, action="notify_team")
    fleet = heard(records, a_signal(4))
    assert fleet.children == (ua.id, dl.id, busy.id)
    assert fleet.affected_tenants == {"AA", "DL", "UA"}
    assert fleet.severity is Severity.HIGH
    with records.look() as reading:
        assert store.get(reading, ua.id).merged_into == fleet.id
        assert store.get(reading, dl.id).phase is Phase.MERGED
        # A remedy that is under way must not lose its incident.
        assert store.get(reading, busy.id).phase is Phase.ACTING
    with pytest.raises(InvalidMove, match=fleet.id), records.begin(ANN, reason="late") as work:
        service.escalate(work, ua.id, "late")


def test_from_detection_to_measured_recovery(
    records: Records, clock: SteppedClock, a_signal: MakeSignal
) -> None:
    incident = heard(records, a_signal(1))
    look_at = clock.now() + timedelta(hours=24)
    for _ in range(2):  # after a crash, every verb is called again
        with records.begin(WATCH, reason="the loop turns") as work:
            service.attach_diagnosis(
                work, incident.id, DIAGNOSIS, verdict="cause_found", summary="A unit."
            )
            service.attach_remediation(work, incident.id, REMEDY, action="notify_team")
        with records.begin(WATCH, reason="the loop turns") as work:
            if store.get(work, incident.id).phase is Phase.ACTING:
                service.begin_verifying(work, incident.id, look_at=look_at)
            service.begin_verifying(work, incident.id, look_at=look_at)
    with records.look() as reading:
        assert store.next_due(reading) == look_at
        assert store.due(reading, look_at) == [incident.id]
        assert store.due(reading, look_at - timedelta(seconds=1)) == []
    clock.step_to(look_at)
    with records.begin(WATCH, reason="recovery was measured") as work:
        with pytest.raises(InvalidInput):
            service.resolve(work, incident.id, {}, resolution="Nothing was heard.")
        for _ in range(2):
            ended = service.resolve(work, incident.id, {"ks_d": 0.04}, resolution="Calm again.")
    assert (ended.phase, ended.resolved_at, ended.due_at) == (Phase.RESOLVED, look_at, None)
    assert kinds(records, incident.id) == [
        "incident.opened",
        "incident.diagnosed",
        "incident.acting",
        "incident.verifying",
        "incident.resolved",
    ]
    with records.look() as reading:
        assert store.active(reading) == []
        assert store.next_due(reading) is None


def test_an_escalated_incident_waits_for_a_person(records: Records, a_signal: MakeSignal) -> None:
    incident = heard(records, a_signal(1))
    with records.begin(WATCH, reason="nothing helps") as work:
        service.escalate(work, incident.id, "no remedy is known")
        assert service.escalate(work, incident.id, "again").revision == 2
    with pytest.raises(NotPermitted), records.begin(WATCH, reason="try") as work:
        service.attach_remediation(work, incident.id, REMEDY, action="retrain_model")
    with records.begin(ANN, reason="I take it") as work:
        moved = service.attach_remediation(work, incident.id, REMEDY, action="retrain_model")
    assert moved.phase is Phase.ACTING


def test_a_comment_is_kept_once(records: Records, a_signal: MakeSignal) -> None:
    incident = heard(records, a_signal(1))
    for text in ("The feed's owner is asked.", "The feed's owner is asked.", "They answer."):
        with records.begin(ANN, reason="a note") as work:
            service.comment(work, incident.id, text)
    assert kinds(records, incident.id).count("incident.commented") == 2


def test_pages_follow_one_another_and_tenants_see_their_own(
    records: Records, clock: SteppedClock, a_signal: MakeSignal
) -> None:
    made = [heard(records, a_signal(n, model=f"m{n}")).id for n in range(1, 6)]
    clock.step_to(clock.now() + timedelta(days=1))
    made.append(heard(records, a_signal(9, "UA", model="m9")).id)
    with records.look() as reading:
        first = store.listed(reading, limit=4)
        rest = store.listed(reading, before=first[-1].id, limit=4)
        assert [i.id for i in (*first, *rest)] == list(reversed(made))
        assert len(store.listed(reading, tenant=TenantId("UA"))) == 6
        assert len(store.listed(reading, tenant=TenantId("DL"))) == 5
        assert [i.id for i in store.listed(reading, model="m9")] == made[-1:]
        assert store.listed(reading, phases=[Phase.RESOLVED]) == []
        assert len(store.active(reading, tenant=TenantId("DL"))) == 5
        with pytest.raises(NotFound):
            store.get(reading, "inc-2015-03-01-099")


def test_the_rules_hold_on_either_database(
    either_database: Database, clock: SteppedClock, a_signal: MakeSignal
) -> None:
    records = Records(either_database, clock)
    ua = heard(records, a_signal(1, "UA"))
    fleet = heard(records, a_signal(2), a_signal(3, "DL"))
    with records.look() as reading:
        assert store.get(reading, ua.id).merged_into == fleet.id
        assert store.by_key(reading, "flights", None, "drift:distance_miles") == fleet
    with pytest.raises(Conflict), records.begin(WATCH, reason="a race") as work:
        twin = replace(fleet, id=store.next_id(work, work.now.date()), revision=0)
        store.add(work, twin, fleet.escalate("twin")[1])
