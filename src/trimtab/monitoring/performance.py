"""Does the output still hold? Rates by version and deployment, judged by their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab.kernel.verdict import Verdict, worst
from trimtab.monitoring.columns import Column
from trimtab.monitoring.drift import Scope, min_rows
from trimtab.observations.frame import Frame
from trimtab.policies.operation import Monitoring
from trimtab.stats.confusion import Confusion
from trimtab.stats.intervals import Interval, clopper_pearson, wilson

STABLE = "stable"
FALSE_POSITIVE_RATE = "false_positive_rate"


@dataclass(frozen=True)
class VersionFacts:
    """What a version says of itself: how a score becomes a decision, what it could do when it
    was trained (shares, 0 to 1), and whose it is (None: the fleet's)."""

    cutoff: float
    training_metrics: Mapping[str, float] = field(default_factory=dict)
    tenant: str | None = None


@dataclass(frozen=True)
class Tally:
    """What one version did for one tenant in one deployment, in rows.

    `confusion` counts the rows with a label and a score; `unscored` had a label and no score.
    It is None where the version, and so its cut-off, is not known.
    """

    tenant: str | None
    version: str
    deployment: str
    rows: int
    labelled: int
    unscored: int
    confusion: Confusion | None

    @property
    def false_positives(self) -> int:
        """Known negatives that were flagged."""
        return 0 if self.confusion is None else self.confusion.fp

    @property
    def negatives(self) -> int:
        """Known negatives that were scored."""
        return 0 if self.confusion is None else self.confusion.fp + self.confusion.tn


@dataclass(frozen=True)
class Judgement:
    """One metric of one version against its limit.

    `value` and `interval` are shares, 0 to 1, None where there is none. FAIL only when the
    whole interval lies beyond the limit, PASS only when all of it lies within; between the
    two the evidence does not decide.
    """

    metric: str
    version: str
    deployment: str
    verdict: Verdict
    value: float | None
    limit: float | None
    interval: tuple[float, float] | None
    baseline: float | None
    rows: int
    reason: str
    calm: bool
    """Whether nothing speaks for a loss: enough labels, and the estimate within its limit.
    Weaker than PASS; an episode ends on as many calm windows in a row as began it."""


def outcomes(frame: Frame, cutoffs: Mapping[str, float]) -> tuple[Tally, ...]:
    """Count what each version did for each tenant in each deployment: one pass.

    Sums over tenants are the fleet's. A row is flagged when its score is at least the cut-off
    of its version.
    """
    if not len(frame):
        return ()
    keys = [grouped(frame.tenant), grouped(frame.version), grouped(frame.deployment)]
    (tenant, tenants), (version, versions), (deployment, deployments) = keys
    width = (len(versions), len(deployments))
    group = (tenant * width[0] + version) * width[1] + deployment
    size = len(tenants) * width[0] * width[1]
    cutoff = np.array([cutoffs.get(name, np.nan) for name in versions], dtype=np.float64)[version]
    flagged = frame.score >= cutoff
    known, scored, positive = frame.known, np.isfinite(frame.score), frame.label == 1

    def count(mask: NDArray[np.bool_]) -> list[int]:
        return [int(n) for n in np.bincount(group[mask], minlength=size)]

    counted = known & scored
    rows, labelled, unscored = count(np.ones_like(known)), count(known), count(known & ~scored)
    tp, fp = count(counted & flagged & positive), count(counted & flagged & ~positive)
    tn, fn = count(counted & ~flagged & ~positive), count(counted & ~flagged & positive)
    found = []
    for i in np.flatnonzero(rows).tolist():
        whose, which = divmod(i, width[0] * width[1])
        name = versions[which // width[1]]
        confusion = Confusion(tp[i], fp[i], tn[i], fn[i]) if name in cutoffs else None
        place = deployments[which % width[1]]
        found.append(
            Tally(tenants[whose], name, place, rows[i], labelled[i], unscored[i], confusion)
        )
    return tuple(found)


def together(tallies: Sequence[Tally]) -> tuple[Tally, ...]:
    """The same over all tenants: counts of parts add up."""
    whole: dict[tuple[str, str], Tally] = {}
    for part in tallies:
        key = (part.version, part.deployment)
        so_far = whole.get(key)
        whole[key] = replace(part, tenant=None) if so_far is None else _plus(so_far, part)
    return tuple(whole[key] for key in sorted(whole))


def rates(tally: Tally, *, confidence: float) -> dict[str, Interval]:
    """Rates of one tally with their intervals; a rate that nothing was counted for is absent.

    The false-positive rate is a rare event and has the exact interval (Clopper and Pearson),
    the others Wilson's.
    """
    counted = tally.confusion
    if counted is None:
        return {}
    right, flagged = counted.tp + counted.tn, counted.tp + counted.fp
    positive = counted.tp + counted.fn
    found: dict[str, Interval] = {}
    if tally.negatives:
        found[FALSE_POSITIVE_RATE] = clopper_pearson(
            tally.false_positives, tally.negatives, confidence=confidence
        )
    for name, part, total in (
        ("accuracy", right, counted.total),
        ("precision", counted.tp, flagged),
        ("recall", counted.tp, positive),
    ):
        if total:
            found[name] = wilson(part, total, confidence=confidence)
    return found


def judge(
    tallies: Sequence[Tally],
    versions: Mapping[str, VersionFacts],
    demands: Monitoring,
    scope: Scope,
) -> tuple[Judgement, ...]:
    """Judge every stable version of a window; a canary is judged by its rollout.

    The fleet's window judges the fleet's versions only: a tenant's own version answers for
    itself, in that tenant's window. There the fleet's versions answer to the absolute limit
    alone: training has measured them on everybody, and a tenant that is harder than the fleet
    has not decayed. The confidence of the intervals is one minus the policy's
    `false_discovery_rate`.
    """
    found: list[Judgement] = []
    for tally in tallies:
        facts = versions.get(tally.version)
        own = facts is not None and facts.tenant is not None
        if tally.deployment != STABLE or (scope is Scope.GLOBAL and own):
            continue
        found += _of_version(tally, facts, demands, scope)
    return tuple(found)


def verdict_of(judgements: Sequence[Judgement]) -> Verdict:
    """The worst of them; without any, nothing was looked at."""
    return worst(one.verdict for one in judgements)


def _of_version(
    tally: Tally, facts: VersionFacts | None, demands: Monitoring, scope: Scope
) -> list[Judgement]:
    limits = _limits(facts, demands, scope)
    why = _cannot_judge(tally, facts, demands, scope)
    if why is not None:
        return [_undecided(tally, name, limit, why) for name, limit in limits.items()]
    found = rates(tally, confidence=1.0 - demands.false_discovery_rate)
    judgements = []
    for name, limit in limits.items():
        if name not in found:
            judgements.append(_undecided(tally, name, limit, "no labelled row to count it on"))
        else:
            judgements.append(_against(tally, name, found[name], limit))
    return judgements


@dataclass(frozen=True)
class _Limit:
    value: float
    baseline: float | None
    most: bool
    """Whether the limit is a highest value; otherwise it is a lowest."""


def _limits(facts: VersionFacts | None, demands: Monitoring, scope: Scope) -> dict[str, _Limit]:
    """Limits of all metrics that can be judged: a decay needs a value from training."""
    comparable = facts is not None and (scope is Scope.GLOBAL or facts.tenant is not None)
    trained = facts.training_metrics if facts is not None and comparable else {}
    highest = _Limit(demands.max_false_positive_rate, trained.get(FALSE_POSITIVE_RATE), most=True)
    found = {FALSE_POSITIVE_RATE: highest}
    triggers = demands.triggers
    for name, points in (
        ("accuracy", triggers.accuracy_decay_percent_points),
        ("precision", triggers.precision_decay_percent_points),
        ("recall", triggers.recall_decay_percent_points),
    ):
        before = trained.get(name)
        if before is not None:
            found[name] = _Limit(before - points / 100.0, before, most=False)
    return found


def _cannot_judge(
    tally: Tally, facts: VersionFacts | None, demands: Monitoring, scope: Scope
) -> str | None:
    if facts is None or tally.confusion is None:
        return f"version {tally.version} is not known, nor its cut-off"
    least = min_rows(demands, scope)
    if tally.rows < least:
        return f"{least - tally.rows} more rows needed"
    needed = math.ceil(demands.min_label_coverage * tally.rows)
    counted = tally.confusion.total
    if counted < needed:
        return f"{needed - counted} more labels needed: {counted} of {tally.rows} rows have one"
    return None


def _against(tally: Tally, metric: str, rate: Interval, limit: _Limit) -> Judgement:
    if limit.most:
        beyond, within = rate.low > limit.value, rate.high <= limit.value
        inside = rate.estimate <= limit.value
    else:
        beyond, within = rate.high < limit.value, rate.low >= limit.value
        inside = rate.estimate >= limit.value
    if beyond:
        verdict, reason = Verdict.FAIL, "the whole interval lies beyond the limit"
    elif within:
        verdict, reason = Verdict.PASS, "the whole interval lies within the limit"
    else:
        verdict, reason = Verdict.INCONCLUSIVE, "the limit lies inside the interval"
    return Judgement(
        metric=metric,
        version=tally.version,
        deployment=tally.deployment,
        verdict=verdict,
        value=rate.estimate,
        limit=limit.value,
        interval=(rate.low, rate.high),
        baseline=limit.baseline,
        rows=tally.rows,
        reason=reason,
        calm=inside and not beyond,
    )


def _undecided(tally: Tally, metric: str, limit: _Limit, why: str) -> Judgement:
    return Judgement(
        metric=metric,
        version=tally.version,
        deployment=tally.deployment,
        verdict=Verdict.INCONCLUSIVE,
        value=None,
        limit=limit.value,
        interval=None,
        baseline=limit.baseline,
        rows=tally.rows,
        reason=why,
        calm=False,
    )


def _plus(a: Tally, b: Tally) -> Tally:
    unknown = a.confusion is None or b.confusion is None
    return replace(
        a,
        rows=a.rows + b.rows,
        labelled=a.labelled + b.labelled,
        unscored=a.unscored + b.unscored,
        confusion=None if unknown else _sum(a.confusion, b.confusion),
    )


def _sum(a: Confusion | None, b: Confusion | None) -> Confusion:
    return (a or Confusion()) + (b or Confusion())


def grouped(column: Column) -> tuple[NDArray[np.int64], list[Any]]:
    """Each value's number, and the values in order; None, the fleet, stands last."""
    encoded = pa.array(column, type=pa.string()).dictionary_encode()
    names: list[Any] = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(names)).to_numpy().astype(np.int64)
    return codes, [*names, None]
