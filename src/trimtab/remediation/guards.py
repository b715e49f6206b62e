"""The safety gate's questions, as pure rules over facts that it has read by itself.

Every question is asked, also after one has failed, so that a refusal lists all its
reasons. A fact that could not be read fails its check.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trimtab.policies.operation import ActionName, Diagnosis, Remediation, Retraining
from trimtab.remediation.actions import Action
from trimtab.remediation.causes import Cause, why_forbidden
from trimtab.remediation.plan import why_not_automatic

CORES_FOR_ONE = 1
"""Every child process runs its numerics on one thread."""


@dataclass(frozen=True)
class Carried:
    """A version in a place, as the registry has it."""

    version: str
    digest: str


@dataclass(frozen=True)
class Machine:
    """What is free now; None where it cannot be read."""

    cores: int | None
    memory_mib: int | None


@dataclass(frozen=True)
class Facts:
    """What the gate knows when it decides, none of it from the request.

    `now` is domain time. `last_acted_at`, `acted_in_day` (within 24 hours) and `in_flight`
    are the target's; `attempts_started` those of incident and action.
    """

    now: datetime
    action: Action
    args: dict[str, str]
    target: str
    expected_target: str
    tier: int
    automatic: bool
    cause: Cause | None
    confidence: float | None
    named_policy_digest: str
    policy_digest: str
    last_acted_at: datetime | None
    acted_in_day: int
    attempts_started: int
    in_flight: str | None
    switches: tuple[str, ...]
    stable: Carried | None
    predecessor: Carried | None
    machine: Machine


@dataclass(frozen=True)
class Limits:
    """The slices of the policy that bind an action."""

    remediation: Remediation
    diagnosis: Diagnosis
    retraining: Retraining


@dataclass(frozen=True)
class Check:
    """One question, what was found, what was allowed, and the sentence for a person."""

    name: str
    passed: bool
    value: Any
    limit: Any
    reason: str


def judge(facts: Facts, limits: Limits) -> tuple[Check, ...]:
    """Every check; the action is permitted if all have passed."""
    checks = [
        _target(facts),
        _policy(facts),
        _kill_switch(facts),
        _in_flight(facts),
        _cooldown(facts, limits.remediation),
        _per_day(facts, limits.remediation),
        _retries(facts, limits.remediation),
        _cause(facts),
        _cores(facts, limits.remediation),
        _memory(facts, limits),
    ]
    if facts.automatic:
        checks.append(_automatic(facts, limits))
    if facts.action.changes_something:
        checks.append(_stable(facts))
    if facts.action.name is ActionName.ROLLBACK_MODEL:
        checks.append(_predecessor(facts))
    return tuple(checks)


def _target(facts: Facts) -> Check:
    same = facts.target == facts.expected_target
    reason = "the target is what it claims to be" if same else "the target is another name"
    return Check("target", same, facts.target, facts.expected_target, reason)


def _policy(facts: Facts) -> Check:
    same = facts.named_policy_digest == facts.policy_digest
    reason = "the policy is the one that was named"
    if not same:
        reason = "the policy has changed since, or was never this one; propose again"
    return Check("policy", same, facts.named_policy_digest, facts.policy_digest, reason)


def _kill_switch(facts: Facts) -> Check:
    stopped = bool(facts.switches) and facts.action.changes_something
    reason = f"stopped by {', '.join(facts.switches)}" if stopped else "no kill switch stops this"
    return Check("kill_switch", not stopped, list(facts.switches), [], reason)


def _in_flight(facts: Facts) -> Check:
    free = facts.in_flight is None
    reason = "nothing else is in flight on this target"
    if not free:
        reason = f"{facts.in_flight} is in flight on this target; one at a time"
    return Check("in_flight", free, facts.in_flight, None, reason)


def _cooldown(facts: Facts, demands: Remediation) -> Check:
    gap = demands.cooldown_minutes
    if facts.last_acted_at is None:
        return Check("cooldown", True, None, gap, "nothing was done to this target before")
    passed = facts.now - facts.last_acted_at
    enough = passed >= timedelta(minutes=gap)
    minutes = passed.total_seconds() / 60
    reason = f"{minutes:.1f} minutes since the last action on this target"
    if not enough:
        reason += f"; {gap} have to pass"
    return Check("cooldown", enough, round(minutes, 3), gap, reason)


def _per_day(facts: Facts, demands: Remediation) -> Check:
    allowed = demands.max_actions_per_day
    reason = f"{facts.acted_in_day} of {allowed} actions on this target within 24 hours"
    return Check(
        "actions_per_day", facts.acted_in_day < allowed, facts.acted_in_day, allowed, reason
    )


def _retries(facts: Facts, demands: Remediation) -> Check:
    allowed = 1 + demands.max_retries
    reason = f"{facts.attempts_started} of {allowed} attempts of this action for this incident"
    return Check(
        "retries", facts.attempts_started < allowed, facts.attempts_started, allowed, reason
    )


def _cause(facts: Facts) -> Check:
    known = None if facts.cause is None else facts.cause.value
    why = None if facts.cause is None else why_forbidden(facts.cause, facts.action.name)
    return Check("cause", why is None, known, None, why or "the cause does not forbid it")


def _automatic(facts: Facts, limits: Limits) -> Check:
    needed = limits.diagnosis.min_action_confidence
    why = why_not_automatic(
        facts.action,
        automatic_actions=limits.remediation.automatic_actions,
        tier=facts.tier,
        confidence=facts.confidence,
        min_action_confidence=needed,
    )
    if why is None and facts.action.changes_something and facts.cause in (None, Cause.NONE_FOUND):
        why = "no cause is named; without one nothing is changed by itself"
    reason = why or "it may be done without a person"
    return Check("automatic", why is None, facts.confidence, needed, reason)


def _stable(facts: Facts) -> Check:
    """Whether the version that the action speaks of is the one that carries the traffic."""
    rollback = facts.action.name is ActionName.ROLLBACK_MODEL
    prefix = "from" if rollback else "champion"
    named = Carried(facts.args[f"{prefix}_version"], facts.args[f"{prefix}_digest"])
    if facts.stable is None:
        return Check("stable", False, None, named.digest, "nothing is stable in this place")
    same = facts.stable == named
    reason = f"{named.version} is the stable version"
    if not same:
        reason = f"the stable version is {facts.stable.version}, not {named.version} as named"
    return Check("stable", same, facts.stable.digest, named.digest, reason)


def _predecessor(facts: Facts) -> Check:
    named = Carried(facts.args["to_version"], facts.args["to_digest"])
    if facts.predecessor is None:
        reason = "there is no predecessor that may carry traffic"
        return Check("predecessor", False, None, named.digest, reason)
    same = facts.predecessor == named
    reason = f"{named.version} is kept warm and may carry traffic"
    if not same:
        reason = f"the way back leads to {facts.predecessor.version}, not to {named.version}"
    return Check("predecessor", same, facts.predecessor.digest, named.digest, reason)


def _cores(facts: Facts, demands: Remediation) -> Check:
    free, allowed = facts.machine.cores, demands.max_cpu_cores
    enough = free is not None and min(free, allowed) >= CORES_FOR_ONE
    reason = f"{free} cores here, at most {allowed} for one action, {CORES_FOR_ONE} needed"
    if free is None:
        reason = "how many cores there are cannot be read"
    return Check("cores", enough, free, allowed, reason)


def _memory(facts: Facts, limits: Limits) -> Check:
    free, allowed = facts.machine.memory_mib, 1024 * limits.remediation.max_memory_gib
    trains = facts.action.name is ActionName.RETRAIN_MODEL
    needed = limits.retraining.max_memory_mib if trains else 0
    enough = free is not None and needed <= min(free, allowed)
    reason = f"{free} MiB free, at most {allowed} MiB for one action, {needed} MiB needed"
    if free is None:
        reason = "how much memory is free cannot be read"
    return Check("memory", enough, free, allowed, reason)


@dataclass(frozen=True)
class Answer:
    """What the gate said: `permit` is sealed, and there only if `permitted`.

    `shown` is the whole answer in JSON values, with every check.
    """

    remediation: str
    permitted: bool
    reason: str
    permit: str | None
    shown: dict[str, Any]
