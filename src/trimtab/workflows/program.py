"""Every reaction, job and sweep of the house, in one list."""

from __future__ import annotations

from functools import partial

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.audit.work import Reading
from trimtab.kernel.actor import system
from trimtab.kernel.clock import iso
from trimtab.workflows import intake, release, watch
from trimtab.workflows.jobs import reaction, sweep
from trimtab.workflows.loop import Program, Sweep
from trimtab.workflows.parts import Parts


def program(parts: Parts) -> Program:
    """What runs by itself, over these parts."""
    watcher = watch.Watch(parts)
    reacting = [
        reaction(parts, "intake.check", ("version.registered",), intake.run_checks),
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
            ("drift.confirmed", "performance.degraded", "rollout.rolled_back"),
            watch.open_incident,
        ),
    ]
    sweeps = [
        Sweep(sweep("watch.schedule", watcher.schedule), watch.unscheduled),
        Sweep(sweep("watch.window", watcher.turn), watch.due),
        Sweep(sweep("release.turn", partial(release.turn, parts)), release.due),
        Sweep(sweep("approvals.expire", partial(_expire, parts)), _expiring),
    ]
    return Program([r for r, _ in reacting], [j for _, j in reacting], sweeps)


def _expire(parts: Parts, approval_id: str) -> None:
    with parts.records.begin(system("intake"), reason="its time has run out") as work:
        approvals.expire(work, approval_id)


def _expiring(reading: Reading) -> list[tuple[str, str]]:
    return [(found, iso(reading.now)) for found in approval_store.due(reading, reading.now)]
