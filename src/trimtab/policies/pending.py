"""Keys that a policy may state already, and that no decision reads yet."""

from __future__ import annotations

from trimtab.policies.schema import Key

NOT_JUDGED_YET = frozenset(
    {
        "monitoring.drift_every_minutes",
        "monitoring.triggers.brier_increase",
        "monitoring.triggers.concept_psi_nats",
        "retraining.every_days",
        "retraining.new_rows",
        "rollout.max_accuracy_drop_percent_points",
        "rollout.max_error_rate",
    }
)
"""Whoever reads a policy is told of each; a test compares the list with the code."""


def meaning(key: Key) -> str:
    """What a key means, and whether it does anything yet."""
    return f"{key.description} Not judged yet." if key.name in NOT_JUDGED_YET else key.description
