"""What each role may do. A permission is `noun:verb`; what is not listed is denied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trimtab.kernel.grants import Conditions, Grant, Subject

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
        "inventory:read",
    }
)

_ASK = READ | {"drift:check"}
"""Looks, and has tables compared: an entry of its own, and so not an auditor's."""

_DECIDE = _ASK | {"approvals:decide", "audit:read"}

ROLES: dict[str, frozenset[str]] = {
    "admin": _ASK
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
        "identity:read",
        "connections:manage",
        "inventory:sync",
        "clock:step",
        "operations:read",
        "operations:manage",
        "models:infer",
    },
    "data_scientist": _ASK
    | {
        "models:register",
        "versions:register",
        "artifacts:download",
        "retraining:propose",
        "inventory:sync",
    },
    "ml_engineer": _DECIDE
    | {"rollouts:start", "rollouts:operate", "versions:register", "inventory:sync"},
    "model_owner": _DECIDE,
    "senior_engineer": _DECIDE | {"rollouts:start", "rollouts:operate"},
    "ml_lead": _DECIDE | {"rollouts:start", "rollouts:operate"},
    "business_owner": _DECIDE,
    "compliance": _DECIDE | {"audit:verify", "compliance:waive"},
    "legal": _DECIDE | {"compliance:waive"},
    "ml_review_board": _DECIDE,
    "peer_reviewer": _DECIDE,
    "on_call": _ASK
    | {"rollouts:operate", "incidents:operate", "remediations:execute", "audit:read"},
    "auditor": READ | {"audit:read", "audit:verify", "identity:read", "operations:read"},
    "gateway": frozenset(
        {"routing:read", "artifacts:download", "gateways:report", "predictions:write"}
    ),
    "endpoint": frozenset({"models:infer", "models:read", "artifacts:download"}),
    "feed": frozenset({"labels:write"}),
}
"""Deciding on approvals is never among the rights of an administrator: who runs the house
does not thereby answer for the models in it. An auditor sees all that is no secret, and changes
nothing."""

PERMISSIONS = frozenset().union(*ROLES.values())

READING = READ | {"audit:read"}
"""What only looks at records. Of the conditions of a role, its tenants limit these."""

ALL_OR_NOTHING = frozenset(
    {"models:infer", "routing:read", "gateways:report", "predictions:write", "labels:write"}
)
"""What a role on conditions does not grant: gateways decide on these by themselves, or they
come in batches that are about many things at once."""


@dataclass(frozen=True)
class Assignment:
    """A role that somebody holds on conditions."""

    role: str
    conditions: Conditions = field(default_factory=Conditions)

    def grant(self) -> Grant:
        """What it allows."""
        allowed = ROLES.get(self.role, frozenset()) - ALL_OR_NOTHING
        return Grant(self.role, allowed, self.conditions)

    def plain(self) -> dict[str, Any]:
        """As it is kept and shown: the role and the conditions that are set."""
        limits = {f.name: getattr(self.conditions, f.name) for f in fields(Conditions)}
        listed = {k: list(v) if isinstance(v, tuple) else v for k, v in limits.items()}
        return {"role": self.role, **{k: v for k, v in listed.items() if v is not None}}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Assignment:
        """What `plain` has made."""
        limits: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k != "role"
        }
        return cls(str(row["role"]), Conditions(**limits))


Role = str | Assignment
"""What somebody holds: a role by its name, or one on conditions. Whoever looks for a name among
roles so finds only those that hold for everything."""


def permissions_of(roles: Iterable[Role]) -> frozenset[str]:
    """All that `roles` grant for everything; a role that is not known grants nothing."""
    names = [role for role in roles if isinstance(role, str)]
    return frozenset().union(*(ROLES.get(role, frozenset()) for role in names))


def grants_of(roles: Iterable[Role]) -> tuple[Grant, ...]:
    """All that `roles` grant on conditions."""
    return tuple(role.grant() for role in roles if isinstance(role, Assignment))


def held(roles: Iterable[Role], about: Subject) -> frozenset[str]:
    """The names of the roles that hold for `about`."""
    return frozenset(
        role if isinstance(role, str) else role.role
        for role in roles
        if isinstance(role, str) or role.conditions.admit(about)
    )


def plain_roles(roles: Iterable[Role]) -> list[Any]:
    """As they are kept and shown."""
    return [role if isinstance(role, str) else role.plain() for role in roles]


def read_roles(rows: Iterable[Any]) -> tuple[Role, ...]:
    """What `plain_roles` has made."""
    return tuple(row if isinstance(row, str) else Assignment.read(row) for row in rows)
