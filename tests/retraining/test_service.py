"""A retraining over a real database: every verb, twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from tests.registering import registered, registration

from trimtab.audit import ledger
from trimtab.audit.work import Records, Work
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidInput, InvalidMove, NotFound
from trimtab.kernel.ids import Digest, IncidentId, RetrainingId, TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.platform.database import Database
from trimtab.policies.loader import load_preset
from trimtab.registry import service as registry
from trimtab.registry.model import Feature, TrainingTrigger, Version
from trimtab.retraining import service, store
from trimtab.retraining.comparison import Comparison, Scored, compare
from trimtab.retraining.data import DataReport
from trimtab.retraining.model import Decision, Phase, Retraining
from trimtab.retraining.training import Challenger, NoChallenger

ACTOR = system("retrain")
HOUR = timedelta(hours=1)
OLD, NEW = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
INCIDENT = IncidentId("inc-2015-03-01-001")
SOUND = DataReport(Verdict.PASS, "fit to learn from", 2000, (), ())


class House:
    """The verbs with their usual arguments."""

    def __init__(self, records: Records):
        self.records = records

    def do(self, verb: Any, *args: Any, **named: Any) -> Any:
        with self.records.begin(ACTOR, reason="because") as work:
            return verb(work, *args, **named)

    def request(self, **changes: Any) -> Retraining:
        wanted: dict[str, Any] = {
            "model": "homes",
            "tenant": None,
            "trigger": TrainingTrigger.FALSE_POSITIVE_RATE,
            "incident": INCIDENT,
            "cause": "population_change",
            "champion": "1.0.0",
            "champion_digest": OLD,
            "policy_digest": "sha256:p",
            "data_from": datetime(2015, 1, 1, tzinfo=UTC),
            "data_until": datetime(2015, 2, 1, tzinfo=UTC),
            "patience": HOUR,
        } | changes
        run: Retraining = self.do(service.request, **wanted)
        return run

    def checked(self) -> Retraining:
        run: Retraining = self.do(
            service.record_data_check, self.request().id, SOUND, digest=OLD, patience=HOUR
        )
        return run

    def result(self, run: Retraining, result: Any, attempt: int = 1) -> Retraining:
        moved: Retraining = self.do(
            service.record_training,
            run.id,
            result,
            attempt=attempt,
            max_attempts=2,
            patience=HOUR,
        )
        return moved

    def trained(self) -> Retraining:
        return self.result(self.checked(), a_challenger())

    def judged(self, run: Retraining, comparison: Comparison) -> Retraining:
        moved: Retraining = self.do(service.record_comparison, run.id, comparison, patience=HOUR)
        return moved

    def version(self, number: str, digest: Digest, tenant: TenantId | None = None) -> Version:
        version: Version = self.do(register, number, digest, tenant)
        return version

    def kinds(self) -> list[str]:
        with self.records.look() as reading:
            return [entry.kind for entry in ledger.entries(reading.connection)]


def register(work: Work, number: str, digest: Digest, tenant: TenantId | None) -> Version:
    return registry.register_version(work, registration("homes", number, digest, tenant=tenant))


def a_challenger(digest: Digest = NEW) -> Challenger:
    return Challenger(b"onnx", digest, 0.5, {"f1": 0.9}, OLD, 1600, 1.0, {})


def a_comparison(wrong_new: int, wrong_old: int, challenger: Digest = NEW) -> Comparison:
    label = (np.arange(1000) % 2).astype(np.float64)

    def scored(digest: str, wrong: int) -> Scored:
        scores = np.where(label == 1, 0.9, 0.1)
        scores[:wrong] = 1 - scores[:wrong]
        return Scored(digest, scores, 0.5)

    demands = load_preset("standard").tier(3).retraining
    return compare(
        scored(challenger, wrong_new), scored(OLD, wrong_old), label, demands, min_rows=100
    )


@pytest.fixture
def house(records: Records) -> House:
    built = House(records)
    with records.begin(ACTOR, reason="register") as work:
        registered(work, "homes", features=(Feature("income", "numeric"),), label="valuable")
    built.version("1.0.0", OLD)
    return built


def test_the_whole_way_to_a_submitted_version(house: House) -> None:
    run = house.judged(house.trained(), a_comparison(50, 150))
    assert run.phase is Phase.JUDGED
    version = house.version(run.proposed_version, NEW)
    for _ in range(2):
        run = house.do(service.submit, run.id, version.id)
        assert run.phase is Phase.SUBMITTED
    assert run.version_id == version.id
    assert [k for k in house.kinds() if k.startswith("retraining")] == [
        "retraining.requested",
        "retraining.data_checked",
        "retraining.trained",
        "retraining.judged",
        "retraining.submitted",
    ]


def test_on_a_broken_feed_nothing_is_trained(house: House) -> None:
    for _ in range(2):
        run = house.request(cause="data_quality_fault")
        assert run.phase is Phase.REFUSED
        assert run.reason is not None
        assert "makes it worse" in run.reason
    assert house.kinds().count("retraining.refused") == 1
    assert (
        house.do(service.record_data_check, run.id, SOUND, digest=OLD, patience=HOUR).phase
        is Phase.REFUSED
    )


def test_triggers_that_come_together_make_one_run(house: House) -> None:
    first = house.request()
    assert house.request(trigger=TrainingTrigger.SCHEDULE, incident=None).id == first.id
    other = house.request(tenant=TenantId("UA"))
    assert other.id != first.id
    assert house.kinds().count("retraining.requested") == 2


def test_the_database_allows_one_open_run(house: House) -> None:
    run = house.request()
    with pytest.raises(Conflict):
        house.do(store.add, replace(run, id=RetrainingId("ret_x")), service._requested(run))


def test_the_next_free_number_is_proposed_whoever_has_the_others(house: House) -> None:
    house.version("1.1.0", Digest("sha256:" + "c" * 64), TenantId("UA"))
    assert house.request().proposed_version == "1.2.0"


def test_a_stretch_of_data_that_cannot_be(house: House) -> None:
    ahead = datetime(2015, 3, 2, tzinfo=UTC)
    for bad in ({"data_until": ahead}, {"data_from": ahead}):
        with pytest.raises(InvalidInput):
            house.request(**bad)
    with pytest.raises(NotFound):
        house.request(model="nobody")


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_data_that_did_not_pass_are_not_trained_on(house: House, verdict: Verdict) -> None:
    report = DataReport(verdict, "not fit", 10, (), ())
    run = house.do(service.record_data_check, house.request().id, report, digest=OLD, patience=HOUR)
    assert (run.phase, run.reason) == (Phase.REFUSED, "not fit")
    assert run.data_report is not None


def test_a_transient_failure_is_tried_again_but_not_for_ever(house: House) -> None:
    run = house.checked()
    again = house.result(run, NoChallenger("no memory", True))
    assert (again.phase, again.attempts) == (Phase.DATA_CHECKED, 1)
    replayed = house.result(run, NoChallenger("no memory", True), attempt=1)
    assert replayed == again
    ended = house.result(run, NoChallenger("no memory", True), attempt=2)
    assert ended.phase is Phase.FAILED
    assert ended.reason == "no memory (2 attempts)"


def test_a_failure_that_will_not_pass_ends_it(house: House) -> None:
    ended = house.result(house.checked(), NoChallenger("nan", False))
    assert (ended.phase, ended.reason) == (Phase.FAILED, "nan")


def test_the_same_bytes_are_no_challenger(house: House) -> None:
    run = house.result(house.checked(), a_challenger(OLD))
    assert run.phase is Phase.KEPT
    assert run.reason == "training gave the champion's own bytes"


@pytest.mark.parametrize(("new", "old"), [(150, 50), (50, 50), (60, 50)])
def test_what_is_not_better_keeps_the_champion(house: House, new: int, old: int) -> None:
    run = house.trained()
    for _ in range(2):
        kept = house.judged(run, a_comparison(new, old))
        assert kept.phase is Phase.KEPT
    assert house.kinds().count("retraining.judged") == 1
    with pytest.raises(InvalidMove):
        house.do(service.submit, run.id, house.version("1.1.0", NEW).id)


def test_what_could_not_be_told_keeps_the_champion(house: House) -> None:
    label = np.zeros(3)
    nothing = compare(
        Scored(NEW, label, 0.5),
        Scored(OLD, label, 0.5),
        label,
        load_preset("standard").tier(3).retraining,
        min_rows=100,
    )
    assert nothing.decision is Decision.INCONCLUSIVE
    kept = house.judged(house.trained(), nothing)
    assert kept.phase is Phase.KEPT
    assert kept.reason is not None
    assert kept.reason.startswith("it could not be told")


def test_a_comparison_of_others_is_refused(house: House) -> None:
    with pytest.raises(Conflict, match="other versions"):
        house.judged(house.trained(), a_comparison(50, 150, challenger=Digest("sha256:x")))


def test_other_bytes_or_another_tenants_are_not_submitted(house: House) -> None:
    run = house.judged(house.trained(), a_comparison(50, 150))
    for number, digest, tenant in (
        ("1.1.0", Digest("sha256:" + "c" * 64), None),
        ("1.2.0", NEW, TenantId("UA")),
    ):
        version = house.version(number, digest, tenant)
        with pytest.raises(Conflict, match="not the challenger"):
            house.do(service.submit, run.id, version.id)
    with pytest.raises(NotFound):
        house.do(service.submit, run.id, "ver_none")


def test_a_run_that_nobody_goes_on_with_ends_itself(house: House, clock: SteppedClock) -> None:
    run = house.trained()
    assert house.do(service.expire, run.id).phase is Phase.TRAINED
    with house.records.look() as reading:
        assert store.next_due(reading) == run.due_at
    clock.step_to(clock.now() + HOUR)
    with house.records.look() as reading:
        assert store.due(reading, reading.now) == [run.id]
    ended = house.do(service.expire, run.id)
    assert ended.phase is Phase.FAILED
    assert house.do(service.fail, run.id, "again") == ended
    with house.records.look() as reading:
        assert store.next_due(reading) is None
        assert store.unsettled(reading, "homes", None) is None
    assert house.request().id != run.id


def test_rows_come_back_as_they_were(house: House) -> None:
    run = house.judged(house.trained(), a_comparison(50, 150))
    with house.records.look() as reading:
        assert store.get(reading, run.id) == run
        assert store.listed(reading, model="homes", tenant=TenantId("UA")) == [run]
        assert store.of_incident(reading, INCIDENT) == [run]
        assert store.last_settled_at(reading, "homes", None) is None


def test_both_databases_keep_one_open_run(either_database: Database, clock: SteppedClock) -> None:
    house = House(Records(either_database, clock))
    with house.records.begin(ACTOR, reason="register") as work:
        registered(work, "homes")
    run = house.judged(house.trained(), a_comparison(50, 150))
    with house.records.look() as reading:
        assert store.get(reading, run.id) == run
    with pytest.raises(Conflict):
        house.do(store.add, replace(run, id=RetrainingId("ret_x")), service._requested(run))
