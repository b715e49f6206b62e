"""Asking and deciding on a real database, by persons, also all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from trimtab.approvals import service, store
from trimtab.approvals.model import Approval, Phase, Target
from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.kernel.actor import Actor, ActorKind, system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidMove, NotFound, NotPermitted, TrimtabError
from trimtab.kernel.ids import Digest, TenantId
from trimtab.policies.admission import Approvals
from trimtab.policies.loader import load_preset

BYTES = Digest("sha256:" + "a" * 64)
TARGET = Target(
    model="delays",
    version_id="ver_1",
    version="1.0.0",
    digest=BYTES,
    tenant=None,
    environment="production",
    max_percent=25.0,
    checks_digest="sha256:c",
    policy_digest="sha256:p",
)
AUTO = load_preset("standard").tier(2).approvals.auto_approve
FOUR = Approvals.model_validate(
    {
        "auto_approve": AUTO.model_dump(),
        "steps": ({"role": "board", "people": 4},),
        "min_people": 4,
        "expires_days": 14,
    }
)
ASKER = Actor("svc_ci", ActorKind.SERVICE, None, frozenset(), "ci", "usr_asker")


def person(name: str, tenant: str | None = None) -> Actor:
    return Actor(
        name, ActorKind.PERSON, TenantId(tenant) if tenant else None, frozenset(), name, name
    )


def ask(
    records: Records, actor: Actor = ASKER, target: Target = TARGET, **changes: Any
) -> Approval:
    given: dict[str, Any] = {
        "comment": "please",
        "contributors": ("usr_trainer",),
        "criteria": ({"name": "x", "value": None, "threshold": 1, "met": False},),
        "demands": FOUR,
    } | changes
    with records.begin(actor, reason="r") as work:
        return service.request(work, target, **given)


def decide(
    records: Records, approval: Approval, actor: Actor, *, approve: bool = True, **changes: Any
) -> Approval:
    roles, digest = changes.get("roles", frozenset({"board"})), changes.get("digest", BYTES)
    with records.begin(actor, reason="looks right") as work:
        return service.decide(work, approval.id, roles, approve=approve, digest=digest)


def present(records: Records, approval: Approval) -> Approval:
    with records.look() as reading:
        return store.get(reading, approval.id)


def kinds(records: Records) -> list[str]:
    with records.look() as reading:
        return [e.kind for e in ledger.entries(reading.connection, limit=10_000)]


def test_what_was_kept_is_what_was_asked(records: Records) -> None:
    asked = ask(records)
    assert present(records, asked) == asked
    assert asked.excluded == {"usr_asker", "usr_trainer"}
    voted = decide(records, asked, person("usr_1"))
    assert present(records, asked) == voted
    assert voted.votes[0].reason == "looks right"


def test_asking_again_is_the_same_request(records: Records) -> None:
    assert ask(records).id == ask(records).id
    assert kinds(records) == ["approval.requested"]


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": Digest("sha256:" + "b" * 64)},
        {"checks_digest": "sha256:d"},
        {"policy_digest": "sha256:q"},
        {"max_percent": 26.0},
        {"environment": "staging"},
        {"tenant": TenantId("aa")},
    ],
    ids=str,
)
def test_asking_for_anything_else_is_another_request(
    records: Records, changes: dict[str, Any]
) -> None:
    first = ask(records)
    for n in range(4):
        decide(records, first, person(f"usr_{n}"))
    other = ask(records, target=replace(TARGET, **changes))
    assert (other.id != first.id, other.phase, other.votes) == (True, Phase.PENDING, ())


def test_who_asked_is_no_approver_through_whatever_account(records: Records) -> None:
    asked = ask(records)
    through = [
        person("usr_asker"),
        ASKER,
        Actor("svc_other", ActorKind.SERVICE, None, frozenset(), "other", "usr_asker"),
        Actor("svc_train", ActorKind.SERVICE, None, frozenset(), "train", "usr_trainer"),
        person("usr_trainer"),
    ]
    for actor in through:
        with pytest.raises(NotPermitted):
            decide(records, asked, actor)
    with pytest.raises(NotPermitted, match="only a person"):
        decide(records, asked, system("release"))
    assert present(records, asked).votes == ()


def test_a_person_and_the_account_they_own_are_one_voter(records: Records) -> None:
    asked = ask(records)
    decide(records, asked, person("usr_1"))
    bot = Actor("svc_bot", ActorKind.SERVICE, None, frozenset(), "bot", "usr_1")
    decide(records, asked, bot)
    with pytest.raises(NotPermitted, match="one vote"):
        decide(records, asked, bot, approve=False)
    assert len(present(records, asked).votes) == 1


def test_the_same_vote_again_changes_nothing_another_is_refused(records: Records) -> None:
    asked = ask(records)
    decide(records, asked, person("usr_1"))
    before = kinds(records)
    decide(records, asked, person("usr_1"))
    with pytest.raises(NotPermitted):
        decide(records, asked, person("usr_1"), approve=False)
    with pytest.raises(Conflict):
        decide(records, asked, person("usr_2"), digest="sha256:" + "b" * 64)
    assert kinds(records) == before


def test_fifty_threads_of_five_approvers_make_one_transition_at_the_fourth(
    records: Records,
) -> None:
    asked = ask(records)

    def press(n: int) -> str:
        try:
            return decide(records, asked, person(f"usr_{n % 5}")).phase.value
        except (InvalidMove, NotPermitted, Conflict) as refused:
            return refused.code

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(press, range(250)))
    assert found.count("conflict") == 0
    done = present(records, asked)
    assert done.phase is Phase.APPROVED
    assert len({v.person for v in done.votes}) == len(done.votes) == 4
    with records.look() as reading:
        voted = ledger.entries(reading.connection, kinds=["approval.voted"])
    assert [e.data and e.data["phase"] for e in voted] == ["pending"] * 3 + ["approved"]


def test_approve_reject_withdraw_expire_and_void_at_once(
    records: Records, clock: SteppedClock
) -> None:
    for round_ in range(6):
        asked = ask(records, target=replace(TARGET, version_id=f"ver_{round_}"))
        for n in range(3):
            decide(records, asked, person(f"usr_{n}"))
        before = len(kinds(records))

        def act(what: int, asked: Approval = asked) -> None:
            try:
                if what in (0, 1):
                    decide(records, asked, person(f"usr_{8 + what}"), approve=what == 0)
                    return
                with records.begin(ASKER, reason="r") as work:
                    (service.withdraw if what == 2 else service.expire)(work, asked.id)
            except TrimtabError:
                pass

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(act, [n % 4 for n in range(8)]))
        done = present(records, asked)
        assert done.phase in (Phase.APPROVED, Phase.REJECTED, Phase.WITHDRAWN)
        assert len(kinds(records)) == before + 1


def test_its_time(records: Records, clock: SteppedClock) -> None:
    asked = ask(records)
    assert asked.due_at == clock.now() + timedelta(days=14)
    with records.begin(system("sweep"), reason="r") as work:
        assert service.expire(work, asked.id).phase is Phase.PENDING
        assert store.due(work, work.now) == []
        assert store.next_due(work) == asked.due_at
    clock.step_to(asked.due_at)
    with pytest.raises(InvalidMove):
        decide(records, asked, person("usr_1"))
    for _ in range(2):
        with records.begin(system("sweep"), reason="r") as work:
            assert service.expire(work, asked.id).phase is Phase.EXPIRED
    with records.look() as reading:
        assert (store.due(reading, reading.now), store.next_due(reading)) == ([], None)
    assert kinds(records) == ["approval.requested", "approval.ended"]
    assert ask(records).id != asked.id


def test_an_approval_given_expires_too(records: Records, clock: SteppedClock) -> None:
    asked = ask(records)
    for n in range(4):
        decide(records, asked, person(f"usr_{n}"))
    clock.step_to(clock.now() + timedelta(days=14))
    with records.begin(system("sweep"), reason="r") as work:
        assert list(store.due(work, work.now)) == [asked.id]
        assert service.expire(work, asked.id).phase is Phase.EXPIRED


def test_only_who_asked_takes_it_back(records: Records) -> None:
    asked = ask(records)
    for stranger in (person("usr_9"), system("release")):
        with pytest.raises(NotPermitted), records.begin(stranger, reason="r") as work:
            service.withdraw(work, asked.id)
    with records.begin(person("usr_asker"), reason="r") as work:
        assert service.withdraw(work, asked.id).phase is Phase.WITHDRAWN


def test_what_the_platform_asked_no_other_part_of_it_takes_back(records: Records) -> None:
    asked = ask(records, system("intake"))
    with pytest.raises(NotPermitted), records.begin(system("other"), reason="r") as work:
        service.withdraw(work, asked.id)


def test_voiding(records: Records) -> None:
    asked = ask(records)
    for n in range(4):
        decide(records, asked, person(f"usr_{n}"))
    for _ in range(2):
        with records.begin(system("intake"), reason="r") as work:
            assert service.void(work, asked.id, "other bytes").phase is Phase.VOIDED
    with pytest.raises(InvalidMove):
        decide(records, asked, person("usr_7"))
    assert kinds(records).count("approval.ended") == 1


def test_an_automatic_approval_is_recorded_with_every_criterion(records: Records) -> None:
    met = ({"name": "check_schema", "value": "pass", "threshold": "pass", "met": True},)
    given = ask(records, system("intake"), criteria=met)
    assert (given.phase, given.automatic, given.votes) == (Phase.APPROVED, True, ())
    with records.look() as reading:
        (entry,) = ledger.entries(reading.connection)
    assert entry.kind == "approval.approved_automatically"
    assert entry.data is not None
    assert entry.data["criteria"] == list(met)
    assert entry.data["target"]["digest"] == BYTES


def test_unknown(records: Records) -> None:
    with pytest.raises(NotFound), records.begin(ASKER, reason="r") as work:
        service.decide(work, "apr_unknown", frozenset(), approve=True, digest=BYTES)


def test_a_tenant_sees_its_own_and_the_global_ones(records: Records) -> None:
    for n, tenant in enumerate([None, "aa", "bb"]):
        owner = TenantId(tenant) if tenant else None
        ask(records, target=replace(TARGET, version_id=f"ver_{n}", tenant=owner))
    with records.look() as reading:
        seen = {a.target.tenant for a in store.listed(reading, tenant=TenantId("aa"))}
        assert len(store.listed(reading)) == 3
    assert seen == {None, "aa"}
