"""Back to what was stable, whatever has become of its approval's policy and signers since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.workflows.handing_in import MODEL
from tests.workflows.releasing import Plane, Told, going_on, told

from trimtab.approvals import service as approvals
from trimtab.incidents import service as incidents
from trimtab.incidents import store as incident_store
from trimtab.incidents.model import Incident, Kind, Severity, Signal
from trimtab.incidents.model import Phase as IncidentPhase
from trimtab.kernel.actor import system
from trimtab.policies.operation import ActionName
from trimtab.registry import deployment_store, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployment
from trimtab.remediation import service as remediation
from trimtab.remediation import store as remediation_store
from trimtab.remediation.causes import Cause
from trimtab.remediation.model import Phase, Remediation
from trimtab.rollouts import service as rollouts
from trimtab.rollouts import store as rollout_store
from trimtab.rollouts.model import Rollout
from trimtab.workflows import release, repair
from trimtab.workflows.parts import ENVIRONMENT, policy_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Told:
    def story(plane: Plane) -> None:
        plane.hasten()
        plane.register()
        plane.release("1.0.0")
        plane.release("1.1.0")
        assert stable(plane) == "1.1.0"

    return told(tmp_path_factory.mktemp("released") / "plane", story)


@pytest.fixture
def two(released: Told, tmp_path: Path) -> Iterator[Plane]:
    """A plane whose second version has become stable after the first."""
    with going_on(released, tmp_path / "plane") as plane:
        yield plane


@pytest.fixture(scope="module")
def half_released(tmp_path_factory: pytest.TempPathFactory) -> Told:
    def story(plane: Plane) -> None:
        plane.hasten()
        plane.register()
        plane.release("1.0.0")
        plane.hand_in("1.1.0")
        plane.settle()
        plane.sign("1.1.0")
        plane.silent = True
        plane.day()
        assert (plane.rollout("1.1.0").phase.value, stable(plane)) == ("promoting", "1.1.0")

    return told(tmp_path_factory.mktemp("half") / "plane", story)


@pytest.fixture
def half(half_released: Told, tmp_path: Path) -> Iterator[Plane]:
    """The second version is stable in the records, and no gateway has said so yet."""
    with going_on(half_released, tmp_path / "plane") as plane:
        yield plane


def stable(plane: Plane) -> str | None:
    found = plane.stable()
    return None if found is None else found.version


def incident_of(plane: Plane) -> Incident:
    """Somebody noticed that the stable version does harm."""
    with plane.application.parts.records.begin(system("watch"), reason="harm") as work:
        return incidents.open_or_join(
            work,
            Signal(
                sequence=10_000_000,
                model=MODEL,
                tenant=None,
                kind=Kind.OTHER,
                cause_key="told:harm",
                severity=Severity.HIGH,
                title="it does harm",
                at=work.now,
            ),
        )


def propose(plane: Plane, incident: Incident, *, by_person: bool) -> Remediation:
    """A roll-back of that incident, proposed by a person or by the loop; the gate is next."""
    who = plane.people["ml_lead"].actor() if by_person else system("repair")
    with plane.application.parts.records.begin(who, reason="harm") as work:
        model = store.model_named(work, MODEL)
        _, policy_digest = policy_of(plane.application.parts, model)
        return remediation.propose(
            work,
            incident=incident.id,
            model=MODEL,
            tenant=None,
            environment=ENVIRONMENT,
            action=ActionName.ROLLBACK_MODEL,
            args={
                "from_version": "1.1.0",
                "from_digest": plane.version("1.1.0").digest,
                "to_version": "1.0.0",
                "to_digest": plane.version("1.0.0").digest,
            },
            cause=Cause.BAD_RELEASE,
            confidence=0.99,
            policy_digest=policy_digest,
            patience=timedelta(minutes=10),
        )


def ended(plane: Plane, remedy: Remediation) -> Remediation:
    with plane.application.parts.records.look() as reading:
        return remediation_store.get(reading, remedy.id)


def incidents_now(plane: Plane) -> dict[str, Incident]:
    with plane.application.parts.records.look() as reading:
        return {i.cause_key: i for i in incident_store.active(reading)}


@pytest.mark.parametrize("by_person", [True, False])
def test_a_remedy_goes_back_whatever_became_of_policy_and_signers(
    two: Plane, by_person: bool
) -> None:
    incident = incident_of(two)
    two.settle()
    two.change_policy()
    two.depart("ml_lead")
    two.depart("business_owner")
    remedy = propose(two, incident, by_person=by_person)
    two.settle()
    assert ended(two, remedy).phase is Phase.VERIFYING, ended(two, remedy)
    assert stable(two) == "1.0.0"
    assert two.placed("1.1.0").state.value == "rolled_back"
    (former,) = two.requests("1.0.0")
    issued = two.entries("permit.issued")[-1].data
    assert issued is not None
    assert (issued["version"], issued["approval"]) == ("1.0.0", former.id)
    assert issued["digest"] == two.version("1.0.0").digest


@pytest.mark.parametrize("change", ["quarantined", "voided"])
@pytest.mark.parametrize("by_person", [True, False])
def test_where_the_predecessor_may_not_return_the_bad_one_goes_and_a_person_is_called(
    two: Plane, change: str, by_person: bool
) -> None:
    incident = incident_of(two)
    two.settle()
    remedy = propose(two, incident, by_person=by_person)
    permitted_and_then(two, remedy, change)
    two.settle()
    assert stable(two) is None
    assert two.placed("1.1.0").state.value == "rolled_back"
    handed = ended(two, remedy)
    assert handed.phase is Phase.ESCALATED
    assert "1.1.0 was withdrawn" in str(handed.reason)
    assert incidents_now(two)["told:harm"].phase is IncidentPhase.ESCALATED


def permitted_and_then(plane: Plane, remedy: Remediation, change: str) -> None:
    """Between the gate's permit and its use, the predecessor becomes one that may not return."""
    (entry,) = (e for e in plane.entries("remediation.proposed") if e.subject == remedy.id)
    repair.ask_gate(plane.application.parts, plane.application.gate, entry)
    assert ended(plane, remedy).phase is Phase.PERMITTED
    unfit(plane, change)


