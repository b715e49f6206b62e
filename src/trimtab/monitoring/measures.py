"""How far a feature is from its reference: numbers, before anybody judges them."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.profiles.category import CategoryProfile
from trimtab.profiles.comparison import category_distance, numeric_distance
from trimtab.profiles.numeric import NumericProfile
from trimtab.profiles.table import Profile

_ENDS = 0.1  # of the level, for the test of the far ends


@dataclass(frozen=True)
class Measures:
    """How far a feature is from its reference; None where a number cannot be given.

    `ks_d`, `category_mass` (beyond what chance moves between categories) and null rates are
    shares, 0 to 1; `psi` and `psi_noise` (what sampling alone stays below) are nats;
    `wasserstein` is in the feature's own unit, `wasserstein_scaled` in standard deviations of
    the reference; `jensen_shannon` is a distance, 0 to 1. `p_value` is of the
    Kolmogorov-Smirnov or the chi-squared test, `tail_p_value` of the outermost rows;
    `p_adjusted` is their evidence as one question among those of all features of the look. The
    medians are in the feature's own unit.
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
    tail_p_value: float | None = None
    median_reference: float | None = None
    median_current: float | None = None
    nameless: bool = False
    """Whether one side had too many categories to keep their names: groups of them are compared,
    so that the mass is at least this, and none can be called new or gone."""

    @property
    def evidence(self) -> float | None:
        """The p-value of both tests together: of the gap, and of the far ends where a distance
        is so large that they may be why. The ends are given a tenth of the level."""
        if self.p_value is None or self.direction is None:
            return self.p_value
        ends = 1.0 if self.tail_p_value is None else self.tail_p_value
        return min(1.0, self.p_value / (1.0 - _ENDS), ends / _ENDS)


def measured_between(before: Profile, current: Profile, level: float, ends_from: float) -> Measures:
    """How far two profiles of one kind are from each other.

    Args:
        before: With a value at least.
        current: The same, of the same kind.
        level: What sampling alone may reach of the stability index with this chance is noise.
        ends_from: Scaled Wasserstein distance from which the far ends are tested, too.
    """
    if isinstance(before, NumericProfile) and isinstance(current, NumericProfile):
        return _of_numbers(before, current, level, ends_from)
    assert isinstance(before, CategoryProfile)
    assert isinstance(current, CategoryProfile)
    return _of_categories(before, current, level)


def _of_numbers(
    before: NumericProfile, current: NumericProfile, level: float, ends_from: float
) -> Measures:
    found = numeric_distance(before, current, ends_from=ends_from)
    # Of a column with two values D says it all; in deviations, a rare one looks large.
    two_valued = before.whole and max(before.cells.count.size, current.cells.count.size) <= 2
    return Measures(
        ks_d=found.ks_d,
        wasserstein=found.wasserstein,
        wasserstein_scaled=None if two_valued else found.wasserstein_scaled,
        jensen_shannon=found.jensen_shannon,
        psi=found.psi,
        psi_noise=None if found.psi_law is None else found.psi_law.quantile(1.0 - level),
        p_value=found.p_value,
        direction="up" if found.mean_change > 0.0 else "down",
        tail_p_value=found.tail_p_value,
        median_reference=before.quantile(0.5),
        median_current=current.quantile(0.5),
    )


def _of_categories(before: CategoryProfile, current: CategoryProfile, level: float) -> Measures:
    found = category_distance(before, current)
    return Measures(
        category_mass=found.mass_moved,
        nameless=not (before.named and current.named),
        jensen_shannon=found.jensen_shannon,
        psi=found.psi,
        psi_noise=0.0 if found.psi_law is None else found.psi_law.quantile(1.0 - level),
        p_value=found.p_value,
    )
