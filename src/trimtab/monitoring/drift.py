"""Has a feature moved, how far, and is it believed? Three answers, kept apart.

*Moved*: an effect at least as large as the smallest that matters, and beyond noise. False
discoveries are controlled over the features of one look; a small p-value alone never decides.
*Severity*: the bands of the stability index. *Confirmed*: the quorum of detectors. Structural
findings stand beside them and need no quorum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.columns import Column, FeatureKind, kind_of, missing_share, profiled
from trimtab.monitoring.measures import Measures, measured_between
from trimtab.monitoring.reference import Reference
from trimtab.monitoring.structure import (
    Finding,
    Structural,
    structural_findings,
    undecided_categories,
    unreadable,
)
from trimtab.policies.operation import Detector, Effects, Monitoring
from trimtab.profiles.table import Profile, TableProfile
from trimtab.stats.multiplicity import benjamini_hochberg
from trimtab.stats.univariate import rows_to_tell

SCORE = "score"
"""Name under which the model's answers are looked at, beside its inputs."""


class Scope(StrEnum):
    """Whose rows, and how many looks there will be: each has effects of its own."""

    GLOBAL = "global"
    """A window of the fleet, one of many."""
    TENANT = "tenant"
    """A window of one tenant: smaller, and noisier."""
    DATASET = "dataset"
    """A whole data set, compared once."""


class DriftType(StrEnum):
    """What moved."""

    DATA = "data_drift"
    PREDICTION = "prediction_drift"
    STRUCTURAL = "structural"


