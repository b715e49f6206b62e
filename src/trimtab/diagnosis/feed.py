"""Faults of a feed: another unit, nulls, a frozen column, renamed categories, repeated rows.

Confidence is not a probability that was fitted. Each witness has a weight, which is how far
it goes alone; witnesses that agree add up as independent ones do (1 - product of doubts), and
what speaks against divides. How often the first cause is right at which confidence is measured
in docs/reference/diagnosis.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import numpy as np

from trimtab.diagnosis.evidence import Column, Stretch, counts, finite, missing, numbers
from trimtab.diagnosis.model import Cause, CauseType
from trimtab.diagnosis.rescaled import Rescaled, rescaled
from trimtab.diagnosis.units import named, named_shift
from trimtab.policies.operation import Monitoring, UnitChange
from trimtab.stats.univariate import kolmogorov_smirnov, quantile_edges

# How far each witness of a unit change goes alone.
_SHAPE, _VALUES, _OUTCOME, _GROUPS, _UNIT = 0.75, 0.8, 0.4, 0.3, 0.2
# What divides: each other feature that moved without such an explanation, by 1 + the first; a
# witness that says the opposite, by 1 + the second.
_OTHERS_MOVED, _CONTRADICTED = 0.5, 1.0
_GROUP_SPREAD = 0.1  # groups whose factors differ by less than this, as a log, agree
_VISIBLE = 0.1  # a weaker sign of a frozen, renamed or repeated feed is not listed at all
_DEAD = 0.97  # a column with one value left, or one that nobody fills any more


def doubted(witnesses: Iterable[float]) -> float:
    """Confidence of independent witnesses together."""
    return 1.0 - math.prod(1.0 - strength for strength in witnesses)


def unit_change(
    base: Stretch,
    after: Stretch,
    feature: str,
    *,
    moved_too: Collection[str],
    demands: UnitChange,
) -> Cause | None:
    """That `feature` arrives in another unit, or None if no factor explains it.

    `moved_too` are other features that moved and that no factor explains.

    Raises:
        TooFewValues: fewer than 50 values on a side, or a constant side.
    """
    old, new = finite(base.features[feature]), finite(after.features[feature])
    if min(old.size, new.size) < demands.min_rows or _constant(old) or _constant(new):
        return None
    shifted = _affine(old, new, feature, demands)
    if shifted is not None:
        return shifted
    found = rescaled(old, new)
    if found is None or not explains(found, demands):
        return None
    return _judged(base, after, feature, found, moved_too)


def null_spike(base: Stretch, after: Stretch, feature: str, watch: Monitoring) -> Cause | None:
    """That values of `feature` are missing more often than before."""
    old = float(missing(base.features[feature]).mean())
    new = float(missing(after.features[feature]).mean())
    rise = new - old
    if rise <= watch.max_null_rate_increase_share:
        return None
    alone = rise / (rise + watch.max_null_rate_increase_share)
    return Cause(
        CauseType.DATA_QUALITY_FAULT,
        _DEAD if new == 1.0 else min(alone, _DEAD),
        f"{new:.1%} of {feature} is missing, before it was {old:.1%}",
        feature,
        "null_spike",
        (
            f"the share of missing values rose by {100 * rise:.2f} percentage points; "
            f"{100 * watch.max_null_rate_increase_share:.2f} are tolerated",
        ),
        values={"null_rate_before": old, "null_rate_after": new},
    )


def frozen(base: Stretch, after: Stretch, feature: str) -> Cause | None:
    """That `feature` stands still: one value fills what several did."""
    old_top, old_distinct, _ = _top(base.features[feature])
    new_top, new_distinct, value = _top(after.features[feature])
    if old_distinct < 2 or new_distinct == 0:
        return None
    constant = new_distinct == 1
    jump = new_top - old_top
    # A category with few values may well be down to one because the others went.
    if not constant and (jump <= 0.0 or not numbers(base.features[feature])):
        return None
    confidence = _DEAD if constant else jump
    if confidence < _VISIBLE:
        return None
    return Cause(
        CauseType.DATA_QUALITY_FAULT,
        min(confidence, _DEAD),
        f"{feature} stands still at {value}" if constant else f"{feature} mostly says {value}",
        feature,
        "frozen",
        (
            f"{new_top:.1%} of the rows hold one value, before the most frequent held "
            f"{old_top:.1%} of {old_distinct} different ones",
        ),
        values={"top_share_before": old_top, "top_share_after": new_top},
    )


def renamed_categories(base: Stretch, after: Stretch, feature: str) -> Cause | None:
    """That `feature` arrives in other codes: unknown ones come while known ones go."""
    old, new = counts(base.features[feature]), counts(after.features[feature])
    if not old or not new:
        return None
    fresh = sum(n for name, n in new.items() if name not in old) / sum(new.values())
    gone = sum(n for name, n in old.items() if name not in new) / sum(old.values())
    flood = max(fresh * gone, fresh * fresh)
    if flood < _VISIBLE:
        return None
    examples = ", ".join(sorted(name for name in new if name not in old)[:3])
    return Cause(
        CauseType.DATA_QUALITY_FAULT,
        min(math.sqrt(flood), _DEAD),
        f"{fresh:.0%} of {feature} are categories that were never seen before",
        feature,
        "category_flood",
        (
            f"{fresh:.1%} of the rows name an unknown category ({examples}), while those that "
            f"held {gone:.1%} are gone: codes that were renamed look like this",
        ),
        values={"new_share": fresh, "gone_share": gone},
    )


def repeated_rows(base: Stretch, after: Stretch) -> Cause | None:
    """That rows are sent again: copies that lie at one and the same distance.

    Equal rows alone say nothing, since a small population repeats itself. A feed that
    sends rows or batches twice repeats them at a fixed distance.
    """
    old, _ = _echo(base)
    new, distance = _echo(after)
    rise = new - old
    if rise < _VISIBLE:
        return None
    return Cause(
        CauseType.DATA_QUALITY_FAULT,
        min(2.0 * rise, _DEAD),  # where every row comes twice, half of them are copies
        f"{new:.0%} of the rows are copies of the row {distance} before them",
        None,
        "repeated_rows",
        (f"before, {old:.1%} lay at one distance from their copy",),
        values={"copies_before": old, "copies_after": new, "distance_rows": distance},
    )


def _affine(old: Column, new: Column, feature: str, demands: UnitChange) -> Cause | None:
    """A unit with another zero; only a known pair, since shift and scale fit many columns."""
    found = rescaled(old, new, affine=True)
    if found is None or found.ks_undone > demands.max_residual_ks_d + found.ks_calm:
        return None
    units = named_shift(found.factor, found.offset)
    if units is None or found.shape_explained < demands.min_explained_share:
        return None
    return Cause(
        CauseType.DATA_QUALITY_FAULT,
        doubted([_SHAPE * found.shape_explained, _UNIT]),
        f"{feature} arrives in {units[1]}, not in {units[0]}",
        feature,
        "unit_change",
        (
            f"x {found.factor:.4g} + {found.offset:.4g} is the step from {units[0]} to {units[1]}",
            _shape_sentence(found),
        ),
        values={
            "factor": found.factor,
            "offset": found.offset,
            "unit_before": units[0],
            "unit_after": units[1],
        },
    )


def explains(found: Rescaled, demands: UnitChange) -> bool:
    """Whether the factor is large enough and undoing it leaves little.

    Values that repeat have the last word: where they do, they have to meet again.
    """
    if max(found.factor, 1.0 / found.factor) < demands.min_factor_ratio:
        return False
    tolerated = demands.max_residual_ks_d + found.ks_calm
    if found.ks_undone > tolerated:
        return False
    by_values = found.values_explained
    explained = found.shape_explained if by_values is None else by_values
    return explained >= demands.min_explained_share


def _judged(
    base: Stretch, after: Stretch, feature: str, found: Rescaled, moved_too: Collection[str]
) -> Cause:
    speaks_for = [_shape_sentence(found)]
    against: list[str] = []
    witnesses = [_SHAPE * found.shape_explained]
    if found.values_explained is not None:
        witnesses.append(_VALUES * found.values_explained)
        speaks_for.append(
            f"undone, single values meet those of before: their distance falls from "
            f"{found.values_raw:.2f} to {found.values_undone:.2f}"
        )
    units = named(found.factor, found.low, found.high)
    if units is not None:
        witnesses.append(_UNIT)
        speaks_for.append(f"x{found.factor:.4g} is the step from {units[0]} to {units[1]}")
    else:
        against.append(f"x{found.factor:.4g} is no step between units that we know")
    contradicted = 0
    for witness in (_outcome(base, after, feature, found), _groups(base, after, feature, found)):
        if witness is not None:
            strength, words = witness
            witnesses.append(max(strength, 0.0))
            (speaks_for if strength > 0.0 else against).append(words)
            contradicted += strength < 0.0
    _abruptness(after, feature, found, speaks_for, against)
    confidence = doubted(witnesses) / (1.0 + _CONTRADICTED * contradicted)
    if moved_too:
        confidence /= 1.0 + _OTHERS_MOVED * len(moved_too)
        against.append(f"other features moved as well: {', '.join(sorted(moved_too))}")
    else:
        speaks_for.append("no other feature moved")
    step = f"in {units[1]}, not in {units[0]}" if units else "on another scale"
    return Cause(
        CauseType.DATA_QUALITY_FAULT,
        min(confidence, 0.99),
        f"{feature} arrives {step}: x{found.factor:.4g}",
        feature,
        "unit_change",
        tuple(speaks_for),
        tuple(against),
        {
            "factor": found.factor,
            "factor_low": found.low,
            "factor_high": found.high,
            "unit_before": units[0] if units else None,
            "unit_after": units[1] if units else None,
            "ks_raw": found.ks_raw,
            "ks_undone": found.ks_undone,
            "ks_calm": found.ks_calm,
            "values_explained": found.values_explained,
        },
    )


def _shape_sentence(found: Rescaled) -> str:
    return (
        f"dividing by {found.factor:.4g} brings the distance to the calm rows from "
        f"{found.ks_raw:.3f} to {found.ks_undone:.3f} (KS); calm halves differ by "
        f"{found.ks_calm:.3f}"
    )


def _outcome(
    base: Stretch, after: Stretch, feature: str, found: Rescaled
) -> tuple[float, str] | None:
    """Does a value mean the same outcome as before, once the factor is undone? Strength and
    words; below 0 it speaks against."""
    known_before, known_now = base.label >= 0, after.label >= 0
    x, y = base.features[feature][known_before], base.label[known_before]
    now, outcome = after.features[feature][known_now], after.label[known_now]
    use, used = np.isfinite(x), np.isfinite(now)
    x, y, now, outcome = x[use], y[use], now[used], outcome[used]
    if min(x.size, now.size) < 100:
        return None
    edges = quantile_edges(x, bins=10)
    raw = _outcome_gap(x, y, now, outcome, edges)
    undone = _outcome_gap(x, y, now / found.factor, outcome, edges)
    calm = _outcome_gap(
        x[: x.size // 2], y[: x.size // 2], x[x.size // 2 :], y[x.size // 2 :], edges
    )
    if raw <= 2 * calm:
        return None  # the outcome hardly depends on this feature: nothing to see either way
    restored = float(np.clip((raw - undone) / raw, -1.0, 1.0))
    words = (
        f"the rate of positive outcomes at a given value is off by {raw:.3f} on average as "
        f"received and by {undone:.3f} once undone"
    )
    return _OUTCOME * restored, words


def _outcome_gap(x: Column, y: Column, now: Column, outcome: Column, edges: Column) -> float:
    bins = edges.size + 1
    place, placed = np.searchsorted(edges, x), np.searchsorted(edges, now)
    rate = np.bincount(place, y, minlength=bins) / np.maximum(np.bincount(place, minlength=bins), 1)
    rows = np.bincount(placed, minlength=bins)
    rate_now = np.bincount(placed, outcome, minlength=bins) / np.maximum(rows, 1)
    return float((np.abs(rate - rate_now) * rows).sum() / rows.sum())


def _groups(
    base: Stretch, after: Stretch, feature: str, found: Rescaled
) -> tuple[float, str] | None:
    """Does each group alone show the same factor? A mix of groups that changed does not.
    Strength and words; below 0 where the groups are nearer to no change than to the factor,
    unless single values meet, which no change of the mix can bring about."""
    text = next((n for n, c in base.features.items() if not numbers(c)), None)
    if text is None:
        return None
    logs = []
    for group in counts(base.features[text]):
        old = finite(base.features[feature][base.features[text] == group])
        new = finite(after.features[feature][after.features[text] == group])
        if min(old.size, new.size) < 50:
            continue
        wide = np.diff(np.quantile(old, [0.25, 0.75])), np.diff(np.quantile(new, [0.25, 0.75]))
        if min(wide) > 0.0:
            logs.append(math.log(float(wide[1][0] / wide[0][0])))
    if len(logs) < 2:
        return None
    off = float(np.median(np.abs(np.asarray(logs) - math.log(found.factor))))
    apart = off > 0.5 * abs(math.log(found.factor))
    apart &= found.values_explained is None
    strength = -_GROUPS if apart else _GROUPS * (off <= _GROUP_SPREAD)
    words = (
        f"each of {len(logs)} groups of {text} alone is x{math.exp(min(logs)):.3g} to "
        f"x{math.exp(max(logs)):.3g} as wide"
    )
    return strength, words


def _abruptness(
    after: Stretch,
    feature: str,
    found: Rescaled,
    speaks_for: list[str],
    against: list[str],
) -> None:
    """Did it come at once? Then both halves of the alarmed rows look alike."""
    new = finite(after.features[feature])
    half = new.size // 2
    within = kolmogorov_smirnov(new[:half], new[half:]).statistic
    if within <= max(found.ks_calm, 0.5 * found.ks_raw):
        speaks_for.append(
            f"it came at once: both halves of the alarmed rows differ by {within:.3f}"
        )
    else:
        against.append(f"it came bit by bit: the alarmed rows' halves differ by {within:.3f}")


def _constant(column: Column) -> bool:
    return bool(column.size == 0 or column.min() == column.max())


def _top(column: Column) -> tuple[float, int, object]:
    """Share of the most frequent value, how many values there are, and which it is."""
    present = column[~missing(column)]
    if present.size == 0:
        return 0.0, 0, None
    kept = present if numbers(column) else present.astype(np.str_)
    values, rows = np.unique(kept, return_counts=True)
    best = int(np.argmax(rows))
    return float(rows[best] / present.size), int(values.size), values[best].item()


def _echo(stretch: Stretch) -> tuple[float, int]:
    """The most common distance between a row and the copy before it, and the share of rows
    that have one there. Rows without any value are not copies of each other."""
    empty = np.logical_and.reduce([missing(column) for column in stretch.features.values()])
    codes = stretch.row_codes()[~empty]
    order = np.argsort(codes, kind="stable")
    copies = codes[order][1:] == codes[order][:-1]
    distances = np.diff(order)[copies]
    if distances.size == 0:
        return 0.0, 0
    counted = np.bincount(distances)
    best = int(np.argmax(counted))
    return float(counted[best] / len(stretch)), best
