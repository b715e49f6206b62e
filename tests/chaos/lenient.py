"""A policy under which a story takes days instead of months: the default one, with less asked."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

NAME = "lenient"

CHANGES: dict[str, Any] = {
    "checks": {"performance": {"max_false_positive_rate": 0.30, "min_recall": 0.10}},
    "approvals": {"expires_days": 3},
    "rollout": {
        "steps_percent": [50, 100],
        "min_events_per_step": 200,
        "max_false_positive_rate": 0.20,
        "max_accuracy_drop_percent_points": 20,
    },
    "monitoring": {"min_rows_global": 200, "label_wait_hours": 1},
    "remediation": {
        "cooldown_minutes": 1,
        "max_actions_per_day": 20,
        "recovery": {"max_windows": 5},
    },
    "retraining": {"min_rows": 600, "max_false_positive_rate": 0.05},
}
"""Of tier 4; the tiers above keep only what is in `KEPT`, so that they ask the same."""

KEPT: dict[str, Any] = {
    "tier_3": {
        "inherits": "tier_4",
        "approvals": {
            "auto_approve": {"first_deployment_needs_person": True},
            "steps": [
                {"role": "peer_reviewer", "people": 1},
                {"role": "ml_engineer", "people": 1},
            ],
            "min_people": 2,
        },
        "rollout": {"environments": ["development", "staging", "production"]},
    },
    "tier_2": {
        "inherits": "tier_3",
        "approvals": {
            "auto_approve": {"allowed": False},
            "steps": [
                {"role": "ml_lead", "people": 1},
                {"role": "business_owner", "people": 1},
            ],
        },
        "remediation": {"automatic_actions": ["notify_team", "rollback_model"]},
    },
    "tier_1": {"inherits": "tier_2"},
}


def write_policy(folder: Path) -> Path:
    """The policy's file."""
    preset = resources.files("trimtab.policies") / "presets" / "standard.yaml"
    policy = yaml.safe_load(preset.read_text("utf-8"))
    policy["name"] = NAME
    policy["tiers"] = {"tier_4": _merged(policy["tiers"]["tier_4"], CHANGES), **KEPT}
    path = folder / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(policy, sort_keys=False), "utf-8")
    return path


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return base | {
        key: _merged(base[key], value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }
