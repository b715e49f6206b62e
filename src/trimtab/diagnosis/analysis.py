"""Evidence in, ranked causes out. Pure: no clock, no records, no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trimtab.diagnosis import feed
from trimtab.diagnosis.advice import advice
from trimtab.diagnosis.evidence import Evidence, Stretch, numbers
from trimtab.diagnosis.model import Analysis, Cause, CauseType, Factor, Verdict
from trimtab.diagnosis.outcomes import Answers, ErrorSplit, Harm, answers, error_split, harm
from trimtab.diagnosis.population import (
    GroupChange,
    Move,
    came_and_went,
    group_change,
    moves,
    relations,
    shifted,
)
from trimtab.diagnosis.release import bad_release
from trimtab.kernel.errors import InvalidInput
from trimtab.policies.operation import Diagnosis, Monitoring
from trimtab.stats.special import normal_quantile

_NEW_PLACES = 0.5  # inputs that moved too halve, at most, what another outcome says


def analyse(evidence: Evidence, *, demands: Diagnosis, watch: Monitoring) -> Analysis:
    """What the evidence says: causes by confidence, or that none was found.

    A cause is named if it is confident enough and leads over the best of another family;
    the rest stays on the list. Too few rows are said to be too few and never calm.

    Args:
        evidence: See `Evidence`; rows in order of arrival.
        demands: How sure a diagnosis must be.
        watch: What counts as moved, missing, vanished and harmed.

    Raises:
        InvalidInput: the stretches do not have the same features.
    """
    _same_features(evidence)
    base = _base(evidence, demands.unit_change.min_rows)
    if base is None or len(evidence.after) < demands.unit_change.min_rows:
        return _insufficient(evidence, demands.unit_change.min_rows)
    effects = watch.effects_global if evidence.tenant is None else watch.effects_tenant
    before, after = (answers(s, evidence.cutoffs) for s in (evidence.before, evidence.after))
    found_harm = _harm(before, after, watch, demands)
    moved = moves(base, evidence.after, effects, min_rows=demands.unit_change.min_rows)

    faults = _faults(evidence, base, moved, demands, watch)
    likely = demands.min_report_confidence
    explained = {cause.feature for cause in faults if cause.confidence >= likely}
    groups = _groups(evidence, base, watch, demands, explained)
    release = bad_release(evidence, watch, effects, demands)
    technical = max([c.confidence for c in (*faults, release) if c is not None], default=0.0)
    unexplained = [move for move in moved if move.feature not in explained]
    split = error_split(before, after) if found_harm is not None else None
    shifts = _shifts(evidence, unexplained, split, found_harm, demands, watch, technical)

    causes = [*faults, *groups, *shifts, *([release] if release else [])]
    if release is not None:
        causes = [_beside_release(cause, release) for cause in causes]
    ranked = tuple(sorted(causes, key=lambda cause: -cause.confidence))
    return _concluded(evidence, base, moved, ranked, found_harm, demands)


def _same_features(evidence: Evidence) -> None:
    wanted = set(evidence.reference.features)
    for name in ("before", "after"):
        given = set(getattr(evidence, name).features)
        if given != wanted:
            raise InvalidInput(
                f"features differ between the reference and the rows {name}: "
                + ", ".join(sorted(given ^ wanted)),
                field=f"{name}.features",
            )


def _base(evidence: Evidence, min_rows: int) -> Stretch | None:
    """The calm live rows; where they are too few, the rows of the training table."""
    for stretch in (evidence.before, evidence.reference):
        if len(stretch) >= min_rows:
            return stretch
    return None


def _harm(before: Answers, after: Answers, watch: Monitoring, demands: Diagnosis) -> Harm | None:
    """None where there are too few outcomes to say."""
    if min(len(before), len(after)) < demands.unit_change.min_rows:
        return None
    sure = demands.min_action_confidence
    return harm(before.tally(), after.tally(), watch, confidence=sure)


def _faults(
    evidence: Evidence,
    base: Stretch,
    moved: Sequence[Move],
    demands: Diagnosis,
    watch: Monitoring,
) -> list[Cause]:
    after = evidence.after
    found: list[Cause | None] = [feed.repeated_rows(base, after)]
    units = []
    for feature, column in base.features.items():
        found += [feed.null_spike(base, after, feature, watch), feed.frozen(base, after, feature)]
        if numbers(column):
            units.append(_unit(base, after, feature, (), demands))
        else:
            found.append(feed.renamed_categories(base, after, feature))
    explained = {cause.feature for cause in units if cause is not None}
    others = [move.feature for move in moved if move.ratio >= 1.0 and move.feature not in explained]
    found += [  # looked for again only where something else tells against it
        _unit(base, after, cause.feature, others, demands) if others else cause
        for cause in units
        if cause is not None and cause.feature is not None
    ]
    return [_noted(cause, evidence) for cause in found if cause is not None]


def _unit(
    base: Stretch, after: Stretch, feature: str, others: Sequence[str], demands: Diagnosis
) -> Cause | None:
    return feed.unit_change(base, after, feature, moved_too=others, demands=demands.unit_change)


def _noted(cause: Cause, evidence: Evidence) -> Cause:
    """The cause with what is on record about its feature."""
    notes = tuple(
        f"on record at {change.at:%Y-%m-%d %H:%M}: {change.text}"
        for change in evidence.changes
        if change.feature is not None and change.feature == cause.feature
    )
    return replace(cause, evidence_for=(*cause.evidence_for, *notes))


def _groups(
    evidence: Evidence,
    base: Stretch,
    watch: Monitoring,
    demands: Diagnosis,
    explained: set[str | None],
) -> list[Cause]:
    found = []
    for feature, column in base.features.items():
        if numbers(column) or feature in explained:
            continue
        change = group_change(base, evidence.after, feature, watch)
        if change is not None:
            found.append(came_and_went(change, _harm_of_the_rest(evidence, change, watch, demands)))
    return found


def _harm_of_the_rest(
    evidence: Evidence, change: GroupChange, watch: Monitoring, demands: Diagnosis
) -> Harm | None:
    """Whether the answers became worse for the groups that are there before and after."""
    rest = (
        stretch.where(~np.isin(stretch.features[change.feature].astype(str), sorted(groups)))
        for stretch, groups in (
            (evidence.before, change.vanished),
            (evidence.after, change.new),
        )
    )
    before, after = (answers(stretch, evidence.cutoffs) for stretch in rest)
    return _harm(before, after, watch, demands)


def _shifts(
    evidence: Evidence,
    moved: Sequence[Move],
    split: ErrorSplit | None,
    found_harm: Harm | None,
    demands: Diagnosis,
    watch: Monitoring,
    technical: float,
) -> list[Cause]:
    """Covariate shift by what no fault explains, concept shift by what neither it nor a
    technical cause accounts for."""
    doubt = 1.0 - technical
    told = [move for move in moved if move.ratio >= 1.0 or move.feature in evidence.confirmed]
    inputs = shifted(told, evidence.confirmed)
    found = [_covariate(told, inputs, split, found_harm)] if told else []
    concept = _concept(split, found_harm, inputs, doubt, demands, watch)
    return [*found, *([concept] if concept is not None else [])]


def _covariate(
    told: Sequence[Move],
    confidence: float,
    split: ErrorSplit | None,
    found_harm: Harm | None,
) -> Cause:
    speaks_for = [move.sentence for move in told]
    against = []
    if split is None:
        against.append("whether the answers suffer is not known: too few outcomes")
    elif found_harm is not None and not found_harm.harmed:
        speaks_for.append("no harm is shown: " + "; ".join(found_harm.sentences))
    else:
        speaks_for.append(_split_sentence(split))
    names = ", ".join(move.feature for move in told[:3])
    more = f" and {len(told) - 3} more features" if len(told) > 3 else ""
    return Cause(
        CauseType.COVARIATE_SHIFT,
        min(confidence, 0.97),
        f"the population moved: {names}{more}",
        told[0].feature,
        None,
        tuple(speaks_for),
        tuple(against),
        {
            "features": {move.feature: dict(move.values) for move in told},
            "harmed": None if found_harm is None else found_harm.harmed,
        },
    )


def _concept(
    split: ErrorSplit | None,
    found_harm: Harm | None,
    inputs: float,
    doubt: float,
    demands: Diagnosis,
    watch: Monitoring,
) -> Cause | None:
    if split is None or found_harm is None or not found_harm.harmed:
        return None
    # What is left of it beyond chance, as sure as one has to be to act on it.
    beyond = split.conditional - normal_quantile(demands.min_action_confidence) * split.noise
    if beyond <= 0.0:
        return None
    limit = watch.triggers.accuracy_decay_percent_points / 100.0
    alone = beyond / (beyond + limit)
    against = []
    if inputs > 0.0:
        against.append(
            "the inputs moved as well, so the model may just not know these places: the same "
            "score need not mean the same rows"
        )
    if doubt < 1.0:
        against.append(f"a technical cause with confidence {1 - doubt:.2f} may account for it")
    return Cause(
        CauseType.CONCEPT_SHIFT,
        min(alone * (1.0 - _NEW_PLACES * inputs) * doubt, 0.97),
        "the same score means another outcome than before",
        None,
        None,
        (_split_sentence(split), *found_harm.sentences),
        tuple(against),
        {"rise": split.rise, "mix": split.mix, "conditional": split.conditional, "harmed": True},
    )


def _split_sentence(split: ErrorSplit) -> str:
    return (
        f"the error rate changed by {100 * split.rise:+.1f} percentage points (standard error "
        f"{100 * split.noise:.1f}): {100 * split.mix:+.1f} from other scores being given, "
        f"{100 * split.conditional:+.1f} from other outcomes at the same score"
    )


def _beside_release(cause: Cause, release: Cause) -> Cause:
    """A shift of everybody does not make one version worse than the others."""
    if cause.type.family != "shift":
        return cause
    words = f"{release.values['slice']} is worse than the others on the same traffic"
    return replace(cause, evidence_against=(*cause.evidence_against, words))


def _concluded(
    evidence: Evidence,
    base: Stretch,
    moved: Sequence[Move],
    ranked: tuple[Cause, ...],
    found_harm: Harm | None,
    demands: Diagnosis,
) -> Analysis:
    verdict, summary = _verdict(ranked, demands)
    first = ranked[0] if verdict is Verdict.CAUSE_FOUND else None
    return Analysis(
        verdict=verdict,
        summary=summary,
        causes=ranked,
        advice=advice(first, verdict, harmed=None if found_harm is None else found_harm.harmed),
        factors=() if first is None else _factors(first, evidence, base, moved),
        drift_start=evidence.drift_start,
        detected_at=evidence.detected_at,
    )


def _verdict(ranked: Sequence[Cause], demands: Diagnosis) -> tuple[Verdict, str]:
    if not ranked or ranked[0].confidence < demands.min_report_confidence:
        best = f"; the best guess has confidence {ranked[0].confidence:.2f}" if ranked else ""
        return Verdict.NONE_FOUND, f"no cause was found{best}"
    first = ranked[0]
    rival = next((c for c in ranked[1:] if c.type.family != first.type.family), None)
    if rival is not None and first.confidence - rival.confidence < demands.min_lead_share:
        return (
            Verdict.NONE_FOUND,
            f"two causes fit alike: {first.summary} ({first.confidence:.2f}), or "
            f"{rival.summary} ({rival.confidence:.2f})",
        )
    return Verdict.CAUSE_FOUND, f"{first.summary} (confidence {first.confidence:.2f})"


def _factors(
    first: Cause, evidence: Evidence, base: Stretch, moved: Sequence[Move]
) -> tuple[Factor, ...]:
    """Each feature's movement times what the score makes of it, as shares of the whole; of a
    bad release, the release."""
    if first.type is CauseType.BAD_RELEASE:
        return (Factor(f"version {first.values['version']}", 1.0),)
    importance = evidence.importance or relations(base)
    parts = {move.feature: move.ratio * importance.get(move.feature, 0.0) for move in moved}
    total = sum(parts.values())
    if total <= 0.0:
        return ()
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return tuple(Factor(name, part / total) for name, part in ordered if part > 0.0)


def _insufficient(evidence: Evidence, min_rows: int) -> Analysis:
    least = min(len(evidence.after), max(len(evidence.before), len(evidence.reference)))
    return Analysis(
        verdict=Verdict.INSUFFICIENT_DATA,
        summary=f"too few rows to say anything: {least}, at least {min_rows} are needed",
        causes=(),
        advice=advice(None, Verdict.INSUFFICIENT_DATA, harmed=None),
        factors=(),
        drift_start=evidence.drift_start,
        detected_at=evidence.detected_at,
    )
