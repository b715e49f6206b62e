"""Approved -> permit -> canary, judged step by step -> stable, or taken back.

Intend, act, observe. A turn of a rollout does whatever is next, and may be repeated at any
time: bring the deployment to what is intended (with a permit for every increase), see what
the gateways report, judge only what was observed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import sqlalchemy as sa

from trimtab.approvals import service as approvals
from trimtab.audit.ledger import Entry
from trimtab.audit.work import Reading, Work
from trimtab.identity import store as people
from trimtab.kernel.actor import system
from trimtab.kernel.errors import Conflict, InvalidInput, PolicyRefused
from trimtab.kernel.ids import TenantId
from trimtab.kernel.verdict import Verdict
from trimtab.observations import frame as frames
from trimtab.observations.frame import Frame
from trimtab.policies.admission import Rollout as RolloutDemands
from trimtab.policies.model import TierPolicy
from trimtab.registry import deployment_store, routing, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Lifecycle, Version
from trimtab.registry.service import FULL
from trimtab.rollouts import service as rollouts
from trimtab.rollouts import store as rollout_store
from trimtab.rollouts.analysis import Analysis, Evidence, Look, judge
from trimtab.rollouts.model import Phase, Rollout
from trimtab.sdk.routing import ApiKey, TableClock
from trimtab.workflows import permits, rest, returning
from trimtab.workflows.parts import ENVIRONMENT, Parts, demand_place, policy_of, told

INFER = "models:infer"
"""The scope of keys that gateways accept."""

GATEWAY_SILENCE = timedelta(seconds=60)
"""Real time after which a gateway that says nothing is no more counted as serving."""

_RELEASE = system("release")


def start_approved(parts: Parts, entry: Entry) -> None:
    """Begin the rollout of a version that has just been approved; where another one is on
    its way in the same place, it waits for that."""
    assert entry.data is not None
    if entry.data["after"] != Lifecycle.APPROVED.value or entry.data["before"] != "staging":
        return
    with parts.records.begin(_RELEASE, reason="it was approved", cause=entry.sequence) as work:
        version = store.version_by_id(work, entry.subject)
        if not _occupied(work, version.model, version.tenant):
            _start_or_hold(parts, work, version)


def start_next(parts: Parts, entry: Entry) -> None:
    """When a rollout has settled, begin the one that waited for the place longest."""
    with parts.records.begin(_RELEASE, reason="the place is free", cause=entry.sequence) as work:
        rollout = rollout_store.get(work, entry.subject)
        if not rollout.settled or _occupied(work, rollout.model, rollout.tenant):
            return
        seen = {r.version_id for r in rollout_store.of_model(work, rollout.model, limit=1000)}
        waiting = [
            v
            for v in store.versions_of(work, rollout.model, everyone=True)
            if v.tenant == rollout.tenant and v.lifecycle is Lifecycle.APPROVED and v.id not in seen
        ]
        if waiting:
            _start_or_hold(parts, work, waiting[0])


def _start_or_hold(parts: Parts, work: Work, version: Version) -> None:
    """Begin its rollout; where the policy refuses that by now, the version says so."""
    try:
        start(parts, work, version)
    except PolicyRefused as refusal:
        registry.hold_version(work, version.id, why=told(refusal))


def _occupied(reading: Reading, model: str, tenant: TenantId | None) -> bool:
    return any((r.model, r.tenant) == (model, tenant) for r in rollout_store.unsettled(reading))


def start(parts: Parts, work: Work, version: Version) -> Rollout:
    """Begin the rollout of an approved version where its approval says.

    Raises:
        PolicyRefused: no approval of exactly these bytes is valid now, or the model's tier
            cannot enter this place.
        Conflict: the version is stable there, or another rollout of this place is not settled.
    """
    model = store.model_named(work, version.model)
    demands, policy_digest = policy_of(parts, model)
    demand_place(model, demands)
    approval = permits.valid_approval(
        work, version, policy_digest, demands.rollout.steps_percent[0], work.now
    )
    active = deployment_store.in_place(
        work, version.model, version.tenant, ENVIRONMENT, Deployment.STABLE
    ) or deployment_store.in_place(work, version.model, None, ENVIRONMENT, Deployment.STABLE)
    if active is not None and (active.tenant, active.version) == (version.tenant, version.version):
        raise Conflict(
            f"version {version.version} is stable there already",
            remedy="release another version, or roll this one back",
        )
    return rollouts.start(
        work,
        model=version.model,
        tenant=version.tenant,
        environment=ENVIRONMENT,
        version_id=version.id,
        version=version.version,
        digest=version.digest,
        active_version=None if active is None else active.version,
        approval=approval.id,
        policy_digest=policy_digest,
        demands=demands.rollout,
    )


def turn(parts: Parts, rollout_id: str) -> None:
    """Do what is next for a rollout; whatever was done before is not done again."""
    with parts.records.look() as reading:
        rollout = rollout_store.get(reading, rollout_id)
        model = store.model_named(reading, rollout.model)
    if rollout.settled:
        return
    demands, _ = policy_of(parts, model)
    _give_way(parts, rollout_id)
    _act_or_take_back(parts, rollout_id, demands)
    _observe(parts, rollout_id, demands)
    _judge(parts, rollout_id, demands)
    _act_or_take_back(parts, rollout_id, demands)


_OVERTAKEN = "its version became stable there by another way"
_LOST = "its version is not stable there any more"


def _give_way(parts: Parts, rollout_id: str) -> None:
    """Where something else made its version stable, as a roll-back to it does, there is nothing
    left to release: its canary goes, for the same bytes carry all the traffic. And where something
    else took away what it had promoted, it goes back."""
    with parts.records.look() as reading:
        why = _superseded(reading, rollout_store.get(reading, rollout_id))
    if why is None:
        return
    with parts.records.begin(_RELEASE, reason=why) as work:
        rollout = rollout_store.get(work, rollout_id)
        if _superseded(work, rollout) != why:
            return
        if why == _LOST:
            rollouts.roll_back(work, rollout_id, why)
            return
        place = (rollout.model, rollout.tenant, rollout.environment)
        registry.withdraw_canary(work, *place, version=rollout.version, why=why)
        rollouts.overtake(work, rollout_id, why)


def _superseded(reading: Reading, rollout: Rollout) -> str | None:
    """What somebody else did to the place of a rollout that is on its way forward, or None."""
    if rollout.settled or rollout.phase is Phase.ROLLING_BACK:
        return None
    stable, canary = _carried(reading, rollout)
    promoting = rollout.phase is Phase.PROMOTING
    if promoting and stable is None and canary is None:
        return _LOST
    return _OVERTAKEN if stable is not None and (canary is not None or not promoting) else None


def _carried(reading: Reading, rollout: Rollout) -> tuple[Deployed | None, Deployed | None]:
    """The stable deployment and the canary in the place of a rollout, each if it is of the version
    that is released."""
    place = (rollout.model, rollout.tenant, rollout.environment)
    stable = deployment_store.in_place(reading, *place, Deployment.STABLE)
    canary = deployment_store.in_place(reading, *place, Deployment.CANARY)
    carried = [
        one if one is not None and one.carries(rollout.version, rollout.digest) else None
        for one in (stable, canary)
    ]
    return carried[0], carried[1]


def _act_or_take_back(parts: Parts, rollout_id: str, demands: TierPolicy) -> None:
    """Act; where nothing allows the next share any more, the canary goes back to nothing."""
    try:
        _act(parts, rollout_id, demands)
    except PolicyRefused as refusal:
        with parts.records.begin(_RELEASE, reason=refusal.message) as work:
            rollouts.roll_back(work, rollout_id, refusal.message)
        _act(parts, rollout_id, demands)


def _act(parts: Parts, rollout_id: str, demands: TierPolicy) -> None:
    """Bring the deployment to the intended share, with a permit where exposure grows."""
    with parts.records.begin(_RELEASE, reason="bring about what is intended") as work:
        rollout = rollout_store.get(work, rollout_id)
        if rollout.observed and rollout.phase not in (Phase.PROMOTING, Phase.ROLLING_BACK):
            return
        if rollout.phase is Phase.ROLLING_BACK:
            _take_back(parts, work, rollout, demands)
            return
        version = store.version_by_id(work, rollout.version_id)
        if _brought_about(work, rollout):
            return
        share = FULL if rollout.phase is Phase.PROMOTING else rollout.intended_percent
        permit = permits.permit_for(parts, work, version, share, demands)
        why = f"rollout {rollout.id}, step {rollout.step + 1} of {len(rollout.steps)}"
        if rollout.phase is Phase.PROMOTING:
            registry.promote_canary(
                work, version, environment=rollout.environment, permit=permit, why=why
            )
            approvals.use(work, permit.approval, permit.max_percent)
        else:
            registry.set_canary(
                work,
                version,
                environment=rollout.environment,
                percent=rollout.intended_percent,
                permit=permit,
                salt=_salt(rollout),
                why=why,
            )


def _salt(rollout: Rollout) -> str:
    """Draws the endpoints of a canary: by what is released and where, so that the same
    release meets the same endpoints whenever it is played again."""
    place = "\0".join((rollout.model, rollout.tenant or "", rollout.version))
    return hashlib.sha256(place.encode()).hexdigest()[:32]


def _take_back(parts: Parts, work: Work, rollout: Rollout, demands: TierPolicy) -> None:
    """Take a version's traffic away, as a canary or, if it got so far, as the stable one; what
    somebody else made stable is not this rollout's to take."""
    place = (rollout.model, rollout.tenant, rollout.environment)
    why = rollout.outcome_reason or "taken back"
    stable, _ = _carried(work, rollout)
    if stable is not None and rollout.may_have_promoted:
        returning.take_back(parts, work, stable, demands, why=why)
    registry.withdraw_canary(work, *place, version=rollout.version, why=why)


