"""The story is read off the ledger, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, cast

import pytest

from trimtab.audit import ledger
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Records
from trimtab.incidents import events, service
from trimtab.incidents.model import Signal
from trimtab.incidents.sentences import sentence
from trimtab.incidents.timeline import timeline
from trimtab.kernel.actor import system
from trimtab.kernel.errors import NotFound
from trimtab.kernel.events import Event, Note
from trimtab.kernel.ids import DiagnosisId, TenantId
from trimtab.remediation import events as remedies

WATCH = system("watch")
DIAGNOSIS = DiagnosisId("dia_0123456789abcdef")


@dataclass(frozen=True)
class Drifted(Event):
    kind: ClassVar[str] = "drift.confirmed"

    feature: str
    values: dict[str, float]


@dataclass(frozen=True)
class DiagnosisMade(Event):
    kind: ClassVar[str] = "diagnosis.made"

    summary: str


def recorded(records: Records, event: Event, cause: int | None = None) -> int:
    with records.begin(WATCH, reason="a look", cause=cause) as work:
        work.record(cast(Note, event))  # what other rooms enter with their rows
    with records.look() as reading:
        return ledger.size(reading.connection)


def test_the_chain_from_the_first_drift_is_told(
    records: Records, a_signal: Callable[..., Signal]
) -> None:
    drifted = Drifted("win_1", None, feature="distance_miles", values={"ks_d": 0.314159})
    cause = recorded(records, drifted)
    with records.begin(WATCH, reason="drift was confirmed", cause=cause) as work:
        incident = service.open_or_join(work, a_signal(cause))
    recorded(records, DiagnosisMade(DIAGNOSIS, None, summary="Kilometres, not miles."))
    with records.begin(WATCH, reason="diagnosed") as work:
        service.attach_diagnosis(
            work, incident.id, DIAGNOSIS, verdict="cause_found", summary="Kilometres."
        )
    with records.look() as reading:
        lines = timeline(reading, incident.id)
    assert [line.text for line in lines] == [
        "Drift confirmed: distance_miles has moved (ks d 0.3142)",
        "Incident opened, severity medium: distance_miles has moved.",
        "Diagnosis: Kilometres, not miles.",
        "Diagnosed: Kilometres.",
    ]
    assert [line.sequence for line in lines] == sorted(line.sequence for line in lines)
    assert lines[0].actor == "system:watch"


def test_a_flood_is_one_line(records: Records, a_signal: Callable[..., Signal]) -> None:
    with records.begin(WATCH, reason="a flood") as work:
        for n in range(1, 1502):
            incident = service.open_or_join(work, a_signal(n))
        service.escalate(work, incident.id, "too many")
    with records.look() as reading:
        lines = timeline(reading, incident.id)
    assert [line.folded for line in lines] == [0, 1499, 0]
    assert lines[1].text.endswith("1499 more signals followed.")


def test_another_tenants_lines_are_left_out(
    records: Records, a_signal: Callable[..., Signal]
) -> None:
    with records.begin(WATCH, reason="signals") as work:
        incident = service.open_or_join(work, a_signal(1))
        service.open_or_join(work, a_signal(2, "UA"))
        service.open_or_join(work, a_signal(3, "DL"))
    with records.look() as reading:
        told = " ".join(line.text for line in timeline(reading, incident.id, tenant=TenantId("DL")))
        assert "from DL" in told
        assert "UA" not in told
        with pytest.raises(NotFound):
            timeline(reading, "inc-2015-03-01-099")


def entry(kind: str, data: dict[str, object] | None) -> Entry:
    at = datetime(2015, 3, 1, tzinfo=UTC)
    return Entry(1, None, 1, kind, "system:watch", at, "x", "why", None, data, b"")


def test_an_unknown_kind_is_still_readable() -> None:
    told = sentence(entry("kill_switch.rusted", {"scope": "fleet", "gain": 0.0123456}))
    assert told == "Kill switch: rusted (scope fleet, gain 0.01235)."
    assert sentence(entry("something", {})) == "Something."
    steps = [
        {"action": "notify_team", "course": "automatic", "reason": "found"},
        {"action": "retrain_model", "course": "refused", "reason": "the feed is broken"},
    ]
    assert sentence(entry("plan.drawn_up", {"steps": steps})) == (
        "Plan drawn up: notify team by itself; retrain model is refused (the feed is broken)."
    )
    assert "retention" in sentence(entry("incident.opened", None))


@pytest.mark.parametrize(
    "kind",
    sorted(
        kind.kind
        for kind in (*vars(events).values(), *vars(remedies).values())
        if getattr(kind, "kind", "").startswith(("incident.", "remediation."))
        and kind.kind != "remediation.heartbeat"
    ),
)
def test_every_kind_of_ours_has_a_sentence(kind: str) -> None:
    told = sentence(entry(kind, {}))
    assert told
    assert "(" not in told.replace("(on a person's word)", "")
