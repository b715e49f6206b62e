"""The verbs of a rollout: start, look, observe, hold, resume, abort."""

from __future__ import annotations

from trimtab.audit.work import Work
from trimtab.kernel.ids import ApprovalId, Digest, RolloutId, TenantId, new_id
from trimtab.kernel.verdict import Verdict
from trimtab.policies.admission import Rollout as Demands
from trimtab.rollouts import store
from trimtab.rollouts.analysis import Analysis
from trimtab.rollouts.model import Phase, Rollout, Started, next_look


def start(
    work: Work,
    *,
    model: str,
    tenant: TenantId | None,
    environment: str,
    version_id: str,
    version: str,
    digest: Digest,
    active_version: str | None,
    approval: ApprovalId,
    policy_digest: str,
    demands: Demands,
) -> Rollout:
    """Begin a rollout; the first share is intended, nothing has moved yet.

    Safe to repeat: the same version under the same approval gives the rollout there is.

    Raises:
        Conflict: another rollout of this place is not settled.
    """
    for known in store.unsettled(work):
        if (known.version_id, known.approval) == (version_id, approval):
            return known
    rollout = Rollout(
        id=RolloutId(new_id("rol")),
        model=model,
        tenant=tenant,
        environment=environment,
        version_id=version_id,
        version=version,
        digest=digest,
        active_version=active_version,
        approval=approval,
        policy_digest=policy_digest,
        steps=tuple(float(step) for step in demands.steps_percent),
        step=0,
        intended_percent=float(demands.steps_percent[0]),
        observed_percent=0.0,
        phase=Phase.RUNNING,
        looks_undecided=0,
        started_at=work.now,
        step_since=work.now,
        due_at=work.now,
        last_analysis=None,
        outcome_reason=None,
    )
    event = Started(
        subject=rollout.id,
        tenant=tenant,
        model=model,
        version=version,
        version_id=version_id,
        digest=digest,
        approval=approval,
        active_version=active_version,
        steps=list(rollout.steps),
        policy_digest=policy_digest,
    )
    return store.add(work, rollout, event)


def advance(
    work: Work,
    rollout_id: str,
    analysis: Analysis,
    *,
    revision: int,
    demands: Demands,
    stopped: str | None = None,
) -> Rollout:
    """Move a rollout one step on, back, or nowhere, as `analysis` obliges.

    Safe to repeat: an analysis of an older revision changes nothing, nor does one of a
    rollout whose intended share has not been observed. Not knowing is never good news: a
    look that cannot tell leaves the traffic where it is, and too many of them take it
    back. A person's hold stops every step forward, and no step back; so does `stopped`,
    which says what the next step has to wait for.

    Raises:
        NotFound: no rollout has this id.
        Conflict: somebody moved it meanwhile; look again.
    """
    rollout = store.get(work, rollout_id)
    open_to_judgement = rollout.phase in (Phase.RUNNING, Phase.HELD)
    # Harm counts wherever it shows; everything else waits until what was intended is there.
    telling = rollout.observed or analysis.verdict is Verdict.FAIL
    if rollout.revision != revision or not (open_to_judgement and telling):
        return rollout
    plain = analysis.plain()
    later = next_look(work.now, demands.look_interval_minutes)
    match analysis.verdict:
        case Verdict.FAIL:
            moved, event = rollout.roll_back(analysis.reason, plain)
            return store.save(work, moved, event)
        case Verdict.PASS if rollout.phase is Phase.RUNNING and stopped is None:
            forward, stepped = rollout.step_forward(plain)
            return store.save(work, forward, stepped)
        case Verdict.PASS:
            if stopped is not None:
                plain = {**plain, "reason": f"{analysis.reason}; {stopped}"}
            waited, judged = rollout.wait(plain, later)
            return store.save(work, waited, judged)
        case Verdict.INCONCLUSIVE | Verdict.ERROR:
            if rollout.looks_undecided >= demands.max_inconclusive_looks:
                why = f"{rollout.looks_undecided + 1} looks could not tell: {analysis.reason}"
                moved, event = rollout.roll_back(why, plain)
                return store.save(work, moved, event)
            waited, judged = rollout.wait(plain, later)
            return store.save(work, waited, judged)


def observe(work: Work, rollout_id: str, percent: float, *, demands: Demands) -> Rollout:
    """Write down the share that the gateways report.

    Safe to repeat: the same share again changes nothing.
    """
    rollout = store.get(work, rollout_id)
    ending = rollout.phase in (Phase.PROMOTING, Phase.ROLLING_BACK)
    known = percent == rollout.observed_percent and not (ending and rollout.observed)
    if rollout.settled or known:
        return rollout
    later = next_look(work.now, demands.look_interval_minutes)
    seen, event = rollout.see(percent, work.now, later)
    return store.save(work, seen, event)


def roll_back(work: Work, rollout_id: str, why: str) -> Rollout:
    """Take a rollout back because something outside its own evidence obliges.

    Safe to repeat: what is settled or on its way back stays so.
    """
    rollout = store.get(work, rollout_id)
    if rollout.settled or rollout.phase is Phase.ROLLING_BACK:
        return rollout
    moved, event = rollout.roll_back(why, None)
    return store.save(work, moved, event)


def overtake(work: Work, rollout_id: str, why: str) -> Rollout:
    """Let a rollout end whose version became stable by another way: what gateways report of the
    stable version promotes it."""
    overtaken, event = store.get(work, rollout_id).overtake(why)
    return store.save(work, overtaken, event)


def hold(work: Work, rollout_id: str) -> Rollout:
    """Freeze a rollout where it stands, until somebody resumes or aborts it.

    Safe to repeat: a held rollout stays held.
    """
    rollout = store.get(work, rollout_id)
    if rollout.phase is Phase.HELD:
        return rollout
    held, event = rollout.hold(work.reason)
    return store.save(work, held, event)


def resume(work: Work, rollout_id: str, *, demands: Demands) -> Rollout:
    """Let a held rollout run on.

    Safe to repeat: a running rollout runs on.
    """
    rollout = store.get(work, rollout_id)
    if rollout.phase is Phase.RUNNING:
        return rollout
    resumed, event = rollout.resume(work.reason, next_look(work.now, demands.look_interval_minutes))
    return store.save(work, resumed, event)


def abort(work: Work, rollout_id: str) -> Rollout:
    """Take a rollout back because a person says so.

    Safe to repeat: what is on its way back, or was rolled back, stays so.
    """
    rollout = store.get(work, rollout_id)
    if rollout.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
        return rollout
    aborted, event = rollout.abort(work.reason)
    return store.save(work, aborted, event)