def _brought_about(work: Work, rollout: Rollout) -> bool:
    """Whether the records already give this version what is intended for it."""
    stable, canary = _carried(work, rollout)
    if stable is not None:
        return True
    return (
        canary is not None
        and rollout.phase is not Phase.PROMOTING
        and canary.percent == rollout.intended_percent
    )


def publish_routing(parts: Parts, *, at_least: int = 1) -> tuple[int, bytes]:
    """The routing table as it has to be now: its epoch, which is not below `at_least`, and its
    sealed bytes."""
    with parts.records.look() as reading:
        keys = tuple(
            ApiKey(key.id, key.sha256, key.tenant)
            for key in people.usable_keys(reading, INFER, reading.now)
        )
        minutes = parts.policies[parts.default_policy].tier(1).permits
        table = routing.build(
            reading,
            origin=parts.heads.signer.origin,
            environment=ENVIRONMENT,
            keys=keys,
            lifetime=timedelta(minutes=minutes.routing_table_lifetime_minutes),
            clock=TableClock.STEPPED if parts.stepped else TableClock.REAL,
        )
        newest = routing.latest(reading)
        stands = newest is not None and newest["epoch"] >= at_least
        if newest is not None and stands and not routing.outdated(newest, table):
            return int(newest["epoch"]), bytes(newest["sealed"])
    with parts.records.begin(_RELEASE, reason="the routing table changed") as work:
        return routing.publish(work, table, parts.permit_key, at_least=at_least)


