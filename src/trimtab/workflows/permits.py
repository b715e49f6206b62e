"""Permits for exposure: growth needs an approval that is valid now; going back to what was
stable in a place needs the one that it had there."""

from __future__ import annotations

from datetime import datetime, timedelta

from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval
from trimtab.approvals.model import Phase as ApprovalPhase
from trimtab.audit.work import Reading, Work
from trimtab.identity import store as people
from trimtab.identity.roles import held
from trimtab.kernel.errors import NotFound, PolicyRefused
from trimtab.policies.model import TierPolicy
from trimtab.registry import deployment_store, store
from trimtab.registry import service as registry
from trimtab.registry.deployments import Deployed, Deployment
from trimtab.registry.model import Version
from trimtab.registry.permits import Permit
from trimtab.workflows import about
from trimtab.workflows.parts import ENVIRONMENT, Parts, demand_place, policy_of


def permit_for(
    parts: Parts, work: Work, version: Version, percent: float, demands: TierPolicy
) -> Permit:
    """A permit for one increase of exposure, if an approval allows it now.

    Raises:
        PolicyRefused: no approval does, or the model's tier cannot enter this place.
    """
    model = store.model_named(work, version.model)
    demand_place(model, demands)
    _, policy_digest = policy_of(parts, model)
    approval = valid_approval(work, version, policy_digest, percent, work.now)
    return registry.issue_permit(
        work,
        version,
        environment=ENVIRONMENT,
        max_percent=percent,
        approval=approval.id,
        policy_digest=policy_digest,
        lifetime=timedelta(minutes=demands.permits.permit_lifetime_minutes),
        key=parts.permit_key,
    )


def permit_to_return(parts: Parts, work: Work, back: Deployed, demands: TierPolicy) -> Permit:
    """A permit to go back to what was stable in a place, under the approval that it had there.

    Going back lowers a risk that was approved: it needs no approval of today.

    Raises:
        PolicyRefused: it was not stable there, may carry traffic no more, or its approval is
            not there or stands no more.
    """
    version = store.find_version(work, back.model, back.version)
    known = version is not None and version.digest == back.digest
    if version is None or not known or back.state is not Deployment.RETIRED:
        raise PolicyRefused(f"version {back.version} of {back.model} was not stable here")
    try:
        former = deployment_store.permit_by_id(work, back.permit)
        approval = approval_store.get(work, former.approval)
    except NotFound as error:
        raise PolicyRefused(
            f"version {back.version} of {back.model} has no approval under which it was stable"
        ) from error
    approval.demand_return(digest=version.digest, tenant=back.tenant, environment=back.environment)
    return registry.issue_permit(
        work,
        version,
        environment=back.environment,
        max_percent=registry.FULL,
        approval=approval.id,
        policy_digest=approval.target.policy_digest,
        lifetime=timedelta(minutes=demands.permits.permit_lifetime_minutes),
        key=parts.permit_key,
    )


def valid_approval(
    reading: Reading, version: Version, policy_digest: str, percent: float, now: datetime
) -> Approval:
    """The newest approval that allows this version this share, its quorum counted again.

    Raises:
        PolicyRefused: none does, with the reason of the newest.
    """
    found = [
        a
        for a in approval_store.of_version(reading, version.id)
        if a.phase is ApprovalPhase.APPROVED
    ]
    if not found:
        raise PolicyRefused(
            f"version {version.version} of {version.model} has no approval",
            remedy="ask for one; its checks must have passed",
        )
    approval = found[-1]
    approval.demand(
        digest=version.digest,
        policy_digest=policy_digest,
        tenant=version.tenant,
        environment=ENVIRONMENT,
        percent=percent,
        eligible=_still_eligible(reading, approval),
        now=now,
    )
    return approval


def _still_eligible(reading: Reading, approval: Approval) -> set[str]:
    """Who of those that signed is still here and still holds the role they signed in, for
    what they signed."""
    eligible, asked = set(), about.approval(reading, approval)
    for vote in approval.votes:
        try:
            person = people.person(reading, vote.person)
        except NotFound:
            continue
        if not person.disabled and vote.role in held(person.roles, asked):
            eligible.add(vote.person)
    return eligible
