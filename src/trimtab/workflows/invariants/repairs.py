"""A remedy acts under a used permit of the safety gate, one at a time, and not too often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

import sqlalchemy as sa

from trimtab.remediation.actions import digest_of
from trimtab.workflows.invariants.look import Look
from trimtab.workflows.invariants.model import Found

_IN_FLIGHT = ("permitted", "executing", "verifying", "failed")
_DAY = timedelta(days=1)
_HARMLESS = "notify_team"


def acts_by_permit(look: Look) -> Iterator[Found]:
    """Whatever was begun used up a permit that the gate had signed for exactly this, in time."""
    for row in look.begun:
        why = _permit_fault(row)
        if why is not None:
            yield Found(f"remedy {row['id']} ({row['action']}) was begun {why}", (row["id"],))


def _permit_fault(row: sa.RowMapping) -> str | None:
    if row["permit"] is None:
        return "without a permit"
    if row["consumed_at"] is None:
        return "under a permit that was not used up"
    asked = {
        "remediation": row["id"],
        "permit_incident": row["incident"],
        "permit_action": row["action"],
        "permit_target": row["target"],
        "args_digest": digest_of(row["args"]),
    }
    if any(row[name] != value for name, value in asked.items()):
        return "under a permit for something else"
    if not row["issued_at"] <= row["consumed_at"] < row["expires_at"]:
        return "out of the time of its permit"
    if row["fence"] != row["epoch"] + 1:
        return "under a permit that had become void"
    checks = (row["gate"] or {}).get("checks", [])
    if not checks or not all(check["passed"] for check in checks):
        return "although the gate's answer is not a yes to every question"
    return None


def one_at_a_time(look: Look) -> Iterator[Found]:
    """A target has one remedy in flight."""
    flying = Counter(r["target"] for r in look.open_remedies if r["phase"] in _IN_FLIGHT)
    for target, number in flying.items():
        if number > 1:
            yield Found(f"{number} remedies are in flight on {target}", (target,))


def obeys_kill_switches(look: Look) -> Iterator[Found]:
    """While a kill switch is set, nothing that it stops is begun; people are still told."""
    set_: set[tuple[str, str]] = set()
    started = [
        e for e in look.of_kind("remediation.started") if (e.data or {})["action"] != _HARMLESS
    ]
    if not started:
        return
    waiting = iter([*look.switches, None])
    switch = next(waiting)
    for entry in started:
        while switch is not None and switch.sequence < entry.sequence:
            scope = ((switch.data or {})["scope"], (switch.data or {})["name"])
            (set_.add if switch.kind == "kill_switch.set" else set_.discard)(scope)
            switch = next(waiting)
        model, tenant = str((entry.data or {})["model"]), str(entry.tenant or "")
        places = {("fleet", ""), ("model", model), ("tenant", tenant)}
        for where, name in sorted(set_.intersection(places)):
            what = f"remedy {entry.subject} was begun against the kill switch of {where} {name}"
            yield Found(what.rstrip(), (entry.subject,))


def is_still_wanted(look: Look) -> Iterator[Found]:
    """Nothing is begun about an incident that is over, whoever ended it."""
    started = [(str((e.data or {})["incident"]), e) for e in look.of_kind("remediation.started")]
    over = look.over(incident for incident, _ in started) if started else {}
    for incident, entry in started:
        if over.get(incident, entry.sequence) < entry.sequence:
            what = f"remedy {entry.subject} was begun after incident {incident} was over"
            yield Found(what, (entry.subject, incident))


def not_too_often(look: Look) -> Iterator[Found]:
    """Between two remedies on a target lies the pause that the policy demands; no day has more
    than it allows, and no incident more attempts."""
    by_target: dict[str, list[sa.RowMapping]] = defaultdict(list)
    tries: Counter[tuple[str, str]] = Counter()
    for row in look.begun:
        demands = look.demands(row["model"], row["policy_digest"])
        before = by_target[row["target"]]
        tries[row["incident"], row["action"]] += 1
        if demands is not None:
            limits = demands.remediation
            last = max((t for b in before for t in (b["started_at"], b["executed_at"]) if t
                        and t <= row["started_at"]), default=None)  # fmt: skip
            pause = timedelta(minutes=limits.cooldown_minutes)
            if last is not None and row["started_at"] - last < pause:
                what = f"remedy {row['id']} was begun {row['started_at'] - last} after another one"
                yield Found(f"{what} on {row['target']}", (row["id"],))
            recent = [b for b in before if row["started_at"] - b["started_at"] < _DAY]
            if len(recent) >= limits.max_actions_per_day:
                yield Found(f"{len(recent) + 1} remedies on {row['target']} in a day", (row["id"],))
            if tries[row["incident"], row["action"]] > 1 + limits.max_retries:
                what = f"{row['action']} was tried too often for incident {row['incident']}"
                yield Found(what, (row["id"],))
        before.append(row)
