"""When nobody has to be asked: every criterion, with its value and its threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.kernel.verdict import Verdict
from trimtab.policies.admission import AutoApproval


@dataclass(frozen=True)
class Facts:
    """What automatic approval is judged by. What is not known is None, and never helps."""

    checks: Mapping[str, Verdict]
    required_checks: tuple[str, ...]
    first_of_model: bool
    percent: float
    metric_change_percent: float | None
    gain_percent_points: float | None
    retrained: bool


def criteria(facts: Facts, demands: AutoApproval) -> tuple[dict[str, Any], ...]:
    """Each criterion as {name, value, threshold, met}."""
    found = [
        _criterion("automatic_approval_allowed", demands.allowed, True, demands.allowed),
        *(
            _criterion(
                f"check_{name}",
                facts.checks.get(name, Verdict.INCONCLUSIVE).value,
                Verdict.PASS.value,
                facts.checks.get(name) is Verdict.PASS,
            )
            for name in facts.required_checks
        ),
        _criterion(
            "traffic_percent",
            facts.percent,
            demands.max_traffic_percent,
            facts.percent <= demands.max_traffic_percent,
        ),
    ]
    if demands.first_deployment_needs_person:
        found.append(
            _criterion(
                "not_the_first_of_its_model",
                not facts.first_of_model,
                True,
                not facts.first_of_model,
            )
        )
    if not facts.first_of_model:
        change = facts.metric_change_percent
        met = change is not None and abs(change) <= demands.max_metric_change_percent
        found.append(
            _criterion("metric_change_percent", change, demands.max_metric_change_percent, met)
        )
    if facts.retrained:
        gain = facts.gain_percent_points
        met = gain is not None and gain > demands.min_retrained_gain_percent_points
        found.append(
            _criterion("gain_percent_points", gain, demands.min_retrained_gain_percent_points, met)
        )
    return tuple(found)


def all_met(found: tuple[dict[str, Any], ...]) -> bool:
    """Whether every criterion is met; of none at all, no."""
    return bool(found) and all(criterion["met"] for criterion in found)


def _criterion(name: str, value: object, threshold: object, met: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "threshold": threshold, "met": met}
