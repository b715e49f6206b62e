"""What somebody acts on, as the conditions of their roles see it."""

from __future__ import annotations

from dataclasses import replace

from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval
from trimtab.approvals.model import Phase as ApprovalPhase
from trimtab.audit.work import Reading
from trimtab.kernel.grants import Subject
from trimtab.kernel.ids import TenantId
from trimtab.registry import store
from trimtab.registry.model import Lifecycle, Version
from trimtab.registry.service import FULL
from trimtab.rollouts.model import Rollout
from trimtab.workflows.parts import ENVIRONMENT

NOTHING = 0.0
"""The share of the traffic that an act leads to which only takes traffic away, or moves none."""


def version(reading: Reading, one: Version, *, percent: float = NOTHING) -> Subject:
    """A version, and the share of the traffic that is to come of the act."""
    tier = store.model_named(reading, one.model).tier
    return Subject(tier, one.tenant, ENVIRONMENT, percent, one.lifecycle.value)


def release(reading: Reading, one: Version) -> Subject:
    """A version that is to be released: a rollout climbs by itself to all that the approval
    allows, so that is what starting it leads to."""
    given = [
        a for a in approval_store.of_version(reading, one.id) if a.phase is ApprovalPhase.APPROVED
    ]
    return version(reading, one, percent=given[-1].target.max_percent if given else FULL)


def rollout(reading: Reading, one: Rollout, *, grows: bool) -> Subject:
    """A rollout that is to run on, or else to be held or taken back."""
    moving = store.version_by_id(reading, one.version_id)
    return release(reading, moving) if grows else version(reading, moving)


def approval(reading: Reading, one: Approval) -> Subject:
    """A request for approval: a vote is about all the traffic that was asked for. The version
    is in staging while people vote, and their votes are counted again as of then."""
    target = one.target
    tier = store.model_named(reading, target.model).tier
    return Subject(
        tier, target.tenant, target.environment, target.max_percent, Lifecycle.STAGING.value
    )


def withdrawal(reading: Reading, one: Approval) -> Subject:
    """A request that is to be taken back."""
    return replace(approval(reading, one), traffic_percent=NOTHING)


def handed_in(reading: Reading, name: str, tenant: TenantId | None) -> Subject:
    """A version that is not there yet."""
    return replace(model(reading, name, tenant), status=Lifecycle.DEVELOPMENT.value)


def model(reading: Reading, name: str, tenant: TenantId | None) -> Subject:
    """Something about a model that is no version: an incident, a remedy, a switch."""
    return of_tier(store.model_named(reading, name).tier, tenant)


def of_tier(tier: int | None, tenant: TenantId | None) -> Subject:
    """Something that moves no traffic onto any version, for a tenant or for the fleet."""
    return Subject(tier, tenant, ENVIRONMENT, NOTHING)