def _observe(parts: Parts, rollout_id: str, demands: TierPolicy) -> None:
    """Write down the share that every live gateway has applied, once they agree."""
    publish_routing(parts)
    with parts.records.look() as reading:
        rollout = rollout_store.get(reading, rollout_id)
        seen = _seen_percent(parts, reading, rollout)
    if seen is None or rollout.settled:
        return
    with parts.records.begin(_RELEASE, reason="what the gateways report") as work:
        rollouts.observe(work, rollout_id, seen, demands=demands.rollout)


def _seen_percent(parts: Parts, reading: Reading, rollout: Rollout) -> float | None:
    """The share that live gateways serve of this version; None as long as one lags behind,
    cannot load it, or none is there at all."""
    live = live_gateways(parts, reading)
    since = routing.exposure_since(reading)
    if not live or since is None or any(row["epoch"] < since for row in live):
        return None
    wanted = _recorded_percent(reading, rollout)
    if wanted > 0:
        refused = [r for row in live for r in row["report"].get("refused", ())]
        if any(rollout.digest in str(item) for item in refused):
            return None
    return wanted


def _recorded_percent(reading: Reading, rollout: Rollout) -> float:
    """What the records give to its version: of one that goes back, only what it has given."""
    stable, canary = _carried(reading, rollout)
    if rollout.phase is Phase.ROLLING_BACK and not rollout.may_have_promoted:
        stable = None
    found = canary or stable
    return 0.0 if found is None else found.percent


