"""A diagnosis is kept with its event, once, and read back as it was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.diagnosis import service, store
from trimtab.diagnosis.advice import advice
from trimtab.diagnosis.model import Analysis, Cause, CauseType, Factor, Verdict
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import NotFound
from trimtab.kernel.ids import IncidentId, TenantId
from trimtab.platform.database import Database

REPAIR = system("repair")
INCIDENT = service.IncidentFacts(IncidentId("inc-2015-03-01-001"), "flights", TenantId("UA"))
POLICY = "sha256:" + "0" * 64


def an_analysis(confidence: float = 0.97) -> Analysis:
    cause = Cause(
        CauseType.DATA_QUALITY_FAULT,
        confidence,
        "distance_miles arrives in kilometres",
        "distance_miles",
        "unit_change",
        ("x1.609 is the step from miles to kilometres",),
        (),
        {"factor": 1.609344, "unit_before": "miles", "unit_after": "kilometres"},
    )
    return Analysis(
        Verdict.CAUSE_FOUND,
        cause.summary,
        (cause,),
        advice(cause, Verdict.CAUSE_FOUND, harmed=True),
        (Factor("distance_miles", 1.0),),
        datetime(2015, 5, 11, tzinfo=UTC),
        datetime(2015, 5, 12, tzinfo=UTC),
    )


def test_it_is_read_back_as_it_was_made(either_database: Database, clock: SteppedClock) -> None:
    records = Records(either_database, clock)
    with records.begin(REPAIR, reason="an incident") as work:
        made = service.make(work, INCIDENT, an_analysis(), policy_digest=POLICY)
    with records.look() as reading:
        assert store.get(reading, made.id) == made
        assert made.analysis == an_analysis()
        assert store.of_model(reading, "flights", tenant=TenantId("UA")) == [made]
        assert store.of_model(reading, "flights", tenant=TenantId("DL")) == []
        entries = ledger.entries(reading.connection, ref=INCIDENT.id)
        assert [entry.kind for entry in entries] == ["diagnosis.made"]
        data = entries[0].data
        assert data is not None
        assert data["causes"][0]["feature"] == "distance_miles"
        assert data["policy_digest"] == POLICY
        with pytest.raises(NotFound):
            store.get(reading, "dia_0000000000000000")


def test_the_same_analysis_is_kept_once(records: Records) -> None:
    with records.begin(REPAIR, reason="an incident") as work:
        first = service.make(work, INCIDENT, an_analysis(), policy_digest=POLICY)
        assert service.make(work, INCIDENT, an_analysis(), policy_digest=POLICY) == first
    with records.begin(REPAIR, reason="more evidence") as work:
        second = service.make(work, INCIDENT, an_analysis(0.99), policy_digest=POLICY)
    with records.look() as reading:
        assert {d.id for d in store.of_incident(reading, INCIDENT.id)} == {first.id, second.id}