def unfit(plane: Plane, change: str) -> None:
    if change == "quarantined":
        plane.quarantine("1.0.0")
        return
    (given,) = plane.requests("1.0.0")
    with plane.application.parts.records.begin(system("test"), reason="revoked") as work:
        approvals.void(work, given.id, "revoked by the board")


def abort(plane: Plane) -> None:
    """A person takes it back."""
    rollout = plane.rollout("1.1.0").id
    who = plane.people["ml_lead"].actor()
    with plane.application.parts.records.begin(who, reason="it does harm") as work:
        rollouts.abort(work, rollout)
    plane.silent = False
    plane.settle(after=timedelta(minutes=30))


def test_a_rollout_that_got_so_far_is_taken_back_under_another_policy_without_its_signers(
    half: Plane,
) -> None:
    half.change_policy()
    half.depart("ml_lead")
    half.depart("business_owner")
    abort(half)
    assert half.rollout("1.1.0").phase.value == "rolled_back"
    assert stable(half) == "1.0.0"


@pytest.mark.parametrize("change", ["quarantined", "voided"])
def test_a_rollout_that_got_so_far_goes_even_where_nothing_may_return(
    half: Plane, change: str
) -> None:
    unfit(half, change)
    abort(half)
    assert half.rollout("1.1.0").phase.value == "rolled_back"
    assert stable(half) is None
    (refused,) = half.entries("rollback.refused")
    assert refused.data is not None
    assert refused.data["version"] == "1.1.0"
    called = incidents_now(half)["rollback:1.1.0"]
    assert called.phase is IncidentPhase.ESCALATED
    assert called.severity is Severity.CRITICAL


@pytest.mark.parametrize("change", ["policy", "signer"])
def test_a_canary_that_may_not_grow_is_taken_back(plane: Plane, change: str) -> None:
    plane.register()
    plane.hand_in("1.0.0")
    plane.settle()
    plane.sign("1.0.0")
    assert plane.rollout("1.0.0").observed_percent == 10
    if change == "policy":
        plane.change_policy()
    else:
        plane.depart("ml_lead")
    plane.day()
    rollout = plane.rollout("1.0.0")
    assert (rollout.phase.value, rollout.observed_percent) == ("rolled_back", 0)
    why = "another policy" if change == "policy" else "too few of those who signed"
    assert why in str(rollout.outcome_reason)


@pytest.mark.parametrize("phase", ["running", "held"])
def test_a_rollout_whose_version_became_stable_by_a_remedy_has_nothing_left_to_release(
    two: Plane, phase: str
) -> None:
    parts = two.application.parts
    again = once_more(two)
    if phase == "held":
        with parts.records.begin(two.people["ml_lead"].actor(), reason="not now") as work:
            rollouts.hold(work, again)
    incident = incident_of(two)
    two.settle()
    propose(two, incident, by_person=False)
    two.settle()
    two.settle(after=timedelta(hours=1))
    ended = rollout_of(two, again)
    assert (ended.phase.value, ended.observed_percent) == ("promoted", 100)
    assert ended.outcome_reason == "its version became stable there by another way"
    assert [e.subject for e in two.entries("rollout.overtaken")] == [again]
    with parts.records.look() as reading:
        carrying = deployment_store.carrying(reading, ENVIRONMENT, model=MODEL)
    assert [(d.version, d.state) for d in carrying] == [("1.0.0", Deployment.STABLE)]


def rollout_of(plane: Plane, rollout_id: str) -> Rollout:
    with plane.application.parts.records.look() as reading:
        return rollout_store.get(reading, rollout_id)


def resolve(plane: Plane, incident: Incident) -> None:
    who = plane.people["ml_lead"].actor()
    with plane.application.parts.records.begin(who, reason="it was a false alarm") as work:
        incidents.resolve(work, incident.id, {}, resolution="a person says so")


