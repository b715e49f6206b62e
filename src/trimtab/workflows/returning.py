"""Back to what was stable; where that may not be, the bad version goes all the same.

A bad version never stays because its predecessor may not return: then its traffic is
withdrawn, which needs nobody's leave, and a person is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from trimtab.audit.work import Work
from trimtab.incidents import service as incidents
from trimtab.kernel.errors import PolicyRefused
from trimtab.kernel.events import Note
from trimtab.kernel.ids import TenantId
from trimtab.policies.model import TierPolicy
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployed
from trimtab.remediation import endings
from trimtab.remediation import service as remediation
from trimtab.remediation.model import Remediation
from trimtab.workflows import permits
from trimtab.workflows.parts import Parts, told

Place = tuple[str, TenantId | None, str]
"""Model, tenant, environment."""


@dataclass(frozen=True)
class RollbackRefused(Note):
    """A stable version was withdrawn, and no predecessor could take its place; somebody has
    to look."""

    kind: ClassVar[str] = "rollback.refused"

    model: str
    environment: str
    version: str
    digest: str
    predecessor: str | None
    why: str


def take_back(parts: Parts, work: Work, bad: Deployed, demands: TierPolicy, *, why: str) -> None:
    """Put the predecessor of a stable version back in its place, or nothing at all."""
    place = (bad.model, bad.tenant, bad.environment)
    target = registry.rollback_target(work, *place)
    try:
        _put_back(parts, work, place, target, demands, why)
    except PolicyRefused as refusal:
        registry.withdraw_stable(work, *place, version=bad.version, why=why)
        work.record(
            RollbackRefused(
                subject=bad.id,
                tenant=bad.tenant,
                model=bad.model,
                environment=bad.environment,
                version=bad.version,
                digest=bad.digest,
                predecessor=None if target is None else target.version,
                why=told(refusal),
            )
        )


def _put_back(
    parts: Parts,
    work: Work,
    place: Place,
    target: Deployed | None,
    demands: TierPolicy,
    why: str,
) -> Deployed:
    """Whatever is refused is refused before anything is written."""
    if target is None:
        raise PolicyRefused("no earlier version may carry traffic here")
    permit = permits.permit_to_return(parts, work, target, demands)
    return registry.roll_back_stable(work, *place, permit=permit, why=why)


def carry_out(
    parts: Parts, work: Work, begun: Remediation, bad: Deployed, demands: TierPolicy
) -> None:
    """Carry a permitted roll-back out: to the predecessor that was permitted, and to no other.

    Where that one may not return, the bad version is withdrawn and a person has it.
    """
    place = (bad.model, bad.tenant, bad.environment)
    target = registry.rollback_target(work, *place)
    wanted = (begun.args["to_version"], begun.args["to_digest"])
    try:
        if target is not None and (target.version, target.digest) != wanted:
            raise PolicyRefused(
                f"the predecessor is {target.version} by now, and {wanted[0]} was permitted"
            )
        back = _put_back(parts, work, place, target, demands, f"remedy {begun.id}")
    except PolicyRefused as refusal:
        why = f"{bad.version} was withdrawn, and nothing is in its place: {told(refusal)}"
        registry.withdraw_stable(work, *place, version=bad.version, why=f"remedy {begun.id}")
        give_up(work, begun, why, demands)
        return
    assert begun.fence is not None
    result = {"stable": back.version, "permit": back.permit}
    patience = patience_of(demands)
    remediation.executed(work, begun.id, fence=begun.fence, result=result, patience=patience)
    window = timedelta(hours=demands.monitoring.window_hours)
    endings.begin_verifying(
        work, begun.id, look_at=work.now + 2 * window, deadline=work.now + patience + 2 * window
    )


def give_up(work: Work, begun: Remediation, why: str, demands: TierPolicy) -> None:
    """Hand a roll-back that could not be carried out, and its incident, to a person."""
    endings.fail(work, begun.id, why, patience=patience_of(demands))
    endings.escalate(work, begun.id, why)
    incidents.escalate_open(work, begun.incident, why)


def patience_of(demands: TierPolicy) -> timedelta:
    """How long a remedy may be under way, until it has to be measured."""
    windows = demands.remediation.recovery.max_windows
    return timedelta(hours=demands.monitoring.window_hours) * windows
