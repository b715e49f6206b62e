"""The verbs of a retraining: request, check the data, receive, judge, submit."""

from __future__ import annotations

from datetime import datetime, timedelta

from trimtab.audit.work import Work
from trimtab.kernel.errors import Conflict, InvalidInput
from trimtab.kernel.ids import Digest, IncidentId, RetrainingId, TenantId, VersionId, new_id
from trimtab.kernel.verdict import Verdict
from trimtab.registry import store as registry
from trimtab.registry.model import TrainingTrigger
from trimtab.retraining import store
from trimtab.retraining.comparison import Comparison
from trimtab.retraining.data import DataReport
from trimtab.retraining.events import Requested
from trimtab.retraining.model import Decision, Phase, Retraining, next_minor
from trimtab.retraining.training import Challenger, NoChallenger

BROKEN_FEED = "data_quality_fault"
"""The diagnosis on which nothing is trained."""


def request(
    work: Work,
    *,
    model: str,
    tenant: TenantId | None,
    trigger: TrainingTrigger,
    incident: IncidentId | None,
    cause: str | None,
    champion: str,
    champion_digest: Digest,
    policy_digest: str,
    data_from: datetime,
    data_until: datetime,
    patience: timedelta,
) -> Retraining:
    """Ask for a challenger; where a run is under way already, that one is given.

    So triggers that come together make one run, and a repeated request makes none.

    Args:
        cause: What the diagnosis of the incident names; on a fault of the data the run
            is refused, and stands on record as refused.
        patience: How long the checks of the data may take before the run ends itself.

    Raises:
        NotFound: the model is not registered.
        InvalidInput: a stretch of data that is empty or lies ahead.
    """
    registry.model_named(work, model)
    if not data_from < data_until <= work.now:
        raise InvalidInput(
            "the data have to begin before they end, and to have happened", field="data_until"
        )
    known = _known(work, model, tenant, incident, data_until)
    if known is not None:
        return known
    taken = {version.version for version in registry.versions_of(work, model, everyone=True)}
    retraining = Retraining(
        id=RetrainingId(new_id("ret")),
        model=model,
        tenant=tenant,
        trigger=trigger,
        incident=incident,
        champion=champion,
        champion_digest=champion_digest,
        proposed_version=next_minor(champion, taken),
        policy_digest=policy_digest,
        data_from=data_from,
        data_until=data_until,
        phase=Phase.REQUESTED,
        requested_at=work.now,
        due_at=work.now + patience,
    )
    added = store.add(work, retraining, _requested(retraining))
    if cause != BROKEN_FEED:
        return added
    why = "the feed is broken: retraining on a broken feed makes it worse; repair the feed first"
    return store.save(work, *added.refuse(why, None, work.now))


def record_data_check(
    work: Work, retraining_id: str, report: DataReport, *, digest: Digest, patience: timedelta
) -> Retraining:
    """Go on with sound data, or refuse with the reason. Not knowing is no pass.

    Safe to repeat: a run whose data were checked stays as it is.

    Args:
        digest: Of the very bytes that will be trained on.
        patience: How long one attempt at training may take before the run ends itself.
    """
    retraining = store.get(work, retraining_id)
    if retraining.phase is not Phase.REQUESTED:
        return retraining
    if report.verdict is not Verdict.PASS:
        refused, event = retraining.refuse(report.reason, report.plain(), work.now)
        return store.save(work, refused, event)
    accepted, event_of_yes = retraining.accept_data(
        digest, report.rows, report.plain(), work.now + patience
    )
    return store.save(work, accepted, event_of_yes)


def record_training(
    work: Work,
    retraining_id: str,
    result: Challenger | NoChallenger,
    *,
    attempt: int,
    max_attempts: int,
    patience: timedelta,
) -> Retraining:
    """Receive a challenger, or the reason why there is none.

    A failure that may pass is tried again, up to `max_attempts`. The same bytes as the
    champion's are no challenger: it is kept. Safe to repeat: the result of an attempt that
    was recorded changes nothing.

    Args:
        attempt: Which attempt this is the result of, from 1: `retraining.attempts + 1`
            when it began.
    """
    retraining = store.get(work, retraining_id)
    if retraining.phase is not Phase.DATA_CHECKED or attempt != retraining.attempts + 1:
        return retraining
    deadline = work.now + patience
    if isinstance(result, NoChallenger):
        if result.transient and attempt < max_attempts:
            return store.save(work, *retraining.try_again(result.reason, deadline))
        why = result.reason if attempt == 1 else f"{result.reason} ({attempt} attempts)"
        return store.save(work, *retraining.fail(why, work.now))
    trained = store.save(
        work, *retraining.receive(result.digest, result.cutoff, result.metrics, deadline)
    )
    if result.digest != retraining.champion_digest:
        return trained
    return store.save(work, *trained.keep("training gave the champion's own bytes", work.now))


