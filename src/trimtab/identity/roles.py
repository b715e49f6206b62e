"""What each role may do. A permission is `noun:verb`; what is not listed is denied."""

from __future__ import annotations

from collections.abc import Iterable

READ = frozenset(
    {
        "models:read",
        "approvals:read",
        "rollouts:read",
        "windows:read",
        "incidents:read",
        "remediations:read",
        "retraining:read",
        "policies:read",
    }
)

_DECIDE = READ | {"approvals:decide", "audit:read"}

ROLES: dict[str, frozenset[str]] = {
    "admin": READ
    | {
        "models:register",
        "versions:register",
        "rollouts:start",
        "rollouts:operate",
        "incidents:operate",
        "remediations:execute",
        "retraining:propose",
        "artifacts:download",
        "routing:read",
        "audit:read",
        "audit:verify",
        "identity:manage",
        "clock:step",
        "operations:read",
        "operations:manage",
        "models:infer",
    },
    "data_scientist": READ
    | {
        "models:register",
        "versions:register",
        "artifacts:download",
        "retraining:propose",
    },
    "ml_engineer": _DECIDE | {"rollouts:start", "rollouts:operate", "versions:register"},
    "model_owner": _DECIDE,
    "senior_engineer": _DECIDE | {"rollouts:start", "rollouts:operate"},
    "ml_lead": _DECIDE | {"rollouts:start", "rollouts:operate"},
    "business_owner": _DECIDE,
    "compliance": _DECIDE | {"audit:verify"},
    "legal": _DECIDE,
    "ml_review_board": _DECIDE,
    "peer_reviewer": _DECIDE,
    "on_call": READ
    | {"rollouts:operate", "incidents:operate", "remediations:execute", "audit:read"},
    "auditor": READ | {"audit:read", "audit:verify"},
    "gateway": frozenset(
        {"routing:read", "artifacts:download", "gateways:report", "predictions:write"}
    ),
    "endpoint": frozenset({"models:infer", "models:read", "artifacts:download"}),
    "feed": frozenset({"labels:write"}),
}
"""Deciding on approvals is never among the rights of an administrator: who runs the house
does not thereby answer for the models in it."""

PERMISSIONS = frozenset().union(*ROLES.values())


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """All that `roles` grant together; a role that is not known grants nothing."""
    return frozenset().union(*(ROLES.get(role, frozenset()) for role in roles))
