"""A comparison of two tables as a document: what scripts, the interface and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trimtab.kernel.events import plain
from trimtab.monitoring.comparison import Comparison, Part, nearness, reasons
from trimtab.monitoring.drift import FeatureDrift, Scope
from trimtab.monitoring.structure import Finding
from trimtab.policies.operation import Monitoring


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
    """What is said of a feature that has changed."""
    structural = bool(look.structural) and not look.moved
    return {
        "name": look.feature,
        "drift_type": "structural" if structural else look.drift_type.value,
        "p_value": look.measures.p_value,
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
        "p_adjusted": m.p_adjusted,
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
    """The triggers of the tier beside what was found: `of_limit` of 1 and more is beyond one."""
    wanted = demands.triggers
    rise = look.null_rate_current - look.null_rate_reference
    known: Mapping[str, tuple[float | None, float]] = {
        "data_psi": (look.measures.psi, wanted.data_psi_nats),
        "null_rate_increase": (max(0.0, rise), wanted.null_rate_increase_share),
    }
    return [
        {"name": name, "value": value, "limit": limit, "of_limit": value / limit}
        for name, (value, limit) in known.items()
        if value is not None and limit > 0.0
    ]


def _part(part: Part, demands: Monitoring) -> dict[str, Any]:
    scope = Scope.GLOBAL if part.segment is None else Scope.TENANT
    return {
        "segment": part.segment,
        "begin": part.begin,
        "end": part.end,
        "rows": part.rows,
        "verdict": part.verdict.value,
        "reference_has_segment": part.reference_segment,
        "features": {look.feature: feature(look, demands, scope) for look in part.looks},
    }


def _items(look: FeatureDrift, finding: Finding) -> list[str]:
    return [item for one in look.structural if one.finding is finding for item in one.items]
