"""Is one version worse than those beside it, on the same traffic and at the same time?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from trimtab.diagnosis.evidence import Change, Evidence, Stretch, finite, numbers
from trimtab.diagnosis.feed import doubted
from trimtab.diagnosis.model import Cause, CauseType
from trimtab.diagnosis.outcomes import Answers, Harm, Tally, answers, harm, rates
from trimtab.policies.operation import Diagnosis, Effects, Monitoring
from trimtab.stats.confusion import Confusion
from trimtab.stats.intervals import difference_of_rates
from trimtab.stats.univariate import kolmogorov_smirnov

# How far each circumstance goes alone, once a version is worse than the others beside it.
_OTHERS_CALM, _IS_NEW, _SAME_INPUT = 0.4, 0.4, 0.3
_OTHERS_TOO = 1.0  # what runs beside it became worse as well: divides by 1 + this
_ALONE = 0.6  # nobody beside it to compare with: only the coincidence in time speaks


def bad_release(
    evidence: Evidence, watch: Monitoring, effects: Effects, demands: Diagnosis
) -> Cause | None:
    """That a version is the cause; None if none is worse than what it is compared with."""
    now = answers(evidence.after, evidence.cutoffs)
    before = answers(evidence.before, evidence.cutoffs)
    rows = demands.unit_change.min_rows
    names = [str(name) for name in np.unique(now.who) if int((now.who == name).sum()) >= rows]
    found = []
    for name in names:
        others = now.who != name
        beside = int(others.sum()) >= rows
        cause = (
            _beside(evidence, now, before, name, watch, effects, demands)
            if beside
            else _alone(evidence, now, before, name, watch, demands)
        )
        if cause is not None:
            found.append(cause)
    return max(found, key=lambda cause: cause.confidence, default=None)


def _beside(
    evidence: Evidence,
    now: Answers,
    before: Answers,
    name: str,
    watch: Monitoring,
    effects: Effects,
    demands: Diagnosis,
) -> Cause | None:
    mine, rest = now.tally(now.who == name), now.tally(now.who != name)
    limit = watch.triggers.accuracy_decay_percent_points / 100.0
    confidence = demands.min_action_confidence
    worse = _surely_worse(rest.confusion, mine.confusion, limit, confidence)
    if worse is None or not harm(rest, mine, watch, confidence=confidence).harmed:
        return None
    strength, sure = worse
    witnesses = [strength]
    speaks_for = [f"{name} answers worse than what runs beside it: {_against(rest, mine)}", sure]
    against: list[str] = []
    drifted = _others(before, rest, watch, confidence, against)
    divisor = 1.0 if drifted is None or not drifted.harmed else 1.0 + _OTHERS_TOO
    if drifted is not None and not drifted.harmed:
        witnesses.append(_OTHERS_CALM)
        speaks_for.append("what runs beside it answers as before: " + "; ".join(drifted.sentences))
    if not (before.who == name).any():
        witnesses.append(_IS_NEW)
        speaks_for.append(f"{name} did not answer anybody before")
    else:
        against.append(f"{name} was there before")
    _same_input(evidence, name, effects, witnesses, speaks_for, against)
    return _cause(name, doubted(witnesses) / divisor, speaks_for, against, mine, evidence.changes)


def _alone(
    evidence: Evidence,
    now: Answers,
    before: Answers,
    name: str,
    watch: Monitoring,
    demands: Diagnosis,
) -> Cause | None:
    """A version that took over everything: worse than its predecessor, with nobody beside it."""
    if len(before) == 0 or (before.who == name).any() or _version(name) in _versions(before):
        return None
    mine = now.tally(now.who == name)
    gap = harm(before.tally(), mine, watch, confidence=demands.min_action_confidence)
    if not gap.harmed:
        return None
    speaks_for = [
        f"{name} took over and the answers became worse: " + "; ".join(gap.sentences),
    ]
    against = ["nothing runs beside it, so the traffic itself may have changed"]
    confidence = _ALONE * gap.worst / (1.0 + gap.worst)
    return _cause(name, confidence, speaks_for, against, mine, evidence.changes)


def _cause(
    name: str,
    confidence: float,
    speaks_for: list[str],
    against: list[str],
    mine: Tally,
    changes: tuple[Change, ...],
) -> Cause:
    version = _version(name)
    for change in changes:
        if change.version == version:
            speaks_for.append(f"on record at {change.at:%Y-%m-%d %H:%M}: {change.text}")
    return Cause(
        CauseType.BAD_RELEASE,
        min(confidence, 0.97),
        f"version {version} answers worse than what runs beside it or ran before",
        None,
        None,
        tuple(speaks_for),
        tuple(against),
        {
            "version": version,
            "slice": name,
            "rates": rates(mine.confusion),
            "rows": mine.confusion.total,
        },
    )


def _others(
    before: Answers, rest: Tally, watch: Monitoring, confidence: float, against: list[str]
) -> Harm | None:
    """Whether what runs beside it became worse as well."""
    if len(before) == 0:
        return None
    drifted = harm(before.tally(), rest, watch, confidence=confidence)
    if drifted.harmed:
        against.append("what runs beside it became worse too: " + "; ".join(drifted.sentences))
    return drifted


def _same_input(
    evidence: Evidence,
    name: str,
    effects: Effects,
    witnesses: list[float],
    speaks_for: list[str],
    against: list[str],
) -> None:
    mine, rest = _split(evidence.after, name)
    distances = {}
    for feature, column in mine.features.items():
        if numbers(column):
            a, b = finite(column), finite(rest.features[feature])
            if min(a.size, b.size) >= 8:
                distances[feature] = kolmogorov_smirnov(a, b).statistic
    if not distances:
        return
    far = max(distances, key=lambda feature: distances[feature])
    words = f"on the same traffic: its inputs differ from the others' by {distances[far]:.3f} (KS)"
    if distances[far] < effects.ks_d:
        witnesses.append(_SAME_INPUT)
        speaks_for.append(words)
    else:
        against.append(f"it gets other traffic: {far} differs by {distances[far]:.3f} (KS)")


def _surely_worse(
    rest: Confusion, mine: Confusion, limit: float, confidence: float
) -> tuple[float, str] | None:
    """The kind of error that is most surely more frequent by more than `limit`, if one is.

    Three kinds are looked at, so each interval is as wide as three looks ask for.

    Returns:
        How far that goes (the least rise against the limit), and a sentence; or None.
    """
    pairs = (
        ("false-positive rate", mine.fp, mine.fp + mine.tn, rest.fp, rest.fp + rest.tn),
        ("miss rate", mine.fn, mine.fn + mine.tp, rest.fn, rest.fn + rest.tp),
        ("error rate", mine.fp + mine.fn, mine.total, rest.fp + rest.fn, rest.total),
    )
    each = 1.0 - (1.0 - confidence) / len(pairs)
    found = []
    for what, bad, asked, bad_rest, asked_rest in pairs:
        if min(asked, asked_rest) == 0:
            continue
        gap = difference_of_rates(bad, asked, bad_rest, asked_rest, confidence=each)
        if gap.low > limit:
            words = (
                f"its {what} is {100 * gap.estimate:.1f} percentage points higher, at least "
                f"{100 * gap.low:.1f} with {confidence:.0%} confidence"
            )
            found.append((gap.low / (gap.low + limit), words))
    return max(found, default=None)


def _against(rest: Tally, mine: Tally) -> str:
    theirs, its = rates(rest.confusion), rates(mine.confusion)
    return "; ".join(
        f"{name.replace('_', ' ')} {its[name]:.1%} against {theirs[name]:.1%}"
        for name in its
        if name in theirs
    )


def _split(stretch: Stretch, name: str) -> tuple[Stretch, Stretch]:
    who = np.asarray(
        [f"{v} ({d})" for v, d in zip(stretch.version, stretch.deployment, strict=True)],
        dtype=np.str_,
    )
    return stretch.where(who == name), stretch.where(who != name)


def _version(name: str) -> str:
    return name.split(" (", 1)[0]


def _versions(found: Answers) -> Collection[str]:
    return {_version(str(name)) for name in np.unique(found.who)}
