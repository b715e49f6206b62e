"""Requests for approval, and the votes on them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from trimtab.sdk.shapes.base import DIGEST, Answer, Reason, Request, described


class TargetShape(Answer):
    """What an approval is for."""

    model: str
    version_id: str
    version: str
    digest: str
    tenant: str | None
    environment: str
    max_percent: float
    checks_digest: str
    policy_digest: str


class StepShape(Answer):
    """Signatures of one role."""

    role: str
    people: int


class VoteShape(Answer):
    """One person's word."""

    person: str
    name: str
    role: str
    approve: bool
    reason: str
    at: datetime


class ApprovalShape(Answer):
    """A request for approval and what became of it."""

    id: str
    target: TargetShape
    requested_by: str
    comment: str
    steps: list[StepShape]
    min_people: int
    votes: list[VoteShape]
    criteria: list[dict[str, Any]]
    automatic: bool
    phase: str
    requested_at: datetime
    decided_at: datetime | None
    due_at: datetime | None


class NewVote(Request):
    """A yes or a no to exactly these bytes."""

    approve: bool
    """Yes or no."""
    digest: Annotated[str, Field(min_length=71, max_length=71), described(DIGEST)]
    """Of the bytes that were looked at; others are a conflict."""
    reason: Reason
