"""What the looks at one window say to the watches of its model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trimtab.kernel.events import plain
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.drift import DriftType, FeatureDrift, Scope, min_rows
from trimtab.monitoring.performance import Judgement
from trimtab.monitoring.structure import SCHEMA, Finding, Structural
from trimtab.monitoring.watch import (
    DriftEvidence,
    Outcome,
    PerformanceEvidence,
    Sighting,
    Subject,
)
from trimtab.policies.operation import Monitoring


def of_features(
    looks: Sequence[FeatureDrift],
    watched: Iterable[str],
    demands: Monitoring,
    scope: Scope,
) -> list[Sighting]:
    """What a look at the input says: of each feature, of each structural finding, and of the
    structural findings that are `watched` (their names) and were not found this time.

    Without any look nothing is said at all.
    """
    if not looks:
        return []
    needed = demands.consecutive_windows
    said = [
        Sighting(Subject.DRIFT, look.feature, _moved(look), _evidence(look), needed)
        for look in looks
    ]
    found = {
        _name(look, one): Sighting(
            Subject.STRUCTURE,
            _name(look, one),
            Outcome.ALARM,
            _structural(look, one),
            1 if one.finding in SCHEMA else needed,
        )
        for look in looks
        for one in look.structural
    }
    by_name = {look.feature: look for look in looks}
    quiet = [
        _not_found(_Name.parse(name), by_name, demands, scope)
        for name in watched
        if name not in found
    ]
    return [*said, *found.values(), *quiet]


def of_metrics(judgements: Sequence[Judgement], demands: Monitoring) -> list[Sighting]:
    """What a look at the output says of each metric: an alarm if any stable version lies
    wholly beyond its limit; otherwise what the version with the most rows says."""
    said = []
    for metric in dict.fromkeys(one.metric for one in judgements):
        mine = [one for one in judgements if one.metric == metric]
        failed = [one for one in mine if one.verdict is Verdict.FAIL]
        speaker = max(failed or mine, key=lambda one: one.rows)
        calm = Outcome.CALM if speaker.calm else Outcome.UNKNOWN
        evidence = PerformanceEvidence(
            metric=metric,
            version=speaker.version,
            value=speaker.value,
            limit=speaker.limit,
            interval=None if speaker.interval is None else list(speaker.interval),
            baseline=speaker.baseline,
            reason=speaker.reason,
        )
        outcome = Outcome.ALARM if failed else calm
        said.append(
            Sighting(Subject.PERFORMANCE, metric, outcome, evidence, demands.consecutive_windows)
        )
    return said


_NAME = re.compile(rf"(.*?)/({'|'.join(Finding)})(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True)
class _Name:
    """`feature/finding` or `feature/finding/category`; the category may hold anything."""

    text: str
    feature: str
    finding: Finding
    item: str

    @classmethod
    def parse(cls, text: str) -> _Name:
        parts = _NAME.fullmatch(text)
        assert parts is not None
        return cls(text, parts[1], Finding(parts[2]), parts[3] or "")


def _name(look: FeatureDrift, one: Structural) -> str:
    whole = f"{look.feature}/{one.finding.value}"
    vanished = one.finding is Finding.VANISHED_CATEGORY
    return f"{whole}/{one.items[0]}" if vanished else whole


def _not_found(
    name: _Name, looks: dict[str, FeatureDrift], demands: Monitoring, scope: Scope
) -> Sighting:
    look = looks.get(name.feature)
    outcome, reason = _quiet(name, look, min_rows(demands, scope))
    evidence = DriftEvidence(
        feature=name.feature,
        drift_type=DriftType.STRUCTURAL.value,
        finding=name.finding.value,
        direction=None,
        values={} if look is None else {"rows": look.rows},
        thresholds={},
        votes=[],
        severity=None,
        items=[name.item] if name.item else [],
        reason=reason,
    )
    needed = 1 if name.finding in SCHEMA else demands.consecutive_windows
    return Sighting(Subject.STRUCTURE, name.text, outcome, evidence, needed)


def _quiet(name: _Name, look: FeatureDrift | None, least: int) -> tuple[Outcome, str]:
    """Whether a finding that is absent is gone, or could not be seen."""
    if look is None:
        return Outcome.CALM, "the model no longer reads this feature"
    if any(one.finding in SCHEMA for one in look.structural):
        return Outcome.UNKNOWN, "the column cannot be read"
    if name.finding in SCHEMA:
        return Outcome.CALM, "the column has come as it should"
    if look.rows < least:
        return Outcome.UNKNOWN, f"{least - look.rows} more rows needed"
    if look.insufficient is not None and name.finding is not Finding.NULL_RATE:
        return Outcome.UNKNOWN, look.insufficient
    if name.finding is Finding.VANISHED_CATEGORY and name.item in look.undecided:
        return Outcome.UNKNOWN, "it did not come, but chance may be why"
    return Outcome.CALM, "not found in this window"


def _moved(look: FeatureDrift) -> Outcome:
    if look.insufficient is not None:
        return Outcome.UNKNOWN
    return Outcome.ALARM if look.confirmed else Outcome.CALM


def _evidence(look: FeatureDrift) -> DriftEvidence:
    asked = [vote for vote in look.votes if vote.value is not None]
    measures = plain(look.measures)
    direction = measures.pop("direction")
    return DriftEvidence(
        feature=look.feature,
        drift_type=look.drift_type.value,
        finding="moved",
        direction=direction,
        values={name: value for name, value in measures.items() if value is not None}
        | {"rows": look.n_current, "rows_reference": look.n_reference},
        thresholds={vote.detector: vote.threshold for vote in asked},
        votes=[plain(vote) for vote in look.votes],
        severity=None if look.severity is None else look.severity.value,
        items=[],
        reason=look.insufficient or f"{look.votes_cast:g} votes of the quorum",
    )


def _structural(look: FeatureDrift, one: Structural) -> DriftEvidence:
    return DriftEvidence(
        feature=look.feature,
        drift_type=DriftType.STRUCTURAL.value,
        finding=one.finding.value,
        direction=None,
        values={one.finding.value: one.value, "rows": look.rows},
        thresholds={one.finding.value: one.limit},
        votes=[],
        severity=None,
        items=list(one.items),
        reason=one.reason,
    )
