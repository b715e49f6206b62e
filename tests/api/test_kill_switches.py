"""Kill switches over HTTP: who may stop what, who clears it, and that the gate obeys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from trimtab.kernel.errors import InvalidInput, NotFound, NotPermitted, TrimtabError

WHY = "errors everywhere, stop"


@pytest.fixture
def on_call(house: Any) -> Iterator[Any]:
    client = house.people["on_call"]
    yield client
    for switch in list(client.remediation.kill_switches()):
        client.remediation.go_on(switch.scope, switch.name, reason="the test is over")


def set_now(client: Any) -> list[tuple[str, str]]:
    return [(s.scope, s.name) for s in client.remediation.kill_switches()]


def test_a_person_stops_a_scope_and_lets_it_go_on(house: Any, on_call: Any) -> None:
    model = house.new_model()
    for _ in range(2):
        switch = on_call.remediation.stop("model", model, reason=WHY)
        assert (switch.set, switch.why) == (True, WHY)
    on_call.remediation.stop("fleet", reason=WHY)
    assert set_now(on_call) == [("model", model), ("fleet", "")]
    written = list(house.admin.audit.entries(kinds=("kill_switch.set",)))
    assert [e.data["name"] for e in written].count(model) == 1
    for _ in range(2):
        on_call.remediation.go_on("model", model, reason="over")
    assert set_now(on_call) == [("fleet", "")]


@pytest.mark.parametrize(
    ("scope", "name", "error", "field"),
    [
        ("fleet", "x", InvalidInput, "name"),
        ("model", "", InvalidInput, "name"),
        ("model", "no-such-model", NotFound, "name"),
        ("tenant", "nobody", NotFound, "name"),
        ("planet", "", InvalidInput, "scope"),
    ],
)
def test_a_switch_that_would_stop_nothing_is_refused(
    on_call: Any, scope: str, name: str, error: type[Exception], field: str
) -> None:
    with pytest.raises(error) as refused:
        on_call.remediation.stop(scope, name, reason=WHY)
    assert isinstance(refused.value, TrimtabError)
    assert refused.value.field == field
    assert set_now(on_call) == []


def test_who_may_not_act_may_not_stop_either(house: Any) -> None:
    with pytest.raises(NotPermitted):
        house.people["auditor"].remediation.stop("fleet", reason=WHY)
