"""One pass over the rows of a window: the fleet, and every tenant with enough rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel.events import plain
from trimtab.kernel.verdict import Verdict
from trimtab.monitoring.columns import profiled_groups, tails
from trimtab.monitoring.drift import SCORE, FeatureDrift, Scope, judge, min_rows
from trimtab.monitoring.model import Drift
from trimtab.monitoring.performance import grouped
from trimtab.monitoring.reference import Reference, References
from trimtab.observations.frame import Frame
from trimtab.policies.operation import Monitoring
from trimtab.profiles.table import TableProfile, merged


@dataclass(frozen=True)
class Look:
    """What was found in the rows of the fleet, or of one tenant."""

    rows: int
    features: tuple[FeatureDrift, ...]
    drift: Drift


@dataclass(frozen=True)
class Survey:
    """What one window holds. `short` are the tenants with too few rows, and how many."""

    fleet: Look
    tenants: Mapping[str, Look] = field(default_factory=dict)
    short: Mapping[str, int] = field(default_factory=dict)


def survey(frame: Frame | None, references: References, demands: Monitoring) -> Survey:
    """Look at the input of a window: pure, and the expensive part, so done outside any
    transaction.

    Args:
        frame: The rows of the window; None when no prediction was made in it.
        references: What it is compared with.
        demands: The monitoring slice of the policy.
    """
    if frame is None or not len(frame):
        return Survey(without_rows(0))
    rows = frame.where(np.argsort(frame.at, kind="stable"))
    codes, tenants = grouped(rows.tenant)
    sizes = np.bincount(codes, minlength=len(tenants)).tolist()
    whole, parts = _counted(rows, codes, len(tenants), references.fleet)
    fleet = _look(whole, len(rows), references.fleet, demands, Scope.GLOBAL)
    found: dict[str, Look] = {}
    short: dict[str, int] = {}
    for code, tenant in enumerate(tenants):
        if tenant is None:
            continue
        if sizes[code] < min_rows(demands, Scope.TENANT):
            short[tenant] = sizes[code]
            continue
        reference, part = references.of(tenant), parts[code]
        if tenant in references.dedicated:  # counted like its own reference, not the fleet's
            part, _ = _counted(rows.where(codes == code), None, 1, reference)
        found[tenant] = _look(part, sizes[code], reference, demands, Scope.TENANT)
    return Survey(fleet, found, short)


def _counted(
    rows: Frame,
    codes: NDArray[np.int64] | None,
    groups: int,
    reference: Reference | None,
) -> tuple[TableProfile, list[TableProfile]]:
    """The profile of all rows, which is that of the groups merged, and those of the groups."""
    if reference is None:
        return TableProfile(len(rows), {}), [TableProfile(0, {})] * groups
    like, columns = dict(reference.features), dict(rows.features)
    if reference.score is not None:
        like[SCORE], columns[SCORE] = reference.score, rows.score
    if codes is None:
        codes = np.zeros(len(rows), dtype=np.int64)
    parts = profiled_groups(columns, codes, groups, like)
    return replace(merged(parts), tails=tails(columns)), parts


def without_rows(rows: int, needed: int = 0) -> Look:
    """A look that could not be: silence is not calm."""
    reason = f"{needed - rows} more rows needed" if rows else "no prediction was made"
    return Look(rows, (), Drift(Verdict.INCONCLUSIVE, reason, [], ""))


def _look(
    current: TableProfile,
    rows: int,
    reference: Reference | None,
    demands: Monitoring,
    scope: Scope,
) -> Look:
    if reference is None:
        why = "there is no reference data to compare with"
        return Look(rows, (), Drift(Verdict.INCONCLUSIVE, why, [], ""))
    features = judge(reference, current, demands, scope)
    verdict, reason = _verdict(features)
    drift = Drift(verdict, reason, [plain(one) for one in features], reference.digest)
    return Look(rows, features, drift)


def _verdict(features: Sequence[FeatureDrift]) -> tuple[Verdict, str]:
    alarming = [_said(one) for one in features if one.alarming]
    if alarming:
        return Verdict.FAIL, "; ".join(alarming)
    short = [f"{one.feature}: {one.insufficient}" for one in features if one.insufficient]
    if short or not features:
        return Verdict.INCONCLUSIVE, "; ".join(short) or "the reference has no features"
    return Verdict.PASS, f"{len(features)} columns are near their reference"


def _said(one: FeatureDrift) -> str:
    words = [finding.reason for finding in one.structural]
    if one.confirmed:
        names = ", ".join(vote.detector for vote in one.votes if vote.alarmed)
        words.insert(0, f"drift confirmed by {names}")
    return f"{one.feature}: {', '.join(words)}"
