"""From a diagnosis to an ordered plan, in which what is not done stands with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trimtab.kernel.errors import InvalidInput
from trimtab.policies.model import Tier
from trimtab.policies.operation import ActionName
from trimtab.policies.operation import Remediation as Demands
from trimtab.remediation.actions import ACTIONS, Action
from trimtab.remediation.causes import FITTING, Cause, why_unfit


@dataclass(frozen=True)
class DiagnosisSummary:
    """What a plan has to know of a diagnosis. `confidence` is from 0 to 1, and None where no
    cause was found: nobody is sure of nothing."""

    cause: Cause
    feature: str | None
    confidence: float | None
    recommended: tuple[ActionName, ...]


class Course(StrEnum):
    """What a plan does with an action."""

    AUTOMATIC = "automatic"
    """It is put to the gate without asking anybody."""
    ASK = "ask"
    """A person may ask for it; it is offered, not done."""
    REFUSED = "refused"
    """It would not help, or harm."""


@dataclass(frozen=True)
class Step:
    """One line of a plan."""

    action: ActionName
    course: Course
    reason: str


def draw_up(
    diagnosis: DiagnosisSummary, demands: Demands, *, tier: int, min_action_confidence: float
) -> tuple[Step, ...]:
    """All declared actions, and those recommended, each with its course and the reason.

    What fits the cause comes first, in its order; then what is refused.

    Args:
        diagnosis: What was found.
        demands: The tier's slice of the policy.
        tier: 1 carries the highest risk, 4 the lowest.
        min_action_confidence: Below it, telling the team is all that is done.

    Raises:
        InvalidInput: a confidence that is none: not knowing how sure one is, is no plan.
    """
    named = diagnosis.cause is not Cause.NONE_FOUND
    sure = diagnosis.confidence
    if named if sure is None else not 0 <= sure <= 1:
        raise InvalidInput("a confidence lies between 0 and 1", field="confidence")
    fitting = FITTING[diagnosis.cause]
    others = dict.fromkeys((*diagnosis.recommended, *ACTIONS))
    steps = [
        _step(action, diagnosis, demands, tier, min_action_confidence)
        for action in (*fitting, *(name for name in others if name not in fitting))
    ]
    return tuple(sorted(steps, key=lambda step: step.course is Course.REFUSED))


def _step(
    name: ActionName,
    diagnosis: DiagnosisSummary,
    demands: Demands,
    tier: int,
    min_action_confidence: float,
) -> Step:
    action = ACTIONS.get(name)
    if action is None:
        return Step(name, Course.REFUSED, "nobody has declared how it is carried out and undone")
    unfit = why_unfit(diagnosis.cause, name)
    if unfit is not None:
        return Step(name, Course.REFUSED, unfit)
    stays = why_not_automatic(
        action,
        automatic_actions=demands.automatic_actions,
        tier=tier,
        confidence=diagnosis.confidence,
        min_action_confidence=min_action_confidence,
    )
    if stays is not None:
        return Step(name, Course.ASK, stays)
    return Step(name, Course.AUTOMATIC, _because(action, diagnosis))


def why_not_automatic(
    action: Action,
    *,
    automatic_actions: Sequence[ActionName],
    tier: int,
    confidence: float | None,
    min_action_confidence: float,
) -> str | None:
    """Why `action` needs a person, or None. The gate asks the same question again."""
    if action.name not in automatic_actions:
        return f"the policy of tier {tier} leaves {action.name.value} to people"
    if not action.changes_something:
        return None
    if action.inverse is None and tier <= Tier.HIGH:
        return f"{action.name.value} cannot be undone, and tier {tier} leaves that to people"
    if confidence is None or math.isnan(confidence):
        return "how sure the diagnosis is, is not known"
    if confidence < min_action_confidence:
        return (
            f"the diagnosis is {confidence:.0%} sure; {min_action_confidence:.0%} are needed to "
            "act without a person"
        )
    return None


def _because(action: Action, diagnosis: DiagnosisSummary) -> str:
    if diagnosis.cause is Cause.NONE_FOUND:
        found = "no cause was found"
    else:
        at = f" in {diagnosis.feature}" if diagnosis.feature else ""
        cause = diagnosis.cause.value.replace("_", " ")
        found = f"{cause}{at}, {diagnosis.confidence:.0%} sure"
    return f"{found}: {action.effect[0].lower()}{action.effect[1:]}"