class Severity(StrEnum):
    """Band of the stability index."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True)
class Vote:
    """What one detector of the quorum said. Without a value it did not look, and why."""

    detector: str
    group: str
    weight: float
    value: float | None
    threshold: float | None
    alarmed: bool
    rows: int
    reason: str


@dataclass(frozen=True)
class FeatureDrift:
    """What one look says of one feature.

    `insufficient` says what is missing; `moved` and `severity` are then None, which is not
    "no": nobody could look. Structural findings may stand all the same.
    """

    feature: str
    kind: FeatureKind
    drift_type: DriftType
    rows: int
    """Rows of the window, with and without a value; the two `n` are rows with one."""
    n_reference: int
    n_current: int
    null_rate_reference: float
    null_rate_current: float
    measures: Measures
    moved: bool | None
    severity: Severity | None
    votes: tuple[Vote, ...]
    votes_cast: float
    confirmed: bool
    structural: tuple[Structural, ...]
    undecided: tuple[str, ...]
    """Categories that did not come where chance may be why."""
    insufficient: str | None

    @property
    def alarming(self) -> bool:
        """Whether anything here asks for attention."""
        return self.confirmed or bool(self.structural)

    @property
    def changed(self) -> bool:
        """Whether it has moved, or something is structurally wrong with it."""
        return bool(self.moved) or bool(self.structural)

    @property
    def verdict(self) -> Verdict:
        """Fail: it has changed. Inconclusive: nobody could look. Pass: it has not changed."""
        if self.changed:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if self.moved is None else Verdict.PASS

    @property
    def magnitude(self) -> float:
        """The share of the rows that is affected, 0 to 1: D, or the mass that moved between
        categories, or the value of a structural finding."""
        shares = [self.measures.ks_d, self.measures.category_mass]
        shares += [one.share_of(self.rows) for one in self.structural]
        return max((share for share in shares if share is not None), default=0.0)


def look_at(
    reference: Reference,
    columns: Mapping[str, Column],
    demands: Monitoring,
    scope: Scope,
    *,
    score: Column | None = None,
) -> tuple[FeatureDrift, ...]:
    """Compare the columns of a window with the reference, feature by feature.

    Args:
        reference: What the version was trained on.
        columns: Shape (n,) each, rows in order of time. Features that the reference does not
            know are left alone: the model does not read them.
        demands: The monitoring slice of the policy.
        scope: Whose effects and fewest rows apply.
        score: Shape (n,), the model's answers; compared when the reference has its own.
    """
    like = dict(reference.features)
    given = dict(columns)
    if score is not None and reference.score is not None:
        like[SCORE], given[SCORE] = reference.score, score
    return judge(reference, profiled(given, like), demands, scope)


def judge(
    reference: Reference, current: TableProfile, demands: Monitoring, scope: Scope
) -> tuple[FeatureDrift, ...]:
    """The same for columns that have been counted: judged as one family of questions.

    Args:
        reference: What is compared with.
        current: The columns now, best counted like the reference's; the model's answers, where
            both sides have them, under `SCORE`.
        demands: The monitoring slice of the policy.
        scope: Whose effects and fewest rows apply.
    """
    return judged(measured(reference, current, demands, scope), demands, scope)


def measured(
    reference: Reference,
    current: TableProfile,
    demands: Monitoring,
    scope: Scope,
    *,
    windows: int = 1,
) -> list[FeatureDrift]:
    """How far each feature is, and what is structurally wrong; nothing is judged yet.

    Args:
        reference: As for `judge`.
        current: As for `judge`.
        demands: As for `judge`.
        scope: As for `judge`.
        windows: How many windows are looked at together. The chance that noise makes any
            structural finding in any feature of any of them stays at the stated level.
    """
    least = min_rows(demands, scope)
    family = windows * max(1, len(reference.features))
    level = {"false_discovery_rate": demands.false_discovery_rate / family}
    strict = demands.model_copy(update=level)
    asked = _Asked(demands, strict, least, effects_of(demands, scope).wasserstein_scaled)
    looks = [_look(name, before, current, asked) for name, before in reference.features.items()]
    if reference.score is not None and SCORE in current.columns:
        found = _look(SCORE, reference.score, current, asked)
        looks.append(dataclasses.replace(found, drift_type=DriftType.PREDICTION))
    return looks


def judged(
    looks: Sequence[FeatureDrift], demands: Monitoring, scope: Scope
) -> tuple[FeatureDrift, ...]:
    """Measured looks (of one window, or of many at once) as one family: among all that are
    called moved, the expected share of false ones is bounded."""
    effects = effects_of(demands, scope)
    return tuple(_judged(look, effects, demands) for look in _adjusted(looks, demands))


def min_rows(demands: Monitoring, scope: Scope) -> int:
    """The fewest rows that are judged."""
    return {
        Scope.GLOBAL: demands.min_rows_global,
        Scope.TENANT: demands.min_rows_tenant,
        Scope.DATASET: demands.min_rows_dataset,
    }[scope]


def effects_of(demands: Monitoring, scope: Scope) -> Effects:
    """The smallest effects that matter."""
    return {
        Scope.GLOBAL: demands.effects_global,
        Scope.TENANT: demands.effects_tenant,
        Scope.DATASET: demands.effects_dataset,
    }[scope]


@dataclass(frozen=True)
class _Asked:
    """What is asked of each feature of a look. `strict` are the demands with the level of one
    question of its family; from `ends_from` on, scaled Wasserstein, the far ends are tested."""

    demands: Monitoring
    strict: Monitoring
    least: int
    ends_from: float


def _look(name: str, before: Profile, window: TableProfile, asked: _Asked) -> FeatureDrift:
    """Measure one feature; nothing is judged yet."""
    current = window.columns.get(name)
    kind = kind_of(before)
    blank = FeatureDrift(
        feature=name,
        kind=kind,
        drift_type=DriftType.DATA,
        rows=0 if current is None else current.rows,
        n_reference=before.known,
        n_current=0,
        null_rate_reference=missing_share(before),
        null_rate_current=1.0,
        measures=Measures(),
        moved=None,
        severity=None,
        votes=(),
        votes_cast=0.0,
        confirmed=False,
        structural=(),
        undecided=(),
        insufficient="nothing was measured",
    )
    if current is None:
        broken = unreadable(Finding.MISSING_COLUMN, "the feature did not come")
        return dataclasses.replace(blank, structural=(broken,))
    if kind_of(current) is not kind:
        said = "numbers are expected, text has come"
        if kind is FeatureKind.CATEGORY:
            said = "categories are expected, numbers have come"
        broken = unreadable(Finding.TYPE_CHANGED, said)
        return dataclasses.replace(blank, structural=(broken,))
    tail = window.tails.get(name)
    findings = (
        structural_findings(before, current, asked.strict, min_rows=asked.least, tail=tail)
        if current.rows >= asked.least
        else ()
    )
    why = _too_few(before, current, asked.least)
    level = asked.demands.false_discovery_rate
    return dataclasses.replace(
        blank,
        n_current=current.known,
        null_rate_current=missing_share(current),
        measures=Measures() if why else measured_between(before, current, level, asked.ends_from),
        structural=findings,
        undecided=undecided_categories(before, current, asked.strict),
        insufficient=why,
    )


def _too_few(before: Profile, current: Profile, least: int) -> str | None:
    if before.known < least:
        return f"the reference has {before.known} values, {least - before.known} more are needed"
    if current.known < least:
        return f"{least - current.known} more rows needed"
    return None


def _adjusted(looks: Sequence[FeatureDrift], demands: Monitoring) -> list[FeatureDrift]:
    """Each p-value as one of as many questions as there were."""
    evidence = [look.measures.evidence for look in looks]
    asked = [i for i, p in enumerate(evidence) if p is not None]
    if not asked:
        return list(looks)
    p_values = [p for p in evidence if p is not None]
    _, adjusted = benjamini_hochberg(p_values, level=demands.false_discovery_rate)
    found = list(looks)
    for i, p in zip(asked, adjusted.tolist(), strict=True):
        measures = dataclasses.replace(looks[i].measures, p_adjusted=p)
        found[i] = dataclasses.replace(looks[i], measures=measures)
    return found


def _judged(look: FeatureDrift, effects: Effects, demands: Monitoring) -> FeatureDrift:
    votes = tuple(_vote(d, look, effects, demands) for d in demands.quorum.detectors)
    if look.insufficient is not None:
        return dataclasses.replace(look, votes=votes)
    cast = demands.quorum.votes([vote.detector for vote in votes if vote.alarmed])
    doubt = _doubt(look, effects, demands)
    return dataclasses.replace(
        look,
        insufficient=doubt,
        moved=None if doubt else _moved(look.measures, effects, demands),
        severity=_severity(look.measures, demands),
        votes=votes,
        votes_cast=cast,
        confirmed=cast >= demands.quorum.min_votes,
    )


def _moved(measures: Measures, effects: Effects, demands: Monitoring) -> bool:
    large = (
        _reaches(measures.ks_d, effects.ks_d)
        or _reaches(measures.wasserstein_scaled, effects.wasserstein_scaled)
        or _reaches(measures.category_mass, effects.category_mass)
    )
    return large and _beyond_noise(measures, demands)


def _doubt(look: FeatureDrift, effects: Effects, demands: Monitoring) -> str | None:
    """Why nobody can tell: the share of rows that moved is as large as one that matters, and so
    few rows may show as much by chance. Calling that calm would be a guess."""
    m = look.measures
    known = (("D", m.ks_d, effects.ks_d), ("category mass", m.category_mass, effects.category_mass))
    for name, value, limit in known:
        if value is None or value < limit or _beyond_noise(m, demands):
            continue
        said = f"{name} {value:.3g} is beyond its limit of {limit:g}, but noise may do that"
        wanted = rows_to_tell(limit, look.n_reference, level=demands.false_discovery_rate)
        if wanted is None:
            return f"{said}: the reference has too few rows to tell"
        more = max(1, wanted - look.n_current)
        return f"{said}: about {more:,} more rows needed"
    return None


def _severity(measures: Measures, demands: Monitoring) -> Severity | None:
    """The band of the index; none where sampling alone reaches it."""
    psi, bands = measures.psi, demands.psi_bands
    if psi is None:
        return None
    if measures.psi_noise is not None and psi <= measures.psi_noise:
        return Severity.NONE
    if psi > bands.high_nats:
        return Severity.HIGH
    if psi >= bands.medium_nats:
        return Severity.MEDIUM
    return Severity.LOW if psi >= bands.low_nats else Severity.NONE


def _vote(detector: Detector, look: FeatureDrift, effects: Effects, demands: Monitoring) -> Vote:
    """What one detector of the quorum says of one feature.

    For categories the detector `ks` speaks of the mass that moved between them: like the
    Kolmogorov-Smirnov distance, the largest difference in probability of any event it knows.
    """
    m = look.measures
    value, threshold = {
        "ks": (m.ks_d, effects.ks_d)
        if look.kind is FeatureKind.NUMERIC
        else (m.category_mass, effects.category_mass),
        "psi": (m.psi, effects.psi_nats),
        "wasserstein": (m.wasserstein_scaled, effects.wasserstein_scaled),
    }.get(detector.name, (None, None))
    if look.insufficient is not None:
        value, reason, alarmed = None, look.insufficient, False
    elif value is None:
        reason, alarmed = "does not speak about a window of this feature", False
    else:
        large, sure = _reaches(value, threshold), _beyond_noise(m, demands)
        if detector.name == "psi":
            sure = sure and m.psi_noise is not None and value > m.psi_noise
        alarmed = large and sure
        reason = _said(large, sure)
    return Vote(
        detector=detector.name,
        group=detector.group,
        weight=detector.votes,
        value=value,
        threshold=threshold,
        alarmed=alarmed,
        rows=look.n_current,
        reason=reason,
    )


def _said(large: bool, sure: bool) -> str:
    if large:
        return "beyond its threshold" if sure else "beyond its threshold, but noise may do that"
    return "below its threshold"


def _reaches(value: float | None, threshold: float | None) -> bool:
    return value is not None and threshold is not None and value >= threshold


def _beyond_noise(measures: Measures, demands: Monitoring) -> bool:
    p = measures.p_adjusted
    return p is not None and p <= demands.false_discovery_rate
