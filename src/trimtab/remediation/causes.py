"""Which action fits which cause, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from trimtab.policies.operation import ActionName

_NOTIFY = ActionName.NOTIFY_TEAM
_ROLLBACK = ActionName.ROLLBACK_MODEL
_RETRAIN = ActionName.RETRAIN_MODEL


class Cause(StrEnum):
    """What a diagnosis can name."""

    DATA_QUALITY_FAULT = "data_quality_fault"
    """A feed sends something else than it used to: another unit, nulls, a frozen column."""
    COVARIATE_SHIFT = "covariate_shift"
    """The inputs moved; what they mean has not."""
    CONCEPT_SHIFT = "concept_shift"
    """The same inputs now mean something else."""
    BAD_RELEASE = "bad_release"
    """It began with a version."""
    POPULATION_CHANGE = "population_change"
    """Other subjects are asked about, or a tenant came or went."""
    NONE_FOUND = "none_found"
    """The evidence names no cause."""


FITTING: Mapping[Cause, tuple[ActionName, ...]] = MappingProxyType(
    {
        Cause.DATA_QUALITY_FAULT: (_NOTIFY,),
        Cause.COVARIATE_SHIFT: (_NOTIFY, _RETRAIN),
        Cause.CONCEPT_SHIFT: (_NOTIFY, _RETRAIN),
        Cause.BAD_RELEASE: (_ROLLBACK, _NOTIFY),
        Cause.POPULATION_CHANGE: (_NOTIFY, _RETRAIN),
        Cause.NONE_FOUND: (_NOTIFY,),
    }
)
"""What is done about a cause, in this order."""

_UNFIT: Mapping[tuple[Cause, ActionName], str] = MappingProxyType(
    {
        (Cause.DATA_QUALITY_FAULT, _RETRAIN): (
            "the feed is broken: retraining on a broken feed makes it worse; repair the feed first"
        ),
        (Cause.DATA_QUALITY_FAULT, _ROLLBACK): (
            "the feed is broken: an earlier version reads the same feed"
        ),
        (Cause.COVARIATE_SHIFT, _ROLLBACK): "an earlier version knows the new inputs even less",
        (Cause.CONCEPT_SHIFT, _ROLLBACK): "an earlier version knows the new meaning even less",
        (Cause.POPULATION_CHANGE, _ROLLBACK): "an earlier version knows the new subjects even less",
        (Cause.BAD_RELEASE, _RETRAIN): "the version is at fault, not the data: take it back",
        (Cause.NONE_FOUND, _RETRAIN): "no cause is known; training again would be guesswork",
        (
            Cause.NONE_FOUND,
            _ROLLBACK,
        ): "no cause is known; taking a version back would be guesswork",
    }
)

_FORBIDDEN = frozenset({(Cause.DATA_QUALITY_FAULT, _RETRAIN)})


def why_unfit(cause: Cause, action: ActionName) -> str | None:
    """Why a plan does not propose `action` for `cause`, or None if it may."""
    return _UNFIT.get((cause, action))


def why_forbidden(cause: Cause, action: ActionName) -> str | None:
    """Why nobody may do it, a person neither, or None.

    A person may know more than the diagnosis and roll back all the same. Training on what
    a broken feed has delivered is never right, whoever asks.
    """
    return _UNFIT[cause, action] if (cause, action) in _FORBIDDEN else None
