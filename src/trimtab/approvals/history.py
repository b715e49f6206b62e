"""Where requests for approval stood at a moment that is past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trimtab.approvals.model import Approval, Ended, Phase
from trimtab.audit import ledger
from trimtab.audit.work import Reading


def approvals_then(reading: Reading, approvals: Sequence[Approval], at: datetime) -> list[Approval]:
    """Of `approvals` those that were asked for by the moment `at`, as they stood then.

    When each was to expire is not told: the row has lost it once it was used or has ended.
    """
    asked = [approval for approval in approvals if approval.requested_at <= at]
    ids = [approval.id for approval in asked]
    ended = ledger.newest_about(reading.connection, (Ended.kind,), ids, until=at)
    return [_then(approval, at, ended=approval.id in ended) for approval in asked]


def _then(approval: Approval, at: datetime, *, ended: bool) -> Approval:
    votes = tuple(vote for vote in approval.votes if vote.at <= at)
    then = replace(approval, votes=votes, due_at=None)
    if ended:  # a request ends once, and stays so
        return then
    if any(not vote.approve for vote in votes):
        return replace(then, phase=Phase.REJECTED)
    if then.given:
        return replace(then, phase=Phase.APPROVED)
    return replace(then, phase=Phase.PENDING, decided_at=None)