def _judge(parts: Parts, rollout_id: str, demands: TierPolicy) -> None:
    with parts.records.look() as reading:
        rollout = rollout_store.get(reading, rollout_id)
        due = rollout.due_at is not None and rollout.due_at <= reading.now
        judged = rollout.phase in (Phase.RUNNING, Phase.HELD)
        if not (due and judged and _recorded_percent(reading, rollout) > 0):
            return
        analysis = analyse(reading, rollout, demands)
        _, policy_digest = policy_of(parts, store.model_named(reading, rollout.model))
    reason = f"look at the canary: {analysis.verdict.value}"
    with parts.records.begin(_RELEASE, reason=reason) as work:
        stop = None
        if analysis.verdict is not Verdict.FAIL and rollout.observed:
            earned = analysis.verdict is Verdict.PASS and rollout.phase is Phase.RUNNING
            stop = rest.stops(work, rollout, demands, policy_digest, ask=earned)
        if stop is not None and stop.refused:
            rollouts.roll_back(work, rollout_id, stop.why)
            return
        rollouts.advance(
            work,
            rollout_id,
            analysis,
            revision=rollout.revision,
            demands=demands.rollout,
            stopped=None if stop is None else stop.why,
        )
    parts.metrics.verdicts.labels("canary", analysis.verdict.value).inc()


def analyse(reading: Reading, rollout: Rollout, demands: TierPolicy) -> Analysis:
    """Judge a rollout on every outcome that is known since it began."""
    cutoffs = {
        v.version: v.cutoff for v in store.versions_of(reading, rollout.model, everyone=True)
    }
    features = store.model_named(reading, rollout.model).feature_names
    try:
        frame = frames.load(
            reading, rollout.model, rollout.started_at, reading.now, features=features
        )
    except InvalidInput:
        nothing = Evidence(
            (), 0, reading.now - rollout.step_since, rollout.active_version is not None
        )
        return judge(nothing, demands.rollout)
    if not demands.rollout.count_repeats:
        frame = frame.without_repeats()
    sides = _sides(frame, rollout)
    outcomes = _Outcomes.of(frame, sides, cutoffs)
    on_step = (frame.at >= np.datetime64(rollout.step_since.replace(tzinfo=None), "us")) & (
        sides == 1
    )
    evidence = Evidence(
        looks=outcomes.looks(),
        step_events=int((on_step & frame.known).sum()),
        step_age=reading.now - rollout.step_since,
        has_active=rollout.active_version is not None,
    )
    return judge(evidence, demands.rollout)


