"""A comparison of two tables as a document: what scripts, the interface and reports read."""

from __future__ import annotations

from typing import Any

from trimtab.kernel.events import plain
from trimtab.monitoring.comparison import Comparison, Part, nearness, reasons
from trimtab.monitoring.drift import FeatureDrift, Scope
from trimtab.monitoring.structure import Finding
from trimtab.policies.operation import Monitoring
from trimtab.stats.intervals import difference_of_rates


def document(found: Comparison, demands: Monitoring) -> dict[str, Any]:
    """The comparison as JSON objects; numbers that could not be given are null."""
    return {
        "verdict": found.verdict.value,
        "reason": found.reason,
        "drift_detected": bool(found.affected),
        "drift_score": found.drift_score,
        "affected_features": [affected(look) for look in found.affected],
        "rows_reference": found.rows_reference,
        "rows_current": found.rows_current,
        "features": {look.feature: feature(look, demands, Scope.DATASET) for look in found.looks},
        "parts": [_part(part, demands) for part in found.parts],
        "problems": [plain(problem) for problem in found.problems],
        "skipped": dict(found.skipped),
        "new_columns": list(found.new_columns),
    }


def affected(look: FeatureDrift) -> dict[str, Any]:
    """What is said of a feature that has changed. A structural finding is a count of its own,
    and the p-value of the values says nothing of it."""
    structural = bool(look.structural) and not look.moved
    return {
        "name": look.feature,
        "drift_type": "structural" if structural else look.drift_type.value,
        "p_value": None if structural else look.measures.evidence,
        "magnitude": look.magnitude,
    }


def feature(look: FeatureDrift, demands: Monitoring, scope: Scope) -> dict[str, Any]:
    """Everything that is known of one feature: three answers, and the evidence for each."""
    m = look.measures
    numeric = look.kind.value == "numeric"
    return {
        "kind": look.kind.value,
        "verdict": look.verdict.value,
        "reason": reasons(look, demands, scope),
        "moved": look.moved,
        "severity": None if look.severity is None else look.severity.value,
        "confirmed": look.confirmed,
        "votes_cast": look.votes_cast,
        "magnitude": look.magnitude,
        "nearness": nearness(look, demands, scope),
        "psi": m.psi,
        "psi_noise": m.psi_noise,
        "ks_d": m.ks_d,
        "ks_p": m.p_value if numeric else None,
        "w1": m.wasserstein,
        "w1_scaled": m.wasserstein_scaled,
        "js": m.jensen_shannon,
        "category_mass": m.category_mass,
        "p_value": m.p_value,
        "tail_p": m.tail_p_value,
        "p_adjusted": m.p_adjusted,
        "median_reference": m.median_reference,
        "median_current": m.median_current,
        "direction": m.direction,
        "null_rate_reference": look.null_rate_reference,
        "null_rate_current": look.null_rate_current,
        "new_categories": _items(look, Finding.NEW_CATEGORY),
        "vanished_categories": _items(look, Finding.VANISHED_CATEGORY),
        "n_reference": look.n_reference,
        "n_current": look.n_current,
        "structural": [plain(one) for one in look.structural],
        "votes": [plain(vote) for vote in look.votes],
        "triggers": triggers(look, demands),
    }


def triggers(look: FeatureDrift, demands: Monitoring) -> list[dict[str, Any]]:
    """The triggers of the tier beside what was found: how near each is, and whether it fires.

    One fires from an `of_limit` of 1 on, and only beyond `noise`, what sampling alone may reach.
    """
    wanted = demands.triggers
    rise = look.null_rate_current - look.null_rate_reference
    found = (
        ("data_psi", look.measures.psi, wanted.data_psi_nats, look.measures.psi_noise),
        (
            "null_rate_increase",
            max(0.0, rise),
            wanted.null_rate_increase_share,
            _null_noise(look, demands),
        ),
    )
    return [
        {
            "name": name,
            "value": value,
            "limit": limit,
            "of_limit": value / limit,
            "noise": noise,
            "fires": value >= limit and noise is not None and value > noise,
        }
        for name, value, limit, noise in found
        if value is not None and limit > 0.0
    ]


def _null_noise(look: FeatureDrift, demands: Monitoring) -> float | None:
    """The increase of the share of nulls that sampling alone stays below."""
    if not look.rows or not look.n_reference:
        return None
    before = round(look.n_reference / (1.0 - look.null_rate_reference))
    rise = difference_of_rates(
        look.rows - look.n_current,
        look.rows,
        before - look.n_reference,
        before,
        confidence=1.0 - demands.false_discovery_rate,
    )
    return rise.estimate - rise.low


def _part(part: Part, demands: Monitoring) -> dict[str, Any]:
    return {
        "segment": part.segment,
        "begin": part.begin,
        "end": part.end,
        "rows": part.rows,
        "verdict": part.verdict.value,
        "reference_has_segment": part.reference_segment,
        "features": {look.feature: feature(look, demands, part.scope) for look in part.looks},
    }


def _items(look: FeatureDrift, finding: Finding) -> list[str]:
    return [item for one in look.structural if one.finding is finding for item in one.items]
