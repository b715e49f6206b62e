"""Kill switches: a person, or an alarm, stops all remedies of a scope at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.remediation.events import SwitchCleared, SwitchSet


class Scope(StrEnum):
    """How far a kill switch reaches."""

    FLEET = "fleet"
    MODEL = "model"
    TENANT = "tenant"


@dataclass(frozen=True)
class Switch:
    """A kill switch; `name` is the model's or the tenant's, and empty for the fleet."""

    id: str
    scope: Scope
    name: str
    set: bool
    why: str
    by: str
    since: datetime
    revision: int = 0

    def turn_on(self, why: str, by: str, at: datetime) -> tuple[Switch, SwitchSet]:
        """Set it."""
        event = SwitchSet(
            subject=self.id, tenant=self.tenant, scope=self.scope.value, name=self.name, why=why
        )
        return replace(self, set=True, why=why, by=by, since=at), event

    def turn_off(self, why: str, by: str, at: datetime) -> tuple[Switch, SwitchCleared]:
        """Clear it."""
        event = SwitchCleared(
            subject=self.id, tenant=self.tenant, scope=self.scope.value, name=self.name, why=why
        )
        return replace(self, set=False, why=why, by=by, since=at), event

    @property
    def tenant(self) -> TenantId | None:
        """In whose history it belongs."""
        return TenantId(self.name) if self.scope is Scope.TENANT else None

    def __str__(self) -> str:
        return f"{self.scope.value} {self.name}".strip()


def checked_scope(scope: Scope, name: str) -> None:
    """Raise unless the fleet has no name and everything else has one.

    Raises:
        InvalidInput: a switch that would stop nothing.
    """
    if (scope is Scope.FLEET) != (name == ""):
        raise InvalidInput(
            "the fleet has no name; a model or a tenant has one",
            field="name",
            remedy="give the name of the model or tenant, or the scope fleet without a name",
        )


def stopping(switches: Iterable[Switch], *, model: str, tenant: TenantId | None) -> tuple[str, ...]:
    """Which of `switches` stop an action on this model and tenant, in words."""
    reaches = {(Scope.FLEET, ""), (Scope.MODEL, model)}
    if tenant is not None:
        reaches.add((Scope.TENANT, tenant))
    return tuple(str(x) for x in switches if x.set and (x.scope, x.name) in reaches)
