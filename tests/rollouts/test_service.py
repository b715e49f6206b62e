"""The verbs of a rollout on a real database: safe to repeat, and never forward on nothing."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from trimtab.audit import ledger
from trimtab.audit.work import Records
from trimtab.kernel.actor import system
from trimtab.kernel.clock import SteppedClock
from trimtab.kernel.errors import Conflict, InvalidMove, NotFound, TrimtabError
from trimtab.kernel.ids import ApprovalId, Digest, TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.policies.loader import load_preset
from trimtab.rollouts import service, store
from trimtab.rollouts.analysis import Analysis
from trimtab.rollouts.model import Phase, Rollout

DEMANDS = load_preset("standard").tier(2).rollout
ANN = system("ann")


def saying(verdict: Verdict) -> Analysis:
    return Analysis(verdict, f"it is {verdict.value}", (), 0, 0, 0, 0, 0, None)


class Rollouts:
    """The verbs, each in a work of its own."""

    def __init__(self, records: Records):
        self.records = records

    def do(self, verb: Any, *args: Any, **kwargs: Any) -> Any:
        with self.records.begin(ANN, reason="because") as work:
            return verb(work, *args, **kwargs)

    def start(self, version: str = "2.0.0", tenant: str | None = None, **changes: Any) -> Rollout:
        given: dict[str, Any] = {
            "model": "delays",
            "tenant": None if tenant is None else TenantId(tenant),
            "environment": "production",
            "version_id": f"ver_{version}",
            "version": version,
            "digest": Digest("sha256:" + "a" * 64),
            "active_version": "1.0.0",
            "approval": ApprovalId("apr_1"),
            "policy_digest": "sha256:p",
            "demands": DEMANDS,
        }
        found: Rollout = self.do(service.start, **(given | changes))
        return found

    def see(self, rollout: Rollout, percent: float) -> Rollout:
        found: Rollout = self.do(service.observe, rollout.id, percent, demands=DEMANDS)
        return found

    def judge(self, rollout: Rollout, verdict: Verdict, revision: int | None = None) -> Rollout:
        found: Rollout = self.do(
            service.advance,
            rollout.id,
            saying(verdict),
            revision=rollout.revision if revision is None else revision,
            demands=DEMANDS,
        )
        return found

    def running(self) -> Rollout:
        return self.see(self.start(), 10)

    def now(self, rollout: Rollout) -> Rollout:
        with self.records.look() as reading:
            return store.get(reading, rollout.id)

    def kinds(self) -> list[str]:
        with self.records.look() as reading:
            return [e.kind for e in ledger.entries(reading.connection, limit=10_000)]


@pytest.fixture
def rollouts(records: Records) -> Rollouts:
    return Rollouts(records)


def test_what_was_kept_is_what_was_decided(rollouts: Rollouts) -> None:
    started = rollouts.start()
    assert rollouts.now(started) == started
    seen = rollouts.see(started, 10)
    assert rollouts.now(started) == seen


def test_starting_again_is_the_same_rollout(rollouts: Rollouts) -> None:
    assert rollouts.start().id == rollouts.start().id
    assert rollouts.kinds() == ["rollout.started"]


def test_one_open_rollout_for_each_place(rollouts: Rollouts) -> None:
    first = rollouts.start()
    with pytest.raises(Conflict):
        rollouts.start("3.0.0")
    assert rollouts.start("3.0.0", tenant="aa").id != first.id
    rollouts.do(service.abort, first.id)
    rollouts.see(first, 0)
    assert rollouts.now(first).phase is Phase.ROLLED_BACK
    rollouts.start("3.0.0")


def test_starts_at_once_leave_one(rollouts: Rollouts) -> None:
    def start(n: int) -> str:
        try:
            return rollouts.start(f"{2 + n % 4}.0.0").id
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(start, range(16)))
    assert len(found - {"conflict"}) == 1
    assert rollouts.kinds() == ["rollout.started"]


def test_up_the_ladder_and_each_verdict_counts_once(rollouts: Rollouts) -> None:
    rollout = rollouts.running()
    for share in (25, 50, 100):
        before = rollout
        rollout = rollouts.judge(before, Verdict.PASS)
        assert rollout.intended_percent == share
        assert rollouts.judge(before, Verdict.PASS) == rollout, "an old look moves nothing"
        assert rollouts.judge(rollout, Verdict.PASS) == rollout, "not before it was observed"
        rollout = rollouts.see(rollout, share)
        assert rollouts.see(rollout, share) == rollout
    assert rollout.phase is Phase.PROMOTED
    assert rollouts.kinds().count("rollout.step_intended") == 3
    assert rollouts.kinds().count("rollout.step_observed") == 4


def test_harm_counts_before_the_next_share_was_observed(rollouts: Rollouts) -> None:
    lagging = rollouts.judge(rollouts.running(), Verdict.PASS)
    assert not lagging.observed
    assert rollouts.judge(lagging, Verdict.INCONCLUSIVE) == lagging
    assert rollouts.judge(lagging, Verdict.FAIL).phase is Phase.ROLLING_BACK


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_not_knowing_moves_nothing_and_too_much_of_it_goes_back(
    rollouts: Rollouts, verdict: Verdict
) -> None:
    demands = DEMANDS.model_copy(update={"max_inconclusive_looks": 3})
    rollout = rollouts.running()
    for n in range(3):
        rollout = rollouts.do(
            service.advance, rollout.id, saying(verdict), revision=rollout.revision, demands=demands
        )
        assert (rollout.phase, rollout.intended_percent) == (Phase.RUNNING, 10)
        assert rollout.looks_undecided == n + 1
    rollout = rollouts.do(
        service.advance, rollout.id, saying(verdict), revision=rollout.revision, demands=demands
    )
    assert (rollout.phase, rollout.intended_percent) == (Phase.ROLLING_BACK, 0)
    assert "4 looks could not tell" in (rollout.outcome_reason or "")


def test_harm_goes_back_and_stays_there(rollouts: Rollouts) -> None:
    rollout = rollouts.judge(rollouts.running(), Verdict.FAIL)
    assert (rollout.phase, rollout.intended_percent) == (Phase.ROLLING_BACK, 0)
    for verdict in Verdict:
        assert rollouts.judge(rollout, verdict) == rollout
    assert rollouts.do(service.abort, rollout.id) == rollout
    assert rollouts.do(service.roll_back, rollout.id, "again") == rollout
    with pytest.raises(InvalidMove):
        rollouts.do(service.hold, rollout.id)
    with pytest.raises(InvalidMove):
        rollouts.do(service.resume, rollout.id, demands=DEMANDS)
    gone = rollouts.see(rollout, 0)
    assert (gone.phase, gone.due_at) == (Phase.ROLLED_BACK, None)
    assert rollouts.see(gone, 50) == gone


def test_a_person_outranks_automation_except_for_harm(rollouts: Rollouts) -> None:
    rollout = rollouts.do(service.hold, rollouts.running().id)
    assert rollouts.do(service.hold, rollout.id) == rollout
    for _ in range(3):
        rollout = rollouts.judge(rollout, Verdict.PASS)
        assert (rollout.phase, rollout.intended_percent) == (Phase.HELD, 10)
    assert rollouts.judge(rollout, Verdict.FAIL).phase is Phase.ROLLING_BACK


def test_resumed_it_needs_a_look_of_its_own(rollouts: Rollouts) -> None:
    held = rollouts.do(service.hold, rollouts.running().id)
    resumed = rollouts.do(service.resume, held.id, demands=DEMANDS)
    assert rollouts.do(service.resume, held.id, demands=DEMANDS) == resumed
    assert rollouts.judge(held, Verdict.PASS) == resumed, "a look from before the hold"
    assert rollouts.judge(resumed, Verdict.PASS).intended_percent == 25


def test_abort_wins_over_a_promotion_on_its_way(rollouts: Rollouts) -> None:
    rollout = rollouts.running()
    for share in (25, 50):
        rollout = rollouts.see(rollouts.judge(rollout, Verdict.PASS), share)
    rollout = rollouts.judge(rollout, Verdict.PASS)
    assert rollout.phase is Phase.PROMOTING
    assert rollouts.do(service.abort, rollout.id).phase is Phase.ROLLING_BACK


def test_looks_at_once_move_it_once(rollouts: Rollouts) -> None:
    rollout = rollouts.running()

    def look(n: int) -> None:
        rollouts.judge(rollout, [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE][n % 3])

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(look, range(24)))
    assert rollouts.now(rollout).revision == rollout.revision + 1
    assert len(rollouts.kinds()) == 3


def test_promotion_and_abort_at_once_have_one_order_and_safety_wins(rollouts: Rollouts) -> None:
    for number, tenant in enumerate(("aa", "ua", "dl", "wn")):
        rollout = rollouts.start(f"2.0.{number}", tenant=tenant)
        for share in (10, 25, 50):
            rollout = rollouts.see(rollout, share)
            rollout = rollouts.judge(rollout, Verdict.PASS)
        assert rollout.phase is Phase.PROMOTING

        def act(n: int, rollout: Rollout = rollout) -> None:
            with contextlib.suppress(TrimtabError):
                if n % 2:
                    rollouts.do(service.abort, rollout.id)
                else:
                    rollouts.see(rollout, 100)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(act, range(6)))
        now = rollouts.now(rollout)
        with rollouts.records.look() as reading:
            told = ledger.entries(reading.connection, kinds=["rollout.aborted"], ref=rollout.id)
        assert now.phase in (Phase.PROMOTED, Phase.ROLLING_BACK)
        assert len(told) == (now.phase is Phase.ROLLING_BACK)
        assert now.intended_percent == (100 if now.phase is Phase.PROMOTED else 0)


def test_what_is_due(rollouts: Rollouts, clock: SteppedClock) -> None:
    rollout = rollouts.running()
    look = clock.now() + timedelta(minutes=DEMANDS.look_interval_minutes)

    def due() -> list[str]:
        with rollouts.records.look() as reading:
            return list(store.due(reading, reading.now))

    assert due() == []
    clock.step_to(look)
    assert due() == [rollout.id]
    rollout = rollouts.judge(rollout, Verdict.INCONCLUSIVE)
    assert (due(), rollout.due_at) == ([], look + timedelta(minutes=30))
    rollouts.do(service.abort, rollout.id)
    rollouts.see(rollout, 0)
    with rollouts.records.look() as reading:
        assert store.next_due(reading) is None
        assert store.unsettled(reading) == []


def test_unknown(rollouts: Rollouts) -> None:
    with pytest.raises(NotFound):
        rollouts.do(service.hold, "rol_unknown")
