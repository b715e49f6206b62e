"""The one verb that begins to act, and every permit that it does not take."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from trimtab.artifacts.envelope import seal
from trimtab.kernel.errors import Conflict, IntegrityFailed, InvalidMove, PolicyRefused
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import IncidentId
from trimtab.remediation import kill_switches, service, store
from trimtab.remediation.model import Phase, Remediation
from trimtab.remediation.permits import PAYLOAD_TYPE
from trimtab.remediation.switches import Scope

MINUTE = timedelta(minutes=1)


def test_without_a_permit_nothing_starts(house: Any) -> None:
    for remedy in (house.propose(), house.decided(house.propose(confidence=0.1))):
        with pytest.raises(InvalidMove, match="has no permit to use"):
            house.started(remedy)


def test_a_permit_is_used_once(house: Any) -> None:
    remedy = house.settle(house.run())
    with pytest.raises(InvalidMove):
        house.started(remedy)
    # The row is turned back by hand: the permit on record is used all the same.
    _tamper(house, remedy, phase="permitted", started_at=None, fence=None)
    with pytest.raises(PolicyRefused, match="used before"):
        house.started(remedy)


def test_an_expired_permit_starts_nothing(house: Any, permitted: Remediation) -> None:
    house.step(9.99)
    house.clock.step_to(permitted.deadline)
    with pytest.raises(PolicyRefused, match="expired"):
        house.started(permitted)
    assert house.get(permitted).phase is Phase.PERMITTED


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("args", {"from_version": "1.1.0", "to_version": "0.0.1"}),
        ("target", "air-time/UA/production"),
        ("action", "retrain_model"),
        ("incident", "inc-2015-03-03-009"),
        ("policy_digest", "sha256:0"),
    ],
)
def test_a_permit_does_not_fit_what_was_changed(
    house: Any, permitted: Remediation, column: str, value: Any
) -> None:
    _tamper(house, permitted, **{column: value})
    with pytest.raises(PolicyRefused, match="something else"):
        house.started(permitted)


def test_a_permit_row_that_was_changed_is_not_believed(house: Any, permitted: Remediation) -> None:
    with house.database.engine.begin() as connection:
        connection.execute(
            store.ACTION_PERMITS.update().values(expires_at=house.clock.now() + 900 * MINUTE)
        )
    with pytest.raises(IntegrityFailed, match="not what the gate has sealed"):
        house.started(permitted)


def test_a_permit_forged_into_the_database_is_not_believed(
    house: Any, permitted: Remediation
) -> None:
    with house.records.look() as reading:
        permit = store.permit_by_id(reading, permitted.permit or "")
    forged = seal(canonical(permit.body()), PAYLOAD_TYPE, Ed25519PrivateKey.generate()).decode()
    with house.database.engine.begin() as connection:
        connection.execute(store.ACTION_PERMITS.update().values(sealed=forged))
    with pytest.raises(IntegrityFailed, match="no trusted key"):
        house.started(permitted)


def test_a_permit_from_before_another_start_is_void(house: Any, permitted: Remediation) -> None:
    other = house.propose(incident=IncidentId("inc-2015-03-03-002"))
    _tamper(house, other, phase="aborted", started_at=house.clock.now())
    with pytest.raises(PolicyRefused, match="another action was started"):
        house.started(permitted)


def test_a_switch_set_after_the_permit_stops_the_start(house: Any, permitted: Remediation) -> None:
    house.do(kill_switches.engage, Scope.MODEL, "air-time")
    with pytest.raises(PolicyRefused, match="kill switch of model air-time"):
        house.started(permitted)
    house.do(kill_switches.clear, Scope.MODEL, "air-time", actor=house.person)
    assert house.started(permitted).phase is Phase.EXECUTING


def test_two_that_start_at_once_start_it_once(house: Any, permitted: Remediation) -> None:
    outcomes: list[Any] = []
    together = threading.Barrier(4)

    def begin() -> None:
        together.wait()
        try:
            outcomes.append(house.started(permitted).fence)
        except Conflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {1, "conflict"}
    assert house.kinds().count("remediation.started") == 1
    assert house.kinds().count("action_permit.consumed") == 1


def test_two_permits_at_once_for_one_target(house: Any) -> None:
    """Both were decided before either was recorded; the database lets one in."""
    first = house.propose()
    second = house.propose(incident=IncidentId("inc-2015-03-03-002"))
    answers = [house.ask(first), house.ask(second)]
    assert all(answer.permitted for answer in answers)
    house.do(service.record_decision, answers[0], trusted=house.trusted)
    with pytest.raises(Conflict):
        house.do(service.record_decision, answers[1], trusted=house.trusted)
    assert house.get(second).phase is Phase.PROPOSED
    assert house.kinds().count("action_permit.issued") == 1


def _tamper(house: Any, remedy: Remediation, **values: Any) -> None:
    """What somebody with access to the database could do."""
    with house.database.engine.begin() as connection:
        connection.execute(
            store.REMEDIATIONS.update().where(store.REMEDIATIONS.c.id == remedy.id).values(**values)
        )
