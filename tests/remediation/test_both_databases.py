"""What the database itself has to guarantee, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trimtab.kernel.errors import Conflict, PolicyRefused
from trimtab.kernel.ids import IncidentId
from trimtab.remediation import kill_switches, service, store
from trimtab.remediation.gate_process import GateProcess
from trimtab.remediation.model import Phase
from trimtab.remediation.switches import Scope

ENGAGE = (kill_switches.engage, Scope.MODEL, "air-time")


def test_the_way_to_a_started_remedy(either_house: Any) -> None:
    house = either_house
    remedy = house.run()
    done = house.do(service.executed, remedy.id, fence=1, result={}, patience=timedelta(minutes=5))
    with house.records.look() as reading:
        assert store.get(reading, remedy.id) == done
        assert store.next_due(reading) == done.due_at
        assert store.last_acted_at(reading, remedy.target) == done.executed_at
    house.settle(done)
    assert house.refusals(house.propose()) == {"cooldown"}


def test_one_in_flight_for_a_target(either_house: Any) -> None:
    house = either_house
    first = house.propose()
    second = house.propose(incident=IncidentId("inc-2015-03-03-002"))
    answers = [house.ask(first), house.ask(second)]
    house.do(service.record_decision, answers[0], trusted=house.trusted)
    with pytest.raises(Conflict):
        house.do(service.record_decision, answers[1], trusted=house.trusted)
    assert house.get(second).phase is Phase.PROPOSED


def test_a_permit_is_consumed_once_by_many_at_once(either_house: Any) -> None:
    house = either_house
    permitted = house.decided(house.propose())
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def begin() -> None:
        together.wait()
        try:
            outcomes.append(house.started(permitted).phase.value)
        except (Conflict, PolicyRefused) as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "executing" in outcomes
    assert house.kinds().count("remediation.started") == 1
    assert house.kinds().count("action_permit.consumed") == 1


def test_one_switch_for_a_scope(either_house: Any) -> None:
    house = either_house
    kept = house.do(kill_switches.engage, Scope.TENANT, "UA")
    assert house.do(kill_switches.engage, Scope.TENANT, "UA") == kept
    with house.records.look() as reading:
        assert store.switches_set(reading) == [kept]


def test_a_switch_that_many_set_at_once_is_set_once(either_house: Any) -> None:
    house = either_house
    with ThreadPoolExecutor(8) as pool:
        names = {s.id for s in pool.map(lambda _: house.do(*ENGAGE), range(8))}
    assert len(names) == 1
    assert house.kinds().count("kill_switch.set") == 1


def test_a_switch_set_while_an_action_starts_is_before_it_or_behind_it(either_house: Any) -> None:
    """Never beside it: an action that starts has seen that no switch is set."""
    house = either_house
    permitted = house.decided(house.propose())

    def begin() -> str:
        try:
            return str(house.started(permitted).phase.value)
        except PolicyRefused as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        began, _ = pool.submit(begin), pool.submit(lambda: house.do(*ENGAGE))
    told = [k for k in house.kinds() if k in ("remediation.started", "kill_switch.set")]
    if began.result() == Phase.EXECUTING.value:
        assert told == ["remediation.started", "kill_switch.set"]
    else:
        assert told == ["kill_switch.set"]
        assert house.get(permitted).phase is Phase.PERMITTED


@pytest.mark.slow
def test_the_gates_process_reads_either(either_house: Any, tmp_path: Path) -> None:
    house = either_house
    gate = GateProcess(
        key=tmp_path / "gate.pem",
        database=house.database.url.render_as_string(hide_password=False),
        seconds=30,
    )
    try:
        answer = gate.ask(house.propose().id)
        allowed = house.do(service.record_decision, answer, trusted=gate.public_keys())
    finally:
        gate.stop()
    assert allowed.phase is Phase.PERMITTED
