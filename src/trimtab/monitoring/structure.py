"""Findings that need no quorum: something is broken or new, and a count shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trimtab.monitoring.columns import missing_share
from trimtab.policies.operation import Monitoring
from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile, Tail
from trimtab.stats.categorical import Counts, new_categories, vanished_categories
from trimtab.stats.intervals import difference_of_rates, wilson
from trimtab.stats.special import normal_quantile

_NAME_LENGTH = 80
_NAMES_SHOWN = 10
_NAMES_TOLD = 3


class Finding(StrEnum):
    """What is structurally wrong with a column."""

    MISSING_COLUMN = "missing_column"
    """The feature did not come at all."""
    TYPE_CHANGED = "type_changed"
    """Text where numbers are expected."""
    NULL_RATE = "null_rate"
    """More rows lack it than the reference leads to expect."""
    NEW_CATEGORY = "new_category"
    """Categories that the reference never had carry real mass."""
    VANISHED_CATEGORY = "vanished_category"
    """A category of the reference is gone, and chance cannot explain it."""
    CONSTANT = "constant"
    """Every row has the same value, and chance cannot explain it."""
    FROZEN = "frozen"
    """From some moment on every row has the same value, and chance cannot explain it."""


SCHEMA = frozenset({Finding.MISSING_COLUMN, Finding.TYPE_CHANGED})
"""Findings that one window proves: there is no noise in them."""


@dataclass(frozen=True)
class Structural:
    """One finding. `value` and `limit` are shares of rows, 0 to 1, except for `frozen`, where
    they are rows. `items` are the categories it names."""

    finding: Finding
    value: float
    limit: float
    items: tuple[str, ...]
    reason: str

    def share_of(self, rows: int) -> float:
        """The share of so many rows that it is about, 0 to 1."""
        value = self.value / rows if self.finding is Finding.FROZEN and rows else self.value
        return min(1.0, value)


def structural_findings(
    baseline: Profile,
    current: Profile,
    demands: Monitoring,
    *,
    min_rows: int,
    tail: Tail | None = None,
) -> tuple[Structural, ...]:
    """All that is structurally wrong with a column that came in its own kind.

    `demands.false_discovery_rate` bounds the chance that noise makes a finding; the
    tolerances say how large a real one must be. `tail` says how the column ends, where the
    order of its rows is known.
    """
    found = [_null_rate(baseline, current, demands)]
    if isinstance(baseline, CategoryProfile) and isinstance(current, CategoryProfile):
        named = baseline.named and current.named
        found += _categories(baseline, current, demands) if current.known and named else []
    elif isinstance(baseline, NumericProfile) and isinstance(current, NumericProfile):
        stuck = _constant(baseline, current, demands) if current.known else None
        found.append(stuck or _frozen(baseline, tail, demands, min_rows))
    return tuple(one for one in found if one is not None)


def undecided_categories(
    baseline: Profile, current: Profile, demands: Monitoring
) -> tuple[str, ...]:
    """Categories that did not come, where chance may be why: neither gone nor there."""
    if not isinstance(baseline, CategoryProfile) or not isinstance(current, CategoryProfile):
        return ()
    if not (baseline.named and current.named):
        return ()
    expected = _expected(baseline, demands)
    gone = _vanished(expected, baseline.counts, current, demands)
    return tuple(n for n in expected if not current.counts.get(n) and n not in gone)


def unreadable(finding: Finding, reason: str) -> Structural:
    """A column that did not come, or not in its kind."""
    return Structural(finding, value=1.0, limit=0.0, items=(), reason=reason)


def _null_rate(before: Profile, current: Profile, demands: Monitoring) -> Structural | None:
    n_before, n_now = before.rows, current.rows
    if not n_before or not n_now:
        return None
    limit = demands.max_null_rate_increase_share
    rise = difference_of_rates(
        current.missing,
        n_now,
        before.missing,
        n_before,
        confidence=1.0 - demands.false_discovery_rate,
    )
    if rise.low <= limit:
        return None
    return Structural(
        Finding.NULL_RATE,
        value=rise.estimate,
        limit=limit,
        items=(),
        reason=f"{missing_share(current):.1%} of the rows lack a value, "
        f"{missing_share(before):.1%} did in the reference",
    )


def _categories(
    baseline: CategoryProfile, current: CategoryProfile, demands: Monitoring
) -> list[Structural | None]:
    before = baseline.counts
    if not before:
        return []
    expected = _expected(baseline, demands)
    found: list[Structural | None] = [_new(baseline, current, demands)]
    for name in _vanished(expected, before, current, demands):
        shown = name[:_NAME_LENGTH]
        found.append(
            Structural(
                Finding.VANISHED_CATEGORY,
                value=expected[name],
                limit=demands.min_vanished_category_mass,
                items=(shown,),
                reason=f"{shown} was {expected[name]:.1%} of the reference and is in none of "
                f"{current.known:,} rows",
            )
        )
    return found


def _new(
    before: CategoryProfile, current: CategoryProfile, demands: Monitoring
) -> Structural | None:
    """Unseen categories together, beyond the mass that is to be expected: about the share of
    the reference's rows that stand alone in their category (Good, 1953). Both shares are of
    samples: the mass has to be beyond what that makes of it, too (Esty, 1983)."""
    unseen = {n: c for n, c in current.counts.items() if n not in before.counts}
    mass = sum(unseen.values()) / current.known
    once = sum(1 for count in before.counts.values() if count == 1)
    limit = demands.max_new_category_mass + once / before.known
    pooled = {"seen": current.known - sum(unseen.values()), "unseen": sum(unseen.values())}
    level = demands.false_discovery_rate
    if mass <= limit or not new_categories({"seen": before.known}, pooled, level=level):
        return None
    twice = sum(1 for count in before.counts.values() if count == 2)
    now = wilson(pooled["unseen"], current.known, confidence=1.0 - level)
    then = wilson(once, before.known, confidence=1.0 - level)
    paired = normal_quantile(1.0 - level / 2.0) * math.sqrt(2.0 * twice) / before.known
    if mass - then.estimate <= math.hypot(mass - now.low, then.high - then.estimate, paired):
        return None
    names = sorted(unseen, key=lambda n: (-unseen[n], n))
    return Structural(
        Finding.NEW_CATEGORY,
        value=mass,
        limit=limit,
        items=tuple(name[:_NAME_LENGTH] for name in names[:_NAMES_SHOWN]),
        reason=f"{mass:.1%} of the rows are in {_categories_of(names)} never seen before",
    )


def _categories_of(names: Sequence[str]) -> str:
    """How many, and the largest of them."""
    count = "1 category" if len(names) == 1 else f"{len(names):,} categories"
    some = ", ".join(name[:_NAME_LENGTH] for name in names[:_NAMES_TOLD])
    return f"{count} ({some}{', ...' if len(names) > _NAMES_TOLD else ''})"


def _expected(baseline: CategoryProfile, demands: Monitoring) -> dict[str, float]:
    """Categories whose absence would be a finding, with their share of the reference."""
    known, least = baseline.known, demands.min_vanished_category_mass
    return {n: count / known for n, count in baseline.counts.items() if count / known >= least}


def _vanished(
    expected: dict[str, float], before: Counts, current: CategoryProfile, demands: Monitoring
) -> list[str]:
    if not expected or not current.known:
        return []
    level = demands.false_discovery_rate
    return [n for n in vanished_categories(before, current.counts, level=level) if n in expected]


def _constant(
    baseline: NumericProfile, current: NumericProfile, demands: Monitoring
) -> Structural | None:
    if current.low is None or not current.constant:
        return None
    if _by_chance(baseline, current.low, current.known, demands):
        return None
    return Structural(
        Finding.CONSTANT,
        value=1.0,
        limit=_share_near(baseline, current.low),
        items=(),
        reason=f"all {current.known:,} rows have the value {current.low:g}",
    )


def _frozen(
    baseline: NumericProfile, tail: Tail | None, demands: Monitoring, min_rows: int
) -> Structural | None:
    """The last rows are all alike: enough of them to be judged as a window of their own, so
    that values that come sorted or in batches do not look stuck."""
    if tail is None or tail.run < min_rows:
        return None
    if _by_chance(baseline, tail.value, tail.run, demands):
        return None
    return Structural(
        Finding.FROZEN,
        value=float(tail.run),
        limit=float(min_rows),
        items=(),
        reason=f"the last {tail.run:,} rows all have the value {tail.value:g}",
    )


def _by_chance(baseline: NumericProfile, value: float, run: int, demands: Monitoring) -> bool:
    """Whether `run` rows with one value may be alike by chance: p^run, p being at most the
    share of the reference in the value's cell."""
    if baseline.constant and baseline.low == value:
        return True
    share = _share_near(baseline, value)
    return run * math.log(share) > math.log(demands.false_discovery_rate)


def _share_near(baseline: NumericProfile, value: float) -> float:
    """Share of the reference in the cell of a value, half a row added."""
    return (baseline.rows_near(value) + 0.5) / (baseline.known + 1.0)
