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
from trimtab.monitoring.reference import Reference
from trimtab.monitoring.structure import (
    Finding,
    Structural,
    structural_findings,
    undecided_categories,
    unreadable,
)
from trimtab.policies.operation import Detector, Effects, Monitoring
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.comparison import category_distance, numeric_distance
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, TableProfile
from trimtab.stats.multiplicity import benjamini_hochberg
from trimtab.stats.univariate import psi_null

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
class Measures:
    """How far a feature is from its reference; None where a number cannot be given.

    `ks_d`, `category_mass` (beyond what chance moves between categories) and null rates are
    shares, 0 to 1; `psi` and `psi_noise` (what sampling alone stays below) are nats;
    `wasserstein` is in the feature's own unit, `wasserstein_scaled` in standard deviations of
    the reference; `jensen_shannon` is a distance, 0 to 1. `p_value` is of the
    Kolmogorov-Smirnov or the chi-squared test; `p_adjusted` is the same as one question among
    those of all features of the look.
    """

    ks_d: float | None = None
    category_mass: float | None = None
    wasserstein: float | None = None
    wasserstein_scaled: float | None = None
    jensen_shannon: float | None = None
    psi: float | None = None
    psi_noise: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    direction: str | None = None


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
        shares += [min(1.0, one.value) for one in self.structural]
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
    looks = [
        _look(name, before, current, demands, strict, least)
        for name, before in reference.features.items()
    ]
    if reference.score is not None and SCORE in current.columns:
        found = _look(SCORE, reference.score, current, demands, strict, least)
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


def _look(
    name: str,
    before: Profile,
    window: TableProfile,
    demands: Monitoring,
    strict: Monitoring,
    least: int,
) -> FeatureDrift:
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
        structural_findings(before, current, strict, min_rows=least, tail=tail)
        if current.rows >= least
        else ()
    )
    why = _too_few(before, current, least)
    return dataclasses.replace(
        blank,
        n_current=current.known,
        null_rate_current=missing_share(current),
        measures=Measures() if why else _measure(before, current, demands),
        structural=findings,
        undecided=undecided_categories(before, current, strict),
        insufficient=why,
    )


def _too_few(before: Profile, current: Profile, least: int) -> str | None:
    if before.known < least:
        return f"the reference has {before.known} values, {least - before.known} more are needed"
    if current.known < least:
        return f"{least - current.known} more rows needed"
    return None


def _measure(before: Profile, current: Profile, demands: Monitoring) -> Measures:
    if isinstance(before, NumericProfile) and isinstance(current, NumericProfile):
        return _of_numbers(before, current, demands.false_discovery_rate)
    assert isinstance(before, CategoryProfile)
    assert isinstance(current, CategoryProfile)
    return _of_categories(before, current, demands.false_discovery_rate)


def _of_numbers(before: NumericProfile, current: NumericProfile, level: float) -> Measures:
    found = numeric_distance(before, current)
    # Of a column with two values D says it all; in deviations, a rare one looks large.
    two_valued = before.whole and max(before.cells.count.size, current.cells.count.size) <= 2
    bins = None if found.bins is None else found.bins.reference.size
    return Measures(
        ks_d=found.ks_d,
        wasserstein=found.wasserstein,
        wasserstein_scaled=None if two_valued else found.wasserstein_scaled,
        jensen_shannon=found.jensen_shannon,
        psi=found.psi,
        psi_noise=_psi_noise(bins, before, current, level),
        p_value=found.p_value,
        direction="up" if found.mean_change > 0.0 else "down",
    )


def _of_categories(before: CategoryProfile, current: CategoryProfile, level: float) -> Measures:
    found = category_distance(before, current)
    return Measures(
        category_mass=found.mass_moved,
        jensen_shannon=found.jensen_shannon,
        psi=found.psi,
        psi_noise=_psi_noise(found.categories, before, current, level),
        p_value=found.p_value,
    )


def _psi_noise(bins: int | None, before: Profile, current: Profile, level: float) -> float | None:
    """What sampling alone stays below; nothing at all where there is one single bin."""
    if bins is None or bins < 2:
        return None if bins is None else 0.0
    return psi_null(bins, before.known, current.known).quantile(1.0 - level)


def _adjusted(looks: Sequence[FeatureDrift], demands: Monitoring) -> list[FeatureDrift]:
    """Each p-value as one of as many questions as there were."""
    asked = [i for i, look in enumerate(looks) if look.measures.p_value is not None]
    if not asked:
        return list(looks)
    p_values = [looks[i].measures.p_value or 0.0 for i in asked]
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
    return dataclasses.replace(
        look,
        moved=_moved(look.measures, effects, demands),
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
