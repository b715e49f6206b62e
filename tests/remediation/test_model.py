"""The pure rules of a remedy and of its permit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts.envelope import key_id, seal
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, InvalidMove, PolicyRefused
from trimtab.kernel.events import canonical
from trimtab.kernel.ids import IncidentId, PermitId, RemediationId, TenantId
from trimtab.policies.operation import ActionName
from trimtab.remediation.actions import (
    ACTIONS,
    checked_arguments,
    declared,
    digest_of,
    target_of,
)
from trimtab.remediation.model import IN_FLIGHT, MOVES, SETTLED, Phase, Remediation
from trimtab.remediation.permits import PAYLOAD_TYPE, ActionPermit, open_permit

AT = datetime(2015, 5, 12, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


def a_remedy(phase: Phase = Phase.PROPOSED) -> Remediation:
    return Remediation(
        id=RemediationId("rem_1"),
        incident=IncidentId("inc-2015-05-12-001"),
        model="air-time",
        tenant=None,
        environment="production",
        action=ActionName.ROLLBACK_MODEL,
        args={},
        target="air-time/*/production",
        requested_by="system:repair",
        automatic=True,
        cause_type="bad_release",
        confidence=0.9,
        policy_digest="sha256:p",
        attempt=1,
        phase=phase,
        proposed_at=AT,
        gate=None,
        permit=None if phase in (Phase.PROPOSED, Phase.REFUSED) else PermitId("apm_1"),
        fence=None,
        started_at=None,
        executed_at=None,
        result=None,
        measured_recovery=None,
        settled_at=None,
        reason=None,
        due_at=LATER,
        deadline=LATER,
    )


CALLS: dict[str, Any] = {
    "refuse": lambda r: r.refuse({}, "why", AT),
    "allow": lambda r: r.allow({}, PermitId("apm_1"), LATER),
    "start": lambda r: r.start(1, AT, LATER),
    "beat": lambda r: r.beat(LATER),
    "finish": lambda r: r.finish({"ok": True}, AT, LATER),
    "verify": lambda r: r.verify("why", None, AT, LATER),
    "recover": lambda r: r.recover({}, "why", AT),
    "without_effect": lambda r: r.without_effect(None, "why", AT),
    "fail": lambda r: r.fail(None, "why", LATER),
    "compensate": lambda r: r.compensate("undone", {}, AT),
    "escalate": lambda r: r.escalate("why", AT),
    "abort": lambda r: r.abort("why", AT),
}


@given(st.sampled_from(Phase), st.sampled_from(sorted(CALLS)))
def test_a_move_follows_the_table_or_is_refused(phase: Phase, name: str) -> None:
    remedy = a_remedy(phase)
    try:
        moved, event = CALLS[name](remedy)
    except InvalidMove:
        return
    assert moved.phase in MOVES[phase]
    assert event.subject == remedy.id
    waits = moved.phase in IN_FLIGHT or moved.phase is Phase.PROPOSED
    assert (moved.deadline is not None) is waits
    assert (moved.due_at is not None) is waits


@given(st.lists(st.sampled_from(sorted(CALLS)), max_size=20))
def test_nothing_acts_without_a_permit_and_nothing_succeeds_unmeasured(names: list[str]) -> None:
    remedy = a_remedy()
    seen = [remedy.phase]
    for name in names:
        try:
            remedy, _event = CALLS[name](remedy)
        except InvalidMove:
            continue
        seen.append(remedy.phase)
    way = list(dict.fromkeys(seen))
    if Phase.EXECUTING in way:
        assert way[:3] == [Phase.PROPOSED, Phase.PERMITTED, Phase.EXECUTING]
    if Phase.SUCCEEDED in way:
        assert way[3] is Phase.VERIFYING
        assert remedy.executed_at is not None


@pytest.mark.parametrize("phase", sorted(SETTLED))
@pytest.mark.parametrize("name", sorted(CALLS))
def test_what_is_settled_stays(phase: Phase, name: str) -> None:
    with pytest.raises(InvalidMove):
        CALLS[name](a_remedy(phase))


def test_every_phase_can_be_reached_and_every_waiting_one_left() -> None:
    reached = {Phase.PROPOSED}
    for _ in Phase:
        reached |= {to for phase in reached for to in MOVES[phase]}
    assert reached == set(Phase)
    assert {Phase.SUCCEEDED, Phase.ESCALATED, Phase.ABORTED, Phase.REFUSED} == set(SETTLED)


def test_nobody_verifies_what_was_not_carried_out() -> None:
    with pytest.raises(InvalidMove, match="before it was carried out"):
        a_remedy(Phase.EXECUTING).verify("why", None, AT, LATER)


def test_an_abort_says_whether_something_may_stand() -> None:
    assert not a_remedy(Phase.PERMITTED).abort("why", AT)[1].may_have_acted
    assert a_remedy(Phase.EXECUTING).abort("why", AT)[1].may_have_acted


def test_every_action_is_declared_whole() -> None:
    for name, action in ACTIONS.items():
        assert action.name is name
        assert action.effect
        assert action.arguments
    assert declared(ActionName.ROLLBACK_MODEL).inverse
    for name in (ActionName.SCALE_RESOURCES, ActionName.UPDATE_THRESHOLDS):
        with pytest.raises(InvalidInput, match="not an action that can be carried out"):
            declared(name)


@pytest.mark.parametrize(
    "change",
    [
        {"safety_check": "false"},
        {"team": None},
        {"team": ""},
        {"team": True},
        {"team": "x" * 2001},
        {"force": True},
    ],
)
def test_arguments_are_exact(change: dict[str, object]) -> None:
    action = ACTIONS[ActionName.NOTIFY_TEAM]
    with pytest.raises(InvalidInput):
        checked_arguments(action, {"team": "a", "summary": "b"} | change)


parts = st.text("abc/*", min_size=1, max_size=4)


@given(parts, st.none() | parts, parts, parts, st.none() | parts, parts)
def test_two_places_never_share_a_target(
    m1: str, t1: str | None, e1: str, m2: str, t2: str | None, e2: str
) -> None:
    action = ACTIONS[ActionName.ROLLBACK_MODEL]

    def name(model: str, tenant: str | None, environment: str) -> str | None:
        try:
            return target_of(
                action, model, None if tenant is None else TenantId(tenant), environment
            )
        except InvalidInput:
            return None

    one, two = name(m1, t1, e1), name(m2, t2, e2)
    if one is not None and one == two:
        assert (m1, t1, e1) == (m2, t2, e2)


KEY = Ed25519PrivateKey.generate()
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
BOUND: dict[str, Any] = {
    "remediation": "rem_1",
    "incident": "inc-2015-05-12-001",
    "action": "rollback_model",
    "args_digest": digest_of({"a": "b"}),
    "target": "air-time/*/production",
    "policy_digest": "sha256:p",
}


def a_permit(**changes: Any) -> ActionPermit:
    body = {**BOUND, "id": "apm_1", "epoch": 2, "issued_at": AT, "expires_at": LATER, **changes}
    sealed = seal(canonical(body), PAYLOAD_TYPE, KEY).decode()
    return open_permit(sealed, TRUSTED)


USE: dict[str, Any] = {**BOUND, "epoch": 2, "tenant": None, "at": AT}


def test_a_permit_is_used_once() -> None:
    used, event = a_permit().consume(**USE)
    assert used.consumed_at == AT
    assert event.subject == "apm_1"
    with pytest.raises(PolicyRefused, match="used before"):
        used.consume(**USE)


@pytest.mark.parametrize("name", sorted(BOUND))
def test_a_permit_is_for_exactly_one_thing(name: str) -> None:
    with pytest.raises(PolicyRefused, match=f"something else: {name}"):
        a_permit().consume(**{**USE, name: "other"})


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        (AT - timedelta(microseconds=1), False),
        (AT, True),
        (LATER - timedelta(microseconds=1), True),
        (LATER, False),
    ],
)
def test_a_permit_holds_for_its_time_only(at: datetime, allowed: bool) -> None:
    if allowed:
        a_permit().consume(**{**USE, "at": at})
    else:
        with pytest.raises(PolicyRefused):
            a_permit().consume(**{**USE, "at": at})


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_permit_of_another_epoch_is_void(epoch: int) -> None:
    with pytest.raises(PolicyRefused, match="another action was started"):
        a_permit().consume(**{**USE, "epoch": epoch})


def test_only_the_gates_seal_opens() -> None:
    body = {**BOUND, "id": "apm_1", "epoch": 2, "issued_at": AT, "expires_at": LATER}
    forged = seal(canonical(body), PAYLOAD_TYPE, Ed25519PrivateKey.generate()).decode()
    other_type = seal(canonical(body), "application/vnd.trimtab.permit+json", KEY).decode()
    changed = a_permit().sealed.replace("a", "b", 1)
    for sealed in (forged, other_type, changed, "", "{}"):
        with pytest.raises(IntegrityFailed):
            open_permit(sealed, TRUSTED)


@pytest.mark.parametrize(
    "change", [{"epoch": True}, {"epoch": "2"}, {"issued_at": "then"}, {"more": 1}, {"target": 1}]
)
def test_a_permit_with_other_members_does_not_open(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityFailed):
        a_permit(**change)


def test_the_digest_tells_arguments_apart() -> None:
    assert digest_of({"a": "b"}) == digest_of({"a": "b"})
    assert digest_of({"a": "b"}) != digest_of({"a": "c"})
    assert replace(a_permit(), sealed="").body() == a_permit().body()
