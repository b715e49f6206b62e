"""Beyond what was approved automatically: the canary waits there for people.

An automatic approval allows a first share of the traffic. Where its canary does well, people
are asked for the rest; until they say yes it stays, and where they do not, it is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trimtab.approvals import service as approvals
from trimtab.approvals import store as approval_store
from trimtab.approvals.model import Approval, Phase
from trimtab.audit.work import Work
from trimtab.policies.model import TierPolicy
from trimtab.registry import store
from trimtab.registry.service import FULL
from trimtab.rollouts.model import Rollout


@dataclass(frozen=True)
class Waiting:
    """Why a rollout goes no further now; `refused` if it never will."""

    why: str
    refused: bool


def stops(
    work: Work, rollout: Rollout, demands: TierPolicy, policy_digest: str, *, ask: bool
) -> Waiting | None:
    """What keeps a rollout from its next share, as far as people have to be asked for it.

    Args:
        ask: Whether it has earned the next share, so that people are asked if nobody was.
    """
    following = FULL if rollout.last_step else rollout.steps[rollout.step + 1]
    known = approval_store.of_version(work, rollout.version_id)
    standing = [a for a in known if a.phase is Phase.APPROVED]
    ran_out = [a for a in known if a.automatic and a.phase is Phase.EXPIRED]
    if not standing and ran_out and known[-1].phase is Phase.PENDING:
        return Waiting(f"approval {known[-1].id} waits for people", refused=False)
    if not standing or not standing[-1].automatic:
        return None  # whether it suffices is judged where the permit is signed
    given = standing[-1]
    if following <= given.target.max_percent:
        return None
    asked = [a for a in known if not a.automatic and a.requested_at >= given.requested_at]
    if not asked and not ask:
        return None
    newest = asked[-1] if asked else _ask(work, rollout, given, demands, policy_digest)
    here = f"{given.target.max_percent:g} % were approved automatically, and the rest needs people"
    if newest.phase is Phase.PENDING:
        return Waiting(f"{here}: approval {newest.id} waits for them", refused=False)
    return Waiting(f"{here}: approval {newest.id} is {newest.phase.value}", refused=True)


def _ask(
    work: Work, rollout: Rollout, given: Approval, demands: TierPolicy, policy_digest: str
) -> Approval:
    version = store.version_by_id(work, rollout.version_id)
    target = replace(
        given.target,
        max_percent=demands.rollout.max_traffic_percent,
        policy_digest=policy_digest,
    )
    return approvals.request(
        work,
        target,
        comment=f"{version.model} {version.version} does well as a canary of "
        f"{rollout.observed_percent:g} %, which was approved automatically; now the rest",
        contributors=version.contributors,
        criteria=(),
        demands=demands.approvals,
    )