@dataclass(frozen=True)
class _Outcomes:
    """Known outcomes by day: which side, whether it was a false positive."""

    day: np.ndarray
    side: np.ndarray
    false_positive: np.ndarray

    @classmethod
    def of(cls, frame: Frame, sides: np.ndarray, cutoffs: dict[str, float]) -> _Outcomes:
        """The known negatives of both sides."""
        cutoff = np.array([cutoffs.get(v, np.nan) for v in frame.version], dtype=float)
        usable = (frame.label == 0) & (sides >= 0) & np.isfinite(frame.score) & np.isfinite(cutoff)
        return cls(
            frame.at[usable].astype("datetime64[D]"),
            sides[usable],
            (frame.score >= cutoff)[usable],
        )

    def looks(self) -> tuple[Look, ...]:
        """One look for each day: the split is the same within a day."""
        found = []
        for day in np.unique(self.day):
            today = self.day == day
            canary, active = today & (self.side == 1), today & (self.side == 0)
            found.append(
                Look(
                    int((canary & self.false_positive).sum()),
                    int(canary.sum()),
                    int((active & self.false_positive).sum()),
                    int(active.sum()),
                )
            )
        return tuple(found)


def _sides(frame: Frame, rollout: Rollout) -> np.ndarray:
    """1 for the canary's rows, 0 for the active version's in the same scope, else -1."""
    tenants = frame.tenant == rollout.tenant if rollout.tenant else np.ones(len(frame), bool)
    sides = np.full(len(frame), -1, dtype=np.int8)
    sides[tenants & (frame.version == rollout.version)] = 1
    if rollout.active_version is not None:
        sides[tenants & (frame.version == rollout.active_version)] = 0
    return sides


def due(parts: Parts, reading: Reading) -> list[tuple[str, str]]:
    """Rollouts that are to get a turn: those due, and those that wait to be observed.

    A waiting one gets its next turn when it or the gateways have moved.
    """
    found = list[tuple[str, str]]()
    if waiting := unobserved(reading):
        mark = _mark(parts, reading)
        found += [(rollout.id, f"{rollout.revision}:{mark}") for rollout in waiting]
    for rollout_id in rollout_store.due(reading, reading.now):
        rollout = rollout_store.get(reading, rollout_id)
        found.append((rollout_id, f"{rollout.revision}:{reading.moment}"))
    return found


def _mark(parts: Parts, reading: Reading) -> str:
    """Another one whenever something else would be observed: a gateway comes, goes, follows, or
    can load by now what it could not."""
    live = live_gateways(parts, reading)
    said = [
        (row["name"], row["epoch"], sorted(map(str, row["report"].get("refused", ()))))
        for row in live
    ]
    # What flaps between two states is looked at again after a while, whichever it is in then.
    heard = max((row["seen_at"] for row in live), default=None)
    lately = None if heard is None else heard.timestamp() // GATEWAY_SILENCE.total_seconds()
    told = repr((said, lately, routing.exposure_since(reading)))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def unobserved(reading: Reading) -> list[Rollout]:
    """Rollouts whose intended share has not been seen in the world yet."""
    ending = (Phase.PROMOTING, Phase.ROLLING_BACK)
    return [r for r in rollout_store.unsettled(reading) if not r.observed or r.phase in ending]


def live_gateways(parts: Parts, reading: Reading) -> list[sa.RowMapping]:
    """Gateways that have been heard of lately, in real time."""
    horizon = parts.real_clock.now() - GATEWAY_SILENCE
    return [row for row in routing.gateways(reading) if row["seen_at"] >= horizon]


def demands_of(parts: Parts, rollout_id: str) -> RolloutDemands:
    """What the policy demands of a rollout.

    Raises:
        NotFound: there is no such rollout.
    """
    with parts.records.look() as reading:
        rollout = rollout_store.get(reading, rollout_id)
        model = store.model_named(reading, rollout.model)
    return policy_of(parts, model)[0].rollout
