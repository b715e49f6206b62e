"""The records are looked through once a day; what is not as it must be is an entry and a figure."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.workflows.house import DAY, FIRST, House
from tests.workflows.releasing import Plane

from trimtab.audit.work import Records
from trimtab.identity import store as people
from trimtab.incidents import service as incidents
from trimtab.incidents.model import Incident, Kind, Severity, Signal
from trimtab.kernel.actor import system
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import RetrainingId
from trimtab.policies.operation import ActionName
from trimtab.registry import store as registry_store
from trimtab.registry.deployment_store import DEPLOYMENTS, PERMITS
from trimtab.registry.model import TrainingTrigger
from trimtab.remediation import kill_switches
from trimtab.remediation import store as remediation_store
from trimtab.remediation.model import Phase as Ended
from trimtab.remediation.switches import Scope
from trimtab.retraining import service as retraining
from trimtab.retraining import store as retraining_store
from trimtab.retraining.model import Phase
from trimtab.rollouts.store import ROLLOUTS
from trimtab.workflows import gauges, repair
from trimtab.workflows.invariants import catalogue, nightly
from trimtab.workflows.parts import policy_of

NOON = timedelta(hours=12)


def violated(plane: Plane) -> set[str]:
    report = nightly.look_through(plane.application.parts)
    return {violation.invariant for violation in report.violations}


def meddle(records: Records, statement: sa.Update) -> None:
    """Change a row behind everybody's back, as whoever has the database can."""
    with records.database.write() as connection:
        assert connection.execute(statement).rowcount > 0


@pytest.mark.slow
def test_a_row_that_was_changed_from_outside_is_found(plane: Plane) -> None:
    plane.hasten()
    plane.register()
    plane.release("1.0.0")
    assert violated(plane) == set()
    records = plane.application.parts.records
    carrying = DEPLOYMENTS.c.state == "stable"
    for statement, undo, name in (
        (PERMITS.update().values(max_percent=1), {"max_percent": 100}, "traffic.approved"),
        (PERMITS.update().values(consumed_at=None), None, "traffic.permit_used"),
    ):
        meddle(records, statement)
        assert name in violated(plane)
        if undo is not None:
            meddle(records, PERMITS.update().values(**undo))
    meddle(records, DEPLOYMENTS.update().where(carrying).values(tenant="somebody"))
    assert "traffic.own_tenant" in violated(plane)
    meddle(records, DEPLOYMENTS.update().where(carrying).values(revision=99))
    assert "history.every_change" in violated(plane)
    meddle(records, ROLLOUTS.update().values(phase="running", due_at=None))
    assert "waiting.turn" in violated(plane)


def test_it_is_looked_once_a_day_and_what_is_found_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "KEPT_SECONDS", 0.0)
    house.settle()
    assert house.entries("invariants.checked") == []
    house.step_to(FIRST + DAY + NOON)
    house.settle()
    (entry,) = house.entries("invariants.checked")
    assert entry.data is not None
    # This house has a version that is stable although nobody has ever approved it.
    assert entry.data["violated"]["traffic.approved"] == 1
    assert any(v["invariant"] == "traffic.signed" for v in entry.data["violations"])
    assert house.metric('trimtab_invariants_violated{invariant="traffic.approved"}') == 1
    assert house.metric('trimtab_invariants_violated{invariant="history.gaps"}') == 0
    house.step_to(FIRST + DAY + 2 * NOON)
    assert len(house.entries("invariants.checked")) == 1
    house.step_to(FIRST + 2 * DAY + NOON)
    second = house.entries("invariants.checked")[1]
    assert second.data is not None
    assert second.data["after"] == entry.data["upto"]


def test_every_invariant_has_a_sentence_and_a_name_of_its_own() -> None:
    names = [invariant.name for invariant in catalogue.EVERY]
    assert len(set(names)) == len(names) >= 25
    assert all(len(invariant.sentence) > 30 for invariant in catalogue.EVERY)


def requested(house: House) -> RetrainingId:
    parts = house.application.parts
    with parts.records.begin(system("test"), reason="a challenger") as work:
        champion = registry_store.find_version(work, "parcels", "1.0.0")
        assert champion is not None
        run = retraining.request(
            work,
            model="parcels",
            tenant=None,
            trigger=TrainingTrigger.MANUAL,
            incident=None,
            cause=None,
            champion=champion.version,
            champion_digest=champion.digest,
            policy_digest="sha256:" + "1" * 64,
            data_from=work.now - DAY,
            data_until=work.now,
            patience=timedelta(hours=1),
        )
    return run.id


def test_a_run_that_nobody_goes_on_with_ends_and_frees_its_place(house: House) -> None:
    run = requested(house)
    parts = house.application.parts
    with parts.records.database.write() as connection:  # its job is lost for good
        connection.execute(
            retraining_store.RETRAININGS.update().values(phase=Phase.DATA_CHECKED.value)
        )
    house.step_to(house.now + timedelta(hours=2))
    house.settle()
    with parts.records.look() as reading:
        ended = retraining_store.get(reading, run)
    assert ended.phase is Phase.FAILED
    assert ended.reason is not None
    assert "nobody went on with it in time" in ended.reason
    assert requested(house) != run


def opened(house: House) -> Incident:
    signal = Signal(
        sequence=1,
        model="parcels",
        tenant=None,
        kind=Kind.OTHER,
        cause_key="other:test",
        severity=Severity.HIGH,
        title="A test.",
        at=house.now,
    )
    with house.application.parts.records.begin(system("test"), reason="a test") as work:
        return incidents.open_or_join(work, signal)


def test_nothing_is_learnt_from_the_moment_at_which_it_was_noticed(house: House) -> None:
    parts, incident = house.application.parts, opened(house)
    with parts.records.begin(system("test"), reason="a test") as work:
        model = registry_store.model_named(work, "parcels")
        demands, digest = policy_of(parts, model)
        with pytest.raises(NotFound, match="no row yet"):
            repair.propose(
                work, incident, None, ActionName.RETRAIN_MODEL, model, demands, policy_digest=digest
            )
    with parts.records.look() as reading:
        assert remediation_store.of_incident(reading, incident.id) == []


def test_a_kill_switch_that_is_set_after_the_permit_ends_the_remedy(house: House) -> None:
    parts, incident = house.application.parts, opened(house)
    with parts.records.look() as reading:
        admin = people.people(reading)[0].actor()

    def stop() -> None:
        with parts.records.begin(admin, reason="stop") as work:
            kill_switches.engage(work, Scope.FLEET)

    house.step_to(house.now + timedelta(hours=1))
    house.instants.between("repair.carry_out", stop)
    asked = repair.execute_on_request(
        parts, admin, incident.id, ActionName.RETRAIN_MODEL, "learn from it"
    )
    house.settle()  # which demands that there is no dead letter
    with parts.records.look() as reading:
        remedy = remediation_store.get(reading, asked.id)
    assert remedy.permit is not None
    assert remedy.phase is Ended.ABORTED
    assert remedy.reason is not None
    assert "kill switch" in remedy.reason
