"""Every reaction, job and sweep of the house, in one list."""

from __future__ import annotations

from functools import partial

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.audit.reactions import Reaction
from trimtab.audit.work import Reading
from trimtab.kernel.actor import system
from trimtab.platform.durable import Job
from trimtab.remediation.gate_process import GateProcess
from trimtab.workflows import (
    check,
    close,
    diagnose,
    intake,
    late,
    recovery,
    release,
    repair,
    retrain,
    watch,
)
from trimtab.workflows.jobs import IN_ORDER, reaction, sweep
from trimtab.workflows.loop import Program, Sweep
from trimtab.workflows.parts import Parts


def program(parts: Parts, gate: GateProcess) -> Program:
    """What runs by itself, over these parts and with the answers of this gate."""
    watcher = watch.Watch(parts)
    reacting = [
        reaction(parts, "intake.check", ("version.registered",), check.run),
        reaction(parts, "intake.ask", ("check.finished",), intake.request_approval),
        reaction(
            parts,
            "intake.decide",
            ("approval.voted", "approval.approved_automatically"),
            intake.follow_approval,
        ),
        reaction(parts, "release.start", ("version.moved",), release.start_approved),
        reaction(parts, "release.next", ("rollout.step_observed",), release.start_next),
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
    sweeps = [
        Sweep(sweep("intake.again", partial(check.again, parts)), check.due_again),
        Sweep(sweep("watch.schedule", watcher.schedule), watch.unscheduled),
        Sweep(sweep("watch.window", watcher.turn), watch.due),
        Sweep(sweep("watch.again", watcher.judge_again), late.due),
        Sweep(sweep("repair.turn", partial(repair.turn, parts)), repair.due),
        Sweep(sweep("repair.recheck", partial(repair.recheck, parts)), recovery.due),
        Sweep(sweep("release.turn", partial(release.turn, parts)), release.due),
        Sweep(sweep("approvals.expire", partial(_expire, parts)), _expiring),
    ]
    return Program([r for r, _ in reacting], [j for _, j in reacting], sweeps)


def _repairing(parts: Parts, gate: GateProcess) -> list[tuple[Reaction, Job]]:
    return [
        reaction(
            parts,
            "repair.diagnose",
            ("incident.opened", "incident.signal_added"),
            diagnose.diagnose,
        ),
        reaction(parts, "repair.plan", ("incident.diagnosed",), repair.plan),
        reaction(
            parts,
            "repair.gate",
            ("remediation.proposed",),
            lambda p, entry: repair.ask_gate(p, gate, entry),
        ),
        reaction(
            parts,
            "repair.carry_out",
            ("remediation.permitted",),
            lambda p, entry: repair.carry_out(p, gate, entry),
        ),
        reaction(
            parts,
            "repair.close",
            (
                "plan.drawn_up",
                "remediation.recovered",
                "remediation.refused",
                "remediation.aborted",
                "rollout.step_observed",
            ),
            close.without_harm,
        ),
    ]


def _retraining(parts: Parts) -> list[tuple[Reaction, Job]]:
    return [
        reaction(parts, "retrain.check", ("retraining.requested",), retrain.check),
        reaction(
            parts,
            "retrain.train",
            ("retraining.data_checked", "retraining.attempt_failed"),
            retrain.train,
        ),
        reaction(parts, "retrain.judge", ("retraining.trained",), retrain.judge),
        reaction(parts, "retrain.submit", ("retraining.judged",), retrain.submit),
        reaction(
            parts,
            "retrain.ended",
            ("retraining.refused", "retraining.kept", "retraining.failed"),
            retrain.ended,
        ),
        reaction(parts, "retrain.promoted", ("rollout.step_observed",), retrain.promoted),
    ]


def _expire(parts: Parts, approval_id: str) -> None:
    with parts.records.begin(system("intake"), reason="its time has run out") as work:
        approvals.expire(work, approval_id)


def _expiring(reading: Reading) -> list[tuple[str, str]]:
    return [(found, reading.moment) for found in approval_store.due(reading, reading.now)]
