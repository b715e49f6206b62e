"""The canary judge on rare events: on few, it waits; on silence, it never says yes.

Two rules: the false-positive rate must not exceed an absolute limit, nor a multiple of the
rate of the version that is active beside it. Both are judged with evidence that stays
valid however often one looks (`trimtab.stats.rates`), so looking every half hour does not
make a healthy version fail. Passing needs evidence too, of the opposite: that the rate lies
*below* the limit and below the multiple. Gross harm does not wait for the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict
from trimtab.policies.admission import Rollout as Demands
from trimtab.stats.intervals import clopper_pearson
from trimtab.stats.rates import (
    events_needed,
    rate_below_evalue,
    rate_exceeds_evalue,
    ratio_below_evalue,
    ratio_exceeds_evalue,
)


@dataclass(frozen=True)
class Look:
    """What was added between two looks: false positives among known negatives, per side."""

    canary_false_positives: int
    canary_negatives: int
    active_false_positives: int
    active_negatives: int


@dataclass(frozen=True)
class Evidence:
    """Everything the judge may see.

    `looks` since the rollout began, oldest first. `step_events` and `step_age` count from
    when the present share was observed. `has_active` is False for a first release, which
    nothing can be compared with. `unreadable` says why the evidence could not be read.
    """

    looks: tuple[Look, ...]
    step_events: int
    step_age: timedelta
    has_active: bool
    unreadable: str | None = None


@dataclass(frozen=True)
class Rule:
    """One rule, its number, its limit, and the evidence for and against harm."""

    name: str
    value: float | None
    limit: float
    interval: tuple[float, float] | None
    against: float
    """Evidence (an e-value) that the limit is exceeded."""
    against_needed: float
    in_favour: float
    """Evidence that the value lies below the limit."""
    in_favour_needed: float

    @property
    def harmful(self) -> bool:
        """Whether harm is shown."""
        return self.against >= self.against_needed

    @property
    def harmless(self) -> bool:
        """Whether health is shown, which is more than that harm is not."""
        return self.in_favour >= self.in_favour_needed


@dataclass(frozen=True)
class Analysis:
    """A verdict, its reason in a sentence, and every number it rests on."""

    verdict: Verdict
    reason: str
    rules: tuple[Rule, ...]
    canary_false_positives: int
    canary_negatives: int
    active_false_positives: int
    active_negatives: int
    step_events: int
    more_needed: int | None
    """Further known negatives of the canary until a verdict is to be expected."""

    def plain(self) -> dict[str, Any]:
        """As JSON values, for the event and the record."""
        rules = [
            {**vars(rule), "harmful": rule.harmful, "harmless": rule.harmless}
            for rule in self.rules
        ]
        return {**vars(self), "verdict": self.verdict.value, "rules": rules}


def judge(evidence: Evidence, demands: Demands) -> Analysis:
    """Pass, fail, inconclusive or error, and why.

    Missing or unreadable evidence is never a pass; a verdict on harm may come before the
    minimum of events, a pass never does.
    """
    totals = _totals(evidence.looks)
    canary_fp, canary_n, _, _ = totals
    unreadable = evidence.unreadable or _impossible(evidence)
    if unreadable is not None:
        return _analysis(Verdict.ERROR, unreadable, (), evidence, totals)
    if canary_n == 0:
        nothing = "no outcome of the canary is known yet"
        return _analysis(
            Verdict.INCONCLUSIVE, nothing, (), evidence, totals, demands.min_events_per_step
        )
    rules = _rules(evidence, demands, totals)
    harmful = [rule for rule in rules if rule.harmful]
    if harmful:
        return _analysis(Verdict.FAIL, _harm(harmful[0]), rules, evidence, totals)
    gross = _gross_harm(canary_fp, canary_n, demands)
    if gross is not None:
        return _analysis(Verdict.FAIL, gross, rules, evidence, totals)
    waiting = _waiting(evidence, demands, rules)
    if waiting is None:
        reason = (
            f"false-positive rate {canary_fp / canary_n:.2%} over {canary_n} known negatives is "
            "shown to be within every limit"
        )
        return _analysis(Verdict.PASS, reason, rules, evidence, totals)
    more = _more_needed(evidence, demands, rules, totals)
    return _analysis(Verdict.INCONCLUSIVE, waiting, rules, evidence, totals, more)


def _impossible(evidence: Evidence) -> str | None:
    """Why the counts cannot be counts: a counter that was reset, or a join gone wrong."""
    for look in evidence.looks:
        for part, whole in (
            (look.canary_false_positives, look.canary_negatives),
            (look.active_false_positives, look.active_negatives),
        ):
            if not 0 <= part <= whole:
                return f"counts that cannot be: {part} false positives among {whole} negatives"
    return None


def _rules(evidence: Evidence, demands: Demands, totals: tuple[int, ...]) -> tuple[Rule, ...]:
    """The rules that apply; the allowed error is shared out between them."""
    canary_fp, canary_n, active_fp, active_n = totals
    compared = evidence.has_active
    against_needed = (2 if compared else 1) / demands.max_wrong_rollback_rate
    in_favour_needed = 1 / demands.max_wrong_promotion_rate
    limit = demands.max_false_positive_rate
    absolute = Rule(
        name="false_positive_rate",
        value=canary_fp / canary_n,
        limit=limit,
        interval=_bounds(canary_fp, canary_n, 1 - demands.max_wrong_rollback_rate),
        against=rate_exceeds_evalue(canary_fp, canary_n, limit=limit),
        against_needed=against_needed,
        in_favour=rate_below_evalue(canary_fp, canary_n, limit=limit),
        in_favour_needed=in_favour_needed,
    )
    if not compared:
        return (absolute,)
    columns = [
        list(column) for column in zip(*(vars(x).values() for x in evidence.looks), strict=True)
    ]
    ratio = demands.max_ratio_to_active
    measured = None
    if active_fp and active_n:
        measured = (canary_fp / canary_n) / (active_fp / active_n)
    relative = Rule(
        name="ratio_to_active",
        value=measured,
        limit=ratio,
        interval=None,
        against=ratio_exceeds_evalue(*columns, ratio=ratio),
        against_needed=against_needed,
        in_favour=ratio_below_evalue(*columns, ratio=ratio),
        in_favour_needed=in_favour_needed,
    )
    return absolute, relative


def _harm(rule: Rule) -> str:
    if rule.name == "false_positive_rate":
        return f"false-positive rate {rule.value:.2%} is shown to exceed {rule.limit:.2%}"
    measured = "many times" if rule.value is None else f"{rule.value:.1f} times"
    return (
        f"false-positive rate is {measured} that of the active version, shown to exceed "
        f"{rule.limit:g} times"
    )


def _gross_harm(false_positives: int, negatives: int, demands: Demands) -> str | None:
    if false_positives < demands.gross_harm_min_errors:
        return None
    confidence = 2 * demands.gross_harm_confidence - 1  # a one-sided bound of a two-sided interval
    low, _high = _bounds(false_positives, negatives, confidence)
    if low <= demands.max_false_positive_rate:
        return None
    return (
        f"gross harm: {false_positives} false positives among {negatives} negatives; at "
        f"{demands.gross_harm_confidence:.1%} confidence the rate is above {low:.2%}"
    )


def _waiting(evidence: Evidence, demands: Demands, rules: tuple[Rule, ...]) -> str | None:
    """What still stands between this step and the next, or None."""
    missing = demands.min_events_per_step - evidence.step_events
    if missing > 0:
        return f"{missing} more known outcomes are needed on this step"
    hold = timedelta(hours=demands.min_hold_hours)
    if evidence.step_age < hold:
        return f"the step has to be held for {demands.min_hold_hours:g} hours"
    unproven = [rule for rule in rules if not rule.harmless]
    if unproven:
        rule = unproven[0]
        return (
            f"neither harm nor health is shown for {rule.name}: evidence of health is "
            f"{rule.in_favour:.1f} of the {rule.in_favour_needed:g} that are needed"
        )
    return None


def _more_needed(
    evidence: Evidence, demands: Demands, rules: tuple[Rule, ...], totals: tuple[int, ...]
) -> int | None:
    """A rough number of further negatives: at least the step's minimum, and for the absolute
    rule what its power asks at the rate seen so far."""
    canary_fp, canary_n, _, _ = totals
    missing = max(0, demands.min_events_per_step - evidence.step_events)
    absolute = rules[0]
    if absolute.harmless:
        return missing or None
    seen = (canary_fp + 0.5) / (canary_n + 1)
    if seen >= demands.max_false_positive_rate:
        return missing or None
    try:
        wanted = events_needed(
            demands.max_false_positive_rate,
            seen,
            power=1 - demands.max_wrong_rollback_rate,
            confidence=1 - demands.max_wrong_promotion_rate,
        )
    except InvalidInput:  # so near the limit that no number of rows would tell
        return missing or None
    return max(missing, wanted - canary_n) or None


def _bounds(events: int, trials: int, confidence: float) -> tuple[float, float]:
    interval = clopper_pearson(events, trials, confidence=confidence)
    return interval.low, interval.high


def _totals(looks: tuple[Look, ...]) -> tuple[int, int, int, int]:
    return (
        sum(x.canary_false_positives for x in looks),
        sum(x.canary_negatives for x in looks),
        sum(x.active_false_positives for x in looks),
        sum(x.active_negatives for x in looks),
    )


def _analysis(
    verdict: Verdict,
    reason: str,
    rules: tuple[Rule, ...],
    evidence: Evidence,
    totals: tuple[int, int, int, int],
    more_needed: int | None = None,
) -> Analysis:
    return Analysis(verdict, reason, rules, *totals, evidence.step_events, more_needed)