@pytest.mark.parametrize("permitted", [False, True])
def test_nothing_is_done_about_an_incident_that_a_person_has_ended(
    two: Plane, permitted: bool
) -> None:
    """Neither is the gate asked, nor is what it has permitted carried out."""
    incident = incident_of(two)
    remedy = propose(two, incident, by_person=False)
    if permitted:
        (entry,) = (e for e in two.entries("remediation.proposed") if e.subject == remedy.id)
        repair.ask_gate(two.application.parts, two.application.gate, entry)
        assert ended(two, remedy).phase is Phase.PERMITTED
    resolve(two, incident)
    two.settle()
    assert ended(two, remedy).phase is Phase.ABORTED
    (stopped,) = (e for e in two.entries("remediation.aborted") if e.subject == remedy.id)
    assert stopped.reason == "the incident is over"
    assert stable(two) == "1.1.0"


def test_an_incident_that_a_person_has_ended_is_handed_to_nobody_afterwards(two: Plane) -> None:
    incident = incident_of(two)
    with two.application.parts.records.begin(system("test"), reason="somebody looks") as work:
        incidents.escalate(work, incident.id, "somebody looks")
    remedy = propose(two, incident, by_person=True)
    two.settle()
    assert ended(two, remedy).phase is Phase.VERIFYING
    resolve(two, incident)
    two.settle(after=timedelta(days=3))
    assert ended(two, remedy).phase is Phase.ESCALATED, "there is no figure to measure it by"
    with two.application.parts.records.look() as reading:
        assert incident_store.get(reading, incident.id).phase is IncidentPhase.RESOLVED


def test_a_gateway_that_was_silent_and_says_the_same_again_is_heard(half: Plane) -> None:
    """Its epoch is the one that it had before; that it speaks is what is new."""
    half.settle()
    assert half.rollout("1.1.0").phase.value == "promoting"
    half.silent = False
    for _ in range(2):  # at the end of the first it has spoken, however soon that was
        half.settle()
    assert half.rollout("1.1.0").phase.value == "promoted"


def once_more(plane: Plane) -> str:
    """A rollout of the first version, which is a canary again beside the second."""
    who = plane.people["ml_lead"].actor()
    with plane.application.parts.records.begin(who, reason="once more") as work:
        again = release.start(plane.application.parts, work, plane.version("1.0.0"))
    plane.settle()
    assert plane.placed("1.0.0").state is Deployment.CANARY
    return again.id


@pytest.mark.parametrize("aborted", ["before", "after"])
def test_who_takes_a_canary_back_does_not_take_what_a_remedy_made_stable(
    two: Plane, aborted: str
) -> None:
    again, incident = once_more(two), incident_of(two)
    two.settle()
    two.silent = True
    two.settle(after=timedelta(minutes=3))
    first, second = aborting(two, again), remedying(two, incident)
    for act in (second, first) if aborted == "after" else (first, second):
        act()
        two.settle()
    two.silent = False
    for _ in range(2):
        two.settle(after=timedelta(hours=1))
    assert stable(two) == "1.0.0"
    assert rollout_of(two, again).phase.value in ("rolled_back", "promoted")


def remedying(plane: Plane, incident: Incident) -> Callable[[], None]:
    def remedy() -> None:
        propose(plane, incident, by_person=False)

    return remedy


def aborting(plane: Plane, rollout_id: str) -> Callable[[], None]:
    def stop() -> None:
        who = plane.people["ml_lead"].actor()
        if not rollout_of(plane, rollout_id).settled:
            with plane.application.parts.records.begin(who, reason="not needed") as work:
                rollouts.abort(work, rollout_id)

    return stop


def test_what_was_promoted_and_taken_away_before_it_was_seen_goes_back(half: Plane) -> None:
    incident = incident_of(half)
    half.settle()
    propose(half, incident, by_person=False)
    half.settle()
    assert (half.rollout("1.1.0").phase.value, stable(half)) == ("promoting", "1.0.0")
    half.silent = False
    for _ in range(2):
        half.settle(after=timedelta(hours=1))
    assert half.rollout("1.1.0").phase.value == "rolled_back"


def test_what_was_overtaken_and_is_withdrawn_goes_back(two: Plane) -> None:
    again, incident = once_more(two), incident_of(two)
    two.settle()
    propose(two, incident, by_person=False)
    two.settle()
    two.silent = True
    for length in (timedelta(minutes=3), timedelta(hours=1)):
        two.settle(after=length)
    assert rollout_of(two, again).phase.value == "promoting"
    with two.application.parts.records.begin(system("test"), reason="bad too") as work:
        place = (MODEL, None, ENVIRONMENT)
        registry.withdraw_stable(work, *place, version="1.0.0", why="bad too")
    two.silent = False
    for _ in range(2):
        two.settle(after=timedelta(hours=1))
    assert rollout_of(two, again).phase.value == "rolled_back"
