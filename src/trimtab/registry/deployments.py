"""What traffic a version carries: one row for each (model, tenant, environment) and slot.

At most one stable and one canary for each; the database enforces it as well. Exposure
grows only with a permit, which is consumed by the very move that it authorises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from trimtab.kernel.errors import InvalidMove, PolicyRefused
from trimtab.kernel.events import Event
from trimtab.kernel.ids import Digest, PermitId, TenantId


class Deployment(StrEnum):
    """What a version is to a tenant in an environment."""

    SHADOW = "shadow"
    CANARY = "canary"
    STABLE = "stable"
    ROLLED_BACK = "rolled_back"
    RETIRED = "retired"
    """It was stable until a successor took its place; kept warm as the way back."""


@dataclass(frozen=True)
class Deployed:
    """A version in a place. `percent` is its share of the endpoints of its scope."""

    id: str
    model: str
    tenant: TenantId | None
    environment: str
    version: str
    digest: Digest
    state: Deployment
    percent: float
    salt: str
    permit: PermitId
    since: datetime
    revision: int = 0

    def carries(self, version: str, digest: Digest) -> bool:
        """Whether it is this version, with these bytes: two versions may have the same ones."""
        return (self.version, self.digest) == (version, digest)

    def to(
        self, state: Deployment, *, percent: float, permit: PermitId, why: str, at: datetime
    ) -> tuple[Deployed, DeploymentMoved]:
        """The deployment in its next state; shares may shrink under the old permit only.

        Raises:
            InvalidMove: a settled deployment does not move.
            PolicyRefused: more exposure under a permit that was used before.
        """
        if self.state is Deployment.ROLLED_BACK:
            raise InvalidMove(f"deployment {self.id} was rolled back and stays so")
        if not percent <= self.percent and permit == self.permit:
            raise PolicyRefused(
                "more exposure needs a permit of its own",
                remedy="ask for a permit for the next step",
            )
        event = moved(self, state, percent, permit, why)
        return replace(self, state=state, percent=percent, permit=permit, since=at), event


@dataclass(frozen=True)
class DeploymentMoved(Event):
    """A version began, grew, shrank or stopped carrying traffic somewhere."""

    kind: ClassVar[str] = "deployment.moved"

    model: str
    environment: str
    version: str
    digest: str
    before: str | None
    after: str
    percent_before: float
    percent_after: float
    permit: str
    why: str


def moved(
    before: Deployed, state: Deployment, percent: float, permit: PermitId, why: str
) -> DeploymentMoved:
    """The event of a deployment that goes on to `state`."""
    return DeploymentMoved(
        subject=before.id,
        tenant=before.tenant,
        model=before.model,
        environment=before.environment,
        version=before.version,
        digest=before.digest,
        before=before.state.value,
        after=state.value,
        percent_before=before.percent,
        percent_after=percent,
        permit=permit,
        why=why,
    )


def begun(deployed: Deployed, why: str) -> DeploymentMoved:
    """The event of a deployment that has just come to be."""
    return DeploymentMoved(
        subject=deployed.id,
        tenant=deployed.tenant,
        model=deployed.model,
        environment=deployed.environment,
        version=deployed.version,
        digest=deployed.digest,
        before=None,
        after=deployed.state.value,
        percent_before=0.0,
        percent_after=deployed.percent,
        permit=deployed.permit,
        why=why,
    )
