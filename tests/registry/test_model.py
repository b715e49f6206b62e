"""Versions: one spelling, and no move outside the table."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel.errors import InvalidInput, InvalidMove, PolicyRefused
from trimtab.kernel.ids import ApprovalId, Digest, PermitId, TenantId, VersionId
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import (
    MOVES,
    Lifecycle,
    TrainingTrigger,
    Version,
    checked_name,
    checked_version,
    version_key,
)
from trimtab.registry.permits import Permit

NOW = datetime(2015, 3, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "0" * 64)

VERSION = Version(
    id=VersionId("ver_1"),
    model="delays",
    tenant=None,
    version="1.0.0",
    number=1,
    predecessor=None,
    bump="first",
    bump_reasons=(),
    lifecycle=Lifecycle.DEVELOPMENT,
    digest=DIGEST,
    size_bytes=1,
    framework="onnx",
    cutoff=0.5,
    training_metrics={},
    training_trigger=TrainingTrigger.MANUAL,
    parent=None,
    reference_digest=DIGEST,
    reference_rows=1,
    holdout_digest=DIGEST,
    lineage={},
    binding="",
    signature="",
    signer="",
    signed_at=NOW,
    inspection={},
    contributors=(),
    created_by="x",
    created_at=NOW,
)
PERMIT = Permit(
    id=PermitId("per_1"),
    model="delays",
    version="1.0.0",
    digest=DIGEST,
    tenant=None,
    environment="production",
    max_percent=25.0,
    approval=ApprovalId("apr_1"),
    policy_digest=DIGEST,
    issued_at=NOW,
    expires_at=NOW + timedelta(hours=1),
    sealed="s",
)
CANARY = Deployed(
    id="dep_1",
    model="delays",
    tenant=None,
    environment="production",
    version="1.0.0",
    digest=DIGEST,
    state=Deployment.CANARY,
    percent=10.0,
    salt="s",
    permit=PERMIT.id,
    since=NOW,
)


@given(st.lists(st.sampled_from(Lifecycle), max_size=12))
def test_no_move_outside_the_table(wishes: list[Lifecycle]) -> None:
    version = VERSION
    for to in wishes:
        allowed = to in MOVES[version.lifecycle] or (
            to is Lifecycle.QUARANTINED and version.lifecycle is not Lifecycle.ARCHIVED
        )
        if allowed:
            moved, event = version.move(to, "why")
            assert (event.before, event.after) == (version.lifecycle.value, to.value)
            assert dataclasses.replace(moved, lifecycle=version.lifecycle) == version
            version = moved
        else:
            with pytest.raises(InvalidMove):
                version.move(to, "why")


def test_no_way_to_production_past_approval() -> None:
    assert [a for a, to in MOVES.items() if Lifecycle.PRODUCTION in to] == [Lifecycle.APPROVED]
    into = {a for a, to in MOVES.items() if Lifecycle.APPROVED in to}
    assert into == {Lifecycle.STAGING, Lifecycle.PRODUCTION}


def test_what_was_refused_never_serves_again() -> None:
    for dead in (Lifecycle.REJECTED, Lifecycle.QUARANTINED, Lifecycle.DEPRECATED):
        assert MOVES[dead] == {Lifecycle.ARCHIVED}
    assert MOVES[Lifecycle.ARCHIVED] == frozenset()


@given(st.from_regex(r"\A[0-9]{1,8}(\.[0-9]{1,8}){0,4}\s?\Z") | st.text(max_size=12))
def test_a_version_has_one_spelling(text: str) -> None:
    parts = text.split(".")
    plain = len(parts) == 3 and all(
        p.isascii() and p.isdecimal() and len(p) <= 6 and str(int(p)) == p for p in parts
    )
    if plain:
        assert checked_version(text) == text
        assert ".".join(map(str, version_key(text))) == text
    else:
        with pytest.raises(InvalidInput):
            checked_version(text)


@pytest.mark.parametrize(
    "text", ["1.0.0\n", "01.0.0", "1.0", "1.0.0+x", "1.0.0-rc1", "v1.0.0", "１.0.0", "1.0.0 ", ""]
)
def test_look_alikes_of_versions(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_version(text)


@pytest.mark.parametrize("text", ["a\n", "A", "-a", "a-", "a_b", "a/b", "..", "é", "", "a" * 64])
def test_look_alikes_of_names(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_name(text)


def test_versions_are_ordered_as_numbers() -> None:
    assert version_key("1.10.0") > version_key("1.9.9")


def consume(permit: Permit = PERMIT, **changes: Any) -> Permit:
    wish: dict[str, Any] = {
        "digest": DIGEST,
        "tenant": None,
        "environment": "production",
        "percent": 10.0,
        "at": NOW,
    }
    used, event = permit.consume(**(wish | changes))
    assert event.approval == permit.approval
    return used


@pytest.mark.parametrize(
    "wish",
    [
        {"digest": Digest("sha256:" + "1" * 64)},
        {"tenant": TenantId("aa")},
        {"environment": "staging"},
        {"percent": 25.0001},
        {"percent": float("nan")},
        {"percent": float("inf")},
        {"percent": 0.0},
        {"percent": -1.0},
        {"at": NOW + timedelta(hours=1)},
        {"at": NOW + timedelta(days=9)},
    ],
    ids=str,
)
def test_a_permit_is_for_one_thing_up_to_its_cap_in_its_time(wish: dict[str, Any]) -> None:
    with pytest.raises(PolicyRefused):
        consume(**wish)


def test_a_permit_is_used_once() -> None:
    used = consume(percent=25.0, at=NOW + timedelta(minutes=59))
    with pytest.raises(PolicyRefused, match="used before"):
        consume(used)


@given(st.floats(0, 100), st.floats(0, 100) | st.just(float("nan")))
def test_more_exposure_needs_a_permit_of_its_own(have: float, want: float) -> None:
    deployed = dataclasses.replace(CANARY, percent=have)
    if want <= have:
        moved, _ = deployed.to(Deployment.CANARY, percent=want, permit=PERMIT.id, why="w", at=NOW)
        assert moved.percent == want
    else:
        with pytest.raises(PolicyRefused):
            deployed.to(Deployment.CANARY, percent=want, permit=PERMIT.id, why="w", at=NOW)


@pytest.mark.parametrize("state", Deployment)
def test_what_was_rolled_back_stays_so(state: Deployment) -> None:
    gone = dataclasses.replace(CANARY, state=Deployment.ROLLED_BACK, percent=0.0)
    with pytest.raises(InvalidMove):
        gone.to(state, percent=1.0, permit=PermitId("per_2"), why="w", at=NOW)
