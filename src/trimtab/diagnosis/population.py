"""Did the population move? Features that moved by themselves; groups that came or went."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from trimtab.diagnosis.evidence import Column, Stretch, counts, finite, numbers
from trimtab.diagnosis.feed import doubted
from trimtab.diagnosis.model import Cause, CauseType
from trimtab.diagnosis.outcomes import Harm
from trimtab.policies.operation import Effects, Monitoring
from trimtab.stats.categorical import new_categories, total_variation, vanished_categories
from trimtab.stats.univariate import (
    kolmogorov_smirnov,
    population_stability_index,
    quantile_edges,
    wasserstein_scaled,
)

_WITH_HARM = 0.5  # a group's coming or going beside harm is half as likely all there is
_UNKNOWN_HARM = 0.9
_SPREAD_FLOOR = 1e-12


@dataclass(frozen=True)
class Move:
    """How far a feature moved; `ratio` is in units of the smallest effect that matters,
    and the second largest of the statistics where there are several: two must agree."""

    feature: str
    ratio: float
    values: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """The statistics in words."""
        told = ", ".join(f"{name} {value:.3f}" for name, value in self.values.items())
        return f"{self.feature} moved ({told})"


@dataclass(frozen=True)
class GroupChange:
    """Groups of a text column that vanished or came, each with its share of the rows there."""

    feature: str
    vanished: Mapping[str, float]
    new: Mapping[str, float]
    confidence: float


def moves(base: Stretch, after: Stretch, effects: Effects, *, min_rows: int) -> list[Move]:
    """How far each feature that can be measured moved, farthest first."""
    found = []
    for feature, column in base.features.items():
        now = after.features[feature]
        move = (
            _numeric(feature, finite(column), finite(now), effects, min_rows)
            if numbers(column)
            else _categorical(feature, column, now, effects, min_rows)
        )
        if move is not None:
            found.append(move)
    return sorted(found, key=lambda move: -move.ratio)


def group_change(
    base: Stretch, after: Stretch, feature: str, watch: Monitoring
) -> GroupChange | None:
    """Which groups of the text column `feature` vanished or came; None if no more of the rows
    than is tolerated."""
    old, new = counts(base.features[feature]), counts(after.features[feature])
    if not old or not new:
        return None
    level = watch.false_discovery_rate
    total, total_now = sum(old.values()), sum(new.values())
    gone = {n: old[n] / total for n in vanished_categories(old, new, level=level)}
    come = {n: k / total_now for n, k in new_categories(old, new, level=level).items()}
    lost, won = sum(gone.values()), sum(come.values())
    witnesses = []
    if lost >= watch.min_vanished_category_mass:
        witnesses.append(lost / (lost + watch.min_vanished_category_mass))
    if won > watch.max_new_category_mass:
        witnesses.append(won / (won + watch.max_new_category_mass))
    return GroupChange(feature, gone, come, doubted(witnesses)) if witnesses else None


def came_and_went(change: GroupChange, harm: Harm | None) -> Cause:
    """That a group vanished, or a new one came; `harm` is that of the groups which stayed."""
    told = []
    if change.vanished:
        lost = sum(change.vanished.values())
        names = ", ".join(list(change.vanished)[:3])
        told.append(f"{names}, {lost:.1%} of the rows before, is not there any more")
    if change.new:
        won = sum(change.new.values())
        told.append(f"{', '.join(list(change.new)[:3])} is new, with {won:.1%} of the rows")
    speaks_for = list(told)
    against: list[str] = []
    confidence = change.confidence
    if harm is None:
        confidence *= _UNKNOWN_HARM
        against.append("whether the answers suffer is not known: too few outcomes")
    elif harm.harmed:
        confidence *= _WITH_HARM
        against.append("the answers of the rest became worse: " + "; ".join(harm.sentences))
    else:
        speaks_for.append("no harm to the rest is shown: " + "; ".join(harm.sentences))
    return Cause(
        CauseType.POPULATION_CHANGE,
        min(confidence, 0.97),
        f"groups of {change.feature} changed: {'; '.join(told)}",
        change.feature,
        None,
        tuple(speaks_for),
        tuple(against),
        {
            "vanished": dict(change.vanished),
            "new": dict(change.new),
            "harmed": None if harm is None else harm.harmed,
        },
    )


def relations(base: Stretch) -> dict[str, float]:
    """How much the score depends on each feature alone: the correlation ratio, 0 to 1.

    The standard deviation of the mean scores over bins of the feature (its categories, or
    tenths of its rows), over that of the score. Shape of the dependence does not matter.

    Source: Pearson (1905), eta.
    """
    use = np.isfinite(base.score)
    score = base.score[use]
    if score.size < 100 or float(score.std()) < _SPREAD_FLOOR:
        return {}
    found = {}
    for feature, column in base.features.items():
        codes = _codes(column[use])
        if codes is None:
            continue
        rows = np.bincount(codes)
        means = np.bincount(codes, score) / np.maximum(rows, 1)
        spread = float(np.sqrt((rows * (means - score.mean()) ** 2).sum() / rows.sum()))
        found[feature] = spread / float(score.std())
    return found


def shifted(found: Collection[Move], confirmed: Collection[str]) -> float:
    """Confidence that the population moved: features that moved vouch for one another."""
    return doubted(
        move.ratio / (1.0 + move.ratio)
        for move in found
        if move.ratio >= 1.0 or move.feature in confirmed
    )


def _numeric(
    feature: str, old: Column, new: Column, effects: Effects, min_rows: int
) -> Move | None:
    if min(old.size, new.size) < max(min_rows, 100) or old.min() == old.max():
        return None
    values = {
        "KS": kolmogorov_smirnov(old, new).statistic,
        "PSI": population_stability_index(old, new),
        "Wasserstein": wasserstein_scaled(old, new),
    }
    ratios = sorted(
        (
            values["KS"] / effects.ks_d,
            values["PSI"] / effects.psi_nats,
            values["Wasserstein"] / effects.wasserstein_scaled,
        )
    )
    return Move(feature, ratios[1], values)


def _categorical(
    feature: str, old: Column, new: Column, effects: Effects, min_rows: int
) -> Move | None:
    """Over the categories that both have: those that came or went are another finding. Only
    one statistic speaks here, so the limit counts on top of what calm halves differ by."""
    before, now = counts(old), counts(new)
    halves = counts(old[: old.size // 2]), counts(old[old.size // 2 :])
    calm = total_variation(*halves) if all(halves) else 0.0
    both = before.keys() & now.keys()
    before = {name: before[name] for name in both}
    now = {name: now[name] for name in both}
    if min(sum(before.values()), sum(now.values())) < min_rows:
        return None
    mass = total_variation(before, now)
    return Move(feature, mass / (effects.category_mass + calm), {"moved mass": mass})


def _codes(column: Column) -> Column | None:
    if not numbers(column):
        return np.unique(column.astype(np.str_), return_inverse=True)[1]
    known = finite(column)
    if known.size < 100 or known.min() == known.max():
        return None
    edges = quantile_edges(known, bins=10)
    return np.searchsorted(edges, np.nan_to_num(column, nan=np.inf, posinf=np.inf))
