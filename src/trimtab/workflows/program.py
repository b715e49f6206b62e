"""Every reaction, job and sweep of the house, in one list."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.audit.reactions import Reaction
from trimtab.audit.work import Reading
from trimtab.kernel.actor import system
from trimtab.platform.durable import Job
from trimtab.remediation.gate_process import Gate
from trimtab.workflows import (
    check,
    close,
    diagnose,
    inspecting,
    intake,
    judging,
    late,
    reading,
    recovery,
    release,
    removing,
    repair,
    retrain,
    watch,
)
from trimtab.workflows.invariants import nightly
from trimtab.workflows.jobs import IN_ORDER, TIMELY, Reacts, Role, reaction, sweep
from trimtab.workflows.loop import Due, Program, Sweep
from trimtab.workflows.parts import Parts


def program(parts: Parts, gate: Gate) -> Program:
    """What runs by itself, over these parts and with the answers of this gate."""
    reacting = [
        *_releasing(parts),
        reaction(
            parts,
            "watch.signal",
            (
                "drift.confirmed",
                "performance.degraded",
                "rollout.rolled_back",
                "rollback.refused",
            ),
            watch.open_incident,
            queue=IN_ORDER,  # the first of a cause opens its incident, the others join it
        ),
        *_repairing(parts, gate),
        *_retraining(parts),
    ]
    return Program([r for r, _ in reacting], [j for _, j in reacting], _sweeps(parts))


def _sweeps(parts: Parts) -> list[Sweep]:
    watcher = watch.Watch(parts)
    due: list[tuple[str, str, Callable[[str], None], Due]] = [
        (Role.RELEASE, "intake.again", partial(check.again, parts), check.due_again),
        (Role.WATCH, "watch.schedule", watcher.schedule, watch.unscheduled),
        (Role.WATCH, "watch.window", watcher.turn, watch.due),
        (Role.WATCH, "watch.again", watcher.judge_again, late.due),
        (Role.REPAIR, "repair.turn", partial(repair.turn, parts), repair.due),
        (Role.REPAIR, "repair.recheck", partial(repair.recheck, parts), recovery.due),
        (Role.RELEASE, "release.turn", partial(release.turn, parts), partial(release.due, parts)),
        (Role.RELEASE, "approvals.expire", partial(_expire, parts), _expiring),
        (Role.REPAIR, "retrain.expire", partial(retrain.expire, parts), retrain.overdue),
        (Role.WATCH, "audit.invariants", partial(nightly.check, parts), nightly.due),
        *_reading(parts),
    ]
    return [Sweep(sweep(name, turn, queue=role), found) for role, name, turn, found in due]


def _reading(parts: Parts) -> list[tuple[str, str, Callable[[str], None], Due]]:
    judge = judging.Judge(parts)
    due, lagging = partial(reading.due, parts), partial(reading.lagging, parts)
    return [
        (Role.INGEST, "ingest.sync", partial(reading.turn, parts), due),
        (Role.INGEST, "ingest.inspect", partial(reading.inspect, parts), inspecting.due),
        (TIMELY, "ingest.lag", partial(reading.note_lag, parts), lagging),
        (TIMELY, "ingest.remove", partial(removing.turn, parts), removing.due),
        (TIMELY, "ingest.judge", partial(judging.turn, parts, judge), judging.due(judge)),
    ]


def _releasing(parts: Parts) -> list[tuple[Reaction, Job]]:
    reacting: list[tuple[str, tuple[str, ...], Reacts]] = [
        ("intake.check", ("version.registered",), check.run),
        ("intake.ask", ("check.finished",), intake.request_approval),
        ("release.start", ("version.moved",), release.start_approved),
        ("release.next", ("rollout.step_observed",), release.start_next),
    ]
    decide = reaction(
        parts,
        "intake.decide",
        ("approval.voted", "approval.approved_automatically"),
        intake.follow_approval,
        queue=Role.RELEASE,
        wanted=intake.decides,  # most votes are not the last
    )
    return [
        *(reaction(parts, name, kinds, act, queue=Role.RELEASE) for name, kinds, act in reacting),
        decide,
    ]


def _repairing(parts: Parts, gate: Gate) -> list[tuple[Reaction, Job]]:
    ending = (
        "plan.drawn_up",
        "remediation.recovered",
        "remediation.refused",
        "remediation.aborted",
        "rollout.step_observed",
    )
    reacting: list[tuple[Role, str, tuple[str, ...], Reacts]] = [
        (
            Role.REPAIR,
            "repair.diagnose",
            ("incident.opened", "incident.signal_added"),
            diagnose.diagnose,
        ),
        (Role.REPAIR, "repair.plan", ("incident.diagnosed",), repair.plan),
        (
            Role.GATE,
            "repair.gate",
            ("remediation.proposed",),
            lambda p, entry: repair.ask_gate(p, gate, entry),
        ),
        (
            Role.REPAIR,
            "repair.carry_out",
            ("remediation.permitted",),
            lambda p, entry: repair.carry_out(p, gate, entry),
        ),
        (Role.REPAIR, "repair.close", ending, close.without_harm),
    ]
    return [reaction(parts, name, kinds, act, queue=role) for role, name, kinds, act in reacting]


def _retraining(parts: Parts) -> list[tuple[Reaction, Job]]:
    reacting: list[tuple[str, tuple[str, ...], Reacts]] = [
        ("retrain.check", ("retraining.requested",), retrain.check),
        (
            "retrain.train",
            ("retraining.data_checked", "retraining.attempt_failed"),
            retrain.train,
        ),
        ("retrain.judge", ("retraining.trained",), retrain.judge),
        ("retrain.submit", ("retraining.judged",), retrain.submit),
        (
            "retrain.ended",
            ("retraining.refused", "retraining.kept", "retraining.failed"),
            retrain.ended,
        ),
        ("retrain.promoted", ("rollout.step_observed",), retrain.promoted),
    ]
    return [reaction(parts, name, kinds, act, queue=Role.REPAIR) for name, kinds, act in reacting]


def _expire(parts: Parts, approval_id: str) -> None:
    with parts.records.begin(system("intake"), reason="its time has run out") as work:
        approvals.expire(work, approval_id)


def _expiring(look: Reading) -> list[tuple[str, str]]:
    return [(found, look.moment) for found in approval_store.due(look, look.now)]
