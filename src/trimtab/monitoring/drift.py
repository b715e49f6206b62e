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

import numpy as np

from trimtab.kernel.errors import InvalidInput, TooFewValues
from trimtab.monitoring.columns import (
    Categories,
    Column,
    FeatureKind,
    Measured,
    Numbers,
    measured,
    missing_share,
)
from trimtab.monitoring.reference import Baseline, CategoryBaseline, NumericBaseline, Reference
from trimtab.monitoring.structure import (
    Finding,
    Structural,
    structural_findings,
    undecided_categories,
    unreadable,
)
from trimtab.policies.operation import Detector, Effects, Monitoring
from trimtab.stats.categorical import categorical_psi, chi_squared, total_variation
from trimtab.stats.multiplicity import benjamini_hochberg
from trimtab.stats.univariate import (
    bin_counts,
    kolmogorov_smirnov,
    psi_from_counts,
    psi_noise,
    wasserstein,
)

SCORE = "score"
"""Name under which the model's answers are looked at, beside its inputs."""


class Scope(StrEnum):
    """Whose rows: small windows are noisier and have effects of their own."""

    GLOBAL = "global"
    TENANT = "tenant"


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

    `ks_d`, `category_mass` and null rates are shares, 0 to 1; `psi` and `psi_noise` (what
    sampling alone stays below) are nats; `wasserstein_scaled` is in standard deviations of the
    reference. `p_value` is of the Kolmogorov-Smirnov or the chi-squared test; `p_adjusted` is
    the same as one question among those of all features of the look.
    """

    ks_d: float | None = None
    category_mass: float | None = None
    wasserstein_scaled: float | None = None
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
    least = min_rows(demands, scope)
    looks = [
        _look(name, baseline, columns.get(name), demands, least)
        for name, baseline in reference.features.items()
    ]
    if score is not None and reference.score is not None:
        found = _look(SCORE, reference.score, score, demands, least)
        looks.append(dataclasses.replace(found, drift_type=DriftType.PREDICTION))
    effects = demands.effects_global if scope is Scope.GLOBAL else demands.effects_tenant
    return tuple(_judged(look, effects, demands) for look in _adjusted(looks, demands))


def min_rows(demands: Monitoring, scope: Scope) -> int:
    """The fewest rows that are judged."""
    return demands.min_rows_global if scope is Scope.GLOBAL else demands.min_rows_tenant


def _look(
    name: str, baseline: Baseline, column: Column | None, demands: Monitoring, least: int
) -> FeatureDrift:
    """Measure one feature; nothing is judged yet."""
    kind = FeatureKind.NUMERIC if isinstance(baseline, NumericBaseline) else FeatureKind.CATEGORY
    before = baseline.numbers if isinstance(baseline, NumericBaseline) else baseline.categories
    blank = FeatureDrift(
        feature=name,
        kind=kind,
        drift_type=DriftType.DATA,
        rows=0 if column is None else len(column),
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
    if column is None:
        broken = unreadable(Finding.MISSING_COLUMN, "the feature did not come")
        return dataclasses.replace(blank, structural=(broken,))
    try:
        current = measured(column, kind)
    except InvalidInput as error:
        broken = unreadable(Finding.TYPE_CHANGED, error.message)
        return dataclasses.replace(blank, structural=(broken,))
    why = _too_few(before, current, least)
    rows = current.known + current.missing
    findings = (
        structural_findings(baseline, current, demands, min_rows=least) if rows >= least else ()
    )
    return dataclasses.replace(
        blank,
        n_current=current.known,
        null_rate_current=missing_share(current),
        measures=Measures() if why else _measure(baseline, current, demands),
        structural=findings,
        undecided=undecided_categories(baseline, current, demands),
        insufficient=why,
    )


def _too_few(before: Measured, current: Measured, least: int) -> str | None:
    if before.known < least:
        return f"the reference has {before.known} values, {least - before.known} more are needed"
    if current.known < least:
        return f"{least - current.known} more rows needed"
    return None


def _measure(baseline: Baseline, current: Measured, demands: Monitoring) -> Measures:
    if isinstance(baseline, NumericBaseline) and isinstance(current, Numbers):
        return _of_numbers(baseline, current, demands.false_discovery_rate)
    assert isinstance(baseline, CategoryBaseline)
    assert isinstance(current, Categories)
    return _of_categories(baseline, current, demands.false_discovery_rate)


def _of_numbers(baseline: NumericBaseline, current: Numbers, level: float) -> Measures:
    before, now = baseline.numbers.values, current.values
    ks = kolmogorov_smirnov(before, now)
    psi = noise = None
    if baseline.edges is not None and baseline.counts is not None:
        psi = psi_from_counts(baseline.counts, bin_counts(now, baseline.edges))
        noise = psi_noise(baseline.counts.size, before.size, now.size, level=level)
    unit = baseline.spread
    return Measures(
        ks_d=ks.statistic,
        wasserstein_scaled=None if unit is None else wasserstein(before, now) / unit,
        psi=psi,
        psi_noise=noise,
        p_value=ks.p_value,
        direction="up" if np.mean(now) > np.mean(before) else "down",
    )


def _of_categories(baseline: CategoryBaseline, current: Categories, level: float) -> Measures:
    before, now = baseline.categories.counts, current.counts
    names = {**before, **now}
    if len(names) == 1:  # one category before and after: the shares are the same, exactly
        return Measures(category_mass=0.0, psi=0.0, psi_noise=0.0, p_value=1.0)
    try:
        p_value = chi_squared(before, now).p_value
    except TooFewValues:
        p_value = None
    return Measures(
        category_mass=total_variation(before, now),
        psi=categorical_psi(before, now),
        psi_noise=psi_noise(len(names), baseline.categories.known, current.known, level=level),
        p_value=p_value,
    )


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
        severity=_severity(look.measures.psi, demands),
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


def _severity(psi: float | None, demands: Monitoring) -> Severity | None:
    bands = demands.psi_bands
    if psi is None:
        return None
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