def record_comparison(
    work: Work, retraining_id: str, comparison: Comparison, *, patience: timedelta
) -> Retraining:
    """Judge the challenger: on to be submitted, or the champion stays.

    What could not be decided keeps the champion. Safe to repeat: a run that was judged
    stays as it is.

    Raises:
        Conflict: the comparison is of other versions than this run's.
    """
    retraining = store.get(work, retraining_id)
    if retraining.phase is not Phase.TRAINED:
        return retraining
    compared = (comparison.champion_digest, comparison.challenger_digest)
    if compared != (retraining.champion_digest, retraining.challenger_digest):
        raise Conflict(
            "the comparison is of other versions than those of this run",
            remedy="compare the run's challenger with its champion",
        )
    judged, event = retraining.judge(
        comparison.decision, comparison.reason, comparison.plain(), work.now + patience
    )
    judged = store.save(work, judged, event)
    if comparison.decision is Decision.PROMOTE:
        return judged
    could_not_tell = comparison.decision is Decision.INCONCLUSIVE
    why = f"it could not be told: {comparison.reason}" if could_not_tell else comparison.reason
    return store.save(work, *judged.keep(why, work.now))


def submit(work: Work, retraining_id: str, version_id: VersionId) -> Retraining:
    """Write down as which version the challenger was registered.

    It carries no traffic by this: it is checked and approved like any other. Safe to
    repeat: what was submitted stays so.

    Raises:
        NotFound: there is no such version.
        Conflict: the version holds other bytes, or is of another model or tenant.
        InvalidMove: the challenger was not judged worth it.
    """
    retraining = store.get(work, retraining_id)
    if retraining.phase is Phase.SUBMITTED and retraining.version_id == version_id:
        return retraining
    version = registry.version_by_id(work, version_id)
    ours = (retraining.model, retraining.tenant, retraining.challenger_digest)
    if (version.model, version.tenant, version.digest) != ours:
        raise Conflict(f"version {version.version} is not the challenger of this run")
    return store.save(work, *retraining.submit(version_id, version.version, work.now))


def fail(work: Work, retraining_id: str, why: str) -> Retraining:
    """End a run that cannot go on.

    Safe to repeat: what has ended stays so.
    """
    retraining = store.get(work, retraining_id)
    if retraining.settled:
        return retraining
    return store.save(work, *retraining.fail(why, work.now))


def expire(work: Work, retraining_id: str) -> Retraining:
    """End a run with which nobody went on in time.

    Safe to repeat: before its deadline nothing happens.
    """
    retraining = store.get(work, retraining_id)
    if retraining.due_at is None or work.now < retraining.due_at:
        return retraining
    why = f"nobody went on with it in time; it was {retraining.phase.value.replace('_', ' ')}"
    return store.save(work, *retraining.fail(why, work.now))


def _known(
    work: Work,
    model: str,
    tenant: TenantId | None,
    incident: IncidentId | None,
    data_until: datetime,
) -> Retraining | None:
    """The run under way, or the refusal of just this request: repeated, it is no second one."""
    running = store.unsettled(work, model, tenant)
    if running is not None or incident is None:
        return running
    for earlier in store.of_incident(work, incident):
        same = (earlier.model, earlier.tenant, earlier.data_until) == (model, tenant, data_until)
        if earlier.phase is Phase.REFUSED and same:
            return earlier
    return None


def _requested(retraining: Retraining) -> Requested:
    return Requested(
        subject=retraining.id,
        tenant=retraining.tenant,
        model=retraining.model,
        trigger=retraining.trigger.value,
        incident=retraining.incident,
        champion=retraining.champion,
        champion_digest=retraining.champion_digest,
        proposed_version=retraining.proposed_version,
        data_from=retraining.data_from,
        data_until=retraining.data_until,
        policy_digest=retraining.policy_digest,
    )
